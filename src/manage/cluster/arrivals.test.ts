import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ResolvedPort } from '../config/types.ts'
import { Arrivals, SILENCE_MS } from './arrivals.ts'
import { VirtualClock } from './memory-store.ts'

const coming = { from: 'one', port: { name: 'web' } as ResolvedPort }

function world() {
  const clock = new VirtualClock()
  const silent: string[] = []
  const arrivals = new Arrivals({
    after: (ms, work) => {
      let isOn = true
      clock.after(ms, () => isOn && work())
      return () => {
        isOn = false
      }
    },
    silent: (name) => silent.push(name),
  })
  return { clock, silent, arrivals }
}

test('a port is given up when who moves it was heard twice, and no more', () => {
  const { clock, silent, arrivals } = world()
  assert.equal(arrivals.expect('web', coming), false)
  assert.equal(arrivals.expect('web', coming), true)
  for (let k = 0; k < 20; k++) {
    clock.run(SILENCE_MS - 1)
    assert.deepEqual(silent, [], 'as long as it is heard of')
    arrivals.expect('web', coming)
  }
  clock.run(SILENCE_MS)
  assert.deepEqual(silent, ['web'])
  assert.equal(arrivals.forget('web'), true)
  assert.equal(arrivals.ports.size, 0)
})

test('who says once that a port comes has all the time that it needs', () => {
  const { clock, silent, arrivals } = world()
  arrivals.expect('web', coming)
  clock.run(100 * SILENCE_MS)
  assert.deepEqual(silent, [])
  assert.equal(arrivals.ports.get('web'), coming)
})

test('a port that has come, or comes from another host, is given up by nobody', () => {
  const { clock, silent, arrivals } = world()
  arrivals.expect('web', coming)
  arrivals.expect('web', coming)
  assert.equal(arrivals.expect('web', { ...coming, from: 'three' }), false)
  clock.run(2 * SILENCE_MS)
  arrivals.expect('web', { ...coming, from: 'three' })
  arrivals.forget('web')
  arrivals.expect('db', coming)
  arrivals.expect('db', coming)
  arrivals.close()
  clock.run(2 * SILENCE_MS)
  assert.deepEqual(silent, [])
  assert.equal(arrivals.forget('web'), false)
})
