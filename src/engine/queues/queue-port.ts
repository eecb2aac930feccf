// The connection between the switch's external port and an adapter in VMQ mode, as an endpoint of that port: the adapter's uplink, whose
// rings' frames are given to receive queues before they enter the switch. What the switch sends goes out by the same rings.
//
// The rule it must not break: the adapter's queues are there before its rings are served, and go after them.
import type { EndpointComponents, EndpointControl } from '../../endpoints/endpoint.ts'
import type { WindowAllocator } from '../../vhost-user/window-allocator.ts'
import type { PortPlace } from '../adapters/adapter-port.ts'
import { createEndpoint, type EndpointConfig } from '../endpoint-factory.ts'
import type { QueueRingPlan } from './queue-plan.ts'

export interface QueuePortOptions {
  readonly place: PortPlace
  readonly adapter: { readonly index: number; readonly name: string }
  readonly uplink: EndpointConfig | null
}

export interface QueuePortComponents extends EndpointComponents {
  readonly windows: WindowAllocator
  /** The port stands above the adapter from now on. */
  readonly join: (uplink: EndpointControl | null) => Promise<void>
  /** The uplink has so many rings, and processors poll them. */
  readonly ringsChanged: (rings: number) => void
  /** The port is about to close: its VMs' queues go. */
  readonly parting: () => Promise<void>
  readonly part: () => Promise<void>
}

export class QueuePort implements EndpointControl {
  readonly kind = 'adapter'
  readonly #options: QueuePortOptions
  readonly #components: QueuePortComponents
  readonly #uplink: EndpointControl | null
  #isOpen = false

  constructor(options: QueuePortOptions, components: QueuePortComponents) {
    this.#options = options
    this.#components = components
    this.#uplink = this.#createUplink()
  }

  #createUplink(): EndpointControl | null {
    const { uplink, place, adapter } = this.#options
    if (uplink === null) return null
    const { memory, windows, events, ringsChanged } = this.#components
    return createEndpoint(uplink, place.port, {
      memory,
      windows,
      announce: () => {},
      adapterPort: () => {
        throw new Error(`the uplink of adapter "${adapter.name}" can't be an adapter`)
      },
      events: {
        ...events,
        plans: async (plans, planWindows) => {
          if (plans.length === 0) ringsChanged(0)
          const rings = plans.map((plan): QueueRingPlan => ({ ...plan, queueAdapter: adapter.index }))
          await events.plans(rings, planWindows)
          if (plans.length > 0) ringsChanged(plans.length)
        },
      },
    })
  }

  /** The control half of what the adapter's physical port is connected to. */
  get uplink(): EndpointControl | null {
    return this.#uplink
  }

  async open(): Promise<void> {
    await this.#components.join(this.#uplink)
    this.#isOpen = true
    await this.#uplink?.open()
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    await this.#components.parting()
    await this.#uplink?.close()
    await this.#components.part()
  }

  describe(): Record<string, unknown> {
    const { name } = this.#options.adapter
    return { adapter: name, mode: 'vmq', ...this.#uplink?.describe() }
  }
}
