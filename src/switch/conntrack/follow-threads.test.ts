import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { FollowWork } from '../../../test/support/follow-worker.ts'
import { datagram, packet, TrackingHarness, tcp } from '../../../test/support/tracked-frames.ts'
import { CLASSIFY_BYTES, CLASSIFY_MAX } from '../../kernels/classify-layout.ts'
import { POOL_TOTAL_BYTES } from '../../ndis/pool.ts'
import { portTableBytes } from '../port-table.ts'
import { connectionTableBytes } from './connection-layout.ts'
import { listConnections } from './connection-records.ts'
import { ConnectionTable } from './connection-table.ts'

const worker = new URL('../../../test/support/follow-worker.ts', import.meta.url)
const PAGE = 65_536
const CONNECTIONS = 1024
const PORTS = 16
const FLOWS = 5
const THREADS = 3
const ROUNDS = 30_000

test('threads that follow the same connections both ways, while others come, go and are swept, lose no packet and no count', async () => {
  let end = PAGE
  const place = (bytes: number): number => {
    const at = end
    end = Math.ceil((end + bytes) / PAGE) * PAGE
    return at
  }
  const table = place(connectionTableBytes(CONNECTIONS, PORTS))
  const started = place(4)
  const own = Array.from({ length: THREADS }, () => ({
    pool: place(POOL_TOTAL_BYTES),
    portTable: place(portTableBytes(PORTS)),
    block: place(CLASSIFY_BYTES),
  }))
  const memory = new WebAssembly.Memory({ initial: end / PAGE, maximum: end / PAGE, shared: true })
  const harness = new TrackingHarness(16)
  harness.table = new ConnectionTable(memory.buffer, table, { connections: CONNECTIONS, ports: PORTS })
  const { store } = harness.table
  for (let flow = 0; flow < FLOWS; flow++) {
    harness.open(packet(4, true, 17, datagram(flow, 53)), false)
    harness.find(packet(4, false, 17, datagram(53, flow)), true)
  }
  harness.open(packet(4, true, 6, tcp({ flags: 'S', seq: 1000 })), false)
  harness.find(packet(4, false, 6, tcp({ flags: 'SA', seq: 5000, ack: 1001, ports: [80, 1000] })), true)
  harness.find(packet(4, true, 6, tcp({ flags: 'A', seq: 1001, ack: 5001 })), false)
  const packets = (): number =>
    listConnections(store, 1, harness.nowMs, 0, 1000).connections.reduce(
      (sum, { sentPackets, receivedPackets }) => sum + sentPackets + receivedPackets,
      0,
    )
  const before = packets()
  let running = THREADS
  const answers = own.map((addresses, i) =>
    new Promise<{ together: number; passed: number }>((resolve, reject) => {
      const work: FollowWork = {
        memory,
        table,
        started,
        threads: THREADS,
        connections: CONNECTIONS,
        ports: PORTS,
        ...addresses,
        incoming: i === 1, // the others count the same
        flows: FLOWS,
        rounds: ROUNDS,
        nowMs: harness.nowMs,
      }
      new Worker(worker, { workerData: work }).on('message', resolve).on('error', reject)
    }).finally(() => running--),
  )
  const all = Promise.all(answers)
  // Another port's connections push each other out meanwhile, and those that were idle are removed.
  for (let n = 0; running > 0; n++) {
    for (let k = 0; k < 50; k++) harness.open(packet(4, true, 17, datagram((n * 50 + k) % 5000, 99)), false, 255, 2)
    store.sweep(0, CONNECTIONS, harness.nowMs)
    await new Promise(setImmediate)
  }
  const told = await all
  assert.equal(
    told.reduce((sum, { passed }) => sum + passed, 0),
    THREADS * ROUNDS * CLASSIFY_MAX,
    'every packet passed',
  )
  for (const { together } of told)
    assert.ok(together > (ROUNDS * CLASSIFY_MAX) / 2, `${together} packets were followed by the kernel`)
  assert.equal(packets() - before, THREADS * ROUNDS * CLASSIFY_MAX, 'no packet was counted twice or not at all')
})
