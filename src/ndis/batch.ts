// A batch of packets as an extension sees it: what NDIS hands over as a list of NET_BUFFER_LISTs. Packets are addressed by their
// position 0…length-1; accessors read the pool's arrays, actions obey the rights of the module that is called.
//
// The rule it must not break: accessors and actions allocate nothing; header bytes are read from the private copy only, so what
// was looked at is what is delivered (IsPacketDataSafe for the copied bytes).
import * as layout from '../kernels/layout.ts'
import { type BatchOwner, type PacketHandle, Right } from './batch-owner.ts'
import { DROP_REASONS_MAX } from './drop-reasons.ts'
import type { PacketPool } from './pool.ts'
import { PROTOCOL_TCP, PROTOCOL_UDP } from './protocols.ts'

export { type BatchOwner, type PacketHandle, Right } from './batch-owner.ts'
export { PROTOCOL_ICMP, PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP } from './protocols.ts'

// V8 folds constants of a module, not imported ones.
const {
  DE_EXCLUDED,
  DE_NIC_SHIFT,
  DE_PORT,
  DE_PRESERVE_PRIORITY,
  DE_PRESERVE_VLAN,
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
} = layout

/** Packets on their way through the stack. Fields are ordinary ones because they are read per packet. */
export class Batch {
  /** Packets in the batch. */
  length = 0
  /** True on ingress (sends), false on egress (receive indications). */
  ingress = true
  readonly pool: PacketPool
  /** Slot of each position. */
  readonly slots: Uint16Array
  /** Linear address of `slots`: a list that kernels take. */
  readonly list: number
  /** Rights of the module in work: Right.*. Set by the stack. */
  rights = 0
  /** True after an action took packets out or changed them; the stack settles the batch then. */
  dirty = false
  /** True after header bytes were changed: parsed fields are stale until `settle`. */
  private changed = false
  /** True when the packets of the batch all came from one port (SINGLE_SOURCE, ES-445). */
  singleSource = false
  readonly owner: BatchOwner

  /** `slots` has BURST_SLOTS * 2 entries; `list` is its linear address, or 0 if no kernel will read it. */
  constructor(slots: Uint16Array, list: number, pool: PacketPool, owner: BatchOwner) {
    this.pool = pool
    this.owner = owner
    this.list = list
    this.slots = slots
  }

  // ---- what a packet is -------------------------------------------------------------------------------------------------

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

  isTagged(i: number): boolean {
    return (this.pool.flags[this.slots[i]!]! & PF_TAGGED) !== 0
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

  // ---- what a module does with it ---------------------------------------------------------------------------------------

  /**
   * Drops packet `i` (NdisFSendNetBufferListsComplete on ingress, NdisFReturnNetBufferLists on egress, and
   * ReportFilteredNetBufferLists). `reason` is a name or a number from `registerReason`. ES-305, ES-306, ES-344.
   */
  drop(i: number, reason: number | string): void {
    if (!this.may(i, Right.drop, 'ES-306', 'a capturing extension dropped a packet')) return
    const slot = this.slots[i]!
    if ((this.pool.flags[slot]! & PF_DROPPED) !== 0) return
    const number = this.numberOf(reason)
    this.takeOut(slot, number)
    if (this.ingress)
      this.owner.filtered(slot, number, this.pool.sourcePort[slot]!, true) // ES-364
    else
      for (let k = 0; k < this.pool.destinationCount[slot]!; k++) {
        const entry = this.entry(slot, k)
        if ((entry & DE_EXCLUDED) === 0) this.owner.filtered(slot, number, entry & DE_PORT, false) // ES-365
      }
  }

  // True if the module in work has the right; its breach is reported if not.
  private may(i: number, right: number, rule: string, breach: string): boolean {
    if ((this.rights & right) !== 0) return i >= 0 && i < this.length // positions outside name slots of other packets
    this.owner.breach(rule, breach)
    return false
  }

  // Numbers that nobody registered would be counted somewhere else: the last one stands for them.
  private numberOf(reason: number | string): number {
    if (typeof reason !== 'number') return this.owner.reasonNumber(reason)
    return Number.isInteger(reason) && reason >= 0 && reason < DROP_REASONS_MAX ? reason : DROP_REASONS_MAX - 1
  }

  private takeOut(slot: number, reason: number): void {
    this.pool.flags[slot] = this.pool.flags[slot]! | PF_DROPPED
    this.pool.reason[slot] = reason
    this.dirty = true
  }

  /** True if the packet was dropped earlier in this handler. */
  isDropped(i: number): boolean {
    return (this.pool.flags[this.slots[i]!]! & PF_DROPPED) !== 0
  }

  /** Destinations of packet `i`, excluded ones included (GetNetBufferListDestinations). 0 on ingress above the forwarding extension. */
  destinationCount(i: number): number {
    return this.pool.destinationCount[this.slots[i]!]!
  }

  private entry(slot: number, k: number): number {
    const { pool } = this
    return pool.destinationRoom[slot] === 0 ? pool.destination[slot]! : pool.arena[pool.destinationOffset[slot]! + k]!
  }

  /** Port id of destination `k` (0…destinationCount-1). */
  destinationPortId(i: number, k: number): number {
    return this.entry(this.slots[i]!, k) & DE_PORT
  }

  /** NIC index of destination `k`. */
  destinationNicIndex(i: number, k: number): number {
    return (this.entry(this.slots[i]!, k) >>> DE_NIC_SHIFT) & 0xff
  }

  /** True if destination `k` was excluded. */
  isExcluded(i: number, k: number): boolean {
    return (this.entry(this.slots[i]!, k) & DE_EXCLUDED) !== 0
  }

  /**
   * Excludes destination `k` of packet `i` on egress: IsExcluded with UpdateNetBufferListDestinations, and a report. Excluding the
   * last one drops the packet. ES-309, ES-346.
   */
  exclude(i: number, k: number, reason: number | string): void {
    const { pool, ingress } = this
    const breach = 'exclusion of a destination is for filtering and forwarding extensions on egress'
    if (!this.may(i, ingress ? Right.none : Right.exclude, ingress ? 'ES-346' : 'ES-309', breach)) return
    const slot = this.slots[i]!
    const count = pool.destinationCount[slot]!
    if (!(k >= 0 && k < count) || (pool.flags[slot]! & PF_DROPPED) !== 0) return
    const entry = this.entry(slot, k)
    if ((entry & DE_EXCLUDED) !== 0) return
    if (pool.destinationRoom[slot] === 0) pool.destination[slot] = entry | DE_EXCLUDED
    else pool.arena[pool.destinationOffset[slot]! + k] = entry | DE_EXCLUDED
    const number = this.numberOf(reason)
    this.owner.filtered(slot, number, entry & DE_PORT, false)
    for (let other = 0; other < count; other++) if ((this.entry(slot, other) & DE_EXCLUDED) === 0) return
    this.takeOut(slot, number) // ES-358
  }

  /**
   * Adds and commits one destination on ingress (AddNetBufferListDestination; the array grows as needed). Returns false, and adds
   * nothing, if the connection is not connected (A005) or the turn has no room left (NDIS_STATUS_RESOURCES). ES-328, ES-411, ES-412.
   */
  addDestination(i: number, portId: number, nicIndex = 0, preserveVlan = false, preservePriority = false): boolean {
    const { pool, ingress } = this
    const breach = 'only a forwarding extension adds destinations, and on ingress'
    if (!this.may(i, ingress ? Right.addDestination : Right.none, ingress ? 'ES-412' : 'ES-328', breach)) return false
    if (!this.owner.connected(portId, nicIndex)) return false // ES-430, ES-441
    const slot = this.slots[i]!
    const count = pool.destinationCount[slot]!
    const entry =
      portId | (nicIndex << DE_NIC_SHIFT) | (preserveVlan ? DE_PRESERVE_VLAN : 0) | (preservePriority ? DE_PRESERVE_PRIORITY : 0)
    if (count === 0) {
      pool.destination[slot] = entry
      pool.destinationRoom[slot] = 0 // what the slot's last packet left there names a stretch of the arena that others use now
    } else {
      const room = pool.destinationRoom[slot]!
      if (count >= room && !pool.growDestinations(slot, room === 0 ? 8 : room * 2)) return false
      pool.arena[pool.destinationOffset[slot]! + count] = entry
    }
    pool.destinationCount[slot] = count + 1 // ES-411
    return true
  }

  /**
   * Writes `value` (0…255) at `offset` of the frame, within the copied header. The copy is the switch's own, so this is the "clone
   * and modify" of the contract without a clone. Ingress only, not for capturing extensions (ES-307, ES-347).
   */
  setU8(i: number, offset: number, value: number): boolean {
    const { ingress } = this
    const breach = 'packet data may be changed by filtering and forwarding extensions on ingress only'
    if (!this.may(i, ingress ? Right.modify : Right.none, ingress ? 'ES-307' : 'ES-347', breach)) return false
    const slot = this.slots[i]!
    if (!(offset >= 0 && offset < this.pool.headerLength[slot]!)) return false
    this.pool.header8[slot * HEADER_STRIDE + this.pool.headerOffset[slot]! + offset] = value
    this.changed = true
    this.dirty = true
    return true
  }

  /** Writes a big-endian 16-bit value; see setU8. Returns false if it is not wholly inside the copied header. */
  setU16(i: number, offset: number, value: number): boolean {
    return offset + 2 <= this.headerLength(i) && this.setU8(i, offset, value >> 8) && this.setU8(i, offset + 1, value & 0xff)
  }

  /** Writes a big-endian 32-bit value; see setU8. */
  setU32(i: number, offset: number, value: number): boolean {
    return (
      offset + 4 <= this.headerLength(i) && this.setU16(i, offset, value >>> 16) && this.setU16(i, offset + 2, value & 0xffff)
    )
  }

  /**
   * Takes packet `i` out of the batch and keeps a private copy, to be sent on later with `SwitchHandle.forward` or given up with
   * `SwitchHandle.release`. Returns its handle, or 0 if the pool has no room (then the packet goes on).
   */
  hold(i: number): PacketHandle {
    if (!this.may(i, Right.hold, 'ES-306', 'a capturing extension must not hold packets back')) return 0
    const slot = this.slots[i]!
    if ((this.pool.flags[slot]! & PF_DROPPED) !== 0) return 0
    const handle = this.owner.keep(slot, true)
    if (handle !== 0) this.takeOut(slot, 0)
    return handle
  }

  /**
   * A private copy of packet `i` without its destinations (clone NET_BUFFER_LIST + CopyNetBufferListInfo). Send it with
   * `SwitchHandle.send`. Returns its handle, or 0 without room. ES-310.
   */
  clone(i: number): PacketHandle {
    const may = this.may(i, Right.clone, 'ES-310', 'a capturing extension must not clone packets')
    return may ? this.owner.keep(this.slots[i]!, false) : 0
  }

  // ---- for the stack ----------------------------------------------------------------------------------------------------

  /** After a module: keeps the packets that were not taken out, in order, and parses again what was changed. */
  settle(): void {
    const { slots } = this
    const { flags } = this.pool
    let kept = 0
    for (let i = 0; i < this.length; i++) {
      const slot = slots[i]!
      if ((flags[slot]! & PF_DROPPED) !== 0) continue
      if (this.changed) this.owner.parse(slot)
      slots[kept++] = slot
    }
    this.length = kept
    this.changed = false
    this.dirty = false
  }

  /** True for packets that an extension made. */
  isOriginated(i: number): boolean {
    return (this.pool.flags[this.slots[i]!]! & PF_ORIGINATED) !== 0
  }
}
