import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DROP_REASONS_MAX, DropReason, dropReasonNames, FIRST_EXTENSION_REASON } from '../ndis/drop-reasons.ts'
import { REASON_REGISTRY_BYTES, ReasonRegistry } from './reason-registry.ts'

const make = (): [ReasonRegistry, ReasonRegistry] => {
  const buffer = new SharedArrayBuffer(REASON_REGISTRY_BYTES)
  return [new ReasonRegistry(buffer, 0), new ReasonRegistry(buffer, 0)]
}

test('every drop reason of the switch has a name of its own', () => {
  assert.equal(dropReasonNames.length, Object.keys(DropReason).length)
  assert.ok(dropReasonNames.length <= FIRST_EXTENSION_REASON, "the switch's own reasons reach into those of extensions")
  assert.equal(new Set(dropReasonNames).size, dropReasonNames.length)
  const [registry] = make()
  for (const [number, name] of dropReasonNames.entries()) {
    assert.equal(registry.number(name), number)
    assert.equal(registry.name(number), name)
  }
})

test('two registries over one memory give a name the same number, whoever asks first', () => {
  const [one, other] = make()
  const a = one.number('telnet')
  const b = other.number('quota')
  assert.equal(a, FIRST_EXTENSION_REASON)
  assert.notEqual(a, b)
  assert.equal(other.number('telnet'), a)
  assert.equal(one.number('quota'), b)
  assert.equal(one.name(b), 'quota')
})

test('long names and names in other scripts are cut between characters, and found again', () => {
  const [one, other] = make()
  for (const name of ['x'.repeat(200), 'ä'.repeat(59), `x${'ä'.repeat(59)}`, '🧪'.repeat(40)]) {
    const number = one.number(name)
    assert.equal(other.number(name), number)
    assert.ok(name.startsWith(other.name(number)))
    assert.ok(other.name(number).length > 10)
  }
})

test('when all numbers are taken the last one stands for the rest', () => {
  const [one, other] = make()
  const numbers = Array.from({ length: DROP_REASONS_MAX }, (_, i) => one.number(`reason-${i}`))
  assert.equal(numbers.at(-1), DROP_REASONS_MAX - 1)
  assert.ok(numbers.every((number) => number >= FIRST_EXTENSION_REASON && number < DROP_REASONS_MAX))
  assert.equal(other.number('one more'), DROP_REASONS_MAX - 1)
  assert.equal(other.number('reason-3'), numbers[3])
})

test('numbers that no counter has become the last one', () => {
  const [registry] = make()
  for (const number of [-1, DROP_REASONS_MAX, 1.5, Number.NaN]) assert.equal(registry.resolve(number), DROP_REASONS_MAX - 1)
  assert.equal(registry.resolve(DropReason.hairpin), DropReason.hairpin)
  assert.equal(registry.resolve('hairpin'), DropReason.hairpin)
})

test('a number that nobody registered has a name all the same', () => {
  const [registry] = make()
  assert.equal(registry.name(90), 'reason 90')
  for (let number = dropReasonNames.length; number < FIRST_EXTENSION_REASON; number++)
    assert.equal(registry.name(number), `reason ${number}`)
})
