// The direct path between virtual functions over real rings: what it takes, what it leaves, what it counts. That every frame has the
// same fate as on the path through the pool is shown by test/fuzz/direct-fuzz.ts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AdapterWorld } from '../../test/fuzz/adapter-world.ts'
import { HonestDriver } from '../../test/fuzz/honest-driver.ts'
import { Random } from '../../test/fuzz/random.ts'
import { BLOCKS, DESC, DEVICE, PLACES, type QueueSetting } from '../../test/fuzz/worlds.ts'
import { readKernels } from '../../test/support/kernels.ts'
import { concat, frame, pattern, vnet } from '../kernels/frames.ts'
import * as L from '../kernels/layout.ts'
import { PortCounter } from '../switch/counters.ts'
import { VPortFlag } from './vport-table.ts'

const RING = 16
const CALM = 1 << 30 // no odd shapes and places
const macOf = (n: number): string => `02:00:00:00:00:0${n}`
const octets = (mac: string): number[] => mac.split(':').map((octet) => Number.parseInt(octet, 16))
const vfFlags = VPortFlag.active | VPortFlag.vf | VPortFlag.checkSource | VPortFlag.strip

/** VF 1 sends, VFs 2 and 3 receive; all in the same VLAN, of which they know nothing if it is not 0. */
class Bench {
  readonly adapter = new AdapterWorld('wasm', readKernels(), true)
  readonly #drivers: HonestDriver[]

  constructor({ vlans = [0, 0, 0], buffers = RING, mbps = 0, offloads = [0, 0, 0] } = {}) {
    const { adapter } = this
    const settings = [0, 1, 2].map(
      (guest): QueueSetting => ({
        guest,
        flags: 0,
        size: RING,
        last: 0,
        used: 0,
        wrap: 3,
        offloads: offloads[guest]!,
        signalled: 0,
        log: false,
      }),
    )
    adapter.reset(settings, 1)
    const { vports, filters, rates } = adapter.tables
    for (const [i, vlan] of vlans.entries()) {
      const access = vlan === 0 ? 0 : VPortFlag.access
      vports.set(i + 1, { flags: vfFlags | access, mac: macOf(i + 1), accessTag: vlan, admitted: [vlan] })
      filters.allowSource(macOf(i + 1), i + 1)
      filters.set({ mac: macOf(i + 1), vlan, inner: false }, i + 1)
    }
    if (mbps !== 0) rates.set(1, { maxMbps: mbps, minMbps: 0 }, 1_000_000)
    const random = new Random(1)
    this.#drivers = settings.map((setting, g) => new HonestDriver(adapter.world.span(g), setting, g > 0, CALM, random))
    for (const receiver of this.#drivers.slice(1)) for (let i = 0; i < buffers; i++) receiver.offer(null, 2048)
  }

  /** Offers a frame of VF 1, led by a virtio-net header. */
  offerFrame(header: Uint8Array, bytes: Uint8Array): void {
    this.#drivers[0]!.offer(concat(header, bytes), 0)
  }

  /** Offers a frame of VF 1 with this text. */
  offer(to: string, text: string, { from = macOf(1), tag = 0, bytes = 60 } = {}): void {
    const frame = Buffer.alloc(L.VNET_HEADER + bytes)
    const head = [...octets(to), ...octets(from), ...(tag === 0 ? [] : [0x81, 0, tag >> 8, tag & 255]), 0x88, 0xb5]
    frame.set(head, L.VNET_HEADER)
    frame.write(text, L.VNET_HEADER + head.length, 'latin1')
    this.#drivers[0]!.offer(frame, 0)
  }

  /** The first frame that VF `n` has got, with its virtio-net header. */
  first(n: number): Buffer {
    const bytes = Buffer.from(this.adapter.world.span(n - 1).slice())
    const entry = PLACES[0]! + DEVICE + 4
    const at = PLACES[1]! + bytes.readUInt32LE(PLACES[0]! + DESC + bytes.readUInt32LE(entry) * 16)
    return bytes.subarray(at, at + bytes.readUInt32LE(entry + 4))
  }

  /** What VF `n` has got: lengths and texts of frames without tag, in order. */
  got(n: number): string[] {
    const bytes = Buffer.from(this.adapter.world.span(n - 1).slice())
    const used = PLACES[0]! + DEVICE
    return Array.from({ length: bytes.readUInt16LE(used + 2) }, (_, i) => {
      const entry = used + 4 + (i % RING) * 8
      const descriptor = PLACES[0]! + DESC + bytes.readUInt32LE(entry) * 16
      const at = PLACES[1]! + bytes.readUInt32LE(descriptor)
      const frame = bytes.subarray(at + L.VNET_HEADER, at + bytes.readUInt32LE(entry + 4))
      return `${frame.length} ${frame.subarray(14).toString('latin1').replace(/\0+$/, '')}`
    })
  }

  counter(vport: number, name: keyof typeof PortCounter): number {
    return this.adapter.counters.readPort(vport, PortCounter[name])
  }
}

test('known unicast between VFs goes from ring to ring, and both VPorts count every frame and byte (SR-014)', () => {
  const bench = new Bench()
  for (const [i, bytes] of [60, 1514, 64, 200].entries()) bench.offer(macOf(i % 2 === 0 ? 2 : 3), `frame ${i}`, { bytes })
  assert.equal(bench.adapter.serve(), 4)
  assert.equal(bench.adapter.direct, 4)
  assert.deepEqual(bench.got(2), ['60 frame 0', '64 frame 2'])
  assert.deepEqual(bench.got(3), ['1514 frame 1', '200 frame 3'])
  assert.deepEqual([bench.counter(1, 'receivedFrames'), bench.counter(1, 'receivedBytes')], [4, 1838])
  assert.deepEqual([bench.counter(2, 'sentFrames'), bench.counter(2, 'sentBytes')], [2, 124])
  assert.deepEqual([bench.counter(3, 'sentFrames'), bench.counter(3, 'sentBytes')], [2, 1714])
})

test('a frame behind one that needs more thought does not overtake it', () => {
  const bench = new Bench()
  bench.offer(macOf(2), 'first')
  bench.offer('ff:ff:ff:ff:ff:ff', 'to all')
  bench.offer(macOf(2), 'third')
  for (let i = 0; i < 10; i++) bench.offer(macOf(2), `${i}`)
  bench.adapter.serve()
  assert.deepEqual(bench.got(2).slice(0, 3), ['60 first', '60 to all', '60 third'])
  assert.deepEqual(bench.got(3), ['60 to all'])
  assert.ok(bench.adapter.direct > 1 && bench.adapter.direct < 13, `${bench.adapter.direct} frames went directly`)
})

test('frames of a forged address, to oneself and into a foreign VLAN are dropped as on the other path (PD-01, PD-02)', () => {
  const bench = new Bench()
  bench.offer(macOf(2), 'forged', { from: macOf(3) })
  bench.offer(macOf(1), 'to oneself')
  bench.offer(macOf(2), 'tagged', { tag: 7 })
  bench.offer(macOf(2), 'good')
  bench.adapter.serve()
  assert.deepEqual(bench.got(2), ['60 good'])
  assert.deepEqual(bench.adapter.tally().drops, { '1 mac-spoofing': 1, '1 hairpin': 1, '1 vlan-not-admitted': 1 })
})

test('access ports of one VLAN talk directly, without tag; one of another VLAN is not reached', () => {
  const same = new Bench({ vlans: [5, 5, 7] })
  same.offer(macOf(2), 'hello')
  same.offer(macOf(3), 'not yours')
  same.adapter.serve()
  assert.equal(same.adapter.direct, 1)
  assert.deepEqual(same.got(2), ['60 hello'])
  assert.deepEqual(same.got(3), [])
})

test('a full ring loses its own frames only, and they are counted (PD-07)', () => {
  const bench = new Bench({ buffers: 2 })
  for (let i = 0; i < 4; i++) bench.offer(macOf(2), `${i}`)
  bench.offer(macOf(3), 'last')
  bench.adapter.serve()
  assert.deepEqual(bench.got(2), ['60 0', '60 1'])
  assert.deepEqual(bench.got(3), ['60 last'])
  assert.deepEqual(bench.adapter.tally().drops, { '2 receive-ring-full': 2 })
  assert.equal(bench.adapter.world.view.getUint32(BLOCKS + L.QUEUE_BYTES + L.Q_NO_BUFFER, true), 2)
})

test('a VF over its maximum rate waits on the direct path too', () => {
  const bench = new Bench({ mbps: 1 })
  for (let i = 0; i < RING / 2; i++) bench.offer(macOf(2), `${i}`, { bytes: 1514 })
  const taken = bench.adapter.serve()
  assert.equal(taken, bench.adapter.direct)
  const { rates } = bench.adapter.tables
  rates.charge(1, 65536)
  bench.offer(macOf(2), 'too early')
  assert.equal(bench.adapter.serve(), 0)
})

test('a checksum that the sender leaves open passes to a receiver that takes it, and is summed for one that does not', () => {
  const checksum = L.OFFLOAD_CHECKSUM
  for (const ip of [4, 6] as const) {
    const l4 = ip === 4 ? 34 : 54
    const bench = new Bench({ offloads: [checksum, checksum, 0] })
    for (const n of [2, 3]) {
      const bytes = frame({ ip, protocol: 17, payload: pattern(100), destination: octets(macOf(n)) })
      bytes.set(octets(macOf(1)), 6)
      bench.offerFrame(vnet(L.VNET_NEEDS_CSUM, 0, 0, 0, l4, 6), bytes)
    }
    bench.adapter.serve()
    assert.equal(bench.adapter.direct, 1)
    assert.deepEqual([...bench.first(2).subarray(0, L.VNET_HEADER)], [...vnet(L.VNET_NEEDS_CSUM, 0, 0, 0, l4, 6, 1)])
    assert.deepEqual([...bench.first(3).subarray(0, L.VNET_HEADER)], [...vnet(0, 0, 0, 0, 0, 0, 1)])
    assert.notEqual(bench.first(3).readUInt16BE(L.VNET_HEADER + l4 + 6), 0)
  }
})
