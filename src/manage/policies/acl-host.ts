// The part of SwitchHost that is about the ACLs of ports: the properties `acl` and `extended-acl`, entry by entry, with what they counted.
//
// The rule it must not break: of changes that come at the same moment none is lost.
import type { RunningSwitch } from '../../engine/host.ts'
import type { ImposedPolicy } from '../../switch/policies/imposed.ts'
import type { ResolvedPort } from '../config/types.ts'
import { ControlError } from '../control/control-errors.ts'
import type { PortStatus, SwitchHost } from '../host.ts'
import type { AclCalls, AclList, AclStatus } from './acl-calls.ts'

type Entry = Readonly<Record<string, unknown>>

const kinds = [
  { extended: false, type: 'acl', list: 'entries' },
  { extended: true, type: 'extended-acl', list: 'rules' },
] as const

const isSame = (one: Entry, other: Entry): boolean =>
  Object.keys({ ...one, ...other }).every((key) => JSON.stringify(one[key]) === JSON.stringify(other[key]))

/** An entry as it is written, and the policy of the network that imposes it; undefined: it is the port's own. */
interface Written {
  readonly entry: Entry
  readonly network: string | undefined
}

/** What a property's value holds under the name of its list. */
function entriesOf(value: unknown, list: string): readonly Entry[] {
  const written = (value as Readonly<Record<string, unknown>> | undefined)?.[list] ?? []
  return (Array.isArray(written) ? written : [written]) as readonly Entry[]
}

// In the order in which they are in force, behind those of the port.
const imposedRules = (imposed: readonly ImposedPolicy[]): Written[] =>
  imposed.flatMap(({ name: network, properties }) =>
    properties
      .filter(({ type }) => type === 'extended-acl')
      .flatMap(({ value }) => entriesOf(value, 'rules'))
      .map((entry) => ({ entry, network })),
  )

export interface AclHostComponents {
  readonly running: RunningSwitch
  /** The status of a port; throws `no-such-port`. */
  readonly port: (name: string) => PortStatus
  /** The ports as configured. */
  readonly settings: ReadonlyMap<string, ResolvedPort>
  /** How properties are changed. */
  readonly properties: Pick<SwitchHost, 'addProperty' | 'setProperty' | 'removeProperty'>
}

export function aclHost({ running, port, settings, properties }: AclHostComponents): AclCalls {
  const { policies } = running
  const ofPort = ({ name, id }: PortStatus): AclStatus[] => {
    const counted = policies.acls.counts(id)
    const vm = settings.get(name)?.vm ?? name
    return kinds.flatMap(({ extended, type, list }) => {
      const own = entriesOf(policies.list(id).find((property) => property.type === type)?.value, list)
      const ofPort = own.map((entry): Written => ({ entry, network: undefined }))
      return [...ofPort, ...(extended ? imposedRules(policies.imposedOn(id)) : [])].flatMap(({ entry, network }, index) => {
        const count = extended ? counted.rules[index] : counted.entries[index]
        if (count === undefined) return [] // it is not in force yet
        const title = 'text' in count ? count.text : count.name
        const { packets, bytes } = count
        return {
          port: name,
          vm,
          extended,
          index,
          name: title,
          entry,
          packets,
          bytes,
          ...(network === undefined ? {} : { network }),
        }
      })
    })
  }
  // What is written in a list, and the property that holds it.
  const written = ({ port: name, extended = false }: AclList) => {
    const { type, list } = kinds[extended ? 1 : 0]
    const property = policies.list(port(name).id).find((one) => one.type === type)
    return { type, list, property, entries: entriesOf(property?.value, list) }
  }
  const shown = ({ port: name, extended = false }: AclList): readonly AclStatus[] =>
    ofPort(port(name)).filter((one) => one.extended === extended)
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = (work: () => Promise<readonly AclStatus[]>): Promise<readonly AclStatus[]> => {
    const done = last.then(work)
    last = done.catch(() => undefined)
    return done
  }
  return {
    addAcl: ({ entry, ...where }) =>
      inTurn(async () => {
        const { type, list, property, entries } = written(where)
        const change = { port: where.port, type, value: { [list]: [...entries, entry] } }
        await (property === undefined ? properties.addProperty(change) : properties.setProperty(change))
        return shown(where)
      }),
    removeAcl: ({ which, entry, ...where }) =>
      inTurn(async () => {
        const found = shown(where).find((one) =>
          entry === undefined ? one.name === which || String(one.index) === which : isSame(one.entry, entry),
        )
        if (found === undefined)
          throw new ControlError(
            'no-such-acl',
            `port "${where.port}" has no ${where.extended === true ? 'extended rule' : 'entry'} ${which ?? JSON.stringify(entry)}`,
          )
        if (found.network !== undefined)
          throw new ControlError(
            'no-such-acl',
            `${found.name} is not port "${where.port}"'s own: the network's policy "${found.network}" imposes it. Change that: vmswitch network policy`,
          )
        const { type, list, entries } = written(where)
        const left = entries.filter((_, index) => index !== found.index)
        await (left.length === 0
          ? properties.removeProperty({ port: where.port, type })
          : properties.setProperty({ port: where.port, type, value: { [list]: left } }))
        return shown(where)
      }),
    acls: ({ port: name }) =>
      name === undefined ? running.ports().flatMap((one) => ofPort(port(one.name))) : ofPort(port(name)),
  }
}
