import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { catchInterrupts } from './interrupt.ts'

function underTest() {
  const source = new EventEmitter()
  const exits: number[] = []
  const lines: string[] = []
  const clock = { nowMs: 0 }
  const interrupt = catchInterrupts({
    source,
    write: (line) => lines.push(line),
    nowMs: () => clock.nowMs,
    exit: (code) => exits.push(code),
  })
  return { source, exits, lines, clock, interrupt }
}

test('the first signal asks, a later one forces', () => {
  const { source, exits, lines, clock, interrupt } = underTest()
  source.emit('SIGINT')
  assert.equal(interrupt.signal.aborted, true)
  assert.equal(lines.length, 1)
  clock.nowMs = 2_000
  source.emit('SIGTERM')
  assert.deepEqual(exits, [130])
})

test('the same Ctrl-C passed on twice is one', () => {
  const { source, exits, clock } = underTest()
  source.emit('SIGINT')
  clock.nowMs = 20
  source.emit('SIGINT')
  assert.deepEqual(exits, [])
})

test('released signals are not heard', () => {
  const { source, interrupt } = underTest()
  interrupt.release()
  source.emit('SIGINT')
  assert.equal(interrupt.signal.aborted, false)
})
