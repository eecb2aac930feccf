// Scenarios SR-CS-71 to SR-CS-74, SR-CS-76: packets of VM queues, what stands beside them, and which processor has them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AdapterOid } from '../../src/adapter/oids.ts'
import { queueStatistics } from '../../src/adapter/queues/queue-statistics.ts'
import { QueueTransmit } from '../../src/adapter/queues/queue-transmit.ts'
import { QueueParams } from '../../src/adapter/queues/queue-words.ts'
import { filterParameters } from '../../src/adapter/receive-filters.ts'
import { PacketFilter } from '../../src/adapter/vport-table.ts'
import { PF_DATA_VALID } from '../../src/kernels/layout.ts'
import { ReceiveFlag, SendCompleteFlag, SendFlag } from '../../src/ndis/list-flags.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { ANY_VLAN, MAC } from '../support/adapter-harness.ts'
import { QueueHarness } from '../support/queue-harness.ts'
import { texts, to } from './vmq-support.ts'

const { success, invalidParameter } = NdisStatus
const { singleQueue, sharedMemoryInfoValid } = ReceiveFlag

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
