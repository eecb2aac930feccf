// One SR-IOV adapter of a running switch: the model on the control thread, its tables in shared memory, its part on every processor, and
// what its physical port is connected to.
//
// The rule it must not break: memory and counters of the data path are given back only when no processor uses them.
import type { AdapterIndication } from '../../adapter/adapter.ts'
import { limitsFor } from '../../adapter/capabilities.ts'
import { directPathBytes } from '../../adapter/direct-path.ts'
import { Registry } from '../../adapter/keywords.ts'
import { adapterTablesBytes, SoftwareAdapter, sriovKeywords } from '../../adapter/software-adapter.ts'
import { vportStatistics } from '../../adapter/statistics.ts'
import { PacketFilter } from '../../adapter/vport-table.ts'
import type { EndpointControl } from '../../endpoints/endpoint.ts'
import type { SharedMemory } from '../../linux/shared-memory.ts'
import { Counters, countersBytes } from '../../switch/counters.ts'
import { deliveryListBytes } from '../../switch/delivery.ts'
import type { WindowAllocator } from '../../vhost-user/window-allocator.ts'
import type { AdapterConfig } from '../adapter-config.ts'
import { createEndpoint } from '../endpoint-factory.ts'
import type { ProcessorSet } from '../processor-set.ts'
import { ServedQueues } from '../served-queues.ts'
import type { AdapterPort } from './adapter-port.ts'

/** What the PF passes up to the switch: everything that no filter gives to a VF. */
const SWITCH_FILTER =
  PacketFilter.directed | PacketFilter.multicast | PacketFilter.allMulticast | PacketFilter.broadcast | PacketFilter.promiscuous

export interface EngineAdapterOptions {
  /** Number of the adapter on the processors. */
  readonly index: number
  readonly config: AdapterConfig
}

export interface EngineAdapterComponents {
  readonly memory: SharedMemory
  readonly windows: WindowAllocator
  readonly processors: ProcessorSet
  readonly nowMs: () => number
  readonly event: (code: string, message: string) => void
  readonly indicate: (indication: AdapterIndication) => void
  /** A VPort is gone: its queues are withdrawn when this settles. */
  readonly vportGone: (vport: number) => Promise<void>
  /** The switch's port with this id stands above the default VPort from now on; 0: none does. */
  readonly hostChanged: (port: number) => void
}

/** What an adapter has while it runs. */
interface Running {
  readonly software: SoftwareAdapter
  readonly counters: readonly Counters[]
  readonly wire: ServedQueues
  readonly uplink: EndpointControl | null
  readonly release: () => void
}

export class EngineAdapter {
  readonly config: AdapterConfig
  readonly index: number
  readonly limits: ReturnType<typeof limitsFor>
  readonly #components: EngineAdapterComponents
  readonly #ports = new Set<AdapterPort>()
  #running: Running | null = null
  #linkUp = false

  constructor({ index, config }: EngineAdapterOptions, components: EngineAdapterComponents) {
    this.index = index
    this.config = config
    this.limits = limitsFor(config.vfs)
    this.#components = components
  }

  get name(): string {
    return this.config.name
  }

  get state(): 'running' | 'removed' {
    return this.#running ? 'running' : 'removed'
  }

  /** The model; undefined while the adapter is removed. */
  get software(): SoftwareAdapter | undefined {
    return this.#running?.software
  }

  /** Counters of the processors: ids are those of VPorts, and `limits.maxNumVPorts` for the wire. */
  get counters(): readonly Counters[] {
    return this.#running?.counters ?? []
  }

  /** The physical port's link; without an uplink it is up: the NIC switch works. */
  get linkUp(): boolean {
    return this.#running !== null && (this.config.uplink === null || this.#linkUp)
  }

  /** The control half of what the physical port is connected to. */
  get uplink(): EndpointControl | null {
    return this.#running?.uplink ?? null
  }

  /** A switch port stands above the default VPort. */
  get joined(): boolean {
    return this.#ports.size > 0
  }

  /** Starts the adapter: initialization, CREATE_SWITCH, the uplink. If a step fails, everything done so far is undone. */
  async start(): Promise<void> {
    if (this.#running) return
    const { memory, processors, nowMs, event, indicate, vportGone } = this.#components
    const { config, limits, index } = this
    const ports = limits.maxNumVPorts + 1
    const parts = {
      tables: adapterTablesBytes(limits),
      delivery: deliveryListBytes(ports),
      counters: countersBytes(ports),
      direct: directPathBytes(limits.maxNumVPorts),
    }
    const taken: [number, number][] = []
    const take = (bytes: number): number => {
      const at = memory.allocate(bytes, 4096)
      taken.push([at, bytes])
      return at
    }
    const release = () => {
      for (const [at, bytes] of taken) memory.free(at, bytes)
    }
    try {
      const tables = take(parts.tables)
      const own = processors.clients.map(() => ({
        delivery: take(parts.delivery),
        counters: take(parts.counters),
        direct: take(parts.direct),
      }))
      const counters = own.map((addresses) => new Counters(memory.buffer, addresses.counters, ports))
      await processors.all((i) => ({ kind: 'adapter', plan: { adapter: index, limits, tables, ...own[i]! } }))
      const software = new SoftwareAdapter(
        {
          limits,
          mac: config.mac,
          mtu: config.mtu,
          speedMbps: config.speedMbps,
          location: { segment: 0, bus: 1 + index, device: 0 },
        },
        {
          buffer: memory.buffer,
          at: tables,
          registry: new Registry(sriovKeywords(config.vfs)),
          nowMs,
          statistics: (vport) => vportStatistics(counters, vport),
          indicate,
          report: (code, rule, message) => event(code, rule === '' ? message : `${message} (${rule})`),
          vportGone: async (vport) => {
            await vportGone(vport)
            for (const own of counters) own.clearPort(vport)
          },
        },
      )
      await software.adapter.start()
      const wire = new ServedQueues({ kind: 'vport', adapter: index, vport: limits.maxNumVPorts }, index, {
        memory,
        processors,
        failed: (error) => event('queues-failed', error.message),
      })
      this.#running = { software, counters, wire, uplink: this.#uplink(wire), release }
      if (config.uplink !== null) software.pf.setWire(true, false)
      await this.#running.uplink?.open()
      for (const port of this.#ports) await this.#connect(port)
    } catch (error) {
      if (this.#running) await this.#stop()
      else {
        await processors.all(() => ({ kind: 'adapter-gone', adapter: index })).catch(() => undefined)
        release()
      }
      throw error
    }
  }

  #uplink(wire: ServedQueues): EndpointControl | null {
    const { config, limits } = this
    const { memory, windows, event } = this.#components
    if (config.uplink === null) return null
    const endpoint = 'mtu' in config.uplink ? { ...config.uplink, mtu: config.mtu } : config.uplink
    return createEndpoint(endpoint, limits.maxNumVPorts, {
      memory,
      windows,
      announce: () => {},
      adapterPort: () => {
        throw new Error(`the uplink of adapter "${config.name}" can't be an adapter`)
      },
      events: {
        plans: (plans, planWindows) => wire.set(plans, planWindows),
        link: (up) => {
          this.#linkUp = up
          this.#running?.software.pf.setWire(true, up)
        },
        event,
      },
    })
  }

  /** The switch's port stands above the default VPort from now on. */
  async join(port: AdapterPort): Promise<void> {
    if (this.joined) throw new Error(`adapter "${this.name}" is connected to a port already`)
    this.#ports.add(port)
    if (this.#running) await this.#connect(port)
  }

  async #connect(port: AdapterPort): Promise<void> {
    const { processors } = this.#components
    await processors.all(() => ({ kind: 'adapter-host', adapter: this.index, ...port.place }))
    this.#running!.software.pf.setPacketFilter(SWITCH_FILTER)
    await port.up(this.index)
    this.#components.hostChanged(port.place.port)
  }

  async part(port: AdapterPort): Promise<void> {
    if (!this.#ports.delete(port) || !this.#running) return
    await this.#disconnect(port)
  }

  async #disconnect(port: AdapterPort): Promise<void> {
    this.#components.hostChanged(0)
    this.#running!.software.pf.setPacketFilter(PacketFilter.directed | PacketFilter.multicast | PacketFilter.broadcast)
    await port.down()
    await this.#components.processors.all(() => ({ kind: 'adapter-host', adapter: this.index, port: 0, nicIndex: 0 }))
  }

  /** The adapter is pulled out: nothing can be asked of it any more (SR-307, SR-308). Its VFs are gone already when `stop` follows. */
  surpriseRemove(): void {
    this.#running?.software.adapter.surpriseRemove()
  }

  /** Halts the adapter and gives everything back. VFs, VPorts and filters are gone, or the adapter was surprise-removed. */
  async stop(): Promise<void> {
    if (this.#running) await this.#stop()
  }

  async #stop(): Promise<void> {
    const { software, uplink, wire, release } = this.#running!
    const { processors } = this.#components
    for (const port of this.#ports) await this.#disconnect(port)
    await uplink?.close()
    software.pf.setWire(false, false)
    this.#linkUp = false
    this.#running = null
    // What others than the switch have made of the adapter goes with it.
    await software.adapter.halt().catch(async () => {
      software.adapter.surpriseRemove()
      await software.adapter.halt()
    })
    await wire.set([])
    await processors.all(() => ({ kind: 'adapter-gone', adapter: this.index }))
    release()
  }
}
