// One of several threads that hammer one connection table: UDP flows of a few ports, in both directions, opened, found, expired and evicted.
import { parentPort, workerData } from 'node:worker_threads'
import { ConnectionTable } from '../../src/switch/conntrack/connection-table.ts'
import { datagram, packet, TrackingHarness } from './tracked-frames.ts'

export interface ConnectionsWork {
  readonly memory: SharedArrayBuffer
  readonly connections: number
  readonly ports: number
  readonly seed: number
  readonly rounds: number
  /** Flows with numbers below are opened, answered and never left alone. */
  readonly kept: number
  readonly flows: number
}

const { memory, connections, ports, seed, rounds, kept, flows } = workerData as ConnectionsWork
const harness = new TrackingHarness(16)
harness.table = new ConnectionTable(memory, 0, { connections, ports })

let state = seed
const random = (below: number): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}

// Port 1 has the flows that are kept; the others flood. Whoever is told that a kept one is gone has found a fault.
const faults: string[] = []
let answers = 0
for (let round = 0; round < rounds; round++) {
  const flow = random(kept)
  const found = harness.find(packet(4, false, 17, datagram(53, flow)), true, 1)
  if (found !== 0) faults.push(`kept flow ${flow}: ${found}`)
  else answers++
  const port = 2 + random(3)
  const other = random(flows)
  harness.nowMs += random(100) === 0 ? 1 : 0
  const incoming = random(3) === 0
  const frame = incoming ? packet(4, false, 17, datagram(53, other)) : packet(4, true, 17, datagram(other, 53))
  harness.open(frame, incoming, 255, port)
  if (random(50) === 0) harness.table.store.sweep(random(connections), 64, harness.nowMs)
}
parentPort!.postMessage({ faults, answers })
