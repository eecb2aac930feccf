// Takes frames out of the transmit ring of a function into packet slots: context, data and legacy descriptors, VLAN insertion, and the
// requests for checksums and segmentation, which travel on as the packet's needs.
//
// The rule it must not break: a descriptor is read once; payload stays in the guest's memory, and the ring locked, until the burst is
// completed; what can't be done as asked is dropped with a reason, never sent half done.
import { Fault, V_CONTEXTS, V_DMA_FAULTS, V_RUN, V_TSO, V_TX_DROPPED, V_TX_FAULT, V_TX_LOCK } from '../../adapter/igbvf/block.ts'
import type { Interrupts } from '../../adapter/igbvf/interrupts.ts'
import * as registers from '../../adapter/igbvf/registers.ts'
import type { Kernels } from '../../kernels/kernels.ts'
import * as layout from '../../kernels/layout.ts'
import { tryLockQueue, unlockQueue } from '../../virtio/queue-lock.ts'
import type { QueueContext } from '../endpoint.ts'
import { SlotFiller } from '../fill-slot.ts'
import { Ring } from './ring.ts'
import { type OffloadRequest, TransmitOffloads } from './transmit-offloads.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const {
  QUEUE_ENABLE,
  TDBAH,
  TDBAL,
  TDH,
  TDLEN,
  TDT,
  TX_CONTEXT_SHIFT,
  TX_CONTEXTS,
  TX_DONE,
  TX_EOP,
  TX_EXTENDED,
  TX_LENGTH,
  TX_RS,
  TX_TSO,
  TX_TYPE_CONTEXT,
  TX_TYPE_DATA,
  TX_TYPE_MASK,
  TX_VLAN,
  TXDCTL,
  VFGOTC,
  VFGPTC,
} = registers
const {
  DESCRIPTORS_MAX,
  FRAME_MAX,
  FRAME_MIN,
  HEADER_COPY,
  P_ADDRESS,
  P_FLAGS,
  P_HEADER_LENGTH,
  P_LENGTH,
  P_SEGMENT,
  P_SEGMENTS,
  REASON_BAD_CHAIN,
  REASON_BAD_OFFLOAD,
  REASON_RUNT,
  SEGMENTS_MAX,
} = layout

const LEAST_FRAME = 60 // the chip pads shorter ones
const ADDRESSES_BYTES = 12
const TAG_BYTES = 4
const CONTEXT_WORDS = 4

/** Ordinary fields: they are read per packet. */
export class TransmitRing {
  private readonly ring: Ring
  private readonly interrupts: Interrupts
  private readonly filler: SlotFiller
  private readonly kernels: Kernels
  private readonly offloads: TransmitOffloads
  private readonly request: OffloadRequest = { word2: 0, word3: 0, tagBytes: 0 }
  private readonly u8: Uint8Array
  private readonly u16: Uint16Array
  private readonly u32: Uint32Array
  private readonly i32: Int32Array
  private readonly pool: number
  private readonly block: number
  // The packet in work.
  private next = 0
  private pieces = 0
  private bytes = 0
  private bad = false

  constructor(block: number, port: number, context: QueueContext, interrupts: Interrupts) {
    const { memory, kernels, pool } = context
    this.block = block
    this.pool = pool
    this.interrupts = interrupts
    this.kernels = kernels.linear
    this.u8 = memory.u8
    this.u16 = new Uint16Array(memory.buffer, 0, memory.u8.length >> 1)
    this.u32 = memory.u32
    this.i32 = memory.i32
    this.filler = new SlotFiller(memory, kernels.linear, pool, port)
    this.offloads = new TransmitOffloads(this.filler, memory.u32, block)
    const places = { baseLow: TDBAL, baseHigh: TDBAH, length: TDLEN, head: TDH, tail: TDT, fault: V_TX_FAULT }
    this.ring = new Ring(memory, block, places)
  }

  /** Whether frames wait. Costs two reads. */
  get hasWork(): boolean {
    const { u32, block } = this
    return u32[(block + TDT) >> 2] !== u32[(block + TDH) >> 2] && this.isOn && u32[(block + V_TX_FAULT) >> 2] === Fault.none
  }

  private get isOn(): boolean {
    const { u32, block } = this
    return u32[(block + V_RUN) >> 2] === 1 && (u32[(block + TXDCTL) >> 2]! & QUEUE_ENABLE) !== 0
  }

  /** EndpointQueue.receive: the lock stays held if it returns more than 0. */
  take(first: number, max: number): number {
    // The control half may hold the lock; then there is nothing for now.
    if (!this.hasWork || !tryLockQueue(this.i32, this.block + V_TX_LOCK)) return 0
    const count = this.isOn && this.ring.load() ? this.takeLocked(first, max) : 0
    if (count === 0) unlockQueue(this.i32, this.block + V_TX_LOCK)
    return count
  }

  /** EndpointQueue.complete: gives the descriptors back, tells the driver, frees the lock. */
  complete(): void {
    this.giveBack()
    unlockQueue(this.i32, this.block + V_TX_LOCK)
  }

  /** Signals interrupts whose interval is over. Under the lock: the eventfds are the control half's. */
  evaluateInterrupts(): void {
    if (!tryLockQueue(this.i32, this.block + V_TX_LOCK)) return
    this.interrupts.evaluate()
    unlockQueue(this.i32, this.block + V_TX_LOCK)
  }

  private takeLocked(first: number, max: number): number {
    const { ring } = this
    this.next = ring.head
    let count = 0
    while (count < max && this.next !== ring.tail) {
      const found = this.gather(first + count)
      if (found < 0) break
      count += found
    }
    this.filler.finish(first, count)
    if (count === 0) this.giveBack() // contexts alone
    return count
  }

  /** Collects one packet. Returns 1, 0 if there were context descriptors only, -1 if its end has not been written yet. */
  private gather(slot: number): number {
    const { ring, request } = this
    const { words, first, size, tail } = ring
    const segments = (this.pool + P_SEGMENT + slot * SEGMENTS_MAX * 8) >> 2
    let index = this.next
    let started = false
    this.pieces = 0
    this.bytes = 0
    this.bad = false
    for (let n = 0; index !== tail; n++) {
      if (n === DESCRIPTORS_MAX) {
        ring.fail(Fault.chain)
        return -1
      }
      const d = first + index * 4
      const low = words[d]!
      const high = words[d + 1]!
      const command = words[d + 2]!
      const options = words[d + 3]!
      index = index + 1 === size ? 0 : index + 1
      if ((command & TX_EXTENDED) !== 0 && (command & TX_TYPE_MASK) !== TX_TYPE_DATA) {
        if ((command & TX_TYPE_MASK) === TX_TYPE_CONTEXT && !started) this.keepContext(low, high, command, options)
        else this.bad = true
        if (!started) {
          this.next = index
          continue
        }
      } else if (!started) {
        started = true
        request.word2 = command
        request.word3 = options
      }
      this.addPiece(segments, low, high, command & TX_LENGTH)
      if ((command & TX_EOP) === 0) continue
      this.next = index
      this.describe(slot)
      return 1
    }
    return started ? -1 : 0
  }

  private keepContext(word0: number, word1: number, word2: number, word3: number): void {
    const index = (word3 >>> TX_CONTEXT_SHIFT) & (TX_CONTEXTS - 1)
    const at = ((this.block + V_CONTEXTS) >> 2) + index * CONTEXT_WORDS
    this.u32[at] = word0
    this.u32[at + 1] = word1
    this.u32[at + 2] = word2
    this.u32[at + 3] = word3
  }

  private addPiece(segments: number, low: number, high: number, bytes: number): void {
    if (bytes === 0 || this.bad) return
    const { table } = this.ring
    if (this.bytes + bytes > FRAME_MAX) {
      this.bad = true
      return
    }
    if (!table.find(low, high, bytes, false)) {
      this.bad = true
      this.count(V_DMA_FAULTS, 1) // PD-17: what an IOMMU would have refused
      return
    }
    const { u32 } = this
    const last = segments + (this.pieces - 1) * 2
    if (this.pieces > 0 && u32[last]! + u32[last + 1]! === table.address) u32[last + 1] = u32[last + 1]! + bytes
    else if (this.pieces === SEGMENTS_MAX) this.bad = true
    else {
      u32[segments + this.pieces * 2] = table.address
      u32[segments + this.pieces * 2 + 1] = bytes
      this.pieces++
    }
    this.bytes += bytes
  }

  /** Makes a slot of the packet collected: header copy, tag, remaining pieces, requests. */
  private describe(slot: number): void {
    const { filler, request, u8, bytes } = this
    const tagBytes = (request.word2 & TX_VLAN) !== 0 ? TAG_BYTES : 0
    filler.clearVnet(slot)
    if (this.bad || bytes < FRAME_MIN || bytes + tagBytes > FRAME_MAX) {
      filler.describe(slot, FRAME_MIN, 0)
      filler.drop(slot, this.bad ? REASON_BAD_CHAIN : bytes < FRAME_MIN ? REASON_RUNT : REASON_BAD_CHAIN)
      this.count(V_TX_DROPPED, 1)
      return
    }
    const header = filler.headerAddress(slot)
    const copied = Math.min(bytes, HEADER_COPY - tagBytes)
    this.copyHeader(slot, copied, header + tagBytes)
    if (tagBytes > 0) {
      for (let i = 0; i < ADDRESSES_BYTES; i++) u8[header + i] = u8[header + TAG_BYTES + i]!
      const tag = this.offloads.tagOf(request.word2, request.word3)
      u8[header + 12] = 0x81
      u8[header + 13] = 0
      u8[header + 14] = tag >>> 8
      u8[header + 15] = tag & 0xff
    }
    let length = bytes + tagBytes
    if (length < LEAST_FRAME) {
      u8.fill(0, header + length, header + LEAST_FRAME)
      length = LEAST_FRAME
    }
    filler.describe(slot, length, 0)
    if (length > HEADER_COPY) this.keepRest(slot, copied)
    request.tagBytes = tagBytes
    if (!this.offloads.apply(slot, length, request)) {
      filler.drop(slot, REASON_BAD_OFFLOAD)
      this.count(V_TX_DROPPED, 1)
      return
    }
    if ((request.word2 & TX_EXTENDED) !== 0 && (request.word2 & TX_TSO) !== 0) this.count(V_TSO, 1)
    this.count(VFGPTC, 1)
    this.count(VFGOTC, length)
  }

  /** Copies the first bytes of the pieces to linear address `target`, once: what policy reads is what is sent. */
  private copyHeader(slot: number, bytes: number, target: number): void {
    const { u8, u16, u32, pool } = this
    u32[((pool + P_LENGTH) >> 2) + slot] = this.bytes
    u32[((pool + P_FLAGS) >> 2) + slot] = 0
    u16[((pool + P_HEADER_LENGTH) >> 1) + slot] = 0
    u8[pool + P_SEGMENTS + slot] = this.pieces
    u32[((pool + P_ADDRESS) >> 2) + slot] = u32[(pool + P_SEGMENT + slot * SEGMENTS_MAX * 8) >> 2]!
    this.kernels.copyFrame(pool, slot, 0, bytes, target)
  }

  /** Leaves the pieces behind the first `skip` bytes as the packet's payload. */
  private keepRest(slot: number, skip: number): void {
    const { u8, u32, pool } = this
    const segments = (pool + P_SEGMENT + slot * SEGMENTS_MAX * 8) >> 2
    let k = 0
    while (skip >= u32[segments + k * 2 + 1]!) {
      skip -= u32[segments + k * 2 + 1]!
      k++
    }
    const count = this.pieces - k
    for (let i = 0; i < count; i++) {
      u32[segments + i * 2] = u32[segments + (k + i) * 2]!
      u32[segments + i * 2 + 1] = u32[segments + (k + i) * 2 + 1]!
    }
    u32[segments] = u32[segments]! + skip
    u32[segments + 1] = u32[segments + 1]! - skip
    u8[pool + P_SEGMENTS + slot] = count
    u32[((pool + P_ADDRESS) >> 2) + slot] = u32[segments]!
  }

  /** Marks the descriptors from head to `next` as done, where the driver asked for that. */
  private giveBack(): void {
    const { ring, next } = this
    const { words, first, size } = ring
    let reported = false
    const finished = next >= ring.head ? next - ring.head : next - ring.head + size
    for (let index = ring.head; index !== next; index = index + 1 === size ? 0 : index + 1) {
      const d = first + index * 4
      if ((words[d + 2]! & TX_RS) === 0) continue
      Atomics.store(words, d + 3, TX_DONE)
      reported = true
    }
    ring.head = next
    ring.storeHead(next)
    if (reported) this.interrupts.transmitted(finished, size)
  }

  private count(counter: number, by: number): void {
    const at = (this.block + counter) >> 2
    this.u32[at] = this.u32[at]! + by
  }
}
