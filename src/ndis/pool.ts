// The packet pool of one processor: structure of arrays in linear memory, as typed views. The kernels fill it, the data path and
// the extensions read it. Slots 0…BURST_MAX-1 hold the burst in work; SCRATCH… are for segments cut in software; HELD… are for
// packets that outlive a turn or that extensions made, whose bytes lie in the pool's own store of blocks.
//
// The rule it must not break: one processor owns a pool; nothing here allocates after construction.

import type { PacketKernels } from '../kernels/by-packet.ts'
import * as layout from '../kernels/layout.ts'
import { BlockStore, STORE_BLOCK, STORE_TOTAL_BYTES, stretchesOf } from './block-store.ts'
import { FreeSlots } from './free-slots.ts'
import { HeldArena } from './held-arena.ts'

// V8 folds constants of a module, not imported ones.
const {
  ARENA_ENTRIES,
  BURST_MAX,
  BURST_SLOTS,
  HEADER_START,
  HEADER_STRIDE,
  HELD_ARENA_ENTRIES,
  PF_DATA_VALID,
  PF_FOREIGN,
  PF_GROWN,
  PF_NATIVE_FORWARDING,
  PF_ORIGINATED,
  PF_OWNED,
  PF_SAFE,
  PF_TAGGED,
  PF_VLAN_OOB,
  POOL_BYTES,
  POOL_SLOTS,
  SEGMENTS_MAX,
  VNET_STRIDE,
} = layout

/** First slot of the segmentation scratch, and how many there are. */
export const SCRATCH_FIRST = BURST_MAX
export const SCRATCH_SLOTS = BURST_SLOTS - BURST_MAX
/** First slot of held and made packets. */
export const HELD_FIRST = BURST_SLOTS
/** Packets that modules can have at a time, on one processor. */
export const HELD_SLOTS = POOL_SLOTS - HELD_FIRST

const TCI_OFFSET = 14
const SEGMENT_PLACES: number = SEGMENTS_MAX
const VNET_WORDS = VNET_STRIDE / 4
/** Bytes to reserve for a pool with its store. */
export const POOL_TOTAL_BYTES = POOL_BYTES + STORE_TOTAL_BYTES

/** Views over one pool; fields are ordinary ones because they are read per packet. */
export class PacketPool {
  readonly base: number
  readonly header8: Uint8Array
  readonly header16: Uint16Array
  readonly header32: Uint32Array
  readonly address: Uint32Array
  readonly length: Uint32Array
  readonly flags: Uint32Array
  readonly head: Uint32Array
  readonly destination: Uint32Array
  readonly destinationOffset: Uint32Array
  readonly packetId: Uint32Array
  readonly vsid: Uint32Array
  readonly destinationCount: Uint16Array
  readonly destinationRoom: Uint16Array
  readonly etherType: Uint16Array
  readonly vlan: Uint16Array
  readonly sourceL4: Uint16Array
  readonly destinationL4: Uint16Array
  readonly sourcePort: Uint16Array
  readonly headerOffset: Uint16Array
  readonly headerLength: Uint16Array
  readonly window: Uint16Array
  readonly chain: Uint16Array
  readonly l3: Uint8Array
  readonly l4: Uint8Array
  readonly protocol: Uint8Array
  readonly segments: Uint8Array
  readonly sourceNic: Uint8Array
  readonly reason: Uint8Array
  readonly needs: Uint8Array
  readonly vnet: Uint8Array
  readonly vnet32: Uint32Array
  readonly segment: Uint32Array
  readonly arena: Uint32Array
  /** The payload of held slots. */
  readonly store: BlockStore
  /** Increased when a held slot is freed, so that a stale or forged handle is noticed. */
  readonly generation = new Uint16Array(POOL_SLOTS)
  /** Packet id of the packet that a held slot's packet is a clone of, 0 = none. */
  readonly parent: Uint32Array
  /** Where a dropped packet left the stack: index of the module, and LEFT_ON_EGRESS. */
  readonly leftAt: Uint16Array
  /**
   * NET_BUFFER_LIST_RECEIVE_QUEUE_ID: queue of a packet that an adapter received, or on which it is to be sent. Written where queues are
   * in use and nowhere else: of other packets it means nothing.
   */
  readonly receiveQueue: Uint16Array
  /** NET_BUFFER_SHARED_MEMORY of such a packet: handle of the memory that its bytes lie in (0 = none), and their offset there. */
  readonly sharedMemory: Uint32Array
  readonly sharedOffset = new Uint32Array(POOL_SLOTS)
  /**
   * NET_BUFFER_LIST_HASH_VALUE, _HASH_FUNCTION and _HASH_TYPE of a packet that a VPort with RSS received or sends; the latter two in one word,
   * 0 = no hash. `receiveQueue` is its VPort then. Written where RSS is in use and nowhere else: of other packets they mean nothing.
   */
  readonly hashValue = new Uint32Array(POOL_SLOTS)
  readonly hashInfo: Uint16Array
  arenaUsed = 0
  nextPacketId = 1
  private readonly heldArena: HeldArena
  // Blocks on their way to a packet.
  private readonly places = new Uint32Array(SEGMENTS_MAX)
  // Burst slots whose payload was copied into blocks of the store in this turn.
  private readonly safeSlots = new Uint16Array(BURST_SLOTS)
  private safeCount = 0
  // The array that `copyHeader` last wrote to, and a view of it: callers reuse one buffer.
  private copyTarget: Uint8Array = new Uint8Array(0)
  private copyView: DataView = new DataView(this.copyTarget.buffer)
  /** Slots of packets to be copied, and those of their copies: lists that kernels read. */
  readonly originals: Uint16Array
  readonly copies: Uint16Array
  /** What `describeRun` found: RUN_BYTES in words. */
  readonly run: Uint32Array
  /** Held slots that are nobody's. */
  readonly free = new FreeSlots(HELD_FIRST, POOL_SLOTS)
  readonly kernels: PacketKernels

  /** Views a pool of POOL_TOTAL_BYTES at linear address `base`, zeroed by the caller. `kernels` must serve any memory. */
  constructor(buffer: ArrayBufferLike, base: number, kernels: PacketKernels) {
    const n = POOL_SLOTS
    this.base = base
    this.kernels = kernels
    this.header8 = new Uint8Array(buffer, base + layout.P_HEADER, n * HEADER_STRIDE)
    this.header16 = new Uint16Array(buffer, base + layout.P_HEADER, (n * HEADER_STRIDE) >> 1)
    this.header32 = new Uint32Array(buffer, base + layout.P_HEADER, (n * HEADER_STRIDE) >> 2)
    this.address = new Uint32Array(buffer, base + layout.P_ADDRESS, n)
    this.length = new Uint32Array(buffer, base + layout.P_LENGTH, n)
    this.flags = new Uint32Array(buffer, base + layout.P_FLAGS, n)
    this.head = new Uint32Array(buffer, base + layout.P_HEAD, n)
    this.destination = new Uint32Array(buffer, base + layout.P_DESTINATION, n)
    this.destinationOffset = new Uint32Array(buffer, base + layout.P_DESTINATION_OFFSET, n)
    this.packetId = new Uint32Array(buffer, base + layout.P_PACKET_ID, n)
    this.vsid = new Uint32Array(buffer, base + layout.P_VSID, n)
    this.destinationCount = new Uint16Array(buffer, base + layout.P_DESTINATION_COUNT, n)
    this.destinationRoom = new Uint16Array(buffer, base + layout.P_DESTINATION_ROOM, n)
    this.etherType = new Uint16Array(buffer, base + layout.P_ETHER_TYPE, n)
    this.vlan = new Uint16Array(buffer, base + layout.P_VLAN, n)
    this.sourceL4 = new Uint16Array(buffer, base + layout.P_SOURCE_L4, n)
    this.destinationL4 = new Uint16Array(buffer, base + layout.P_DESTINATION_L4, n)
    this.sourcePort = new Uint16Array(buffer, base + layout.P_SOURCE_PORT, n)
    this.headerOffset = new Uint16Array(buffer, base + layout.P_HEADER_OFFSET, n)
    this.headerLength = new Uint16Array(buffer, base + layout.P_HEADER_LENGTH, n)
    this.window = new Uint16Array(buffer, base + layout.P_WINDOW, n)
    this.chain = new Uint16Array(buffer, base + layout.P_CHAIN, n)
    this.receiveQueue = new Uint16Array(buffer, base + layout.P_RECEIVE_QUEUE, n)
    this.l3 = new Uint8Array(buffer, base + layout.P_L3, n)
    this.l4 = new Uint8Array(buffer, base + layout.P_L4, n)
    this.protocol = new Uint8Array(buffer, base + layout.P_PROTOCOL, n)
    this.segments = new Uint8Array(buffer, base + layout.P_SEGMENTS, n)
    this.sourceNic = new Uint8Array(buffer, base + layout.P_SOURCE_NIC, n)
    this.reason = new Uint8Array(buffer, base + layout.P_REASON, n)
    this.needs = new Uint8Array(buffer, base + layout.P_NEEDS, n)
    this.vnet = new Uint8Array(buffer, base + layout.P_VNET, n * VNET_STRIDE)
    this.vnet32 = new Uint32Array(buffer, base + layout.P_VNET, n * VNET_WORDS)
    this.segment = new Uint32Array(buffer, base + layout.P_SEGMENT, n * SEGMENTS_MAX * 2)
    this.arena = new Uint32Array(buffer, base + layout.P_ARENA, ARENA_ENTRIES + HELD_ARENA_ENTRIES)
    this.parent = new Uint32Array(buffer, base + layout.P_PARENT, n)
    this.sharedMemory = new Uint32Array(buffer, base + layout.P_SHARED_MEMORY, n)
    this.leftAt = new Uint16Array(buffer, base + layout.P_LEFT_AT, n)
    this.hashInfo = new Uint16Array(buffer, base + layout.P_HASH_INFO, n)
    this.originals = new Uint16Array(buffer, base + layout.P_ORIGINALS, BURST_MAX)
    this.copies = new Uint16Array(buffer, base + layout.P_COPIES, BURST_MAX)
    this.run = new Uint32Array(buffer, base + layout.P_RUN, layout.RUN_BYTES >> 2)
    this.heldArena = new HeldArena(this.arena, ARENA_ENTRIES, HELD_ARENA_ENTRIES)
    this.store = new BlockStore(buffer, base + POOL_BYTES)
  }

  /** Held slots not in use. */
  get freeSlots(): number {
    return this.free.count
  }

  /** Store blocks not in use. */
  get freeBlocks(): number {
    return this.store.count
  }

  /**
   * A held slot with room for `length` bytes (header part in the header area, the rest in the store), flagged owned, safe and
   * originated, source 0, no destinations. Returns the slot, or -1 if slots or blocks ran out. Allocates nothing.
   */
  take(length: number, headerLength: number): number {
    const payload = length - headerLength
    const stretches = stretchesOf(payload)
    if (this.free.count === 0 || !this.store.hasRoom(payload) || stretches > SEGMENTS_MAX) return -1
    const slot = this.free.take()
    this.length[slot] = length
    this.headerLength[slot] = headerLength
    this.headerOffset[slot] = HEADER_START
    this.flags[slot] = PF_OWNED | PF_SAFE | PF_ORIGINATED
    this.segments[slot] = stretches
    this.sourcePort[slot] = 0
    this.sourceNic[slot] = 0
    this.vsid[slot] = 0
    this.reason[slot] = 0
    this.needs[slot] = 0
    this.destinationCount[slot] = 0
    this.destinationRoom[slot] = 0
    this.parent[slot] = 0
    this.leftAt[slot] = 0
    this.receiveQueue[slot] = 0
    this.sharedMemory[slot] = 0
    this.hashInfo[slot] = 0
    this.packetId[slot] = this.nextPacketId >>> 0
    this.nextPacketId = (this.nextPacketId + 1) >>> 0
    const vnet = slot * VNET_WORDS
    for (let word = 0; word < VNET_WORDS; word++) this.vnet32[vnet + word] = 0
    this.reserve(slot, payload)
    return slot
  }

  /** Finds room for the `payload` bytes of the packet in held slot `slot`. Call only while there is some. */
  reserve(slot: number, payload: number): void {
    const stretches = stretchesOf(payload)
    for (let i = 0; i < stretches; i++) this.places[i] = this.store.place(slot, Math.min(payload - i * STORE_BLOCK, STORE_BLOCK))
    this.setSegments(slot, payload, stretches)
  }

  // The payload of a slot stands in the first `stretches` of `places`. A single one is known by `address` alone.
  private setSegments(slot: number, payload: number, stretches: number): void {
    const { places, segment } = this
    this.segments[slot] = stretches
    if (stretches > 0) this.address[slot] = places[0]!
    if (stretches <= 1) return
    for (let i = 0, at = (slot * SEGMENT_PLACES) << 1; i < stretches; i++, at += 2) {
      segment[at] = places[i]!
      segment[at + 1] = Math.min(payload - i * STORE_BLOCK, STORE_BLOCK)
    }
  }

  /** Linear address of stretch `k` of a packet's payload, below `segments`. */
  stretchAt(slot: number, k: number): number {
    return this.segments[slot] === 1 ? this.address[slot]! : this.segment[(slot * SEGMENT_PLACES + k) << 1]!
  }

  /** Its bytes. */
  stretchBytes(slot: number, k: number): number {
    return this.segments[slot] === 1
      ? this.length[slot]! - this.headerLength[slot]!
      : this.segment[((slot * SEGMENT_PLACES + k) << 1) + 1]!
  }

  /** Writes a byte of a frame that lies in the store, behind its header copy. False if there is no such byte. */
  setPayload8(slot: number, offset: number, value: number): boolean {
    if ((this.flags[slot]! & (PF_OWNED | PF_SAFE)) !== (PF_OWNED | PF_SAFE)) return false
    if (!(Number.isInteger(offset) && offset >= this.headerLength[slot]! && offset < this.length[slot]!)) return false
    const from = offset - this.headerLength[slot]!
    const at = this.stretchAt(slot, Math.floor(from / STORE_BLOCK)) - this.store.base + (from % STORE_BLOCK)
    if (!(at >= 0 && at < this.store.bytes.length)) return false
    this.store.bytes[at] = value
    return true
  }

  /** Sets the TCI of a packet: in the tag that its frame carries, else out of band. */
  setTag(slot: number, tci: number): void {
    this.vlan[slot] = tci
    if ((this.flags[slot]! & PF_TAGGED) === 0) {
      this.flags[slot] = this.flags[slot]! | PF_VLAN_OOB
      return
    }
    const at = slot * HEADER_STRIDE + this.headerOffset[slot]! + TCI_OFFSET
    this.header8[at] = tci >> 8
    this.header8[at + 1] = tci & 0xff
  }

  /** Gives a held slot, its blocks and its destination array back; its handle becomes stale. */
  give(slot: number): void {
    this.giveBlocks(slot)
    this.forgetDestinations(slot)
    this.flags[slot] = 0
    this.generation[slot] = this.generation[slot]! + 1
    this.free.give(slot)
  }

  /** `give` for the first `count` of `slots`. */
  giveAll(slots: Uint16Array, count: number): void {
    const { segments, destinationRoom, generation, flags } = this
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      if (segments[slot] !== 0) this.giveBlocks(slot)
      if (destinationRoom[slot] !== 0) this.forgetDestinations(slot)
      flags[slot] = 0
      generation[slot] = generation[slot]! + 1
    }
    this.free.giveAll(slots, count)
  }

  /**
   * `give` for `count` slots from `first` on that are under one handle, that of the first: only that one becomes stale, there is no other.
   */
  giveSpan(first: number, count: number): void {
    const { kernels, segments, destinationRoom, generation, flags } = this
    if (kernels.clearSpan?.(this.base, first, count) !== 1)
      for (let slot = first; slot < first + count; slot++) {
        if (segments[slot] !== 0) this.giveBlocks(slot)
        if (destinationRoom[slot] !== 0) this.forgetDestinations(slot)
        flags[slot] = 0
      }
    generation[first] = generation[first]! + 1
    this.free.giveSpan(first, count)
  }

  /** Empties the destination array of a held slot and gives its room back. */
  forgetDestinations(slot: number): void {
    const room = this.destinationRoom[slot]!
    if (room !== 0) this.heldArena.give(this.destinationOffset[slot]!, room)
    this.destinationRoom[slot] = 0
    this.destinationCount[slot] = 0
    this.flags[slot] = this.flags[slot]! & ~PF_GROWN
  }

  private giveBlocks(slot: number): void {
    const { store, segments } = this
    const stretches = segments[slot]!
    for (let i = 0; i < stretches; i++) store.give(this.stretchAt(slot, i))
    segments[slot] = 0
  }

  /**
   * Copies the payload of a packet into the store, so that no guest can change any byte of it: IsPacketDataSafe. A burst slot keeps it
   * until `forgetSafe`. False without room. Allocates nothing. ES-399
   */
  makeSafe(slot: number): boolean {
    if ((this.flags[slot]! & PF_SAFE) !== 0) return true
    const header = this.headerLength[slot]!
    const payload = this.length[slot]! - header
    const stretches = stretchesOf(payload)
    if (!this.store.hasRoom(payload) || stretches > SEGMENTS_MAX) return false
    // Copied before the slot's own segments are overwritten.
    const { places } = this
    let from = header
    for (let i = 0; i < stretches; i++) {
      const length = Math.min(this.length[slot]! - from, STORE_BLOCK)
      places[i] = this.store.place(slot, length)
      if (this.kernels.copyFrame(this.base, slot, from, length, places[i]!) !== length) {
        for (let k = 0; k <= i; k++) this.store.give(places[k]!)
        return false
      }
      from += length
    }
    this.setSegments(slot, payload, stretches)
    this.flags[slot] = (this.flags[slot]! & ~PF_FOREIGN) | PF_OWNED | PF_SAFE
    if (slot < HELD_FIRST && stretches > 0) this.safeSlots[this.safeCount++] = slot
    return true
  }

  /** The turn is over: blocks that burst slots took are free again. */
  forgetSafe(): void {
    while (this.safeCount > 0) {
      const slot = this.safeSlots[--this.safeCount]!
      this.giveBlocks(slot)
      this.flags[slot] = this.flags[slot]! & ~(PF_OWNED | PF_SAFE)
    }
  }

  /**
   * Copies up to `length` bytes of the header copy of `slot`, from offset `from` of the frame (within the copy), to `target[at…]`,
   * which has room. Returns how many. Allocates nothing while `target` stays the same.
   */
  copyHeader(slot: number, from: number, length: number, target: Uint8Array, at: number): number {
    const count = Math.min(length, this.headerLength[slot]! - from)
    const header = slot * HEADER_STRIDE + this.headerOffset[slot]! + from
    let copied = 0
    if ((header & 3) === 0 && count >= 4) {
      if (target !== this.copyTarget) {
        this.copyTarget = target
        this.copyView = new DataView(target.buffer, target.byteOffset, target.byteLength)
      }
      const words = this.header32
      const view = this.copyView
      for (; copied + 4 <= count; copied += 4) view.setUint32(at + copied, words[(header + copied) >> 2]!, true)
    }
    for (; copied < count; copied++) target[at + copied] = this.header8[header + copied]!
    return copied
  }

  /**
   * Copies source and out-of-band data of `from` to `to`: CopyNetBufferListInfo without destinations (ES-426). Checksum and
   * segmentation requests keep their form (ES-402).
   */
  copyInfo(to: number, from: number): void {
    this.sourcePort[to] = this.sourcePort[from]!
    this.sourceNic[to] = this.sourceNic[from]!
    this.needs[to] = this.needs[from]!
    this.vsid[to] = this.vsid[from]!
    this.receiveQueue[to] = this.receiveQueue[from]!
    const carried = PF_NATIVE_FORWARDING | PF_DATA_VALID | PF_VLAN_OOB
    if ((this.flags[from]! & PF_VLAN_OOB) !== 0) this.vlan[to] = this.vlan[from]!
    this.flags[to] = (this.flags[to]! & ~carried) | (this.flags[from]! & carried)
    for (let word = 0; word < VNET_WORDS; word++) this.vnet32[to * VNET_WORDS + word] = this.vnet32[from * VNET_WORDS + word]!
  }

  /**
   * Reserves an array of `room` destination entries for `slot` and keeps those it has (GrowNetBufferListDestinations): of a burst slot
   * until the turn is over, of a held one until it is given back. Returns false without room (NDIS_STATUS_RESOURCES, ES-417).
   */
  growDestinations(slot: number, room: number): boolean {
    const count = this.destinationCount[slot]!
    const had = this.destinationRoom[slot]!
    let at: number
    if (slot >= HELD_FIRST) {
      if (had !== 0 && this.heldArena.fits(had, room)) {
        this.emptyElements(this.destinationOffset[slot]!, count, room)
        this.destinationRoom[slot] = room
        this.flags[slot] = this.flags[slot]! | PF_GROWN
        return true
      }
      at = this.heldArena.take(room)
      if (at < 0) return false
    } else {
      if (this.arenaUsed + room > ARENA_ENTRIES) return false
      at = this.arenaUsed
      this.arenaUsed += room
    }
    if (had === 0) this.arena[at] = this.destination[slot]!
    else {
      const from = this.destinationOffset[slot]!
      this.arena.copyWithin(at, from, from + count)
      if (slot >= HELD_FIRST) this.heldArena.give(from, had)
    }
    this.emptyElements(at, count, room)
    this.destinationOffset[slot] = at
    this.destinationRoom[slot] = room
    this.flags[slot] = this.flags[slot]! | PF_GROWN
    return true
  }

  // What an earlier packet left there could be committed like something that was written: port 0 can't.
  private emptyElements(at: number, from: number, room: number): void {
    for (let k = from; k < room; k++) this.arena[at + k] = 0
  }
}

/** In `leftAt`: dropped on egress. */
export const LEFT_ON_EGRESS = 0x8000
/** In `leftAt`: dropped by the switch between ingress and egress. */
export const LEFT_AT_EDGE = 0x7fff
/** In `leftAt`: held, and not completed before its copy is. */
export const LEFT_TO_GO_ON = 0x7ffe
