// A field of a form, with its hint or what is wrong with it.
import { Switch } from '../parts/switch.tsx'
import type { Field } from './policy-forms.ts'

interface InputProps {
  readonly id: string
  readonly field: Field
  readonly text: string
  readonly problem: string | undefined
  readonly onType: (text: string) => void
}

export function Input({ id, field: { key, kind, label, hint, choices }, text, problem, onType }: InputProps) {
  const typed = (event: Event): void => onType((event.currentTarget as HTMLInputElement | HTMLSelectElement).value)
  const described = problem !== undefined ? `${id}-problem` : hint !== undefined ? `${id}-hint` : undefined
  if (kind === 'flag')
    return (
      <div class="flag">
        <Switch on={text === 'true'} disabled={false} label={label} onChange={(on) => onType(on ? 'true' : '')} />
        <span aria-hidden="true">{label}</span>
      </div>
    )
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {kind === 'choice' ? (
        <select id={id} name={key} value={text} onChange={typed}>
          {choices?.map((choice) => (
            <option key={choice} value={choice}>
              {choice}
            </option>
          ))}
        </select>
      ) : (
        <input
          id={id}
          name={key}
          value={text}
          inputMode={kind === 'number' ? 'numeric' : 'text'}
          onInput={typed}
          aria-invalid={problem !== undefined}
          aria-describedby={described}
          autoComplete="off"
          spellcheck={false}
        />
      )}
      {problem !== undefined ? (
        <p class="problem" id={`${id}-problem`}>
          {problem}
        </p>
      ) : (
        hint !== undefined && (
          <p class="hint" id={`${id}-hint`}>
            {hint}
          </p>
        )
      )}
    </div>
  )
}
