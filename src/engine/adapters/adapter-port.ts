// The connection between the switch's external port and an adapter's default VPort, as an endpoint of that port. It has no queue that
// could be polled: frames change sides within the processor that received them.
//
// The rule it must not break: the link follows the adapter: up while it runs, down from its removal on.
import type { EndpointComponents, EndpointControl } from '../../endpoints/endpoint.ts'
import type { EngineAdapter } from './engine-adapter.ts'

/** The port, and its physical adapter of a team (from 1). */
export interface PortPlace {
  readonly port: number
  readonly nicIndex: number
}

export class AdapterPort implements EndpointControl {
  readonly kind = 'adapter'
  readonly place: PortPlace
  readonly #adapter: EngineAdapter
  readonly #components: EndpointComponents

  constructor(adapter: EngineAdapter, place: PortPlace, components: EndpointComponents) {
    this.place = place
    this.#adapter = adapter
    this.#components = components
  }

  async open(): Promise<void> {
    await this.#adapter.join(this)
  }

  async close(): Promise<void> {
    await this.#adapter.part(this)
  }

  /** The adapter runs: `index` is its number on the processors. */
  async up(index: number): Promise<void> {
    const { events } = this.#components
    await events.plans([{ kind: 'adapter', index: 0, port: this.place.port, adapter: index }], [])
    events.link(true)
  }

  async down(): Promise<void> {
    const { events } = this.#components
    events.link(false)
    await events.plans([], [])
  }

  describe(): Record<string, unknown> {
    const { name, state } = this.#adapter
    return { adapter: name, state }
  }
}
