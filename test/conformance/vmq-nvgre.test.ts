// Scenario SR-CS-85 and the rules of NVGRE task offload: filters on inner addresses, checksums, large sends.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FILTER_PACKET_ENCAPSULATION } from '../../src/adapter/identifiers.ts'
import { AdapterOid, AdapterStatus } from '../../src/adapter/oids.ts'
import { encapsulatedIpChecksum, segmentEncapsulated } from '../../src/adapter/queues/encapsulated-lso.ts'
import { hardwareOffload, MAX_HEADER_BYTES, noOffload, type Offload, OffloadSet } from '../../src/adapter/queues/offload-state.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { internetChecksum, transportChecksum } from '../../src/packet/checksum.ts'
import { MAC, wireFrame } from '../support/adapter-harness.ts'
import { QueueHarness } from '../support/queue-harness.ts'

const { success, invalidParameter } = NdisStatus
const octets = (mac: string): number[] => mac.split(':').map((octet) => Number.parseInt(octet, 16))

interface Shape {
  readonly outer?: 4 | 6
  readonly inner?: 4 | 6
  /** Flags of the GRE header: 0x80 checksum, 0x20 key, 0x10 sequence. */
  readonly gre?: number
  readonly greType?: number
  readonly protocol?: number
  readonly innerProtocol?: number
  readonly tcpFlags?: number
  readonly payload?: number
  readonly outerOptions?: number
  readonly to?: string
}

function ip(version: 4 | 6, protocol: number, length: number, options = 0): Buffer {
  if (version === 6) {
    const header = Buffer.alloc(40)
    header[0] = 0x60
    header.writeUInt16BE(length, 4)
    header[6] = protocol
    header[7] = 64
    header[23] = 1
    header[39] = 2
    return header
  }
  const header = Buffer.alloc(20 + options)
  header[0] = 0x45 + options / 4
  header.writeUInt16BE(header.length + length, 2)
  header.writeUInt16BE(0x1000, 4)
  header[8] = 64
  header[9] = protocol
  header.set([10, 0, 0, 1, 10, 0, 0, 2], 12)
  header.writeUInt16BE(internetChecksum(header, 0, header.length), 10)
  return header
}

/** An NVGRE packet to the host's address, with an inner frame for `to`. */
function nvgre(shape: Shape = {}): Buffer {
  const { outer = 4, inner = 4, gre = 0x20, greType = 0x6558, protocol = 47, innerProtocol = 6, payload = 40 } = shape
  const { to = MAC.a, tcpFlags = 0x18, outerOptions = 0 } = shape
  const tcp = Buffer.alloc(20)
  tcp.writeUInt16BE(1000, 0)
  tcp.writeUInt16BE(80, 2)
  tcp.writeUInt32BE(5000, 4)
  tcp[12] = 0x50
  tcp[13] = tcpFlags
  const data = Buffer.from(Array.from({ length: payload }, (_, i) => i & 255))
  const innerIp = ip(inner, innerProtocol, tcp.length + data.length)
  const frame = Buffer.concat([
    Buffer.from([...octets(to), ...octets(MAC.peer), ...(inner === 4 ? [8, 0] : [0x86, 0xdd])]),
    innerIp,
    tcp,
    data,
  ])
  const fields = [0x80, 0x20, 0x10].filter((flag) => (gre & flag) !== 0).length
  const greHeader = Buffer.alloc(4 + fields * 4)
  greHeader[0] = gre
  greHeader.writeUInt16BE(greType, 2)
  if ((gre & 0x20) !== 0) greHeader.writeUInt32BE(0x00123407, (gre & 0x80) !== 0 ? 8 : 4)
  const outerIp = ip(outer, protocol, greHeader.length + frame.length, outerOptions)
  return Buffer.concat([
    Buffer.from([...octets(MAC.pf), ...octets(MAC.peer), ...(outer === 4 ? [8, 0] : [0x86, 0xdd])]),
    outerIp,
    greHeader,
    frame,
  ])
}

const set = (h: QueueHarness, value: number) =>
  h.status(AdapterOid.tcpOffloadParameters, 'set', { encapsulatedPacketTaskOffload: value })
const queues = (h: QueueHarness): number[] => h.got().flatMap(({ packets }) => packets.map(({ queue }) => queue))

test('SR-CS-85: with task offload on the inner address decides, else the outer one; packets stay as they are (VQ-159, VQ-160, VQ-161, VQ-164, VQ-165, VQ-166, VQ-167, VQ-168)', async () => {
  const h = await QueueHarness.start()
  const { queue } = await h.running(MAC.a)
  const packet = nvgre()
  h.receive(0, packet)
  assert.deepEqual(queues(h), [0])
  assert.equal(await set(h, OffloadSet.on), success)
  for (const outer of [4, 6] as const)
    for (const inner of [4, 6] as const)
      for (const gre of [0, 0x20, 0x30, 0x80, 0xa0])
        if (outer + inner < 12) h.receive(0, nvgre({ outer, inner, gre, payload: 10 }))
  const seen = h.got().flatMap(({ packets }) => packets)
  assert.ok(seen.length === 15 && seen.every((one) => one.queue === queue), seen.map((one) => one.queue).join())
  h.receive(0, packet)
  assert.deepEqual(h.got()[0]!.packets[0]!.bytes, packet)
  const strangers = [
    nvgre({ protocol: 250 }),
    nvgre({ greType: 0x0800 }), // bare IP inside: the outer address is all there is
    nvgre({ gre: 0x60 }), // source routing
    nvgre({ to: MAC.b }),
    nvgre().subarray(0, 40),
    wireFrame(MAC.pf, MAC.peer, 'plain'),
  ]
  h.receive(0, ...strangers)
  const passed = h.got().flatMap(({ packets }) => packets)
  assert.deepEqual(
    passed.map((one) => one.queue),
    strangers.map(() => 0),
  )
  assert.deepEqual(
    passed.map(({ bytes }) => bytes),
    strangers.map((bytes) => Buffer.from(bytes)),
  )
  h.receive(0, wireFrame(MAC.a, MAC.peer, 'not encapsulated'))
  assert.deepEqual(queues(h), [queue])
  assert.equal(await set(h, OffloadSet.off), success)
  h.receive(0, packet)
  assert.deepEqual(queues(h), [0])
})

test('a filter for inner addresses tests nothing else (VQ-176)', async () => {
  const h = await QueueHarness.start()
  const queue = await h.allocate()
  await h.filter(queue, MAC.a, 0, 'stack', FILTER_PACKET_ENCAPSULATION)
  const plain = await h.running(MAC.a)
  assert.equal(await h.setFilterStatus(queue, MAC.a), invalidParameter)
  await h.complete(queue)
  const burst = [nvgre(), wireFrame(MAC.a, MAC.peer, 'outer')]
  h.receive(0, ...burst)
  assert.deepEqual(queues(h), [0, plain.queue])
  await set(h, OffloadSet.on)
  h.receive(0, ...burst)
  assert.deepEqual(queues(h), [queue, plain.queue])
})

test('headers that reach further than the adapter can look are not offloaded (VQ-169)', async () => {
  const h = await QueueHarness.start()
  const { queue } = await h.running(MAC.a)
  await set(h, OffloadSet.on)
  const caps = await h.output<Offload>(AdapterOid.tcpOffloadCurrentConfig, 'query')
  const most = caps.encapsulatedPacketTaskOffload.maxHeaderSizeSupported
  assert.equal(most, MAX_HEADER_BYTES)
  // 14 + 20 + options, 8 of GRE, 14 + 20 + 20: 96 and the options.
  for (const outerOptions of [0, 16, 32, 36]) {
    h.receive(0, nvgre({ outerOptions }))
    assert.deepEqual(queues(h), [96 + outerOptions <= most ? queue : 0], `${outerOptions}`)
  }
})

test('what the adapter can do to encapsulated packets is reported, NDIS answers what is on, and each change is indicated (VQ-158, VQ-170, VQ-171, VQ-172)', async () => {
  const h = await QueueHarness.start()
  const told = () => h.statuses.filter(({ code }) => code === AdapterStatus.taskOffloadCurrentConfig).map(({ buffer }) => buffer)
  const current = () => h.output(AdapterOid.tcpOffloadCurrentConfig, 'query')
  let asked = 0
  const real = h.queues.setOffload.bind(h.queues)
  h.queues.setOffload = (parameters) => {
    asked++
    return real(parameters)
  }
  const hardware = await h.output<Offload>(AdapterOid.tcpOffloadHardwareCapabilities, 'query')
  assert.deepEqual(hardware, hardwareOffload)
  assert.notEqual(hardware.encapsulatedPacketTaskOffload.rssSupported, 0)
  assert.equal(hardware.encapsulatedPacketTaskOffload.vmqSupported, 0xf)
  assert.deepEqual(await current(), noOffload)
  assert.equal(await set(h, OffloadSet.on), success)
  assert.deepEqual(await current(), hardwareOffload)
  assert.equal(await set(h, OffloadSet.noChange), success)
  assert.equal(await set(h, 3), invalidParameter)
  let done = false
  let quiet = (): void => {}
  h.quiesced = () =>
    new Promise((resolve) => {
      quiet = resolve
    })
  const off = set(h, OffloadSet.off).then(() => {
    done = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(done, false) // packets that are in work go up first
  assert.equal(told().length, 2)
  quiet()
  await off
  assert.deepEqual(await current(), noOffload)
  assert.deepEqual(told(), [hardwareOffload, hardwareOffload, noOffload])
  assert.equal(asked, 2)
})

test('with IPv4 outside and inside both header checksums must be right; versions stand for themselves (VQ-167, VQ-173)', () => {
  const at = (packet: Buffer): [number, number] => {
    const outer = 14
    const gre = outer + (packet[outer]! >> 4 === 4 ? 20 : 40)
    return [outer, gre + 8 + 14]
  }
  const verdict = (packet: Buffer) => encapsulatedIpChecksum(packet, ...at(packet))
  const broken = (packet: Buffer, header: 0 | 1): Buffer => {
    packet[at(packet)[header] + 8]! ^= 1
    return packet
  }
  assert.equal(verdict(nvgre()), 'succeeded')
  assert.equal(verdict(broken(nvgre(), 0)), 'failed')
  assert.equal(verdict(broken(nvgre(), 1)), 'failed')
  assert.equal(verdict(nvgre({ outer: 6 })), 'succeeded')
  assert.equal(verdict(broken(nvgre({ outer: 6 }), 1)), 'failed')
  assert.equal(verdict(nvgre({ inner: 6 })), 'succeeded')
  assert.equal(verdict(broken(nvgre({ inner: 6 }), 0)), 'failed')
  assert.equal(verdict(nvgre({ outer: 6, inner: 6 })), 'none')
})

test('an encapsulated large send becomes full segments and at most one shorter, with identifications that count up (VQ-168, VQ-174, VQ-175)', () => {
  for (const outer of [4, 6] as const)
    for (const inner of [4, 6] as const) {
      const gre = 0xb0
      const large = nvgre({ outer, inner, gre, payload: 3500, tcpFlags: 0x99 })
      const segments = segmentEncapsulated(large, 1000)!
      const outerAt = 14
      const greAt = outerAt + (outer === 4 ? 20 : 40)
      const innerAt = greAt + 16 + 14
      const tcpAt = innerAt + (inner === 4 ? 20 : 40)
      const payloadAt = tcpAt + 20
      assert.deepEqual(
        segments.map((segment) => segment.length - payloadAt),
        [1000, 1000, 1000, 500],
      )
      const whole = Buffer.concat(segments.map((segment) => segment.subarray(payloadAt)))
      assert.deepEqual(whole, large.subarray(payloadAt))
      for (const [i, bytes] of segments.entries()) {
        const segment = Buffer.from(bytes)
        for (const [version, ipAt] of [
          [outer, outerAt],
          [inner, innerAt],
        ] as const) {
          if (version === 4) {
            assert.equal(segment.readUInt16BE(ipAt + 2), segment.length - ipAt)
            assert.equal(segment.readUInt16BE(ipAt + 4), 0x1000 + i)
            assert.equal(internetChecksum(segment, ipAt, ipAt + 20), 0)
          } else assert.equal(segment.readUInt16BE(ipAt + 4), segment.length - ipAt - 40)
        }
        assert.equal(internetChecksum(segment, greAt, segment.length), 0)
        assert.equal(segment.readUInt32BE(greAt + 12), i)
        assert.equal(segment.readUInt32BE(tcpAt + 4), 5000 + i * 1000)
        assert.equal(segment[tcpAt + 13], i === 0 ? 0x90 : i === 3 ? 0x19 : 0x10)
        assert.equal(transportChecksum(segment, innerAt, 6, tcpAt, segment.length), 0)
        assert.deepEqual(segment.subarray(0, 12), large.subarray(0, 12))
      }
    }
  assert.equal(segmentEncapsulated(nvgre({ payload: 900 }), 1000)!.length, 1)
  assert.equal(segmentEncapsulated(nvgre({ payload: 2000 }), 1000)!.length, 2)
  for (const odd of [nvgre({ protocol: 17 }), nvgre({ innerProtocol: 17 }), nvgre({ greType: 0x800 }), nvgre().subarray(0, 60)])
    assert.equal(segmentEncapsulated(odd, 1000), undefined)
  assert.equal(segmentEncapsulated(nvgre(), 0), undefined)
})
