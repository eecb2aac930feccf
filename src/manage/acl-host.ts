// The part of SwitchHost that tells of the ACLs of ports: the properties `acl` and `extended-acl`, entry by entry, with what they counted.
import type { RunningSwitch } from '../engine/host.ts'
import type { AclCalls, AclStatus } from './acl-calls.ts'
import type { ResolvedPort } from './config/types.ts'
import type { PortStatus } from './host.ts'

type Entry = Readonly<Record<string, unknown>>

const kinds = [
  { extended: false, type: 'acl', list: 'entries' },
  { extended: true, type: 'extended-acl', list: 'rules' },
] as const

export interface AclHostComponents {
  readonly running: RunningSwitch
  /** The status of a port; throws `no-such-port`. */
  readonly port: (name: string) => PortStatus
  /** The ports as configured. */
  readonly settings: ReadonlyMap<string, ResolvedPort>
}

export function aclHost({ running, port, settings }: AclHostComponents): AclCalls {
  const { policies } = running
  const ofPort = ({ name, id }: PortStatus): AclStatus[] => {
    const counted = policies.acls.counts(id)
    return kinds.flatMap(({ extended, type, list }) => {
      const value = policies.list(id).find((property) => property.type === type)?.value as
        | Readonly<Record<string, unknown>>
        | undefined
      const written = value?.[list] ?? []
      const entries = (Array.isArray(written) ? written : [written]) as readonly Entry[]
      return entries.flatMap((entry, index) => {
        const count = extended ? counted.rules[index] : counted.entries[index]
        if (count === undefined) return [] // it is not in force yet
        const title = 'text' in count ? count.text : count.name
        return {
          port: name,
          vm: settings.get(name)?.vm ?? name,
          extended,
          index,
          name: title,
          entry,
          packets: count.packets,
          bytes: count.bytes,
        }
      })
    })
  }
  return {
    acls: ({ port: name }) =>
      name === undefined ? running.ports().flatMap((one) => ofPort(port(one.name))) : ofPort(port(name)),
  }
}
