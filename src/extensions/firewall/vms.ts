// Which port is in which group, and which lane of the shared tables is whose.
//
// The rule it must not break: a port is in the first group whose patterns its name fits, on all processors alike; a lane is one VM's at a time,
// and empty when it becomes another's. Processor 0 alone hands lanes out.
import { namePattern, type PortParameters } from '../../extension.ts'
import type { FirewallOptions } from './options.ts'

/** All that a packet may name as its source. */
const PORT_IDS = 65_536
export const NO_GROUP = -1
export const NO_LANE = -1
export const LANES_BYTES = PORT_IDS * 4

export interface VmsOptions {
  readonly options: FirewallOptions
  readonly isFirst: boolean
}

export interface VmsComponents {
  /** Lane + 1 by port id, common to all processors. */
  readonly lanes: Int32Array
  readonly clear: (lane: number) => void
  readonly log: (message: string) => void
}

/** Fields are ordinary ones: they are read per packet. */
export class Vms {
  /** Group by port id, or NO_GROUP. */
  readonly groupOf = new Int16Array(PORT_IDS).fill(NO_GROUP)
  /** Ports by group. */
  readonly members: number[][]
  /** Names of ports by id. */
  readonly names = new Map<number, string>()
  private readonly lanes: Int32Array
  private readonly patterns: readonly (readonly RegExp[])[]
  private readonly owners: Int32Array
  private readonly isFirst: boolean
  private readonly components: VmsComponents

  constructor({ options, isFirst }: VmsOptions, components: VmsComponents) {
    this.lanes = components.lanes
    this.components = components
    this.isFirst = isFirst
    this.patterns = options.groups.map(({ ports }) => ports.map(namePattern))
    this.members = options.groups.map(() => [])
    this.owners = new Int32Array(options.vms)
  }

  /** The lane of a port, or NO_LANE: it is in no group, or there were no lanes left. */
  laneOf(portId: number): number {
    return this.lanes[portId]! - 1
  }

  /** Ports that have a lane. */
  ports(): number[] {
    return [...this.owners].filter((portId) => portId !== 0)
  }

  set({ portId, portName, isValidationPort }: PortParameters): void {
    if (isValidationPort || portId <= 0 || portId >= PORT_IDS || this.names.get(portId) === portName) return
    if (this.names.has(portId)) this.remove(portId)
    this.names.set(portId, portName)
    const group = this.patterns.findIndex((patterns) => patterns.some((pattern) => pattern.test(portName)))
    this.groupOf[portId] = group
    if (group === NO_GROUP) return
    this.members[group]!.push(portId)
    if (this.isFirst) this.giveLane(portId, portName)
  }

  private giveLane(portId: number, name: string): void {
    const lane = this.owners.indexOf(0)
    if (lane < 0) {
      this.components.log(
        `port "${name}" is one VM more than "vms" allows (${this.owners.length}): no answers reach it; raise "vms"`,
      )
      return
    }
    this.owners[lane] = portId
    this.components.clear(lane)
    Atomics.store(this.lanes, portId, lane + 1)
  }

  remove(portId: number): void {
    if (!this.names.delete(portId)) return
    const group = this.groupOf[portId]!
    this.groupOf[portId] = NO_GROUP
    if (group === NO_GROUP) return
    this.members[group] = this.members[group]!.filter((member) => member !== portId)
    const lane = this.laneOf(portId)
    if (!this.isFirst || lane < 0) return
    Atomics.store(this.lanes, portId, 0)
    this.owners[lane] = 0
  }
}
