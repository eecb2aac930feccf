import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApplyError, carryOut, type Step } from './transaction.ts'

const recorder =
  (log: string[]) =>
  (what: string, failing: { do?: Error; undo?: Error } = {}): Step => ({
    what,
    do: async () => {
      if (failing.do) throw failing.do
      log.push(`do ${what}`)
    },
    undo: async () => {
      log.push(`undo ${what}`)
      if (failing.undo) throw failing.undo
    },
  })

test('steps are carried out in order, and taken back in reverse', async () => {
  const log: string[] = []
  const step = recorder(log)
  const done = await carryOut([step('a'), step('b')])
  assert.deepEqual(await done.undo(), [])
  assert.deepEqual(log, ['do a', 'do b', 'undo b', 'undo a'])
})

test('a step that fails undoes those before it, and its error keeps its code and says which it was', async () => {
  const log: string[] = []
  const step = recorder(log)
  const cause = Object.assign(new Error('no room'), { code: 'NO_ROOM' })
  await assert.rejects(carryOut([step('a'), step('b'), step('c', { do: cause }), step('d')]), (error) => {
    assert.ok(error instanceof ApplyError)
    assert.equal(error.code, 'no-room')
    assert.equal(error.message, 'nothing was applied: c: no room')
    assert.deepEqual(error.leftovers, [])
    return true
  })
  assert.deepEqual(log, ['do a', 'do b', 'undo b', 'undo a'])
})

test('what can not be undone is told, and the others are undone all the same', async () => {
  const log: string[] = []
  const step = recorder(log)
  const stuck = step('b', { undo: new Error('stuck') })
  await assert.rejects(carryOut([step('a'), stuck, step('c', { do: new Error('no') })]), (error) => {
    assert.ok(error instanceof ApplyError)
    assert.deepEqual(error.leftovers, ["b can't be undone: stuck"])
    return true
  })
  assert.deepEqual(log, ['do a', 'do b', 'undo b', 'undo a'])
})
