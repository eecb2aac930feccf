// What an adapter in VMQ mode tells of its queues, in the words of the contract.
import { ANY_VLAN } from '../../adapter/filter-table.ts'
import { OperationalState } from '../../adapter/queues/queue-words.ts'
import { vportDrops } from '../../adapter/statistics.ts'
import { DROP_REASONS_MAX } from '../../ndis/drop-reasons.ts'
import { PortCounter } from '../../switch/counters.ts'
import type { PortWithoutQueue, QueueStatus } from '../queue-config.ts'
import type { QueueAdapter } from './queue-adapter.ts'
import type { QueuedPort } from './queued-port.ts'

const stateNames: Readonly<Record<number, QueueStatus['state']>> = {
  [OperationalState.undefined]: 'undefined',
  [OperationalState.running]: 'running',
  [OperationalState.paused]: 'paused',
  [OperationalState.dmaStopped]: 'dma-stopped',
}

const vlanText = (vlan: number): number | 'untagged' | null => (vlan === ANY_VLAN ? null : vlan === 0 ? 'untagged' : vlan)

/** Frames that came for a queue, on all processors. */
export const framesOf = ({ counters }: QueueAdapter, queue: number): number =>
  counters.reduce((total, block) => total + block.readPort(queue, PortCounter.receivedFrames), 0)

function commonOf(adapter: QueueAdapter, queue: number, reasonName: (reason: number) => string) {
  const { counters, tables } = adapter
  const sum = (counter: number): number => counters.reduce((total, block) => total + block.readPort(queue, counter), 0)
  const drops = [...vportDrops(counters, queue, DROP_REASONS_MAX)]
  return {
    adapter: adapter.name,
    queue,
    state: stateNames[tables.queues.state(queue)] ?? 'undefined',
    processor: tables.queues.processor(queue),
    counters: {
      receivedFrames: sum(PortCounter.receivedFrames),
      receivedBytes: sum(PortCounter.receivedBytes),
      handedOver: sum(PortCounter.sentFrames),
      dropped: drops.reduce((total, [, count]) => total + count, 0),
    },
    drops: Object.fromEntries(drops.map(([reason, count]) => [reasonName(reason), count])),
  } as const
}

/** A VM's queue; undefined of a port that has none. */
export function queueStatusOf(
  adapter: QueueAdapter,
  { name, vm, weight, given, pinned }: QueuedPort,
  reasonName: (reason: number) => string,
): QueueStatus | undefined {
  if (given === null) return undefined
  const { wish, filterId, queueId } = given
  const { steering, reason } = adapter.steeringOf(given)
  return {
    ...commonOf(adapter, queueId, reasonName),
    port: name,
    vm,
    weight,
    pinned,
    filter: { id: filterId, mac: wish.mac, vlan: vlanText(wish.vlan) },
    steering,
    steeringReason: reason,
    serves: [],
  }
}

/** The default queue, with the ports that share it. */
export const defaultQueueStatus = (
  adapter: QueueAdapter,
  serves: readonly PortWithoutQueue[],
  reasonName: (reason: number) => string,
): QueueStatus => ({
  ...commonOf(adapter, 0, reasonName),
  port: null,
  vm: null,
  weight: null,
  pinned: true,
  filter: null,
  ...defaultSteering(adapter),
  serves,
})

// What no filter names comes on the ring of the first processor, where the kernel chooses rings at all.
function defaultSteering(adapter: QueueAdapter): Pick<QueueStatus, 'steering' | 'steeringReason'> {
  const { steering, reason } = adapter.fallback
  return { steering, steeringReason: reason }
}
