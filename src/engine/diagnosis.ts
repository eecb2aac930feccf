// Looks into a running switch: what it dropped last, and why.
//
// The rule it must not break: looking changes nothing, and nobody waits for it.
import type { SharedMemory } from '../linux/shared-memory.ts'
import { DROP_REASONS_MAX } from '../ndis/drop-reasons.ts'
import { DATA_PATH_LIST_BYTES } from '../switch/data-path.ts'
import { deliveryListBytes } from '../switch/delivery.ts'
import type { TraceStep } from '../switch/dry-run-steps.ts'
import type { ReasonRegistry } from '../switch/reason-registry.ts'
import { dropsOf } from './figures.ts'
import type { ProcessorSet } from './processor-set.ts'
import type { PortDrops } from './switch-config.ts'

/** A drop that was kept, with names for numbers. */
export interface LastDrop {
  /** Since 1970; nanoseconds of that second. */
  readonly seconds: number
  readonly nanoseconds: number
  readonly port: string
  /** The port that the frame came from, where a frame is known. */
  readonly sourcePort: string
  /** Counted at the source, or at a destination that the frame did not get to. */
  readonly incoming: boolean
  readonly reason: string
  /** Extension that dropped it; '' for the switch itself. */
  readonly module: string
  readonly processor: number
  /** Counts up from 0 on its processor. */
  readonly number: number
  readonly packetId: number
  /** Bytes of the frame; 0: no frame is known. */
  readonly length: number
  /** 802.1Q tag out of band; -1: none. */
  readonly tag: number
  /** Frames that this one stands for. */
  readonly frames: number
  /** More of this port and reason before it that were counted and not kept. */
  readonly unkept: number
  readonly header: Uint8Array
}

/** What the rings of all processors say. */
export interface LastDrops {
  /** Frames that they counted since the switch started, by reason. */
  readonly counted: Record<string, number>
  /** Drops that are kept, those that nobody asked for included. */
  readonly kept: number
  /** Oldest first. */
  readonly drops: readonly LastDrop[]
}

export interface DiagnosisComponents {
  readonly memory: SharedMemory
  /** Throws UnknownPortError. */
  readonly portId: (port: string) => number
  readonly processors: ProcessorSet
  readonly reasons: ReasonRegistry
  /** Ports that there are: id and name. */
  readonly ports: () => Iterable<readonly [id: number, name: string]>
}

const PAGE = 4096
const SWITCH_PORT = [0, 'extensions'] as const

export class SwitchDiagnosis {
  readonly #components: DiagnosisComponents

  constructor(components: DiagnosisComponents) {
    this.#components = components
  }

  /**
   * The way of a frame (14 to 65 562 bytes) from port `port` through the switch: the authoritative processor's data path decides, and sends
   * nothing. Extensions are called; what they remember of it, they remember. Throws UnknownPortError.
   */
  async trace(port: string, frame: Uint8Array): Promise<readonly TraceStep[]> {
    const { memory, processors, portId } = this.#components
    const id = portId(port)
    const deliveryBytes = deliveryListBytes(processors.counters[0]!.ports)
    const list = memory.allocate(DATA_PATH_LIST_BYTES, PAGE)
    const deliveryList = memory.allocate(deliveryBytes, PAGE)
    try {
      const request = { kind: 'trace', port: id, frame, list, deliveryList } as const
      const steps = await processors.clients[0]!.request<readonly TraceStep[] | undefined>(request)
      if (steps === undefined) throw new Error('the switch has no room for one more packet: try again')
      return steps
    } finally {
      memory.free(list, DATA_PATH_LIST_BYTES)
      memory.free(deliveryList, deliveryBytes)
    }
  }

  /** Drops by port and reason; ports and reasons without any are left out. */
  drops(): PortDrops[] {
    const { processors, reasons, ports } = this.#components
    return dropsOf([SWITCH_PORT, ...ports()], processors.counters, reasons)
  }

  /** The drops that are kept and wanted, at most the newest `last` of them. */
  lastDrops(last: number, isWanted: (drop: LastDrop) => boolean = () => true): LastDrops {
    const { processors, reasons, ports } = this.#components
    const names = new Map<number, string>([SWITCH_PORT, ...ports()])
    const nameOf = (id: number): string => names.get(id) ?? `port ${id}`
    const kept = processors.drops.flatMap((ring, processor) =>
      ring.entries().map(
        (drop): LastDrop => ({
          ...drop,
          port: nameOf(drop.port),
          sourcePort: nameOf(drop.sourcePort),
          reason: reasons.name(drop.reason),
          processor,
        }),
      ),
    )
    const wanted = kept.filter(isWanted).sort((a, b) => a.seconds - b.seconds || a.nanoseconds - b.nanoseconds)
    const counted: Record<string, number> = {}
    for (let reason = 0; reason < DROP_REASONS_MAX; reason++) {
      const frames = processors.drops.reduce((sum, ring) => sum + ring.count(reason), 0)
      if (frames > 0) counted[reasons.name(reason)] = frames
    }
    return { counted, kept: kept.length, drops: last === 0 ? [] : wanted.slice(-last) }
  }
}
