// What an adapter reports of its queues, which keywords decide it, interrupt vectors, and shared memory.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AdapterError, checkAttributes, limitsFor, pfAttributes } from '../../src/adapter/capabilities.ts'
import { FilterCaps } from '../../src/adapter/identifiers.ts'
import { Keyword, Registry, selectInterfaces } from '../../src/adapter/keywords.ts'
import { AdapterOid } from '../../src/adapter/oids.ts'
import type { ReceiveFilterCapabilities } from '../../src/adapter/payloads.ts'
import { InterruptVectors, OTHER_VECTORS, vectorRange } from '../../src/adapter/queues/interrupt-vectors.ts'
import { SharedMemoryUsage } from '../../src/adapter/queues/queue-words.ts'
import { RegionSharedMemory } from '../../src/adapter/queues/shared-memory.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { MAC, wireFrame } from '../support/adapter-harness.ts'
import { QueueHarness, queueLimits } from '../support/queue-harness.ts'

const { success, invalidParameter, resources, failure } = NdisStatus
const vmqOn = { sriov: false, vmq: true, rss: false, vlanFiltering: true }

test('an adapter with VMQ reports queues, filters and headers as the contract asks (VQ-001, VQ-002, VQ-003, VQ-004, VQ-005, VQ-006, VQ-007, VQ-008, VQ-009, VQ-010, VQ-012, VQ-013, VQ-014)', async () => {
  const h = await QueueHarness.start()
  const { currentReceiveFilter: caps, hardwareReceiveFilter } = h.software.adapter.attributes
  assert.deepEqual(caps, hardwareReceiveFilter)
  assert.equal(caps!.enabledFilterTypes, 0x1)
  assert.equal(caps!.enabledQueueTypes, 0x1)
  assert.equal(caps!.supportedQueueProperties & 0x3, 0x3)
  assert.equal(caps!.supportedQueueProperties & 0x4, 0)
  assert.deepEqual([caps!.minLookaheadSplitSize, caps!.maxLookaheadSplitSize], [0, 0])
  assert.equal(caps!.supportedFilterTests & 0x1, 0x1)
  assert.equal(caps!.supportedHeaders & 0x1, 0x1)
  assert.equal(caps!.supportedMacHeaderFields & 0x1, 0x1)
  assert.ok(caps!.maxMacHeaderFilters >= caps!.numQueues)
  // As many queues as reported, and the default one beside them, each with its own address; the adapter's own takes none of them.
  const queues = []
  for (let i = 0; i < caps!.numQueues; i++) queues.push((await h.running(`02:00:00:00:01:0${i}`)).queue)
  for (let i = caps!.numQueues; i < caps!.maxMacHeaderFilters; i++)
    await h.filter(0, `02:00:00:00:02:${i.toString(16).padStart(2, '0')}`)
  h.queues.setPacketFilter(1)
  h.receive(0, ...queues.map((_, i) => wireFrame(`02:00:00:00:01:0${i}`, MAC.peer, `${i}`)), wireFrame(MAC.pf, MAC.peer, 'own'))
  assert.deepEqual(h.texts(), { 0: ['own'], ...Object.fromEntries(queues.map((queue, i) => [queue, [`${i}`]])) })
  const entries = queues.map((queue) => h.queues.vectors.entry(queue))
  assert.ok(entries.every((vector) => vector !== undefined))
})

test('a report that breaks the contract is refused with the rule (VQ-002, VQ-003, VQ-006, VQ-007, VQ-008, VQ-009, VQ-010, VQ-012, VQ-013)', () => {
  const good = pfAttributes(queueLimits, vmqOn)
  const broken = (rule: string, change: Partial<ReceiveFilterCapabilities>): void => {
    for (const which of ['hardwareReceiveFilter', 'currentReceiveFilter'] as const)
      assert.throws(
        () => checkAttributes({ ...good, [which]: { ...good[which]!, ...change } }),
        (error) => error instanceof AdapterError && error.rule === rule,
        rule,
      )
  }
  checkAttributes(good)
  broken('VQ-003', { numQueues: 25 })
  broken('VQ-002', { numQueues: 256, maxMacHeaderFilters: 256 })
  broken('VQ-006', { supportedQueueProperties: 0x2 })
  broken('VQ-007', { supportedQueueProperties: 0x1 })
  broken('VQ-008', { supportedFilterTests: 0 })
  broken('VQ-009', { supportedHeaders: 0 })
  broken('VQ-010', { supportedMacHeaderFields: 0x8 })
  broken('VQ-012', { minLookaheadSplitSize: 64 })
  broken('VQ-012', { maxLookaheadSplitSize: 64 })
  broken('VQ-013', { supportedQueueProperties: 0x7 })
  for (const vfs of [0, 1, 4, 8, 40]) checkAttributes(pfAttributes(limitsFor(vfs), vmqOn))
})

test('VLAN tests are offered only while *VMQVlanFiltering is 1 (VQ-011)', async () => {
  const off = await QueueHarness.start({ keywords: { '*RssOrVmqPreference': 1, '*VMQ': 1, '*VMQVlanFiltering': 0 } })
  const { currentReceiveFilter, hardwareReceiveFilter } = off.software.adapter.attributes
  assert.equal(currentReceiveFilter!.supportedMacHeaderFields & FilterCaps.vlanId, 0)
  assert.notEqual(hardwareReceiveFilter!.supportedMacHeaderFields & FilterCaps.vlanId, 0)
  const queue = await off.allocate()
  assert.equal(await off.setFilterStatus(queue, MAC.a, 5), invalidParameter)
  const on = await QueueHarness.start()
  assert.notEqual(on.software.adapter.attributes.currentReceiveFilter!.supportedMacHeaderFields & FilterCaps.vlanId, 0)
  assert.equal(await on.setFilterStatus(await on.allocate(), MAC.a, 5), success)
})

test('NDIS answers which filter and queue types are on (VQ-015)', async () => {
  const h = await QueueHarness.start()
  const asked: string[] = []
  for (const name of ['allocateQueue', 'setQueueParameters', 'setQueueFilter'] as const)
    h.queues[name] = () => {
      asked.push(name)
      return { status: failure } as never
    }
  assert.deepEqual(await h.output(AdapterOid.receiveFilterGlobalParameters, 'query'), {
    enabledFilterTypes: 1,
    enabledQueueTypes: 1,
  })
  assert.deepEqual(asked, [])
})

test('SR-CS-02: the preference decides between RSS and VMQ, and keywords of the other are not read (VQ-016, VQ-017, VQ-018, VQ-019, VQ-022, VQ-023)', async () => {
  for (const preference of [undefined, 0, 1])
    for (const vmq of [undefined, 0, 1])
      for (const rss of [undefined, 0, 1]) {
        const values: Partial<Record<Keyword, number>> = {}
        if (preference !== undefined) values[Keyword.rssOrVmqPreference] = preference
        if (vmq !== undefined) values[Keyword.vmq] = vmq
        if (rss !== undefined) values[Keyword.rss] = rss
        const registry = new Registry(values)
        const selection = selectInterfaces(registry)
        assert.ok(!(selection.vmq && selection.rss))
        assert.equal(selection.vmq, preference === 1 && vmq !== 0)
        assert.equal(selection.rss, preference !== 1 && rss !== 0)
        assert.equal(registry.reads.includes(Keyword.rss), preference !== 1)
        assert.equal(registry.reads.includes(Keyword.vmq), preference === 1)
        assert.equal(registry.reads.includes(Keyword.vmqVlanFiltering), preference === 1)
        const h = new QueueHarness({ keywords: values })
        await h.software.adapter.start()
        const read = h.software.registry.reads
        assert.ok(read.includes(Keyword.rssOrVmqPreference))
        for (const foreign of ['*TenGigVmqEnabled', '*BelowTenGigVmqEnabled', '*RssMaxProcNumber', '*MaxRssProcessors'])
          assert.ok(!read.some((keyword) => keyword.includes(foreign.slice(1))))
        assert.equal(h.software.adapter.attributes.currentReceiveFilter !== undefined, selection.vmq)
      }
})

test('binding and unbinding change nothing about what is enabled (VQ-021)', async () => {
  for (const keywords of [{ '*RssOrVmqPreference': 1 }, {}]) {
    const h = await QueueHarness.start({ keywords })
    const { adapter } = h.software
    const before = adapter.attributes
    const reads = h.software.registry.reads.length
    adapter.bind('extensible switch')
    assert.equal(adapter.attributes, before)
    adapter.unbind('extensible switch')
    assert.equal(adapter.attributes, before)
    assert.equal(h.software.registry.reads.length, reads)
    assert.equal(h.trace.filter((step) => step === 'MiniportInitializeEx').length, 1)
  }
})

test('vectors: one per processor within the range for so many queues, one more for other events, an entry per queue (VQ-006, VQ-025, VQ-026, VQ-027, VQ-028, VQ-032)', () => {
  const processors = (count: number): number[] => Array.from({ length: count }, (_, i) => i)
  for (const [queues, given, expected] of [
    [1, 1, 1],
    [16, 4, 4],
    [16, 20, 16],
    [17, 4, 16],
    [64, 40, 32],
    [65, 4, 32],
    [200, 48, 48],
  ] as const) {
    const vectors = new InterruptVectors(processors(given), queues)
    const { least, most } = vectorRange(queues)
    assert.equal(vectors.count, expected)
    assert.ok(vectors.count >= least && vectors.count <= most)
  }
  assert.ok(OTHER_VECTORS <= 2)
  const vectors = new InterruptVectors([2, 3, 6], 8)
  assert.equal(vectors.processorOf([6, 3]), 3)
  assert.equal(vectors.processorOf([3, 4]), undefined)
  assert.equal(vectors.processorOf([]), undefined)
  for (let queue = 0; queue < 9; queue++) vectors.program(queue, queue % 2 === 0 ? 2 : 6)
  for (let queue = 0; queue < 9; queue++) assert.equal(vectors.entry(queue), queue % 2 === 0 ? 0 : 2)
  assert.equal(vectors.domainOf(2), 1)
  vectors.release(3)
  assert.equal(vectors.entry(3), undefined)
})

const wanted = { queueId: 1, vPortId: 0, usage: SharedMemoryUsage.receive, length: 1000, contiguous: true }

test('shared memory is allocated with address, list and handles, refused with a status, and given back by its handle (VQ-136, VQ-137, VQ-138, VQ-139, VQ-140, VQ-142)', () => {
  const memory = new RegionSharedMemory(4096, 8192)
  assert.deepEqual(memory.allocate(wanted), { status: failure })
  memory.register()
  const first = memory.allocate(wanted)
  assert.equal(first.status, success)
  assert.deepEqual(first.block!.scatterGatherList, [{ address: first.block!.virtualAddress, length: 1000 }])
  assert.ok(first.block!.sharedMemoryHandle > 0 && first.block!.allocationHandle > 0)
  for (const change of [{ vPortId: 1 }, { usage: 0 }, { usage: 99 }, { length: 0 }, { length: -1 }, { queueId: 0.5 }])
    assert.deepEqual(memory.allocate({ ...wanted, ...change }), { status: invalidParameter })
  assert.deepEqual(memory.allocate({ ...wanted, length: 8192 }), { status: resources })
  const second = memory.allocate({ ...wanted, contiguous: false })
  assert.ok(second.block!.virtualAddress >= first.block!.virtualAddress + 1000)
  memory.free(first.block!.allocationHandle)
  assert.throws(() => memory.free(first.block!.allocationHandle), RangeError)
  memory.free(second.block!.allocationHandle)
  assert.equal(memory.allocate({ ...wanted, length: 8192 }).status, success)
})

test('blocks of shared memory never share a byte and all comes back (VQ-142, VQ-145)', () => {
  const memory = new RegionSharedMemory(100, 1 << 16)
  memory.register()
  const held = new Map<number, { from: number; to: number }>()
  let seed = 7
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
    return seed % below
  }
  for (let i = 0; i < 3000; i++) {
    const { block } = memory.allocate({ ...wanted, length: 1 + random(5000) })
    if (block) {
      const from = block.virtualAddress
      const to = from + block.scatterGatherList[0]!.length
      assert.ok(from >= 100 && to <= 100 + (1 << 16))
      for (const other of held.values()) assert.ok(to <= other.from || from >= other.to)
      held.set(block.allocationHandle, { from, to })
    }
    for (const handle of [...held.keys()])
      if (random(3) === 0) {
        held.delete(handle)
        memory.free(handle)
      }
  }
  for (const handle of held.keys()) memory.free(handle)
  assert.equal(memory.blocks, 0)
  assert.equal(memory.allocate({ ...wanted, length: (1 << 16) - 64 }).status, success)
})

test('the miniport asks for the memory of its queues as the contract says, more or less of it than suggested, whatever serves it (VQ-049, VQ-054, VQ-135, VQ-136, VQ-141, VQ-143, VQ-144)', async () => {
  const h = await QueueHarness.start()
  const asked: unknown[] = []
  const allocate = h.memory.allocate.bind(h.memory)
  h.memory.allocate = (parameters) => {
    asked.push(parameters)
    return allocate(parameters)
  }
  const sizes: number[] = []
  for (const numSuggestedReceiveBuffers of [0, 1, 300, 100_000]) {
    const queue = await h.allocate({ numSuggestedReceiveBuffers })
    await h.complete(queue)
    sizes.push(h.tables.queues.bytes(queue))
  }
  assert.deepEqual(
    sizes.map((bytes) => Math.log2(bytes)),
    [19, 18, 20, 23],
  )
  assert.ok(asked.length > 4, 'halved until there was room')
  for (const [i, parameters] of asked.slice(0, 3).entries())
    assert.deepEqual(parameters, { queueId: i + 1, vPortId: 0, usage: 4, length: sizes[i], contiguous: true })
})
