// Virtual subnets as one processor knows them: which number each has, which ports of this switch are in it, and which peers floods go to.
//
// The rule it must not break: lists of ports follow the port table; a subnet that is not known here has the number 0, and no overlay.
import { PortFlag, type PortTable } from '../port-table.ts'
import type { OverlayChange } from './plan.ts'

const NOBODY: readonly number[] = []

/** Fields are ordinary ones: they are read per packet. */
export class OverlaySubnets {
  /** Number of each port's subnet; 0: it has none. */
  readonly ofPort: Uint16Array
  /** The external port; 0: there is none. */
  external = 0
  /** True if a port is in a subnet. */
  active = false
  /** True if a port is in a subnet that is not known here. */
  strangers = false
  /** Changes with what ports and subnets there are. */
  version = 0
  private readonly ports: PortTable
  private readonly indices = new Map<number, number>()
  private readonly peersOf = new Map<number, readonly number[]>()
  private portsOf = new Map<number, readonly number[]>()
  private generation = -1
  private lastVsid = 0
  private lastIndex = 0

  constructor(ports: PortTable) {
    this.ports = ports
    this.ofPort = new Uint16Array(ports.ports)
  }

  change({ subnet, vsid, peers }: OverlayChange['subnets'][number]): void {
    if (peers === undefined) {
      this.indices.delete(vsid)
      this.peersOf.delete(subnet)
    } else {
      this.indices.set(vsid, subnet)
      this.peersOf.set(subnet, peers)
    }
    this.generation = -1
  }

  /** Follows the port table. */
  refresh(): void {
    const { ports } = this
    if (ports.generation === this.generation) return
    this.generation = ports.generation
    this.lastVsid = 0
    this.lastIndex = 0
    this.external = 0
    this.active = false
    this.strangers = false
    this.ofPort.fill(0)
    const lists = new Map<number, number[]>()
    for (let port = 1; port <= ports.highest; port++) {
      if (!ports.connected(port)) continue
      const flags = ports.flags(port)
      if ((flags & PortFlag.external) !== 0) this.external = port
      const vsid = ports.subnet(port)
      if (vsid === 0 || (flags & PortFlag.externalSubnet) !== 0) continue
      const index = this.indices.get(vsid) ?? 0
      if (index === 0) {
        this.strangers = true
        continue
      }
      this.ofPort[port] = index
      this.active = true
      const list = lists.get(index)
      if (list === undefined) lists.set(index, [port])
      else list.push(port)
    }
    this.portsOf = lists
    this.version++
  }

  /** Number of virtual subnet `vsid`, or 0. */
  index(vsid: number): number {
    if (vsid === this.lastVsid) return this.lastIndex
    this.lastIndex = this.indices.get(vsid) ?? 0
    this.lastVsid = vsid
    return this.lastIndex
  }

  /** Identifiers of the virtual subnets, with their numbers. */
  known(): Iterable<readonly [vsid: number, subnet: number]> {
    return this.indices
  }

  portsIn(index: number): readonly number[] {
    return this.portsOf.get(index) ?? NOBODY
  }

  peersIn(index: number): readonly number[] {
    return this.peersOf.get(index) ?? NOBODY
  }
}
