import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseMac } from '../../packet/addresses.ts'
import { macKey } from '../mac-table.ts'
import { DEPARTED_MAX, DEPARTED_SECONDS, Departures, SENT_ON_PER_SECOND } from './departures.ts'

const MAC = '02:00:00:00:00:01'
const { low, high } = macKey(MAC)

test('a guest that left is known in its subnet alone, for a bounded time', () => {
  const departures = new Departures()
  departures.nextSecond()
  assert.equal(departures.take(1, low, high, 0), false)
  departures.add(1, parseMac(MAC), 100)
  for (const [subnet, second, is] of [
    [1, 100, true],
    [1, 100 + DEPARTED_SECONDS, true],
    [2, 100, false],
    [1, 101 + DEPARTED_SECONDS, false],
  ] as const)
    assert.equal(departures.take(subnet, low, high, second), is, `${subnet} at ${second}`)
})

test('only so many frames are sent on in a second', () => {
  const departures = new Departures()
  departures.add(1, parseMac(MAC), 0)
  assert.equal(departures.take(1, low, high, 0), false, 'no second has begun')
  departures.nextSecond()
  for (let i = 0; i < SENT_ON_PER_SECOND; i++) departures.take(1, low, high, 0)
  assert.equal(departures.take(1, low, high, 0), false)
  departures.nextSecond()
  assert.equal(departures.take(1, low, high, 1), true)
})

test('those that left first are forgotten first', () => {
  const departures = new Departures()
  departures.nextSecond()
  departures.add(1, parseMac(MAC), 0)
  for (let i = 0; i < DEPARTED_MAX - 1; i++) departures.add(2, parseMac(MAC), 0)
  assert.equal(departures.take(1, low, high, 0), true)
  departures.add(2, parseMac(MAC), 0)
  assert.equal(departures.take(1, low, high, 0), false)
})

test('a copy knows the same guests, and uses up nothing of the original', () => {
  const departures = new Departures()
  departures.add(1, parseMac(MAC), 0)
  departures.nextSecond()
  const copy = departures.copy()
  for (let i = 0; i < SENT_ON_PER_SECOND; i++) assert.equal(copy.take(1, low, high, 0), true)
  assert.equal(copy.take(1, low, high, 0), false)
  assert.equal(departures.take(1, low, high, 0), true)
})
