// The kernel for AF_PACKET receive rings against its twin, on slots as the kernel fills them and on slots with any contents.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import * as L from './layout.ts'
import { instantiateKernels } from './load.ts'
import { createTwin, linearWindows } from './twin.ts'

const POOL = 4096
const SLOT_BYTES = 2048
const SLOTS = 96
const RING = Math.ceil((POOL + L.POOL_BYTES) / 65536) * 65536
const memory = new WebAssembly.Memory({ initial: RING / 65536 + (SLOTS * SLOT_BYTES) / 65536 + 1, maximum: 65536, shared: true })
const kernels = instantiateKernels(readFileSync(new URL('../../.cache/kernels.wasm', import.meta.url)), memory)
const twin = createTwin({
  linear: memory.buffer,
  windows: linearWindows(memory.buffer),
  copyForeign: () => assert.fail('nothing lies outside linear memory'),
})
const view = new DataView(memory.buffer)
const bytes = new Uint8Array(memory.buffer)
const FIRST = 5
const PORT = 42

interface Slot {
  readonly status: number
  readonly length: number
  readonly captured: number
  readonly frame: number
  readonly tci: number
  readonly tpid: number
  /** Bytes 0 to 9 of the virtio-net header. */
  readonly vnet: readonly number[]
  /** The frame, repeated as often as it takes. */
  readonly content: Uint8Array
}

/** An IPv4 frame with a TCP header behind. */
const tcp = Uint8Array.from([
  ...[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 1, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
  ...[3, 0xe8, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 16, 0xff, 0xff, 0, 0, 0, 0],
])
const plain: Slot = {
  status: L.RING_USER,
  length: 60,
  captured: 60,
  frame: 80,
  tci: 0,
  tpid: 0,
  vnet: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  content: tcp,
}
const sized = (length: number, given: Partial<Slot> = {}): Slot => ({ ...plain, length, captured: length, ...given })
/** Sum from the TCP header on; cut into segments of 1000 bytes. */
const gso = [L.VNET_NEEDS_CSUM, L.VNET_GSO_TCPV4, 54, 0, 0xe8, 3, 34, 0, 16, 0]

function fill(slots: readonly Slot[], from: number): void {
  bytes.fill(0, RING, RING + SLOTS * SLOT_BYTES)
  for (const [i, slot] of slots.entries()) {
    const at = RING + ((from + i) % SLOTS) * SLOT_BYTES
    for (let k = 0; k < Math.min(slot.length, SLOT_BYTES - slot.frame); k++)
      bytes[at + slot.frame + k] = slot.content[k % slot.content.length]!
    bytes.set(slot.vnet.slice(0, Math.min(slot.frame, L.PACKET_VNET_BYTES)), at + Math.max(slot.frame - L.PACKET_VNET_BYTES, 0))
    view.setUint32(at + L.RING_STATUS, slot.status, true)
    view.setUint32(at + L.RING_LENGTH, slot.length, true)
    view.setUint32(at + L.RING_CAPTURED, slot.captured, true)
    view.setUint16(at + L.RING_FRAME, slot.frame, true)
    view.setUint16(at + L.RING_VLAN_TCI, slot.tci, true)
    view.setUint16(at + L.RING_VLAN_TPID, slot.tpid, true)
  }
}

type Taken = Pick<typeof kernels, 'takeFrames' | 'giveFrames'>
const take = (by: Taken, next: number, max: number): number =>
  by.takeFrames(RING, SLOT_BYTES, SLOTS, next, POOL, FIRST, max, PORT)

const usual: fc.Arbitrary<Slot> = fc
  .record({
    length: fc.constantFrom(13, 14, 17, 60, 61, 127, 128, 129, 1514, 1900),
    vnet: fc.constantFrom(plain.vnet, plain.vnet, gso, [L.VNET_DATA_VALID, ...plain.vnet.slice(1)]),
    tag: fc.constantFrom(0, 0, L.RING_VLAN_VALID, L.RING_VLAN_VALID | L.RING_VLAN_TPID_VALID),
    losing: fc.constantFrom(0, 0, 0, L.RING_LOSING),
    tci: fc.nat(0xffff),
    frame: fc.constantFrom(80, 80, 82, 83),
  })
  .map(({ length, vnet, tag, losing, tci, frame }) =>
    sized(length, { status: L.RING_USER | tag | losing, vnet, tci, tpid: 0x88a8, frame }),
  )
const any: fc.Arbitrary<Slot> = fc.record({
  status: fc.nat(0xff),
  length: fc.oneof(fc.nat(2100), fc.nat(0xffffffff)),
  captured: fc.nat(2100),
  frame: fc.oneof(fc.nat(200), fc.nat(0xffff)),
  tci: fc.nat(0xffff),
  tpid: fc.nat(0xffff),
  vnet: fc.array(fc.nat(255), { minLength: 10, maxLength: 10 }),
  content: fc.uint8Array({ minLength: 1, maxLength: 60 }),
})

test('frames are taken from a ring alike by the kernel and by its twin, whatever stands in its slots', () => {
  const slots = fc.array(fc.oneof({ weight: 8, arbitrary: usual }, any), { minLength: 1, maxLength: SLOTS - 1 })
  fc.assert(
    fc.property(slots, fc.nat(SLOTS - 1), fc.integer({ min: 1, max: 100 }), (given, from, max) => {
      fill(given, from)
      bytes.fill(0xaa, POOL, POOL + L.P_ARENA)
      const found = take(kernels, from, max)
      const after = Buffer.from(bytes.slice(POOL, POOL + L.POOL_BYTES))
      bytes.fill(0xaa, POOL, POOL + L.P_ARENA)
      assert.equal(take(twin, from, max), found)
      assert.ok(after.equals(bytes.subarray(POOL, POOL + L.POOL_BYTES)), 'the pool differs')
    }),
    { numRuns: 200 },
  )
})

const u32 = (field: number, i: number): number => view.getUint32(POOL + field + (FIRST + i) * 4, true)
const u16 = (field: number, i: number): number => view.getUint16(POOL + field + (FIRST + i) * 2, true)
const u8 = (field: number, i: number): number => bytes[POOL + field + FIRST + i]!
const header = (i: number): Uint8Array => {
  const at = POOL + (FIRST + i) * L.HEADER_STRIDE + u16(L.P_HEADER_OFFSET, i)
  return bytes.slice(at, at + u16(L.P_HEADER_LENGTH, i))
}

for (const [name, by] of [
  ['kernel', kernels],
  ['twin', twin],
] as const) {
  test(`${name}: a frame keeps its request, gets back the tag that stood beside it, and its payload stays in the ring`, () => {
    const status = L.RING_USER | L.RING_VLAN_VALID | L.RING_VLAN_TPID_VALID
    fill([plain, sized(1514, { status, vnet: gso, tci: 0x2007, tpid: 0x8100 })], 0)
    assert.equal(take(by, 0, 64), 2)
    assert.deepEqual([u16(L.P_SOURCE_PORT, 0), u32(L.P_LENGTH, 0), u8(L.P_NEEDS, 0), u8(L.P_SEGMENTS, 0)], [PORT, 60, 0, 0])
    assert.deepEqual(
      header(1).subarray(0, 20),
      Uint8Array.from([...tcp.subarray(0, 12), 0x81, 0, 0x20, 7, ...tcp.subarray(12, 16)]),
    )
    assert.deepEqual([u32(L.P_LENGTH, 1), u16(L.P_HEADER_LENGTH, 1), u16(L.P_VLAN, 1)], [1518, 132, 0x2007])
    assert.equal(u32(L.P_ADDRESS, 1), RING + SLOT_BYTES + plain.frame + L.HEADER_COPY)
    assert.equal(u8(L.P_NEEDS, 1), L.OFFLOAD_CHECKSUM | L.OFFLOAD_TSO4)
    const vnet = POOL + L.P_VNET + (FIRST + 1) * L.VNET_STRIDE
    assert.deepEqual([view.getUint16(vnet + 2, true), view.getUint16(vnet + 6, true)], [58, 38], 'four bytes further on')
  })

  test(`${name}: a frame that does not lie whole in its slot is dropped with a reason, and the next one is taken`, () => {
    fill([sized(60, { captured: 50 }), sized(1990), sized(10), sized(60, { frame: 4 }), plain], 3)
    assert.equal(take(by, 3, 64), 5)
    assert.deepEqual(
      [0, 1, 2, 3, 4].map((i) => u8(L.P_REASON, i)),
      [L.REASON_BUFFER_FULL, L.REASON_BUFFER_FULL, L.REASON_RUNT, L.REASON_BUFFER_FULL, L.REASON_NONE],
    )
    assert.deepEqual([u32(L.P_LENGTH, 0), u32(L.P_FLAGS, 0)], [0, L.PF_DROPPED])
  })

  test(`${name}: taking ends at a slot that is not ours and before a frame beside the ring, goes round, and what was taken goes back`, () => {
    const beside = { ...plain, status: L.RING_USER | L.RING_COPY }
    fill([plain, { ...plain, status: L.RING_USER | L.RING_LOSING }, beside, plain], SLOTS - 1)
    assert.equal(take(by, SLOTS - 1, 64), 2 | L.TAKEN_BESIDE | L.TAKEN_LOSING)
    assert.equal(take(by, SLOTS - 1, 1), 1)
    assert.equal(take(by, 2, 64), 1)
    by.giveFrames(RING, SLOT_BYTES, SLOTS, SLOTS - 1, 1)
    const states = [SLOTS - 1, 0, 1, 2].map((slot) => view.getUint32(RING + slot * SLOT_BYTES, true))
    assert.deepEqual(states, [0, 0, beside.status, L.RING_USER])
    by.giveFrames(RING, SLOT_BYTES, SLOTS, 1, 1)
    assert.equal(view.getUint32(RING + SLOT_BYTES, true), beside.status)
  })
}
