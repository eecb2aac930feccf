// What the NIC switch's data path must know of each VPort, in shared memory: written by the control thread when the PF miniport carries
// a request out, read by every processor. VPort ids are indices (0 = the default VPort); the index after the last one is the physical
// port, "the wire". A generation number tells processors to rebuild what they derive from it.
//
// The rule it must not break: one thread writes; a reader sees an entry's flags change in one step.
import {
  VPORT_ACCESS,
  VPORT_ADMITTED_BYTES,
  VPORT_ENTRY_BYTES,
  VPORT_FLAG_ACCESS,
  VPORT_FLAG_ACTIVE,
  VPORT_FLAG_ASLEEP,
  VPORT_FLAG_CHECK_SOURCE,
  VPORT_FLAG_LINK_DOWN,
  VPORT_FLAG_STRIP,
  VPORT_FLAG_VF,
  VPORT_FLAGS,
  VPORT_MAC_HIGH,
  VPORT_MAC_LOW,
  VPORT_TABLE_HEADER,
} from '../kernels/layout.ts'
import { macKey } from '../switch/mac-table.ts'

/** VPorts that one adapter may have at the most, the default one included: the width of a multicast group's member set. */
export const VPORTS_MAX = 128
export const VLAN_IDS = 4096

// The direct kernel reads the table too. V8 folds a module's own constants into the code: these are per packet.
const HEADER_WORDS: number = VPORT_TABLE_HEADER >> 2
const ENTRY_WORDS: number = VPORT_ENTRY_BYTES >> 2
const ADMITTED_WORDS: number = VPORT_ADMITTED_BYTES >> 2
const GENERATION = 0
const PACKET_FILTER = 1
const W_FLAGS: number = VPORT_FLAGS >> 2
const W_MAC_LOW: number = VPORT_MAC_LOW >> 2
const W_MAC_HIGH: number = VPORT_MAC_HIGH >> 2
const W_ACCESS: number = VPORT_ACCESS >> 2

/** Flags of a VPort, and of the wire. */
export const VPortFlag = {
  /** Exists and is Activated: packets may pass (SR-170). */
  active: VPORT_FLAG_ACTIVE,
  /** Attached to a VF; clear: to the PF, or the wire. */
  vf: VPORT_FLAG_VF,
  /** The source address must be the VF's or that of a filter (PD-01). */
  checkSource: VPORT_FLAG_CHECK_SOURCE,
  linkDown: VPORT_FLAG_LINK_DOWN,
  /** The function is below D0: it neither sends nor receives (PD-15). */
  asleep: VPORT_FLAG_ASLEEP,
  allMulticast: 1 << 5,
  /** Gets unknown unicast as well. Of a VF: a trusted one only. */
  promiscuous: 1 << 6,
  /** An access port: frames get its tag on the way in; the guest does not know its VLAN. */
  access: VPORT_FLAG_ACCESS,
  /** Frames are delivered without their tag, which stays in the out-of-band cell (SR-211). */
  strip: VPORT_FLAG_STRIP,
  /** Stacked tags may pass: trusted functions only. */
  stackedTags: 1 << 9,
} as const

/** NDIS packet filter bits of the PF (OID_GEN_CURRENT_PACKET_FILTER). */
export const PacketFilter = { directed: 0x1, multicast: 0x2, allMulticast: 0x4, broadcast: 0x8, promiscuous: 0x20 } as const

export const vportTableBytes = (vports: number): number =>
  (HEADER_WORDS + (vports + 1) * ENTRY_WORDS + (vports + 1) * ADMITTED_WORDS) * 4

/** What the control thread sets of a VPort. */
export interface VPortEntry {
  readonly flags: number
  /** Address of the function, or undefined. */
  readonly mac: string | undefined
  /** Tag of an access port: VLAN id in bits 0-11, priority in bits 13-15; 0 = none. */
  readonly accessTag: number
  /** VLAN ids that its filters admit, 0 = untagged or zero; 'all' for a filter without VLAN test. */
  readonly admitted: 'all' | Iterable<number>
}

/** The table. Fields are ordinary ones: they are read per packet. */
export class VPortTable {
  readonly words: Int32Array
  readonly vports: number
  /** Index of the physical port. */
  readonly wire: number
  private readonly admittedAt: number

  /** Views the table at byte offset `at` of `buffer`, zeroed by the caller. */
  constructor(buffer: ArrayBufferLike, at: number, vports: number) {
    if (!(vports >= 1 && vports <= VPORTS_MAX && Number.isInteger(vports)))
      throw new RangeError(`an adapter has 1 to ${VPORTS_MAX} VPorts, not ${vports}`)
    this.words = new Int32Array(buffer, at, vportTableBytes(vports) >> 2)
    this.vports = vports
    this.wire = vports
    this.admittedAt = HEADER_WORDS + (vports + 1) * ENTRY_WORDS
  }

  /** Changes whenever an entry does. */
  get generation(): number {
    return Atomics.load(this.words, GENERATION)
  }

  /** NDIS packet filter of the PF. */
  get packetFilter(): number {
    return this.words[PACKET_FILTER]!
  }

  setPacketFilter(filter: number): void {
    this.words[PACKET_FILTER] = filter
    Atomics.add(this.words, GENERATION, 1)
  }

  /** Writes an entry and announces it. Control thread only. */
  set(vport: number, entry: VPortEntry): void {
    const at = HEADER_WORDS + vport * ENTRY_WORDS
    const key = entry.mac === undefined ? { low: 0, high: 0 } : macKey(entry.mac)
    this.words[at + W_MAC_LOW] = key.low
    this.words[at + W_MAC_HIGH] = key.high
    this.words[at + W_ACCESS] = entry.accessTag
    this.setAdmitted(vport, entry.admitted)
    Atomics.store(this.words, at + W_FLAGS, entry.flags)
    Atomics.add(this.words, GENERATION, 1)
  }

  /** Empties an entry. */
  clear(vport: number): void {
    this.set(vport, { flags: 0, mac: undefined, accessTag: 0, admitted: [] })
  }

  private setAdmitted(vport: number, admitted: 'all' | Iterable<number>): void {
    const first = this.admittedAt + vport * ADMITTED_WORDS
    if (admitted === 'all') {
      this.words.fill(-1, first, first + ADMITTED_WORDS)
      return
    }
    const bits = new Int32Array(ADMITTED_WORDS)
    for (const vlan of admitted) bits[vlan >> 5] = bits[vlan >> 5]! | (1 << (vlan & 31))
    this.words.set(bits, first)
  }

  flags(vport: number): number {
    return this.words[HEADER_WORDS + vport * ENTRY_WORDS + W_FLAGS]!
  }

  macLow(vport: number): number {
    return this.words[HEADER_WORDS + vport * ENTRY_WORDS + W_MAC_LOW]!
  }

  macHigh(vport: number): number {
    return this.words[HEADER_WORDS + vport * ENTRY_WORDS + W_MAC_HIGH]!
  }

  accessTag(vport: number): number {
    return this.words[HEADER_WORDS + vport * ENTRY_WORDS + W_ACCESS]!
  }

  /** True if a filter of the VPort admits the VLAN id (0 = untagged or zero). */
  admits(vport: number, vlan: number): boolean {
    return ((this.words[this.admittedAt + vport * ADMITTED_WORDS + (vlan >> 5)]! >>> (vlan & 31)) & 1) !== 0
  }
}
