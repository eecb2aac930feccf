// What the data path must know of each port, in shared memory: written by the control thread when a port, connection or policy
// changes, read by every processor. A generation number tells processors to rebuild what they derive from it.
import {
  PORT_ADAPTERS,
  PORT_ENTRY_BYTES,
  PORT_FLAG_CHECK_SOURCE,
  PORT_FLAG_EXTERNAL,
  PORT_FLAG_EXTERNAL_SUBNET,
  PORT_FLAG_LEARN,
  PORT_FLAG_LINK_DOWN,
  PORT_FLAG_NO_PRIORITY,
  PORT_FLAG_UNKNOWN_UNICAST,
  PORT_FLAG_VLAN,
  PORT_FLAGS,
  PORT_MAC_HIGH,
  PORT_MAC_LOW,
  PORT_MONITOR,
  PORT_MTU,
  PORT_NIC_STATE,
  PORT_PINS,
  PORT_STATE,
  PORT_SUBNET,
  PORT_TABLE_HEADER,
  PORT_VLAN,
  PORT_VLAN_MODE,
  PORT_VLAN_SECONDARY,
  PORT_VLAN_SET_BYTES,
} from '../kernels/layout.ts'
import { NicState, PHYSICAL_NICS_MAX, PortState } from '../ndis/oids.ts'
import type { ProtectionProperty } from '../ndis/standard-properties.ts'
import { BandwidthTable, bandwidthTableBytes } from './bandwidth/bandwidth-table.ts'
import { GuardTable, guardTableWords } from './guards/guard-table.ts'
import {
  LEARNED_WORDS,
  learnedIpv4,
  learnedIpv6,
  learnedLimit,
  learnIpv4,
  learnIpv6,
  setLearnedLimit,
} from './guards/learned-addresses.ts'
import { macKey } from './mac-table.ts'
import { TEAM_TABLE_WORDS, TeamTable } from './team/team-table.ts'

const HEADER_WORDS = PORT_TABLE_HEADER >> 2
const PORT_WORDS = PORT_ENTRY_BYTES >> 2
const GENERATION = 0
const HIGHEST = 1

const W_PORT_STATE = PORT_STATE >> 2
const W_NIC_STATE = PORT_NIC_STATE >> 2
const W_FLAGS = PORT_FLAGS >> 2
const W_MAC_LOW = PORT_MAC_LOW >> 2
const W_MAC_HIGH = PORT_MAC_HIGH >> 2
const W_VLAN = PORT_VLAN >> 2
const W_ADAPTERS = PORT_ADAPTERS >> 2
const W_PINS = PORT_PINS >> 2
const W_SUBNET = PORT_SUBNET >> 2
const W_MTU = PORT_MTU >> 2
const W_MONITOR = PORT_MONITOR >> 2
const W_VLAN_MODE = PORT_VLAN_MODE >> 2
const W_VLAN_SECONDARY = PORT_VLAN_SECONDARY >> 2
const VLAN_SET_WORDS = PORT_VLAN_SET_BYTES >> 2
// After the VLAN sets: VM that the port's adapter belongs to (0 = none), whether it may use addresses of the VM's other adapters, and its
// permanent address.
const W_VM = 0
const W_TEAMING = 1
const W_PERMANENT_LOW = 2
const W_PERMANENT_HIGH = 3
const TEAM_WORDS = 4
// After those: the IP addresses that are learned of the port.
const IP_WORDS = LEARNED_WORDS

/** Flags of a port. */
export const PortFlag = {
  /** The source address must be the connection's (MAC spoofing not allowed). */
  checkSource: PORT_FLAG_CHECK_SOURCE,
  /** Source addresses are learned (spoofing allowed, or an uplink). */
  learn: PORT_FLAG_LEARN,
  /** Frames to unknown unicast addresses go here: learning ports and uplinks. */
  unknownUnicast: PORT_FLAG_UNKNOWN_UNICAST,
  external: PORT_FLAG_EXTERNAL,
  /** Administratively down: nothing in, nothing out. */
  linkDown: PORT_FLAG_LINK_DOWN,
  /** Has a VLAN property. Kept by `setVlan`. */
  vlan: PORT_FLAG_VLAN,
  /** AllowIeeePriorityTag is FALSE: priority is removed on delivery. Kept by `setPriorityTag`. */
  noPriority: PORT_FLAG_NO_PRIORITY,
  /** The virtual subnet is external. Kept by `setSubnet`. */
  externalSubnet: PORT_FLAG_EXTERNAL_SUBNET,
} as const

const KEPT_FLAGS = PORT_FLAG_VLAN | PORT_FLAG_NO_PRIORITY | PORT_FLAG_EXTERNAL_SUBNET

/** MonitorMode of a port (spec 5.15); `all`: a destination of everything that passes the switch. */
export const MonitorMode = { none: 0, destination: 1, source: 2, all: 3 } as const

/** What of a source is mirrored: what the port sends, what it gets, or both. */
export const MonitorDirection = { both: 0, sent: 1, received: 2 } as const

/** How a port takes part in VLANs (spec 7.5). */
export const VlanMode = { none: 0, access: 1, trunk: 2, isolated: 3, community: 4, promiscuous: 5 } as const

/** In place of a trunk's native VLAN when that is pruned: no packet is of it, so that untagged ones have no way. ES-535 */
export const NO_VLAN = -1

/** The VLAN property of a port as the data path takes it. `primary`: access, native (or NO_VLAN) or primary VLAN id. */
export interface VlanEntry {
  readonly mode: number
  readonly primary: number
  /** Of isolated and community ports. */
  readonly secondary?: number
  /** Trunk: VLANs allowed, pruned ones left out (ES-534, ES-535). Promiscuous: secondary VLANs. */
  readonly set?: Iterable<number>
}

// Words before those of the uplinks' team: tenants of ports come last.
const wordsBeforeTeam = (ports: number): number =>
  HEADER_WORDS + ports * (PORT_WORDS + VLAN_SET_WORDS + TEAM_WORDS + IP_WORDS + 1) + guardTableWords(ports)

export const portTableBytes = (ports: number): number => bandwidthAt(ports) + bandwidthTableBytes(ports)

// Bytes before the part that needs to be aligned for doubles.
const bandwidthAt = (ports: number): number => Math.ceil((wordsBeforeTeam(ports) + TEAM_TABLE_WORDS) / 2) * 8

/** What the control thread sets of a port. */
export interface PortEntry {
  readonly portState: PortState
  readonly nicState: NicState
  readonly flags: number
  /** Address of the connection, or undefined. */
  readonly mac: string | undefined
  readonly vlan: number
}

/** The bit of a physical adapter. */
const adapterBit = (nicIndex: number): number => 1 << (nicIndex - 1)

const isSeveral = (bits: number): boolean => (bits & (bits - 1)) !== 0

/** The table; port ids are indices, 1…ports-1. */
export class PortTable {
  readonly words: Int32Array
  readonly ports: number
  /** What the guards of the ports are told; changed by `setGuards`. */
  readonly guards: GuardTable
  /** The group of ports that a port may exchange frames with, 0 = all. Control thread only, which calls `changed`. */
  readonly tenants: Int32Array
  /** The team of adapters below the external port. Control thread only, which calls `changed`. */
  readonly uplinks: TeamTable
  /** What ports may send and get per second. */
  readonly bandwidth: BandwidthTable

  constructor(buffer: ArrayBufferLike, at: number, ports: number) {
    this.words = new Int32Array(buffer, at, portTableBytes(ports) >> 2)
    this.ports = ports
    this.guards = new GuardTable(this.words, this.ipAt(ports))
    this.tenants = this.words.subarray(wordsBeforeTeam(ports) - ports, wordsBeforeTeam(ports))
    this.uplinks = new TeamTable(this.words, wordsBeforeTeam(ports))
    this.bandwidth = new BandwidthTable(buffer, at + bandwidthAt(ports), ports)
  }

  /** Changes whenever an entry does. */
  get generation(): number {
    return Atomics.load(this.words, GENERATION)
  }

  /** Tells processors that what stands in a part of the table is new. */
  changed(): void {
    Atomics.add(this.words, GENERATION, 1)
  }

  /** Highest port id ever used. */
  get highest(): number {
    return this.words[HIGHEST]!
  }

  /** Writes an entry and announces it. Control thread only. */
  set(port: number, entry: PortEntry): void {
    const at = HEADER_WORDS + port * PORT_WORDS
    const key = entry.mac === undefined ? { low: 0, high: 0 } : macKey(entry.mac)
    this.words[at + W_FLAGS] = (entry.flags & ~KEPT_FLAGS) | (this.words[at + W_FLAGS]! & KEPT_FLAGS)
    this.words[at + W_MAC_LOW] = key.low
    this.words[at + W_MAC_HIGH] = key.high
    if (this.words[at + W_VLAN_MODE] === VlanMode.none) this.words[at + W_VLAN] = entry.vlan
    Atomics.store(this.words, at + W_PORT_STATE, entry.portState)
    Atomics.store(this.words, at + W_NIC_STATE, entry.nicState)
    if (port > this.words[HIGHEST]!) this.words[HIGHEST] = port
    Atomics.add(this.words, GENERATION, 1)
  }

  /** Empties an entry. */
  clear(port: number): void {
    const at = HEADER_WORDS + port * PORT_WORDS
    this.words.fill(0, at + W_SUBNET, at + W_VLAN_SECONDARY + 1)
    this.words[at + W_ADAPTERS] = 0
    this.words[at + W_FLAGS] = 0
    this.words.fill(0, this.vlanSetAt(port), this.vlanSetAt(port + 1))
    this.words.fill(0, this.teamAt(port), this.teamAt(port + 1))
    this.words.fill(0, this.ipAt(port), this.ipAt(port + 1))
    this.guards.set(port, undefined)
    this.tenants[port] = 0
    this.bandwidth.clear(port)
    this.set(port, { portState: PortState.unknown, nicState: NicState.unknown, flags: 0, mac: undefined, vlan: 0 })
  }

  /** True if the port's connection (index 0) is connected and its link is up: it may be a destination. */
  connected(port: number): boolean {
    if (!(port > 0 && port < this.ports && port === Math.trunc(port))) return false
    const at = HEADER_WORDS + port * PORT_WORDS
    return this.words[at + W_NIC_STATE] === NicState.connected && (this.words[at + W_FLAGS]! & PortFlag.linkDown) === 0
  }

  /**
   * True if what the port's connection sends comes in: it is connected, or created and about to be; then its packets pass and none can
   * be sent to it (ES-174, ES-178). The external connection waits for a physical adapter (ES-164).
   */
  admits(port: number): boolean {
    if (this.connected(port)) return true
    if (!(port > 0 && port < this.ports)) return false
    const at = HEADER_WORDS + port * PORT_WORDS
    if ((this.words[at + W_FLAGS]! & (PortFlag.linkDown | PortFlag.external)) !== 0) return false
    return this.words[at + W_NIC_STATE] === NicState.created
  }

  /**
   * True if (port, nicIndex) may be a source or destination: index 0 (ES-322); on the external port 0 or 1 over one physical adapter
   * (ES-323), over several the index of one that is connected (ES-324).
   */
  usable(port: number, nicIndex: number): boolean {
    if (nicIndex === 0) {
      if (!this.connected(port)) return false
      const adapters = this.words[HEADER_WORDS + port * PORT_WORDS + W_ADAPTERS]!
      return adapters === 0 || !isSeveral(adapters)
    }
    if (!this.connected(port) || (this.flags(port) & PortFlag.external) === 0) return false
    if (!(nicIndex > 0 && nicIndex <= PHYSICAL_NICS_MAX && nicIndex === Math.trunc(nicIndex))) return false // ES-159
    const adapters = this.adapters(port)
    return adapters === 0 ? nicIndex === 1 : (adapters & adapterBit(nicIndex)) !== 0
  }

  private change(port: number, word: number, value: number): void {
    this.words[HEADER_WORDS + port * PORT_WORDS + word] = value
    Atomics.add(this.words, GENERATION, 1)
  }

  private changeFlag(port: number, flag: number, on: boolean): void {
    const flags = this.flags(port)
    this.change(port, W_FLAGS, on ? flags | flag : flags & ~flag)
  }

  // ---- physical adapters of the external port ---------------------------------------------------------------------------

  /** Physical adapters that are connected: bit n = NIC index n + 1 (1…32); 0 = they are not modelled. */
  adapters(port: number): number {
    return this.words[HEADER_WORDS + port * PORT_WORDS + W_ADAPTERS]!
  }

  /** Says which physical adapters of the external port are connected. Control thread only. */
  setAdapters(port: number, nicIndices: Iterable<number>): void {
    let bits = 0
    for (const nicIndex of nicIndices) bits |= adapterBit(nicIndex)
    this.change(port, W_ADAPTERS, bits)
  }

  // ---- adapters of one VM --------------------------------------------------------------------------------------------------

  private teamAt(port: number): number {
    return HEADER_WORDS + this.ports * (PORT_WORDS + VLAN_SET_WORDS) + port * TEAM_WORDS
  }

  /** The VM (> 0; 0 = none) that the port's adapter belongs to, its permanent address, and AllowTeaming. Control thread only. */
  setTeam(port: number, vm: number, permanentMac: string, teaming: boolean): void {
    const at = this.teamAt(port)
    const { low, high } = permanentMac === '' ? { low: 0, high: 0 } : macKey(permanentMac)
    this.words[at + W_VM] = vm
    this.words[at + W_TEAMING] = teaming ? 1 : 0
    this.words[at + W_PERMANENT_LOW] = low
    this.words[at + W_PERMANENT_HIGH] = high
  }

  /** True if the port may send from an address: its permanent one, or one that another adapter of its VM uses now. ES-527 */
  teamAddress(port: number, low: number, high: number): boolean {
    const { words } = this
    const at = this.teamAt(port)
    if (words[at + W_TEAMING] === 0 || words[at + W_VM] === 0) return false
    if (words[at + W_PERMANENT_LOW] === low && words[at + W_PERMANENT_HIGH] === high) return true
    for (let other = 1; other <= this.highest; other++)
      if (
        other !== port &&
        words[this.teamAt(other) + W_VM] === words[at + W_VM] &&
        this.macLow(other) === low &&
        this.macHigh(other) === high
      )
        return true
    return false
  }

  // ---- packets in flight ---------------------------------------------------------------------------------------------------

  /**
   * Packets that outlive a turn (held, cloned, originated, waiting to be sent) and name the port as source or committed destination.
   * NIC_DELETE waits until there are none (ES-208, ES-420). Those of a turn need no count: queues are withdrawn between turns.
   */
  pins(port: number): number {
    return Atomics.load(this.words, HEADER_WORDS + port * PORT_WORDS + W_PINS)
  }

  /** Adds `by` to the pins of a port. Any processor. */
  pin(port: number, by: number): void {
    if (port > 0 && port < this.ports) Atomics.add(this.words, HEADER_WORDS + port * PORT_WORDS + W_PINS, by)
  }

  // ---- what policies and properties say ----------------------------------------------------------------------------------------

  /** Virtual subnet id of the port, 0 = none. */
  subnet(port: number): number {
    return this.words[HEADER_WORDS + port * PORT_WORDS + W_SUBNET]!
  }

  /** VirtualSubnetId of the port (0…2^24-1), and whether it is external. ES-302, ES-529, ES-572 */
  setSubnet(port: number, id: number, external = false): void {
    this.changeFlag(port, PortFlag.externalSubnet, external)
    this.change(port, W_SUBNET, id & 0xffffff)
  }

  /** Bytes of payload that a frame to the port may have, 0 = any. */
  mtu(port: number): number {
    return this.words[HEADER_WORDS + port * PORT_WORDS + W_MTU]!
  }

  setMtu(port: number, mtu: number): void {
    this.change(port, W_MTU, mtu)
  }

  /** AllowIeeePriorityTag of the port. ES-528 */
  setPriorityTag(port: number, allowed: boolean): void {
    this.changeFlag(port, PortFlag.noPriority, !allowed)
  }

  monitorMode(port: number): number {
    return this.words[HEADER_WORDS + port * PORT_WORDS + W_MONITOR]! & 0xff
  }

  monitorSession(port: number): number {
    return (this.words[HEADER_WORDS + port * PORT_WORDS + W_MONITOR]! >> 8) & 0xff
  }

  monitorDirection(port: number): number {
    return (this.words[HEADER_WORDS + port * PORT_WORDS + W_MONITOR]! >> 16) & 3
  }

  /** VLAN that copies for the port are tagged with, in place of their own; 0 = they keep what they have. */
  monitorVlan(port: number): number {
    return (this.words[HEADER_WORDS + port * PORT_WORDS + W_MONITOR]! >> 18) & 0xfff
  }

  /**
   * Mirroring: what ports of mode `source` send and get (see MonitorDirection) is copied to the ports of mode `destination` of the same
   * session (0…255), everything to ports of mode `all`; there copies have `vlan` (0…4094). Control thread only. ES-338
   */
  setMonitor(port: number, mode: number, session = 0, direction = 0, vlan = 0): void {
    this.change(port, W_MONITOR, mode | (session << 8) | (direction << 16) | (vlan << 18))
  }

  vlanMode(port: number): number {
    return this.words[HEADER_WORDS + port * PORT_WORDS + W_VLAN_MODE]!
  }

  vlanSecondary(port: number): number {
    return this.words[HEADER_WORDS + port * PORT_WORDS + W_VLAN_SECONDARY]!
  }

  private vlanSetAt(port: number): number {
    return HEADER_WORDS + this.ports * PORT_WORDS + port * VLAN_SET_WORDS
  }

  /** True if a VLAN is in the port's set: of a trunk, allowed; of a promiscuous port, a secondary one. */
  vlanInSet(port: number, vlan: number): boolean {
    return (this.words[this.vlanSetAt(port) + (vlan >> 5)]! & (1 << (vlan & 31))) !== 0
  }

  /** The VLAN property of a port; undefined takes it away. Control thread only. ES-531…ES-539 */
  setVlan(port: number, entry: VlanEntry | undefined): void {
    const at = HEADER_WORDS + port * PORT_WORDS
    const set = this.vlanSetAt(port)
    this.words.fill(0, set, set + VLAN_SET_WORDS)
    for (const vlan of entry?.set ?? []) this.words[set + ((vlan & 0xfff) >> 5)]! |= 1 << (vlan & 31)
    this.words[at + W_VLAN] = entry?.primary ?? 0
    this.words[at + W_VLAN_SECONDARY] = entry?.secondary ?? 0
    this.words[at + W_VLAN_MODE] = entry?.mode ?? VlanMode.none
    this.changeFlag(port, PortFlag.vlan, entry !== undefined)
  }

  /** The guards of a port; undefined takes them away. Control thread only. */
  setGuards(port: number, entry: ProtectionProperty | undefined): void {
    this.guards.set(port, entry)
    Atomics.add(this.words, GENERATION, 1)
  }

  // ---- IP addresses ---------------------------------------------------------------------------------------------------------

  private ipAt(port: number): number {
    return HEADER_WORDS + this.ports * (PORT_WORDS + VLAN_SET_WORDS + TEAM_WORDS) + port * IP_WORDS
  }

  /** How many addresses are learned of the port; 0 = it is not looked at. Another limit begins anew. Control thread only. ES-530 */
  setIpLimit(port: number, limit: number): void {
    if (setLearnedLimit(this.words, this.ipAt(port), limit)) Atomics.add(this.words, GENERATION, 1)
  }

  ipLimit(port: number): number {
    return learnedLimit(this.words, this.ipAt(port))
  }

  /** Learns an IPv4 address, as a 32-bit number. False if the port has as many as it may. Any processor. ES-530 */
  learnIp(port: number, address: number, learns = true): boolean {
    return learnIpv4(this.words, this.ipAt(port), address, learns)
  }

  /** The same of an IPv6 address, as four numbers; `tick`: milliseconds of the switch's clock. */
  learnIpv6(port: number, a: number, b: number, c: number, d: number, tick: number, learns: boolean): boolean {
    return learnIpv6(this.words, this.ipAt(port), a, b, c, d, tick, learns)
  }

  /** IPv4 addresses that were learned of a port. */
  ipAddresses = (port: number): number[] => learnedIpv4(this.words, this.ipAt(port))

  /** IPv6 addresses that were learned of a port, as four numbers each. */
  ipv6Addresses = (port: number): number[][] => learnedIpv6(this.words, this.ipAt(port))

  flags(port: number): number {
    return this.words[HEADER_WORDS + port * PORT_WORDS + W_FLAGS]!
  }

  macLow(port: number): number {
    return this.words[HEADER_WORDS + port * PORT_WORDS + W_MAC_LOW]!
  }

  macHigh(port: number): number {
    return this.words[HEADER_WORDS + port * PORT_WORDS + W_MAC_HIGH]!
  }

  vlan(port: number): number {
    return this.words[HEADER_WORDS + port * PORT_WORDS + W_VLAN]!
  }
}
