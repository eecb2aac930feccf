// Offload requests: which are taken, which are refused, how they are passed on, and what the switch does itself: sums and cuts.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { checksumsHold, concat, type FrameOptions, frame, pattern, plainSum, vnet } from './frames.ts'
import * as L from './layout.ts'
import { engines, type Guest, Queue, Scene, SEAM } from './testing.ts'

const wasm = readFileSync(new URL('../../.cache/kernels.wasm', import.meta.url))
const BUFFER = 0x1_0000_1000n
const ALL = L.OFFLOAD_CHECKSUM | L.OFFLOAD_TSO4 | L.OFFLOAD_TSO6 | L.OFFLOAD_ECN | L.OFFLOAD_USO
const SLOTS = 0x31000

interface Sent {
  readonly scene: Scene
  readonly guest: Guest
}

for (const engine of engines)
  describe(`offloads, ${engine}`, () => {
    /** Sends a frame with a virtio-net header in pieces of the given lengths; it arrives in slot 0. */
    const send = (header: Uint8Array, bytes: Uint8Array, offloads = ALL, cuts: readonly number[] = [], at = BUFFER): Sent => {
      const scene = new Scene(engine, wasm)
      const guest = scene.guest()
      const queue = new Queue(guest, { offloads, size: 32 })
      const all = concat(header, bytes)
      guest.write(at, all)
      const pieces = []
      let done = 0
      for (const n of [...cuts, all.length - cuts.reduce((a, b) => a + b, 0)]) {
        pieces.push({ gpa: at + BigInt(done), length: n })
        done += n
      }
      queue.offer(pieces)
      assert.equal(scene.kernels.dequeue(queue.block, scene.pool, 0, 1), 1)
      assert.equal(queue.get(L.Q_NEEDS_SEEN), scene.u8Of(L.P_NEEDS, 0))
      return { scene, guest }
    }
    const tcp4 = frame({ protocol: 6, payload: pattern(3000) })
    const tcp6 = frame({ protocol: 6, ip: 6, payload: pattern(3000) })
    const udp = frame({ payload: pattern(3000) })

    test('requests that make sense become needs, with what the header said', () => {
      const requests = [
        [vnet(), udp, 0],
        [vnet(L.VNET_NEEDS_CSUM, 0, 0, 0, 34, 6), udp, L.OFFLOAD_CHECKSUM],
        [vnet(1, L.VNET_GSO_TCPV4, 54, 1448, 34, 16), tcp4, L.OFFLOAD_CHECKSUM | L.OFFLOAD_TSO4],
        [vnet(1, L.VNET_GSO_TCPV4 | L.VNET_GSO_ECN, 54, 1448, 34, 16), tcp4, L.OFFLOAD_CHECKSUM | L.OFFLOAD_TSO4 | L.OFFLOAD_ECN],
        [vnet(1, L.VNET_GSO_TCPV6, 74, 1440, 54, 16), tcp6, L.OFFLOAD_CHECKSUM | L.OFFLOAD_TSO6],
        [vnet(1, L.VNET_GSO_UDP_L4, 42, 1400, 34, 6), udp, L.OFFLOAD_CHECKSUM | L.OFFLOAD_USO],
      ] as const
      for (const [header, bytes, needs] of requests) {
        const { scene } = send(header, bytes)
        assert.equal(scene.u8Of(L.P_REASON, 0), L.REASON_NONE)
        assert.equal(scene.u8Of(L.P_NEEDS, 0), needs)
        const kept = scene.u8.slice(scene.pool + L.P_VNET, scene.pool + L.P_VNET + 12)
        assert.deepEqual(kept, needs === 0 ? vnet() : header)
      }
    })

    test('requests that make no sense cost the frame', () => {
      const requests = [
        [vnet(0, L.VNET_GSO_TCPV4, 54, 1448), tcp4],
        [vnet(1, L.VNET_GSO_TCPV4, 54, 0, 34, 16), tcp4],
        [vnet(1, L.VNET_GSO_TCPV4, 4000, 1448, 34, 16), tcp4],
        [vnet(1, L.VNET_GSO_UDP, 42, 1448, 34, 6), udp],
        [vnet(1, L.VNET_GSO_UDP_L4 | L.VNET_GSO_ECN, 42, 1448, 34, 6), udp],
        [vnet(1, 77, 42, 1448, 34, 6), udp],
        [vnet(1, 0, 0, 0, udp.length - 1, 0), udp],
        [vnet(1, 0, 0, 0, 0xffff, 0xffff), udp],
        [vnet(1, 0, 0, 0, 34, 3), udp], // into the ports that policy has read
        [vnet(1, 0, 0, 0, 0, 6), udp], // into the source address
        [vnet(1, 0, 0, 0, 20, 6), udp],
      ] as const
      for (const [header, bytes] of requests) {
        const { scene } = send(header, bytes)
        assert.equal(scene.u8Of(L.P_REASON, 0), L.REASON_BAD_OFFLOAD, `header ${header}`)
        assert.equal(scene.u32Of(L.P_FLAGS, 0), L.PF_DROPPED)
        assert.equal(scene.u8Of(L.P_NEEDS, 0), 0)
      }
    })

    test('a request that was not negotiated costs the frame', () => {
      const request = vnet(1, L.VNET_GSO_TCPV4 | L.VNET_GSO_ECN, 54, 1448, 34, 16)
      for (const missing of [L.OFFLOAD_CHECKSUM, L.OFFLOAD_TSO4, L.OFFLOAD_ECN])
        assert.equal(send(request, tcp4, ALL & ~missing).scene.u8Of(L.P_REASON, 0), L.REASON_BAD_OFFLOAD)
    })

    test('the sender may vouch for its checksums if it negotiated them', () => {
      const header = vnet(L.VNET_DATA_VALID | 0xf8)
      assert.equal(send(header, udp).scene.u32Of(L.P_FLAGS, 0) & L.PF_DATA_VALID, L.PF_DATA_VALID)
      assert.equal(send(header, udp, 0).scene.u32Of(L.P_FLAGS, 0) & L.PF_DATA_VALID, 0)
    })

    test('needs are passed on to the receiver, everything else is zero', () => {
      const cases = [
        [vnet(1, L.VNET_GSO_TCPV4, 54, 1448, 34, 16, 9), vnet(1, L.VNET_GSO_TCPV4, 54, 1448, 34, 16, 1), ALL],
        [vnet(1 | 0xfc, 0, 99, 88, 34, 16, 9), vnet(1, 0, 0, 0, 34, 16, 1), ALL],
        [vnet(0xfc, 0, 99, 88, 34, 16, 9), vnet(0, 0, 0, 0, 0, 0, 1), ALL],
        [vnet(L.VNET_DATA_VALID), vnet(L.VNET_DATA_VALID, 0, 0, 0, 0, 0, 1), ALL],
        [vnet(L.VNET_DATA_VALID), vnet(0, 0, 0, 0, 0, 0, 1), 0],
      ] as const
      for (const [header, expected, takes] of cases)
        for (const place of [BUFFER, BUFFER + 1n, SEAM - 5n]) {
          const { scene, guest } = send(header, tcp4)
          const receive = new Queue(guest, { offloads: takes, at: 0x20000n })
          receive.offer([{ gpa: place + 0x8000n, length: 8192, write: true }])
          assert.equal(scene.kernels.deliver(receive.block, scene.pool, scene.list([0]), 1) & L.DELIVER_COUNT, 1)
          assert.deepEqual(guest.read(place + 0x8000n, 12), expected)
        }
    })

    test('a checksum left open is completed, wherever the bytes stand', () => {
      for (const options of [{}, { protocol: 6 }, { ip: 6 as const }, { ip: 6 as const, protocol: 6 }])
        for (const length of [0, 1, 3, 50, 86, 87, 500, 1460])
          for (const cuts of [[], [12], [12, 40], [12, 128 + 7], [12, 128, 1, 3]]) {
            const bytes = frame({ ...options, payload: pattern(length) })
            if (cuts.reduce((a, b) => a + b, 0) > bytes.length) continue
            const { l3, l4, protocol } = offsets(options)
            openSum(bytes, l3, l4, protocol)
            const { scene } = send(vnet(1, 0, 0, 0, l4, protocol === 6 ? 16 : 6), bytes, ALL, cuts, SEAM - 300n)
            assert.equal(scene.kernels.checksum(scene.pool, 0), 1)
            assert.ok(checksumsHold(scene.frame(0), l3, l4), `${JSON.stringify(options)}, ${length} bytes, cuts ${cuts}`)
            assert.equal(scene.u8Of(L.P_NEEDS, 0), 0)
            assert.ok((scene.u32Of(L.P_FLAGS, 0) & L.PF_DATA_VALID) !== 0, 'what was summed here is vouched for')
            assert.equal(scene.kernels.checksum(scene.pool, 0), 1)
          }
    })

    test('completing the checksum of a frame inside a frame vouches for nothing', () => {
      const { scene } = send(vnet(1, 0, 0, 0, 50, 16), udp)
      assert.equal(scene.kernels.checksum(scene.pool, 0), 1)
      assert.equal(scene.u32Of(L.P_FLAGS, 0) & L.PF_DATA_VALID, 0)
    })

    test('a UDP checksum of zero is sent as ones', () => {
      const bytes = frame({ payload: new Uint8Array(2) })
      openSum(bytes, 14, 34, 17)
      const rest = plainSum(bytes.subarray(34)) ^ 0xffff // what makes the sum all ones
      bytes[42] = rest >> 8
      bytes[43] = rest & 0xff
      const { scene } = send(vnet(1, 0, 0, 0, 34, 6), bytes)
      assert.equal(scene.kernels.checksum(scene.pool, 0), 1)
      assert.deepEqual([...scene.frame(0).subarray(40, 42)], [0xff, 0xff])
    })

    test('a checksum outside the header copy, or of a super-frame, is not computed', () => {
      let { scene } = send(vnet(1, 0, 0, 0, 127, 0), udp)
      assert.equal(scene.kernels.checksum(scene.pool, 0), 0)
      scene = send(vnet(1, L.VNET_GSO_TCPV4, 54, 1448, 34, 16), tcp4).scene
      assert.equal(scene.kernels.checksum(scene.pool, 0), 0)
    })

    const cases: readonly (readonly [name: string, options: FrameOptions, gso: number])[] = [
      ['TCP over IPv4', { protocol: 6, tcpFlags: 0x99 }, L.VNET_GSO_TCPV4],
      ['TCP over IPv4 with options and a tag', { protocol: 6, extra: new Uint8Array(8), tags: [[0x8100, 5]] }, L.VNET_GSO_TCPV4],
      ['TCP over IPv6', { protocol: 6, ip: 6, tcpFlags: 0x99 }, L.VNET_GSO_TCPV6],
      [
        'TCP over IPv6 with an extension header',
        { protocol: 6, ip: 6, extra: Uint8Array.of(6, 0, 0, 0, 0, 0, 0, 0), next: 60 },
        L.VNET_GSO_TCPV6,
      ],
      ['UDP over IPv4', { protocol: 17 }, L.VNET_GSO_UDP_L4],
      [
        'UDP over IPv6 with two tags',
        {
          protocol: 17,
          ip: 6,
          tags: [
            [0x88a8, 5],
            [0x8100, 6],
          ],
        },
        L.VNET_GSO_UDP_L4,
      ],
    ]
    for (const [name, options, gso] of cases)
      test(`${name} is cut into frames that give the original again`, () => {
        for (const [length, size] of [
          [3000, 1448],
          [2896, 1448],
          [1448, 1448],
          [10, 1448],
          [0, 1448],
          [9001, 333],
          [200, 7],
        ] as const)
          for (const cuts of [[], [12, 100], [12, 128 + 1, 1, 77]]) {
            const bytes = frame({ ...options, payload: pattern(length) })
            if (cuts.reduce((a, b) => a + b, 0) > bytes.length) continue
            const { l3, l4, protocol } = offsets(options)
            const { scene } = send(vnet(1, gso, 0, size, l4, protocol === 6 ? 16 : 6), bytes, ALL, cuts, SEAM - 301n)
            assert.equal(scene.u8Of(L.P_REASON, 0), 0)
            const slots = Array.from({ length: 40 }, (_, i) => 300 + i * 3)
            const count = scene.kernels.segment(scene.pool, 0, scene.list(slots, SLOTS), 40)
            assert.equal(count, Math.max(1, Math.ceil(length / size)))
            rejoins(scene, bytes, slots.slice(0, count), { l3, l4, protocol, size })
          }
      })

    test('cut frames keep where they came from and need nothing', () => {
      const { scene } = send(vnet(1, L.VNET_GSO_TCPV4, 54, 1448, 34, 16), tcp4)
      scene.view.setUint32(scene.pool + L.P_VSID, 77, true)
      assert.equal(scene.kernels.segment(scene.pool, 0, scene.list([9, 10, 11], SLOTS), 3), 3)
      for (const slot of [9, 10, 11]) {
        assert.equal(scene.u16Of(L.P_SOURCE_PORT, slot), 7)
        assert.equal(scene.u32Of(L.P_VSID, slot), 77)
        assert.equal(scene.u8Of(L.P_NEEDS, slot), 0)
        const foreign = scene.engine === 'twin-foreign' ? L.PF_FOREIGN : 0
        assert.equal(scene.u32Of(L.P_FLAGS, slot), L.PF_ORIGINATED | L.PF_DATA_VALID | L.PF_IPV4 | foreign)
        assert.equal(scene.u16Of(L.P_DESTINATION_L4, slot), 80)
      }
    })

    test('what can not be cut is refused, and nothing is written', () => {
      const good = vnet(1, L.VNET_GSO_TCPV4, 54, 1448, 34, 16)
      const cases = [
        [vnet(), tcp4],
        [vnet(1, 0, 0, 0, 34, 16), tcp4],
        [vnet(1, L.VNET_GSO_TCPV6, 54, 1448, 34, 16), tcp4],
        [vnet(1, L.VNET_GSO_TCPV4, 54, 1448, 36, 16), tcp4],
        [vnet(1, L.VNET_GSO_TCPV4, 54, 1448, 34, 6), tcp4],
        [vnet(1, L.VNET_GSO_UDP_L4, 54, 1448, 34, 16), tcp4],
        [good, frame({ protocol: 6, payload: pattern(3000), fragment: 0x2000 })],
        [
          vnet(1, L.VNET_GSO_TCPV6, 0, 1448, 78, 16),
          frame({ protocol: 6, ip: 6, payload: pattern(99), extra: Uint8Array.of(6, 2, 0, 1, ...new Uint8Array(20)), next: 43 }),
        ],
      ] as const
      for (const [header, bytes] of cases) {
        const { scene } = send(header, bytes)
        const before = scene.u8.slice(scene.pool, scene.pool + L.P_SCRATCH)
        assert.equal(scene.kernels.segment(scene.pool, 0, scene.list([9, 10, 11, 12], SLOTS), 4), 0)
        assert.deepEqual(scene.u8.slice(scene.pool, scene.pool + L.P_SCRATCH), before)
      }
      const { scene } = send(good, tcp4)
      assert.equal(scene.kernels.segment(scene.pool, 0, scene.list([9, 10], SLOTS), 2), 0)
      const short = frame({ protocol: 6, payload: pattern(3000) })
      short[46] = 0x40 // a TCP header of 16 bytes
      assert.equal(send(good, short).scene.kernels.segment(scene.pool, 0, scene.list([9, 10, 11], SLOTS), 3), 0)
    })
  })

interface Offsets {
  readonly l3: number
  readonly l4: number
  readonly protocol: number
}

function offsets(options: FrameOptions): Offsets {
  const l3 = 14 + (options.tags?.length ?? 0) * 4
  return { l3, l4: l3 + (options.ip === 6 ? 40 : 20) + (options.extra?.length ?? 0), protocol: options.protocol ?? 17 }
}

/** Puts the pseudo header's sum where the checksum goes, as a driver does that leaves the rest to the device. */
function openSum(bytes: Uint8Array, l3: number, l4: number, protocol: number): void {
  const addresses = bytes[l3]! >> 4 === 4 ? bytes.subarray(l3 + 12, l3 + 20) : bytes.subarray(l3 + 8, l3 + 40)
  const sum = plainSum(addresses, protocol + bytes.length - l4)
  const at = l4 + (protocol === 6 ? 16 : 6)
  bytes[at] = sum >> 8
  bytes[at + 1] = sum & 0xff
}

/** Asserts that the frames in `slots` are right each for itself and together carry the payload of `original`. */
function rejoins(
  scene: Scene,
  original: Uint8Array,
  slots: readonly number[],
  { l3, l4, protocol, size }: Offsets & { size: number },
): void {
  const headers = l4 + (protocol === 6 ? 20 : 8)
  const v4 = original[l3]! >> 4 === 4
  const word = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!
  const parts: Uint8Array[] = []
  slots.forEach((slot, i) => {
    const bytes = scene.frame(slot)
    const last = i === slots.length - 1
    assert.ok(checksumsHold(bytes, l3, l4), `checksums of frame ${i}`)
    assert.deepEqual(bytes.subarray(0, l3), original.subarray(0, l3))
    if (!last) assert.equal(bytes.length, headers + size)
    if (v4) {
      assert.equal(word(bytes, l3 + 2), bytes.length - l3)
      assert.equal(word(bytes, l3 + 4), (word(original, l3 + 4) + i) & 0xffff)
    } else assert.equal(word(bytes, l3 + 4), bytes.length - l3 - 40)
    if (protocol === 6) {
      const sequence = new DataView(bytes.buffer, bytes.byteOffset).getUint32(l4 + 4)
      assert.equal(sequence, (new DataView(original.buffer, original.byteOffset).getUint32(l4 + 4) + i * size) >>> 0)
      const flags = original[l4 + 13]! & ~(last ? 0 : 0x09) & ~(i === 0 ? 0 : 0x80)
      assert.equal(bytes[l4 + 13], flags)
    } else assert.equal(word(bytes, l4 + 4), bytes.length - l4)
    parts.push(bytes.subarray(headers))
  })
  assert.deepEqual(concat(...parts), original.subarray(headers))
}
