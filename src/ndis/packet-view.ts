// The packets of a batch as they are read: what NDIS hands over as a list of NET_BUFFER_LISTs. Packets are addressed by their position
// 0…length-1; accessors read the pool's arrays.
//
// The rule it must not break: accessors allocate nothing; header bytes are read from the private copy only, so what was looked at is
// what is delivered (IsPacketDataSafe for the copied bytes).
import * as layout from '../kernels/layout.ts'
import type { BatchOwner } from './batch-owner.ts'
import type { PacketPool } from './pool.ts'
import { PROTOCOL_TCP, PROTOCOL_UDP } from './protocols.ts'

// V8 folds constants of a module, not imported ones.
const {
  HEADER_STRIDE,
  PF_BROADCAST,
  PF_DROPPED,
  PF_FRAGMENT,
  PF_IPV4,
  PF_IPV6,
  PF_MULTICAST,
  PF_NATIVE_FORWARDING,
  PF_ORIGINATED,
  PF_SAFE,
  PF_TAGGED,
  PF_VLAN_OOB,
} = layout

/** Destination and source address. */
const ADDRESSES_BYTES = 12

/** Reading side of a batch. Fields are ordinary ones because they are read per packet. */
export class PacketView {
  /** Packets in the batch. */
  length = 0
  /** True on ingress (sends), false on egress (receive indications). */
  ingress = true
  readonly pool: PacketPool
  /** Slot of each position. */
  readonly slots: Uint16Array
  /** Linear address of `slots`: a list that kernels take. */
  readonly list: number
  readonly owner: BatchOwner

  /** `slots` has BURST_SLOTS * 2 entries; `list` is its linear address, or 0 if no kernel will read it. */
  constructor(slots: Uint16Array, list: number, pool: PacketPool, owner: BatchOwner) {
    this.pool = pool
    this.owner = owner
    this.list = list
    this.slots = slots
  }

  /** Running number of the packet, per processor. */
  packetId(i: number): number {
    return this.pool.packetId[this.slots[i]!]!
  }

  /** Bytes of the frame, from the destination address, without checksum. */
  frameLength(i: number): number {
    return this.pool.length[this.slots[i]!]!
  }

  /** Bytes of the frame that the header accessors can read: SafePacketDataSize. */
  headerLength(i: number): number {
    return this.pool.headerLength[this.slots[i]!]!
  }

  /** IsPacketDataSafe: no guest can change any byte of the packet. */
  isDataSafe(i: number): boolean {
    return (this.pool.flags[this.slots[i]!]! & PF_SAFE) !== 0
  }

  /** Switch port the packet came from: SourcePortId; 0 = an extension. */
  sourcePortId(i: number): number {
    return this.pool.sourcePort[this.slots[i]!]!
  }

  /** SourceNicIndex. */
  sourceNicIndex(i: number): number {
    return this.pool.sourceNic[this.slots[i]!]!
  }

  /** EtherType after at most two tags, host order. */
  etherType(i: number): number {
    return this.pool.etherType[this.slots[i]!]!
  }

  isBroadcast(i: number): boolean {
    return (this.pool.flags[this.slots[i]!]! & PF_BROADCAST) !== 0
  }

  /** Group bit of the destination address set; true for broadcasts. */
  isMulticast(i: number): boolean {
    return (this.pool.flags[this.slots[i]!]! & PF_MULTICAST) !== 0
  }

  /** True if 802.1Q information belongs to the packet: a tag in the frame, or one out of band (`setVlan`). */
  isTagged(i: number): boolean {
    return (this.pool.flags[this.slots[i]!]! & (PF_TAGGED | PF_VLAN_OOB)) !== 0
  }

  /** VLAN id of the outer tag, 0…4095; 0 if untagged. */
  vlanId(i: number): number {
    return this.pool.vlan[this.slots[i]!]! & 0xfff
  }

  /** 802.1p priority of the outer tag, 0…7. */
  priority(i: number): number {
    return this.pool.vlan[this.slots[i]!]! >> 13
  }

  isIpv4(i: number): boolean {
    return (this.pool.flags[this.slots[i]!]! & PF_IPV4) !== 0
  }

  isIpv6(i: number): boolean {
    return (this.pool.flags[this.slots[i]!]! & PF_IPV6) !== 0
  }

  /** An IP fragment, the first one included. Only a first one has ports. */
  isFragment(i: number): boolean {
    return (this.pool.flags[this.slots[i]!]! & PF_FRAGMENT) !== 0
  }

  /** IP protocol, after IPv6 extension headers; 0 if not IP. */
  protocol(i: number): number {
    return this.pool.protocol[this.slots[i]!]!
  }

  isTcp(i: number): boolean {
    return this.pool.protocol[this.slots[i]!] === PROTOCOL_TCP
  }

  isUdp(i: number): boolean {
    return this.pool.protocol[this.slots[i]!] === PROTOCOL_UDP
  }

  /** TCP or UDP source port, host order; 0 where there is none. */
  sourcePort(i: number): number {
    return this.pool.sourceL4[this.slots[i]!]!
  }

  /** TCP or UDP destination port, host order; 0 where there is none. */
  destinationPort(i: number): number {
    return this.pool.destinationL4[this.slots[i]!]!
  }

  /** Offset of the network header from the frame's start. */
  networkOffset(i: number): number {
    return this.pool.l3[this.slots[i]!]!
  }

  /** Offset of the transport header; 0 = none, or beyond the copied header. */
  transportOffset(i: number): number {
    return this.pool.l4[this.slots[i]!]!
  }

  /** IPv4 source address as an unsigned 32-bit number; 0 if not IPv4. */
  sourceIpv4(i: number): number {
    return this.isIpv4(i) ? this.u32(i, this.pool.l3[this.slots[i]!]! + 12) : 0
  }

  /** IPv4 destination address as an unsigned 32-bit number; 0 if not IPv4. */
  destinationIpv4(i: number): number {
    return this.isIpv4(i) ? this.u32(i, this.pool.l3[this.slots[i]!]! + 16) : 0
  }

  /** Upper 16 bits of the source MAC address (with sourceMacLow: 48 bits in network order). */
  sourceMacHigh(i: number): number {
    return this.u16(i, 6)
  }

  /** Lower 32 bits of the source MAC address, unsigned. */
  sourceMacLow(i: number): number {
    return this.u32(i, 8)
  }

  /** Upper 16 bits of the destination MAC address. */
  destinationMacHigh(i: number): number {
    return this.u16(i, 0)
  }

  /** Lower 32 bits of the destination MAC address, unsigned. */
  destinationMacLow(i: number): number {
    return this.u32(i, 2)
  }

  /**
   * True if packets `i` and `k` came from the same port and have the same MAC addresses and VLAN: what was decided by them for one is
   * right for the other. Bursts are mostly of one conversation, and this costs a fraction of a look-up.
   */
  sameAddresses(i: number, k: number): boolean {
    const { pool, slots } = this
    const a = slots[i]!
    const b = slots[k]!
    if (pool.sourcePort[a] !== pool.sourcePort[b] || ((pool.vlan[a]! ^ pool.vlan[b]!) & 0xfff) !== 0) return false
    const atA = a * HEADER_STRIDE + pool.headerOffset[a]!
    const atB = b * HEADER_STRIDE + pool.headerOffset[b]!
    if (((atA | atB) & 3) === 0) {
      const { header32 } = pool
      const x = atA >> 2
      const y = atB >> 2
      return header32[x] === header32[y] && header32[x + 1] === header32[y + 1] && header32[x + 2] === header32[y + 2]
    }
    const { header8 } = pool
    for (let octet = 0; octet < ADDRESSES_BYTES; octet++) if (header8[atA + octet] !== header8[atB + octet]) return false
    return true
  }

  /** NativeForwardingRequired (6.40): the switch, not the forwarding extension, chooses the destinations. */
  isNativeForwardingRequired(i: number): boolean {
    return (this.pool.flags[this.slots[i]!]! & PF_NATIVE_FORWARDING) !== 0
  }

  /** Virtual subnet id of the packet, 0 = none. */
  virtualSubnetId(i: number): number {
    return this.pool.vsid[this.slots[i]!]!
  }

  /** Segment size if the packet is a TSO or USO super-frame, else 0. */
  segmentSize(i: number): number {
    const at = this.slots[i]! << 4
    return this.pool.vnet[at + 1] === 0 ? 0 : this.pool.vnet[at + 4]! | (this.pool.vnet[at + 5]! << 8)
  }

  /** Byte at `offset` of the frame; 0 beyond the copied header. */
  u8(i: number, offset: number): number {
    const slot = this.slots[i]!
    return offset < this.pool.headerLength[slot]!
      ? this.pool.header8[slot * HEADER_STRIDE + this.pool.headerOffset[slot]! + offset]!
      : 0
  }

  /** Big-endian 16 bits at `offset`; 0 beyond the copied header. */
  u16(i: number, offset: number): number {
    const slot = this.slots[i]!
    if (offset + 2 > this.pool.headerLength[slot]!) return 0
    const at = slot * HEADER_STRIDE + this.pool.headerOffset[slot]! + offset
    return (this.pool.header8[at]! << 8) | this.pool.header8[at + 1]!
  }

  /** Big-endian 32 bits at `offset`, unsigned; 0 beyond the copied header. */
  u32(i: number, offset: number): number {
    const slot = this.slots[i]!
    if (offset + 4 > this.pool.headerLength[slot]!) return 0
    const at = slot * HEADER_STRIDE + this.pool.headerOffset[slot]! + offset
    const h = this.pool.header8
    return ((h[at]! << 24) | (h[at + 1]! << 16) | (h[at + 2]! << 8) | h[at + 3]!) >>> 0
  }

  /**
   * Copies bytes `from`…`from + length - 1` of the frame to `target` from index `at`, header and payload alike. Returns how many: less
   * than `length` where frame or target end. Payload bytes are the guest's own and may change (isDataSafe): a copy for observation,
   * not for policy. Allocates nothing while `target` stays the same.
   */
  copyBytes(i: number, from: number, length: number, target: Uint8Array, at: number): number {
    const slot = this.slots[i]!
    const pool = this.pool
    const count = Math.min(length, pool.length[slot]! - from, target.length - at)
    if (!(count > 0 && from >= 0 && at >= 0)) return 0
    const copied = from < pool.headerLength[slot]! ? pool.copyHeader(slot, from, count, target, at) : 0
    return copied === count ? count : copied + this.owner.copyFrame(slot, from + copied, count - copied, target, at + copied)
  }

  /** True if the packet was dropped earlier in this handler. */
  isDropped(i: number): boolean {
    return (this.pool.flags[this.slots[i]!]! & PF_DROPPED) !== 0
  }

  /** True for packets that an extension made. */
  isOriginated(i: number): boolean {
    return (this.pool.flags[this.slots[i]!]! & PF_ORIGINATED) !== 0
  }

  /** ParentNetBufferList: the `packetId` of the packet that this one is a clone of; 0 = none. ES-396 */
  parentPacketId(i: number): number {
    return this.pool.parent[this.slots[i]!]!
  }
}
