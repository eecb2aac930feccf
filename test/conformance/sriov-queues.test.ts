// Decisions of this project about VM queues, which are what an adapter has while it has no NIC switch.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OperationalState } from '../../src/adapter/queues/queue-words.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { MAC, wireFrame } from '../support/adapter-harness.ts'
import { QueueHarness } from '../support/queue-harness.ts'

const to = (mac: string, text: string): Buffer => wireFrame(mac, MAC.peer, text)

test('PD-19: the filter of a queue that is not complete does not match: its frames go to queue 0, until it is (PD-18)', async () => {
  const h = await QueueHarness.start()
  const ready = await h.allocate()
  await h.filter(ready, MAC.b)
  assert.deepEqual(await h.complete(ready), [NdisStatus.success])
  const late = await h.allocate()
  await h.filter(late, MAC.a)
  assert.equal((await h.reported(late))?.queueState, OperationalState.paused, 'Set is reported as Paused')
  h.receive(0, to(MAC.a, 'of the late one'), to(MAC.b, 'of the ready one'))
  assert.deepEqual(h.texts(), { 0: ['of the late one'], [ready]: ['of the ready one'] })
  assert.deepEqual(await h.complete(late), [NdisStatus.success])
  h.receive(0, to(MAC.a, 'now'), to(MAC.b, 'still'))
  assert.deepEqual(h.texts(), { [late]: ['now'], [ready]: ['still'] })
})
