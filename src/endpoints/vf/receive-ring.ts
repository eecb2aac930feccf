// Delivers packets into the receive ring of a function: filters, VLAN strip, one buffer or split headers, advanced or legacy
// descriptors.
//
// The rule it must not break: a buffer gets no byte more than the guest said it takes (its longest frame, its buffer size), and the
// status word that hands a descriptor over is written last.
import {
  Fault,
  V_MAX_FRAME,
  V_RUN,
  V_RX_FAULT,
  V_RX_FILTERED,
  V_RX_LOCK,
  V_RX_NO_DESCRIPTOR,
  V_RX_TOO_LONG,
} from '../../adapter/igbvf/block.ts'
import { VfFilters } from '../../adapter/igbvf/filters.ts'
import type { Interrupts } from '../../adapter/igbvf/interrupts.ts'
import * as registers from '../../adapter/igbvf/registers.ts'
import type { Kernels } from '../../kernels/kernels.ts'
import * as layout from '../../kernels/layout.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import { lockQueue, unlockQueue } from '../../virtio/queue-lock.ts'
import type { QueueContext } from '../endpoint.ts'
import { Ring } from './ring.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const {
  FCS_BYTES,
  QUEUE_ENABLE,
  RDBAH,
  RDBAL,
  RDH,
  RDLEN,
  RDT,
  RX_DONE,
  RX_EOP,
  RX_SPLIT_HEADER,
  RX_SPLIT_LENGTH_SHIFT,
  RX_TCP_CHECKSUM_GOOD,
  RX_TYPE_LEGACY,
  RX_TYPE_SPLIT_ALWAYS,
  RX_UDP_CHECKSUM_GOOD,
  RX_VLAN_STRIPPED,
  RXDCTL,
  SRRCTL,
  SRRCTL_HEADER_MASK,
  SRRCTL_HEADER_SHIFT,
  SRRCTL_PACKET_KIB,
  SRRCTL_TYPE_MASK,
  SRRCTL_TYPE_SHIFT,
  VFGORC,
  VFGPRC,
  VFMPRC,
} = registers
const {
  HEADER_STRIDE,
  P_FLAGS,
  P_HEADER,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_LENGTH,
  P_PROTOCOL,
  PF_DATA_VALID,
  PF_FOREIGN,
  PF_MULTICAST,
} = layout

/** Longest wait for a ring that another processor delivers into, or that the control half changes. */
const LOCK_MS = 100
/** A ring with less than the so-manieth part of its descriptors free runs out soon. */
const LOW_SHARE = 4
const DEFAULT_BUFFER_BYTES = 2048 // what a size of 0 in SRRCTL means
const ADDRESSES_BYTES = 12
const TAG_BYTES = 4
const TAG_TYPE_HIGH = 0x81
const PROTOCOL_TCP = 6
const PROTOCOL_UDP = 17

/** Ordinary fields: they are read per packet. */
export class ReceiveRing {
  refusal: number = DropReason.none
  private readonly ring: Ring
  private readonly filters: VfFilters
  private readonly interrupts: Interrupts
  private readonly linear: Kernels
  private readonly any: Kernels
  private readonly u8: Uint8Array
  private readonly u16: Uint16Array
  private readonly u32: Uint32Array
  private readonly i32: Int32Array
  private readonly pool: number
  private readonly block: number
  // Set-up of the delivery in work.
  private type = 0
  private packetBytes = 0
  private headerBytes = 0
  private free = 0

  constructor(block: number, context: QueueContext, interrupts: Interrupts) {
    const { memory, kernels, pool } = context
    this.block = block
    this.pool = pool
    this.interrupts = interrupts
    this.linear = kernels.linear
    this.any = kernels.any
    this.u8 = memory.u8
    this.u16 = new Uint16Array(memory.buffer, 0, memory.u8.length >> 1)
    this.u32 = memory.u32
    this.i32 = memory.i32
    this.filters = new VfFilters(memory.u8, memory.u32, block)
    const places = { baseLow: RDBAL, baseHigh: RDBAH, length: RDLEN, head: RDH, tail: RDT, fault: V_RX_FAULT }
    this.ring = new Ring(memory, block, places)
  }

  private get isOn(): boolean {
    const { u32, block } = this
    return u32[(block + V_RUN) >> 2] === 1 && (u32[(block + RXDCTL) >> 2]! & QUEUE_ENABLE) !== 0
  }

  /** EndpointQueue.deliver. */
  deliver(list: number, count: number): number {
    if (!this.isOn) {
      this.refusal = DropReason.linkDown
      return 0
    }
    if (!lockQueue(this.i32, this.block + V_RX_LOCK, LOCK_MS)) {
      this.refusal = DropReason.noResources
      return 0
    }
    const taken = this.deliverLocked(list, count)
    unlockQueue(this.i32, this.block + V_RX_LOCK)
    return taken
  }

  private deliverLocked(list: number, count: number): number {
    const { ring, u32, block } = this
    if (!this.isOn || !ring.load()) {
      this.refusal = DropReason.linkDown
      return 0
    }
    const control = u32[(block + SRRCTL) >> 2]!
    this.type = (control >>> SRRCTL_TYPE_SHIFT) & SRRCTL_TYPE_MASK
    this.packetBytes = (control & SRRCTL_PACKET_KIB) << 10 || DEFAULT_BUFFER_BYTES
    this.headerBytes = this.type === RX_TYPE_SPLIT_ALWAYS ? ((control >>> SRRCTL_HEADER_SHIFT) & SRRCTL_HEADER_MASK) << 6 : 0
    this.free = ring.tail >= ring.head ? ring.tail - ring.head : ring.tail - ring.head + ring.size
    let taken = 0
    const before = ring.head
    for (let i = 0; i < count; i++) if (this.place(this.u16[(list >> 1) + i]!)) taken++
    if (ring.head !== before) {
      ring.storeHead(ring.head)
      this.interrupts.received(this.free * LOW_SHARE < ring.size)
    }
    return taken
  }

  /** Puts one packet into the ring. Returns false, with `refusal` set, if it is lost; a filtered one is not lost. */
  private place(slot: number): boolean {
    const { u8, u16, u32, pool, block, ring } = this
    const length = u32[((pool + P_LENGTH) >> 2) + slot]!
    const flags = u32[((pool + P_FLAGS) >> 2) + slot]!
    const header = pool + P_HEADER + slot * HEADER_STRIDE + u16[((pool + P_HEADER_OFFSET) >> 1) + slot]!
    const tagged =
      u8[header + ADDRESSES_BYTES] === TAG_TYPE_HIGH &&
      u8[header + ADDRESSES_BYTES + 1] === 0 &&
      u16[((pool + P_HEADER_LENGTH) >> 1) + slot]! >= ADDRESSES_BYTES + TAG_BYTES
    const tag = tagged ? (u8[header + 14]! << 8) | u8[header + 15]! : 0
    if (!this.filters.takesAddress(header) || (tagged && !this.filters.takesVlan(tag & 0xfff))) {
      this.count(V_RX_FILTERED, 1)
      return true
    }
    if (length + FCS_BYTES > u32[(block + V_MAX_FRAME) >> 2]!) {
      this.count(V_RX_TOO_LONG, 1)
      this.refusal = DropReason.receiveBufferTooSmall
      return false
    }
    const bytes = tagged ? length - TAG_BYTES : length
    const split = Math.min(this.headerBytes, bytes)
    const needed = Math.max(1, Math.ceil((bytes - split) / this.packetBytes))
    if (needed > this.free) {
      this.count(V_RX_NO_DESCRIPTOR, 1)
      this.refusal = DropReason.receiveBufferFull
      return false
    }
    const status = (tagged ? RX_VLAN_STRIPPED : 0) | this.checksumStatus(slot, flags)
    const kernels = (flags & PF_FOREIGN) !== 0 ? this.any : this.linear
    let at = ring.head
    for (let done = 0, k = 0; k < needed; k++) {
      const inHeader = k === 0 ? split : 0
      const inPacket = Math.min(this.packetBytes, bytes - done - inHeader)
      if (!this.fill(kernels, slot, at, done, inHeader, inPacket, tagged)) {
        this.refusal = DropReason.receiveBufferBad
        this.free = 0
        return ring.fail(Fault.buffer)
      }
      done += inHeader + inPacket
      this.handOver(at, inHeader, inPacket, tag, status | RX_DONE | (k === needed - 1 ? RX_EOP : 0))
      at = at + 1 === ring.size ? 0 : at + 1
    }
    ring.head = at
    this.free -= needed
    this.count(VFGPRC, 1)
    this.count(VFGORC, length)
    if ((flags & PF_MULTICAST) !== 0) this.count(VFMPRC, 1)
    return true
  }

  /** Copies the frame's next bytes into the buffers of descriptor `at`. Returns false if they are not the guest's to be written. */
  private fill(
    kernels: Kernels,
    slot: number,
    at: number,
    from: number,
    inHeader: number,
    inPacket: number,
    tagged: boolean,
  ): boolean {
    const { words, first, table } = this.ring
    const d = first + at * 4
    const low = words[d]!
    const high = words[d + 1]!
    if (inHeader > 0) {
      if (!table.find(words[d + 2]!, words[d + 3]!, inHeader, true)) return false
      this.copy(kernels, slot, from, inHeader, table.address, tagged)
    }
    if (inPacket > 0) {
      if (!table.find(low, high, inPacket, true)) return false
      this.copy(kernels, slot, from + inHeader, inPacket, table.address, tagged)
    }
    return true
  }

  /** Copies `bytes` from position `from` of the frame without its stripped tag. */
  private copy(kernels: Kernels, slot: number, from: number, bytes: number, target: number, tagged: boolean): void {
    if (!tagged) {
      kernels.copyFrame(this.pool, slot, from, bytes, target)
      return
    }
    const before = Math.max(0, Math.min(bytes, ADDRESSES_BYTES - from))
    if (before > 0) kernels.copyFrame(this.pool, slot, from, before, target)
    if (bytes > before) kernels.copyFrame(this.pool, slot, from + before + TAG_BYTES, bytes - before, target + before)
  }

  /** Writes descriptor `at` back, its status last. */
  private handOver(at: number, inHeader: number, inPacket: number, tag: number, status: number): void {
    const { words, first } = this.ring
    const d = first + at * 4
    if (this.type === RX_TYPE_LEGACY) {
      words[d + 2] = inPacket
      Atomics.store(words, d + 3, ((tag << 16) | status) >>> 0)
      return
    }
    words[d] = inHeader > 0 ? ((RX_SPLIT_HEADER | (inHeader << RX_SPLIT_LENGTH_SHIFT)) << 16) >>> 0 : 0
    words[d + 1] = 0
    words[d + 3] = ((tag << 16) | inPacket) >>> 0
    Atomics.store(words, d + 2, status)
  }

  /** Without these bits the guest sums by itself. */
  private checksumStatus(slot: number, flags: number): number {
    if ((flags & PF_DATA_VALID) === 0) return 0
    const protocol = this.u8[this.pool + P_PROTOCOL + slot]
    return protocol === PROTOCOL_TCP ? RX_TCP_CHECKSUM_GOOD : protocol === PROTOCOL_UDP ? RX_UDP_CHECKSUM_GOOD : 0
  }

  private count(counter: number, by: number): void {
    const at = (this.block + counter) >> 2
    this.u32[at] = this.u32[at]! + by
  }
}
