// How packets come into the switch's data path: each gets its number, those of a port that lets nothing in are dropped, and what the
// stages after need to know of the burst as a whole is summed up. Packets are slots 0…n-1 that a queue has filled, or slots of any
// numbers that another data path of the same processor took in.
//
// The rule it must not break: it runs once per packet, and allocates nothing.
import * as layout from '../kernels/layout.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import type { PacketPool } from '../ndis/pool.ts'
import type { PortTable } from './port-table.ts'
import type { ShortCut } from './short-cut.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { PF_DROPPED, PF_GROWN, PF_MULTICAST, PF_REPORTED } = layout
const { sourceNotConnected } = DropReason

export interface AdmissionOwner {
  /** Drops the packet in `slot`, which came in at `port`. */
  lose(slot: number, reason: number, port: number): void
  /** Counts a packet that came in at `port` and was dropped before. */
  filtered(slot: number, reason: number, port: number, incoming: boolean): void
}

/** One processor's. Fields are ordinary ones: they are read per burst. */
export class BurstAdmission {
  private readonly pool: PacketPool
  private readonly ports: PortTable
  private readonly slots: Uint16Array
  private readonly list: number
  private readonly owner: AdmissionOwner
  /** Packets admitted: their slots stand in the batch's list. */
  count = 0
  bytes = 0
  multicasts = 0
  /** OR of the offload needs and of the flags of the packets admitted. */
  needs = 0
  flags = 0
  /** Bytes of the longest frame. */
  longest = 0

  /** `slots`, at linear address `list`, is the batch's list. */
  constructor(pool: PacketPool, ports: PortTable, slots: Uint16Array, list: number, owner: AdmissionOwner) {
    this.pool = pool
    this.ports = ports
    this.slots = slots
    this.list = list
    this.owner = owner
  }

  /** Slots 0…taken-1 came from a queue of `port`. With a `shortCut`, by its kernel. */
  burst(taken: number, port: number, shortCut: ShortCut | undefined): void {
    const { pool } = this
    const admitted = this.ports.admits(port)
    const subnet = this.ports.subnet(port)
    if (subnet !== 0) pool.vsid.fill(subnet, 0, taken) // ES-302
    if (shortCut === undefined || !admitted) {
      this.begin()
      for (let slot = 0; slot < taken; slot++) this.admit(slot, port, admitted)
    } else {
      this.count = shortCut.admit(taken, pool.nextPacketId, this.list)
      pool.nextPacketId = (pool.nextPacketId + taken) >>> 0
      this.bytes = shortCut.bytes
      this.multicasts = shortCut.multicasts
      this.needs = shortCut.needs
      this.flags = shortCut.seen
      this.longest = shortCut.longest
    }
    if (admitted && this.count < taken) this.countDropped(taken, port)
  }

  /** `count` packets, their slots in `list`, come in at `port` through its physical adapter `nicIndex`. */
  takeOver(list: Uint16Array, count: number, port: number, nicIndex: number): void {
    const { pool } = this
    const { flags, sourcePort, sourceNic, destinationCount, destinationRoom, vsid } = pool
    const admitted = this.ports.admits(port)
    const subnet = this.ports.subnet(port)
    this.begin()
    for (let i = 0; i < count; i++) {
      const slot = list[i]!
      flags[slot] = flags[slot]! & ~(PF_DROPPED | PF_GROWN | PF_REPORTED)
      sourcePort[slot] = port
      sourceNic[slot] = nicIndex // ES-300
      destinationCount[slot] = 0
      destinationRoom[slot] = 0
      vsid[slot] = subnet // ES-302
      this.admit(slot, port, admitted)
    }
  }

  private begin(): void {
    this.count = 0
    this.bytes = 0
    this.multicasts = 0
    this.needs = 0
    this.flags = 0
    this.longest = 0
  }

  private admit(slot: number, port: number, admitted: boolean): void {
    const { flags, length, packetId, needs } = this.pool
    packetId[slot] = this.pool.nextPacketId
    this.pool.nextPacketId = (this.pool.nextPacketId + 1) >>> 0
    if (!admitted && (flags[slot]! & PF_DROPPED) === 0) this.owner.lose(slot, sourceNotConnected, port)
    const kind = flags[slot]!
    if ((kind & PF_DROPPED) !== 0) return
    this.slots[this.count++] = slot
    this.bytes += length[slot]!
    this.longest = Math.max(this.longest, length[slot]!)
    this.flags |= kind
    this.needs |= needs[slot]!
    this.multicasts += (kind & PF_MULTICAST) >> 2
  }

  // Packets that the ring's kernel dropped.
  private countDropped(taken: number, port: number): void {
    const { flags, reason } = this.pool
    for (let slot = 0; slot < taken; slot++)
      if ((flags[slot]! & PF_DROPPED) !== 0) this.owner.filtered(slot, reason[slot]!, port, true)
  }
}
