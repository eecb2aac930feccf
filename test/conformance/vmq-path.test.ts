// Scenarios SR-CS-71 to SR-CS-74, SR-CS-76, SR-CS-78: packets of VM queues, what stands beside them, and which processor has them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AdapterOid } from '../../src/adapter/oids.ts'
import { queueStatistics } from '../../src/adapter/queues/queue-statistics.ts'
import { QueueTransmit } from '../../src/adapter/queues/queue-transmit.ts'
import { QueueParams } from '../../src/adapter/queues/queue-words.ts'
import { VmQueues } from '../../src/adapter/queues/vm-queues.ts'
import { filterParameters } from '../../src/adapter/receive-filters.ts'
import { PacketFilter } from '../../src/adapter/vport-table.ts'
import { PF_DATA_VALID } from '../../src/kernels/layout.ts'
import { ReceiveFlag, SendCompleteFlag, SendFlag } from '../../src/ndis/list-flags.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { ANY_VLAN, BROADCAST, MAC, wireFrame } from '../support/adapter-harness.ts'
import { QueueHarness, queueLimits } from '../support/queue-harness.ts'

const { success, invalidParameter } = NdisStatus
const { singleQueue, sharedMemoryInfoValid } = ReceiveFlag
const to = (mac: string, text: string, ...tags: number[]): Buffer => wireFrame(mac, MAC.peer, text, ...tags)
const texts = (indications: { packets: readonly { text: string }[] }[]): string[][] =>
  indications.map(({ packets }) => packets.map(({ text }) => text))
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('a packet belongs to a queue if it passes every test of one of its filters; fields without a test do not matter (VQ-051, VQ-087, VQ-088, VQ-089, VQ-104, VQ-108)', async () => {
  const h = await QueueHarness.start()
  const { queue } = await h.running(MAC.a, {}, 5)
  await h.filter(queue, MAC.b)
  h.receive(
    0,
    to(MAC.a, 'A in 5', 5),
    to(MAC.a, 'A in 5, priority 7', 0xe005),
    to(MAC.a, 'A in 6', 6),
    to(MAC.b, 'B'),
    to(MAC.b, 'B in 5', 5),
    wireFrame(MAC.b, '02:00:00:00:00:42', 'B from another'),
    to(MAC.c, 'C in 5', 5),
  )
  assert.deepEqual(h.texts(), {
    [queue]: ['A in 5', 'A in 5, priority 7', 'B', 'B from another'],
    0: ['A in 6', 'B in 5', 'C in 5'],
  })
})

test('untagged-or-zero takes frames without tag and with id 0, a VLAN test neither, no test all (VQ-091, VQ-092, VQ-095, VQ-096)', async () => {
  const h = await QueueHarness.start()
  const untagged = await h.running(MAC.a)
  const tagged = await h.running(MAC.b, {}, 9)
  const any = await h.running(MAC.c, {}, ANY_VLAN)
  for (const mac of [MAC.a, MAC.b, MAC.c])
    h.receive(0, to(mac, `${mac} none`), to(mac, `${mac} 0`, 0xe000), to(mac, `${mac} 9`, 9), to(mac, `${mac} 10`, 10))
  const found = h.texts()
  assert.deepEqual(found[untagged.queue], [`${MAC.a} none`, `${MAC.a} 0`])
  assert.deepEqual(found[tagged.queue], [`${MAC.b} 9`])
  assert.deepEqual(found[any.queue], [`${MAC.c} none`, `${MAC.c} 0`, `${MAC.c} 9`, `${MAC.c} 10`])
  assert.equal(found[0]!.length, 5)
})

test('a filter without VLAN test tells the VLAN out of band, and an adapter that takes none refuses it (VQ-094, VQ-095)', async () => {
  const h = await QueueHarness.start()
  const { queue } = await h.running(MAC.a, {}, ANY_VLAN)
  h.receive(0, to(MAC.a, 'x', 0x6009))
  const [packet] = h.got()[0]!.packets
  assert.deepEqual([packet!.queue, packet!.vlan], [queue, 0x6009])
  const { adapter } = h.software
  const now = adapter.attributes.currentReceiveFilter!
  const old = await QueueHarness.start({ limits: { anyVlanFilters: false } })
  assert.equal(
    old.software.adapter.attributes.currentReceiveFilter!.supportedQueueProperties,
    now.supportedQueueProperties & ~0x20,
  )
  const one = await old.allocate()
  assert.equal(await old.setFilterStatus(one, MAC.a, ANY_VLAN), invalidParameter)
  assert.equal(await old.setFilterStatus(one, MAC.a, 0), success)
  assert.equal(await old.setFilterStatus(one, MAC.a, 5), success)
})

test('of filters in two queues that match the lower queue decides; the default queue has what no other takes (VQ-051, VQ-090)', async () => {
  const h = await QueueHarness.start()
  const low = await h.running(MAC.a, {}, ANY_VLAN)
  const high = await h.running(MAC.a, {}, 5)
  assert.ok(low.queue < high.queue)
  h.receive(0, to(MAC.a, 'in 5', 5))
  assert.deepEqual(h.texts(), { [low.queue]: ['in 5'] })
  const other = await QueueHarness.start()
  const first = await other.running(MAC.b, {}, 5)
  const second = await other.running(MAC.b, {}, ANY_VLAN)
  await other.filter(0, MAC.c, 5)
  await other.running(MAC.c, {}, ANY_VLAN)
  other.receive(0, to(MAC.b, 'in 5', 5), to(MAC.b, 'in 6', 6), to(MAC.c, 'both', 5))
  assert.deepEqual(other.texts(), { [first.queue]: ['in 5'], [second.queue]: ['in 6'], 3: ['both'] })
})

test('the adapter receives what its packet filter wants, and addresses that filters have (VQ-051, VQ-053)', async () => {
  const h = await QueueHarness.start()
  const { queue } = await h.running(MAC.a)
  await h.filter(0, MAC.b)
  h.queues.setPacketFilter(PacketFilter.directed)
  const group = '01:00:5e:00:00:09'
  const burst = [MAC.a, MAC.b, MAC.c, MAC.pf, group, BROADCAST].map((mac) => to(mac, mac))
  h.receive(0, ...burst)
  assert.deepEqual(h.texts(), { [queue]: [MAC.a], 0: [MAC.b, MAC.pf] })
  assert.deepEqual(h.drops(0), { 'no-destination': 3 })
  h.queues.setPacketFilter(PacketFilter.broadcast | PacketFilter.multicast)
  h.receive(0, ...burst)
  assert.deepEqual(h.texts(), { 0: [group, BROADCAST] })
  h.queues.setPacketFilter(PacketFilter.promiscuous)
  h.receive(0, ...burst)
  assert.equal(h.got().flatMap(({ packets }) => packets).length, 6)
})

test('SR-CS-71: packets of queues with different processors are indicated on both at a time, each queue in order (VQ-029, VQ-033, VQ-107, VQ-114)', async () => {
  const overlaps: string[] = []
  let inside = false
  const h = await QueueHarness.start({
    // While processor 1 has not yet returned its packets, processor 2 gets its own.
    onIndicate: ({ processor }) => {
      overlaps.push(`${processor}${inside ? ' inside' : ''}`)
      if (processor !== 1 || inside) return
      inside = true
      h.serve(2)
      inside = false
    },
  })
  const one = await h.running(MAC.a, { processorAffinity: [1] })
  const two = await h.running(MAC.b, { processorAffinity: [2, 3] })
  for (let burst = 0; burst < 8; burst++)
    h.receive(0, ...Array.from({ length: 32 }, (_, i) => to(i % 3 === 0 ? MAC.a : MAC.b, `${burst}.${i}`)))
  while (h.serve(1) > 0 || h.serve(2) > 0);
  assert.ok(overlaps.includes('2 inside'))
  const all = h.got()
  assert.deepEqual([...new Set(all.map(({ processor, queue }) => `${processor} ${queue}`))].sort(), [
    `1 ${one.queue}`,
    `2 ${two.queue}`,
  ])
  const expected = (mine: boolean): string[] =>
    Array.from({ length: 8 * 32 }, (_, n) => [n % 32, `${n >> 5}.${n % 32}`] as const)
      .filter(([i]) => (i % 3 === 0) === mine)
      .map(([, text]) => text)
  for (const [queue, mine] of [
    [one.queue, true],
    [two.queue, false],
  ] as const)
    assert.deepEqual(texts(all.filter((indication) => indication.queue === queue)).flat(), expected(mine))
})

test('SR-CS-72: a running queue changes its processor without loss or overtaking (VQ-029, VQ-031, VQ-071, VQ-114)', async () => {
  const h = await QueueHarness.start()
  const { queue } = await h.running(MAC.a, { processorAffinity: [1] })
  const move = (processor: number) =>
    h.setParameters(queue, { flags: QueueParams.processorAffinityChanged, processorAffinity: [processor] })
  const seen: string[] = []
  const processors: number[] = []
  const look = (): void => {
    for (const { processor, packets } of h.got())
      for (const { text } of packets) {
        seen.push(text)
        processors.push(processor)
      }
  }
  let sent = 0
  const send = (processor: number, count: number): void => {
    h.receive(processor, ...Array.from({ length: count }, () => to(MAC.a, `${sent++}`)))
  }
  send(1, 5) // in place on 1
  send(0, 5) // waits in the queue's memory
  send(1, 5) // must not overtake
  look()
  assert.equal(seen.length, 5)
  const out = h.paths[1]!.reader(queue)
  assert.equal(out.receive(0, 2), 2) // processor 1 is at work on two of them
  assert.equal(await move(3), success)
  send(0, 5)
  assert.equal(h.serve(3), 0) // not before 1 has returned what it has
  assert.equal(h.serve(1), 0)
  seen.push(...[0, 1].map((slot) => h.bytesOf(1, slot).subarray(14, 15).toString()))
  processors.push(1, 1)
  out.complete(0, 2)
  assert.equal(h.serve(3), 13)
  send(3, 5) // in place on 3
  look()
  assert.equal(await move(0), success)
  send(0, 5)
  look()
  assert.deepEqual(
    seen,
    Array.from({ length: 30 }, (_, i) => `${i}`),
  )
  assert.deepEqual([...new Set(processors)], [1, 3, 0])
  assert.deepEqual(h.drops(queue), {})
})

test('SR-CS-73: a queue that wants to be indicated alone never shares a call; others may (VQ-105, VQ-106, VQ-107)', async () => {
  const h = await QueueHarness.start()
  const alone = await h.running(MAC.a, { flags: QueueParams.perQueueReceiveIndication })
  const two = await h.running(MAC.b)
  const three = await h.running(MAC.c)
  h.receive(0, ...[MAC.b, MAC.a, MAC.c, MAC.a, MAC.b, MAC.pf, MAC.a].map((mac, i) => to(mac, `${i}`)))
  const calls = h.got()
  const own = calls.filter(({ packets }) => packets.some(({ queue }) => queue === alone.queue))
  assert.deepEqual(texts(own), [['1', '3', '6']])
  assert.ok(own.every(({ flags, queue }) => (flags & singleQueue) !== 0 && queue === alone.queue))
  const shared = calls.filter((call) => !own.includes(call))
  assert.deepEqual(texts(shared), [['0', '2', '4', '5']])
  assert.equal(shared[0]!.flags & singleQueue, 0)
  assert.deepEqual(
    shared[0]!.packets.map(({ queue }) => queue),
    [two.queue, three.queue, two.queue, 0],
  )
  await h.setParameters(alone.queue, { flags: QueueParams.flagsChanged })
  h.receive(0, to(MAC.a, 'x'), to(MAC.b, 'y'))
  assert.equal(h.got().length, 1)
})

test('SR-CS-74: each packet says its queue, filter id zero, and the shared memory of that queue that it lies in, in one piece (VQ-085, VQ-108, VQ-109, VQ-110, VQ-111, VQ-112, VQ-113, VQ-136, VQ-138, VQ-145)', async () => {
  const h = await QueueHarness.start()
  await h.running(MAC.b)
  await h.running(MAC.c)
  const { queue } = await h.running(MAC.a, { processorAffinity: [1] })
  assert.equal(queue, 3)
  const wants = { ...filterParameters(MAC.pf, 0, 0), queueId: queue, requestedFilterIdBitCount: 4 }
  assert.equal(await h.status(AdapterOid.receiveFilterSetFilter, 'method', wants), invalidParameter)
  const handle = h.tables.queues.handle(queue)
  const start = h.tables.queues.address(queue)
  const length = h.tables.queues.bytes(queue)
  const others = [0, 1, 2].map((other) => h.tables.queues.handle(other))
  assert.ok(handle > 0 && !others.includes(handle))
  let count = 0
  for (let burst = 0; burst < 4; burst++) {
    h.receive(0, ...Array.from({ length: 25 }, (_, i) => to(MAC.a, `${burst}.${i}`.padEnd(60 * (i + 1), 'x'))))
    h.serve(1)
    for (const { flags, packets } of h.got()) {
      assert.notEqual(flags & sharedMemoryInfoValid, 0)
      for (const packet of packets) {
        count++
        assert.equal(packet.filteringInfo, queue << 16)
        assert.equal(packet.memory!.sharedMemoryHandle, handle)
        assert.equal(packet.memory!.nextSharedMemorySegment, null)
        assert.equal(packet.memory!.sharedMemoryLength, packet.bytes.length)
        assert.ok(packet.memory!.sharedMemoryOffset + packet.bytes.length <= length)
        assert.deepEqual(h.bytesAt(start + packet.memory!.sharedMemoryOffset, packet.bytes.length), packet.bytes)
      }
    }
  }
  assert.equal(count, 100)
})

test('packets that are indicated from the receive ring say so too, if the ring is known (VQ-110, VQ-112, VQ-141)', async () => {
  const h = await QueueHarness.start()
  const { queue } = await h.running(MAC.a)
  h.receive(0, to(MAC.a, 'unknown'))
  h.queues.attachRing(queue, 77, h.ringAddress)
  h.receive(0, to(MAC.a, 'known'))
  const [before, after] = h.got()
  assert.equal(before!.flags & sharedMemoryInfoValid, 0)
  assert.notEqual(after!.flags & sharedMemoryInfoValid, 0)
  const [packet] = after!.packets
  const { memory, bytes } = packet!
  assert.equal(before!.packets[0]!.memory, null)
  assert.equal(memory!.sharedMemoryHandle, 77)
  assert.deepEqual(h.bytesAt(h.ringAddress + memory!.sharedMemoryOffset, bytes.length), bytes)
})

test('nothing of a packet is lost on the way through the memory of its queue: tag, offload requests, verdicts on checksums, every length (VQ-108, VQ-111, VQ-114)', async () => {
  const h = await QueueHarness.start()
  const { queue } = await h.running(MAC.a, { processorAffinity: [1] }, ANY_VLAN)
  const vnet = Uint8Array.from([1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, 0, 0])
  const big = Buffer.concat([to(MAC.a, 'big', 3), Buffer.alloc(60_000, 7)])
  const lengths = [60, 61, 127, 128, 129, 255, 1514, 9000, 60_000]
  for (let round = 0; round < 20; round++) {
    const frames = lengths.map((length) => ({ bytes: big.subarray(0, length), vnet, needs: 3 }))
    h.receive(0, ...frames)
    const pool = h.pools[1]!
    const reader = h.paths[1]!.reader(queue)
    const taken = reader.receive(0, 64)
    assert.equal(taken, lengths.length)
    for (let slot = 0; slot < taken; slot++) {
      assert.deepEqual(h.bytesOf(1, slot), frames[slot]!.bytes)
      assert.equal(pool.vlan[slot], 3)
      assert.equal(pool.needs[slot], 3)
      assert.deepEqual([...pool.vnet.subarray(slot * 16, slot * 16 + 12)], [...vnet])
      assert.equal(pool.flags[slot]! & PF_DATA_VALID, 0)
    }
    reader.complete(0, taken)
    assert.ok(h.tables.queues.isEmpty(queue))
  }
})

test('a queue that is full loses its own packets, counted; others lose nothing (VQ-114, VQ-145, PD-07)', async () => {
  const h = await QueueHarness.start()
  const full = await h.running(MAC.a, { processorAffinity: [1] })
  const other = await h.running(MAC.b, { processorAffinity: [2] })
  const frame = Buffer.concat([to(MAC.a, 'x'), Buffer.alloc(9000)])
  for (let burst = 0; burst < 10; burst++) {
    h.receive(0, ...Array.from({ length: 10 }, () => frame), to(MAC.b, `${burst}`))
    h.serve(2)
  }
  const lost = h.drops(full.queue)['receive-ring-full']!
  assert.ok(lost > 0)
  assert.deepEqual(h.drops(other.queue), {})
  assert.deepEqual(
    h.texts()[other.queue],
    Array.from({ length: 10 }, (_, i) => `${i}`),
  )
  assert.equal(h.paths[1]!.serve(), 100 - lost)
})

test('packets that wait in a queue whose last filter goes are discarded, not indicated, not kept (VQ-065, VQ-066, VQ-070, VQ-100)', async () => {
  for (const [sleeping, reason] of [
    [true, { paused: 4 }],
    [false, { paused: 3 }],
  ] as const) {
    const h = await QueueHarness.start()
    const { queue, filter } = await h.running(MAC.a, { processorAffinity: [1] })
    h.receive(0, ...[1, 2, 3, 4].map((i) => to(MAC.a, `${i}`)))
    const reader = h.paths[1]!.reader(queue)
    if (!sleeping) reader.receive(0, 1) // its processor has one in hand
    assert.equal(await h.clear(queue, filter), success)
    if (!sleeping) reader.complete(0, 1)
    if (!sleeping) assert.equal(h.tables.queues.isEmpty(queue), false)
    assert.equal(h.serve(1), 0)
    assert.ok(h.tables.queues.isEmpty(queue))
    assert.deepEqual(h.got(), [])
    assert.deepEqual(h.drops(queue), reason)
    await h.filter(queue, MAC.a)
    h.receive(0, to(MAC.a, 'new'))
    h.serve(1)
    assert.deepEqual(h.texts(), { [queue]: ['new'] })
    assert.deepEqual(h.statuses, [])
  }
})

test('packets come back in any grouping and order; a promise of one queue is checked (VQ-115, VQ-116, VQ-117)', async () => {
  const h = await QueueHarness.start()
  const one = await h.running(MAC.a, { processorAffinity: [1] })
  const two = await h.running(MAC.b, { processorAffinity: [1] })
  h.receive(0, ...Array.from({ length: 12 }, (_, i) => to(i % 2 === 0 ? MAC.a : MAC.b, `${i}`)))
  const path = h.paths[1]!
  assert.equal(path.reader(one.queue).receive(0, 4), 4)
  assert.equal(path.reader(one.queue).receive(4, 2), 2) // a second indication of the queue
  assert.equal(path.reader(two.queue).receive(6, 6), 6)
  const give = (single: boolean, ...slots: number[]): boolean => path.giveBack(Uint16Array.from(slots), slots.length, single)
  assert.equal(give(true, 5, 7), false)
  assert.deepEqual([path.reader(one.queue).out, path.reader(two.queue).out], [6, 6])
  assert.equal(give(true, 5, 1, 3), true)
  assert.equal(give(false, 6, 2, 4, 8), true)
  assert.equal(h.tables.queues.isEmpty(one.queue), false)
  assert.equal(give(true, 0), true)
  assert.ok(h.tables.queues.isEmpty(one.queue))
  h.pools[1]!.receiveQueue[7] = 200 // of a queue that does not exist
  assert.equal(give(true, 7), true)
  assert.equal(h.tables.queues.port(200), 0)
  assert.equal(give(false, 7, 9, 10, 11), true)
  assert.equal(path.reader(two.queue).out, 5)
})

test('SR-CS-76: sent packets go out on the queue of their VM, or on queue 0 if there is none; completions name one queue only if all were on it (VQ-119, VQ-120, VQ-121, VQ-122, VQ-123)', async () => {
  const h = await QueueHarness.start()
  const one = await h.running(MAC.a)
  const two = await h.running(MAC.b)
  const pool = h.pools[0]!
  const sent: [number, number[]][] = []
  const completed: [number[], number][] = []
  const transmit = new QueueTransmit({
    pool,
    queues: h.tables.queues,
    transmit: (queue, slots, count) => sent.push([queue, [...slots.subarray(0, count)]]),
    completed: (slots, count, flags) => completed.push([[...slots.subarray(0, count)], flags & SendCompleteFlag.singleQueue]),
  })
  const list = (...slots: number[]): Uint16Array => Uint16Array.from(slots)
  transmit.stamp(list(1, 3), 2, one.queue)
  transmit.stamp(list(2, 4), 2, two.queue)
  transmit.stamp(list(5), 1, 99)
  transmit.stamp(list(6), 1, 7)
  transmit.send(list(1, 2, 3, 4, 5, 6), 6, 0)
  assert.deepEqual(sent.splice(0), [
    [one.queue, [1, 3]],
    [two.queue, [2, 4]],
    [0, [5, 6]],
  ])
  transmit.send(list(1, 3), 2, SendFlag.singleQueue)
  assert.deepEqual(sent.splice(0), [[one.queue, [1, 3]]])
  transmit.complete(list(1, 3), 2)
  transmit.complete(list(1, 2), 2)
  transmit.complete(list(5, 6), 2)
  assert.deepEqual(completed, [
    [[1, 3], SendCompleteFlag.singleQueue],
    [[1, 2], 0],
    [[5, 6], SendCompleteFlag.singleQueue],
  ])
  await h.clear(one.queue, one.filter)
  await h.free(one.queue)
  transmit.send(list(1), 1, 0)
  assert.deepEqual(sent, [[0, [1]]])
})

test('each queue counts its frames, bytes and losses over all processors (VQ-108, VQ-114)', async () => {
  const h = await QueueHarness.start()
  const one = await h.running(MAC.a, { processorAffinity: [1] })
  const two = await h.running(MAC.b)
  h.receive(0, to(MAC.a, '1'), to(MAC.b, '2'), to(MAC.a, '3'))
  h.receive(2, to(MAC.a, '4'))
  await h.clear(one.queue, one.filter)
  const of = (queue: number) => queueStatistics([h.control, ...h.counters], queue)
  assert.deepEqual([of(one.queue).frames, of(one.queue).bytes, of(one.queue).discarded], [3, 180, 3])
  assert.deepEqual([of(two.queue).frames, of(two.queue).bytes, of(two.queue).drops.size], [1, 60, 0])
  h.queues.setPacketFilter(PacketFilter.directed)
  h.receive(0, to(MAC.c, '5'))
  assert.deepEqual([...of(0).drops], [[5, 1]])
})

test('the default queue has a processor too, and all wake-ups can be moderated while they run (VQ-029, VQ-050)', async () => {
  const h = await QueueHarness.start()
  h.queues.setDefaultProcessor(2)
  h.receive(0, to(MAC.c, 'there'))
  assert.equal(h.serve(2), 1)
  assert.equal(h.got()[0]!.processor, 2)
  assert.throws(() => h.queues.setDefaultProcessor(9), RangeError)
  h.wakes.length = 0
  h.queues.setModeration(50)
  h.receive(0, to(MAC.c, 'later'))
  assert.deepEqual(h.wakes, [])
  h.nowUs += 50
  h.receive(0)
  assert.deepEqual(h.wakes, [2])
})

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

test('the wake-up of a processor serves all its queues, at once or moderated (VQ-026, VQ-032, VQ-033)', async () => {
  const h = await QueueHarness.start()
  await h.running(MAC.a, { processorAffinity: [1] })
  await h.running(MAC.b, { processorAffinity: [1] })
  await h.running(MAC.c, { processorAffinity: [2] })
  h.wakes.length = 0
  h.receive(0, to(MAC.a, 'x'), to(MAC.b, 'x'), to(MAC.a, 'x'), to(MAC.c, 'x'), to(MAC.pf, 'own'))
  assert.deepEqual(h.wakes, [1, 2])
  const slow = await QueueHarness.start({ moderationUs: 100 })
  await slow.running(MAC.a, { processorAffinity: [1] })
  slow.wakes.length = 0
  for (let i = 0; i < 10; i++) {
    slow.receive(0, to(MAC.a, 'x'))
    slow.nowUs += 9
  }
  assert.deepEqual(slow.wakes, [])
  assert.equal(slow.paths[0]!.moderation.remainingUs(slow.nowUs), 10)
  slow.nowUs += 10
  slow.receive(0)
  assert.deepEqual(slow.wakes, [1])
  slow.receive(0, ...Array.from({ length: 64 }, () => to(MAC.a, 'x')))
  assert.deepEqual(slow.wakes, [1, 1])
})

test('no guest sees or changes a byte that is not its own: a frame of another VLAN never reaches the memory of a queue (VQ-143, VQ-144, VQ-145, VQ-146)', async () => {
  const h = await QueueHarness.start()
  const { queue } = await h.running(MAC.a, { processorAffinity: [1] }, 5)
  const start = h.tables.queues.address(queue)
  const before = h.bytesAt(start, h.tables.queues.bytes(queue))
  h.receive(0, to(MAC.a, 'secret of 6', 6), to(MAC.a, 'secret of none'), to(MAC.b, 'secret of B', 5))
  assert.deepEqual(h.bytesAt(start, h.tables.queues.bytes(queue)), before)
  assert.deepEqual(h.texts(), { 0: ['secret of 6', 'secret of none', 'secret of B'] })
  assert.ok(start >= h.memoryStart && start + h.tables.queues.bytes(queue) <= h.memoryStart + h.memoryBytes)
  for (const other of [0, 2]) assert.notEqual(h.tables.queues.address(other), start)
})
