import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import fc from 'fast-check'
import { DataHalf } from '../../test/support/data-half.ts'
import {
  HEADER_COPY,
  OFFLOAD_CHECKSUM,
  OFFLOAD_ECN,
  OFFLOAD_TSO4,
  OFFLOAD_USO,
  P_FLAGS,
  P_L4,
  P_NEEDS,
  P_REASON,
  P_SEGMENTS,
  P_SOURCE_L4,
  P_SOURCE_PORT,
  PF_DATA_VALID,
  PF_DROPPED,
  PF_IPV4,
  REASON_BAD_OFFLOAD,
  VNET_DATA_VALID,
  VNET_GSO_ECN,
  VNET_GSO_TCPV4,
  VNET_GSO_UDP,
  VNET_GSO_UDP_L4,
  VNET_HEADER,
  VNET_NEEDS_CSUM,
} from '../kernels/layout.ts'
import { SlotFiller } from './fill-slot.ts'

const L4 = 34
const SLOT = 3

/** An IPv4 TCP frame of `length` bytes from port 1000. */
function tcpFrame(length: number): Buffer {
  const frame = Buffer.alloc(length, 0x42)
  frame.writeUInt16BE(0x0800, 12)
  frame.set([0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6], 14)
  frame.writeUInt16BE(1000, L4)
  return frame
}

interface Request {
  flags?: number
  gso?: number
  headerLength?: number
  size?: number
  start?: number
  offset?: number
}

function vnetHeader(request: Request): Buffer {
  const vnet = Buffer.alloc(VNET_HEADER)
  vnet[0] = request.flags ?? 0
  vnet[1] = request.gso ?? 0
  vnet.writeUInt16LE(request.headerLength ?? 0, 2)
  vnet.writeUInt16LE(request.size ?? 0, 4)
  vnet.writeUInt16LE(request.start ?? 0, 6)
  vnet.writeUInt16LE(request.offset ?? 0, 8)
  return vnet
}

describe('filling a slot', () => {
  const half = new DataHalf()
  const { memory } = half
  const { pool, kernels } = half.context
  const filler = new SlotFiller(memory, kernels.linear, pool, 42)
  const room = memory.allocate(70_000)

  const fill = (frame: Uint8Array, vnet: Uint8Array): void => {
    memory.u8.set(frame, room)
    memory.u8.set(vnet, filler.vnetAddress(SLOT))
    filler.copyAndDescribe(SLOT, room, frame.length)
    filler.finish(SLOT, 1)
  }
  const u8At = (field: number): number => memory.u8[pool + field + SLOT]!
  const u16At = (field: number): number => filler.u16[((pool + field) >> 1) + SLOT]!
  const u32At = (field: number): number => memory.u32[((pool + field) >> 2) + SLOT]!
  const refused = (): boolean =>
    (u32At(P_FLAGS) & PF_DROPPED) !== 0 && u8At(P_REASON) === REASON_BAD_OFFLOAD && u8At(P_NEEDS) === 0

  beforeEach(() => memory.u8.fill(0xee, filler.headerAddress(SLOT), filler.headerAddress(SLOT) + HEADER_COPY))

  test('a frame is parsed and carries its port', () => {
    fill(tcpFrame(300), vnetHeader({}))
    assert.equal(u32At(P_FLAGS), PF_IPV4)
    assert.equal(u16At(P_SOURCE_PORT), 42)
    assert.equal(u16At(P_SOURCE_L4), 1000)
    assert.equal(u8At(P_L4), L4)
    assert.equal(u8At(P_SEGMENTS), 1)
    assert.ok(half.frameOf(SLOT).bytes.equals(tcpFrame(300)))
  })

  test('a frame that fits into the header copy has no payload', () => {
    fill(tcpFrame(HEADER_COPY), vnetHeader({}))
    assert.equal(u8At(P_SEGMENTS), 0)
  })

  const csum = { flags: VNET_NEEDS_CSUM, start: L4, offset: 16 }
  test('offload requests become needs', () => {
    const cases: [Request, number][] = [
      [csum, OFFLOAD_CHECKSUM],
      [{ ...csum, gso: VNET_GSO_TCPV4, size: 1448, headerLength: 54 }, OFFLOAD_CHECKSUM | OFFLOAD_TSO4],
      [{ ...csum, gso: VNET_GSO_TCPV4 | VNET_GSO_ECN, size: 1448 }, OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_ECN],
      [{ ...csum, offset: 6, gso: VNET_GSO_UDP_L4, size: 1000 }, OFFLOAD_CHECKSUM | OFFLOAD_USO],
    ]
    for (const [request, needs] of cases) {
      fill(tcpFrame(5000), vnetHeader(request))
      assert.equal(u8At(P_NEEDS), needs)
      assert.ok(half.frameOf(SLOT).vnet.equals(vnetHeader(request)))
    }
  })

  test('requests that make no sense are refused with a reason', () => {
    const cases: Request[] = [
      { ...csum, start: 5000 }, // behind the frame
      { ...csum, start: 4990, offset: 10 }, // its last byte behind the frame
      { ...csum, start: 20 }, // in the network header, which policy has read
      { ...csum, offset: 2 }, // in the ports, which policy has read
      { ...csum, gso: VNET_GSO_TCPV4 }, // no segment size
      { gso: VNET_GSO_TCPV4, size: 1448 }, // no checksum to complete
      { ...csum, gso: VNET_GSO_TCPV4, size: 1448, headerLength: 5001 },
      { ...csum, gso: VNET_GSO_UDP, size: 1448 }, // UDP fragmentation, which nobody negotiates
      { ...csum, gso: VNET_GSO_UDP_L4 | VNET_GSO_ECN, size: 1448 },
      { ...csum, gso: 77, size: 1448 },
    ]
    for (const request of cases) {
      fill(tcpFrame(5000), vnetHeader(request))
      assert.ok(refused(), JSON.stringify(request))
    }
  })

  test('a promise of valid checksums is kept apart from the header', () => {
    fill(tcpFrame(100), vnetHeader({ flags: VNET_DATA_VALID }))
    assert.equal(u32At(P_FLAGS) & PF_DATA_VALID, PF_DATA_VALID)
    assert.ok(half.frameOf(SLOT).vnet.equals(Buffer.alloc(VNET_HEADER)))
  })

  test('a tag put back stands in the frame, and the offload request moves with what lies behind it', () => {
    for (const length of [60, HEADER_COPY - 1, HEADER_COPY, HEADER_COPY + 1, 5000]) {
      const frame = tcpFrame(length)
      memory.u8.set(frame, room)
      memory.u8.set(vnetHeader({ ...csum, gso: VNET_GSO_TCPV4, size: 1448, headerLength: 54 }), filler.vnetAddress(SLOT))
      filler.copyAndDescribe(SLOT, room, length)
      filler.insertTag(SLOT, 0x88a8, 0x6123)
      filler.finish(SLOT, 1)
      const tagged = Buffer.concat([frame.subarray(0, 12), Buffer.from([0x88, 0xa8, 0x61, 0x23]), frame.subarray(12)])
      const seen = half.frameOf(SLOT)
      assert.ok(seen.bytes.equals(tagged), `${length} bytes`)
      assert.equal(u8At(P_L4), L4 + 4)
      assert.equal(seen.needs, OFFLOAD_CHECKSUM | OFFLOAD_TSO4)
      assert.deepEqual([seen.vnet.readUInt16LE(2), seen.vnet.readUInt16LE(6), seen.vnet.readUInt16LE(8)], [58, L4 + 4, 16])
    }
    fill(Buffer.alloc(13), vnetHeader({}))
    filler.insertTag(SLOT, 0x8100, 1)
    assert.equal(filler.lengthOf(SLOT), 0, 'a runt is not made a frame by its tag')
  })

  test('whatever the bytes, needs point inside the frame and dropped frames are empty', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 400 }),
        fc.uint8Array({ minLength: VNET_HEADER, maxLength: VNET_HEADER }),
        (frame, vnet) => {
          fill(frame, vnet)
          const seen = half.frameOf(SLOT)
          if ((seen.flags & PF_DROPPED) !== 0) {
            assert.ok(seen.reason !== 0 && seen.needs === 0 && filler.lengthOf(SLOT) === 0)
            return
          }
          assert.ok(Buffer.from(frame).equals(seen.bytes))
          if ((seen.needs & OFFLOAD_CHECKSUM) !== 0)
            assert.ok(seen.vnet.readUInt16LE(6) + seen.vnet.readUInt16LE(8) + 2 <= frame.length)
        },
      ),
      { numRuns: 500 },
    )
  })
})
