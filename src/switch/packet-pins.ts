// What the packets that modules own pin: their source and their committed destinations, which cannot go while packets name them.
//
// The rule it must not break: what was pinned for a packet is given up once, when the packet goes (ES-208, ES-420). Pins are counted in
// memory that all processors share: of packets in a row that name the same ports these are told once.
import * as layout from '../kernels/layout.ts'
import { destinationAt } from '../ndis/destinations.ts'
import type { PacketPool } from '../ndis/pool.ts'
import type { HeldRuns } from './held-runs.ts'
import type { PortTable } from './port-table.ts'

// V8 folds constants of a module, not imported ones.
const { DE_PORT, POOL_SLOTS } = layout
const SOURCE = 0xffff
const ENTRIES_SHIFT = 16
const PORT_IDS = 1 << 16

/** Fields are ordinary ones: they are read per packet. */
export class PacketPins {
  private readonly pool: PacketPool
  // Of each packet the source that is pinned, and from ENTRIES_SHIFT on how many of its destinations are.
  private readonly pinned = new Uint32Array(POOL_SLOTS)
  // How often each port is pinned by these packets: what is to be given up if something was interrupted half done.
  private readonly mine = new Int32Array(PORT_IDS)
  /** Where pins are counted, once there is a data path. */
  ports: PortTable | undefined

  constructor(pool: PacketPool) {
    this.pool = pool
  }

  /** The packet in `slot` is a new one and pins nothing. */
  begin(slot: number): void {
    this.pinned[slot] = 0
  }

  // Both are done or neither: nothing can interrupt between them.
  private count(ports: PortTable, port: number, by: number): void {
    ports.pin(port, by)
    this.mine[port] = this.mine[port]! + by
  }

  /** Takes stock: what the packets in `slots` name is pinned once for each, what `runs` name as often as they have packets, and no more. */
  recount(slots: readonly number[], runs: readonly number[], held: HeldRuns): void {
    const { ports, pool, pinned, mine } = this
    if (ports === undefined) return
    const wanted = new Int32Array(PORT_IDS)
    const add = (port: number, by: number): void => {
      if (port !== 0) wanted[port] = wanted[port]! + by
    }
    pinned.fill(0)
    for (const slot of slots) {
      const count = pool.destinationCount[slot]!
      add(pool.sourcePort[slot]!, 1)
      for (let k = 0; k < count; k++) add(destinationAt(pool, slot, k) & DE_PORT, 1)
      pinned[slot] = pool.sourcePort[slot]! | (count << ENTRIES_SHIFT)
    }
    for (const run of runs) {
      add(held.sources[run]!, held.sizes[run]!)
      add(held.targets[run]!, held.sizes[run]!)
    }
    for (const [port, by] of wanted.entries()) if (by !== mine[port]) this.count(ports, port, by - mine[port]!)
  }

  /** Pins the source and the committed destinations that are not pinned yet. ES-420 */
  pin(slot: number): void {
    const { ports, pool, pinned } = this
    if (ports === undefined) return
    const before = pinned[slot]! & SOURCE
    const source = pool.sourcePort[slot]!
    if (source !== before) {
      if (before !== 0) this.count(ports, before, -1)
      if (source !== 0) this.count(ports, source, 1)
    }
    const count = pool.destinationCount[slot]!
    for (let k = pinned[slot]! >>> ENTRIES_SHIFT; k < count; k++) this.count(ports, destinationAt(pool, slot, k) & DE_PORT, 1)
    pinned[slot] = source | (count << ENTRIES_SHIFT)
  }

  /** Pins what the new packets in the first `count` of `slots` name. */
  pinAll(slots: Uint16Array, count: number): void {
    this.countAll(slots, count, 1)
  }

  // Pins what packets name, or (`by` -1) gives it up: packets in a row that name the same source and the same one destination at once.
  private countAll(slots: Uint16Array, count: number, by: number): void {
    const { ports, pool, pinned } = this
    if (ports === undefined) return
    const { sourcePort, destinationCount, destination, destinationRoom } = pool
    let same = 0
    let lastNames = 0
    let lastTarget = 0
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      const names = by < 0 ? pinned[slot]! : sourcePort[slot]! | (destinationCount[slot]! << ENTRIES_SHIFT)
      pinned[slot] = by < 0 ? 0 : names
      const entries = names >>> ENTRIES_SHIFT
      if (entries > 1 || (entries === 1 && destinationRoom[slot] !== 0)) {
        if ((names & SOURCE) !== 0) this.count(ports, names & SOURCE, by)
        for (let k = 0; k < entries; k++) this.count(ports, destinationAt(pool, slot, k) & DE_PORT, by)
        continue
      }
      const target = entries === 0 ? 0 : destination[slot]! & DE_PORT
      if (names !== lastNames || target !== lastTarget) {
        this.countRun(lastNames & SOURCE, lastTarget, same * by)
        lastNames = names
        lastTarget = target
        same = 0
      }
      same++
    }
    this.countRun(lastNames & SOURCE, lastTarget, same * by)
  }

  /** Pins `source` and `target` (0: none) for `by` packets at once, or (negative) gives that up. */
  countRun(source: number, target: number, by: number): void {
    const { ports } = this
    if (by === 0 || ports === undefined) return
    if (source !== 0) this.count(ports, source, by)
    if (target !== 0) this.count(ports, target, by)
  }

  /** Gives up what the packet pinned. */
  unpin(slot: number): void {
    const { ports, pool, pinned } = this
    if (ports === undefined) return
    const names = pinned[slot]!
    if ((names & SOURCE) !== 0) this.count(ports, names & SOURCE, -1)
    for (let k = 0; k < names >>> ENTRIES_SHIFT; k++) this.count(ports, destinationAt(pool, slot, k) & DE_PORT, -1)
    pinned[slot] = 0
  }

  /** Gives up what the packets in the first `count` of `slots` pinned. */
  unpinAll(slots: Uint16Array, count: number): void {
    this.countAll(slots, count, -1)
  }
}
