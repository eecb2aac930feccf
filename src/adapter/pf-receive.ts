// What the PF miniport indicates from its VPorts to the host's stack, on one processor: frames of one VPort in one indication, with the
// VPort's id beside them, on the processor of the VPort's affinity.
//
// The rule it must not break: who gets the frames of a nondefault VPort follows from its id, never from a look at their addresses (SR-235).
import type { SinkQueue } from '../switch/delivery.ts'
import { DEFAULT_RECEIVE_QUEUE_ID } from './identifiers.ts'
import type { RssSteering } from './rss/rss-steering.ts'

/** NDIS_NET_BUFFER_LIST_FILTERING_INFO: beside every frame of an indication. */
export interface FilteringInfo {
  readonly vPortId: number
  /** Under SR-IOV always 0 (SR-233). */
  readonly queueId: number
  /** Always 0 (SR-232). */
  readonly filterId: number
}

/** Takes the frames of slots `list` (linear address of u16s); returns how many. */
export type Indicate = (info: FilteringInfo, list: number, count: number) => number

export interface PfReceiveOptions {
  /** Number of the processor that this object belongs to. */
  readonly processor: number
}

export interface PfReceiveComponents {
  /** The first processor of a VPort's affinity; undefined: any will do. */
  readonly processorOf: (vPortId: number) => number | undefined
  /** Interrupts another processor, which indicates the frames there. Returns how many it takes. */
  readonly handOver: (processor: number, info: FilteringInfo, list: number, count: number) => number
  /** Chooses processors by RSS, instead of `processorOf`, where the adapter has RSS on VPorts of the PF. */
  readonly rss?: RssSteering
  /** Offloads that the host's stack takes, and the drop reason of what it refuses. */
  readonly offloads: number
  readonly refusal: number
}

const NO_FILTER = 0

export class PfReceive {
  readonly #processor: number
  readonly #components: PfReceiveComponents
  readonly #upward = new Map<number, Indicate>()

  constructor({ processor }: PfReceiveOptions, components: PfReceiveComponents) {
    this.#processor = processor
    this.#components = components
  }

  /**
   * Says where the frames of a VPort go: for the default VPort the extensible switch, which looks addresses up; for any other the port of
   * its VM.
   */
  bind(vPortId: number, indicate: Indicate): void {
    this.#upward.set(vPortId, indicate)
  }

  unbind(vPortId: number): void {
    this.#upward.delete(vPortId)
  }

  /** Indicates frames on this processor: what `handOver` of another one leads to. Frames of a VPort that is gone are not taken (SR-190). */
  indicate(info: FilteringInfo, list: number, count: number): number {
    return this.#upward.get(info.vPortId)?.(info, list, count) ?? 0
  }

  /** The queue that the NIC switch delivers to for a VPort of the PF. */
  sink(vPortId: number): SinkQueue {
    const { processorOf, handOver, offloads, refusal, rss } = this.#components
    const info: FilteringInfo = { vPortId, queueId: DEFAULT_RECEIVE_QUEUE_ID, filterId: NO_FILTER } // SR-227, SR-232
    const here = (list: number, count: number): number => this.indicate(info, list, count)
    if (rss) {
      const outlet = { here, handOver: (to: number, list: number, count: number) => handOver(to, info, list, count) }
      return { offloads, refusal, deliver: (list, count) => rss.receive(vPortId, list, count, outlet) }
    }
    return {
      offloads,
      refusal,
      deliver: (list, count) => {
        const processor = processorOf(vPortId) ?? this.#processor // SR-234
        return processor === this.#processor ? here(list, count) : handOver(processor, info, list, count)
      },
    }
  }
}
