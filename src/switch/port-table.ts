// What the data path must know of each port, in shared memory: written by the control thread when a port, connection or policy
// changes, read by every processor. A generation number tells processors to rebuild what they derive from it.
import {
  PORT_ENTRY_BYTES,
  PORT_FLAG_CHECK_SOURCE,
  PORT_FLAG_EXTERNAL,
  PORT_FLAG_LEARN,
  PORT_FLAG_LINK_DOWN,
  PORT_FLAG_UNKNOWN_UNICAST,
  PORT_FLAGS,
  PORT_MAC_HIGH,
  PORT_MAC_LOW,
  PORT_NIC_STATE,
  PORT_STATE,
  PORT_TABLE_HEADER,
  PORT_VLAN,
} from '../kernels/layout.ts'
import { NicState, PortState } from '../ndis/oids.ts'
import { macKey } from './mac-table.ts'

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
} as const

export const portTableBytes = (ports: number): number => (HEADER_WORDS + ports * PORT_WORDS) * 4

/** What the control thread sets of a port. */
export interface PortEntry {
  readonly portState: PortState
  readonly nicState: NicState
  readonly flags: number
  /** Address of the connection, or undefined. */
  readonly mac: string | undefined
  readonly vlan: number
}

/** The table; port ids are indices, 1…ports-1. */
export class PortTable {
  readonly words: Int32Array
  readonly ports: number

  constructor(buffer: ArrayBufferLike, at: number, ports: number) {
    this.words = new Int32Array(buffer, at, portTableBytes(ports) >> 2)
    this.ports = ports
  }

  /** Changes whenever an entry does. */
  get generation(): number {
    return Atomics.load(this.words, GENERATION)
  }

  /** Highest port id ever used. */
  get highest(): number {
    return this.words[HIGHEST]!
  }

  /** Writes an entry and announces it. Control thread only. */
  set(port: number, entry: PortEntry): void {
    const at = HEADER_WORDS + port * PORT_WORDS
    const key = entry.mac === undefined ? { low: 0, high: 0 } : macKey(entry.mac)
    this.words[at + W_FLAGS] = entry.flags
    this.words[at + W_MAC_LOW] = key.low
    this.words[at + W_MAC_HIGH] = key.high
    this.words[at + W_VLAN] = entry.vlan
    Atomics.store(this.words, at + W_PORT_STATE, entry.portState)
    Atomics.store(this.words, at + W_NIC_STATE, entry.nicState)
    if (port > this.words[HIGHEST]!) this.words[HIGHEST] = port
    Atomics.add(this.words, GENERATION, 1)
  }

  /** Empties an entry. */
  clear(port: number): void {
    this.set(port, { portState: PortState.unknown, nicState: NicState.unknown, flags: 0, mac: undefined, vlan: 0 })
  }

  /** True if the port's connection (index 0) is connected and its link is up: it may be a destination. */
  connected(port: number): boolean {
    if (!(port > 0 && port < this.ports && port === Math.trunc(port))) return false
    const at = HEADER_WORDS + port * PORT_WORDS
    return this.words[at + W_NIC_STATE] === NicState.connected && (this.words[at + W_FLAGS]! & PortFlag.linkDown) === 0
  }

  /** True if (port, nicIndex) may be a source or destination: index 0, or 1 on the external port (ES-322, ES-323). */
  usable(port: number, nicIndex: number): boolean {
    return (nicIndex === 0 || (nicIndex === 1 && (this.flags(port) & PortFlag.external) !== 0)) && this.connected(port)
  }

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
