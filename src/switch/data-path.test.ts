import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness, frame } from '../../test/support/data-path-harness.ts'

test('a frame goes down the stack on ingress and up on egress, with its source set and no destinations before forwarding (ES-011, ES-012, ES-300, ES-303, ES-345)', () => {
  const harness = new DataPathHarness().connect(2)
  const seen: string[] = []
  const look = (name: string) => () => ({
    ingress: (batch: {
      destinationCount(i: number): number
      sourcePortId(i: number): number
      sourceNicIndex(i: number): number
    }) => seen.push(`${name} down ${batch.sourcePortId(0)}/${batch.sourceNicIndex(0)} to ${batch.destinationCount(0)}`),
    egress: (batch: { destinationCount(i: number): number; destinationPortId(i: number, k: number): number }) =>
      seen.push(`${name} up to ${batch.destinationCount(0)}: ${batch.destinationPortId(0, 0)}`),
  })
  harness.install([{ class: 'capturing' }, look('C')], look('F'))
  harness.send(1, frame(2, 1, 'hello'))
  assert.deepEqual(seen, ['C down 1/0 to 0', 'F down 1/0 to 0', 'F up to 1: 2', 'C up to 1: 2'])
  assert.deepEqual(harness.got(2), ['hello'])
})

test('order is kept within a burst and across bursts', () => {
  const harness = new DataPathHarness().connect(3)
  const sent: string[] = []
  for (let burst = 0; burst < 4; burst++) {
    const texts = Array.from({ length: 64 }, (_, i) => `${burst}.${i}`)
    sent.push(...texts)
    harness.send(1, ...texts.map((text) => frame(2, 1, text)))
  }
  assert.deepEqual(harness.got(2), sent)
  assert.deepEqual(harness.got(3), [])
})

test("a forwarding extension's destinations are its own, whatever the slot was used for before (ES-316, ES-352)", () => {
  const harness = new DataPathHarness().connect(6)
  harness.send(1, frame(0xff, 1, 'a'), frame(0xff, 1, 'b'), frame(0xff, 1, 'c')) // leaves flooded slots behind
  harness.install([
    { class: 'forwarding' },
    () => ({
      ingress(batch) {
        for (let i = 0; i < batch.length; i++)
          if (batch.isBroadcast(i)) for (const port of [4, 5, 6]) batch.addDestination(i, port)
          else batch.addDestination(i, 2)
      },
    }),
  ])
  for (const port of [2, 3, 4, 5, 6]) harness.sink(port).frames.length = 0
  harness.send(1, frame(2, 1, 'one'), frame(0xff, 1, 'all'), frame(2, 1, 'two'))
  harness.send(1, frame(2, 1, 'three'), frame(0xff, 1, 'again'), frame(2, 1, 'four'))
  assert.deepEqual(harness.got(2), ['one', 'two', 'three', 'four'])
  assert.deepEqual(harness.got(3), [])
  for (const port of [4, 5, 6]) assert.deepEqual(harness.got(port), ['all', 'again'])
})

test('what a forwarding extension leaves without a destination is dropped (ES-317)', () => {
  const harness = new DataPathHarness().connect(2)
  harness.install([{ class: 'forwarding' }, () => ({ ingress() {} })])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(harness.got(2), [])
  assert.deepEqual(harness.drops(1), { 'no-destination': 1 })
})

test('a drop on ingress is counted at the source port, and nobody below or above sees the packet (ES-305, ES-362, ES-364)', () => {
  const harness = new DataPathHarness().connect(2)
  const below: number[] = []
  harness.install(
    () => ({
      ingress(batch) {
        batch.drop(1, 'policy')
        batch.drop(1, 'policy')
      },
    }),
    () => ({ ingress: (batch) => void below.push(batch.length), egress: (batch) => void below.push(batch.length) }),
  )
  harness.send(1, frame(2, 1, 'a'), frame(2, 1, 'b'), frame(2, 1, 'c'))
  assert.deepEqual(harness.got(2), ['a', 'c'])
  assert.deepEqual(below, [2, 2])
  assert.deepEqual(harness.drops(1), { policy: 1 })
  assert.equal(harness.portCounter(1, 'receivedDropped'), 1)
  assert.equal(harness.portCounter(1, 'sendDropped'), 0)
})

test('a drop on egress is counted at each destination that is lost (ES-344, ES-365)', () => {
  const harness = new DataPathHarness().connect(4)
  harness.install(() => ({
    egress(batch) {
      batch.exclude(0, 0, 'one')
      batch.drop(0, 'all')
    },
  }))
  harness.send(1, frame(0xff, 1, 'x'))
  assert.deepEqual(
    [2, 3, 4].map((port) => harness.got(port).length),
    [0, 0, 0],
  )
  assert.deepEqual(harness.drops(1), {})
  assert.deepEqual(harness.drops(2), { one: 1 })
  assert.deepEqual(harness.drops(3), { all: 1 })
  assert.deepEqual(harness.drops(4), { all: 1 })
  assert.equal(harness.portCounter(3, 'sendDropped'), 1)
})

test('an excluded destination gets nothing, the others do; the last exclusion drops the packet (ES-346, ES-352, ES-357, ES-358)', () => {
  const harness = new DataPathHarness().connect(4)
  const above: string[] = []
  harness.install(
    () => ({
      egress(batch) {
        for (let i = 0; i < batch.length; i++)
          above.push(`${batch.isExcluded(i, 0)} ${batch.isExcluded(i, 1)} ${batch.isExcluded(i, 2)}`)
      },
    }),
    () => ({
      egress(batch) {
        batch.exclude(0, 1, 'quiet')
        for (let k = 0; k < batch.destinationCount(1); k++) batch.exclude(1, k, 'quiet')
        batch.exclude(2, 0, 'quiet')
      },
    }),
  )
  harness.send(1, frame(0xff, 1, 'some'), frame(0xff, 1, 'none'), frame(2, 1, 'unicast'))
  assert.deepEqual(above, ['false true false'])
  assert.deepEqual(
    [2, 3, 4].map((port) => harness.got(port)),
    [['some'], [], ['some']],
  )
  assert.deepEqual(harness.drops(3), { quiet: 2 })
  assert.deepEqual(harness.drops(2), { quiet: 2 })
})

test('observers are shown every drop and exclusion with its reason', () => {
  const harness = new DataPathHarness().connect(3)
  const shown: string[] = []
  harness.install(
    [
      { class: 'capturing' },
      () => ({
        filtered(batch, reason) {
          for (let i = 0; i < batch.length; i++) shown.push(`${String.fromCharCode(batch.u8(i, 14))} ${reason(i)}`)
          batch.drop(0, 'not allowed here')
        },
      }),
    ],
    () => ({
      ingress: (batch) => batch.drop(0, 'down'),
      egress: (batch) => batch.exclude(0, 0, 'partly'),
    }),
  )
  harness.send(1, frame(2, 1, 'a'), frame(0xff, 1, 'b'), frame(9, 1, 'c'), frame(2, 3, 'd'))
  assert.deepEqual(shown, ['a down', 'c no-destination', 'd mac-spoofing', 'b partly'])
})

test('a runt and a frame of an unconnected port are dropped with a reason and completed', () => {
  const harness = new DataPathHarness().connect(2)
  harness.send(1, new Uint8Array(5), frame(2, 1, 'ok'))
  harness.send(3, frame(2, 3, 'x'))
  assert.deepEqual(harness.got(2), ['ok'])
  assert.deepEqual(harness.drops(1), { runt: 1 })
  assert.deepEqual(harness.drops(3), { 'source-not-connected': 1 })
})

test('header bytes that a filter writes are what is forwarded by and what is delivered, and are parsed anew', () => {
  const harness = new DataPathHarness().connect(3)
  const types: number[] = []
  harness.install(
    () => ({
      ingress(batch) {
        assert.equal(batch.setU8(0, 5, 3), true) // to port 3
        assert.equal(batch.setU16(0, 12, 0x88b6), true)
        assert.equal(batch.setU32(0, 14, 0x41424344), true)
        assert.equal(batch.etherType(0), 0x88b5)
      },
    }),
    () => ({ ingress: (batch) => void types.push(batch.etherType(0)) }),
  )
  harness.send(1, frame(2, 1, 'wxyz!'))
  assert.deepEqual(types, [0x88b6])
  assert.deepEqual(harness.got(2), [])
  assert.deepEqual(harness.got(3), ['ABCD!'])
})
