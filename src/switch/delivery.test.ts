import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness, frame, mac, type TestFrame, textOf } from '../../test/support/data-path-harness.ts'
import { BURST_SLOTS, OFFLOAD_CHECKSUM, OFFLOAD_TSO4, VNET_GSO_TCPV4, VNET_NEEDS_CSUM, VNET_STRIDE } from '../kernels/layout.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import { tcpFrame, udpFrame } from '../packet/build.ts'
import { foldSum, internetChecksum, pseudoSumIpv4, transportChecksum } from '../packet/checksum.ts'
import { PortFlag } from './port-table.ts'

const IP = 14
const TCP = 34

const addresses = (to: number, from: number) => ({
  sourceMac: mac(from),
  destinationMac: mac(to),
  source: `10.0.0.${from}`,
  destination: `10.0.0.${to}`,
})

// A TCP frame whose checksum is left to whoever sends it out, and the frame as it must leave.
function unsummed(to: number, from: number, data: string): { given: TestFrame; complete: Buffer } {
  const complete = Buffer.from(tcpFrame(addresses(to, from), 1000, 2000, { data: Buffer.from(data) }))
  const bytes = Buffer.from(complete)
  bytes.writeUInt16BE(~foldSum(pseudoSumIpv4(bytes, IP, 6, bytes.length - TCP)) & 0xffff, TCP + 16)
  return { given: { bytes, needs: OFFLOAD_CHECKSUM, vnet: vnetHeader(0, 0) }, complete }
}

function vnetHeader(gso: number, size: number): Buffer {
  const vnet = Buffer.alloc(VNET_STRIDE)
  vnet[0] = VNET_NEEDS_CSUM
  vnet[1] = gso
  vnet.writeUInt16LE(gso === 0 ? 0 : TCP + 20, 2)
  vnet.writeUInt16LE(size, 4)
  vnet.writeUInt16LE(TCP, 6)
  vnet.writeUInt16LE(16, 8)
  return vnet
}

function superFrame(to: number, from: number, data: Buffer, size: number): TestFrame {
  const { given } = unsummed(to, from, '')
  const head = Buffer.from(given.bytes)
  head.writeUInt16BE(head.length - IP + data.length, IP + 2)
  head.writeUInt16BE(0, IP + 10)
  head.writeUInt16BE(internetChecksum(head, IP, TCP), IP + 10)
  return {
    bytes: Buffer.concat([head, data]),
    needs: OFFLOAD_CHECKSUM | OFFLOAD_TSO4,
    vnet: vnetHeader(VNET_GSO_TCPV4, size),
    segments: 3,
  }
}

test('what a queue refuses is counted with its reason, at the destination', () => {
  const harness = new DataPathHarness().connect(3)
  harness.sink(2).capacity = 2
  harness.sink(2).fullReason = DropReason.receiveBufferFull
  harness.send(1, ...['a', 'b', 'c', 'd'].map((text) => frame(0xff, 1, text)))
  assert.deepEqual(harness.got(2), ['a', 'b'])
  assert.deepEqual(harness.got(3), ['a', 'b', 'c', 'd'])
  assert.deepEqual(harness.drops(2), { 'receive-ring-full': 2 })
  assert.deepEqual([harness.portCounter(2, 'sentFrames'), harness.portCounter(2, 'sendDropped')], [2, 2])
  assert.deepEqual([harness.portCounter(3, 'sentFrames'), harness.portCounter(3, 'sendDropped')], [4, 0])
})

test('a queue that gives no reason counts as a full ring', () => {
  const harness = new DataPathHarness().connect(2)
  Object.assign(harness.sink(2), { capacity: 0, fullReason: DropReason.none })
  harness.send(1, frame(2, 1, 'a'))
  assert.deepEqual(harness.drops(2), { 'receive-ring-full': 1 })
})

test('a connected port without queues drops as not connected', () => {
  const harness = new DataPathHarness().connect(2)
  harness.delivery.setQueues(2, [])
  harness.send(1, frame(2, 1, 'a'))
  assert.deepEqual(harness.drops(2), { 'destination-not-connected': 1 })
})

test('bytes are those of the frames', () => {
  const harness = new DataPathHarness().connect(2)
  harness.send(1, frame(2, 1, 'a'), frame(2, 1, 'b'.repeat(1000)))
  assert.equal(harness.portCounter(1, 'receivedBytes'), 60 + 1014)
  assert.equal(harness.portCounter(2, 'sentBytes'), 60 + 1014)
})

test('each destination is handed its frames in one call per burst', () => {
  const harness = new DataPathHarness().connect(3)
  harness.send(1, frame(2, 1, 'a'), frame(3, 1, 'b'), frame(2, 1, 'c'), frame(0xff, 1, 'd'))
  assert.deepEqual(harness.sink(2).calls, [3])
  assert.deepEqual(harness.sink(3).calls, [2])
})

test('more copies for one port than a list holds are dropped and counted, not written elsewhere', () => {
  const harness = new DataPathHarness().connect(3)
  harness.install([
    { class: 'forwarding' },
    () => ({
      ingress(batch) {
        for (let i = 0; i < batch.length; i++) for (let copy = 0; copy < 10; copy++) batch.addDestination(i, 2)
        batch.addDestination(0, 3)
      },
    }),
  ])
  harness.send(1, ...Array.from({ length: 64 }, (_, i) => frame(2, 1, `${i}`)))
  assert.equal(harness.got(2).length, BURST_SLOTS)
  assert.deepEqual(harness.drops(2), { 'no-resources': 640 - BURST_SLOTS })
  assert.equal(harness.portCounter(2, 'sendDropped'), 640 - BURST_SLOTS)
  assert.deepEqual(harness.got(3), ['0'])
})

test("flows are spread over a port's queues, and each flow keeps its queue and its order", () => {
  const harness = new DataPathHarness().connect(1)
  harness.connectPort(2, PortFlag.checkSource, 4)
  const sent = new Map<number, number[]>()
  for (let burst = 0; burst < 10; burst++)
    harness.send(
      1,
      ...Array.from({ length: 64 }, (_, i) => {
        const flow = (i * 7 + burst) % 32
        const sequence = burst * 64 + i
        sent.set(flow, [...(sent.get(flow) ?? []), sequence])
        return udpFrame(addresses(2, 1), 1000 + flow, 2000, Buffer.from([sequence >> 8, sequence & 255]))
      }),
    )
  const used = new Map<number, number>()
  for (let queue = 0; queue < 4; queue++) {
    const got = new Map<number, number[]>()
    for (const bytes of harness.sink(2, queue).frames) {
      const flow = bytes.readUInt16BE(34) - 1000
      got.set(flow, [...(got.get(flow) ?? []), bytes.readUInt16BE(42)])
    }
    for (const [flow, sequences] of got) {
      assert.ok(!used.has(flow), `flow ${flow} is on one queue`)
      used.set(flow, queue)
      assert.deepEqual(sequences, sent.get(flow))
    }
  }
  assert.equal(used.size, 32)
  assert.ok(new Set(used.values()).size > 1)
  assert.equal(harness.portCounter(2, 'sentFrames'), 640)
})

test('whatever the number of queues, each gets its share of the flows of either family', () => {
  for (const queues of [2, 3, 4, 8, 16])
    for (const family of [4, 6]) {
      const harness = new DataPathHarness().connect(1)
      harness.connectPort(2, PortFlag.checkSource, queues)
      const flows = 64 * queues
      for (let first = 0; first < flows; first += 64)
        harness.send(
          1,
          ...Array.from({ length: 64 }, (_, i) => {
            const host = 1 + ((first + i) % 250)
            const [source, destination] = family === 4 ? [`10.0.0.${host}`, '10.0.1.2'] : [`fd00::${host}`, 'fd00::1:2']
            return udpFrame({ ...addresses(2, 1), source: source!, destination: destination! }, 1000 + first + i, 2000)
          }),
        )
      for (let queue = 0; queue < queues; queue++) {
        const share = harness.sink(2, queue).frames.length
        assert.ok(share > 24 && share < 128, `queue ${queue} of ${queues} got ${share} of ${flows} flows of IPv${family}`)
      }
    }
})

test('the fragments of a datagram stay together: only the first of them has ports', () => {
  const harness = new DataPathHarness().connect(1)
  harness.connectPort(2, PortFlag.checkSource, 4)
  for (let flow = 0; flow < 16; flow++) {
    const first = udpFrame({ ...addresses(2, 1), source: `10.0.0.${flow}` }, 1000 + flow, 2000, Buffer.alloc(64))
    first[IP + 6] = 0x20 // more fragments
    const second = Uint8Array.from(first)
    second[IP + 6] = 0
    second[IP + 7] = 9
    harness.send(1, first, second)
  }
  for (let queue = 0; queue < 4; queue++) {
    const sources = harness.sink(2, queue).frames.map((bytes) => bytes[IP + 15])
    for (const source of sources) assert.equal(sources.filter((other) => other === source).length, 2)
  }
})

test("a checksum that the receiver can't do is done in software; one that it can is left to it", () => {
  const harness = new DataPathHarness().connect(3)
  harness.sink(3).offloads = OFFLOAD_CHECKSUM
  const first = unsummed(2, 1, 'payload '.repeat(30))
  const second = unsummed(3, 1, 'payload')
  harness.send(1, frame(2, 1, 'before'), first.given, frame(2, 1, 'after'), second.given)
  const [before, summed, after] = harness.sink(2).frames as [Buffer, Buffer, Buffer]
  assert.deepEqual([textOf(before), textOf(after)], ['before', 'after'])
  assert.deepEqual(summed, first.complete)
  assert.equal(transportChecksum(summed, IP, 6, TCP, summed.length), 0)
  assert.deepEqual(harness.sink(3).frames, [second.given.bytes])
})

test('a super-frame for a receiver that takes none is cut into whole segments, in its place in the order', () => {
  const harness = new DataPathHarness().connect(2)
  const data = Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 31) & 255))
  harness.send(1, frame(2, 1, 'before'), superFrame(2, 1, data, 1400), frame(2, 1, 'after'))
  const frames = harness.sink(2).frames
  assert.equal(textOf(frames[0]!), 'before')
  assert.equal(textOf(frames.at(-1)!), 'after')
  const pieces = frames.slice(1, -1)
  assert.deepEqual(
    pieces.map((piece) => piece.length - TCP - 20),
    [1400, 1400, 1400, 800],
  )
  assert.deepEqual(Buffer.concat(pieces.map((piece) => piece.subarray(TCP + 20))), data)
  for (const piece of pieces) {
    assert.equal(internetChecksum(piece, IP, TCP), 0)
    assert.equal(transportChecksum(piece, IP, 6, TCP, piece.length), 0)
    assert.equal(piece.readUInt16BE(IP + 2), piece.length - IP)
  }
  assert.deepEqual(harness.drops(2), {})
})

test("a super-frame goes uncut to a receiver that takes it, also beside one that doesn't", () => {
  const harness = new DataPathHarness().connect(3)
  harness.sink(3).offloads = OFFLOAD_CHECKSUM | OFFLOAD_TSO4
  const data = Buffer.alloc(4000, 'd')
  const given = superFrame(2, 1, data, 1000)
  given.bytes.fill(0xff, 0, 6)
  harness.send(1, given)
  assert.equal(harness.sink(2).frames.length, 4)
  assert.deepEqual(
    harness.sink(3).frames.map((bytes) => bytes.length),
    [given.bytes.length],
  )
})

test("a super-frame that can't be cut is dropped with a reason, and the others arrive", () => {
  const harness = new DataPathHarness().connect(2)
  const bad = superFrame(2, 1, Buffer.alloc(4000), 1000)
  bad.bytes[IP] = 0x41 // a header length that makes no sense
  harness.send(1, frame(2, 1, 'before'), bad, frame(2, 1, 'after'))
  assert.deepEqual(harness.got(2), ['before', 'after'])
  assert.deepEqual(harness.drops(2), { 'bad-offload-request': 1 })
  assert.deepEqual([harness.portCounter(2, 'sentFrames'), harness.portCounter(2, 'sendDropped')], [2, 1])
})

test('a refusal in the middle of software work is counted once', () => {
  const harness = new DataPathHarness().connect(2)
  harness.sink(2).capacity = 3
  harness.send(1, frame(2, 1, 'a'), superFrame(2, 1, Buffer.alloc(4000), 1000), frame(2, 1, 'b'))
  assert.equal(harness.sink(2).frames.length, 3)
  assert.equal(harness.portCounter(2, 'sentFrames'), 1)
  assert.equal(harness.portCounter(2, 'sendDropped'), 2)
  assert.deepEqual(harness.drops(2), { 'peer-not-reading': 2 })
})
