// The forwarding context of the packets of a batch: the handlers of NDIS_SWITCH_OPTIONAL_HANDLERS that take a packet (spec 6), one method
// each, and the flags of the list (spec 5.9).
//
// The rule it must not break: every precondition is checked here, whatever the module believes; what is refused changes nothing.
import * as layout from '../kernels/layout.ts'
import { type PacketHandle, Right } from './batch-owner.ts'
import {
  appendDestination,
  availableDestinations,
  commitDestinations,
  copyDestinations,
  destinationAt,
  destinationOf,
  growDestinations,
  sameDestinations,
  setDestinationAt,
  writeDestination,
} from './destinations.ts'
import { DROP_REASONS_MAX, DropReason } from './drop-reasons.ts'
import { ReceiveFlag, SendFlag } from './list-flags.ts'
import { PacketView } from './packet-view.ts'
import { NdisStatus } from './status.ts'
import { SwitchContextType } from './switch-context.ts'

const {
  DE_EXCLUDED,
  DE_NIC_SHIFT,
  DE_PENDING,
  DE_PORT,
  DE_PRESERVE_PRIORITY,
  DE_PRESERVE_VLAN,
  DE_REPORTED,
  PF_DROPPED,
  PF_GROWN,
  PF_NATIVE_FORWARDING,
  PF_REPORTED,
} = layout
const { addDestination: ADD } = Right

/** Fields are ordinary ones because they are used per packet. */
export class ForwardingBatch extends PacketView {
  /** Rights of the module in work: Right.*, and its index. Set by the stack. */
  rights = 0
  module = 0
  /** True after an action took packets out or changed them; the stack settles the batch then. */
  dirty = false
  /** True when the switch knows that all packets came from one port; without it, `singleSource` looks. */
  oneSource = false
  /** Module that said that all packets have one destination, until the miniport edge looks; -1 = none. */
  destinationGroupBy = -1
  // True after exclusions or completions that the module has yet to commit or report.
  protected unsettled = false

  // True if the module in work has the right; its breach is reported if not.
  protected may(i: number, right: number, rule: string, breach: string): boolean {
    if ((this.rights & right) === 0) this.owner.breach(rule, breach)
    else if (i >= 0 && i < this.length) return true
    else this.owner.breach('ES-093', `position ${i} was used of a batch of ${this.length} packets`) // it names a slot of another packet
    return false
  }

  // Numbers that nobody registered would be counted somewhere else: the last one stands for them.
  protected numberOf(reason: number | string): number {
    if (typeof reason !== 'number') return this.owner.reasonNumber(reason)
    return Number.isInteger(reason) && reason >= 0 && reason < DROP_REASONS_MAX ? reason : DROP_REASONS_MAX - 1
  }

  protected takeOut(slot: number, reason: number): void {
    this.pool.flags[slot] = this.pool.flags[slot]! | PF_DROPPED
    this.pool.reason[slot] = reason
    this.pool.leftAt[slot] = this.ingress ? this.module : this.module | 0x8000
    this.dirty = true
  }

  // ---- GetNetBufferListDestinations -------------------------------------------------------------------------------------

  /** NumDestinations of packet `i`, excluded ones included. 0 on ingress above the forwarding extension. ES-303, ES-366 */
  destinationCount(i: number): number {
    return this.pool.destinationCount[this.slots[i]!]!
  }

  /** NumAvailableDestinations: unused elements of the array. ES-423 */
  availableDestinations(i: number): number {
    return availableDestinations(this.pool, this.slots[i]!)
  }

  /** Port id of destination `k` (0…destinationCount-1); 0 for any other `k`. */
  destinationPortId(i: number, k: number): number {
    const slot = this.slots[i]!
    // What an earlier packet left in the slot's array is not this one's: on ingress nobody knows where it will go (ES-312).
    return k < this.pool.destinationCount[slot]! ? destinationAt(this.pool, slot, k) & DE_PORT : 0
  }

  /** NIC index of destination `k`; 0 for any other `k`. */
  destinationNicIndex(i: number, k: number): number {
    const slot = this.slots[i]!
    return k < this.pool.destinationCount[slot]! ? (destinationAt(this.pool, slot, k) >>> DE_NIC_SHIFT) & 0xff : 0
  }

  /** True if destination `k` was excluded. */
  isExcluded(i: number, k: number): boolean {
    return (destinationAt(this.pool, this.slots[i]!, k) & DE_EXCLUDED) !== 0
  }

  /** PreserveVLAN of destination `k`. */
  preservesVlan(i: number, k: number): boolean {
    return (destinationAt(this.pool, this.slots[i]!, k) & DE_PRESERVE_VLAN) !== 0
  }

  /** PreservePriority of destination `k`. */
  preservesPriority(i: number, k: number): boolean {
    return (destinationAt(this.pool, this.slots[i]!, k) & DE_PRESERVE_PRIORITY) !== 0
  }

  // ---- adding destinations, for forwarding extensions on ingress ------------------------------------------------------------

  private mayAdd(i: number): boolean {
    const { ingress } = this
    const breach = 'only a forwarding extension adds destinations, and on ingress'
    if (!this.may(i, ingress ? Right.addDestination : Right.none, ingress ? 'ES-412' : 'ES-328', breach)) return false
    if ((this.pool.flags[this.slots[i]!]! & PF_NATIVE_FORWARDING) === 0) return true
    this.owner.breach('ES-566', 'a packet marked NativeForwardingRequired gets its destinations from the switch')
    return false
  }

  /**
   * Adds and commits one destination on ingress (AddNetBufferListDestination; the array grows as needed). Returns false, and adds
   * nothing, if the connection is not connected (A005) or the turn has no room left (NDIS_STATUS_RESOURCES). ES-328, ES-411, ES-412.
   */
  addDestination(i: number, portId: number, nicIndex = 0, preserveVlan = false, preservePriority = false): boolean {
    const { pool } = this
    const slot = this.slots[i]!
    const flags = pool.flags[slot]!
    // What nearly every packet gets, one destination in its slot, is decided here without a call more than needed.
    const plain = this.ingress && (this.rights & ADD) !== 0 && i >= 0 && i < this.length && (flags & PF_NATIVE_FORWARDING) === 0
    if (!plain && !this.mayAdd(i)) return false
    if (!this.owner.connected(portId, nicIndex)) return false // ES-322…ES-324, ES-430, ES-441
    const entry =
      portId | (nicIndex << DE_NIC_SHIFT) | (preserveVlan ? DE_PRESERVE_VLAN : 0) | (preservePriority ? DE_PRESERVE_PRIORITY : 0)
    if (pool.destinationCount[slot] !== 0 || (flags & PF_GROWN) !== 0) return appendDestination(pool, slot, entry) // ES-411
    pool.destination[slot] = entry
    pool.destinationRoom[slot] = 0 // what the slot's last packet left there names a stretch of the arena that others use now
    pool.destinationCount[slot] = 1
    return true
  }

  /**
   * Gives packet `i`, which has no destination yet, the committed ones of packet `k` of this batch: `addDestination` for each, where
   * both go the same way. Returns false, and adds nothing, if `k` has none, `i` has one, or there is no room. ES-328, ES-412
   */
  addDestinationsOf(i: number, k: number): boolean {
    const { length } = this
    if (!(i >= 0 && i < length && k >= 0 && k < length) || !this.mayAdd(i)) return false
    const { pool } = this
    const slot = this.slots[i]!
    const from = this.slots[k]!
    const count = pool.destinationCount[from]!
    if (count === 0 || pool.destinationCount[slot] !== 0 || (pool.flags[slot]! & PF_GROWN) !== 0) return false
    if (count !== 1 || pool.destinationRoom[from] !== 0) return copyDestinations(pool, slot, from)
    pool.destination[slot] = pool.destination[from]!
    pool.destinationRoom[slot] = 0
    pool.destinationCount[slot] = 1
    return true
  }

  /**
   * GrowNetBufferListDestinations: appends `count` unused elements. Returns an NDIS status: RESOURCES leaves the array as it is
   * (ES-417). Elements written but not committed are lost.
   */
  growDestinations(i: number, count: number): number {
    if (!this.mayAdd(i) || !(Number.isInteger(count) && count > 0)) return NdisStatus.invalidParameter
    return growDestinations(this.pool, this.slots[i]!, count) ? NdisStatus.success : NdisStatus.resources
  }

  /**
   * Writes an unused element of the array, `k` from destinationCount on; `updateDestinations` commits it. Returns false outside the
   * unused elements: a committed one is frozen (ES-421).
   */
  writeDestination(i: number, k: number, portId: number, nicIndex = 0, preserveVlan = false, preservePriority = false): boolean {
    if (!this.mayAdd(i)) return false
    const slot = this.slots[i]!
    if (k >= 0 && k < this.pool.destinationCount[slot]!) {
      this.owner.breach('ES-421', 'a committed destination cannot be changed, but for IsExcluded')
      return false
    }
    // What is not a port id or index at all can't be written; whether it is connected is looked at when it is committed.
    if (!(Number.isInteger(portId) && portId >= 0 && portId <= DE_PORT)) return false
    if (!(Number.isInteger(nicIndex) && nicIndex >= 0 && nicIndex <= 0xff)) return false
    return writeDestination(this.pool, slot, k, destinationOf(portId, nicIndex, preserveVlan, preservePriority))
  }

  /**
   * UpdateNetBufferListDestinations: commits `newCount` elements written after the last destination, for forwarding extensions on
   * ingress; with 0, the exclusions set by `setExcluded`. Returns an NDIS status: INVALID_PARAMETER, and nothing committed, if an
   * element is not a connected connection (A005) or there are not so many (A007). ES-359, ES-419, ES-441
   */
  updateDestinations(i: number, newCount: number): number {
    if (newCount !== 0) {
      if (!this.mayAdd(i)) return NdisStatus.invalidParameter
      const slot = this.slots[i]!
      return commitDestinations(this.pool, slot, newCount, this.owner) ? NdisStatus.success : NdisStatus.invalidParameter
    }
    if (!this.mayExclude(i)) return NdisStatus.invalidParameter
    const { pool } = this
    const slot = this.slots[i]!
    for (let k = 0; k < pool.destinationCount[slot]!; k++) {
      const entry = destinationAt(pool, slot, k)
      if ((entry & DE_PENDING) !== 0) setDestinationAt(pool, slot, k, (entry & ~DE_PENDING) | DE_EXCLUDED)
    }
    return NdisStatus.success
  }

  // ---- excluding destinations, for filtering and forwarding extensions on egress ---------------------------------------------

  private mayExclude(i: number): boolean {
    const { ingress } = this
    const breach = 'exclusion of a destination is for filtering and forwarding extensions on egress'
    return this.may(i, ingress ? Right.none : Right.exclude, ingress ? 'ES-346' : 'ES-309', breach)
  }

  /**
   * Excludes destination `k` of packet `i` on egress: IsExcluded with UpdateNetBufferListDestinations, and a report. Excluding the
   * last one drops the packet. ES-309, ES-346.
   */
  exclude(i: number, k: number, reason: number | string): void {
    if (!this.mayExclude(i)) return
    const { pool } = this
    const slot = this.slots[i]!
    const count = pool.destinationCount[slot]!
    if (!(k >= 0 && k < count) || (pool.flags[slot]! & PF_DROPPED) !== 0) return
    const entry = destinationAt(pool, slot, k)
    if ((entry & DE_EXCLUDED) !== 0) return
    setDestinationAt(pool, slot, k, entry | DE_EXCLUDED)
    const number = this.numberOf(reason)
    this.owner.filtered(slot, number, entry & DE_PORT, false)
    if (this.allExcluded(slot)) this.takeOut(slot, number) // ES-358
  }

  protected allExcluded(slot: number): boolean {
    const count = this.pool.destinationCount[slot]!
    for (let k = 0; k < count; k++) if ((destinationAt(this.pool, slot, k) & DE_EXCLUDED) === 0) return false
    return count !== 0
  }

  /**
   * Sets IsExcluded of destination `k` in the array, as the first of three steps: `updateDestinations(i, 0)` commits it, `report`
   * tells why (ES-359, ES-360). A step left out is a breach. `exclude` does all three. Taking an exclusion back is refused (ES-357).
   */
  setExcluded(i: number, k: number, excluded = true): boolean {
    if (!this.mayExclude(i)) return false
    const slot = this.slots[i]!
    if (!(Number.isInteger(k) && k >= 0 && k < this.pool.destinationCount[slot]!)) return false
    const entry = destinationAt(this.pool, slot, k)
    if (!excluded) {
      if ((entry & DE_EXCLUDED) !== 0) this.owner.breach('ES-357', 'an excluded destination cannot be included again')
      return (entry & DE_EXCLUDED) === 0
    }
    if ((entry & DE_EXCLUDED) !== 0) return true
    setDestinationAt(this.pool, slot, k, entry | DE_PENDING)
    this.unsettled = true
    this.dirty = true
    return true
  }

  // ---- ReportFilteredNetBufferLists ------------------------------------------------------------------------------------------

  /**
   * Reports packet `i` as filtered for `reason` at `portId`: with `incoming`, because of the source port's policy, which must be
   * its source; without, because of a destination's. A wrong direction is a breach and is not counted (A00B). ES-362…ES-365, ES-444
   */
  report(i: number, portId: number, incoming: boolean, reason: number | string): boolean {
    if (!this.may(i, Right.drop, 'ES-306', 'a capturing extension filters nothing and has nothing to report')) return false
    const { pool } = this
    const slot = this.slots[i]!
    const isSource = portId === pool.sourcePort[slot]
    let known = incoming ? isSource : !isSource && this.owner.connected(portId, 0)
    if (!incoming && !this.ingress) {
      known = false
      for (let k = 0; k < pool.destinationCount[slot]!; k++) {
        const entry = destinationAt(pool, slot, k)
        if ((entry & DE_PORT) !== portId) continue
        setDestinationAt(pool, slot, k, entry | DE_REPORTED)
        known = true
      }
    }
    if (!known) {
      this.owner.breach('ES-444', `a packet was reported as filtered at port ${portId} in the wrong direction`)
      return false
    }
    pool.flags[slot] = pool.flags[slot]! | PF_REPORTED
    this.unsettled = true
    this.dirty = true
    this.owner.filtered(slot, this.numberOf(reason), portId, incoming)
    return true
  }

  /**
   * Drops packet `i` without a report: NdisFSendNetBufferListsComplete on ingress, NdisFReturnNetBufferLists on egress. The module
   * reports it with `report`, before or after; `drop` does both. ES-305, ES-306, ES-344, ES-360
   */
  complete(i: number): void {
    if (!this.may(i, Right.drop, 'ES-306', 'a capturing extension dropped a packet')) return
    const slot = this.slots[i]!
    if ((this.pool.flags[slot]! & PF_DROPPED) !== 0) return
    this.takeOut(slot, DropReason.unreported)
    this.unsettled = true
  }

  /** Counts packet in `slot` as lost: at its source on ingress, at each destination not excluded on egress. ES-364, ES-365 */
  protected countLost(slot: number, reason: number): void {
    if (this.ingress) {
      this.owner.filtered(slot, reason, this.pool.sourcePort[slot]!, true)
      return
    }
    for (let k = 0; k < this.pool.destinationCount[slot]!; k++) {
      const entry = destinationAt(this.pool, slot, k)
      if ((entry & DE_EXCLUDED) === 0) this.owner.filtered(slot, reason, entry & DE_PORT, false)
    }
  }

  // Settles what `setExcluded`, `report` and `complete` left: commits and counts what the module forgot, and says so.
  protected settleReports(): void {
    const { pool } = this
    for (let i = 0; i < this.length; i++) {
      const slot = this.slots[i]!
      const flags = pool.flags[slot]!
      if (!this.ingress) this.settleExclusions(slot)
      if ((flags & (PF_DROPPED | PF_REPORTED)) === PF_DROPPED && pool.reason[slot] === DropReason.unreported) {
        this.owner.breach('ES-360', 'a packet was dropped and not reported')
        this.countLost(slot, DropReason.unreported)
      }
      pool.flags[slot] = pool.flags[slot]! & ~PF_REPORTED
    }
    this.unsettled = false
  }

  private settleExclusions(slot: number): void {
    const { pool } = this
    const dropped = (pool.flags[slot]! & PF_DROPPED) !== 0
    let changed = false
    for (let k = 0; k < pool.destinationCount[slot]!; k++) {
      const entry = destinationAt(pool, slot, k)
      if ((entry & (DE_PENDING | DE_REPORTED | DE_EXCLUDED)) === 0) continue
      if ((entry & DE_PENDING) !== 0) this.owner.breach('ES-359', 'an exclusion was not committed')
      else if ((entry & (DE_EXCLUDED | DE_REPORTED)) === DE_REPORTED && !dropped)
        this.owner.breach('ES-444', 'a destination that is not excluded was reported as filtered')
      changed ||= (entry & (DE_EXCLUDED | DE_REPORTED)) === (DE_EXCLUDED | DE_REPORTED)
      setDestinationAt(pool, slot, k, entry & ~(DE_PENDING | DE_REPORTED))
    }
    if (dropped || !changed || !this.allExcluded(slot)) return
    this.owner.breach('ES-358', 'a packet with all destinations excluded was passed on instead of dropped')
    this.takeOut(slot, DropReason.allExcluded) // counted where it was reported
  }

  // ---- CopyNetBufferListInfo, switch contexts ----------------------------------------------------------------------------

  /**
   * CopyNetBufferListInfo: source and out-of-band data of packet `i` to a packet of the module's own, and its destinations with
   * `preserveDestinations`. Returns an NDIS status. ES-383, ES-385, ES-426…ES-428
   */
  copyInfo(i: number, target: PacketHandle, preserveDestinations = false): number {
    if (!this.may(i, Right.clone, 'ES-383', 'a capturing extension must not clone packets')) return NdisStatus.invalidParameter
    const to = this.owner.ownPacket(target)
    if (to < 0) return NdisStatus.invalidParameter
    const from = this.slots[i]!
    if (preserveDestinations) {
      if (this.pool.destinationCount[to] !== 0) return NdisStatus.invalidParameter // ES-421
      if (!copyDestinations(this.pool, to, from)) return NdisStatus.resources
    }
    this.pool.copyInfo(to, from)
    this.owner.packetChanged(to)
    return NdisStatus.success
  }

  /**
   * SetNetBufferListSwitchContext: attaches `value` (a 32-bit integer, not 0) to the packet for its life. Returns an NDIS status;
   * a second value of one type is a breach (A00A). ES-431, ES-437
   */
  setContext(i: number, type: SwitchContextType, value: number): number {
    if (!(type instanceof SwitchContextType) || !(i >= 0 && i < this.length)) return NdisStatus.invalidParameter
    if (!(Number.isInteger(value) && value !== 0 && value === (value | 0))) return NdisStatus.invalidParameter
    if (type.write(this.pool, this.slots[i]!, value)) return NdisStatus.success
    this.owner.breach('ES-437', `the packet has a switch context "${type.name}" already`)
    return NdisStatus.invalidParameter
  }

  /** GetNetBufferListSwitchContext: the value set under this type, 0 = none: a clone has none, nor a packet made below. ES-432…ES-434 */
  context(i: number, type: SwitchContextType): number {
    return type.read(this.pool, this.slots[i]!)
  }

  // ---- flags of the list --------------------------------------------------------------------------------------------------

  /** SINGLE_SOURCE: all packets came from one port. ES-445, ES-450 */
  get singleSource(): boolean {
    if (this.oneSource) return true
    const { sourcePort } = this.pool
    for (let i = 1; i < this.length; i++) if (sourcePort[this.slots[i]!] !== sourcePort[this.slots[0]!]) return false
    return true
  }

  /** NDIS_RECEIVE_FLAGS_SWITCH_DESTINATION_GROUP: on egress, all packets have the same destinations and exclusions. ES-455, ES-457 */
  get destinationGroup(): boolean {
    if (this.ingress) return false // ES-342: the miniport edge consumes it
    for (let i = 1; i < this.length; i++) if (!sameDestinations(this.pool, this.slots[i]!, this.slots[0]!)) return false
    return true
  }

  /**
   * The flags with which the module passes the list on (SendFlag on ingress, ReceiveFlag on egress). They say what the switch can
   * see for itself: an untruthful one is a breach and has no effect, RESOURCES has none either (ES-355, ES-356).
   */
  passFlags(flags: number): void {
    const single = this.ingress ? SendFlag.switchSingleSource : ReceiveFlag.switchSingleSource
    if ((flags & single) !== 0 && !this.singleSource)
      this.owner.breach('ES-448', 'SINGLE_SOURCE was set on a list of several source ports')
    if (!this.ingress) {
      if ((flags & ReceiveFlag.resources) !== 0) this.owner.breach('ES-355', 'NDIS_RECEIVE_FLAGS_RESOURCES must not be set')
      if ((flags & ReceiveFlag.switchDestinationGroup) !== 0 && !this.destinationGroup)
        this.owner.breach('ES-457', 'DESTINATION_GROUP was set on a list of different destinations')
    } else if ((flags & SendFlag.switchDestinationGroup) !== 0) {
      if ((this.rights & Right.addDestination) === 0)
        this.owner.breach('ES-452', 'only a forwarding extension sets DESTINATION_GROUP on a send')
      else this.destinationGroupBy = this.module
    }
  }

  /** At the miniport edge: looks whether DESTINATION_GROUP was true, and clears it. ES-342, ES-453, ES-454 */
  consumeDestinationGroup(owner: { breachOf(module: number, rule: string, detail: string): void }): void {
    const by = this.destinationGroupBy
    this.destinationGroupBy = -1
    const { pool, slots } = this
    for (let i = 0; i < this.length; i++) {
      const slot = slots[i]!
      if (pool.destinationCount[slot]! > 1) {
        owner.breachOf(by, 'ES-454', 'DESTINATION_GROUP was set on a packet with several destinations')
        return
      }
      if (!sameDestinations(pool, slot, slots[0]!)) {
        owner.breachOf(by, 'ES-453', 'DESTINATION_GROUP was set on packets with different destinations')
        return
      }
    }
  }
}
