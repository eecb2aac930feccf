import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { type Answer, endingOf } from './end-answer.ts'

function answering(type: string, headersSent = true) {
  const did: string[] = []
  const answer: Answer = Object.assign(new EventEmitter(), {
    headersSent,
    end: () => did.push('end'),
    destroy: () => did.push('destroy'),
  })
  return { did, ending: endingOf(answer, () => type) }
}

test('answers of single lines end in good order, all others are cut, so that nothing looks whole that is not', () => {
  for (const [type, sent, expected] of [
    ['application/x-ndjson', true, 'end'],
    ['text/event-stream; charset=utf-8', true, 'end'],
    ['application/vnd.tcpdump.pcap', true, 'destroy'],
    ['application/json', true, 'destroy'],
    ['application/x-ndjson', false, 'destroy'],
  ] as const) {
    const { did, ending } = answering(type, sent)
    ending.destroy()
    assert.deepEqual(did, [expected], type)
  }
})

test('a client that does not read is cut off after a while', ({ mock }) => {
  mock.timers.enable({ apis: ['setTimeout'] })
  const { did, ending } = answering('application/x-ndjson')
  ending.destroy()
  mock.timers.tick(2_000)
  assert.deepEqual(did, ['end', 'destroy'])
})
