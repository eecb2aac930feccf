// A port of the switch that may have a receive queue, as the adapters in VMQ mode keep it.
import type { VmQueue } from '../../adapter/queues/vm-queues.ts'

export interface QueuedPort {
  readonly id: number
  readonly name: string
  /** Name of the VM. */
  readonly vm: string
  readonly mac: string
  /** 0: no queue; 1…100: a queue where the adapter has one left, the highest weights first. */
  readonly weight: number
  /** VLAN of its filter, see VmPolicies. */
  vlan: number
  given: VmQueue | null
  /** Why it has none; null: it has one, or nobody has tried yet. */
  reason: string | null
  /** An operator chose the processor. */
  pinned: boolean
  /** Looks at the load for which the queue stays where it is. */
  resting: number
  /** Frames of its queue at the last look. */
  framesBefore: number
}
