// One port with its endpoint: when the endpoint's queues and link come and go, the port's connection follows (NIC_CONNECT and
// NIC_DISCONNECT), and the processors get or lose the queues.
//
// The rule it must not break: what a plan names is given up only after every processor has let go of it.
import type { EndpointComponents, EndpointControl, QueuePlan, WindowPlan } from '../endpoints/endpoint.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'
import { reverseArp } from '../packet/build.ts'
import type { SwitchControl } from '../switch/control.ts'
import type { WindowAllocator } from '../vhost-user/window-allocator.ts'
import { createEndpoint, type EndpointConfig } from './endpoint-factory.ts'
import type { ProcessorSet } from './processor-set.ts'
import type { ServedPairs } from './rss/running-rss.ts'
import { ServedQueues } from './served-queues.ts'

/** Something that happened on a port. */
export interface PortEvent {
  readonly port: string
  readonly code: string
  readonly message: string
}

export interface PortRunnerOptions {
  /** The connection that follows the endpoint: 0, or a physical adapter of an external port. */
  readonly nicIndex?: number
  /** The connection's MTU is set by configuration and does not follow the endpoint's. */
  readonly ownMtu?: boolean
  /** The external port has several physical adapters. */
  readonly team?: boolean
  readonly id: number
  readonly name: string
  readonly endpoint: EndpointConfig
}

export interface PortRunnerComponents {
  /** The guest or peer has stopped: the port's connection is about to be disconnected. */
  readonly stopping?: () => Promise<void>
  readonly memory: SharedMemory
  readonly windows: WindowAllocator
  readonly processors: ProcessorSet
  readonly control: SwitchControl
  readonly event: (event: PortEvent) => void
  /** The control half of a port that an SR-IOV adapter stands below. */
  readonly adapterPort: (
    adapter: string,
    place: { readonly port: number; readonly nicIndex: number },
    components: EndpointComponents,
  ) => EndpointControl
  /** The port's connection was connected. */
  readonly connected?: () => Promise<void>
  /** The link of the endpoint, before anything follows it; `address`: of its interface, where it has one. */
  readonly linked?: (up: boolean, address: unknown) => void
  /** The queue pairs of a guest have changed. */
  readonly pairsChanged?: (served: ServedPairs) => Promise<void>
}

/** A port and its endpoint. */
export class PortRunner {
  readonly id: number
  readonly name: string
  readonly endpoint: EndpointControl
  readonly config: EndpointConfig
  readonly #components: PortRunnerComponents
  readonly #nicIndex: number
  readonly #options: PortRunnerOptions
  readonly #served: ServedQueues
  #linkUp = false
  #closed = false
  /** The connection stays as it is, whatever the endpoint does: its port is being moved to another switch or from one. */
  #held: 'no' | 'held' | 'until-up' = 'no'
  #stopped: (() => void)[] = []
  /** Address of a guest that moved here and is to be announced once the port is connected. */
  #moved: Uint8Array | undefined
  #steps: Promise<unknown> = Promise.resolve()

  constructor(options: PortRunnerOptions, components: PortRunnerComponents) {
    this.id = options.id
    this.name = options.name
    this.config = options.endpoint
    this.#nicIndex = options.nicIndex ?? 0
    this.#options = options
    this.#components = components
    const { memory, windows, processors, adapterPort } = components
    const target = { kind: 'port', port: this.id, nicIndex: this.#nicIndex, team: options.team ?? false } as const
    this.#served = new ServedQueues(target, this.id - 1, {
      memory,
      processors,
      failed: (error) => components.event({ port: this.name, code: 'queues-failed', message: error.message }),
    })
    this.endpoint = createEndpoint(options.endpoint, options.id, {
      memory,
      windows,
      adapterPort: (name, portComponents) => adapterPort(name, { port: this.id, nicIndex: this.#nicIndex }, portComponents),
      announce: (mac) => {
        this.#moved = mac
        this.#follow()
      },
      events: {
        plans: (plans, planWindows) => this.#setPlans(plans, planWindows),
        link: (up) => {
          this.#linkUp = up
          components.linked?.(up, this.endpoint.describe().address)
          if (up && this.#held === 'until-up') this.#held = 'no'
          if (!up) for (const stopped of this.#stopped.splice(0)) stopped()
          this.#follow()
        },
        mtu: (bytes) => this.#followMtu(bytes),
        event: (code, message) => components.event({ port: this.name, code, message }),
      },
    })
  }

  // NIC_UPDATED of the physical adapter, and of the external adapter where that is its only one.
  #followMtu(mtu: number): void {
    const { control, event } = this.#components
    if (this.#options.ownMtu) return
    const indexes = this.#options.team ? [this.#nicIndex] : [...new Set([0, this.#nicIndex])]
    this.#steps = this.#steps.then(async () => {
      try {
        for (const index of indexes) await control.updateNic(this.id, { mtu }, index)
      } catch (error) {
        if (!this.#closed) event({ port: this.name, code: 'mtu-refused', message: (error as Error).message })
      }
    })
  }

  /** Has the port's queue pairs polled by `processor` and those of `among` that follow. */
  polledFrom(processor: number, among?: readonly number[]): Promise<void> {
    return this.#served.polledFrom(processor, among)
  }

  get linkUp(): boolean {
    return this.#linkUp
  }

  get queues(): number {
    return this.#served.count
  }

  async #setPlans(plans: readonly QueuePlan[], windows: readonly WindowPlan[]): Promise<void> {
    await this.#served.set(plans, windows)
    await this.#pairsChanged(plans.filter(({ receives }) => receives !== false).length)
    this.#follow()
  }

  // Frames to the wire, or to a team, are spread by the switch itself. A guest that is gone for a while finds its table as it was.
  async #pairsChanged(count: number, isGone = false): Promise<void> {
    const { id: port, name, config } = this
    if (this.#nicIndex !== 0 || (config.kind !== 'vhost-user' && config.kind !== 'tap')) return
    if (count === 0 && !isGone) return
    const processorOf = (queuePair: number): number => this.#served.processorOf(queuePair)
    await this.#components.pairsChanged?.({ port, name, receiving: count, processorOf })
  }

  // The connection is connected while the link is up and there are queues.
  #follow(): void {
    if (this.#closed || this.#held !== 'no') return
    const { control, connected, stopping, event } = this.#components
    this.#steps = this.#steps.then(async () => {
      if (this.#held !== 'no') return
      try {
        if (this.#linkUp && this.#served.count > 0) {
          await control.connect(this.id, this.#nicIndex)
          await connected?.()
          await this.#announce()
        } else {
          await stopping?.()
          await control.disconnect(this.id, this.#nicIndex)
        }
      } catch (error) {
        if (!this.#closed) event({ port: this.name, code: 'connect-refused', message: (error as Error).message })
      }
    })
  }

  // A reverse ARP from the guest's address, as though it came from the guest: all switches on its way learn where it is now.
  async #announce(): Promise<void> {
    const mac = this.#moved
    if (mac === undefined) return
    this.#moved = undefined
    const [first] = this.#components.processors.clients
    await first!.request({ kind: 'inject', port: this.id, frame: reverseArp(mac) })
  }

  /** From now on the connection stays as it is when its peer stops or goes. Returns when what was under way is done. */
  async hold(): Promise<void> {
    this.#held = 'held'
    await this.#steps
  }

  /** Follows the endpoint again. */
  release(): void {
    this.#held = 'no'
    this.#follow()
  }

  /** Follows the endpoint again once its link is up: the peer is expected. */
  expect(): void {
    this.#held = this.#linkUp ? 'no' : 'until-up'
    this.#follow()
  }

  get isHeld(): boolean {
    return this.#held === 'held'
  }

  /** Whether the peer has stopped; waits for that at most `timeoutMs`. */
  stopped(timeoutMs: number): Promise<boolean> {
    if (!this.#linkUp) return Promise.resolve(true)
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs)
      this.#stopped.push(() => {
        clearTimeout(timer)
        resolve(true)
      })
    })
  }

  /** Opens the endpoint. Throws with what is wrong. */
  open(): Promise<void> {
    return this.endpoint.open()
  }

  /** The other ports stand: what the endpoint brings by itself may come. Throws with what is wrong. */
  begin(): void {
    this.endpoint.begin?.()
  }

  /** Closes the endpoint; its queues are withdrawn from the processors before it gives anything back. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#steps
    await this.endpoint.close()
    await this.#pairsChanged(0, true)
  }
}
