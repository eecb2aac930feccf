// The way of packets of VPorts with RSS: hash, table, processor, and what stands beside the packet; completions on the way out.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AdapterOid, AdapterStatus } from '../../src/adapter/oids.ts'
import type { Offload } from '../../src/adapter/queues/offload-state.ts'
import { HashType } from '../../src/adapter/rss/hash-types.ts'
import { SoftwareHash } from '../../src/adapter/rss/software-hash.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { arpRequestFrame, ipFrame, tcpFrame, udpFrame } from '../../src/packet/build.ts'
import { MAC, VPortSink, vportPayload } from '../support/adapter-harness.ts'
import { flowFrame, flowOf, HASH_INFORMATION, PROCESSORS, RssHarness, sequenceOf } from '../support/rss-harness.ts'

const { success, invalidParameter } = NdisStatus
const { ipv4, tcpIpv4, ipv6, tcpIpv6 } = HashType
const TOEPLITZ = 1
const macs = { sourceMac: MAC.peer, destinationMac: MAC.c }
const eight = [1, 2, 3, 4, 1, 2, 3, 4]

// Destination and source with their ports, the hash over addresses, the hash over addresses and ports: verifying-the-rss-hash-calculation.
const vectors: readonly (readonly [string, number, string, number, number, number])[] = [
  ['161.142.100.80', 1766, '66.9.149.187', 2794, 0x323e8fc2, 0x51ccc178],
  ['65.69.140.83', 4739, '199.92.111.2', 14230, 0xd718262a, 0xc626b0ea],
  ['12.22.207.184', 38024, '24.19.198.95', 12898, 0xd2d0a5de, 0x5c2b394a],
  ['209.142.163.6', 2217, '38.27.205.30', 48228, 0x82989176, 0xafc7327f],
  ['202.188.127.2', 1303, '153.39.163.191', 44251, 0x5d1809c5, 0x10e828a2],
  ['3ffe:2501:200:3::1', 1766, '3ffe:2501:200:1fff::7', 2794, 0x2cc18cd5, 0x40207d3d],
]

test('SR-CS-80: the twelve published hashes stand beside packets, with VPort, function and type, and choose the entry (VQ-205, VQ-206)', async () => {
  for (const types of [ipv4 | ipv6, tcpIpv4 | tcpIpv6 | ipv4 | ipv6]) {
    const h = await RssHarness.start()
    const vport = await h.vport([1], 4)
    assert.equal(await h.spread(vport, eight, { hashInformation: TOEPLITZ | types }), success)
    for (const [destination, to, source, from, addresses, ports] of vectors) {
      h.receive(tcpFrame({ ...macs, source, destination }, from, to))
      const [packet] = h.got()
      const withPorts = (types & tcpIpv4) !== 0
      const hash = withPorts ? ports : addresses
      const isIpv6 = source.includes(':')
      assert.equal(packet!.hashValue, hash)
      assert.equal(packet!.hashInfo, TOEPLITZ | (withPorts ? (isIpv6 ? tcpIpv6 : tcpIpv4) : isIpv6 ? ipv6 : ipv4))
      assert.deepEqual([packet!.receiveQueue, packet!.info.vPortId], [vport, vport])
      assert.equal(packet!.processor, eight[hash & 7])
    }
  }
})

test('SR-CS-81: flows are spread over all processors of the table, each on one; what has no hash comes up on the default processor (VQ-198, VQ-205, VQ-208)', async () => {
  const h = await RssHarness.start()
  const vport = await h.vport([1, 2, 3, 4], 4)
  assert.equal(await h.spread(vport, eight, { defaultProcessorNumber: 6 }), success)
  const flows = Array.from({ length: 64 }, (_, i) => i)
  for (let sequence = 0; sequence < 4; sequence++) h.receive(...flows.map((flow) => flowFrame(flow, sequence)))
  const got = h.got()
  assert.equal(got.length, 256)
  const on = new Map<number, Set<number>>()
  for (const { bytes, processor } of got) on.set(flowOf(bytes), (on.get(flowOf(bytes)) ?? new Set()).add(processor))
  assert.ok([...on.values()].every((processors) => processors.size === 1))
  assert.deepEqual([...new Set(got.map(({ processor }) => processor))].sort(), [1, 2, 3, 4])
  for (const processor of [1, 2, 3, 4]) {
    const sequences = new Map<number, number[]>()
    for (const { bytes } of got.filter((packet) => packet.processor === processor))
      sequences.set(flowOf(bytes), [...(sequences.get(flowOf(bytes)) ?? []), sequenceOf(bytes)])
    assert.ok([...sequences.values()].every((order) => order.join() === '0,1,2,3'))
  }
  const arp = Buffer.from(arpRequestFrame(MAC.peer, '10.0.0.1', '10.0.0.3'))
  arp.set(Buffer.from(flowFrame(0)).subarray(0, 6))
  h.receive(arp)
  const [packet] = h.got()
  assert.deepEqual([packet!.processor, packet!.hashInfo, packet!.receiveQueue], [6, 0, vport])
})

test('SR-CS-87: with VMMQ off all flows come up on the lowest processor of the affinity (VQ-193, VQ-208)', async () => {
  const h = await RssHarness.start()
  const vport = await h.vport([2, 3, 4])
  h.receive(...Array.from({ length: 64 }, (_, i) => flowFrame(i)))
  const got = h.got()
  assert.equal(got.length, 64)
  assert.ok(got.every(({ processor, hashInfo, receiveQueue }) => processor === 2 && hashInfo === 0 && receiveQueue === vport))
})

const GRE = 47
const outer4 = { source: '66.9.149.187', destination: '161.142.100.80' }
const outer6 = { source: '3ffe:2501:200:1fff::7', destination: '3ffe:2501:200:3::1' }
const inside = { ...macs, source: '199.92.111.2', destination: '65.69.140.83' }
const inGre = (outer: { source: string; destination: string }, inner: Uint8Array, header = [0x20, 0, 0x65, 0x58, 0, 16, 0, 1]) =>
  ipFrame({ ...macs, ...outer }, GRE, Uint8Array.from([...header, ...inner]))

test('SR-CS-88: inner TCP is hashed by its 4-tuple, whatever the outer version; inner ICMP by the outer addresses; all of it while task offload is on (VQ-158, VQ-159, VQ-162, VQ-163, VQ-166, VQ-167)', async () => {
  const h = await RssHarness.start()
  const vport = await h.vport([1], 4)
  await h.spread(vport, eight)
  const hash = (frame: Uint8Array) => {
    h.receive(frame)
    const [packet] = h.got()
    assert.deepEqual(packet!.bytes, Buffer.from(frame)) // it goes up whole
    return [packet!.hashInfo & ~TOEPLITZ, packet!.hashInfo === 0 ? 0 : packet!.hashValue]
  }
  const offload = (encapsulatedPacketTaskOffload: number) =>
    h.adapter.status(AdapterOid.tcpOffloadParameters, 'set', { encapsulatedPacketTaskOffload })
  const tcp = tcpFrame(inside, 14230, 4739)
  const icmp = ipFrame(inside, 1, new Uint8Array(8))
  const [inner, outerV4, outerV6] = [
    [tcpIpv4, 0xc626b0ea],
    [ipv4, 0x323e8fc2],
    [ipv6, 0x2cc18cd5],
  ]
  assert.deepEqual(hash(inGre(outer4, tcp)), outerV4)
  const { encapsulatedPacketTaskOffload: can } = await h.adapter.output<Offload>(
    AdapterOid.tcpOffloadHardwareCapabilities,
    'query',
  )
  assert.equal(can.rssSupported, 0xf)
  assert.equal(await offload(1), success)
  assert.deepEqual(hash(inGre(outer4, tcp)), inner)
  assert.deepEqual(hash(inGre(outer6, tcp)), inner)
  assert.deepEqual(hash(inGre(outer4, udpFrame(inside, 14230, 4739))), inner)
  assert.deepEqual(hash(inGre(outer4, tcp, [0xb0, 0, 0x65, 0x58, 1, 2, 0, 0, 0, 16, 0, 1, 0, 0, 0, 9])), inner)
  assert.deepEqual(hash(inGre(outer4, icmp)), outerV4)
  assert.deepEqual(hash(inGre(outer6, icmp)), outerV6)
  assert.deepEqual(hash(inGre(outer4, Uint8Array.from([1, 2, 3]))), outerV4)
  const v6 = { ...macs, ...outer6 }
  assert.deepEqual(hash(inGre(outer4, tcpFrame(v6, 2794, 1766))), [tcpIpv6, 0x40207d3d])
  const [packet] = [h.adapter.indications.at(-1)!]
  assert.equal(packet.code, AdapterStatus.taskOffloadCurrentConfig)
  assert.equal(await offload(2), success)
  assert.deepEqual(hash(inGre(outer4, tcp)), outerV4)
  const now = await h.adapter.output<Offload>(AdapterOid.tcpOffloadCurrentConfig, 'query')
  assert.equal(now.encapsulatedPacketTaskOffload.rssSupported, 0)
  assert.equal(await offload(0), success)
  assert.equal(await offload(3), invalidParameter)
})

test('completions of what a VPort sent go by the hash in the packet, without one to the default processor (VQ-207, VQ-208)', async () => {
  const h = await RssHarness.start()
  const vport = await h.vport([1], 4)
  const { data } = h.adapter
  const completed: [number, number[]][] = []
  const outlet = (own: number) => ({
    here: (list: number, count: number) => completed.push([own, [...new Uint16Array(data.buffer, list, count)]]) && count,
    handOver: (to: number, list: number, count: number) =>
      completed.push([to, [...new Uint16Array(data.buffer, list, count)]]) && count,
  })
  const slots = [4, 5, 6, 7]
  const send = () => {
    const list = data.spare + PROCESSORS * 8
    new Uint16Array(data.buffer, list, slots.length).set(slots)
    for (const [i, slot] of slots.entries()) {
      data.pool.hashInfo[slot] = i === 3 ? 0 : TOEPLITZ | tcpIpv4
      data.pool.hashValue[slot] = i % 2
    }
    assert.equal(h.steering[2]!.complete(vport, list, slots.length, outlet(2)), slots.length)
    return completed.splice(0)
  }
  assert.deepEqual(send(), [[1, slots]])
  await h.spread(vport, [1, 2], { defaultProcessorNumber: 6 })
  assert.deepEqual(send(), [
    [1, [4, 6]],
    [2, [5]],
    [6, [7]],
  ])
  h.moves(2, [vport, 1, 5])
  assert.deepEqual(send(), [
    [1, [4, 6]],
    [5, [5]],
    [6, [7]],
  ])
})

test('SR-CS-86: a VPort is woken for the more seldom, and its packets wait the longer, the higher its moderation is; another is not affected (SR-176, SR-236)', async () => {
  const h = await RssHarness.start()
  const quiet = await h.vport([3], 1, MAC.a)
  const loaded = await h.vport([2])
  const moderate = (vPortId: number, interruptModeration: number) => {
    const payload = { ...vportPayload(0xffff), vPortId, flags: 0x40000, interruptModeration }
    return h.adapter.status(AdapterOid.nicSwitchVPortParameters, 'set', payload)
  }
  assert.equal(await moderate(quiet, 2), success)
  const wakes: number[] = []
  const waits: number[] = []
  for (const setting of [2, 100, 200, 300]) {
    assert.equal(await moderate(loaded, setting), success)
    let woken = 0
    let waited = 0
    let waiting: number[] = []
    // 100 000 frames per second for 20 ms, and one for the other VPort every millisecond.
    for (let i = 0; i < 2000; i++) {
      h.nowUs += 10
      h.receive(flowFrame(i & 63))
      waiting.push(h.nowUs)
      if (i % 100 === 0) h.receive(flowFrame(1, 0, MAC.a))
      h.moderation.due(h.nowUs)
      for (const processor of h.wakes.splice(0)) {
        if (processor === 3) assert.equal(i % 100, 0)
        else {
          woken++
          for (const came of waiting.splice(0)) waited += h.nowUs - came
        }
      }
    }
    h.nowUs += 1000
    h.moderation.due(h.nowUs)
    h.wakes.length = 0
    waiting = []
    assert.equal(h.got().length, 2020)
    wakes.push(woken)
    waits.push(waited / 2000)
  }
  assert.equal(wakes[0], 2000)
  for (let k = 1; k < 4; k++) assert.ok(wakes[k]! < wakes[k - 1]! && waits[k]! > waits[k - 1]!, `${wakes} ${waits}`)
  assert.ok(h.moderation.remainingUs(h.nowUs) < 0)
})

test('RSS parameters change while packets flow: none is lost, none comes twice, all end where the table says (VQ-209)', async () => {
  const h = await RssHarness.start()
  const vport = await h.vport([1], 4)
  const tables = [eight, [5], [6, 7], [1, 2, 3, 4, 5, 6, 7, 0].map((n) => n & 3), [0, 7]]
  let sent = 0
  let came = 0
  for (let round = 0; round < 40; round++) {
    const table = tables[round % tables.length]!
    assert.equal(await h.spread(vport, table), success)
    if (round % 7 === 3) assert.equal(await h.spread(vport, [], { flags: 0x10 }), success)
    const off = (await h.parametersV2(vport)).flags === 0
    h.receive(...Array.from({ length: 48 }, (_, i) => flowFrame(i, round)))
    sent += 48
    const got = h.got()
    came += got.length
    for (const { processor, hashValue } of got) assert.equal(processor, off ? 1 : table[hashValue & (table.length - 1)])
  }
  assert.equal(came, sent)
  assert.deepEqual(h.adapter.drops(vport), {})
})

test('an adapter that was torn out begins anew: nothing is spread, inner headers do not count (VQ-159, VQ-217)', async () => {
  const h = await RssHarness.start()
  await h.spread(await h.vport([1], 4), eight)
  await h.adapter.status(AdapterOid.tcpOffloadParameters, 'set', { encapsulatedPacketTaskOffload: 1 })
  const { adapter, pf, tables } = h.adapter.software
  pf.setWire(false, false)
  adapter.surpriseRemove()
  await adapter.halt()
  assert.equal(h.batch(1, [[1, 0, 2]]).status, NdisStatus.notSupported)
  await adapter.start()
  assert.deepEqual([tables.rss.types(1), tables.rss.primary(1), tables.rss.encapsulation], [0, -1, false])
})

test('where VPorts have no hash of their own the adapter hashes alike, and those above compute theirs again (VQ-184, VQ-185)', async () => {
  const key = Uint8Array.from({ length: 40 }, (_, i) => 255 - i)
  const own = await RssHarness.start()
  const shared = await RssHarness.start({ without: 0xe00 })
  assert.equal((await own.stack()).hashesInSoftware, false)
  assert.equal((await shared.stack()).hashesInSoftware, true)
  const hashes: number[] = []
  for (const h of [own, shared]) {
    const vport = await h.vport([1], 4)
    assert.equal(await h.spread(vport, eight, { hashSecretKey: key }), success)
    h.receive(flowFrame(9))
    hashes.push(h.got()[0]!.hashValue)
  }
  assert.notEqual(hashes[0], hashes[1])
  const { data } = shared.adapter
  data.fill(0, 0, flowFrame(9))
  data.kernels.parse(data.pool.base, 0, 1)
  new SoftwareHash(data.pool, HASH_INFORMATION, key).of(0, false)
  assert.deepEqual([data.pool.hashValue[0], data.pool.hashInfo[0]], [hashes[0], TOEPLITZ | tcpIpv4])
  assert.throws(() => new SoftwareHash(data.pool, 0x100, key), RangeError)
  data.fill(0, 0, arpRequestFrame(MAC.peer, '10.0.0.1', '10.0.0.3'))
  data.kernels.parse(data.pool.base, 0, 1)
  new SoftwareHash(data.pool, HASH_INFORMATION, key).of(0, false)
  assert.equal(data.pool.hashInfo[0], 0)
})

test('a processor that takes nothing loses its own packets only, and they are counted (VQ-205)', async () => {
  const h = await RssHarness.start()
  const vport = await h.vport([1], 4)
  await h.spread(vport, eight)
  h.processors[0]!.unbind(vport)
  await h.spread(vport, [0, 2, 0, 2])
  h.receive(...Array.from({ length: 32 }, (_, i) => flowFrame(i)))
  const got = h.got()
  assert.ok(got.length > 0 && got.every(({ processor }) => processor === 2))
  assert.deepEqual(h.adapter.drops(vport), { 'receive-ring-full': 32 - got.length })
})

test('the default VPort is spread as any other, and a VF is not: its guest does that (VQ-177, VQ-205)', async () => {
  const h = await RssHarness.start()
  assert.equal(await h.queuePairs(0, 4), success)
  assert.equal(await h.spread(0, [4, 5, 6, 7]), success)
  h.receive(...Array.from({ length: 32 }, (_, i) => flowFrame(i, 0, MAC.pf)))
  const got = h.got()
  assert.ok(got.every(({ receiveQueue, hashInfo }) => receiveQueue === 0 && hashInfo === (TOEPLITZ | tcpIpv4)))
  assert.deepEqual([...new Set(got.map(({ processor }) => processor))].sort(), [4, 5, 6, 7])
})

test("flows for a VF are spread over its VPort's queue pairs, in order, whoever drives them (SR-051)", async () => {
  const h = await RssHarness.start()
  const { data } = h.adapter
  const { vfId } = await h.adapter.allocate(MAC.a)
  const vport = await h.adapter.vport(vfId, 'stack', 4)
  await h.adapter.filter(vport, MAC.a)
  const pairs = Array.from({ length: 4 }, () => new VPortSink(data))
  data.delivery.setQueues(vport, pairs)
  const flows = Array.from({ length: 64 }, (_, i) => i)
  for (let sequence = 0; sequence < 8; sequence++) h.receive(...flows.map((flow) => flowFrame(flow, sequence, MAC.a)))
  const seen = new Set<number>()
  for (const { frames } of pairs) {
    const orders = new Map<number, number[]>()
    for (const { bytes } of frames) orders.set(flowOf(bytes), [...(orders.get(flowOf(bytes)) ?? []), sequenceOf(bytes)])
    assert.ok(orders.size > 4)
    for (const [flow, order] of orders) {
      assert.ok(!seen.has(flow))
      seen.add(flow)
      assert.equal(order.join(), '0,1,2,3,4,5,6,7')
    }
  }
  assert.equal(seen.size, 64)
})

test('whatever comes from the wire is hashed without looking beyond its headers (VQ-205)', async () => {
  const h = await RssHarness.start()
  const vport = await h.vport([1], 4)
  await h.spread(vport, eight, { defaultProcessorNumber: 7 })
  await h.adapter.status(AdapterOid.tcpOffloadParameters, 'set', { encapsulatedPacketTaskOffload: 1 })
  let state = 12345
  const next = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return (state >>> 16) % below
  }
  const whole = [
    tcpFrame({ ...macs, ...outer4 }, 1, 2),
    inGre(outer6, tcpFrame(inside, 3, 4)),
    udpFrame({ ...macs, ...outer6 }, 5, 6),
  ]
  let sent = 0
  for (let i = 0; i < 2000; i++) {
    const frame = Uint8Array.from(whole[i % whole.length]!)
    for (let k = next(4); k > 0; k--) frame[12 + next(frame.length - 12)] = next(256)
    if (frame[12] === 0x81 || frame[12] === 0x88) continue
    h.receive(frame.subarray(0, 14 + next(frame.length - 13)))
    sent++
  }
  const got = h.got()
  const drops = Object.values(h.adapter.drops(h.adapter.wire)).reduce((sum, count) => sum + count, 0)
  assert.equal(got.length + drops, sent)
  for (const { processor, hashInfo, hashValue } of got) assert.equal(processor, hashInfo === 0 ? 7 : eight[hashValue & 7])
})
