// A batch of packets as an extension sees it: what NDIS hands over as a list of NET_BUFFER_LISTs. Reading is in packet-view.ts, the
// forwarding context in forwarding-batch.ts; here are the actions on packets as a whole: drop, change, hold, clone.
//
// The rule it must not break: actions allocate nothing and obey the rights of the module that is called.
import * as layout from '../kernels/layout.ts'
import { Keep, type PacketHandle, Right } from './batch-owner.ts'
import { destinationAt, setDestinationAt } from './destinations.ts'
import { ForwardingBatch } from './forwarding-batch.ts'
import { LEFT_TO_GO_ON } from './pool.ts'

export { type BatchOwner, Keep, type PacketHandle, Right } from './batch-owner.ts'
export { PROTOCOL_ICMP, PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP } from './protocols.ts'

// V8 folds constants of a module, not imported ones.
const {
  DE_EXCLUDED,
  DE_PENDING,
  HEADER_STRIDE,
  PF_DATA_VALID,
  PF_DROPPED,
  PF_TAGGED,
  PF_VLAN_OOB,
  VNET_DATA_VALID,
  VNET_NEEDS_CSUM,
  VNET_STRIDE,
} = layout

const { BURST_MAX } = layout
const VLAN_MAX = 4095
const PRIORITY_MAX = 7
const ALL_DESTINATIONS = -1
/** `Batch.reached` of packets whose destinations are not known. */
export const ANYWHERE = -1

/** Packets on their way through the stack. Fields are ordinary ones because they are read per packet. */
export class Batch extends ForwardingBatch {
  /** OR of the flags of packets that may be among them: whether any has 802.1Q information. */
  mayBeTagged = false
  /** A bit for each port among the destinations, its id modulo 32 (as JavaScript shifts), where the switch has chosen them; else ANYWHERE. */
  reached = ANYWHERE
  /**
   * True for a frame that an operator has traced (`vmswitch trace`): what is done to it goes nowhere. Decide as ever, and remember nothing of
   * it: no connection, no address, no use of a limit. Counters are put back by the switch.
   */
  isTraced = false
  /** Takes what modules say of the packets of a trace; undefined: none is traced. */
  explained: ((slot: number, text: string) => void) | undefined = undefined

  /**
   * Says in words why packet `i` is treated as it is, for whoever traces it; of other frames nothing becomes of it. Make the words only where
   * `isTraced` is true.
   */
  explain(i: number, text: string): void {
    this.explained?.(this.slots[i]!, text)
  }

  // True after header bytes were changed: parsed fields are stale until `settle`.
  private changed = false

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
    this.countLost(slot, number)
  }

  /**
   * Writes `value` (0…255) at `offset` of the frame, within the copied header, or anywhere after `makeSafe`. The copy is the switch's
   * own, so this is the "clone and modify" of the contract without a clone. Ingress only, not for capturing extensions (ES-307, ES-347).
   */
  setU8(i: number, offset: number, value: number): boolean {
    const { ingress } = this
    const breach = 'packet data may be changed by filtering and forwarding extensions on ingress only'
    if (!this.may(i, ingress ? Right.modify : Right.none, ingress ? 'ES-307' : 'ES-347', breach)) return false
    const slot = this.slots[i]!
    if (!(offset >= 0 && offset < this.pool.headerLength[slot]!))
      return this.pool.setPayload8(slot, offset, value) || this.outside(i, offset)
    this.pool.header8[slot * HEADER_STRIDE + this.pool.headerOffset[slot]! + offset] = value
    this.changed = true
    this.dirty = true
    return true
  }

  /** Writes a big-endian 16-bit value; see setU8. Returns false if it is not wholly inside the copied header. */
  setU16(i: number, offset: number, value: number): boolean {
    if (!(offset >= 0 && offset + 2 <= this.headerLength(i))) return this.outside(i, offset + 1)
    return this.setU8(i, offset, value >> 8) && this.setU8(i, offset + 1, value & 0xff)
  }

  /** Writes a big-endian 32-bit value; see setU8. */
  setU32(i: number, offset: number, value: number): boolean {
    if (!(offset >= 0 && offset + 4 <= this.headerLength(i))) return this.outside(i, offset + 3)
    return this.setU16(i, offset, value >>> 16) && this.setU16(i, offset + 2, value & 0xffff)
  }

  // Behind the copied header there is nothing to write to, which an extension may find out by trying; behind the frame it has no business.
  private outside(i: number, last: number): false {
    if (!(last >= 0 && last < this.frameLength(i)))
      this.owner.breach('ES-093', `byte ${last} was written of a frame of ${this.frameLength(i)}`)
    return false
  }

  /**
   * Sets the packet's 802.1Q information: in its tag where it carries one, else out of band. Destinations get it as their
   * PreserveVLAN and PreservePriority say. `vlanId` 0…4095, `priority` 0…7. For filtering and forwarding extensions on ingress.
   */
  setVlan(i: number, vlanId: number, priority: number): boolean {
    const { ingress, pool } = this
    const breach = 'packet data may be changed by filtering and forwarding extensions on ingress only'
    if (!this.may(i, ingress ? Right.modify : Right.none, ingress ? 'ES-307' : 'ES-347', breach)) return false
    if (!(Number.isInteger(vlanId) && vlanId >= 0 && vlanId <= VLAN_MAX)) return false
    if (!(Number.isInteger(priority) && priority >= 0 && priority <= PRIORITY_MAX)) return false
    pool.setTag(this.slots[i]!, (priority << 13) | vlanId)
    this.mayBeTagged = true
    return true
  }

  /**
   * Copies the whole packet to memory of the switch, so that no guest can change a byte of it any more: IsPacketDataSafe. Then all of
   * it may be judged (`copyBytes`), and what was judged is delivered. False without room. ES-399
   */
  makeSafe(i: number): boolean {
    return i >= 0 && i < this.length && this.pool.makeSafe(this.slots[i]!)
  }

  /**
   * Writes the transport checksum that the packet's sender left to an offload, and takes the request away: whoever changes the packet
   * afterwards changes it under a checksum that tells. True if there is no open one now; false for super-frames, whose segments get
   * theirs when they are cut, and for unsound requests. `makeSafe` first, or a guest may change what was summed. Ingress only, as setU8.
   */
  completeChecksum(i: number): boolean {
    const { ingress, pool } = this
    const breach = 'packet data may be changed by filtering and forwarding extensions on ingress only'
    if (!this.may(i, ingress ? Right.modify : Right.none, ingress ? 'ES-307' : 'ES-347', breach)) return false
    const slot = this.slots[i]!
    const vnet = slot * VNET_STRIDE
    // Nor is it to be believed unchecked, where the sender's device found it right.
    pool.flags[slot] = pool.flags[slot]! & ~PF_DATA_VALID
    pool.vnet[vnet] = pool.vnet[vnet]! & ~VNET_DATA_VALID
    if ((pool.vnet[vnet]! & VNET_NEEDS_CSUM) === 0) return true
    return pool.vnet[vnet + 1] === 0 && this.owner.checksum(slot)
  }

  /**
   * Takes packet `i` out of the batch and keeps a private copy, to be sent on later with `SwitchHandle.forward` or given up with
   * `SwitchHandle.release`. Returns its handle, or 0 if the pool has no room (then the packet goes on).
   * With `k`, on egress, only destination `k` is held back: the copy has that one alone, and the packet goes on to the others.
   */
  hold(i: number, k = ALL_DESTINATIONS): PacketHandle {
    if (!this.may(i, Right.hold, 'ES-306', 'a capturing extension must not hold packets back')) return 0
    const slot = this.slots[i]!
    if ((this.pool.flags[slot]! & PF_DROPPED) !== 0) return 0
    if (k !== ALL_DESTINATIONS) {
      if (!this.isOpen(slot, k)) return 0
      if (this.openDestinations(slot) > 1) return this.holdOne(slot, k)
    }
    const handle = this.owner.keep(slot, Keep.hold)
    if (handle !== 0) {
      this.takeOut(slot, 0)
      this.pool.leftAt[slot] = LEFT_TO_GO_ON
    }
    return handle
  }

  /**
   * `hold` for the packets at the first `count` of `positions` (at most BURST_MAX, each once), for a fraction of what single calls cost.
   * Their handles go to `handles`, from its start; 0 for a packet that finds no room, which goes on. Returns how many were held.
   * On egress they are held with all their destinations.
   */
  holdAll(positions: ArrayLike<number>, count: number, handles: Float64Array): number {
    const { pool, slots, places } = this
    const { flags, leftAt, reason, originals } = pool
    let asked = 0
    const breach = 'a capturing extension must not hold packets back'
    const mayHold = (this.rights & Right.hold) !== 0
    for (let n = 0; n < count && asked < BURST_MAX; n++) {
      const i = positions[n]!
      handles[n] = 0
      if (!(mayHold && i >= 0 && i < this.length) && !this.may(i, Right.hold, 'ES-306', breach)) continue
      const slot = slots[i]!
      if ((flags[slot]! & PF_DROPPED) !== 0) continue
      flags[slot] = flags[slot]! | PF_DROPPED // a position that is there twice is held once
      reason[slot] = 0
      leftAt[slot] = LEFT_TO_GO_ON
      originals[asked] = slot
      places[asked++] = n
    }
    if (asked === 0) return 0
    const held = this.owner.holdAll(asked, places, handles)
    if (held !== 0) this.dirty = true
    return held
  }
  private readonly places = new Uint8Array(BURST_MAX)

  /**
   * `hold` for the packets at positions `first` to before `end` (at most BURST_MAX) under one handle, for less than `holdAll` takes: they go on
   * together, in order, or are given up together. That takes packets of one source port, which on egress all have the one same destination,
   * and room for all of them. Else 0, and nothing is held.
   */
  holdRun(first: number, end: number): PacketHandle {
    if (!this.may(first, Right.hold, 'ES-306', 'a capturing extension must not hold packets back')) return 0
    if (!(Number.isInteger(end) && end > first && end <= this.length && end - first <= BURST_MAX)) return 0
    const handle = this.owner.holdRun(first, end - first)
    if (handle !== 0) this.dirty = true
    return handle
  }

  /**
   * A private copy of packet `i`: clone NET_BUFFER_LIST, forwarding context and CopyNetBufferListInfo in one. Without its
   * destinations it is sent with `SwitchHandle.send`; with `preserveDestinations`, on egress, it is indicated with
   * `SwitchHandle.indicate` (ES-386, ES-387). Returns its handle, or 0 without room. ES-310.
   * With `k`, on egress, it has destination `k` alone.
   */
  clone(i: number, preserveDestinations = false, k = ALL_DESTINATIONS): PacketHandle {
    if (!this.may(i, Right.clone, 'ES-310', 'a capturing extension must not clone packets')) return 0
    const slot = this.slots[i]!
    if (!preserveDestinations) return this.owner.keep(slot, Keep.clone)
    if (k === ALL_DESTINATIONS) return this.owner.keep(slot, Keep.cloneWithDestinations)
    return this.isOpen(slot, k) ? this.owner.keep(slot, Keep.cloneOne, k) : 0
  }

  // Destination `k` exists, on egress, and is not excluded.
  private isOpen(slot: number, k: number): boolean {
    if (this.ingress || !(Number.isInteger(k) && k >= 0 && k < this.pool.destinationCount[slot]!)) return false
    return (destinationAt(this.pool, slot, k) & (DE_EXCLUDED | DE_PENDING)) === 0
  }

  private openDestinations(slot: number): number {
    let open = 0
    for (let k = 0; k < this.pool.destinationCount[slot]!; k++)
      if ((destinationAt(this.pool, slot, k) & (DE_EXCLUDED | DE_PENDING)) === 0) open++
    return open
  }

  // The packet will get to destination `k` later: it is excluded here and nothing is lost, so nothing is reported.
  private holdOne(slot: number, k: number): PacketHandle {
    const handle = this.owner.keep(slot, Keep.holdOne, k)
    if (handle !== 0) setDestinationAt(this.pool, slot, k, destinationAt(this.pool, slot, k) | DE_EXCLUDED)
    return handle
  }

  /** For the stack, after a module: keeps the packets that were not taken out, in order, and parses again what was changed. */
  settle(): void {
    const { slots } = this
    const { flags } = this.pool
    if (this.unsettled) this.settleReports()
    let kept = 0
    for (let i = 0; i < this.length; i++) {
      const slot = slots[i]!
      if ((flags[slot]! & PF_DROPPED) !== 0) continue
      if (this.changed) {
        this.owner.parse(slot)
        if ((flags[slot]! & (PF_TAGGED | PF_VLAN_OOB)) !== 0) this.mayBeTagged = true
      }
      slots[kept++] = slot
    }
    this.length = kept
    this.changed = false
    this.dirty = false
  }
}
