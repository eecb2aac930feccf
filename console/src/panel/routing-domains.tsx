// The routing domains of a port: the customers' networks that its guest is a router of.
import { useId, useState } from 'preact/hooks'
import type { PropertyStatus } from '../../../src/manage/host.ts'
import { call } from '../state/api.ts'
import { useStore } from '../state/store.ts'
import { FormActions } from './form-actions.tsx'
import { Input } from './input.tsx'
import type { Typed } from './policy-forms.ts'
import { domainFields, domainProblems, domainValue, typedDomain } from './property-values.ts'
import { useChange } from './use-change.ts'

const TYPE = 'routing-domain'

interface RoutingDomainsProps {
  readonly port: string
  readonly domains: readonly PropertyStatus[]
  readonly onSaved: () => void
}

export function RoutingDomains({ port, domains, onSaved }: RoutingDomainsProps) {
  return (
    <section class="policy" aria-label="Routing domains">
      <h3>Routing domains {domains.length === 0 && <span class="badge">none</span>}</h3>
      <p class="hint">Customers’ networks of which this guest has several. The guest is told of a change.</p>
      {domains.map((domain) => {
        const { routingDomainName, routingDomainId } = typedDomain(domain.value, '')
        return (
          <details key={`${domain.instance} ${JSON.stringify(domain.value)}`} class="other">
            <summary>{routingDomainName === '' ? routingDomainId : routingDomainName}</summary>
            <DomainForm port={port} domain={domain} onSaved={onSaved} />
          </details>
        )
      })}
      <details key={domains.length}>
        <summary>Add a routing domain</summary>
        <DomainForm port={port} domain={null} onSaved={onSaved} />
      </details>
    </section>
  )
}

interface DomainFormProps {
  readonly port: string
  /** null: it is to be made. */
  readonly domain: PropertyStatus | null
  readonly onSaved: () => void
}

function DomainForm({ port, domain, onSaved }: DomainFormProps) {
  const readOnly = useStore((state) => state.readOnly)
  const [typed, setTyped] = useState<Typed>(() => typedDomain(domain?.value, ''))
  const [changed, setChanged] = useState(false)
  const { refused, forget, carryOut } = useChange(onSaved)
  const id = useId()
  const problems = domainProblems(typed)
  const which = domain === null ? {} : { instance: domain.instance }
  const save = (event: Event): void => {
    event.preventDefault()
    const property = { port, type: TYPE, ...which, value: domainValue(typed) }
    void carryOut(() => call(domain === null ? 'POST' : 'PUT', '/v1/properties', property), `${port}: routing domain saved`)
  }
  const remove = (): void =>
    void carryOut(() => call('POST', '/v1/properties/remove', { port, type: TYPE, ...which }), `${port}: routing domain removed`)
  return (
    <form onSubmit={save}>
      <fieldset disabled={readOnly}>
        <legend class="unseen">Routing domain</legend>
        {domainFields.map((field) => (
          <Input
            key={field.key}
            id={`${id}-${field.key}`}
            field={field}
            text={typed[field.key] ?? ''}
            problem={changed ? problems[field.key] : undefined}
            onType={(text) => {
              setTyped({ ...typed, [field.key]: text })
              setChanged(true)
              forget()
            }}
          />
        ))}
        {refused !== '' && (
          <p class="problem" role="alert">
            {refused}
          </p>
        )}
        <FormActions
          add="Add the routing domain"
          exists={domain !== null}
          disabled={!changed || Object.keys(problems).length > 0}
          onRemove={remove}
        />
      </fieldset>
    </form>
  )
}
