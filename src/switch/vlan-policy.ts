// Which VLAN a packet belongs to, and which ports take part in it: the VLAN property (spec 5.11, 7.5) as the switch enforces it where no
// forwarding extension does (ES-332).
//
// A port without the property takes part in VLAN 0 (spec 5.16); an external one in all VLANs, for the ports that were put into them.
// Tags that guests of ports without the property use among themselves stay among them: nobody tags his way into a VLAN of others, nor
// out to the physical network. All this begins with the first port that has the property: without one, tags are passed as they are.
//
// The rule it must not break: a tag behind the one that was judged never comes to light, for it would be a way into other VLANs.
import { DE_PRESERVE_PRIORITY, DE_PRESERVE_VLAN, PF_TAGGED } from '../kernels/layout.ts'
import type { PacketPool } from '../ndis/pool.ts'
import { NO_VLAN, PortFlag, type PortTable, VlanMode } from './port-table.ts'

const BLOCKED = NO_VLAN
const KEEP_ALL = DE_PRESERVE_VLAN | DE_PRESERVE_PRIORITY
const TWO_TAGS = 22

// The type of a tag that is cut off.
const isTag = (type: number): boolean => type === 0x8100 || type === 0x88a8 || type === 0x9100

/** Fields are ordinary ones: it is asked per packet once a port has a VLAN property. */
export class VlanPolicy {
  private readonly pool: PacketPool
  private readonly ports: PortTable
  /** Of the packet that `classify` looked at: VLAN under which its addresses are known. */
  addressVlan = 0
  // Its source has no VLAN property.
  private unconfigured = false
  private uplink = false
  // An extension made it, and left it without a source.
  private trusted = false
  // It has another tag behind the one that counts.
  private stacked = false

  constructor(pool: PacketPool, ports: PortTable) {
    this.pool = pool
    this.ports = ports
  }

  /**
   * The VLAN of the packet in `slot` from port `source`, or -1 if the port must not send it. Puts the VLAN into the packet's 802.1Q
   * information: its tag, or out of band.
   */
  classify(slot: number, source: number): number {
    const { pool, ports } = this
    const isTagged = (pool.flags[slot]! & PF_TAGGED) !== 0
    const tag = isTagged ? pool.vlan[slot]! & 0xfff : 0
    const mode = source === 0 ? VlanMode.none : ports.vlanMode(source)
    this.unconfigured = mode === VlanMode.none
    this.trusted = source === 0
    this.uplink = !this.trusted && (ports.flags(source) & PortFlag.external) !== 0
    this.stacked = isTagged && !this.trusted && (pool.l3[slot]! >= TWO_TAGS || isTag(pool.etherType[slot]!))
    if (this.stacked && tag === 0) return BLOCKED
    if (this.unconfigured) {
      this.addressVlan = tag
      return tag
    }
    const vlan = this.ofSource(mode, source, tag)
    if (vlan === BLOCKED) return BLOCKED
    this.addressVlan = mode >= VlanMode.isolated ? ports.vlan(source) : vlan
    if (vlan !== tag) pool.setTag(slot, (isTagged ? pool.vlan[slot]! & 0xf000 : 0) | vlan)
    return vlan
  }

  private ofSource(mode: number, source: number, tag: number): number {
    const { ports } = this
    if (mode === VlanMode.trunk) {
      if (tag === 0) return ports.vlan(source) // ES-533; NO_VLAN is BLOCKED (ES-535)
      return ports.vlanInSet(source, tag) ? tag : BLOCKED // ES-534, ES-535
    }
    if (this.stacked) return BLOCKED // the guests of these ports have no tags of their own
    const own = mode === VlanMode.isolated || mode === VlanMode.community ? ports.vlanSecondary(source) : ports.vlan(source)
    return tag === 0 || tag === own ? own : BLOCKED // ES-531, ES-537…ES-539
  }

  /** True if `port` takes part in the VLAN that `classify` returned last. */
  admits(port: number, vlan: number): boolean {
    const { ports } = this
    const mode = ports.vlanMode(port)
    const primary = ports.vlan(port)
    if (vlan !== 0 && !this.trusted) {
      const guestTag = this.unconfigured && !this.uplink
      if (mode === VlanMode.none) return guestTag !== ((ports.flags(port) & PortFlag.external) !== 0)
      if (guestTag) return false
    } else if (mode === VlanMode.none) return true
    if (this.stacked && this.strips(port, mode, vlan)) return false
    switch (mode) {
      case VlanMode.trunk:
        return vlan === primary || ports.vlanInSet(port, vlan) // ES-532
      case VlanMode.community:
        return vlan === primary || vlan === ports.vlanSecondary(port) // ES-538
      case VlanMode.promiscuous:
        return vlan === primary || ports.vlanInSet(port, vlan) // ES-539
      default:
        return vlan === primary // ES-531, ES-537
    }
  }

  /** PreserveVLAN and PreservePriority with which a packet of `vlan` goes to `port`. */
  preserve(port: number, vlan: number): number {
    const mode = this.ports.vlanMode(port)
    if (mode === VlanMode.none) return this.unconfigured || vlan !== 0 ? KEEP_ALL : DE_PRESERVE_PRIORITY
    return this.strips(port, mode, vlan) ? DE_PRESERVE_PRIORITY : KEEP_ALL
  }

  private strips(port: number, mode: number, vlan: number): boolean {
    return mode !== VlanMode.trunk || vlan === this.ports.vlan(port)
  }
}
