import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RingGate, RingGates, ringGatesBytes } from './ring-gates.ts'

const RINGS = 3
const make = (): { control: RingGates; rings: RingGate[] } => {
  const buffer = new SharedArrayBuffer(64 + ringGatesBytes(RINGS))
  const rings = Array.from({ length: RINGS }, (_, ring) => new RingGate(buffer, 64, ring))
  return { control: new RingGates(buffer, 64, RINGS), rings }
}

test('a ring counts as shut when its processor has seen it, and the others stay open', () => {
  const { control, rings } = make()
  control.shut(1)
  assert.equal(control.isShut(1), false)
  assert.deepEqual(
    rings.map((ring) => ring.isOpen()),
    [true, false, true],
  )
  assert.equal(control.isShut(1), true)
  control.open(1)
  assert.equal(rings[1]!.isOpen(), true)
  control.shut(1)
  assert.equal(control.isShut(1), false, 'what was seen before does not count')
})

test('a ring is drained when a look found nothing, or as many frames were taken as it holds', () => {
  const { control, rings } = make()
  const ring = rings[0]!
  const turn = (frames: number): void => {
    assert.ok(ring.isOpen())
    ring.took(frames)
  }
  turn(0)
  control.drain(0)
  assert.equal(control.isDrained(0), false)
  turn(64)
  assert.equal(control.isDrained(0), false)
  turn(0)
  assert.equal(control.isDrained(0), true)
  control.drain(0)
  for (let taken = 0; taken < 4096; taken += 64) {
    assert.equal(control.isDrained(0), false)
    turn(64)
  }
  assert.equal(control.isDrained(0), true)
})

test('a burst that was being taken when the drain was asked for does not end it', () => {
  const { control, rings } = make()
  assert.ok(rings[2]!.isOpen())
  control.drain(2)
  rings[2]!.took(0)
  assert.equal(control.isDrained(2), false)
  assert.ok(rings[2]!.isOpen())
  rings[2]!.took(0)
  assert.equal(control.isDrained(2), true)
})
