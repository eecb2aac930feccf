import assert from 'node:assert/strict'
import { test } from 'node:test'
import { layOut } from './schedule.ts'

const lab = { seconds: 2, port: 'alpha', adapter: 'nic0' }

test('steps that come again are laid out in time, between those that come once', () => {
  const actions = layOut(
    [
      { action: 'remove', at: 0.5, every: 0.5, times: 2 },
      { action: 'assign', at: 0.75, every: 0.5 },
      { action: 'pull', at: 0.8 },
    ],
    lab,
  )
  assert.deepEqual(
    actions.map(({ action, atMs, target }) => `${atMs} ${action} ${target}`),
    ['500 remove alpha', '750 assign alpha', '800 pull nic0', '1000 remove alpha', '1250 assign alpha', '1750 assign alpha'],
  )
})

test('a step may name its port, and nothing is done after the end', () => {
  const steps = [
    { action: 'surprise', at: 1, port: 'beta' },
    { action: 'remove', at: 2 },
  ] as const
  assert.deepEqual(layOut(steps, lab), [{ action: 'surprise', atMs: 1000, target: 'beta' }])
})

test('steps of one moment are done in the order in which they are written', () => {
  const steps = [
    { action: 'remove', at: 1 },
    { action: 'assign', at: 1 },
  ] as const
  assert.deepEqual(
    layOut(steps, lab).map(({ action }) => action),
    ['remove', 'assign'],
  )
})
