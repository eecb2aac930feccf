// A property whose definition has fields, as a form of them.
import { useId, useState } from 'preact/hooks'
import type { PropertyDefinitionStatus, PropertyStatus } from '../../../src/manage/host.ts'
import type { PropertyField } from '../../../src/ndis/property-fields.ts'
import { call } from '../state/api.ts'
import { useStore } from '../state/store.ts'
import { FormActions } from './form-actions.tsx'
import { Input } from './input.tsx'
import type { Field } from './policy-forms.ts'
import { fieldProblems, fieldsValue, formParts, refusedField, typedFields } from './property-fields.ts'
import { useChange } from './use-change.ts'

export type DefinitionWithFields = PropertyDefinitionStatus & { readonly fields: readonly PropertyField[] }

interface FieldsFormProps {
  readonly port: string
  readonly definition: DefinitionWithFields
  /** null: it is to be made. */
  readonly property: PropertyStatus | null
  readonly onSaved: () => void
}

export function FieldsForm({ port, definition, property, onSaved }: FieldsFormProps) {
  const readOnly = useStore((state) => state.readOnly)
  const { fields } = definition
  const before = (property?.value ?? {}) as Readonly<Record<string, unknown>>
  const [typed, setTyped] = useState(() => typedFields(fields, before))
  const [changed, setChanged] = useState(false)
  const { refused, forget, carryOut } = useChange(onSaved)
  const id = useId()
  const problems = fieldProblems(fields, typed)
  const wrong = Object.keys(problems).length > 0
  const blamed = refusedField(fields, refused)
  const which = { port, type: 'custom', id: definition.id, ...(property === null ? {} : { instance: property.instance }) }
  const inputs = (shown: readonly Field[]) =>
    shown.map((field) => (
      <Input
        key={field.key}
        id={`${id}-${field.key}`}
        field={field}
        text={typed[field.key] ?? ''}
        problem={problemOf(field.key)}
        onType={(text) => {
          setTyped({ ...typed, [field.key]: text })
          setChanged(true)
          forget()
        }}
      />
    ))
  const { usual, advanced } = formParts(fields, before)
  const problemOf = (key: string): string | undefined => (key === blamed ? refused : changed ? problems[key] : undefined)
  const save = (event: Event): void => {
    event.preventDefault()
    if (wrong) return
    const body = {
      ...which,
      ...(property === null ? {} : { version: property.version }),
      value: fieldsValue(fields, typed, before),
    }
    void carryOut(
      () => call(property === null ? 'POST' : 'PUT', '/v1/properties', body),
      `${port}: ${definition.name} ${property === null ? 'added' : 'saved'}`,
    )
  }
  const remove = (): void =>
    void carryOut(() => call('POST', '/v1/properties/remove', which), `${port}: ${definition.name} removed`)
  return (
    <form onSubmit={save} data-property={definition.name}>
      <fieldset disabled={readOnly}>
        <legend class="unseen">{definition.name}</legend>
        <div class="fields">{inputs(usual)}</div>
        {advanced.length > 0 && (
          <details>
            <summary>More settings</summary>
            <div class="fields">{inputs(advanced)}</div>
          </details>
        )}
        <p class="problem" role="alert">
          {refused}
        </p>
        <FormActions
          add="Add the property"
          exists={property !== null}
          disabled={wrong || (property !== null && !changed)}
          onRemove={remove}
        />
      </fieldset>
    </form>
  )
}
