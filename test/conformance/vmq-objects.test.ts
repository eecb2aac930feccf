// What stands in VM queues and their filters, who checks it, and what can be changed while they run.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AdapterOid, AdapterStatus } from '../../src/adapter/oids.ts'
import type { FilterInfo, FilterParameters } from '../../src/adapter/payloads.ts'
import { OperationalState, type QueueParameters, QueueParams } from '../../src/adapter/queues/queue-words.ts'
import { filterParameters } from '../../src/adapter/receive-filters.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { MAC } from '../support/adapter-harness.ts'
import { QueueHarness, queuePayload } from '../support/queue-harness.ts'

const { success, invalidParameter, fileNotFound, resources, notSupported } = NdisStatus
const running = OperationalState.running

test('ALLOCATE_QUEUE is checked before the miniport sees it, and answered with id, MSI-X entry and coalescing domain (VQ-030, VQ-035, VQ-036, VQ-037, VQ-038, VQ-039, VQ-040, VQ-042, VQ-044, VQ-046, VQ-074)', async () => {
  const h = await QueueHarness.start()
  const asked: number[] = []
  const allocate = h.queues.allocateQueue.bind(h.queues)
  h.queues.allocateQueue = (parameters) => {
    asked.push(parameters.queueId)
    return allocate(parameters)
  }
  const status = (change: Partial<QueueParameters>) =>
    h.status(AdapterOid.receiveFilterAllocateQueue, 'method', queuePayload(change))
  for (const change of [
    { queueType: 0 },
    { queueType: 2 },
    { queueId: 1 },
    { flags: QueueParams.nameChanged },
    { flags: 0x4 },
    { processorAffinity: [] },
    { processorAffinity: [-1] },
    { processorAffinity: [64] },
    { processorGroup: 1 },
    { lookaheadSize: 64 },
    { lookaheadSize: 64, flags: QueueParams.lookaheadSplitRequired },
    { vmName: 'x'.repeat(257) },
    { portId: 2 ** 32 },
  ])
    assert.equal(await status(change), invalidParameter, JSON.stringify(change))
  assert.equal(await status({ qosSqId: 3 }), notSupported)
  assert.deepEqual(asked, [])
  const short = await h.request(AdapterOid.receiveFilterAllocateQueue, 'method', undefined)
  assert.deepEqual([short.status, short.bytesNeeded], [NdisStatus.invalidLength, 1084])
  const room = { oid: AdapterOid.receiveFilterAllocateQueue, type: 'method' as const, payload: queuePayload(), outputRoom: 10 }
  assert.equal((await h.software.adapter.request(room, 'stack')).bytesNeeded, 1096)
  const made = await h.output<QueueParameters>(
    AdapterOid.receiveFilterAllocateQueue,
    'method',
    queuePayload({ processorAffinity: [2, 1] }),
  )
  assert.deepEqual(asked, [1])
  assert.deepEqual([made.queueId, made.msixTableEntry, made.interruptCoalescingDomainId], [1, 1, 2])
  const ids = [1]
  for (let i = 0; i < 6; i++) ids.push(await h.allocate({ flags: QueueParams.lookaheadSplitRequired }))
  assert.deepEqual(ids, [1, 2, 3, 4, 5, 6, 7])
  assert.equal(await status({}), resources)
  assert.equal((await h.parameters(7)).flags, 0)
})

test('an allocation that the miniport can not carry out leaves nothing behind (VQ-025, VQ-041)', async () => {
  const h = await QueueHarness.start()
  assert.equal(
    await h.status(AdapterOid.receiveFilterAllocateQueue, 'method', queuePayload({ processorAffinity: [1, 9] })),
    invalidParameter,
  )
  assert.equal(await h.reported(1), undefined)
  assert.equal(await h.allocate(), 1)
})

test('a set of QUEUE_PARAMETERS changes what its flags name and nothing else; a read is answered by NDIS (VQ-071, VQ-072, VQ-073, VQ-074)', async () => {
  const h = await QueueHarness.start()
  const queue = await h.allocate({ portId: 4 })
  const before = await h.parameters(queue)
  const other = {
    processorAffinity: [2],
    numSuggestedReceiveBuffers: 512,
    queueName: 'renamed',
    vmName: 'stolen',
    portId: 9,
    queueType: 0,
    interruptCoalescingDomainId: 77,
    qosSqId: 5,
  }
  const set = (flags: number) => h.setParameters(queue, { ...other, flags })
  assert.equal(await set(0), success)
  assert.deepEqual(await h.parameters(queue), before)
  const steps: [number, Partial<QueueParameters>][] = [
    [QueueParams.nameChanged, { queueName: 'renamed' }],
    [QueueParams.suggestedReceiveBuffersChanged, { numSuggestedReceiveBuffers: 512 }],
    [QueueParams.flagsChanged | QueueParams.perQueueReceiveIndication, { flags: 1 }],
    [QueueParams.processorAffinityChanged, { processorAffinity: [2], interruptCoalescingDomainId: 3 }],
    [QueueParams.interruptCoalescingDomainChanged, { interruptCoalescingDomainId: 77 }],
  ]
  let expected = before
  let asked = 0
  const real = h.queues.setQueueParameters.bind(h.queues)
  h.queues.setQueueParameters = (parameters) => {
    asked++
    return real(parameters)
  }
  for (const [flags, change] of steps) {
    assert.equal(await set(flags), success)
    expected = { ...expected, ...change }
    assert.deepEqual(await h.parameters(queue), expected)
  }
  assert.equal(asked, steps.length)
  assert.equal(await set(QueueParams.qosSqIdChanged), notSupported)
  assert.equal(await set(0x00400000), invalidParameter)
  assert.deepEqual(await h.parameters(queue), expected)
})

test('a change of the coalescing domain is indicated with the structure of revision 2 and no other change (VQ-032, VQ-079, VQ-080)', async () => {
  const h = await QueueHarness.start()
  const queues = [await h.allocate({ processorAffinity: [1] }), await h.allocate({ processorAffinity: [1] })]
  const told = () => h.statuses.filter(({ code }) => code === AdapterStatus.receiveFilterQueueParameters)
  const domain = async (queue: number) => (await h.parameters(queue)).interruptCoalescingDomainId
  assert.equal(await domain(queues[0]!), await domain(queues[1]!))
  await h.setParameters(queues[0]!, { flags: QueueParams.nameChanged, queueName: 'quiet' })
  assert.equal(told().length, 0)
  await h.setParameters(queues[0]!, { flags: QueueParams.processorAffinityChanged, processorAffinity: [3] })
  assert.notEqual(await domain(queues[0]!), await domain(queues[1]!))
  const buffer = told()[0]!.buffer as Record<string, unknown>
  assert.equal(buffer.flags, QueueParams.interruptCoalescingDomainChanged)
  assert.equal(buffer.interruptCoalescingDomainId, await domain(queues[0]!))
  assert.ok('portId' in buffer && !('qosSqId' in buffer))
  await h.setParameters(queues[1]!, { flags: QueueParams.processorAffinityChanged, processorAffinity: [1] })
  assert.equal(told().length, 1)
})

test('filters are checked, numbered over all queues and enumerated by queue (VQ-077, VQ-078, VQ-082, VQ-083, VQ-084, VQ-085, VQ-086, VQ-097, VQ-102, VQ-103, PD-08)', async () => {
  const h = await QueueHarness.start()
  const [one, two] = [await h.allocate(), await h.allocate()]
  const set = (queueId: number, mac: string, vlan: number, change: Partial<FilterParameters> = {}) =>
    h.status(AdapterOid.receiveFilterSetFilter, 'method', { ...filterParameters(mac, vlan, 0), queueId, ...change })
  const ids = [await h.filter(one, MAC.a), await h.filter(two, MAC.b, 5), await h.filter(0, MAC.c)]
  await h.complete(one)
  ids.push(await h.filter(one, MAC.a, 7))
  assert.deepEqual(ids, [1, 2, 3, 4])
  const of = async (queueId: number) =>
    (await h.output<FilterInfo[]>(AdapterOid.receiveFilterEnumFilters, 'method', { queueId })).map(({ filterId }) => filterId)
  assert.deepEqual([await of(one), await of(two), await of(0)], [[1, 4], [2], [3]])
  assert.equal((await h.reported(one))!.numFilters, 2)
  const read = await h.output<FilterParameters>(AdapterOid.receiveFilterParameters, 'method', { filterId: 2 })
  assert.deepEqual([read.queueId, read.filterId, read.fieldParameters.length], [two, 2, 2])
  assert.equal(await h.status(AdapterOid.receiveFilterParameters, 'method', { filterId: 9 }), invalidParameter)
  assert.equal(await set(two, MAC.a, 0), invalidParameter, 'the pair is held by another queue')
  assert.equal(await set(one, MAC.pf, 0, { filterType: 2 }), invalidParameter)
  assert.equal(await set(0, MAC.pf, 0, { filterType: 2 }), invalidParameter)
  assert.equal(await set(one, MAC.pf, 0, { filterId: 3 }), invalidParameter)
  assert.equal(await set(one, MAC.pf, 0, { vPortId: 1 }), invalidParameter)
  assert.equal(await set(one, MAC.pf, 0, { fieldParameters: [] }), invalidParameter)
  const [mac, vlan] = filterParameters(MAC.pf, 5, 0).fieldParameters
  assert.equal(await set(one, MAC.pf, 0, { fieldParameters: [vlan!] }), invalidParameter)
  assert.equal(await set(one, MAC.pf, 0, { fieldParameters: [{ ...mac!, flags: 1 }, vlan!] }), invalidParameter)
  assert.equal(await set(one, MAC.pf, 0, { fieldParameters: [mac!, { ...vlan!, flags: 1 }] }), invalidParameter)
  assert.equal(await set(one, MAC.pf, 0, { fieldParameters: [{ ...mac!, headerField: 2 }] }), invalidParameter)
  assert.equal(await set(one, MAC.pf, 0, { fieldParameters: [{ ...mac!, receiveFilterTest: 3 }] }), invalidParameter)
  assert.equal(await h.clear(two, 1), fileNotFound)
  assert.equal(await h.clear(one, 1, 'another'), invalidParameter)
  assert.equal(await h.clear(one, 1), success)
  assert.equal((await h.reported(one))!.queueState, running) // VQ-060
  const short = await h.request(AdapterOid.receiveFilterSetFilter, 'method')
  assert.deepEqual([short.status, short.bytesNeeded], [NdisStatus.invalidLength, 36])
})

test('more filters than the adapter has are refused for want of resources (VQ-103)', async () => {
  const h = await QueueHarness.start({ limits: { numQueues: 3, maxNumMacAddresses: 12 } })
  const queue = await h.allocate()
  for (let i = 0; i < 12; i++) await h.filter(queue, `02:00:00:00:01:${i.toString(16).padStart(2, '0')}`)
  assert.equal(await h.setFilterStatus(queue, MAC.a), resources)
})
