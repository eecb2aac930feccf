import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LINGER_MS, Lingering } from './lingering.ts'

function world() {
  const state = { ms: 0, ended: 0 }
  const waiting: { readonly at: number; readonly work: () => void }[] = []
  const lingering = new Lingering({
    nowMs: () => state.ms,
    after: (ms, work) => waiting.push({ at: state.ms + ms, work }),
    ended: () => state.ended++,
  })
  const pass = (ms: number): void => {
    state.ms += ms
    for (const { work } of waiting.filter(({ at }) => at <= state.ms)) work()
  }
  return { lingering, pass, state }
}

test('a virtual subnet stays for a while behind its last port, and its end is told of', () => {
  const { lingering, pass, state } = world()
  assert.deepEqual(lingering.follow(new Set([1, 2])), [])
  assert.deepEqual(lingering.follow(new Set([2])), [1])
  pass(LINGER_MS - 1)
  assert.deepEqual([lingering.follow(new Set([2])), state.ended], [[1], 0])
  pass(1)
  assert.deepEqual([lingering.follow(new Set([2])), state.ended], [[], 1])
})

test('a port that comes back ends the wait, and one that leaves again begins it anew', () => {
  const { lingering, pass } = world()
  lingering.follow(new Set([1]))
  lingering.follow(new Set())
  assert.deepEqual(lingering.follow(new Set([1])), [])
  pass(LINGER_MS - 1)
  assert.deepEqual(lingering.follow(new Set()), [1])
  pass(LINGER_MS - 1)
  assert.deepEqual(lingering.follow(new Set()), [1])
  pass(1)
  assert.deepEqual(lingering.follow(new Set()), [])
})

test('an overlay has the subnets of ports, those that ports just left, and none when the network was left', () => {
  const { lingering } = world()
  const known = new Map([1, 2].map((id) => [id, {}]))
  const ids = (ports: readonly number[] | undefined): number[] => [
    ...lingering
      .fed(
        ports?.map((virtualSubnetId) => ({ virtualSubnetId })),
        known,
      )
      .keys(),
  ]
  assert.deepEqual(ids([1, 0, 3]), [1, 3])
  assert.deepEqual(ids([2]), [2, 1], 'nothing is known of 3')
  assert.deepEqual(ids(undefined), [])
  assert.deepEqual(ids([]), [])
})
