// The rules of a port with what each counted: adding one and taking one away.
import './acl-section.css'
import { useCallback, useEffect, useId, useState } from 'preact/hooks'
import type { PropertyStatus } from '../../../src/manage/host.ts'
import type { AclStatus } from '../../../src/manage/policies/acl-calls.ts'
import { call, textOf } from '../state/api.ts'
import { tell, useStore } from '../state/store.ts'
import { exact } from '../units.ts'
import { Input } from './input.tsx'
import type { Field, Typed } from './policy-forms.ts'

const PERIOD_MS = 2000
const WEIGHT_MAX = 65_535

const fields: readonly Field[] = [
  { key: 'action', label: 'Action', kind: 'choice', choices: ['deny', 'allow'] },
  { key: 'direction', label: 'Direction', kind: 'choice', choices: ['inbound', 'outbound'], hint: 'inbound: to this guest' },
  { key: 'protocol', label: 'Protocol', kind: 'choice', choices: ['ANY', 'tcp', 'udp', 'icmp', 'icmpv6', 'sctp'] },
  { key: 'remoteIPAddress', label: 'Others’ address', kind: 'text', hint: 'or prefix; empty: any' },
  { key: 'remotePort', label: 'Others’ port', kind: 'text', hint: '80 or 8000-8099; empty: any' },
  { key: 'localPort', label: 'Port of this guest', kind: 'text', hint: 'empty: any' },
  { key: 'weight', label: 'Weight', kind: 'number', min: 0, max: WEIGHT_MAX, hint: 'the heaviest is tried first' },
]
const empty: Typed = { action: 'deny', direction: 'inbound', protocol: 'ANY', weight: '' }

type Lists = Readonly<Record<string, readonly unknown[]>>
/** The member of a property's value that holds its list. */
const listOf = (extended: boolean): string => (extended ? 'rules' : 'entries')

/** Changes the list of a port's ACL, or of its extended one. */
async function changeList(port: string, extended: boolean, change: (list: readonly unknown[]) => unknown[]): Promise<void> {
  const type = extended ? 'extended-acl' : 'acl'
  const properties = await call<PropertyStatus[]>('GET', `/v1/properties?port=${encodeURIComponent(port)}`)
  const has = properties.find((one) => one.type === type)
  const next = change((has?.value as Lists | undefined)?.[listOf(extended)] ?? [])
  if (has !== undefined && next.length === 0) await call('POST', '/v1/properties/remove', { port, type })
  else await call(has === undefined ? 'POST' : 'PUT', '/v1/properties', { port, type, value: { [listOf(extended)]: next } })
}

export function AclSection({ port }: { readonly port: string }) {
  const readOnly = useStore((state) => state.readOnly)
  const [entries, setEntries] = useState<readonly AclStatus[]>([])
  const look = useCallback(() => {
    call<AclStatus[]>('GET', `/v1/acls?port=${encodeURIComponent(port)}`).then(setEntries, () => setEntries([]))
  }, [port])
  useEffect(() => {
    look()
    const timer = setInterval(look, PERIOD_MS)
    return () => clearInterval(timer)
  }, [look])
  const remove = async ({ extended, index, name }: AclStatus): Promise<void> => {
    try {
      await changeList(port, extended, (list) => list.filter((_, i) => i !== index))
      tell('good', `${port}: ${name} is gone`)
      look()
    } catch (error) {
      tell('bad', textOf(error))
    }
  }
  return (
    <section class="policy acl" aria-label="ACL">
      <h3>ACL {entries.length === 0 && <span class="badge">no rules</span>}</h3>
      <p class="hint">Rules for this guest’s frames, with what they counted.</p>
      <ul>
        {entries.map((entry) => (
          <li key={`${entry.extended} ${entry.index} ${entry.name}`}>
            <span>
              <strong class={`action ${entry.entry.action}`}>{String(entry.entry.action)}</strong> {wordsOf(entry)}
            </span>
            <span class="figures">
              {exact(entry.packets)} <small>packets</small>
            </span>
            {entry.network === undefined ? (
              <button
                type="button"
                class="close"
                disabled={readOnly}
                aria-label={`Remove ${entry.name}`}
                onClick={() => void remove(entry)}
              >
                ✕
              </button>
            ) : (
              <span class="badge">network: {entry.network}</span>
            )}
          </li>
        ))}
      </ul>
      <NewRule port={port} readOnly={readOnly} taken={entries.map(({ name }) => name)} onAdded={look} />
    </section>
  )
}

/** What an entry is about, in words. */
function wordsOf({ name, entry }: AclStatus): string {
  const { action: _, weight, name: named, ...rest } = entry
  const words = Object.entries(rest).flatMap(([key, value]) => (value === 'ANY' || value === false ? [] : [`${key} ${value}`]))
  return [named ?? name, ...words, ...(Number(weight) > 0 ? [`weight ${weight}`] : [])].join(', ')
}

interface NewRuleProps {
  readonly port: string
  readonly readOnly: boolean
  readonly taken: readonly string[]
  readonly onAdded: () => void
}

function NewRule({ port, readOnly, taken, onAdded }: NewRuleProps) {
  const id = useId()
  const [typed, setTyped] = useState<Typed>(empty)
  const [refused, setRefused] = useState('')
  const add = async (event: Event): Promise<void> => {
    event.preventDefault()
    const rule = Object.fromEntries(
      Object.entries(typed)
        .filter(([, text]) => text.trim() !== '' && text !== 'ANY')
        .map(([key, text]) => [key, key === 'weight' ? Number(text) : text.trim()]),
    )
    // Rules without a name are named by their place, which another one may have taken.
    let number = taken.length + 1
    while (taken.includes(`rule ${number}`)) number++
    try {
      await changeList(port, true, (list) => [...list, { name: `rule ${number}`, ...rule }])
      tell('good', `${port}: rule ${number} was added`)
      setTyped(empty)
      setRefused('')
      onAdded()
    } catch (error) {
      setRefused(textOf(error))
    }
  }
  return (
    <details>
      <summary>Add a rule</summary>
      <form onSubmit={(event) => void add(event)}>
        <fieldset disabled={readOnly}>
          <legend class="unseen">New rule</legend>
          <div class="two">
            {fields.map((field) => (
              <Input
                key={field.key}
                id={`${id}-${field.key}`}
                field={field}
                text={typed[field.key] ?? ''}
                problem={undefined}
                onType={(text) => setTyped({ ...typed, [field.key]: text })}
              />
            ))}
          </div>
          {refused !== '' && (
            <p class="problem" role="alert">
              {refused}
            </p>
          )}
          <div class="form-actions">
            <button type="submit" class="primary">
              Add the rule
            </button>
          </div>
        </fieldset>
      </form>
    </details>
  )
}
