// How the frames of a host interface are carried: AF_PACKET and AF_XDP implement this, and the control half of an uplink needs no more.
//
// The rule it must not break: a carrier that is closed has given everything back, also if it failed to open half way.
import type { LinkFacts } from '../../linux/netlink.ts'
import { STEER_RULES_MAX, type SteeringTable } from '../../linux/steering-table.ts'
import type { QueuePlan } from '../endpoint.ts'
import type { RuleEntry } from './steering.ts'

/** What a carrier opens on. */
export interface CarrierOptions {
  /** Id of the switch port. */
  readonly port: number
  /** Queue pairs wanted. */
  readonly queues: number
  readonly promiscuous: boolean
  readonly qdiscBypass: boolean
}

/** Entries that the kernel does not hold, and why. */
export interface Unsteered {
  readonly entries: readonly RuleEntry[]
  readonly reason: string | null
}

export interface Carrier {
  readonly via: 'packet' | 'xdp'
  /** Opens it on an interface that is up. Returns a plan per queue pair. Throws with what is wrong and what to do. */
  open(link: LinkFacts): readonly QueuePlan[]
  /** Whether it carries frames of this MTU (bytes) as it was opened. */
  carries(mtu: number): boolean
  /** Has the kernel steer by `entries`, and the rest to `fallback`, in place of what it did before. Loses and duplicates no frame. */
  steer(entries: readonly RuleEntry[], fallback: readonly number[]): Unsteered
  /** Gives everything back; no processor uses the plans any more. */
  close(): void
  /** Facts for `status`. */
  describe(): Record<string, unknown>
}

/** Puts entries into the kernel's table. */
export function steerBy(table: SteeringTable, entries: readonly RuleEntry[], fallback: readonly number[]): Unsteered {
  const left = table.replace(entries)
  table.setFallback(fallback)
  return { entries: left, reason: left.length === 0 ? null : `the kernel's table holds ${STEER_RULES_MAX} rules` }
}
