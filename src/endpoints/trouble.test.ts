import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { testMemory } from '../../test/support/data-half.ts'
import { Trouble, TroubleDesk, tellTrouble } from './trouble.ts'

describe('trouble', () => {
  test('each kind is told once with its last detail, however large', async () => {
    const memory = testMemory()
    const told: [Trouble, number][] = []
    const desk = new TroubleDesk(memory, (trouble, detail) => told.push([trouble, detail]))
    tellTrouble(memory, desk.plan, Trouble.failed, 5)
    tellTrouble(memory, desk.plan, Trouble.badLength, 0)
    tellTrouble(memory, desk.plan, Trouble.badLength, 0xffff_ffff)
    while (told.length < 2) await sleep(1)
    assert.deepEqual(told, [
      [Trouble.badLength, 0x7fff_fffe],
      [Trouble.failed, 5],
    ])
    desk.close()
  })

  test('what was told before a new connection is forgotten', async () => {
    const memory = testMemory()
    const told: Trouble[] = []
    const desk = new TroubleDesk(memory, (trouble) => told.push(trouble))
    tellTrouble(memory, desk.plan, Trouble.closed, 0)
    desk.clear()
    tellTrouble(memory, desk.plan, Trouble.failed, 0)
    while (told.length < 1) await sleep(1)
    assert.deepEqual(told, [Trouble.failed])
    desk.close()
  })
})
