import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Steps } from './steps.ts'

describe('steps', () => {
  test('run one after the other, and one that fails does not stop the next', async () => {
    const done: string[] = []
    const steps = new Steps((error) => done.push(String(error)))
    steps.start(async () => {
      await Promise.resolve()
      done.push('first')
    })
    steps.start(async () => {
      throw new Error('second')
    })
    await steps.run(async () => {
      done.push('third')
    })
    await assert.rejects(
      steps.run(async () => {
        throw new Error('fourth')
      }),
      /fourth/,
    )
    assert.deepEqual(done, ['first', 'Error: second', 'third'])
  })
})
