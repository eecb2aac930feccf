// The ACLs of all ports on the control thread: compiles what changes, hands it to the processors, and adds up what they count.
//
// The rule it must not break: traffic never waits for a change: processors go on with the plan that they have until another one is ready;
// what was counted of an entry stays when others come and go.
import type { AclEntry, ExtendedAclRule } from '../ndis/standard-properties.ts'
import { type AclPlan, COUNTERS_OF_ROW, type PortAclRules, withPrograms } from '../switch/acl/acl-plan.ts'
import { toSend } from '../switch/acl/program.ts'
import { memoryToSend } from '../switch/conntrack/connection-table.ts'
import { type AclBytes, AclMemory, type AclMemoryComponents, bytesOf } from './acl-memory.ts'
import type { Request } from './messages.ts'
import type { SwitchConnections } from './switch-connections.ts'

export interface SwitchAclsComponents {
  readonly processors: {
    readonly clients: readonly unknown[]
    all(request: (processor: number) => Request): Promise<void>
  }
  readonly connections: SwitchConnections
  readonly memory: AclMemoryComponents
}

/** Packets and bytes. */
export interface AclCount {
  readonly packets: number
  readonly bytes: number
}

/** An entry of a port's ACL, or a rule of its extended one, with what it counted since it is there. */
export type CountedEntry = AclEntry & AclCount
export type CountedRule = ExtendedAclRule & AclCount

export interface CountedAcls {
  readonly entries: readonly CountedEntry[]
  readonly rules: readonly CountedRule[]
}

interface Applied {
  readonly rules: PortAclRules
  readonly plan: AclPlan | undefined
  readonly bytes: AclBytes
  /** What each row had counted when this plan began. */
  readonly base: readonly AclCount[]
}

const NOTHING: AclCount = { packets: 0, bytes: 0 }
const NO_BYTES: AclBytes = { linear: 0, own: 0 }

// Rows that count for the same go on counting when a plan follows another. Names of rules that were made up change with their place.
const entryKey = ({ action, direction, side, kind, text }: AclEntry): string => [action, direction, side, kind, text].join(' ')
const ruleKey = (rule: ExtendedAclRule): string => JSON.stringify(/^rule \d+$/.test(rule.name) ? { ...rule, name: '' } : rule)
const keysOf = ({ acl, extendedAcl }: PortAclRules): string[] => [
  ...(acl?.entries ?? []).map(entryKey),
  ...(extendedAcl?.rules ?? []).map(ruleKey),
]

export class SwitchAcls {
  readonly #components: SwitchAclsComponents
  readonly #applied = new Map<number, Applied>()
  readonly #memory: AclMemory
  // Plans that processors may have, by port, oldest first.
  readonly #told = new Map<number, AclPlan[]>()

  constructor(components: SwitchAclsComponents) {
    this.#components = components
    this.#memory = new AclMemory(components.memory)
  }

  /** Puts the ACLs of a port into force. Settles when all processors have them. */
  async apply(port: number, { acl, extendedAcl }: PortAclRules): Promise<void> {
    const rules: PortAclRules = { acl, extendedAcl }
    const before = this.#applied.get(port)
    if (before?.rules.acl === acl && before?.rules.extendedAcl === extendedAcl) return
    const { processors, connections } = this.#components
    const plan = this.#memory.compile(port, rules, processors.clients.length, () => connections.memoryFor(port))
    if (plan === undefined) this.#applied.delete(port)
    await this.#tell(port, plan)
    if (plan === undefined) return
    const counted = new Map<string, AclCount>()
    if (before !== undefined) {
      const rows = this.#rows(before) // the last that was counted by it
      for (const [row, key] of keysOf(before.rules).entries()) counted.set(key, rows[row]!)
    }
    this.#applied.set(port, { rules, plan, bytes: bytesOf(plan), base: keysOf(rules).map((key) => counted.get(key) ?? NOTHING) })
  }

  /** A port is gone. */
  forget(port: number): void {
    if (!this.#applied.delete(port)) return
    this.#tell(port, undefined).catch(() => undefined) // the switch may be closing
  }

  /** What a port's ACLs counted. */
  counts(port: number): CountedAcls {
    const applied = this.#applied.get(port)
    if (applied === undefined) return { entries: [], rules: [] }
    const rows = this.#rows(applied)
    const { entries = [] } = applied.rules.acl ?? {}
    const { rules = [] } = applied.rules.extendedAcl ?? {}
    return {
      entries: entries.map((entry, row) => ({ ...entry, ...rows[row]! })),
      rules: rules.map((rule, i) => ({ ...rule, ...rows[entries.length + i]! })),
    }
  }

  /** Bytes of the programs of a port's ACLs, those included that other ports have too. */
  bytes(port: number): AclBytes {
    return this.#applied.get(port)?.bytes ?? NO_BYTES
  }

  /** Bytes of the ACLs of all ports, those included that are being replaced. */
  figures(): AclBytes {
    return this.#memory.figures()
  }

  // Each processor takes plans over in the order in which they are told: once all have one, none has an earlier one.
  async #tell(port: number, plan: AclPlan | undefined): Promise<void> {
    const told = this.#told.get(port) ?? []
    const before = [...told]
    if (plan !== undefined) told.push(plan)
    this.#told.set(port, told)
    const sent = plan && { ...withPrograms(plan, toSend), connections: plan.connections && memoryToSend(plan.connections) }
    await this.#components.processors.all(() => ({ kind: 'acls', port, plan: sent }))
    for (const old of before) {
      const at = told.indexOf(old)
      if (at < 0) continue // a later one was quicker
      told.splice(at, 1)
      this.#memory.release(old)
    }
    if (told.length === 0 && this.#told.get(port) === told) this.#told.delete(port)
  }

  #rows({ plan, base }: Applied): AclCount[] {
    if (plan === undefined) return []
    const counters = new Float64Array(plan.counters)
    return base.map(({ packets, bytes }, row) => {
      for (let at = row * COUNTERS_OF_ROW; at < counters.length; at += plan.rows * COUNTERS_OF_ROW) {
        packets += counters[at]!
        bytes += counters[at + 1]!
      }
      return { packets, bytes }
    })
  }
}
