// One processor of queue-memory.test.ts as a thread: processor 0 takes numbered frames from the wire, the others serve the queue and note
// what they got in the order in which they got it.
import { workerData } from 'node:worker_threads'
import { QueuePath } from '../../src/adapter/queues/queue-path.ts'
import { viewQueueTables } from '../../src/adapter/queues/queue-tables.ts'
import { HEADER_START, HEADER_STRIDE } from '../../src/kernels/layout.ts'
import { createTwin, linearWindows } from '../../src/kernels/twin.ts'
import { PacketPool } from '../../src/ndis/pool.ts'
import { Counters } from '../../src/switch/counters.ts'
import { MAC, wireFrame } from './adapter-harness.ts'

const BURST = 16
const { buffer, tablesAt, sizes, pools, counters, lists, processor, frames, results, queue, mac } = workerData
const state = new Int32Array(results, 0, 16)
const order = new Int32Array(results, 64)
const kernels = createTwin({
  linear: buffer,
  windows: linearWindows(buffer),
  copyForeign() {
    throw new Error('there is no memory outside linear memory')
  },
})
const pool = new PacketPool(buffer, pools[processor], kernels)
const tables = viewQueueTables(buffer, tablesAt, sizes)
const header = new DataView(buffer, pool.header8.byteOffset, pool.header8.length)
const path = new QueuePath({
  buffer,
  pool,
  kernels,
  tables,
  counters: new Counters(buffer, counters[processor], sizes.queues),
  list: lists[processor],
  sourcePort: 1,
  processor,
  indicate(slots, _list, count) {
    for (let i = 0; i < count; i++) {
      // Only the one reader writes here: an overtaking frame would stand at the wrong place.
      order[Atomics.add(state, 1, 1)] = header.getUint32(slots[i]! * HEADER_STRIDE + HEADER_START + 14)
    }
    Atomics.add(state, 0, count)
  },
  wake() {},
  nowUs: () => 0,
})

if (processor === 0) {
  const frame = wireFrame(mac, MAC.peer, '')
  let next = 0
  while (next < frames) {
    // As much as fits: the wire waits for the queue, so that nothing is dropped.
    if (tables.queues.tail(queue) - tables.queues.head(queue) > tables.queues.bytes(queue) / 2) continue
    path.turn({
      receive(first) {
        for (let i = 0; i < BURST; i++) {
          const slot = first + i
          pool.header8.set(frame, slot * HEADER_STRIDE + HEADER_START)
          header.setUint32(slot * HEADER_STRIDE + HEADER_START + 14, next + i)
          pool.length[slot] = frame.length
          pool.headerOffset[slot] = HEADER_START
          pool.headerLength[slot] = frame.length
          pool.segments[slot] = 0
          pool.flags[slot] = 0
        }
        kernels.parse(pool.base, first, BURST)
        return BURST
      },
      complete() {
        next += BURST
      },
    })
  }
} else while (Atomics.load(state, 0) < frames) path.serve()
