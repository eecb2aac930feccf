// How the frames of a host interface are carried: AF_PACKET and AF_XDP implement this, and the control half of an uplink needs no more.
//
// The rule it must not break: a carrier that is closed has given everything back, also if it failed to open half way.
import type { LinkFacts } from '../../linux/netlink.ts'
import type { QueuePlan } from '../endpoint.ts'

/** What a carrier opens on. */
export interface CarrierOptions {
  /** Id of the switch port. */
  readonly port: number
  /** Queue pairs wanted. */
  readonly queues: number
  readonly promiscuous: boolean
  readonly qdiscBypass: boolean
}

export interface Carrier {
  readonly via: 'packet' | 'xdp'
  /** Opens it on an interface that is up. Returns a plan per queue pair. Throws with what is wrong and what to do. */
  open(link: LinkFacts): readonly QueuePlan[]
  /** Gives everything back; no processor uses the plans any more. */
  close(): void
  /** Facts for `status`. */
  describe(): Record<string, unknown>
}
