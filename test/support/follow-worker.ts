// One of several threads that follow the same connections in bursts, by the kernel, in one linear memory: UDP both ways, and one TCP connection.
import { parentPort, workerData } from 'node:worker_threads'
import * as classifyLayout from '../../src/kernels/classify-layout.ts'
import { HEADER_START, HEADER_STRIDE } from '../../src/kernels/layout.ts'
import { instantiateKernels } from '../../src/kernels/load.ts'
import { createTwin, linearWindows } from '../../src/kernels/twin.ts'
import { PacketPool } from '../../src/ndis/pool.ts'
import { fillFlowKey } from '../../src/switch/acl/flow-key.ts'
import { LookUps } from '../../src/switch/acl/look-ups.ts'
import { ConnectionTable } from '../../src/switch/conntrack/connection-table.ts'
import { PortTable } from '../../src/switch/port-table.ts'
import { readKernels } from './kernels.ts'
import { datagram, packet, tcp } from './tracked-frames.ts'

export interface FollowWork {
  readonly memory: WebAssembly.Memory
  readonly table: number
  /** Linear address of a word that counts the threads that are ready: all begin at once. */
  readonly started: number
  readonly threads: number
  readonly connections: number
  readonly ports: number
  /** Linear addresses of this thread's own. */
  readonly pool: number
  readonly portTable: number
  readonly block: number
  readonly incoming: boolean
  readonly flows: number
  readonly rounds: number
  readonly nowMs: number
}

const work = workerData as FollowWork
const { buffer } = work.memory
const kernels = instantiateKernels(readKernels(), work.memory)
const any = createTwin({
  linear: buffer,
  windows: linearWindows(buffer),
  copyForeign() {
    throw new Error('this test has no memory outside linear memory')
  },
})
const pool = new PacketPool(buffer, work.pool, any)
const ports = new PortTable(buffer, work.portTable, work.ports)
const table = new ConnectionTable(buffer, work.table, work)
const lookUps = new LookUps({ kernels, buffer, block: work.block })
const { incoming } = work
const { CLASSIFY_MAX } = classifyLayout

for (let slot = 0; slot < CLASSIFY_MAX; slot++) {
  const flow = slot % work.flows
  const bytes =
    slot % 4 === 3
      ? packet(
          4,
          !incoming,
          6,
          tcp({
            flags: 'A',
            seq: incoming ? 5001 : 1001,
            ack: incoming ? 1001 : 5001,
            ports: incoming ? [80, 1000] : [1000, 80],
          }),
        )
      : packet(4, !incoming, 17, incoming ? datagram(53, flow) : datagram(flow, 53))
  pool.header8.set(bytes, slot * HEADER_STRIDE + HEADER_START)
  pool.headerOffset[slot] = HEADER_START
  pool.headerLength[slot] = bytes.length
  pool.length[slot] = bytes.length
}
any.parse(pool.base, 0, CLASSIFY_MAX)

const started = new Int32Array(buffer, work.started, 1)
Atomics.add(started, 0, 1)
while (Atomics.load(started, 0) < work.threads);

let together = 0
let passed = 0
for (let round = 0; round < work.rounds; round++) {
  table.begin(work.nowMs + (round & 7))
  for (let i = 0; i < CLASSIFY_MAX; i++) lookUps.chosen[i] = lookUps.slots[i] = i
  lookUps.fillKeys(pool.base, CLASSIFY_MAX, 1, 0, incoming)
  const left = lookUps.follow(pool.base, CLASSIFY_MAX, table, incoming)
  together += CLASSIFY_MAX - left
  passed += CLASSIFY_MAX - left
  for (let n = 0; n < left; n++) {
    const slot = lookUps.chosen[n]!
    const key = lookUps.keys[slot]!
    fillFlowKey(pool, ports, slot, 1, incoming, key)
    if (table.find(key, incoming, pool, slot) === 0) passed++
  }
}
parentPort!.postMessage({ together, passed })
