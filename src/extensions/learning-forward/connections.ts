// The connections that frames may be sent to, in memory common to all processors. The instance on processor 0 hears of them by OIDs
// and writes; every instance derives its own list for flooding when they changed.
//
// The rule it must not break: a connection whose NIC_DISCONNECT was forwarded is never used again (ES-320), on any processor.
import { type NicParameters, NicState } from '../../extension.ts'

const PORT_IDS = 65536
const VERSION = PORT_IDS
const HIGHEST = PORT_IDS + 1
const WORDS = PORT_IDS + 16

const CONNECTED = 1
const PRESERVE_VLAN = 2
const PRESERVE_PRIORITY = 4
const NIC_SHIFT = 8

export const CONNECTIONS_BYTES = WORDS * 4

/** Names of ports that keep something on delivery; undefined = all do. */
export interface Preserve {
  readonly vlan: readonly string[] | undefined
  readonly priority: readonly string[] | undefined
}

/** Fields are ordinary ones: they are read per packet. */
export class Connections {
  /** Ports to flood to; the first `floodCount`. */
  readonly flood = new Uint16Array(PORT_IDS)
  floodCount = 0
  private readonly words: Int32Array
  private readonly preserve: Preserve
  private readonly nameOf: (portId: number) => string
  /** Connected NIC indices by port. Processor 0 only. */
  private readonly nics = new Map<number, Set<number>>()
  private version = -1

  /** `nameOf` gives the name of a port. */
  constructor(words: Int32Array, preserve: Preserve, nameOf: (portId: number) => string) {
    this.words = words
    this.preserve = preserve
    this.nameOf = nameOf
  }

  /** Derives the list for flooding again, if a connection came or went. Call once per batch. */
  refresh(): void {
    const version = Atomics.load(this.words, VERSION)
    if (version === this.version) return
    this.version = version
    this.floodCount = 0
    for (let port = 1; port <= this.words[HIGHEST]!; port++) if (this.isConnected(port)) this.flood[this.floodCount++] = port
  }

  isConnected(port: number): boolean {
    return (Atomics.load(this.words, port) & CONNECTED) !== 0
  }

  /** The NIC index by which a port is addressed: 0, or that of a physical adapter of the external port. */
  nicIndex(port: number): number {
    return this.words[port]! >> NIC_SHIFT
  }

  preservesVlan(port: number): boolean {
    return (this.words[port]! & PRESERVE_VLAN) !== 0
  }

  preservesPriority(port: number): boolean {
    return (this.words[port]! & PRESERVE_PRIORITY) !== 0
  }

  /** Starts anew from OID_SWITCH_NIC_ARRAY. Processor 0 only. */
  reset(nics: readonly NicParameters[]): void {
    for (let port = 1; port <= this.words[HIGHEST]!; port++) Atomics.store(this.words, port, 0)
    this.nics.clear()
    for (const nic of nics) if (nic.nicState === NicState.connected) this.connect(nic)
    this.changed()
  }

  /** NIC_CONNECT was completed. Processor 0 only. */
  connect(nic: NicParameters): void {
    const indices = this.nics.get(nic.portId) ?? new Set()
    this.nics.set(nic.portId, indices.add(nic.nicIndex))
    this.write(nic.portId)
  }

  /** NIC_DISCONNECT is being forwarded. Processor 0 only. */
  disconnect(nic: NicParameters): void {
    this.nics.get(nic.portId)?.delete(nic.nicIndex)
    this.write(nic.portId)
  }

  // The external port is addressed by a connected physical adapter, if it has several (ES-324); all others by index 0 (ES-322).
  private write(port: number): void {
    const name = this.nameOf(port)
    const indices = [...(this.nics.get(port) ?? [])].sort((a, b) => a - b)
    const physical = indices.find((index) => index > 0)
    const keeps = (names: readonly string[] | undefined): boolean => names === undefined || names.includes(name)
    const flags =
      CONNECTED | (keeps(this.preserve.vlan) ? PRESERVE_VLAN : 0) | (keeps(this.preserve.priority) ? PRESERVE_PRIORITY : 0)
    Atomics.store(this.words, port, indices.length === 0 ? 0 : flags | ((physical ?? 0) << NIC_SHIFT))
    if (port > this.words[HIGHEST]!) Atomics.store(this.words, HIGHEST, port)
    this.changed()
  }

  private changed(): void {
    Atomics.add(this.words, VERSION, 1)
  }
}
