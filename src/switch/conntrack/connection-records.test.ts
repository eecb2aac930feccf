import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { datagram, packet, TrackingHarness, tcp } from '../../../test/support/tracked-frames.ts'
import {
  listConnections,
  removeConnections,
  restoreConnections,
  SAVED_CONNECTION_BYTES,
  saveConnections,
  savedConnectionsError,
} from './connection-records.ts'
import { UNTRACKED } from './connection-table.ts'

const out = (port: number): Buffer => packet(4, true, 17, datagram(port, 53))
const into = (port: number): Buffer => packet(4, false, 17, datagram(53, port))
const segment = (incoming: boolean, parts: Parameters<typeof tcp>[0]): Buffer =>
  packet(6, !incoming, 6, tcp({ ports: incoming ? [80, 1000] : [1000, 80], ...parts }))

function talking(): TrackingHarness {
  const harness = new TrackingHarness()
  harness.open(segment(false, { flags: 'S', seq: 9 }), false, 60)
  harness.find(segment(true, { flags: 'SA', seq: 499, ack: 10 }), true)
  harness.find(segment(false, { flags: 'A', seq: 10, ack: 500 }), false)
  for (let i = 0; i < 10; i++) harness.open(out(i), false, 255, 1 + (i % 2))
  return harness
}

test('a port lists its own connections, page by page', () => {
  const harness = talking()
  harness.nowMs += 3000
  const { store } = harness.table
  const first = listConnections(store, 1, harness.nowMs, 0, 4)
  assert.equal(first.connections.length, 4)
  assert.deepEqual(first.connections[0], {
    protocol: 6,
    isolationId: 0,
    localAddress: 'fd00::1',
    localPort: 1000,
    remoteAddress: '2001:db8::7',
    remotePort: 80,
    state: 'established',
    opened: 'outbound',
    idleSeconds: 3,
    expiresInSeconds: 57,
    sentPackets: 2,
    sentBytes: segment(false, { flags: 'A' }).length * 2,
    receivedPackets: 1,
    receivedBytes: segment(true, { flags: 'SA' }).length,
  })
  const second = listConnections(store, 1, harness.nowMs, first.next, 4)
  assert.equal(second.connections.length, 2)
  assert.equal(second.next, 0)
  assert.equal(listConnections(store, 1, harness.nowMs + 40_000).connections.length, 1) // the unanswered ones are over
})

test('what is saved of a port goes on at another table, under another port', () => {
  const source = talking()
  source.nowMs += 5000
  const saved = saveConnections(source.table.store, 1, source.nowMs)
  assert.equal(saved.length, 6 * SAVED_CONNECTION_BYTES)
  const target = new TrackingHarness()
  target.nowMs = 77
  assert.equal(restoreConnections(target.table.store, 5, saved, target.nowMs), 6)
  assert.deepEqual(
    listConnections(target.table.store, 5, target.nowMs).connections,
    listConnections(source.table.store, 1, source.nowMs).connections,
  )
  assert.equal(target.find(segment(true, { flags: 'PA', seq: 500, ack: 10, bytes: 5 }), true, 5), 0)
  assert.ok(target.find(segment(true, { flags: 'R', seq: 0x70000000 }), true, 5) > 0) // its windows moved too
  assert.equal(target.find(into(0), true, 5), 0)
  assert.equal(target.find(into(1), true, 5), UNTRACKED)
})

test('a port that goes takes its connections with it, and no others', () => {
  const harness = talking()
  const { store } = harness.table
  assert.equal(removeConnections(store, 1), 6)
  assert.equal(store.used, 5)
  assert.equal(harness.find(into(0), true, 1), UNTRACKED)
  assert.equal(harness.find(into(1), true, 2), 0)
})

test('saved connections that a stranger wrote are refused or harmless', () => {
  const harness = talking()
  const saved = saveConnections(harness.table.store, 1, harness.nowMs)
  assert.equal(savedConnectionsError(saved), undefined)
  assert.match(savedConnectionsError(saved.subarray(4))!, /multiple of/)
  const target = new TrackingHarness(64)
  fc.assert(
    fc.property(fc.nat(saved.length - 1), fc.nat(255), (at, value) => {
      target.renew(64)
      const changed = Uint8Array.from(saved)
      changed[at] = value
      if (savedConnectionsError(changed) !== undefined) {
        assert.throws(() => restoreConnections(target.table.store, 1, changed, 0), RangeError)
        return
      }
      restoreConnections(target.table.store, 1, changed, 0)
      assert.ok(listConnections(target.table.store, 1, 0).connections.length <= 6)
      removeConnections(target.table.store, 1)
      assert.equal(target.table.store.used, 0)
    }),
  )
})
