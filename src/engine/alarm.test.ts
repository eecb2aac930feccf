import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EpollSet } from '../linux/epoll.ts'
import { closeFd, createEventFd, drainEventFd, signalEventFd } from '../linux/files.ts'
import { Alarm } from './alarm.ts'

test('what is due within a millisecond ends the wait long before the whole time-out, and is no descriptor that is ready', () => {
  const epoll = new EpollSet()
  const alarm = new Alarm(epoll)
  const before = performance.now()
  assert.equal(alarm.wait(60_000, 0.3), 0)
  const took = performance.now() - before
  assert.ok(took >= 0.25 && took < 30_000, `${took} ms`)
  assert.equal(alarm.wait(60_000, 0), 0, 'what is due now is not waited for')
  assert.equal(alarm.wait(1, Number.POSITIVE_INFINITY), 0)
  alarm.close()
  epoll.close()
})

test('a descriptor that is ready ends the wait, and the time that was set is forgotten', () => {
  const epoll = new EpollSet()
  const alarm = new Alarm(epoll)
  const event = createEventFd()
  epoll.add(event)
  signalEventFd(event)
  assert.equal(alarm.wait(1000, 500), 1)
  assert.equal(epoll.ready(0), event)
  drainEventFd(event)
  assert.equal(alarm.wait(1, Number.POSITIVE_INFINITY), 0)
  alarm.close()
  epoll.close()
  closeFd(event)
})
