// The form that a destination gets its packets in, made by the kernel and in TypeScript: every field and byte the same, and taken back.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DataPathHarness, frame, mac } from '../../test/support/data-path-harness.ts'
import { DE_EXCLUDED, DE_PRESERVE_PRIORITY, DE_PRESERVE_VLAN, OFFLOAD_TSO4, VNET_STRIDE } from '../kernels/layout.ts'
import { appendDestination } from '../ndis/destinations.ts'
import type { DeliveryForms } from './delivery-forms.ts'

const PORT = 2
const LIST_BYTES = 512
const FORMS = [0, DE_PRESERVE_VLAN, DE_PRESERVE_PRIORITY, DE_PRESERVE_VLAN | DE_PRESERVE_PRIORITY]

const packets = fc.array(
  fc.record({
    tags: fc.array(
      fc.record({ type: fc.constantFrom(0x8100, 0x88a8, 0x9100), tci: fc.constantFrom(0, 7, 0x2007, 0x3007, 0xe000) }),
      { maxLength: 2 },
    ),
    outOfBand: fc.constantFrom(undefined, undefined, 7, 0xa007, 0xa000),
    odd: fc.boolean(),
    headroom: fc.constantFrom(128, 2, 4),
    length: fc.constantFrom(60, 100, 101, 104, 105, 200),
    isSuper: fc.boolean(),
    vnet: fc.constantFrom([0, 0, 0], [1, 0, 0], [1, 1, 54], [0, 1, 54]),
    entries: fc.array(
      fc.record({ port: fc.constantFrom(1, PORT, PORT, 3), form: fc.constantFrom(...FORMS), excluded: fc.boolean() }),
      { maxLength: 3 },
    ),
  }),
  { minLength: 1, maxLength: 20 },
)
const scenes = fc.record({
  packets,
  again: fc.array(fc.nat(19), { maxLength: 4 }),
  mtu: fc.constantFrom(0, 0, 86, 90),
  priorities: fc.boolean(),
})
type Scene = typeof scenes extends fc.Arbitrary<infer T> ? T : never

/** The pool's packets after `prepare` and after `undo`, and what `prepare` said. */
function play({ packets, again, mtu, priorities }: Scene, shortCut: boolean): unknown {
  const harness = new DataPathHarness({ shortCut, spareBytes: LIST_BYTES }).connect(3)
  const { pool, ports } = harness
  ports.setMtu(PORT, mtu)
  ports.setPriorityTag(PORT, priorities)
  for (const [slot, packet] of packets.entries()) {
    const plain = frame(mac(PORT), mac(1), `packet ${slot}`, 0x0800)
    const tags = packet.tags.flatMap(({ type, tci }) => [type >> 8, type & 0xff, tci >> 8, tci & 0xff])
    const whole = Buffer.concat([plain.subarray(0, 12), Buffer.from(tags), plain.subarray(12), Buffer.alloc(packet.length)])
    const vnet = new Uint8Array(VNET_STRIDE)
    const [flags = 0, type = 0, length = 0] = packet.vnet
    vnet.set([flags, type, length, 0, 0, 0, 34])
    harness.fill(slot, 1, { bytes: whole.subarray(0, packet.length), needs: packet.isSuper ? OFFLOAD_TSO4 : 0, vnet })
    const from = slot * 256 + pool.headerOffset[slot]!
    const to = slot * 256 + packet.headroom + (packet.odd ? 1 : 0)
    pool.header8.copyWithin(to, from, from + pool.headerLength[slot]!)
    pool.headerOffset[slot] = to - slot * 256
    harness.kernels.parse(pool.base, slot, 1)
    if (packet.tags.length === 0 && packet.outOfBand !== undefined) pool.setTag(slot, packet.outOfBand)
    for (const { port, form, excluded } of packet.entries)
      appendDestination(pool, slot, port | form | (excluded ? DE_EXCLUDED : 0))
  }
  const slots = [...packets.keys(), ...again.filter((slot) => slot < packets.length)]
  const lists = new Uint16Array(harness.buffer, harness.spare, LIST_BYTES >> 1)
  lists.set(slots, 3)
  const state = (): unknown =>
    [...packets.keys()].map((slot) => [
      Buffer.from(pool.header8.subarray(slot * 256 + pool.headerOffset[slot]!, slot * 256 + 256)).toString('hex'),
      ...[pool.headerOffset, pool.headerLength, pool.length, pool.l3, pool.l4, pool.vlan, pool.flags].map((field) => field[slot]),
      Buffer.from(pool.vnet.subarray(slot * VNET_STRIDE, (slot + 1) * VNET_STRIDE)).toString('hex'),
    ])
  const before = state()
  const forms = harness.delivery.forms as DeliveryForms
  const kept = forms.prepare(lists, 3, slots.length, PORT)
  const formed = state()
  const said = [kept, forms.bytes, forms.tooLong, forms.tooLong === 0 ? -1 : forms.tooLongSlot, [...lists.subarray(3, 3 + kept)]]
  forms.undo()
  assert.deepEqual(state(), before)
  return [said, formed]
}

test('the kernel gives packets the forms that TypeScript gives them, and both take them back (ES-326, ES-327, ES-528)', () => {
  fc.assert(
    fc.property(scenes, (scene) => assert.deepEqual(play(scene, true), play(scene, false))),
    { numRuns: 200 },
  )
})

for (const shortCut of [true, false])
  test(`after a delivery that failed the next packets in the same slots get their form ${shortCut ? 'of the kernel' : 'in TypeScript'}`, () => {
    const harness = new DataPathHarness({ shortCut, spareBytes: LIST_BYTES }).connect(2)
    const lists = new Uint16Array(harness.buffer, harness.spare, 1)
    const forms = harness.delivery.forms as DeliveryForms
    const lengths = [0, 1].map(() => {
      harness.fill(0, 1, Buffer.concat([frame(2, 1).subarray(0, 12), Buffer.from([0x81, 0, 0, 7]), frame(2, 1).subarray(12)]))
      harness.kernels.parse(harness.pool.base, 0, 1)
      lists[0] = 0
      forms.prepare(lists, 0, 1, PORT)
      return harness.pool.length[0]
    })
    assert.deepEqual(lengths, [60, 60])
  })
