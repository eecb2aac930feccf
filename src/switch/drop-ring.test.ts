import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness, frame } from '../../test/support/data-path-harness.ts'
import { DROP_REASONS_MAX } from '../ndis/drop-reasons.ts'
import { PortCounter } from './counters.ts'
import { DROP_RING_BYTES, DROP_RING_ENTRIES, DROPS_KEPT_PER_SECOND, DropRing, DropRingReader } from './drop-ring.ts'

function world() {
  const buffer = new SharedArrayBuffer(DROP_RING_BYTES + 64)
  const clock = { seconds: 6_000_000_000, nanoseconds: 999_999_999 }
  return { clock, ring: new DropRing(buffer, 64, clock), reader: new DropRingReader(buffer, 64) }
}

test('a drop without a frame is kept with its time, place, reason and number', () => {
  const { ring, reader } = world()
  ring.note(undefined, -1, 7, 1024, false, 'acl', 3)
  ring.note(undefined, -1, 95, 5, true, '')
  ring.note(undefined, -1, 95, 5, true, '', 0)
  const nothing = { sourcePort: 1024, length: 0, packetId: 0, unkept: 0, tag: -1, header: new Uint8Array(0) }
  const time = { seconds: 6_000_000_000, nanoseconds: 999_999_999 }
  assert.deepEqual(reader.entries(), [
    { ...time, ...nothing, number: 0, port: 1024, incoming: false, reason: 7, module: 'acl', frames: 3 },
    { ...time, ...nothing, number: 1, port: 5, sourcePort: 5, incoming: true, reason: 95, module: '', frames: 1 },
  ])
  assert.deepEqual([reader.count(7), reader.count(95), reader.count(1)], [3, 1, 0])
})

test('a flood of one kind is counted, hardly kept, and pushes nothing else out', () => {
  const { ring, reader, clock } = world()
  ring.note(undefined, -1, 10, 2, true, 'guard')
  for (let i = 0; i < 100_000; i++) ring.note(undefined, -1, 7, 1, false, '')
  assert.equal(reader.entries().length, 1 + DROPS_KEPT_PER_SECOND)
  clock.seconds++
  ring.note(undefined, -1, 7, 1, false, '')
  assert.equal(reader.entries().at(-1)!.unkept, 100_000 - DROPS_KEPT_PER_SECOND)
  assert.equal(reader.entries()[0]!.module, 'guard')
  assert.equal(reader.count(7), 100_001)
})

test('the ring keeps the newest, oldest first', () => {
  const { ring, reader, clock } = world()
  for (let i = 0; i < DROP_RING_ENTRIES + 100; i++) {
    clock.seconds++
    ring.note(undefined, -1, 7, i, true, `module ${i}`)
  }
  const entries = reader.entries()
  assert.deepEqual([entries.length, entries[0]!.port, entries.at(-1)!.port], [DROP_RING_ENTRIES, 100, DROP_RING_ENTRIES + 99])
  assert.equal(entries.at(-1)!.module, '', 'names beyond the room for them are left out')
})

// Two counters that know nothing of each other: those per port and reason, and the ring's.
test('the counters per port and reason and the ring agree on every way to lose a packet', () => {
  for (const shortCut of [false, true]) {
    const harness = new DataPathHarness({ shortCut, spareBytes: DROP_RING_BYTES })
    const ring = new DropRing(harness.buffer, harness.spare, { seconds: 1, nanoseconds: 0 })
    harness.dataPath.lost.ring = ring
    harness.delivery.drops = ring
    const reader = new DropRingReader(harness.buffer, harness.spare)
    harness.connect(3)
    const sink = harness.sink(2)
    harness.install([
      { name: 'filter', class: 'filtering' },
      () => ({
        ingress(batch) {
          for (let i = 0; i < batch.length; i++) if (batch.u8(i, 14) === 0x64) batch.drop(i, 'd-frames')
        },
        egress(batch) {
          for (let i = 0; i < batch.length; i++)
            for (let k = 0; k < batch.destinationCount(i); k++)
              if (batch.u8(i, 14) === 0x65 && batch.destinationPortId(i, k) === 3) batch.exclude(i, k, 'not-to-3')
        },
      }),
    ])
    harness.send(1, frame(2, 1, 'good'), frame(2, 1, 'dropped'), frame(0xff, 1, 'excluded at 3'), frame(1, 1, 'hairpin'))
    harness.send(1, { bytes: frame(2, 1).subarray(0, 10) })
    sink.capacity = sink.frames.length
    harness.send(1, frame(2, 1, 'no room'), frame(2, 1, 'none either'))
    let total = 0
    for (let reason = 0; reason < DROP_REASONS_MAX; reason++) {
      let byPort = 0
      for (let port = 0; port < 16; port++) byPort += harness.counters.readDrop(port, reason)
      assert.equal(reader.count(reason), byPort, harness.reasons.name(reason))
      total += byPort
    }
    let dropped = 0
    for (let port = 0; port < 16; port++)
      dropped +=
        harness.counters.readPort(port, PortCounter.receivedDropped) + harness.counters.readPort(port, PortCounter.sendDropped)
    assert.equal(total, dropped)
    assert.equal(total, 6)
    const seen = reader.entries().map((one) => [harness.reasons.name(one.reason), one.module, one.port, one.incoming, one.frames])
    assert.deepEqual(seen.filter(([reason]) => reason !== 'runt').sort(), [
      ['d-frames', 'filter', 1, true, 1],
      ['hairpin', '', 1, true, 1],
      ['not-to-3', 'filter', 3, false, 1],
      ['peer-not-reading', '', 2, false, 2],
    ])
    const refused = reader.entries().find(({ port }) => port === 2)!
    assert.equal(Buffer.from(refused.header.subarray(14, 21)).toString(), 'no room')
  }
})
