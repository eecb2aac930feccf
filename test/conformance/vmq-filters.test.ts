// Which packets belong to a VM queue: its filters, and what the adapter receives for them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PacketFilter } from '../../src/adapter/vport-table.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { ANY_VLAN, BROADCAST, MAC, wireFrame } from '../support/adapter-harness.ts'
import { QueueHarness } from '../support/queue-harness.ts'
import { to } from './vmq-support.ts'

const { success, invalidParameter } = NdisStatus

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
