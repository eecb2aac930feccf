// What one port's list of packets needs before it is delivered, when there is something to it: the 802.1Q form that each destination
// asked for, and the port's MTU. And to which physical adapter of a team each packet goes.
//
// The rule it must not break: it is asked for only when a packet of the turn has 802.1Q information or is longer than some port takes.
import * as layout from '../kernels/layout.ts'
import { destinationAt } from '../ndis/destinations.ts'
import type { PacketPool } from '../ndis/pool.ts'
import { PortFlag, type PortTable } from './port-table.ts'
import type { ShortCut } from './short-cut.ts'
import { TagEdit } from './tag-edit.ts'

const { DE_EXCLUDED, DE_MIRROR, DE_NIC_SHIFT, DE_PORT, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO, PF_TAGGED } = layout
const SUPER_FRAME = OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO
const ETHERNET_HEADER = 14
const TAG = 4

/** Fields are ordinary ones: it runs per delivery. */
export class DeliveryForms {
  private readonly pool: PacketPool
  private readonly ports: PortTable
  private readonly edit: TagEdit
  private readonly shortCut: ShortCut | undefined
  // The short cut has formed the packets in work.
  private byShortCut = false
  /** Packets that the last `prepare` took out: longer than the port's MTU allows. */
  tooLong = 0
  /** The first of them. */
  tooLongSlot = -1
  /** Bytes of the packets that the last `prepare` left. */
  bytes = 0

  constructor(pool: PacketPool, ports: PortTable, shortCut?: ShortCut) {
    this.shortCut = shortCut
    this.pool = pool
    this.ports = ports
    this.edit = new TagEdit(pool)
  }

  private entry(slot: number, port: number): number {
    const count = this.pool.destinationCount[slot]!
    for (let k = 0; k < count; k++) {
      const entry = destinationAt(this.pool, slot, k)
      if ((entry & (DE_PORT | DE_EXCLUDED)) === port) return entry
    }
    return port
  }

  /** NIC index under which the packet in `slot` goes to `port`. */
  nicIndex(slot: number, port: number): number {
    return (this.entry(slot, port) >>> DE_NIC_SHIFT) & 0xff
  }

  /**
   * Gives the `count` packets of `lists` from index `first` on the form for `port` and takes out those too long for it. Returns how
   * many are left; `undo` follows their delivery. Frames that will be cut into segments are not too long.
   */
  prepare(lists: Uint16Array, first: number, count: number, port: number): number {
    const { pool, ports, edit } = this
    const { flags, length, needs } = pool
    const mtu = ports.mtu(port)
    const copyVlan = ports.monitorVlan(port)
    const priorityAllowed = (ports.flags(port) & PortFlag.noPriority) === 0
    this.byShortCut = this.shortCut !== undefined && copyVlan === 0
    if (this.byShortCut) return this.prepareFast(this.shortCut!, lists.byteOffset + first * 2, count, port, mtu, priorityAllowed)
    edit.forget()
    let kept = 0
    let bytes = 0
    for (let i = first; i < first + count; i++) {
      const slot = lists[i]!
      if (mtu !== 0 && (needs[slot]! & SUPER_FRAME) === 0) {
        const overhead = ETHERNET_HEADER + ((flags[slot]! & PF_TAGGED) === 0 ? 0 : TAG)
        if (length[slot]! - overhead > mtu) {
          if (kept === i - first) this.tooLongSlot = slot
          continue
        }
      }
      const entry = this.entry(slot, port)
      if (copyVlan !== 0 && (entry & DE_MIRROR) !== 0) edit.move(slot, copyVlan)
      else edit.apply(slot, entry, priorityAllowed)
      bytes += length[slot]!
      lists[first + kept++] = slot
    }
    this.tooLong = count - kept
    this.bytes = bytes
    return kept
  }

  private prepareFast(shortCut: ShortCut, list: number, count: number, port: number, mtu: number, priorities: boolean): number {
    const kept = shortCut.form(list, count, port, mtu, priorities)
    this.tooLong = count - kept
    if (kept < count) this.tooLongSlot = shortCut.tooLongSlot
    this.bytes = shortCut.formBytes
    return kept
  }

  /** The packets are as they were before `prepare`. */
  undo(): void {
    if (this.byShortCut) this.shortCut!.unform()
    else this.edit.undo()
  }
}
