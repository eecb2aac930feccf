import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { chooseMove, type ProcessorLoad, type QueueLoad } from './rebalancing.ts'

const processors = (...busy: number[]): ProcessorLoad[] => busy.map((share, processor) => ({ processor, busy: share }))
const queue = (id: number, processor: number, frames: number, mayMove = true): QueueLoad => ({
  queue: id,
  processor,
  frames,
  mayMove,
})

test('the queue that comes nearest to closing the gap moves to the processor with least to do', () => {
  const queues = [queue(1, 0, 600), queue(2, 0, 300), queue(3, 0, 100), queue(4, 1, 50)]
  assert.deepEqual(chooseMove(processors(0.9, 0.2, 0.1), queues), { queue: 2, to: 2 })
})

test('nothing moves for a small gap, a lone queue, a queue without frames, or one that may not', () => {
  assert.equal(chooseMove(processors(0.6, 0.45), [queue(1, 0, 10), queue(2, 0, 10)]), undefined)
  assert.equal(chooseMove(processors(0.9, 0.1), [queue(1, 0, 10)]), undefined, 'it would only change sides')
  assert.equal(chooseMove(processors(0.9, 0.1), [queue(1, 0, 10), queue(2, 0, 0)]), undefined)
  assert.equal(chooseMove(processors(0.9, 0.1), [queue(1, 0, 10, false), queue(2, 0, 10, false)]), undefined)
  assert.equal(chooseMove(processors(0.9), [queue(1, 0, 10), queue(2, 0, 10)]), undefined)
})

test('under a load that stays as it is moves come to an end, and no queue goes back where it was', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 2, maxLength: 12 }),
      fc.integer({ min: 2, max: 4 }),
      (frames, count) => {
        const most = frames.reduce((sum, one) => sum + one, 0)
        const where = frames.map(() => 0)
        const gap = (): number => {
          const loads = Array.from({ length: count }, (_, p) => frames.reduce((sum, f, i) => sum + (where[i] === p ? f : 0), 0))
          return Math.max(...loads) - Math.min(...loads)
        }
        for (let looks = 0; looks < 50; looks++) {
          const loads = Array.from(
            { length: count },
            (_, p) => frames.reduce((sum, f, i) => sum + (where[i] === p ? f : 0), 0) / most,
          )
          const move = chooseMove(
            processors(...loads),
            frames.map((f, i) => queue(i + 1, where[i]!, f)),
          )
          if (!move) return
          const before = gap()
          where[move.queue - 1] = move.to
          assert.ok(gap() <= before, 'a move made the gap larger')
        }
        assert.fail('queues move for ever')
      },
    ),
  )
})
