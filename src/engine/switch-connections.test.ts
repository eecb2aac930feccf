import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { datagram, packet, TrackingHarness } from '../../test/support/tracked-frames.ts'
import { connectionTableBytes } from '../switch/conntrack/connection-layout.ts'
import { ConnectionTable, memoryToSend, receivedMemory } from '../switch/conntrack/connection-table.ts'
import { SwitchConnections } from './switch-connections.ts'

/** A switch's connections, and a processor that uses them. */
function joined(port = 1): { connections: SwitchConnections; harness: TrackingHarness } {
  const harness = new TrackingHarness(16)
  const connections = new SwitchConnections({ ports: 16, entries: 1500 }, { nowMs: () => harness.nowMs })
  const memory = connections.memoryFor(port)
  harness.table = new ConnectionTable(memory.buffer, 0, memory)
  return { connections, harness }
}

const out = (from: number): Buffer => packet(4, true, 17, datagram(from, 53))

test('the table lies in linear memory; where that has no room, in memory of its own', () => {
  const linear = new SharedArrayBuffer(1 << 20)
  const asked: number[] = []
  const connectionsIn = (at: number): SwitchConnections =>
    new SwitchConnections(
      { ports: 16, entries: 1024 },
      {
        nowMs: () => 0,
        memory: {
          buffer: linear,
          allocateTable(bytes) {
            asked.push(bytes)
            return at
          },
        },
      },
    )
  const inside = connectionsIn(4096)
  const memory = inside.memoryFor(1)
  assert.equal(memory.buffer, linear)
  assert.equal(memory.at, 4096)
  assert.equal(inside.memoryFor(2), memory)
  assert.deepEqual(asked, [connectionTableBytes(1024, 16)])
  assert.equal(receivedMemory(structuredClone(memoryToSend(memory)), linear).buffer, linear)
  const beside = connectionsIn(0).memoryFor(1)
  assert.notEqual(beside.buffer, linear)
  assert.equal(beside.at, 0)
  assert.equal(receivedMemory(memoryToSend(beside), linear).buffer, beside.buffer)
})

test('before the first stateful rule there is nothing, and every question has an answer', () => {
  const connections = new SwitchConnections({ ports: 16 }, { nowMs: () => 0 })
  assert.deepEqual(connections.list(1), { connections: [], next: 0 })
  assert.deepEqual(
    [
      connections.figures().used,
      connections.figures().capacity,
      connections.save(1).length,
      connections.restore(1, new Uint8Array(0)),
    ],
    [0, 131_072, 0, 0],
  )
  connections.forget(1)
})

test('all ports share one memory, as large as a power of two', () => {
  const { connections } = joined()
  assert.equal(connections.memoryFor(1), connections.memoryFor(2))
  assert.equal(connections.figures().capacity, 2048)
})

test('what is idle for too long goes without a packet of its port', async () => {
  const { connections, harness } = joined()
  for (let i = 0; i < 10; i++) harness.open(out(i), false, 1)
  assert.equal(connections.figures().used, 10)
  harness.nowMs += 1500
  for (let i = 0; i < 3000 && connections.figures().used > 0; i++) await sleep(10)
  assert.deepEqual([connections.figures().used, connections.figures().expired], [0, 10])
})

test('a port takes its connections with it, and gives them to another switch', () => {
  const { connections, harness } = joined()
  harness.open(out(7), false)
  const saved = connections.save(1)
  connections.forget(1)
  assert.equal(connections.figures().used, 0)
  const other = joined(3)
  assert.equal(other.connections.restore(3, saved), 1)
  assert.equal(other.harness.find(packet(4, false, 17, datagram(53, 7)), true, 3), 0)
})
