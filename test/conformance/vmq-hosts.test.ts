// Scenario SR-CS-78: a host's queues for its VMs, as VMs come, move and go.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VmQueues } from '../../src/adapter/queues/vm-queues.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { BROADCAST, MAC } from '../support/adapter-harness.ts'
import { QueueHarness, queueLimits } from '../support/queue-harness.ts'
import { settle, to } from './vmq-support.ts'

const { success } = NdisStatus

const vmQueues = (h: QueueHarness, driver = 'stack'): VmQueues =>
  new VmQueues({ request: (request) => h.software.adapter.request(request, driver) })
const wish = (mac: string, processor: number, portId = 1) => ({
  vmName: 'vm',
  portId,
  mac,
  vlan: 0,
  processors: [processor],
})

test('SR-CS-78: a VM that moves away with packets in hand: its host returns them, the new host swallows its returns, the queue serves another (VQ-153, VQ-154, VQ-155, VQ-157)', async () => {
  const source = await QueueHarness.start()
  const target = await QueueHarness.start()
  const vm = await vmQueues(source).assign(wish(MAC.a, 1))
  source.receive(0, ...Array.from({ length: 8 }, (_, i) => to(MAC.a, `${i}`)))
  const reader = source.paths[1]!.reader(vm.queueId)
  assert.equal(reader.receive(100, 8), 8)
  const stack = vmQueues(source)
  let freed = false
  const leaving = source.clear(vm.queueId, vm.filterId).then(async () => {
    await source.free(vm.queueId)
    freed = true
  })
  await settle()
  await settle()
  assert.equal(freed, false)
  reader.completeAll()
  await leaving
  assert.ok(freed)
  const there = await vmQueues(target).assign(wish(MAC.a, 1))
  const head = target.tables.queues.head(there.queueId)
  target.paths[1]!.reader(there.queueId).complete(100, 8)
  assert.equal(target.tables.queues.head(there.queueId), head)
  const next = await stack.assign(wish(MAC.b, 1))
  assert.equal(next.queueId, vm.queueId)
  source.receive(0, to(MAC.b, 'other'))
  source.serve(1)
  assert.deepEqual(source.texts(), { [next.queueId]: ['other'] })
})

test('a host whose adapter has no queues, or none left, serves the VM by its default queue, and says why (VQ-001, VQ-156)', async () => {
  const none = await QueueHarness.start({ limits: { numQueues: 0 } })
  const caps = none.software.adapter.attributes.hardwareReceiveFilter!
  assert.deepEqual([caps.numQueues, caps.enabledQueueTypes], [0, 0])
  const vm = await vmQueues(none).assign(wish(MAC.a, 0))
  assert.deepEqual([vm.queueId, vm.reason], [0, 'no queue: NDIS_STATUS_NOT_SUPPORTED'])
  none.receive(0, to(MAC.a, 'served'))
  assert.deepEqual(none.texts(), { 0: ['served'] })
  const few = await QueueHarness.start({ limits: { ...queueLimits, numQueues: 1 } })
  const stack = vmQueues(few)
  await stack.assign(wish(MAC.a, 0))
  const second = await stack.assign(wish(MAC.b, 0))
  assert.equal(second.reason, 'no queue: NDIS_STATUS_RESOURCES')
  const bad = await QueueHarness.start()
  assert.equal((await vmQueues(bad).assign(wish(BROADCAST, 0))).reason, 'no filter: NDIS_STATUS_INVALID_PARAMETER')
  assert.equal(await bad.reported(1), undefined)
})

test('a VM moves between queues: its packets that wait come before those of the new queue, none is lost (VQ-034, VQ-098, VQ-114, VQ-236)', async () => {
  const h = await QueueHarness.start()
  const stack = vmQueues(h)
  const vm = await stack.assign(wish(MAC.a, 1, 12))
  assert.equal((await h.parameters(vm.queueId)).portId, 12)
  assert.equal((await h.parameters(vm.queueId)).lookaheadSize, 0)
  h.receive(0, ...[0, 1, 2].map((i) => to(MAC.a, `${i}`)))
  const moving = stack.move(vm, wish(MAC.a, 2, 12))
  for (let i = 0; i < 4; i++) await settle()
  h.receive(0, ...[3, 4].map((i) => to(MAC.a, `${i}`)))
  assert.equal(h.serve(2), 0) // the new queue waits for the old
  assert.deepEqual(h.texts(), {})
  assert.equal(h.serve(1), 3)
  const moved = await moving
  h.receive(0, to(MAC.a, '5'))
  assert.equal(h.serve(2), 3)
  assert.deepEqual(h.texts(), { [vm.queueId]: ['0', '1', '2'], [moved.queueId]: ['3', '4', '5'] })
  assert.notEqual(moved.queueId, vm.queueId)
  assert.equal(await h.reported(vm.queueId), undefined)
  assert.deepEqual(stack.list(), [moved])
  assert.equal(await stack.setProcessors(moved, [3]), success)
  await stack.close()
  assert.deepEqual(stack.list(), [])
  h.software.adapter.bind('stack')
  h.software.adapter.unbind('stack')
})
