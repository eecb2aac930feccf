// What is typed for properties of which a port has several: routing domains, and those that extensions define.
//
// The rule it must not break: what is refused here the switch would refuse too; what passes here it checks again.
import type { Field, Typed } from './policy-forms.ts'

const NAME_MAX = 127
const ISOLATION_ID_MAX = 0xffffffff
const ISOLATION_IDS_MAX = 4096
const GUID = /^\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?$/i

export const domainFields: readonly Field[] = [
  { key: 'routingDomainId', label: 'Id', kind: 'text', hint: 'a GUID' },
  { key: 'routingDomainName', label: 'Name', kind: 'text' },
  { key: 'isolationIds', label: 'Networks', kind: 'text', hint: 'such as 5001 web, 5002 database; the name may be left out' },
]

interface Network {
  readonly isolationId: number
  readonly name?: string
}

interface Domain {
  readonly routingDomainId: string
  readonly routingDomainName?: string
  readonly isolationIds?: Network | readonly Network[]
}

/** Fields of a routing domain as text; a domain that is to be made has the id `fresh`. */
export function typedDomain(value: unknown, fresh: string): Typed {
  const { routingDomainId = fresh, routingDomainName = '', isolationIds = [] } = (value ?? {}) as Partial<Domain>
  const networks = (Array.isArray(isolationIds) ? isolationIds : [isolationIds]) as readonly Network[]
  const text = networks.map(({ isolationId, name = '' }) => `${isolationId} ${name}`.trim()).join(', ')
  return { routingDomainId, routingDomainName, isolationIds: text }
}

const parts = (text: string | undefined): string[] =>
  (text ?? '')
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '')

/** What is wrong, by field; empty: nothing. */
export function domainProblems({ routingDomainId, routingDomainName, isolationIds }: Typed): Readonly<Record<string, string>> {
  const networks = parts(isolationIds)
  const wrong = networks.find((one) => {
    const [, id, name = ''] = /^(\d{1,10})(?:\s+(.*))?$/.exec(one) ?? []
    return id === undefined || Number(id) > ISOLATION_ID_MAX || name.length > NAME_MAX
  })
  return {
    ...(GUID.test((routingDomainId ?? '').trim())
      ? {}
      : { routingDomainId: 'a GUID is needed, such as 952c5004-4465-451c-8cb8-fa9ab382b773' }),
    ...((routingDomainName ?? '').trim().length > NAME_MAX ? { routingDomainName: `at most ${NAME_MAX} characters` } : {}),
    ...(wrong === undefined
      ? {}
      : { isolationIds: `“${wrong}” is no network: a number, and a name of at most ${NAME_MAX} characters` }),
    ...(networks.length > ISOLATION_IDS_MAX ? { isolationIds: `at most ${ISOLATION_IDS_MAX} networks` } : {}),
  }
}

/** The value for the API. */
export const domainValue = ({ routingDomainId, routingDomainName, isolationIds }: Typed): Domain => ({
  routingDomainId: (routingDomainId ?? '').trim(),
  routingDomainName: (routingDomainName ?? '').trim(),
  isolationIds: parts(isolationIds).map((one) => {
    const [, id, name] = /^(\d+)(?:\s+(.*))?$/.exec(one) ?? []
    return { isolationId: Number(id), ...(name === undefined ? {} : { name }) }
  }),
})

/** The value that was typed as JSON; a bare word is a text. Throws an Error that says what is wrong. */
export function jsonValue(text: string): unknown {
  const bare = text.trim()
  if (/^[\p{L}_][\p{L}\p{N}_.:/-]*$/u.test(bare) && !['true', 'false', 'null'].includes(bare)) return bare
  try {
    return JSON.parse(bare)
  } catch (error) {
    throw new Error(`this is no JSON: ${(error as Error).message}`)
  }
}
