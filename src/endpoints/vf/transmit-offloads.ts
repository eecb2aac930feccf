// What a transmit descriptor asks to be done to its frame, as the packet pool has it: checksum and segmentation become the request of a
// virtio-net header, which the pool's filler checks; the IP checksum is computed at once in the header copy.
//
// The rule it must not break: it writes inside the header copy only, and what it can't bring about is refused.
import { V_CONTEXTS } from '../../adapter/igbvf/block.ts'
import * as registers from '../../adapter/igbvf/registers.ts'
import * as layout from '../../kernels/layout.ts'
import type { SlotFiller } from '../fill-slot.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const {
  CONTEXT_IPV4,
  CONTEXT_L4_SHIFT,
  CONTEXT_L4_TCP,
  CONTEXT_L4_UDP,
  TX_CONTEXT_SHIFT,
  TX_CONTEXTS,
  TX_EXTENDED,
  TX_LEGACY_CHECKSUM,
  TX_OPTION_IP_CHECKSUM,
  TX_OPTION_L4_CHECKSUM,
  TX_TSO,
} = registers
const { HEADER_COPY, VNET_GSO_ECN, VNET_GSO_TCPV4, VNET_GSO_TCPV6, VNET_NEEDS_CSUM } = layout

const CONTEXT_BYTES = 16
const TCP_CHECKSUM = 16
const TCP_FLAGS = 13
const TCP_CWR = 0x80
const TCP_HEADER = 20
const UDP_CHECKSUM = 6
const IPV4_HEADER = 20
const IPV6_HEADER = 40
const IP_LENGTH_MAX = 65535

/** The words of a packet's first data descriptor, and the bytes of the tag that was inserted. Reused for every packet. */
export interface OffloadRequest {
  word2: number
  word3: number
  tagBytes: number
}

/** Ordinary fields: they are read per packet. */
export class TransmitOffloads {
  private readonly filler: SlotFiller
  private readonly u32: Uint32Array
  private readonly contexts: number

  constructor(filler: SlotFiller, u32: Uint32Array, block: number) {
    this.filler = filler
    this.u32 = u32
    this.contexts = block + V_CONTEXTS
  }

  /** The VLAN tag to insert: a legacy descriptor carries it, an advanced one's context does. */
  tagOf(word2: number, word3: number): number {
    return (word2 & TX_EXTENDED) === 0 ? word3 >>> 16 : this.u32[this.contextOf(word3)]! >>> 16
  }

  /** Puts the requests for a described slot of `length` bytes into its virtio-net header. Returns false if they can't be met. */
  apply(slot: number, length: number, request: OffloadRequest): boolean {
    const { word2, word3, tagBytes } = request
    if ((word2 & TX_EXTENDED) === 0) {
      if ((word2 & TX_LEGACY_CHECKSUM) === 0) return true
      const start = ((word3 >>> 8) & 0xff) + tagBytes
      return this.askChecksum(slot, start, ((word2 >>> 16) & 0xff) + tagBytes - start)
    }
    const segmented = (word2 & TX_TSO) !== 0
    if (!segmented && (word3 & (TX_OPTION_IP_CHECKSUM | TX_OPTION_L4_CHECKSUM)) === 0) return true
    const context = this.contextOf(word3)
    const lengths = this.u32[context]!
    const kinds = this.u32[context + 2]!
    const l3 = ((lengths >>> 9) & 0x7f) + tagBytes
    const l4 = l3 + (lengths & 0x1ff)
    const isIpv4 = (kinds & CONTEXT_IPV4) !== 0
    const kind = (kinds >>> CONTEXT_L4_SHIFT) & 3
    if (segmented) return kind === CONTEXT_L4_TCP && this.askSegmentation(slot, length, l3, l4, isIpv4, this.u32[context + 3]!)
    if ((word3 & TX_OPTION_IP_CHECKSUM) !== 0 && isIpv4 && !this.sumIpv4(slot, length, l3, l4)) return false
    if ((word3 & TX_OPTION_L4_CHECKSUM) === 0) return true
    // SCTP's checksum is a CRC that software further on can't complete.
    if (kind !== CONTEXT_L4_TCP && kind !== CONTEXT_L4_UDP) return false
    return this.askChecksum(slot, l4, kind === CONTEXT_L4_TCP ? TCP_CHECKSUM : UDP_CHECKSUM)
  }

  private contextOf(word3: number): number {
    return (this.contexts + ((word3 >>> TX_CONTEXT_SHIFT) & (TX_CONTEXTS - 1)) * CONTEXT_BYTES) >> 2
  }

  private askChecksum(slot: number, start: number, offset: number): boolean {
    if (offset < 0) return false
    const vnet = this.filler.vnetAddress(slot)
    this.filler.u8[vnet] = VNET_NEEDS_CSUM
    this.filler.u16[(vnet + 6) >> 1] = start
    this.filler.u16[(vnet + 8) >> 1] = offset
    return true
  }

  /**
   * The chip takes a frame whose IP length is 0 and whose pseudo-header sum is without the length; further on both are expected as if
   * the frame went out whole.
   */
  private askSegmentation(slot: number, length: number, l3: number, l4: number, isIpv4: boolean, sizes: number): boolean {
    const { u8 } = this.filler
    const inHeader = Math.min(length, HEADER_COPY)
    const headers = l4 + ((sizes >>> 8) & 0xff)
    const size = sizes >>> 16
    const at = this.filler.headerAddress(slot)
    const least = l3 + (isIpv4 ? IPV4_HEADER : IPV6_HEADER)
    if (size === 0 || l4 < least || l4 + TCP_HEADER > inHeader || headers < l4 + TCP_HEADER || headers > length) return false
    const ipLength = isIpv4 ? length - l3 : length - l3 - IPV6_HEADER
    if (ipLength > IP_LENGTH_MAX) return false
    put16(u8, at + l3 + (isIpv4 ? 2 : 4), ipLength)
    if (isIpv4 && !this.sumIpv4(slot, length, l3, l4)) return false
    const sum = ((u8[at + l4 + TCP_CHECKSUM]! << 8) | u8[at + l4 + TCP_CHECKSUM + 1]!) + (length - l4)
    put16(u8, at + l4 + TCP_CHECKSUM, fold(sum))
    this.askChecksum(slot, l4, TCP_CHECKSUM)
    const vnet = this.filler.vnetAddress(slot)
    const ecn = (u8[at + l4 + TCP_FLAGS]! & TCP_CWR) !== 0 ? VNET_GSO_ECN : 0
    u8[vnet + 1] = (isIpv4 ? VNET_GSO_TCPV4 : VNET_GSO_TCPV6) | ecn
    this.filler.u16[(vnet + 2) >> 1] = headers
    this.filler.u16[(vnet + 4) >> 1] = size
    return true
  }

  /** Computes the checksum of the IPv4 header from `l3` to `l4`. Returns false if it does not stand in the header copy. */
  private sumIpv4(slot: number, length: number, l3: number, l4: number): boolean {
    if (l4 < l3 + IPV4_HEADER || (l4 - l3) % 2 !== 0 || l4 > Math.min(length, HEADER_COPY)) return false
    const { u8 } = this.filler
    const at = this.filler.headerAddress(slot)
    put16(u8, at + l3 + 10, 0)
    let sum = 0
    for (let i = l3; i < l4; i += 2) sum += (u8[at + i]! << 8) | u8[at + i + 1]!
    put16(u8, at + l3 + 10, ~fold(sum) & 0xffff)
    return true
  }
}

function fold(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16)
  return (once & 0xffff) + (once >>> 16)
}

function put16(u8: Uint8Array, at: number, value: number): void {
  u8[at] = value >>> 8
  u8[at + 1] = value & 0xff
}
