// The policies of a port: forms for the usual ones, JSON for the others. What is saved takes effect on the next frame.
import './policy-pane.css'
import { useCallback, useEffect, useId, useState } from 'preact/hooks'
import type { PropertyStatus } from '../../../src/manage/host.ts'
import { call, textOf } from '../state/api.ts'
import { tell, useStore } from '../state/store.ts'
import { AclSection } from './acl-section.tsx'
import { CustomProperties } from './custom-properties.tsx'
import { FormActions } from './form-actions.tsx'
import { Input } from './input.tsx'
import { forms, type PolicyForm, policyValue, problemsOf, shownFields, type Typed, typedOf } from './policy-forms.ts'
import { RoutingDomains } from './routing-domains.tsx'
import { useChange } from './use-change.ts'

type Value = Readonly<Record<string, unknown>>

export function PolicyPane({ port }: { readonly port: string }) {
  const [properties, setProperties] = useState<readonly PropertyStatus[] | null>(null)
  const changes = useStore(
    ({ events }) => events.find(({ kind, source }) => kind === 'policy' && source === `port ${port}`)?.number,
  )
  const look = useCallback(() => {
    call<PropertyStatus[]>('GET', `/v1/properties?port=${encodeURIComponent(port)}`).then(setProperties, (error: unknown) =>
      tell('bad', textOf(error)),
    )
  }, [port])
  useEffect(look, [port, changes])
  if (properties === null) return <p class="empty">Reading policies …</p>
  const shown = (type: string): boolean =>
    type.endsWith('acl') || type === 'routing-domain' || type === 'custom' || forms.some((form) => form.type === type)
  const others = properties.filter(({ type }) => !shown(type))
  return (
    <div class="policies">
      {forms.map((form) => {
        const has = properties.find(({ type }) => type === form.type)
        return <Policy key={`${form.type} ${JSON.stringify(has?.value)}`} port={port} form={form} has={has} onSaved={look} />
      })}
      <RoutingDomains port={port} domains={properties.filter(({ type }) => type === 'routing-domain')} onSaved={look} />
      <AclSection port={port} />
      <CustomProperties port={port} properties={properties.filter(({ type }) => type === 'custom')} onSaved={look} />
      {others.length > 0 && <h3>Other properties</h3>}
      {others.map((property) => (
        <details key={property.instance} class="other">
          <summary>
            {property.name === '' ? property.type : property.name} <small>{property.id ?? property.type}</small>
          </summary>
          <pre>{JSON.stringify(property.value, null, 2)}</pre>
        </details>
      ))}
    </div>
  )
}

interface PolicyProps {
  readonly port: string
  readonly form: PolicyForm
  readonly has: PropertyStatus | undefined
  readonly onSaved: () => void
}

function Policy({ port, form, has, onSaved }: PolicyProps) {
  const readOnly = useStore((state) => state.readOnly)
  const [typed, setTyped] = useState<Typed>(() => typedOf(form, has?.value as Value | undefined))
  const [changed, setChanged] = useState(false)
  const { refused, forget, carryOut } = useChange(onSaved)
  const id = useId()
  const problems = problemsOf(form, typed)
  const wrong = Object.keys(problems).length > 0
  const type = (key: string, text: string): void => {
    setTyped({ ...typed, [key]: text })
    setChanged(true)
    forget()
  }
  const save = (event: Event): void => {
    event.preventDefault()
    if (wrong) return
    const property = { port, type: form.type, value: policyValue(form, typed, has?.value as Value | undefined) }
    void carryOut(() => call(has === undefined ? 'POST' : 'PUT', '/v1/properties', property), `${port}: ${form.title} saved`)
  }
  const remove = (): void =>
    void carryOut(() => call('POST', '/v1/properties/remove', { port, type: form.type }), `${port}: ${form.title} removed`)
  return (
    <form class="policy" onSubmit={save} data-policy={form.type} aria-labelledby={`${id}-title`}>
      <h3 id={`${id}-title`}>
        {form.title} {has === undefined && <span class="badge">not set</span>}
      </h3>
      <p class="hint">{form.about}</p>
      <fieldset disabled={readOnly}>
        <legend class="unseen">{form.title}</legend>
        {shownFields(form, typed).map((field) => (
          <Input
            key={`${field.key} ${field.label}`}
            id={`${id}-${field.key}`}
            field={field}
            text={typed[field.key] ?? ''}
            problem={changed ? problems[field.key] : undefined}
            onType={(text) => type(field.key, text)}
          />
        ))}
        {refused !== '' && (
          <p class="problem" role="alert">
            {refused}
          </p>
        )}
        <FormActions add="Save" exists={has !== undefined} disabled={!changed || wrong} onRemove={remove} />
      </fieldset>
    </form>
  )
}
