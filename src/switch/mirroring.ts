// Mirroring at the miniport edge (spec 5.15): what ports of monitor mode `source` send and get is delivered to the ports of mode
// `destination` of the same session as well, with or without a forwarding extension; what passes the switch at all to ports of mode `all`.
// What a policy or an extension has dropped on ingress does not come here, so it is not mirrored; what is sent to nobody is, as on a wire; what an egress policy keeps from a
// port later is.
//
// The rules it must not break: a mirror port that is a destination already is not added again (ES-339); no port gets a copy of what it
// sent itself; a copy is no traffic of the port that gets it, so nothing is learned of it.
import * as layout from '../kernels/layout.ts'
import { ANYWHERE, type Batch } from '../ndis/batch.ts'
import { appendDestination, destinationAt } from '../ndis/destinations.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import type { PacketPool } from '../ndis/pool.ts'
import { MonitorDirection, MonitorMode, type PortTable } from './port-table.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { DE_EXCLUDED, DE_MIRROR, DE_PORT, DE_PRESERVE_PRIORITY, DE_PRESERVE_VLAN, PF_VLAN_OOB } = layout
const COPY = DE_PRESERVE_VLAN | DE_PRESERVE_PRIORITY | DE_MIRROR
const SESSIONS = 256

export interface MirroringOwner {
  /** Counts a copy of the packet in `slot` for `port` that is lost. */
  filtered(slot: number, reason: number, port: number, incoming: boolean): void
  /** Drops position `i` for `reason`, reported at `port`. */
  refuse(batch: Batch, i: number, reason: number, port: number): void
}

/** Fields are ordinary ones: it runs per packet while a port is mirrored. */
export class Mirroring {
  private readonly pool: PacketPool
  private readonly ports: PortTable
  private readonly owner: MirroringOwner
  // Session + 1 that takes copies of what a port sends and of what it gets; 0 = none.
  private readonly sent: Uint16Array
  private readonly received: Uint16Array
  // Destinations, session after session: those of session s stand from first[s] up to first[s + 1].
  private readonly destinations: Uint16Array
  private readonly first = new Uint16Array(SESSIONS + 1)
  // Ports that get everything.
  private readonly watchers: Uint16Array
  private watcherCount = 0
  private receivers = 0
  // True if copies for a port have a VLAN of their own.
  private tags = false
  private generation = -1
  /** True if something is mirrored. */
  active = false

  constructor(pool: PacketPool, ports: PortTable, owner: MirroringOwner) {
    this.pool = pool
    this.ports = ports
    this.owner = owner
    this.sent = new Uint16Array(ports.ports)
    this.received = new Uint16Array(ports.ports)
    this.destinations = new Uint16Array(ports.ports)
    this.watchers = new Uint16Array(ports.ports)
  }

  /** Rebuilds the tables if a port changed. */
  refresh(): void {
    const { ports } = this
    if (ports.generation === this.generation) return
    this.generation = ports.generation
    this.listDestinations()
    this.sent.fill(0)
    this.received.fill(0)
    this.receivers = 0
    this.active = this.watcherCount !== 0
    for (let port = 1; port <= ports.highest; port++) {
      const session = ports.monitorSession(port)
      if (ports.monitorMode(port) !== MonitorMode.source || this.first[session] === this.first[session + 1]) continue
      const direction = ports.monitorDirection(port)
      this.active = true
      if (direction !== MonitorDirection.received) this.sent[port] = session + 1
      if (direction === MonitorDirection.sent) continue
      this.received[port] = session + 1
      this.receivers |= 1 << port
    }
  }

  private listDestinations(): void {
    const { ports, first, destinations } = this
    first.fill(0)
    destinations.fill(0)
    this.watcherCount = 0
    this.tags = false
    for (let port = 1; port <= ports.highest; port++) {
      const mode = ports.monitorMode(port)
      if ((mode !== MonitorMode.destination && mode !== MonitorMode.all) || !ports.connected(port)) continue
      if (ports.monitorVlan(port) !== 0) this.tags = true
      if (mode === MonitorMode.all) this.watchers[this.watcherCount++] = port
      else first[ports.monitorSession(port) + 1]!++
    }
    for (let session = 0; session < SESSIONS; session++) first[session + 1]! += first[session]!
    for (let port = 1; port <= ports.highest; port++) {
      if (ports.monitorMode(port) !== MonitorMode.destination || !ports.connected(port)) continue
      let at = first[ports.monitorSession(port)]!
      while (destinations[at] !== 0) at++
      destinations[at] = port
    }
  }

  /** True if what `source` sends is copied, whether or not somebody gets it. */
  wants(source: number): boolean {
    return this.active && (this.sent[source] !== 0 || this.watcherCount !== 0)
  }

  /** Adds the mirror ports to every packet that a mirrored port sent or gets. ES-338 */
  add(batch: Batch): void {
    const { pool, sent, received } = this
    const isOfOne = batch.oneSource && !this.wants(pool.sourcePort[batch.slots[0]!]!)
    if (isOfOne && (batch.reached & this.receivers) === 0) return
    batch.reached = ANYWHERE
    if (this.tags) batch.mayBeTagged = true
    for (let i = 0; i < batch.length; i++) {
      const slot = batch.slots[i]!
      const count = pool.destinationCount[slot]!
      const source = pool.sourcePort[slot]!
      if (sent[source] !== 0) this.addSession(batch, slot, source, sent[source]!)
      if (this.receivers !== 0)
        for (let k = 0; k < count; k++) {
          const entry = destinationAt(pool, slot, k)
          const session = (entry & DE_EXCLUDED) === 0 ? received[entry & DE_PORT]! : 0
          if (session !== 0) this.addSession(batch, slot, source, session)
        }
      for (let k = 0; k < this.watcherCount; k++) this.addOne(batch, slot, source, this.watchers[k]!)
      if (pool.destinationCount[slot] === 0) this.owner.refuse(batch, i, pool.reason[slot]!, source)
    }
  }

  private addSession(batch: Batch, slot: number, source: number, session: number): void {
    const end = this.first[session]!
    for (let k = this.first[session - 1]!; k < end; k++) this.addOne(batch, slot, source, this.destinations[k]!)
  }

  private addOne(batch: Batch, slot: number, source: number, to: number): void {
    const { pool } = this
    if (to === source) return
    for (let k = 0; k < pool.destinationCount[slot]!; k++) if ((destinationAt(pool, slot, k) & DE_PORT) === to) return // ES-339
    if ((pool.flags[slot]! & PF_VLAN_OOB) !== 0) batch.mayBeTagged = true // copies carry the VLAN as a tag
    if (!appendDestination(pool, slot, to | COPY)) this.owner.filtered(slot, DropReason.noResources, to, false)
  }
}
