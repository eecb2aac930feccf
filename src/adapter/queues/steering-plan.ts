// Which frames should come on which receive ring of an uplink, as plain data that the uplink is programmed with: a VM's frames on the ring
// of the processor that serves its queue, so that processors hand no frames to each other.
//
// The rule it must not break: a plan says where frames come, never who may have them: whoever takes a frame classifies it.
import { ANY_VLAN } from '../filter-table.ts'
import type { QueueFilter } from './queue-filters.ts'

/** Frames to `mac` in a VLAN, in none (untagged, or tagged with id 0), or in whatever VLAN no other rule names, on ring `queue`. */
export interface PlannedRule {
  readonly mac: string
  readonly vlan: number | 'untagged' | 'any'
  /** Receive ring of the uplink. */
  readonly queue: number
}

/** A filter whose frames come on any ring, and why. */
export interface UnplannedFilter {
  readonly filterId: number
  readonly queueId: number
  readonly reason: string
}

export interface SteeringPlan {
  readonly rules: readonly PlannedRule[]
  readonly inSoftware: readonly UnplannedFilter[]
}

export interface SteeringPlanComponents {
  /** Filters that are set on queues whose allocation is complete. */
  readonly filters: readonly QueueFilter[]
  readonly processorOf: (queueId: number) => number
  /** The ring that a processor polls, or undefined if it polls none of this uplink. */
  readonly ringOf: (processor: number) => number | undefined
  /** Rules that the uplink takes. */
  readonly rulesMax: number
}

/** Makes the plan: lower queues first, so that they are steered where there is not room for all. */
export function steeringPlan({ filters, processorOf, ringOf, rulesMax }: SteeringPlanComponents): SteeringPlan {
  const rules: PlannedRule[] = []
  const inSoftware: UnplannedFilter[] = []
  const ordered = [...filters].sort((a, b) => a.queue - b.queue || a.id - b.id)
  const outer = ordered.filter(({ key }) => !key.inner)
  for (const filter of ordered) {
    const { key, id, queue } = filter
    const leave = (reason: string): void => {
      inSoftware.push({ filterId: id, queueId: queue, reason })
    }
    const ring = ringOf(processorOf(decider(filter, outer).queue))
    if (key.inner) leave('tests the address inside an encapsulation')
    else if (ring === undefined) leave('its processor polls no ring of this uplink')
    else if (rules.length >= rulesMax) leave(`the uplink takes ${rulesMax} rules`)
    else rules.push({ mac: key.mac, vlan: vlanOf(key.vlan), queue: ring })
  }
  return { rules, inSoftware }
}

const vlanOf = (vlan: number): PlannedRule['vlan'] => (vlan === ANY_VLAN ? 'any' : vlan === 0 ? 'untagged' : vlan)

// Of a filter with VLAN test and one without for the same address the lower queue decides (VQ-090); a rule with VLAN is the stronger
// one in an uplink, so it names the ring of the one that decides.
function decider(filter: QueueFilter, all: readonly QueueFilter[]): QueueFilter {
  const any = all.find(({ key }) => key.mac === filter.key.mac && key.vlan === ANY_VLAN && filter.key.vlan !== ANY_VLAN)
  return any && any.queue !== 0 && any.queue < filter.queue ? any : filter
}
