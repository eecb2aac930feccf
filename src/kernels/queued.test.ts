// The kernels for bursts of receive rings against their twin, on slots with any contents.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  AIMED_LEFT,
  AIMED_ONE_SENDER,
  ALIKE_BYTES_SHIFT,
  ALIKE_COUNT,
  ALIKE_ONE_SENDER,
  BURST_MAX,
  HEADER_STRIDE,
  P_DESTINATION,
  P_DESTINATION_COUNT,
  P_FLAGS,
  P_HEADER_OFFSET,
  P_LENGTH,
  P_RECEIVE_QUEUE,
  PF_DROPPED,
  PF_MULTICAST,
  PF_TAGGED,
  PF_VLAN_OOB,
  POOL_BYTES,
  QB_BYTES,
  QB_FRAMES,
  QB_RECENT_FIRST,
  QB_RECENT_QUEUE,
  QB_RECENT_REST,
  QB_TOUCHED,
  QB_TOUCHED_COUNT,
  QT_ENTRY,
  QT_FIRST,
  QT_SECOND,
  QUEUE_BLOCK_BYTES,
  QUEUE_IDS,
  QUEUE_TARGETS_BYTES,
} from './layout.ts'
import { instantiateKernels } from './load.ts'
import { createQueueTwin } from './twin-queued.ts'

const POOL = 4096
const BLOCK = POOL + POOL_BYTES + 64
const TARGETS = BLOCK + 8192
const LIST = TARGETS + 8192
const memory = new WebAssembly.Memory({ initial: Math.ceil((LIST + 4096) / 65536), maximum: 65536, shared: true })
const kernels = instantiateKernels(readFileSync(new URL('../../.cache/kernels.wasm', import.meta.url)), memory)
const twin = createQueueTwin(memory.buffer)
const view = new DataView(memory.buffer)

interface Frame {
  readonly to: number
  readonly from: number
  readonly flags: number
  readonly offset: number
  readonly length: number
}

const plain: Frame = { to: 1, from: 1, flags: 0, offset: 16, length: 60 }

function fill(frames: readonly Frame[]): void {
  for (const [k, { to, from, flags, offset, length }] of frames.entries()) {
    view.setUint32(POOL + P_FLAGS + k * 4, flags, true)
    view.setUint32(POOL + P_LENGTH + k * 4, length, true)
    view.setUint16(POOL + P_HEADER_OFFSET + k * 2, offset, true)
    const header = POOL + k * HEADER_STRIDE + offset
    // One octet of each address differs, now one and now another.
    for (let i = 0; i < 12; i++) view.setUint8(header + i, 2)
    view.setUint8(header + (to % 6), to)
    view.setUint8(header + 6 + (from % 6), from)
  }
}

const frame: fc.Arbitrary<Frame> = fc.record({
  to: fc.constantFrom(1, 1, 1, 1, 1, 1, 3, 4, 11),
  from: fc.constantFrom(1, 1, 1, 1, 1, 3, 4, 6, 11),
  flags: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 0, PF_DROPPED, PF_MULTICAST, PF_TAGGED, PF_VLAN_OOB),
  offset: fc.constantFrom(16, 16, 16, 16, 16, 12, 18),
  length: fc.constantFrom(14, 60, 1514, 65_550),
})

test('what frames have in common is the same to the kernel and to its twin', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 9, arbitrary: fc.constant(plain) }, frame), { minLength: 1, maxLength: BURST_MAX }),
      (frames) => {
        fill(frames)
        assert.equal(kernels.alike(POOL, frames.length), twin.alike(POOL, frames.length))
      },
    ),
    { numRuns: 500 },
  )
})

test('frames are alike up to the first that is for another, tagged, or not whole, and their bytes are counted', () => {
  const burst = Array.from({ length: BURST_MAX }, () => ({ ...plain, length: 65_550 }))
  fill(burst)
  const all = BURST_MAX | ALIKE_ONE_SENDER | ((BURST_MAX * 65_550) << ALIKE_BYTES_SHIFT)
  assert.equal(kernels.alike(POOL, BURST_MAX), all)
  for (const other of [
    { to: 3 },
    { to: 4 },
    { flags: PF_DROPPED },
    { flags: PF_MULTICAST },
    { flags: PF_TAGGED },
    { offset: 18 },
  ]) {
    fill(burst.with(9, { ...plain, ...other }))
    assert.equal(kernels.alike(POOL, BURST_MAX) & ALIKE_COUNT, 9, JSON.stringify(other))
  }
  fill(burst.with(9, { ...plain, from: 3 }))
  assert.equal(kernels.alike(POOL, BURST_MAX) & (ALIKE_COUNT | ALIKE_ONE_SENDER), BURST_MAX)
})

test('one destination is given to the slots named and to no other', () => {
  for (const one of [kernels, twin]) {
    new Uint8Array(memory.buffer).fill(0xaa)
    one.aim(POOL, 3, 0x4007)
    assert.deepEqual(
      [0, 1, 2, 3].map((k) => view.getUint32(POOL + P_DESTINATION + k * 4, true)),
      [0x4007, 0x4007, 0x4007, 0xaaaaaaaa],
    )
  }
  const before = new Uint8Array(memory.buffer).slice()
  kernels.aim(POOL, BURST_MAX, 9)
  const after = new Uint8Array(memory.buffer).slice()
  new Uint8Array(memory.buffer).set(before)
  twin.aim(POOL, BURST_MAX, 9)
  assert.ok(Buffer.from(after).equals(Buffer.from(memory.buffer)))
})

// ---- bursts for several queues ------------------------------------------------------------------------------------------------

/** Octets 0 to 3 and 4, 5 of the destination of `fill`'s frames. */
function addressOf(to: number): { first: number; second: number } {
  const octets = new DataView(new ArrayBuffer(8))
  for (let i = 0; i < 6; i++) octets.setUint8(i, 2)
  octets.setUint8(to % 6, to)
  return { first: octets.getUint32(0, true), second: octets.getUint16(4, true) }
}

/** Addresses that were decided lately. */
function know(entries: readonly (readonly [to: number, queue: number])[]): void {
  const bytes = new Uint8Array(memory.buffer, BLOCK, QUEUE_BLOCK_BYTES)
  bytes.fill(0)
  bytes.fill(0xff, QB_RECENT_REST, QB_RECENT_QUEUE)
  for (const [to, queue] of entries) {
    const { first, second } = addressOf(to)
    const place = (second ^ (second >>> 8)) & (QUEUE_IDS - 1)
    view.setUint32(BLOCK + QB_RECENT_FIRST + place * 4, first, true)
    view.setUint32(BLOCK + QB_RECENT_REST + place * 4, second, true)
    view.setUint16(BLOCK + QB_RECENT_QUEUE + place * 2, queue, true)
  }
}

const frames = fc.array(
  fc.oneof({ weight: 9, arbitrary: fc.record({ ...planOf(), to: fc.constantFrom(1, 3, 4, 5, 10, 11) }) }, frame),
  {
    minLength: 1,
    maxLength: BURST_MAX,
  },
)
function planOf() {
  return { from: fc.constantFrom(1, 1, 3), flags: fc.constant(0), offset: fc.constant(16), length: fc.constantFrom(60, 1514) }
}
const known = fc.array(fc.tuple(fc.constantFrom(1, 3, 4, 5, 10, 11), fc.constantFrom(0, 1, 7, 255, 256, 0xffff)), {
  maxLength: 8,
})

/** What `work` leaves in memory, and what it returned; memory is as before. */
function outcome(work: () => number): { after: Buffer; result: number } {
  const before = Buffer.from(new Uint8Array(memory.buffer).slice())
  const result = work()
  const after = Buffer.from(new Uint8Array(memory.buffer).slice())
  new Uint8Array(memory.buffer).set(before)
  return { after, result }
}

test('frames get the same queues from the kernel and from its twin', () => {
  fc.assert(
    fc.property(frames, known, fc.nat(BURST_MAX), (burst, entries, from) => {
      fill(burst)
      know(entries)
      const first = from % burst.length
      const [one, other] = [kernels, twin].map((by) => outcome(() => by.assign(POOL, first, burst.length, BLOCK)))
      assert.equal(one!.result, other!.result)
      assert.ok(one!.after.equals(other!.after), 'memory differs')
    }),
    { numRuns: 100 },
  )
})

test('frames of several addresses get their queues up to one that is not known, and each queue its sums', () => {
  const [near, far] = [
    { ...plain, to: 4 },
    { ...plain, to: 5 },
  ]
  for (const by of [kernels, twin]) {
    fill([near, far, { ...near, length: 100 }, { ...plain, to: 10 }, near])
    know([
      [near.to, 5],
      [far.to, 9],
    ])
    assert.equal(by.assign(POOL, 0, 5, BLOCK), 3)
    know([
      [near.to, 5],
      [far.to, 9],
    ])
    fill([near, far, { ...near, length: 100 }])
    assert.equal(by.assign(POOL, 0, 3, BLOCK), 3)
    assert.deepEqual(
      [0, 1, 2].map((k) => view.getUint16(POOL + P_RECEIVE_QUEUE + k * 2, true)),
      [5, 9, 5],
    )
    const word = (field: number, queue: number): number => view.getUint32(BLOCK + field + queue * 4, true)
    assert.deepEqual([word(QB_FRAMES, 5), word(QB_BYTES, 5), word(QB_FRAMES, 9), word(QB_BYTES, 9)], [2, 160, 1, 60])
    assert.equal(word(QB_TOUCHED_COUNT, 0), 2)
    assert.deepEqual(
      [0, 1].map((i) => view.getUint16(BLOCK + QB_TOUCHED + i * 2, true)),
      [5, 9],
    )
  }
})

/** Queue 5 goes with the address of frames to 1, queue 9 with that of frames to 3; queue 7 has no destination. */
function aimAt(): void {
  new Uint8Array(memory.buffer, TARGETS, QUEUE_TARGETS_BYTES).fill(0)
  for (const [queue, to, entry] of [
    [5, 1, 0x4005],
    [9, 3, 0x4009],
    [7, 4, 0],
  ] as const) {
    const { first, second } = addressOf(to)
    view.setUint32(TARGETS + QT_ENTRY + queue * 4, entry, true)
    view.setUint32(TARGETS + QT_FIRST + queue * 4, first, true)
    view.setUint32(TARGETS + QT_SECOND + queue * 4, second, true)
  }
}

function place(queues: readonly number[], counts: readonly number[] = []): void {
  for (const [k, queue] of queues.entries()) {
    view.setUint16(POOL + P_RECEIVE_QUEUE + k * 2, queue, true)
    view.setUint16(POOL + P_DESTINATION_COUNT + k * 2, counts[k] ?? 0, true)
    view.setUint16(LIST + k * 2, k, true)
  }
}

test('packets get the same destinations from the kernel and from its twin', () => {
  const queues = fc.array(fc.constantFrom(0, 5, 5, 7, 9, 9, 300), { minLength: BURST_MAX, maxLength: BURST_MAX })
  const counts = fc.array(fc.constantFrom(0, 0, 0, 0, 0, 1), { minLength: BURST_MAX, maxLength: BURST_MAX })
  fc.assert(
    fc.property(frames, queues, counts, (burst, of, given) => {
      fill(burst)
      aimAt()
      place(of.slice(0, burst.length), given)
      const [one, other] = [kernels, twin].map((by) => outcome(() => by.aimEach(POOL, LIST, burst.length, TARGETS)))
      assert.equal(one!.result, other!.result)
      assert.ok(one!.after.equals(other!.after), 'memory differs')
    }),
    { numRuns: 100 },
  )
})

test('a packet gets the destination of its queue unless its header names another address, and its senders are told apart', () => {
  for (const by of [kernels, twin]) {
    aimAt()
    fill([plain, { ...plain, to: 3 }, { ...plain, to: 4 }])
    place([5, 9, 9])
    assert.equal(by.aimEach(POOL, LIST, 3, TARGETS), 1 | AIMED_ONE_SENDER)
    assert.deepEqual(
      [0, 1].map((k) => view.getUint32(POOL + P_DESTINATION + k * 4, true)),
      [0x4005, 0x4009],
    )
    assert.equal(view.getUint16(POOL + P_DESTINATION_COUNT + 2 * 2, true), 0)
    fill([plain, { ...plain, from: 3 }])
    place([5, 5])
    assert.equal(by.aimEach(POOL, LIST, 2, TARGETS), 0)
    fill([plain])
    place([7])
    assert.equal(by.aimEach(POOL, LIST, 1, TARGETS) & AIMED_LEFT, 1)
  }
})
