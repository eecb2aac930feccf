// Delivery: the packets of a turn sorted by destination port, handed to each port's queue once. What a queue can't take over as
// metadata (checksums, segmentation) is done in software here, just before.
//
// The rule it must not break: order within a port is kept, and every packet not taken is counted with the reason the queue gives.

import type { PacketKernels } from '../kernels/by-packet.ts'
import {
  BURST_SLOTS,
  DE_EXCLUDED,
  DE_PORT,
  OFFLOAD_CHECKSUM,
  OFFLOAD_ECN,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  OFFLOAD_TUNNEL,
  OFFLOAD_USO,
  PF_FRAGMENT,
  S_FILL,
  S_LIST_BYTES,
  S_LISTS,
  S_TOUCHED,
} from '../kernels/layout.ts'
import type { Batch } from '../ndis/batch.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import { type PacketPool, SCRATCH_FIRST, SCRATCH_SLOTS } from '../ndis/pool.ts'
import type { DeliveryLimits } from './bandwidth/delivery-limits.ts'
import { type Counters, PortCounter } from './counters.ts'
import type { DeliveryForms } from './delivery-forms.ts'
import type { DropNotes } from './drop-log.ts'
import { segmentTunnel } from './overlay/tunnel-segments.ts'
import type { TeamSender } from './team/team-sender.ts'

const SEGMENTATION = OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO | OFFLOAD_ECN
/** Queue pairs of one port that delivery spreads flows over. */
export const QUEUES_MAX = 16
/** Queues of all physical adapters of an external port together. */
const TEAM_QUEUES_MAX = 64
// In place of a NIC index where no member of a team is up.
const NO_MEMBER = 255

/** The sending side of an endpoint's queue: see endpoints/endpoint.ts. */
export interface SinkQueue {
  readonly offloads: number
  deliver(list: number, count: number): number
  readonly refusal: number
  /** Whether the other side has taken all that was delivered; false where that can't be told. Without it: delivered is taken. */
  drained?(): boolean
}

/** Chooses among the queues of a port. */
export interface QueueChoice {
  /** Writes to `chosen`, for each of `count` packets whose slots stand in `lists` from `first` on, the index of its queue. */
  choose(lists: Uint16Array, first: number, count: number, queues: readonly SinkQueue[], chosen: Uint8Array): void
}

/** What delivery works with. */
export interface DeliveryComponents {
  readonly pool: PacketPool
  readonly kernels: PacketKernels
  readonly counters: Counters
  readonly reasonName: (reason: number) => string
}

/** Bytes of list memory for port ids below `ports`. */
export const deliveryListBytes = (ports: number): number => {
  const lists = ports + TEAM_QUEUES_MAX
  return (lists + 1) * BURST_SLOTS * 2 + lists * (2 + 4 + 2) + 3 * 64
}

const aligned = (at: number): number => Math.ceil(at / 64) * 64

/** Fields are ordinary ones: `add` runs per packet and destination. */
export class Delivery {
  private readonly pool: PacketPool
  private readonly kernels: PacketKernels
  private readonly counters: Counters
  /** The name of a drop reason. */
  readonly reasonName: (reason: number) => string
  private readonly lists: Uint16Array
  private readonly listsAt: number
  private readonly fill: Uint16Array
  private readonly bytes: Uint32Array
  private readonly touched: Uint16Array
  private touchedCount = 0
  /** Packets of the list in work that software could not finish. */
  private unfinished = 0
  private readonly queues: (readonly SinkQueue[])[]
  // Queues of the physical adapters of an external port, by NIC index, where there are any.
  private readonly teams: (readonly (readonly SinkQueue[])[] | undefined)[]
  private readonly flat: SinkQueue[] = new Array(TEAM_QUEUES_MAX)
  private readonly choices: (QueueChoice | undefined)[]
  private readonly chosen = new Uint8Array(BURST_SLOTS)
  /** What makes packets fit their destinations; set by the data path. */
  forms: DeliveryForms | undefined
  /** Chooses members of the switch's team; set by the data path. */
  balance: TeamSender | undefined
  /** What ports may get, and their shares of the uplink; set by the engine. */
  limits: Pick<DeliveryLimits, 'concerns' | 'apply' | 'bytes' | 'dropped' | 'droppedSlot'> | undefined
  /** Keeps the last drops with their frames; set by the engine. */
  drops: DropNotes | undefined
  private readonly spreadFirst: number
  private readonly scratch: Uint16Array
  private readonly scratchAt: number
  private readonly fillAt: number
  private readonly bytesAt: number
  private readonly touchedAt: number

  /** `listsAt`: linear address of deliveryListBytes(ports) bytes. */
  constructor(buffer: ArrayBufferLike, listsAt: number, ports: number, components: DeliveryComponents) {
    this.pool = components.pool
    this.kernels = components.kernels
    this.counters = components.counters
    this.reasonName = components.reasonName
    this.listsAt = listsAt
    this.lists = new Uint16Array(buffer, listsAt, (ports + TEAM_QUEUES_MAX) * BURST_SLOTS)
    this.scratchAt = listsAt + (ports + TEAM_QUEUES_MAX) * BURST_SLOTS * 2
    this.scratch = new Uint16Array(buffer, this.scratchAt, BURST_SLOTS)
    const all = ports + TEAM_QUEUES_MAX
    this.fillAt = aligned(this.scratchAt + BURST_SLOTS * 2)
    this.bytesAt = aligned(this.fillAt + all * 2)
    this.touchedAt = aligned(this.bytesAt + all * 4)
    this.fill = new Uint16Array(buffer, this.fillAt, all)
    this.bytes = new Uint32Array(buffer, this.bytesAt, all)
    this.touched = new Uint16Array(buffer, this.touchedAt, all)
    this.queues = Array.from({ length: ports }, () => [])
    this.teams = new Array(ports).fill(undefined)
    this.choices = new Array(ports).fill(undefined)
    this.spreadFirst = ports
  }

  /**
   * Sets the queues that frames for `port` go to; none: they are dropped as not connected. `nicIndex` ≥ 1: those of one physical
   * adapter of an external port; all of them together have at most TEAM_QUEUES_MAX.
   */
  setQueues(port: number, queues: readonly SinkQueue[], nicIndex = 0): void {
    if (nicIndex === 0) {
      this.queues[port] = queues.slice(0, QUEUES_MAX)
      return
    }
    const team = [...(this.teams[port] ?? [])]
    for (let n = team.length; n <= nicIndex; n++) team.push([])
    team[nicIndex] = queues.slice(0, QUEUES_MAX)
    this.teams[port] = team.some((adapter) => adapter.length > 0) ? team : undefined
  }

  /** Who chooses where `port` has several queues; undefined: a hash of delivery's own. */
  setChoice(port: number, choice: QueueChoice | undefined): void {
    this.choices[port] = choice
  }

  /** True if `port` has a queue. */
  reaches(port: number): boolean {
    return this.queues[port]!.length > 0 || this.teams[port] !== undefined
  }

  /** Puts the packet in `slot` on the list of `port`. */
  add(port: number, slot: number, bytes: number): void {
    const { fill } = this
    const count = fill[port]!
    if (count === 0) this.touched[this.touchedCount++] = port
    else if (count >= BURST_SLOTS) {
      this.lose(port, DropReason.noResources, slot, 1)
      return
    }
    this.lists[port * BURST_SLOTS + count] = slot
    fill[port] = count + 1
    this.bytes[port] = this.bytes[port]! + bytes
  }

  /** Puts every packet of the batch on the list of each destination that is not excluded. */
  addAll(batch: Batch): void {
    const { slots } = batch
    const { destination, destinationCount, destinationRoom, destinationOffset, arena, length } = this.pool
    for (let i = 0; i < batch.length; i++) {
      const slot = slots[i]!
      if (destinationRoom[slot] === 0) {
        const entry = destination[slot]!
        if ((entry & DE_EXCLUDED) === 0) this.add(entry & DE_PORT, slot, length[slot]!)
        continue
      }
      const first = destinationOffset[slot]!
      const end = first + destinationCount[slot]!
      for (let k = first; k < end; k++) {
        const entry = arena[k]!
        if ((entry & DE_EXCLUDED) === 0) this.add(entry & DE_PORT, slot, length[slot]!)
      }
    }
  }

  /** Tells the switching kernels where the lists are; `block` views their block. */
  describeLists(block: Uint32Array): void {
    block[S_LISTS >> 2] = this.listsAt
    block[S_FILL >> 2] = this.fillAt
    block[S_LIST_BYTES >> 2] = this.bytesAt
    block[S_TOUCHED >> 2] = this.touchedAt
  }

  /** Takes over lists that the sorting kernel made: `ports` of them. */
  sorted(ports: number): void {
    this.touchedCount = ports
  }

  /** Empties all lists. */
  discard(): void {
    for (let t = 0; t < this.touchedCount; t++) {
      this.fill[this.touched[t]!] = 0
      this.bytes[this.touched[t]!] = 0
    }
    this.touchedCount = 0
  }

  /**
   * Delivers all lists. `seen`: the offload needs among the packets; `formed`: some have 802.1Q information, or are longer than some
   * port takes.
   */
  flush(seen: number, formed: boolean): void {
    for (let t = 0; t < this.touchedCount; t++) {
      const port = this.touched[t]!
      let count = this.fill[port]!
      let bytes = this.bytes[port]!
      this.fill[port] = 0
      this.bytes[port] = 0
      const queues = this.queues[port]!
      const { forms, limits } = this
      const team = this.teams[port]
      if (limits?.concerns(port)) {
        count = limits.apply(this.lists, port * BURST_SLOTS, count, port)
        bytes = limits.bytes
        if (limits.dropped !== 0) this.lose(port, DropReason.bandwidthLimit, limits.droppedSlot, limits.dropped)
      }
      if (formed && forms !== undefined) {
        count = forms.prepare(this.lists, port * BURST_SLOTS, count, port)
        bytes = forms.bytes
        if (forms.tooLong !== 0) {
          this.lose(port, DropReason.mtuExceeded, forms.tooLongSlot, forms.tooLong)
        }
      }
      if (count === 0) continue
      if (team !== undefined && forms !== undefined) this.toTeam(team, forms, port, count, seen)
      else if (queues.length === 1) this.toQueue(queues[0]!, port, port, count, bytes, seen)
      else if (queues.length === 0) {
        this.lose(port, DropReason.destinationNotConnected, this.lists[port * BURST_SLOTS]!, count)
      } else this.spread(queues, port, count, seen)
      if (formed && forms !== undefined) forms.undo()
    }
    this.touchedCount = 0
  }

  // Each packet to the adapter that its destination names; index 0 leaves the choice to the switch: flows are spread over all.
  private toTeam(team: readonly (readonly SinkQueue[])[], forms: DeliveryForms, port: number, count: number, seen: number): void {
    const { fill, lists, flat, balance } = this
    const balanced = balance?.begin(port) ?? false
    let filled = 0
    for (const adapter of team) for (const queue of adapter) if (filled < TEAM_QUEUES_MAX) flat[filled++] = queue
    for (let i = 0; i < count; i++) {
      const slot = lists[port * BURST_SLOTS + i]!
      let nic = forms.nicIndex(slot, port)
      if (nic === 0 && balanced) nic = balance!.choose(slot, this.flowHash(slot)) || NO_MEMBER
      const own = nic < team.length ? team[nic]! : []
      const choice = own.length > 0 ? own.length : nic === 0 ? filled : 0
      if (choice === 0) {
        this.lose(port, DropReason.destinationNotConnected, slot, 1)
        continue
      }
      let at = this.flowHash(slot) % choice
      if (own.length > 0) for (let n = 0; n < nic; n++) at += team[n]!.length
      if (at >= filled) at = 0
      const index = this.spreadFirst + at
      lists[index * BURST_SLOTS + fill[index]!] = slot
      fill[index] = fill[index]! + 1
    }
    this.deliverSpread(flat, filled, port, seen)
    if (balanced) balance!.end()
  }

  private toQueue(queue: SinkQueue, port: number, listIndex: number, count: number, bytes: number, seen: number): void {
    const list = this.listsAt + listIndex * BURST_SLOTS * 2
    const { counters } = this
    const whole = (seen & ~queue.offloads) === 0
    const taken = whole ? queue.deliver(list, count) : this.inSoftware(queue, listIndex, count)
    counters.port(port, PortCounter.sentFrames, taken)
    if (taken === count) {
      counters.port(port, PortCounter.sentBytes, bytes)
      return
    }
    counters.port(port, PortCounter.sentBytes, Math.round((bytes * taken) / count))
    const refused = count - taken - this.unfinished
    // A queue takes a list from its start: the first that it refused stands behind those, unless it got the list in parts.
    const first = whole && taken < count ? this.lists[listIndex * BURST_SLOTS + taken]! : -1
    this.lose(port, queue.refusal === 0 ? DropReason.receiveBufferFull : queue.refusal, first, refused)
    this.lose(port, DropReason.badOffload, -1, this.unfinished)
    this.unfinished = 0
  }

  // Counts `frames` that did not get to `port`, the first of them the one in `slot` (-1: not known).
  private lose(port: number, reason: number, slot: number, frames: number): void {
    this.counters.drop(port, reason, frames)
    this.counters.port(port, PortCounter.sendDropped, frames)
    this.drops?.note(this.pool, slot, reason, port, false, '', frames)
  }

  // Flows are spread over a port's queues; a flow stays on one queue, so its order is kept.
  private spread(queues: readonly SinkQueue[], port: number, count: number, seen: number): void {
    const { fill, lists } = this
    const first = this.spreadFirst
    const { length } = queues
    const { chosen } = this
    const choice = this.choices[port]
    choice?.choose(lists, port * BURST_SLOTS, count, queues, chosen)
    for (let i = 0; i < count; i++) {
      const slot = lists[port * BURST_SLOTS + i]!
      const index = first + ((choice === undefined ? this.flowHash(slot) : chosen[i]!) % length)
      lists[index * BURST_SLOTS + fill[index]!] = slot
      fill[index] = fill[index]! + 1
    }
    this.deliverSpread(queues, queues.length, port, seen)
  }

  private deliverSpread(queues: readonly SinkQueue[], used: number, port: number, seen: number): void {
    const { fill, lists, pool } = this
    for (let q = 0; q < used; q++) {
      const index = this.spreadFirst + q
      const filled = fill[index]!
      if (filled === 0) continue
      fill[index] = 0
      let bytes = 0
      for (let i = 0; i < filled; i++) bytes += pool.length[lists[index * BURST_SLOTS + i]!]!
      this.toQueue(queues[q]!, port, index, filled, bytes, seen)
    }
  }

  // Addresses and ports of IP packets, addresses of fragments (only a datagram's first one has ports), MAC addresses of others; 0…2^24.
  private flowHash(slot: number): number {
    const { pool } = this
    const at = slot * 256 + pool.headerOffset[slot]!
    const l3 = pool.l3[slot]!
    const from = pool.etherType[slot] === 0x0800 ? at + l3 + 12 : pool.etherType[slot] === 0x86dd ? at + l3 + 8 : at
    const length = pool.etherType[slot] === 0x0800 ? 8 : pool.etherType[slot] === 0x86dd ? 32 : 12
    let hash: number = pool.protocol[slot]!
    if ((pool.flags[slot]! & PF_FRAGMENT) === 0) hash ^= (pool.sourceL4[slot]! << 16) ^ pool.destinationL4[slot]!
    for (let i = 0; i < length; i++) hash = Math.imul(hash ^ pool.header8[from + i]!, 0x01000193)
    return (hash ^ (hash >>> 15)) & 0xffffff
  }

  // Does in software what the queue can't: sums checksums in place, cuts super-frames; in order. Returns the packets taken.
  private inSoftware(queue: SinkQueue, listIndex: number, count: number): number {
    const { pool, lists } = this
    const first = listIndex * BURST_SLOTS
    let taken = 0
    let start = 0
    for (let i = 0; i < count; i++) {
      const slot = lists[first + i]!
      const lacking = pool.needs[slot]! & ~queue.offloads
      if (lacking === 0) continue
      const tunnel = lacking & OFFLOAD_TUNNEL
      if ((lacking & SEGMENTATION) === 0 && tunnel === 0) {
        if ((lacking & ~OFFLOAD_CHECKSUM) === 0 && this.kernels.checksum(pool.base, slot) === 1) continue
        taken += this.part(queue, listIndex, start, i)
        start = i + 1
        this.unfinished++
        continue
      }
      taken += this.part(queue, listIndex, start, i)
      start = i + 1
      for (let k = 0; k < SCRATCH_SLOTS; k++) this.scratch[k] = SCRATCH_FIRST + k
      const pieces =
        tunnel === 0
          ? this.kernels.segment(pool.base, slot, this.scratchAt, SCRATCH_SLOTS)
          : segmentTunnel(pool, this.kernels, slot, this.scratchAt, SCRATCH_SLOTS)
      if (pieces === 0) {
        this.unfinished++
        continue
      }
      if (queue.deliver(this.scratchAt, pieces) === pieces) taken++
    }
    return taken + this.part(queue, listIndex, start, count)
  }

  private part(queue: SinkQueue, listIndex: number, start: number, end: number): number {
    return end > start ? queue.deliver(this.listsAt + (listIndex * BURST_SLOTS + start) * 2, end - start) : 0
  }
}
