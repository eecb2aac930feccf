// Scenarios SR-CS-25, SR-CS-34 to SR-CS-50 and the project's decisions on the NIC switch's data path, with frames.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FILTER_PACKET_ENCAPSULATION } from '../../src/adapter/identifiers.ts'
import { AdapterOid } from '../../src/adapter/oids.ts'
import { filterParameters } from '../../src/adapter/receive-filters.ts'
import { PacketFilter } from '../../src/adapter/vport-table.ts'
import { FRAME_MAX } from '../../src/kernels/layout.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { AdapterHarness, ANY_VLAN, BROADCAST, MAC, wireFrame } from '../support/adapter-harness.ts'

const PF_HEARS_ALL = PacketFilter.directed | PacketFilter.multicast | PacketFilter.broadcast | PacketFilter.promiscuous
const GROUP = '01:00:5e:00:00:05'

/** A and B on VFs, C's filter on the default VPort. */
async function threeVms(vlan = 0): Promise<{ harness: AdapterHarness; a: number; b: number; vfA: number; vfB: number }> {
  const harness = await AdapterHarness.start()
  const a = await harness.vm(MAC.a, vlan)
  const b = await harness.vm(MAC.b, vlan)
  await harness.filter(0, MAC.c, vlan)
  return { harness, a: a.vport, b: b.vport, vfA: a.vf, vfB: b.vf }
}

test('SR-CS-25: a VPort of the PF gets frames once it is activated (SR-167, SR-168, SR-170, SR-214)', async () => {
  const harness = await AdapterHarness.start()
  const vport = await harness.vport()
  await harness.filter(vport, MAC.c)
  harness.send(harness.wire, wireFrame(MAC.c, MAC.peer, 'early'))
  assert.deepEqual(harness.got(vport), [])
  assert.deepEqual(harness.drops(harness.wire), { 'no-destination': 1 })
  assert.equal(await harness.activate(vport), NdisStatus.success)
  harness.send(harness.wire, wireFrame(MAC.c, MAC.peer, 'later'))
  assert.deepEqual(harness.got(vport), ['later'])
})

test('SR-CS-34: UNTAGGED_OR_ZERO takes untagged frames and VLAN 0 (SR-206, SR-207)', async () => {
  const harness = await AdapterHarness.start()
  const { vport } = await harness.vm(MAC.a)
  const { wire } = harness
  harness.send(
    wire,
    wireFrame(MAC.a, MAC.peer, 'none'),
    wireFrame(MAC.a, MAC.peer, 'zero', 0x6000),
    wireFrame(MAC.a, MAC.peer, 'five', 5),
  )
  const [none, zero, ...more] = harness.sink(vport).frames
  assert.deepEqual([none?.text, zero?.text, more], ['none', 'zero', []])
  assert.equal(zero?.bytes.readUInt16BE(12), 0x88b5) // the zero tag is taken off, its priority stays out of band
  assert.equal(zero?.tag, 0x6000)
})

test('SR-CS-35: MAC and VLAN take that VLAN alone, without its tag in the data (SR-203, SR-209, SR-211)', async () => {
  const harness = await AdapterHarness.start()
  const { vport } = await harness.vm(MAC.a, 5)
  const of = (text: string, ...tags: number[]) => wireFrame(MAC.a, MAC.peer, text, ...tags)
  harness.send(harness.wire, of('none'), of('zero', 0), of('five', 0xa005), of('six', 6))
  const [five, ...more] = harness.sink(vport).frames
  assert.deepEqual(more, [])
  assert.equal(five?.text, 'five')
  assert.equal(five?.bytes.readUInt16BE(12), 0x88b5)
  assert.equal(five?.tag, 0xa005)
  assert.equal(five?.bytes.length, 56)
})

test('SR-CS-37: a filter without VLAN test takes every VLAN, the tag out of band (SR-208)', async () => {
  const harness = await AdapterHarness.start()
  const vport = await harness.vport()
  await harness.filter(vport, MAC.a, ANY_VLAN)
  await harness.activate(vport)
  harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'none'), wireFrame(MAC.a, MAC.peer, 'five', 5))
  const { frames } = harness.sink(vport)
  assert.deepEqual(
    frames.map(({ text, tag, bytes }) => [text, tag, bytes.readUInt16BE(12)]),
    [
      ['none', 0, 0x88b5],
      ['five', 5, 0x88b5],
    ],
  )
})

test('SR-CS-38: filters of one VPort are alternatives, their tests are not (SR-203, SR-204)', async () => {
  const harness = await AdapterHarness.start()
  const { vport } = await harness.vm(MAC.a, 5)
  await harness.filter(vport, MAC.b, 6)
  const { wire } = harness
  harness.send(
    wire,
    wireFrame(MAC.a, MAC.peer, 'a5', 5),
    wireFrame(MAC.b, MAC.peer, 'b6', 6),
    wireFrame(MAC.a, MAC.peer, 'a6', 6),
  )
  assert.deepEqual(harness.got(vport), ['a5', 'b6'])
  assert.deepEqual(harness.drops(wire), { 'no-destination': 1 })
})

test('a filter with a VLAN goes before one without VLAN test', async () => {
  const harness = await AdapterHarness.start()
  const { vport } = await harness.vm(MAC.a, 5)
  await harness.filter(0, MAC.a, ANY_VLAN)
  harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'five', 5), wireFrame(MAC.a, MAC.peer, 'six', 6))
  assert.deepEqual([harness.got(vport), harness.got(0)], [['five'], ['six']])
})

test('SR-CS-39: after the last filter is cleared nothing comes on the VPort; the frames appear on VPort 0 (SR-214, SR-216)', async () => {
  const harness = await AdapterHarness.start()
  harness.software.pf.setPacketFilter(PF_HEARS_ALL)
  const { vport, filter } = await harness.vm(MAC.a)
  harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'before'))
  await harness.request(AdapterOid.receiveFilterClearFilter, 'set', { queueId: 0, filterId: filter })
  harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'after'), wireFrame(BROADCAST, MAC.peer, 'all'))
  assert.deepEqual(harness.got(vport), ['before'])
  assert.deepEqual(harness.got(0), ['after', 'all'])
  assert.equal(harness.send(vport, wireFrame(MAC.peer, MAC.a, 'mute')), 1)
  assert.deepEqual(harness.drops(vport), { 'vport-not-active': 1 })
})

test('SR-CS-42: frames under a filter that moves to and fro arrive once, in order, at one of the two (SR-221, SR-222)', async () => {
  const harness = await AdapterHarness.start()
  const { vport, filter } = await harness.vm(MAC.a)
  const seen = { 0: [] as number[], 1: [] as number[] }
  let next = 0
  let at = vport
  for (let move = 0; move < 400; move++) {
    const burst = Array.from({ length: 8 }, () => wireFrame(MAC.a, MAC.peer, String(next++)))
    harness.send(harness.wire, ...burst)
    for (const port of [0, vport]) seen[port === 0 ? 0 : 1].push(...harness.got(port).map(Number))
    const to = at === 0 ? vport : 0
    const payload = { filterId: filter, sourceQueueId: 0, sourceVPortId: at, destQueueId: 0, destVPortId: to }
    assert.equal(await harness.status(AdapterOid.receiveFilterMoveFilter, 'set', payload), NdisStatus.success)
    at = to
  }
  for (const list of [seen[0], seen[1]])
    assert.deepEqual(
      list,
      list.toSorted((x, y) => x - y),
    )
  assert.deepEqual(
    [...seen[0], ...seen[1]].toSorted((x, y) => x - y),
    Array.from({ length: next }, (_, i) => i),
  )
})

test('SR-CS-44: VF to wire and back touches no PF VPort (SR-014, SR-213)', async () => {
  const { harness, a } = await threeVms()
  harness.send(a, wireFrame(MAC.peer, MAC.a, 'out'))
  harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'in'))
  assert.deepEqual([harness.got(harness.wire), harness.got(a), harness.got(0)], [['out'], ['in'], []])
  for (const counter of ['receivedFrames', 'sentFrames'] as const) assert.equal(harness.data.portCounter(0, counter), 0)
})

test('SR-CS-45: VF to VF stays inside the NIC switch (SR-238)', async () => {
  const { harness, a, b } = await threeVms()
  const texts = Array.from({ length: 64 }, (_, i) => `n${i}`)
  harness.send(a, ...texts.map((text) => wireFrame(MAC.b, MAC.a, text)))
  assert.deepEqual(harness.got(b), texts)
  assert.deepEqual([harness.got(harness.wire), harness.got(0), harness.got(a)], [[], [], []])
})

test('SR-CS-46: VF to a VM without VF goes by the default VPort, its answer into the VF (SR-015, SR-237, SR-213)', async () => {
  const { harness, a } = await threeVms()
  harness.send(a, wireFrame(MAC.c, MAC.a, 'ask'))
  harness.send(0, wireFrame(MAC.a, MAC.c, 'answer'))
  assert.deepEqual([harness.got(0), harness.got(a), harness.got(harness.wire)], [['ask'], ['answer'], []])
})

test('SR-CS-47: a broadcast reaches VFs, host and wire once each, and not its origin (PD-03, PD-05, SR-237)', async () => {
  const { harness, a, b } = await threeVms()
  const extra = await harness.vport()
  await harness.filter(extra, MAC.pf)
  await harness.activate(extra)
  const all = () => [a, b, 0, harness.wire, extra].map((port) => harness.got(port).length)
  harness.send(a, wireFrame(BROADCAST, MAC.a, 'who'))
  assert.deepEqual(all(), [0, 1, 1, 1, 0])
  harness.send(harness.wire, wireFrame(BROADCAST, MAC.peer, 'who'))
  assert.deepEqual(all(), [1, 1, 1, 0, 0])
  harness.send(0, wireFrame(BROADCAST, MAC.c, 'who'))
  assert.deepEqual(all(), [1, 1, 0, 1, 0])
  harness.send(extra, wireFrame(BROADCAST, MAC.pf, 'who')) // the host has replicated it already
  assert.deepEqual(all(), [1, 1, 0, 1, 0])
})

test('PD-03: a broadcast reaches VFs of its VLAN only, each in the form that it takes', async () => {
  const harness = await AdapterHarness.start()
  const five = await harness.vm(MAC.a, 5)
  const six = await harness.vm(MAC.b, 6)
  const trunk = await harness.vm('02:00:00:00:00:0d', 5)
  await harness.filter(trunk.vport, '02:00:00:00:00:0d', 6)
  harness.send(five.vport, wireFrame(BROADCAST, MAC.a, 'in five'))
  assert.deepEqual(harness.got(six.vport), [])
  const kinds = [trunk.vport, harness.wire, 0].map((port) => harness.sink(port).frames.map(({ bytes }) => bytes.readUInt32BE(12)))
  assert.deepEqual(kinds, [[0x81000005], [0x81000005], [0x81000005]])
  harness.sink(trunk.vport).frames.length = 0
  harness.send(harness.wire, wireFrame(BROADCAST, MAC.peer, 'tagged', 0x2006))
  assert.deepEqual(
    [six.vport, trunk.vport, five.vport].map((port) => harness.sink(port).frames.map(({ bytes }) => bytes.readUInt16BE(12))),
    [[0x88b5], [0x8100], []],
  )
})

test('PD-04: a VF gets the groups that it asked for, or all of them', async () => {
  const { harness, a, b, vfA, vfB } = await threeVms()
  const channel = harness.software.channel(vfA)
  assert.equal(await channel.write(2, new Uint8Array([0, 1, 0x01, 0x00, 0x5e, 0, 0, 5])), NdisStatus.success)
  harness.send(harness.wire, wireFrame(GROUP, MAC.peer, 'g'), wireFrame('01:00:5e:00:00:06', MAC.peer, 'h'))
  assert.deepEqual([harness.got(a), harness.got(b), harness.got(0)], [['g'], [], ['g', 'h']])
  assert.equal(await harness.software.channel(vfB).write(2, new Uint8Array([1, 0])), NdisStatus.success)
  harness.send(a, wireFrame(GROUP, MAC.a, 'from a'))
  assert.deepEqual([harness.got(a), harness.got(b), harness.got(harness.wire)], [[], ['from a'], ['from a']])
  assert.equal(await channel.write(2, new Uint8Array([0, 0])), NdisStatus.success)
  harness.send(harness.wire, wireFrame(GROUP, MAC.peer, 'again'))
  assert.deepEqual([harness.got(a), harness.got(b)], [[], ['again']])
})

test('PD-06: unknown unicast from inside goes to the wire; from the wire to a default VPort that accepts it', async () => {
  const { harness, a, b } = await threeVms()
  const nobody = '02:00:00:00:00:77'
  harness.send(a, wireFrame(nobody, MAC.a, 'x'))
  assert.deepEqual([harness.got(harness.wire), harness.got(0), harness.got(b)], [['x'], [], []])
  harness.send(harness.wire, wireFrame(nobody, MAC.peer, 'y'), wireFrame(MAC.pf, MAC.peer, 'own'))
  assert.deepEqual([harness.got(0), harness.drops(harness.wire)], [['own'], { 'no-destination': 1 }])
  harness.software.pf.setPacketFilter(PF_HEARS_ALL)
  harness.send(harness.wire, wireFrame(nobody, MAC.peer, 'z'))
  assert.deepEqual([harness.got(0), harness.got(a)], [['z'], []])
})

test('SR-CS-48, PD-01: a forged source address is dropped and counted, others go on (SR-006)', async () => {
  const { harness, a, b } = await threeVms()
  harness.send(a, wireFrame(MAC.peer, MAC.b, 'forged'), wireFrame(MAC.peer, GROUP, 'group'), wireFrame(MAC.peer, MAC.a, 'mine'))
  harness.send(b, wireFrame(MAC.peer, MAC.b, 'real'))
  assert.deepEqual(harness.got(harness.wire), ['mine', 'real'])
  assert.deepEqual(harness.drops(a), { 'mac-spoofing': 2 })
  assert.deepEqual(harness.drops(b), {})
  assert.equal(harness.data.portCounter(a, 'receivedDropped'), 2)
})

test('PD-01: an address of a filter may be a source, until the filter is cleared', async () => {
  const harness = await AdapterHarness.start()
  const { vport } = await harness.vm(MAC.a)
  const second = await harness.filter(vport, MAC.b)
  harness.send(vport, wireFrame(MAC.peer, MAC.b, 'two'))
  await harness.request(AdapterOid.receiveFilterClearFilter, 'set', { queueId: 0, filterId: second })
  harness.send(vport, wireFrame(MAC.peer, MAC.b, 'gone'))
  assert.deepEqual(harness.got(harness.wire), ['two'])
  assert.deepEqual(harness.drops(vport), { 'mac-spoofing': 1 })
})

test('PD-01: every frame of a burst is checked, those to one destination too', async () => {
  const { harness, a, b } = await threeVms()
  const to = (from: string, text: string) => wireFrame(MAC.b, from, text)
  harness.send(
    a,
    to(MAC.a, '1'),
    to(MAC.a, '2'),
    to(MAC.c, 'forged'),
    wireFrame(MAC.peer, MAC.a, '3'),
    to(MAC.a, '4'),
    to(MAC.b, 'b'),
  )
  assert.deepEqual([harness.got(b), harness.got(harness.wire)], [['1', '2', '4'], ['3']])
  assert.deepEqual(harness.drops(a), { 'mac-spoofing': 2 })
  harness.send(a, to(MAC.a, 'ok'), wireFrame(MAC.b, MAC.a, 'five', 5), to(MAC.a, 'more'))
  assert.deepEqual(harness.got(b), ['ok', 'more'])
})

test('PD-02: a VLAN that no filter admits is dropped and counted, so is a tag hidden in another', async () => {
  const { harness, a } = await threeVms()
  harness.send(
    a,
    wireFrame(MAC.peer, MAC.a, 'five', 5),
    wireFrame(MAC.peer, MAC.a, 'hidden', 0, 5),
    wireFrame(MAC.peer, MAC.a, 'ok', 0),
  )
  assert.deepEqual(harness.got(harness.wire), ['ok'])
  assert.deepEqual(harness.drops(a), { 'vlan-not-admitted': 2 })
  const access = await threeVms(7)
  access.harness.send(access.a, wireFrame(MAC.peer, MAC.a, 'no', 9), wireFrame(MAC.peer, MAC.a, 'hop', 7, 9))
  assert.deepEqual(access.harness.got(access.harness.wire), [])
  assert.deepEqual(access.harness.drops(access.a), { 'vlan-not-admitted': 2 })
})

test('an access VF sends untagged and is in its VLAN: the tag goes on with its priority, and off again', async () => {
  const { harness, a, b, vfA } = await threeVms(7)
  assert.equal(harness.software.pf.configure(vfA, { qos: 5 }), undefined)
  const long = 'L'.repeat(900)
  harness.send(a, wireFrame(MAC.peer, MAC.a, 'out'), wireFrame(MAC.b, MAC.a, long), wireFrame(MAC.peer, MAC.a, 'prio', 0x6000))
  const [out, prio] = harness.sink(harness.wire).frames
  assert.deepEqual([out?.bytes.readUInt32BE(12), prio?.bytes.readUInt32BE(12)], [0x8100a007, 0x81006007])
  assert.deepEqual(out?.bytes.subarray(16, 18), Buffer.from([0x88, 0xb5]))
  assert.equal(out?.bytes.length, 64)
  const [peer] = harness.sink(b).frames
  assert.deepEqual([peer?.text, peer?.bytes.readUInt16BE(12), peer?.bytes.length], [long, 0x88b5, 914])
})

test('a frame that has no room for the tag of its access port is dropped', async () => {
  const { harness, a } = await threeVms(7)
  harness.send(a, wireFrame(MAC.peer, MAC.a, 'x'.repeat(FRAME_MAX - 14)), wireFrame(MAC.peer, MAC.a, 'y'.repeat(FRAME_MAX - 18)))
  assert.deepEqual(harness.drops(a), { oversize: 1 })
  assert.equal(harness.sink(harness.wire).frames[0]?.bytes.length, FRAME_MAX)
})

test('a filter that moves to a Deactivated VPort matches nowhere until that is activated', async () => {
  const harness = await AdapterHarness.start()
  harness.software.pf.setPacketFilter(PF_HEARS_ALL)
  const { vport, filter } = await harness.vm(MAC.a)
  const idle = await harness.vport()
  const payload = { filterId: filter, sourceQueueId: 0, sourceVPortId: vport, destQueueId: 0, destVPortId: idle }
  assert.equal(await harness.status(AdapterOid.receiveFilterMoveFilter, 'set', payload), NdisStatus.success)
  harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'x'))
  assert.deepEqual([harness.got(vport), harness.got(idle), harness.got(0)], [[], [], ['x']])
  await harness.activate(idle)
  harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'y'))
  assert.deepEqual([harness.got(vport), harness.got(idle), harness.got(0)], [[], ['y'], []])
})

test('checksum and segmentation offsets follow a tag that goes on or off', async () => {
  const { harness, a } = await threeVms(7)
  const vnet = new Uint8Array([1, 1, 54, 0, 100, 0, 34, 0, 16, 0, 0, 0])
  harness.send(a, { bytes: wireFrame(MAC.peer, MAC.a, 'sum'), vnet, needs: 1 })
  const { pool } = harness.data
  assert.deepEqual([...pool.vnet.subarray(0, 12)], [1, 1, 58, 0, 100, 0, 38, 0, 16, 0, 0, 0])
})

test('SR-CS-49: a VPort of the PF that does not exist any more counts as the default one (SR-229, SR-230)', async () => {
  const { harness, a } = await threeVms()
  const completed: number[] = []
  const queue = (text: string) => ({
    receive: () => {
      harness.data.fill(0, 0, wireFrame(MAC.a, MAC.c, text))
      harness.data.kernels.parse(harness.data.pool.base, 0, 1)
      return 1
    },
    complete: (_first: number, count: number) => completed.push(count),
  })
  harness.path.turnOfPf(queue('nine'), 9)
  assert.deepEqual([harness.got(a), completed, harness.data.portCounter(0, 'receivedFrames')], [['nine'], [1], 1])
  const vport = await harness.vport()
  await harness.filter(vport, MAC.pf)
  await harness.activate(vport)
  harness.path.turnOfPf(queue('own'), vport)
  assert.equal(harness.data.portCounter(vport, 'receivedFrames'), 1)
})

test('a filter with the encapsulation flag matches the inner address (VQ rules of 5.6)', async () => {
  const harness = await AdapterHarness.start()
  const vport = await harness.vport()
  const payload = filterParameters(MAC.a, 0, vport, FILTER_PACKET_ENCAPSULATION)
  await harness.output(AdapterOid.receiveFilterSetFilter, 'method', payload)
  await harness.activate(vport)
  const outer = wireFrame(MAC.pf, MAC.peer, '', 0).subarray(0, 12)
  const ip = Buffer.from('45000050000000004000000000000000000000000000', 'hex').subarray(0, 20)
  ip[9] = 47
  const gre = Buffer.from('2000655800123400', 'hex')
  const nvgre = (inner: string) =>
    Buffer.concat([outer, Buffer.from([8, 0]), ip, gre, wireFrame(inner, MAC.b, 'inner'), Buffer.alloc(4)])
  harness.send(harness.wire, nvgre(MAC.a), nvgre(MAC.b), wireFrame(MAC.a, MAC.peer, 'outer'))
  assert.equal(harness.sink(vport).frames.length, 1)
  assert.equal(harness.sink(0).frames.length, 1) // the PF's own outer address
  const { vport: b } = await harness.vm(MAC.b)
  const alike = [MAC.c, MAC.a, MAC.c].map((inner) => nvgre(inner)) // to one outer address
  for (const bytes of alike) bytes.set([2, 0, 0, 0, 0, 0x0b], 6)
  harness.send(b, ...alike)
  assert.equal(harness.sink(vport).frames.length, 2)
  assert.deepEqual(harness.drops(harness.wire), { 'no-destination': 1 })
})

test('PD-07: a full ring drops its own frames and holds up nobody', async () => {
  const { harness, a, b } = await threeVms()
  harness.sink(a).capacity = 1
  const burst = Array.from({ length: 20 }, (_, i) => wireFrame(i % 2 ? MAC.a : MAC.b, MAC.peer, String(i)))
  harness.send(harness.wire, ...burst)
  assert.equal(harness.got(b).length, 10)
  assert.equal(harness.got(a).length, 1)
  assert.deepEqual(harness.drops(a), { 'receive-ring-full': 9 })
  assert.deepEqual(harness.drops(b), {})
})

test('PD-15: a VF below D0 neither sends nor receives; what is for it is counted (SR-299, SR-300, SR-301)', async () => {
  const { harness, a, b, vfA } = await threeVms()
  const power = (powerState: number, wakeEnable: boolean) =>
    harness.status(AdapterOid.sriovSetVfPowerState, 'set', { vfId: vfA, powerState, wakeEnable })
  assert.equal(await power(4, true), NdisStatus.success)
  harness.send(b, wireFrame(MAC.a, MAC.b, 'asleep'), wireFrame(BROADCAST, MAC.b, 'all'))
  harness.send(a, wireFrame(MAC.b, MAC.a, 'dream'))
  assert.deepEqual([harness.got(a), harness.got(b)], [[], []])
  assert.deepEqual(harness.drops(a), { 'function-asleep': 2 })
  assert.equal(await power(1, true), NdisStatus.invalidParameter) // SR-CS-64
  assert.equal(await power(1, false), NdisStatus.success)
  harness.send(b, wireFrame(MAC.a, MAC.b, 'awake'))
  assert.deepEqual(harness.got(a), ['awake'])
})

test('link state of a VF follows the wire, or is what the host says', async () => {
  const { harness, a, b, vfA, vfB } = await threeVms()
  const { pf } = harness.software
  assert.equal(pf.configure(vfA, { linkMode: 'disable' }), undefined)
  harness.send(b, wireFrame(MAC.a, MAC.b, 'x'))
  harness.send(a, wireFrame(MAC.b, MAC.a, 'y'))
  assert.deepEqual([harness.got(a), harness.got(b), harness.drops(a)], [[], [], { 'link-down': 2 }])
  pf.configure(vfA, { linkMode: 'enable' })
  pf.configure(vfB, { linkMode: 'enable' })
  pf.setWire(true, false)
  harness.send(b, wireFrame(MAC.a, MAC.b, 'inside'), wireFrame(MAC.peer, MAC.b, 'outside'))
  assert.deepEqual([harness.got(a), harness.got(harness.wire)], [['inside'], []])
  assert.deepEqual(harness.drops(harness.wire), { 'link-down': 1 })
})

test('a frame for its own sender, and link-local groups, go nowhere from a VF', async () => {
  const { harness, a } = await threeVms()
  harness.send(a, wireFrame(MAC.a, MAC.a, 'self'), wireFrame('01:80:c2:00:00:00', MAC.a, 'bpdu'))
  assert.deepEqual(harness.drops(a), { hairpin: 1, 'reserved-multicast': 1 })
  harness.send(harness.wire, wireFrame('01:80:c2:00:00:0e', MAC.peer, 'lldp'))
  harness.send(0, wireFrame('01:80:c2:00:00:0e', MAC.pf, 'own lldp'))
  assert.deepEqual([harness.got(0), harness.got(a), harness.got(harness.wire)], [['lldp'], [], ['own lldp']])
})

test('a trusted VF may be promiscuous and forge; an untrusted one may not ask', async () => {
  const { harness, a, vfA } = await threeVms()
  const channel = harness.software.channel(vfA)
  const promiscuous = new Uint8Array([2, 0])
  assert.equal(await channel.write(2, promiscuous), NdisStatus.failure)
  assert.equal(harness.software.pf.configure(vfA, { trust: true, spoofCheck: false }), undefined)
  assert.equal(await channel.write(2, promiscuous), NdisStatus.success)
  harness.send(harness.wire, wireFrame('02:00:00:00:00:55', MAC.peer, 'unknown'), wireFrame(GROUP, MAC.peer, 'group'))
  assert.deepEqual(harness.got(a), ['unknown', 'group'])
  harness.send(harness.wire, wireFrame('02:00:00:00:00:55', MAC.peer, 'other VLAN', 5))
  harness.send(a, wireFrame(MAC.peer, MAC.b, 'as b'), wireFrame(MAC.peer, GROUP, 'as a group'))
  assert.deepEqual([harness.got(harness.wire), harness.got(a)], [['as b'], []])
  assert.deepEqual(harness.drops(a), { 'mac-spoofing': 1 })
  harness.software.pf.configure(vfA, { trust: false })
  harness.send(harness.wire, wireFrame('02:00:00:00:00:55', MAC.peer, 'unknown'))
  assert.deepEqual(harness.got(a), [])
})

test('without a wire VFs reach each other, and what is for nobody is counted', async () => {
  const { harness, a, b } = await threeVms()
  harness.software.pf.setWire(false, false)
  harness.send(a, wireFrame(MAC.b, MAC.a, 'x'), wireFrame(MAC.peer, MAC.a, 'y'))
  assert.deepEqual([harness.got(b), harness.drops(a)], [['x'], { 'no-destination': 1 }])
})

test('malformed frames of a VF are counted with the reason of the ring and harm nobody', async () => {
  const { harness, a, b } = await threeVms()
  harness.send(a, Buffer.alloc(5), wireFrame(MAC.b, MAC.a, 'good'))
  assert.deepEqual([harness.got(b), harness.drops(a)], [['good'], { runt: 1 }])
})
