// Into how many packets a super-frame of segmentation offload is cut, and how long their headers are.
import { type Batch, PACKET_HEADER_STRIDE, PACKET_VNET_STRIDE, PROTOCOL_TCP } from '../../extension.ts'

type Pool = Batch['pool']

const HEADER_STRIDE = PACKET_HEADER_STRIDE
const VNET_STRIDE = PACKET_VNET_STRIDE
const TCP = PROTOCOL_TCP
const TCP_OFFSET = 12
const TCP_HEADER = 20
const UDP_HEADER = 8

/** Whether the packet in `slot` is to be cut. */
export const isSuperFrame = (pool: Pool, slot: number): boolean => pool.vnet[slot * VNET_STRIDE + 1] !== 0

/** Payload bytes of each packet that it is cut into, but the last one; 0 if it is nothing to be cut. */
export const segmentBytes = (pool: Pool, slot: number): number =>
  pool.vnet[slot * VNET_STRIDE + 4]! | (pool.vnet[slot * VNET_STRIDE + 5]! << 8)

/** Bytes of the headers that each packet begins with; 0 where the transport's are not known. */
export function headerBytes(pool: Pool, slot: number): number {
  const l4 = pool.l4[slot]!
  if (l4 === 0) return 0
  if (pool.protocol[slot] !== TCP) return l4 + UDP_HEADER
  if (l4 + TCP_HEADER > pool.headerLength[slot]!) return 0
  const frame = slot * HEADER_STRIDE + pool.headerOffset[slot]!
  return l4 + ((pool.header8[frame + l4 + TCP_OFFSET]! >> 4) << 2)
}

/** Packets that it is cut into, 1 where that can't be told; `headers` from `headerBytes`. */
export function packetsOf(pool: Pool, slot: number, headers: number): number {
  const size = segmentBytes(pool, slot)
  const length = pool.length[slot]!
  return headers === 0 || size === 0 || headers >= length ? 1 : Math.ceil((length - headers) / size)
}
