// The default VPort of an adapter that has the extensible switch above it. Frames for it are noted while their burst goes through the NIC
// switch; when all its other destinations are served, the switch takes them over as a burst from its external port, in the same slots.
// And the external port's queue, which hands to the adapter what the switch sends.
//
// The rule it must not break: the switch may change what it takes over, so it comes last; a frame never returns to where it came from.
import { BURST_SLOTS, OFFLOAD_CHECKSUM, OFFLOAD_ECN, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from '../kernels/layout.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import type { SinkQueue } from '../switch/delivery.ts'
import type { AdapterPath } from './adapter-path.ts'

/** All offloads that make sense: packets change hands, nothing leaves the host yet. */
const ALL_OFFLOADS = OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_ECN | OFFLOAD_USO

/** The extensible switch, as it stands above an adapter: see switch/data-path.ts. */
export interface SwitchAbove {
  takeOver(list: Uint16Array, count: number, port: number, nicIndex: number): void
  settle(): void
}

/** Where the default VPort leads. Fields are ordinary ones: they are read per burst. */
export class HostPort implements SinkQueue {
  readonly offloads = ALL_OFFLOADS
  readonly refusal: number = DropReason.noResources
  /** Packets noted. */
  waiting = 0
  private readonly above: SwitchAbove
  private readonly port: number
  private readonly nicIndex: number
  private readonly memory: Uint16Array
  private readonly slots = new Uint16Array(BURST_SLOTS)
  private handed = false

  /** `memory` views what lists lie in, from address 0; `port`: the external port, `nicIndex`: the adapter's index in a team, or 0. */
  constructor(above: SwitchAbove, memory: Uint16Array, port: number, nicIndex: number) {
    this.above = above
    this.memory = memory
    this.port = port
    this.nicIndex = nicIndex
  }

  /** Notes the packets whose slots stand at `list`. */
  deliver(list: number, count: number): number {
    const taken = Math.min(count, BURST_SLOTS - this.waiting)
    for (let i = 0, at = list >> 1; i < taken; i++) this.slots[this.waiting++] = this.memory[at + i]!
    return taken
  }

  /** The switch takes what was noted. */
  handOver(): void {
    const count = this.waiting
    this.waiting = 0
    this.handed = true
    this.above.takeOver(this.slots, count, this.port, this.nicIndex)
  }

  /** The burst is completed: what extensions made of it goes its way. */
  settle(): void {
    if (!this.handed) return
    this.handed = false
    this.above.settle()
  }
}

/** The queue of the switch's external port: sends through the adapter. */
export class AdapterUplink implements SinkQueue {
  readonly offloads = ALL_OFFLOADS
  readonly refusal: number = DropReason.none
  private readonly path: AdapterPath
  private readonly memory: Uint16Array

  constructor(path: AdapterPath, memory: Uint16Array) {
    this.path = path
    this.memory = memory
  }

  deliver(list: number, count: number): number {
    this.path.send(this.memory, list >> 1, count)
    return count
  }
}
