import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { ConnectionsWork } from '../../../test/support/connections-worker.ts'
import { datagram, packet, TEST_PORTS, TrackingHarness } from '../../../test/support/tracked-frames.ts'
import { ConnectionCounter } from './connection-layout.ts'
import { listConnections, removeConnections } from './connection-records.ts'

const worker = new URL('../../../test/support/connections-worker.ts', import.meta.url)
const CONNECTIONS = 1024
const THREADS = 3
const ROUNDS = 20_000
const KEPT = 40

test('threads that open, answer, evict and sweep at once tear nothing: what is kept stays, every count adds up', async () => {
  const harness = new TrackingHarness(CONNECTIONS)
  const { store } = harness.table
  for (let flow = 0; flow < KEPT; flow++) {
    harness.open(packet(4, true, 17, datagram(flow, 53)), false)
    harness.find(packet(4, false, 17, datagram(53, flow)), true)
  }
  const answered = await Promise.all(
    Array.from({ length: THREADS }, (_, i) => {
      const work: ConnectionsWork = {
        memory: harness.memory,
        connections: CONNECTIONS,
        ports: TEST_PORTS,
        seed: 77 * (i + 1),
        rounds: ROUNDS,
        kept: KEPT,
        flows: 3000,
      }
      return new Promise<{ faults: string[]; answers: number }>((resolve, reject) => {
        new Worker(worker, { workerData: work }).on('message', resolve).on('error', reject)
      })
    }),
  )
  assert.deepEqual(
    answered.flatMap(({ faults }) => faults),
    [],
  )
  const kept = listConnections(store, 1, harness.nowMs, 0, 1000).connections
  assert.equal(kept.length, KEPT)
  const packets = kept.reduce((sum, one) => sum + one.receivedPackets, 0)
  assert.equal(
    packets,
    KEPT + answered.reduce((sum, { answers }) => sum + answers, 0),
    'no packet was counted twice or not at all',
  )
  for (const one of kept) assert.equal(one.receivedBytes, one.receivedPackets * packet(4, false, 17, datagram(53, 1)).length)
  assert.ok(store.counter(ConnectionCounter.evicted) > 0, 'shares were reached')
  const listed = [1, 2, 3, 4].map((port) => listConnections(store, port, 0, 0, 1000).connections)
  const flows = listed.flatMap((of, i) => of.map(({ localPort }) => `${i} ${localPort}`))
  assert.equal(new Set(flows).size, flows.length, 'no flow stands twice')
  assert.equal(
    [1, 2, 3, 4].reduce((sum, port) => sum + removeConnections(store, port), 0),
    flows.length,
  )
  assert.equal(store.used, 0)
  // Nothing leaked: all of it can be filled again.
  for (let flow = 0; flow < 900; flow++) assert.equal(harness.open(packet(4, true, 17, datagram(flow, 53)), false, 255, 5), 0)
})
