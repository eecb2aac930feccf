// Scenarios SR-CS-66 to SR-CS-70, SR-CS-75, SR-CS-77, SR-CS-79: life of a VM queue, its owner, the default queue, and the two modes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AdapterError } from '../../src/adapter/capabilities.ts'
import { AdapterOid, AdapterStatus } from '../../src/adapter/oids.ts'
import { OperationalState, QueueParams } from '../../src/adapter/queues/queue-words.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { MAC } from '../support/adapter-harness.ts'
import { QueueHarness, queuePayload } from '../support/queue-harness.ts'
import { settle, to } from './vmq-support.ts'

const { success, invalidParameter, fileNotFound, resources, failure, notSupported, notAccepted } = NdisStatus
const running = OperationalState.running
const paused = OperationalState.paused
const stopped = OperationalState.dmaStopped

const stops = (h: QueueHarness): unknown[] =>
  h.statuses.filter(({ code }) => code === AdapterStatus.receiveQueueState).map(({ buffer }) => buffer)

test('SR-CS-66: the whole life of a queue, with exactly one indication that DMA has stopped (VQ-034, VQ-055, VQ-056, VQ-057, VQ-058, VQ-059, VQ-061, VQ-063, VQ-064, VQ-126, PD-18, PD-19)', async () => {
  const h = await QueueHarness.start()
  const reads = (filterId: number) => h.status(AdapterOid.receiveFilterParameters, 'method', { filterId })
  const queue = await h.allocate()
  assert.equal((await h.reported(queue))!.queueState, paused) // Allocated
  assert.equal(h.tables.queues.bytes(queue), 0)
  const filter = await h.filter(queue, MAC.a)
  assert.equal((await h.reported(queue))!.queueState, paused) // Set
  assert.equal(await reads(filter), success)
  h.receive(0, to(MAC.a, 'early'))
  assert.deepEqual(h.texts(), { 0: ['early'] })
  assert.deepEqual(await h.complete(queue), [success])
  assert.equal((await h.reported(queue))!.queueState, running)
  h.receive(0, to(MAC.a, 'one'), to(MAC.a, 'two'))
  assert.deepEqual(h.texts(), { [queue]: ['one', 'two'] })
  assert.deepEqual(stops(h), [])
  assert.equal(await h.clear(queue, filter), success)
  assert.equal((await h.reported(queue))!.queueState, paused)
  h.receive(0, to(MAC.a, 'late'))
  assert.deepEqual(h.texts(), { 0: ['late'] })
  assert.equal(await h.free(queue), success)
  assert.deepEqual(stops(h), [{ queueId: queue, queueState: stopped }])
  assert.equal(await h.reported(queue), undefined)
  assert.equal(await h.allocate(), queue)
})

test('SR-CS-67: completed before it has a filter a queue is paused, and runs with the first filter (VQ-057, VQ-058, VQ-067)', async () => {
  const h = await QueueHarness.start()
  const queue = await h.allocate()
  assert.deepEqual(await h.complete(queue), [success])
  assert.equal((await h.reported(queue))!.queueState, paused)
  h.receive(0, to(MAC.a, 'before'))
  assert.deepEqual(h.texts(), { 0: ['before'] })
  await h.filter(queue, MAC.a)
  assert.equal((await h.reported(queue))!.queueState, running)
  h.receive(0, to(MAC.a, 'after'))
  assert.deepEqual(h.texts(), { [queue]: ['after'] })
})

/** A queue in one of the seven states, and whether a packet keeps it there. */
async function queueIn(h: QueueHarness, state: string): Promise<{ queue: number; filter: number; end: () => void }> {
  if (state === 'Undefined') return { queue: 5, filter: 20, end: () => {} }
  const queue = await h.allocate()
  if (state === 'Allocated') return { queue, filter: 20, end: () => {} }
  if (state === 'Paused') {
    await h.complete(queue)
    return { queue, filter: 20, end: () => {} }
  }
  if (state === 'Set' || state === 'Running') {
    const filter = await h.filter(queue, MAC.a)
    if (state === 'Running') await h.complete(queue)
    return { queue, filter, end: () => {} }
  }
  let end = (): void => {}
  const quiet = new Promise<void>((resolve) => {
    end = resolve
  })
  await h.complete(queue)
  h.quiesced = () => quiet
  void h.free(queue)
  await settle()
  return { queue, filter: 20, end }
}

test('SR-CS-68: every event that is invalid in a state is refused and changes nothing (VQ-055, VQ-060, VQ-062, VQ-068, VQ-069, VQ-132)', async () => {
  const valid: Record<string, string[]> = {
    Undefined: [],
    Allocated: ['read', 'change', 'set', 'enum', 'complete', 'free'],
    Set: ['read', 'change', 'set', 'clear', 'enum', 'filter', 'complete'],
    Running: ['read', 'change', 'set', 'clear', 'enum', 'filter'],
    Paused: ['read', 'change', 'set', 'enum', 'free'],
    Freeing: [],
  }
  for (const [state, events] of Object.entries(valid))
    for (const event of ['read', 'change', 'set', 'clear', 'enum', 'filter', 'complete', 'free']) {
      if (events.includes(event)) continue
      const h = await QueueHarness.start()
      const { queue, filter, end } = await queueIn(h, state)
      const before = [await h.reported(queue), h.tables.queues.state(queue)]
      const refused: Record<string, () => Promise<number>> = {
        read: () => h.status(AdapterOid.receiveFilterQueueParameters, 'method', { flags: 0, queueId: queue }),
        change: () => h.setParameters(queue, { flags: QueueParams.nameChanged, queueName: 'other' }),
        set: () => h.setFilterStatus(queue, MAC.b),
        clear: () => h.clear(queue, filter),
        enum: () => h.status(AdapterOid.receiveFilterEnumFilters, 'method', { queueId: queue }),
        filter: () => h.status(AdapterOid.receiveFilterParameters, 'method', { filterId: filter }),
        complete: async () => (await h.complete(queue))[0]!,
        free: () => h.free(queue),
      }
      const expected = event === 'clear' ? fileNotFound : invalidParameter
      assert.equal(await refused[event]!(), expected, `${event} in ${state}`)
      assert.deepEqual([await h.reported(queue), h.tables.queues.state(queue)], before, `${event} in ${state}`)
      end()
    }
})

test('a queue whose DMA has stopped and not yet been told of takes no event either (VQ-055, VQ-063, VQ-127)', async () => {
  const h = await QueueHarness.start()
  const queue = await h.allocate()
  await h.complete(queue)
  const seen: number[] = []
  const stop = h.tables.queues.stop.bind(h.tables.queues)
  h.tables.queues.stop = (id: number) => {
    assert.deepEqual(stops(h), [], 'nothing is indicated before DMA has stopped')
    const done = stop(id)
    seen.push(h.tables.queues.state(id))
    return done
  }
  assert.equal(await h.free(queue), success)
  assert.deepEqual(seen, [stopped])
  assert.equal(stops(h).length, 1)
})

test('SR-CS-69: in a batch one queue can fail for want of memory while the others run (VQ-041, VQ-047, VQ-048, VQ-049, VQ-135)', async () => {
  const h = await QueueHarness.start({ memoryBytes: 4 * (1 << 18) + 4096 })
  const queues = [await h.allocate(), await h.allocate(), await h.allocate()]
  const macs = [MAC.a, MAC.b, MAC.c]
  const filters = []
  for (const [i, queue] of queues.entries()) filters.push(await h.filter(queue, macs[i]!))
  assert.deepEqual(await h.complete(...queues), [success, success, resources])
  h.receive(0, ...macs.map((mac) => to(mac, mac)))
  assert.deepEqual(h.texts(), { [queues[0]!]: [MAC.a], [queues[1]!]: [MAC.b], 0: [MAC.c] })
  assert.equal(await h.free(queues[2]!), invalidParameter)
  assert.equal(await h.clear(queues[2]!, filters[2]!), success)
  assert.equal(await h.free(queues[2]!), success)
  assert.deepEqual(await h.complete(queues[0]!, 9), [invalidParameter, invalidParameter])
})

test('SR-CS-70: the default queue takes what no other takes and can not be freed or changed (VQ-050, VQ-051, VQ-124, VQ-132)', async () => {
  const h = await QueueHarness.start()
  const { queue } = await h.running(MAC.a)
  h.receive(0, to(MAC.a, 'known'), to('02:00:00:00:00:77', 'unknown'), to('ff:ff:ff:ff:ff:ff', 'all'))
  assert.deepEqual(h.texts(), { [queue]: ['known'], 0: ['unknown', 'all'] })
  assert.equal(await h.free(0), invalidParameter)
  assert.equal(await h.free(6), invalidParameter)
  assert.deepEqual(await h.complete(0), [invalidParameter])
  assert.equal(await h.setParameters(0, { flags: QueueParams.nameChanged, queueName: 'x' }), invalidParameter)
  assert.equal((await h.parameters(0)).queueName, 'Default Queue')
  assert.equal((await h.reported(0))!.queueState, running)
})

test('SR-CS-75: FREE_QUEUE tells at once that DMA has stopped, and completes when the last packet is back and the memory free; others do not wait (VQ-100, VQ-125, VQ-128, VQ-129, VQ-131, VQ-142)', async () => {
  const h = await QueueHarness.start()
  const { queue, filter } = await h.running(MAC.a, { processorAffinity: [1] })
  const other = await h.running(MAC.b, { processorAffinity: [2] })
  h.receive(0, ...Array.from({ length: 6 }, (_, i) => to(MAC.a, `${i}`)))
  const reader = h.paths[1]!.reader(queue)
  assert.equal(reader.receive(0, 5), 5)
  assert.equal(await h.clear(queue, filter), success)
  const blocks = h.memory.blocks
  let done: number | undefined
  const freeing = h.free(queue).then((status) => {
    done = status
  })
  await settle()
  assert.equal(stops(h).length, 1)
  assert.equal(done, undefined)
  assert.equal(h.memory.blocks, blocks)
  h.receive(0, to(MAC.a, 'not there'), to(MAC.b, 'there'))
  assert.equal(h.serve(2), 1)
  assert.deepEqual(h.texts(), { 0: ['not there'], [other.queue]: ['there'] })
  assert.equal(await h.setParameters(other.queue, { flags: QueueParams.nameChanged, queueName: 'n' }), success)
  reader.complete(0, 4)
  await settle()
  assert.equal(done, undefined)
  reader.complete(4, 1)
  await freeing
  assert.equal(done, success)
  assert.equal(h.memory.blocks, blocks - 1)
  assert.equal(h.serve(1), 0)
})

test('a reset aborts a FREE_QUEUE that pends; the queue goes when its packets are back (VQ-131, PD-20)', async () => {
  const h = await QueueHarness.start()
  const { queue, filter } = await h.running(MAC.a, { processorAffinity: [1] })
  h.receive(0, to(MAC.a, 'x'))
  const reader = h.paths[1]!.reader(queue)
  reader.receive(0, 1)
  await h.clear(queue, filter)
  const freeing = h.free(queue)
  await settle()
  h.software.adapter.beginReset()
  assert.equal(await freeing, NdisStatus.requestAborted)
  assert.equal(await h.free(queue), notAccepted)
  h.software.adapter.resetDone()
  assert.equal((await h.reported(queue))!.queueState, stopped)
  assert.notEqual(await h.allocate(), queue)
  reader.complete(0, 1)
  await settle()
  assert.equal(await h.reported(queue), undefined)
  h.software.adapter.surpriseRemove()
  assert.equal(await h.free(1), notAccepted)
})

test('SR-CS-77: a driver sees and changes its own queues, an application sees all (VQ-043, VQ-052, VQ-053, VQ-075, VQ-076, VQ-081)', async () => {
  const h = await QueueHarness.start()
  const x = [await h.allocate({}, 'x'), await h.allocate({}, 'x')]
  const y = await h.allocate({}, 'y')
  const ids = async (type: 'query' | 'statistics', driver: string): Promise<number[]> =>
    (await h.output<{ queueId: number }[]>(AdapterOid.receiveFilterEnumQueues, type, undefined, driver)).map((q) => q.queueId)
  assert.deepEqual(await ids('query', 'x'), x)
  assert.deepEqual(await ids('query', 'y'), [y])
  assert.deepEqual(await ids('statistics', 'management'), [0, ...x, y])
  const move = { flags: QueueParams.processorAffinityChanged, processorAffinity: [1] }
  assert.equal(await h.setParameters(x[0]!, move, 'y'), invalidParameter)
  assert.equal(await h.setFilterStatus(x[0]!, MAC.a, 0, 'y'), invalidParameter)
  assert.equal(await h.free(x[0]!, 'y'), invalidParameter)
  assert.equal(await h.setFilterStatus(0, MAC.a, 0, 'y'), success)
  assert.equal(await h.setFilterStatus(0, MAC.b, 0, 'x'), success)
  assert.equal(await h.setParameters(x[0]!, move, 'x'), success)
})

test('SR-CS-79: without SR-IOV the first of a switch and a queue decides, and either may follow the other without a restart (SR-128, SR-129, SR-130)', async () => {
  const h = await QueueHarness.start()
  const parameters = { flags: 0, switchType: 1, switchId: 0, switchFriendlyName: 'Default Switch', numVFs: 0 }
  const create = () => h.status(AdapterOid.nicSwitchCreateSwitch, 'method', parameters, 'ndis')
  const allocate = () => h.status(AdapterOid.receiveFilterAllocateQueue, 'method', queuePayload())
  const { attributes } = h.software.adapter
  assert.ok(attributes.currentNicSwitch && attributes.currentReceiveFilter!.numQueues === 7)
  const queue = await h.allocate()
  assert.equal(await create(), failure)
  await h.free(queue)
  assert.equal(await create(), success)
  assert.equal(await allocate(), failure)
  assert.equal(await h.free(1), failure)
  assert.equal(await h.status(AdapterOid.nicSwitchDeleteSwitch, 'set', { switchId: 0 }, 'ndis'), success)
  assert.equal(await allocate(), success)
  assert.deepEqual(h.trace.filter((step) => step === 'MiniportInitializeEx').length, 1)
})

test('with SR-IOV enabled, or VMQ off, there is no queue to allocate (VQ-044, VQ-103)', async () => {
  for (const keywords of [{ '*SriovPreferred': 1, '*SRIOV': 1 }, { '*RssOrVmqPreference': 1, '*VMQ': 0 }, {}]) {
    const h = await QueueHarness.start({ keywords })
    assert.equal(await h.status(AdapterOid.receiveFilterAllocateQueue, 'method', queuePayload()), notSupported)
    if (!('*SriovPreferred' in keywords)) assert.equal(await h.setFilterStatus(0, MAC.a), notSupported)
  }
})

test('a driver that goes has cleared its filters and freed its queues; what is left NDIS frees before the miniport halts (VQ-062, VQ-098, VQ-099, VQ-130, VQ-133, VQ-134, VQ-142)', async () => {
  const h = await QueueHarness.start()
  const { adapter } = h.software
  adapter.bind('x')
  const queue = await h.allocate({}, 'x')
  const onQueue = await h.filter(queue, MAC.a, 0, 'x')
  const onDefault = await h.filter(0, MAC.b, 0, 'x')
  const refused = (left: RegExp): void =>
    assert.throws(
      () => adapter.unbind('x'),
      (error) => error instanceof AdapterError && error.rule === 'VQ-133' && left.test(error.message),
    )
  refused(/queue 1, filter 2$/)
  assert.equal(await h.free(queue, 'x'), invalidParameter)
  await h.clear(queue, onQueue, 'x')
  await h.free(queue, 'x')
  refused(/filter 2$/)
  await h.clear(0, onDefault, 'x')
  adapter.unbind('x')
  const left = await h.running(MAC.a)
  assert.equal(h.memory.blocks, 2)
  await adapter.halt()
  assert.deepEqual(h.trace.slice(-3), [
    'OID_RECEIVE_FILTER_SET_FILTER',
    'OID_RECEIVE_FILTER_QUEUE_ALLOCATION_COMPLETE',
    'MiniportHaltEx',
  ])
  assert.equal(stops(h).length, 2)
  assert.equal(h.tables.queues.state(left.queue), OperationalState.undefined)
  assert.equal(h.memory.blocks, 0)
})

test('a miniport that fails what can not be failed is reported, and one that speaks of a stop without a FREE_QUEUE is not heard (VQ-127, VQ-131)', async () => {
  const h = await QueueHarness.start()
  const queue = await h.allocate()
  let kept: (() => void) | undefined
  const free = h.queues.freeQueue.bind(h.queues)
  h.queues.freeQueue = async (id, progress) => {
    kept = progress.stopped
    await free(id, progress)
    return NdisStatus.failure
  }
  assert.equal(await h.free(queue), failure)
  assert.match(h.reports[0]!, /^failed-what-can-not-fail/)
  assert.equal(stops(h).length, 1)
  kept!()
  assert.equal(stops(h).length, 1)
})
