// The control half of a TAP interface of the host: creates or opens it, negotiates offloads, brings it up, and notices its removal.
// Addresses, bridges and routes of the interface are the user's business.
//
// The rule it must not break: the interface's removal by someone else harms this port only.
import { OFFLOAD_CHECKSUM, OFFLOAD_ECN, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO, VNET_HEADER } from '../../kernels/layout.ts'
import { errnoName } from '../../linux/errors.ts'
import { closeFdAside } from '../../linux/files.ts'
import {
  bringInterfaceUp,
  interfaceAddress,
  interfaceIsUp,
  interfaceMtu,
  openTap,
  setInterfaceMtu,
  setTapOffloads,
  type Tap,
  TunOffload,
} from '../../linux/tap.ts'
import type { EndpointComponents, EndpointControl, EndpointOptions } from '../endpoint.ts'
import { TroubleDesk } from '../trouble.ts'
import type { TapPlan } from './tap-queue.ts'

/** Queues that a TAP may have here; the kernel takes 256. */
export const TAP_QUEUES_MAX = 16

export interface TapOptions extends EndpointOptions {
  /** Interface name, at most 15 bytes; the kernel chooses "tapN" where there is none. */
  readonly name?: string
  /** MTU in bytes; left as it is where there is none. */
  readonly mtu?: number
  /** Brings the interface up (default). */
  readonly up?: boolean
  /** Queue pairs, 1 to TAP_QUEUES_MAX (default 1). */
  readonly queues?: number
}

// What the kernel may be asked for, best first; older kernels lack the later additions.
const OFFLOAD_CHOICES = [
  {
    tun: TunOffload.checksum | TunOffload.tso4 | TunOffload.tso6 | TunOffload.ecn | TunOffload.uso4 | TunOffload.uso6,
    offloads: OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_ECN | OFFLOAD_USO,
  },
  {
    tun: TunOffload.checksum | TunOffload.tso4 | TunOffload.tso6 | TunOffload.ecn,
    offloads: OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_ECN,
  },
  { tun: TunOffload.checksum, offloads: OFFLOAD_CHECKSUM },
  { tun: 0, offloads: 0 },
]

export class TapEndpoint implements EndpointControl {
  readonly kind = 'tap'
  readonly #options: TapOptions
  readonly #components: EndpointComponents
  #taps: Tap[] = []
  #offloads = 0
  #desk: TroubleDesk | null = null
  #removed = false

  constructor(options: TapOptions, components: EndpointComponents) {
    this.#options = options
    this.#components = components
  }

  async open(): Promise<void> {
    const { port, mtu, queues = 1 } = this.#options
    const { memory, events } = this.#components
    if (!Number.isInteger(queues) || queues < 1 || queues > TAP_QUEUES_MAX)
      throw new RangeError(`a TAP has 1 to ${TAP_QUEUES_MAX} queues, not ${queues}`)
    try {
      let name = this.#options.name ?? ''
      for (let i = 0; i < queues; i++) {
        const tap = openTap(name, VNET_HEADER, queues > 1)
        this.#taps.push(tap)
        name = tap.name
        this.#offloads = negotiate(tap.fd)
      }
      if (mtu !== undefined) setInterfaceMtu(name, mtu)
      this.#removed = false
      const desk = new TroubleDesk(memory, (_trouble, errno) => this.#onRemoved(errno))
      this.#desk = desk
      const plans = this.#taps.map(
        (tap, index): TapPlan => ({
          kind: 'tap',
          index,
          port,
          fd: tap.fd,
          offloads: this.#offloads,
          ...desk.plan,
        }),
      )
      await events.plans(plans, [])
      events.link(true)
    } catch (error) {
      await this.#release()
      throw error
    }
  }

  // A kernel sends at once on an interface that comes up (neighbour discovery, groups): with many TAPs each of them would be opened against the
  // flood of those before it.
  begin(): void {
    const [tap] = this.#taps
    if (tap !== undefined && (this.#options.up ?? true)) bringInterfaceUp(tap.name)
  }

  async close(): Promise<void> {
    if (this.#taps.length === 0) return
    const { events } = this.#components
    if (!this.#removed) events.link(false)
    await events.plans([], [])
    await this.#release()
  }

  describe(): Record<string, unknown> {
    const name = this.#taps[0]?.name ?? this.#options.name ?? ''
    const facts = { interface: name, queues: this.#taps.length, offloads: this.#offloads, removed: this.#removed }
    if (this.#taps.length === 0 || this.#removed) return facts
    try {
      return { ...facts, mtu: interfaceMtu(name), address: interfaceAddress(name), up: interfaceIsUp(name) }
    } catch {
      return { ...facts, removed: true } // gone since; the data half is about to notice
    }
  }

  #onRemoved(errno: number): void {
    if (this.#removed || this.#taps.length === 0) return
    this.#removed = true
    const { events } = this.#components
    events.event(
      'interface-removed',
      `TAP ${this.#taps[0]!.name} was removed while in use (${errnoName(errno)}): its port is down; close and open it to create the interface anew`,
    )
    events.link(false)
    void events.plans([], [])
  }

  // The last descriptor takes the interface along, for which the kernel waits until no processor looks at it: 15 to 30 ms.
  async #release(): Promise<void> {
    const taps = this.#taps
    this.#desk?.close()
    this.#taps = []
    this.#desk = null
    await Promise.all(taps.map(({ fd }) => closeFdAside(fd)))
  }
}

/** Asks for the most offloads that this kernel takes. Returns them as OFFLOAD_* bits. */
function negotiate(fd: number): number {
  for (const choice of OFFLOAD_CHOICES) if (setTapOffloads(fd, choice.tun)) return choice.offloads
  return 0
}
