// Queue calls without a switch: the default queue, and one that port alpha has. For tests of what stands on SwitchHost.
import { ControlError } from '../control/control-errors.ts'
import type { QueueCalls, QueueStatus, RssStatus } from './queue-calls.ts'

const common = {
  adapter: 'nic1',
  state: 'running',
  steering: 'kernel',
  steeringReason: null,
  drops: {},
} as const

const queues: readonly QueueStatus[] = [
  {
    ...common,
    queue: 0,
    port: null,
    vm: null,
    weight: null,
    processor: 0,
    pinned: true,
    filter: null,
    counters: { receivedFrames: 12, receivedBytes: 768, handedOver: 0, dropped: 0 },
    serves: [{ port: 'beta', reason: 'no queue: NDIS_STATUS_RESOURCES' }],
  },
  {
    ...common,
    queue: 1,
    port: 'alpha',
    vm: 'alpha',
    weight: 100,
    processor: 1,
    pinned: false,
    filter: { id: 1, mac: '52:54:00:77:00:01', vlan: 10 },
    counters: { receivedFrames: 1_234_567, receivedBytes: 98_765_432, handedOver: 5, dropped: 3 },
    drops: { 'receive-ring-full': 3 },
    serves: [],
  },
]

const guest: RssStatus = {
  port: 'alpha',
  vmmqEnabled: true,
  vmmqQueuePairs: null,
  receiving: 2,
  queuePairs: [
    { queuePair: 0, processor: 0, entries: 64, frames: 1_000_000 },
    { queuePair: 1, processor: 1, entries: 64, frames: 234_567 },
  ],
  indirectionTable: Array.from({ length: 128 }, (_, entry) => entry % 2),
  entryFrames: Array.from({ length: 128 }, (_, entry) => 1000 * entry),
  framesWithoutHash: 12,
  moves: { done: 3, forced: 0, waiting: 1 },
}

/** `note` is told of every call that changes something. */
export const fakeQueues = (note: (call: string, argument?: unknown) => void): QueueCalls => ({
  queues: () => queues,
  rss: () => [guest],
  setVmmq: (change) => {
    note('setVmmq', change)
    if (change.port !== guest.port)
      throw new ControlError('no-queue-pairs', `the guest behind port "${change.port}" receives on one`)
    const { vmmqEnabled = guest.vmmqEnabled, vmmqQueuePairs = guest.vmmqQueuePairs } = change
    return { ...guest, vmmqEnabled, vmmqQueuePairs }
  },
  moveRss: (move) => {
    note('moveRss', move)
    const table = guest.indirectionTable.map((pair, entry) => (move.entries.includes(entry) ? move.to : pair))
    return { ...guest, indirectionTable: table }
  },
  setQueue: (change) => {
    note('setQueue', change)
    const found = queues.find(({ port }) => port === change.port)
    if (!found) throw new ControlError('no-queue', `port "${change.port}" has no queue of its own: its vmqWeight is 0`)
    return { ...found, processor: change.processor ?? found.processor, pinned: change.processor !== null }
  },
})
