import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness, frame } from '../../test/support/data-path-harness.ts'
import { HEADER_COPY, PF_DATA_VALID, PF_DROPPED, VNET_STRIDE } from '../kernels/layout.ts'
import { Batch, type BatchOwner, Keep, Right } from './batch.ts'

interface World {
  readonly batch: Batch
  readonly breaches: string[]
  readonly filtered: string[]
  readonly harness: DataPathHarness
}

// A batch of `frames` over a pool, with an owner that notes down what it is told.
function world(rights: number, ingress: boolean, ...frames: Uint8Array[]): World {
  const harness = new DataPathHarness()
  const breaches: string[] = []
  const filtered: string[] = []
  const owner: BatchOwner = {
    reasonNumber: (name) => harness.reasons.number(name),
    filtered: (slot, reason, port, incoming) =>
      filtered.push(`${slot} ${harness.reasons.name(reason)} ${port} ${incoming ? 'in' : 'out'}`),
    breach: (rule) => breaches.push(rule),
    connected: (port, nic) => port < 10 && nic === 0,
    keep: (slot, how) => (slot << 1) | (how === Keep.hold ? 1 : 0) | 0x10000,
    holdAll(count, places, handles) {
      for (let i = 0; i < count; i++) handles[places[i]!] = (harness.pool.originals[i]! << 1) | 1 | 0x10000
      return count
    },
    holdRun: (first) => (first << 1) | 1 | 0x10000,
    ownPacket: () => -1,
    packetChanged: () => {},
    parse: (slot) => harness.kernels.parse(harness.pool.base, slot, 1),
    checksum: () => true,
    copyFrame: () => 0,
  }
  const batch = new Batch(new Uint16Array(512), 0, harness.pool, owner)
  for (const [slot, bytes] of frames.entries()) {
    harness.fill(slot, 1, bytes)
    batch.slots[slot] = slot
  }
  harness.kernels.parse(harness.pool.base, 0, frames.length)
  harness.pool.destination.fill(4, 0, frames.length)
  if (!ingress) harness.pool.destinationCount.fill(1, 0, frames.length)
  batch.length = frames.length
  batch.ingress = ingress
  batch.rights = rights
  return { batch, breaches, filtered, harness }
}

const FILTER = Right.drop | Right.exclude | Right.modify | Right.clone | Right.hold
const FORWARD = FILTER | Right.addDestination

const actions: Record<string, (batch: Batch) => unknown> = {
  drop: (batch) => batch.drop(0, 'x'),
  exclude: (batch) => batch.exclude(0, 0, 'x'),
  addDestination: (batch) => batch.addDestination(0, 3),
  setU8: (batch) => batch.setU8(0, 20, 1),
  setU16: (batch) => batch.setU16(0, 20, 1),
  setU32: (batch) => batch.setU32(0, 20, 1),
  hold: (batch) => batch.hold(0),
  clone: (batch) => batch.clone(0),
}

// Class, direction, and the rule that each action breaks there; the others are allowed (spec 5.2).
const table: [string, number, boolean, Record<string, string>][] = [
  [
    'capturing',
    Right.none,
    true,
    {
      drop: 'ES-306',
      exclude: 'ES-346',
      addDestination: 'ES-412',
      setU8: 'ES-307',
      setU16: 'ES-307',
      setU32: 'ES-307',
      hold: 'ES-306',
      clone: 'ES-310',
    },
  ],
  [
    'capturing',
    Right.none,
    false,
    {
      drop: 'ES-306',
      exclude: 'ES-309',
      addDestination: 'ES-328',
      setU8: 'ES-347',
      setU16: 'ES-347',
      setU32: 'ES-347',
      hold: 'ES-306',
      clone: 'ES-310',
    },
  ],
  ['filtering', FILTER, true, { exclude: 'ES-346', addDestination: 'ES-412' }],
  ['filtering', FILTER, false, { addDestination: 'ES-328', setU8: 'ES-347', setU16: 'ES-347', setU32: 'ES-347' }],
  ['forwarding', FORWARD, true, { exclude: 'ES-346' }],
  ['forwarding', FORWARD, false, { addDestination: 'ES-328', setU8: 'ES-347', setU16: 'ES-347', setU32: 'ES-347' }],
]

for (const [extensionClass, rights, ingress, forbidden] of table)
  for (const [name, action] of Object.entries(actions)) {
    const rule = forbidden[name]
    const what = `${extensionClass} extension on ${ingress ? 'ingress' : 'egress'}: ${name}`
    test(rule ? `${what} is refused, reported and changes nothing (${rule})` : `${what} is allowed`, () => {
      const { batch, breaches, filtered, harness } = world(rights, ingress, frame(2, 1, 'abcdefgh'))
      const before = state(harness)
      const result = action(batch)
      if (!rule) {
        assert.deepEqual(breaches, [])
        assert.notDeepEqual({ ...state(harness), result }, { ...before, result: undefined })
        return
      }
      assert.deepEqual(breaches, [rule])
      assert.deepEqual(filtered, [])
      assert.equal(batch.dirty, false)
      assert.ok(result === undefined || result === false || result === 0)
      assert.deepEqual(state(harness), before)
    })
  }

function state(harness: DataPathHarness) {
  const { pool } = harness
  return {
    flags: pool.flags[0],
    reason: pool.reason[0],
    destination: pool.destination[0],
    count: pool.destinationCount[0],
    bytes: harness.bytesOf(0).toString('hex'),
  }
}

test('drop marks once, keeps the first reason, and settle closes the gap in order', () => {
  const { batch, filtered } = world(FILTER, true, frame(2, 1, 'a'), frame(2, 1, 'b'), frame(2, 1, 'c'))
  batch.drop(1, 'first')
  batch.drop(1, 'second')
  assert.equal(batch.isDropped(1), true)
  assert.deepEqual(filtered, ['1 first 1 in'])
  assert.equal(batch.length, 3, 'positions stay until the handler returns')
  batch.settle()
  assert.equal(batch.length, 2)
  assert.deepEqual([batch.u8(0, 14), batch.u8(1, 14)], [0x61, 0x63])
})

test('a held packet leaves the batch without being reported', () => {
  const { batch, filtered } = world(FILTER, true, frame(2, 1, 'a'), frame(2, 1, 'b'))
  assert.notEqual(batch.hold(0), 0)
  assert.equal(batch.hold(0), 0, 'it is gone')
  batch.settle()
  assert.equal(batch.length, 1)
  assert.deepEqual(filtered, [])
})

test('a clone leaves the packet in the batch', () => {
  const { batch } = world(FILTER, true, frame(2, 1, 'a'))
  assert.notEqual(batch.clone(0), 0)
  assert.equal(batch.dirty, false)
})

test('a hold that finds no room leaves the packet where it is', () => {
  const { batch, harness } = world(FILTER, true, frame(2, 1, 'a'))
  Object.assign(batch.owner, { keep: () => 0 })
  assert.equal(batch.hold(0), 0)
  assert.equal(harness.pool.flags[0]! & PF_DROPPED, 0)
})

test('addDestination reads back what was added, flags and index apart (ES-411, ES-368)', () => {
  const { batch, harness } = world(FORWARD, true, frame(2, 1, 'a'))
  for (let port = 1; port < 10; port++) assert.equal(batch.addDestination(0, port, 0, port % 2 === 0, port % 3 === 0), true)
  assert.equal(batch.addDestination(0, 11), false)
  assert.equal(batch.destinationCount(0), 9)
  assert.deepEqual(
    Array.from({ length: 9 }, (_, k) => batch.destinationPortId(0, k)),
    [1, 2, 3, 4, 5, 6, 7, 8, 9],
  )
  assert.deepEqual(
    Array.from({ length: 9 }, (_, k) => batch.isExcluded(0, k) || batch.destinationNicIndex(0, k) !== 0),
    Array.from({ length: 9 }, () => false),
  )
  assert.ok(harness.pool.destinationRoom[0]! >= 9)
})

test('a full arena refuses a further destination and keeps those there are (ES-417)', () => {
  const { batch, harness } = world(FORWARD, true, frame(2, 1, 'a'))
  batch.addDestination(0, 5)
  harness.pool.arenaUsed = 65536
  assert.equal(batch.addDestination(0, 6), false)
  assert.equal(batch.destinationCount(0), 1)
  assert.equal(batch.destinationPortId(0, 0), 5)
})

test('excluding twice counts once; a destination that is none is ignored (ES-357)', () => {
  const { batch, filtered } = world(FILTER, false, frame(2, 1, 'a'))
  batch.exclude(0, 1, 'x')
  batch.exclude(0, -1, 'x')
  batch.exclude(0, Number.NaN, 'x')
  assert.deepEqual(filtered, [])
  batch.exclude(0, 0, 'x')
  batch.exclude(0, 0, 'x')
  assert.deepEqual(filtered, ['0 x 4 out'])
  assert.equal(batch.isDropped(0), true)
})

test('writes stay inside the copied header', () => {
  const { batch, harness } = world(FILTER, true, Buffer.alloc(300, 1))
  for (const offset of [-1, HEADER_COPY, 1e9, Number.NaN]) assert.equal(batch.setU8(0, offset, 9), false)
  assert.equal(batch.setU16(0, HEADER_COPY - 1, 9), false)
  assert.equal(batch.setU32(0, HEADER_COPY - 3, 9), false)
  assert.equal(batch.setU16(0, -1, 9), false)
  assert.equal(batch.setU32(0, HEADER_COPY - 4, 0xdeadbeef), true)
  assert.equal(batch.u32(0, HEADER_COPY - 4), 0xdeadbeef)
  assert.equal(harness.bytesOf(0).indexOf(9), -1)
})

test('reads beyond the copied header are 0', () => {
  const { batch } = world(FILTER, true, Buffer.alloc(300, 0xff))
  assert.equal(batch.headerLength(0), HEADER_COPY)
  assert.deepEqual([batch.u8(0, HEADER_COPY - 1), batch.u8(0, HEADER_COPY)], [0xff, 0])
  assert.deepEqual([batch.u16(0, HEADER_COPY - 2), batch.u16(0, HEADER_COPY - 1)], [0xffff, 0])
  assert.deepEqual([batch.u32(0, HEADER_COPY - 4), batch.u32(0, HEADER_COPY - 3)], [0xffffffff, 0])
})

test('addresses read as numbers in network order', () => {
  const { batch } = world(FILTER, true, frame('a1:b2:c3:d4:e5:f6', '02:13:24:35:46:57'))
  assert.deepEqual([batch.destinationMacHigh(0), batch.destinationMacLow(0)], [0xa1b2, 0xc3d4e5f6])
  assert.deepEqual([batch.sourceMacHigh(0), batch.sourceMacLow(0)], [0x0213, 0x24354657])
})

test('packets have the same addresses if port, addresses and VLAN are the same, wherever their headers lie', () => {
  const tagged = (vlan: number): Uint8Array => {
    const plain = frame(2, 1, 'a')
    return Uint8Array.from([...plain.subarray(0, 12), 0x81, 0x00, 0x20 | (vlan >> 8), vlan & 0xff, ...plain.subarray(12)])
  }
  const { batch, harness } = world(FORWARD, true, frame(2, 1, 'a'), frame(2, 1, 'other'), frame(3, 1), frame(2, 3), tagged(7))
  const same = (i: number): boolean => batch.sameAddresses(i, 0)
  assert.deepEqual([0, 1, 2, 3, 4].map(same), [true, true, false, false, false])
  harness.pool.headerOffset[1] = harness.pool.headerOffset[1]! - 2 // no word of it is aligned now
  const start = 256 + harness.pool.headerOffset[1]!
  harness.pool.header8.copyWithin(start, start + 2, start + 2 + 64)
  assert.equal(same(1), true)
  harness.pool.header8[start + 11] = harness.pool.header8[start + 11]! ^ 1
  assert.equal(same(1), false)
  harness.pool.header8[start + 11] = harness.pool.header8[start + 11]! ^ 1
  harness.pool.sourcePort[1] = 9
  assert.equal(same(1), false)
})

test('addDestinationsOf gives a packet what the other one has, one destination or many, and nothing where it has some (ES-328, ES-412)', () => {
  const { batch, breaches } = world(FORWARD, true, frame(2, 1), frame(2, 1), frame(2, 1), frame(2, 1), frame(2, 1))
  batch.addDestination(0, 5, 0, true)
  assert.equal(batch.addDestinationsOf(1, 0), true)
  assert.deepEqual([batch.destinationCount(1), batch.destinationPortId(1, 0), batch.preservesVlan(1, 0)], [1, 5, true])
  assert.equal(batch.addDestinationsOf(1, 0), false)
  assert.equal(batch.addDestinationsOf(2, 3), false) // the other has none
  batch.addDestination(1, 6)
  assert.equal(batch.addDestinationsOf(2, 1), true)
  batch.addDestination(1, 7)
  assert.deepEqual(
    [0, 1].map((k) => batch.destinationPortId(2, k)),
    [5, 6],
  )
  assert.equal(batch.destinationCount(2), 2)
  for (const k of [-1, 5, Number.NaN]) assert.equal(batch.addDestinationsOf(3, k), false)
  assert.equal(batch.addDestinationsOf(5, 0), false)
  assert.deepEqual(breaches, [])
  batch.rights = FILTER
  assert.equal(batch.addDestinationsOf(3, 0), false)
  assert.deepEqual(breaches, ['ES-412'])
})

test('an open checksum is completed on ingress by who may change bytes, and none is to be believed unchecked after (ES-307, ES-347)', () => {
  const packet = frame(2, 1, 'abcdefgh')
  const NEEDS_CHECKSUM = 1
  const DATA_VALID = 2
  const { batch, breaches, harness } = world(Right.modify, true, packet, packet, packet)
  const { pool } = harness
  pool.vnet[0] = NEEDS_CHECKSUM
  pool.vnet[VNET_STRIDE] = NEEDS_CHECKSUM
  pool.vnet[VNET_STRIDE + 1] = 1 // a super-frame
  pool.vnet[2 * VNET_STRIDE] = DATA_VALID
  pool.flags[2] = pool.flags[2]! | PF_DATA_VALID
  assert.deepEqual(
    [0, 1, 2].map((i) => batch.completeChecksum(i)),
    [true, false, true],
  )
  assert.equal(pool.vnet[2 * VNET_STRIDE], 0)
  assert.equal(pool.flags[2]! & PF_DATA_VALID, 0)
  assert.deepEqual(breaches, [])
  for (const [rights, ingress, rule] of [
    [Right.none, true, 'ES-307'],
    [Right.modify, false, 'ES-347'],
  ] as const) {
    const other = world(rights, ingress, packet)
    assert.equal(other.batch.completeChecksum(0), false)
    assert.deepEqual(other.breaches, [rule])
  }
})
