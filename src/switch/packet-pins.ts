// What the packets that modules own pin: their source and their committed destinations, which cannot go while packets name them.
//
// The rule it must not break: what was pinned for a packet is given up once, when the packet goes (ES-208, ES-420). Pins are counted in
// memory that all processors share: of packets in a row that name the same ports these are told once.
import * as layout from '../kernels/layout.ts'
import { destinationAt } from '../ndis/destinations.ts'
import type { PacketPool } from '../ndis/pool.ts'
import type { PortTable } from './port-table.ts'

// V8 folds constants of a module, not imported ones.
const { DE_PORT, POOL_SLOTS } = layout

// Counts packets of one port in a row. Fields are ordinary ones: they are used per packet.
class PinRun {
  private port = 0
  private count = 0

  add(ports: PortTable, port: number, by: number): void {
    if (port !== this.port) {
      this.end(ports)
      this.port = port
    }
    this.count += by
  }

  end(ports: PortTable): void {
    if (this.port !== 0 && this.count !== 0) ports.pin(this.port, this.count)
    this.port = 0
    this.count = 0
  }
}

/** Fields are ordinary ones: they are read per packet. */
export class PacketPins {
  private readonly pool: PacketPool
  private readonly entries = new Uint16Array(POOL_SLOTS)
  private readonly source = new Uint16Array(POOL_SLOTS)
  private readonly sources = new PinRun()
  private readonly targets = new PinRun()
  /** Where pins are counted, once there is a data path. */
  ports: PortTable | undefined

  constructor(pool: PacketPool) {
    this.pool = pool
  }

  /** The packet in `slot` is a new one and pins nothing. */
  begin(slot: number): void {
    this.entries[slot] = 0
    this.source[slot] = 0
  }

  /** Pins the source and the committed destinations that are not pinned yet. ES-420 */
  pin(slot: number): void {
    const { ports, pool } = this
    if (ports === undefined) return
    const source = pool.sourcePort[slot]!
    if (source !== this.source[slot]) {
      if (this.source[slot] !== 0) ports.pin(this.source[slot]!, -1)
      if (source !== 0) ports.pin(source, 1)
      this.source[slot] = source
    }
    const count = pool.destinationCount[slot]!
    for (let k = this.entries[slot]!; k < count; k++) ports.pin(destinationAt(pool, slot, k) & DE_PORT, 1)
    this.entries[slot] = count
  }

  /** Pins what the new packets in the first `count` of `slots` name. */
  pinAll(slots: Uint16Array, count: number): void {
    const { ports, sources, targets, pool } = this
    if (ports === undefined) return
    const { sourcePort, destinationCount } = pool
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      const source = sourcePort[slot]!
      const entries = destinationCount[slot]!
      this.source[slot] = source
      this.entries[slot] = entries
      sources.add(ports, source, 1)
      for (let k = 0; k < entries; k++) targets.add(ports, destinationAt(pool, slot, k) & DE_PORT, 1)
    }
    sources.end(ports)
    targets.end(ports)
  }

  /** Gives up what the packet pinned. */
  unpin(slot: number): void {
    const { ports, pool } = this
    if (ports === undefined) return
    if (this.source[slot] !== 0) ports.pin(this.source[slot]!, -1)
    for (let k = 0; k < this.entries[slot]!; k++) ports.pin(destinationAt(pool, slot, k) & DE_PORT, -1)
    this.begin(slot)
  }

  /** Gives up what the packets in the first `count` of `slots` pinned. */
  unpinAll(slots: Uint16Array, count: number): void {
    const { ports, sources, targets, pool } = this
    if (ports === undefined) return
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      sources.add(ports, this.source[slot]!, -1)
      for (let k = 0; k < this.entries[slot]!; k++) targets.add(ports, destinationAt(pool, slot, k) & DE_PORT, -1)
      this.begin(slot)
    }
    sources.end(ports)
    targets.end(ports)
  }
}
