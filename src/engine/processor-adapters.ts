// The SR-IOV adapters as one processor serves them: for each the data path over this processor's packet pool, with delivery lists and
// counters of its own, and the joint with the extensible switch above its default VPort.
//
// The rule it must not break: tables belong to the control thread and are only read here.
import { AdapterPath } from '../adapter/adapter-path.ts'
import { DirectPath, type MayBeDirect } from '../adapter/direct-path.ts'
import { AdapterUplink, HostPort } from '../adapter/host-port.ts'
import { viewAdapterTables } from '../adapter/software-adapter.ts'
import type { PacketKernels } from '../kernels/by-packet.ts'
import type { DirectKernels } from '../kernels/kernels.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'
import type { PacketPool } from '../ndis/pool.ts'
import { Counters } from '../switch/counters.ts'
import type { DataPath } from '../switch/data-path.ts'
import { Delivery, type SinkQueue } from '../switch/delivery.ts'
import type { AdapterPlan } from './messages.ts'

export interface ProcessorAdaptersComponents {
  readonly memory: SharedMemory
  readonly pool: PacketPool
  readonly kernels: PacketKernels
  readonly linear: DirectKernels
  readonly dataPath: DataPath
  readonly reasonName: (reason: number) => string
  readonly nowMs: () => number
}

/** One adapter on this processor. */
export interface ServedAdapter {
  readonly path: AdapterPath
  readonly direct: DirectPath
  readonly delivery: Delivery
  readonly counters: Counters
  readonly uplink: AdapterUplink
}

export class ProcessorAdapters {
  readonly #components: ProcessorAdaptersComponents
  readonly #lists: Uint16Array
  readonly #served = new Map<number, ServedAdapter>()

  constructor(components: ProcessorAdaptersComponents) {
    this.#components = components
    const { buffer, u32 } = components.memory
    this.#lists = new Uint16Array(buffer, 0, u32.length * 2)
  }

  open(plan: AdapterPlan): void {
    const { memory, pool, kernels, linear, reasonName, nowMs } = this.#components
    const ports = plan.limits.maxNumVPorts + 1
    const counters = new Counters(memory.buffer, plan.counters, ports)
    const delivery = new Delivery(memory.buffer, plan.delivery, ports, { pool, kernels, counters, reasonName })
    const tables = viewAdapterTables(memory.buffer, plan.tables, plan.limits)
    const direct = new DirectPath(memory.buffer, plan.direct, { ...tables, kernels: linear, counters })
    const path = new AdapterPath({ ...tables, pool, counters, delivery, nowMs, direct })
    this.#served.set(plan.adapter, { path, direct, delivery, counters, uplink: new AdapterUplink(path, this.#lists) })
  }

  close(adapter: number): void {
    this.#served.delete(adapter)
  }

  /** The switch's external port stands above the default VPort; port 0: nothing does. */
  setHost(adapter: number, port: number, nicIndex: number): void {
    const { path, delivery } = this.find(adapter)
    const host = port === 0 ? undefined : new HostPort(this.#components.dataPath, this.#lists, port, nicIndex)
    path.host = host
    delivery.setQueues(0, host ? [host] : [])
  }

  /** Frames for a VPort (or the wire) go to these queues from now on. */
  setQueues(adapter: number, vport: number, queues: readonly (SinkQueue & MayBeDirect)[]): void {
    const served = this.#served.get(adapter)
    served?.delivery.setQueues(vport, queues)
    served?.direct.setQueues(vport, queues)
  }

  /** Throws for one that was not opened. */
  find(adapter: number): ServedAdapter {
    const served = this.#served.get(adapter)
    if (!served) throw new Error(`this processor serves no adapter ${adapter}`)
    return served
  }
}
