// The control half of an uplink: a host interface that the switch is connected to the physical network by. It chooses how frames are
// carried, and follows the interface: link, MTU, new name, removal and return.
//
// The rule it must not break: what happens to the interface harms this port only, and a person is told of it.
import { setTimeout as sleep } from 'node:timers/promises'
import { SystemCallError } from '../../linux/errors.ts'
import { sys } from '../../linux/libc.ts'
import { type LinkFacts, LinkMonitor, type LinkNews, readLink } from '../../linux/netlink.ts'
import { bringInterfaceUp } from '../../linux/tap.ts'
import type { EndpointComponents, EndpointControl, EndpointKind, EndpointOptions, QueuePlan } from '../endpoint.ts'
import { PacketCarrier } from '../packet/packet-carrier.ts'
import { Steps } from '../steps.ts'
import { XDP_MTU_MAX, XdpCarrier } from '../xdp/xdp-carrier.ts'
import type { Carrier } from './carrier.ts'
import { checkFallback, compileRules, type RuleEntry, type SteerResult, type SteerRule } from './steering.ts'

/** Queue pairs that an uplink may have. */
export const UPLINK_QUEUES_MAX = 16
const ENODEV = 19
const EBUSY = 16
/** The kernel takes a closed AF_XDP socket off its receive queue a little later: how often, and how long apart, it is asked again. */
const BUSY_TRIES = 25
const BUSY_WAIT_MS = 20

export interface UplinkOptions extends EndpointOptions {
  /** Name of the host interface. */
  readonly interface: string
  /** packet: AF_PACKET; xdp: AF_XDP; auto (default): AF_XDP where the driver shares its buffers with us, else AF_PACKET. */
  readonly via?: 'auto' | 'packet' | 'xdp'
  /** Queue pairs, 1 to UPLINK_QUEUES_MAX (default 1). */
  readonly queues?: number
  /** Takes frames for all addresses, as a switch must (default). */
  readonly promiscuous?: boolean
  /** Sends past the interface's queueing discipline (default: no). */
  readonly qdiscBypass?: boolean
}

export class UplinkEndpoint implements EndpointControl {
  readonly #options: UplinkOptions
  readonly #components: EndpointComponents
  readonly #steps: Steps
  #monitor: LinkMonitor | null = null
  #carrier: Carrier | null = null
  #link: LinkFacts | null = null
  #up = false
  /** What was asked for last; null: nothing yet, so flows are spread over all queues. */
  #steering: { readonly entries: readonly RuleEntry[]; readonly fallback: readonly number[] } | null = null

  constructor(options: UplinkOptions, components: EndpointComponents) {
    this.#options = options
    this.#components = components
    this.#steps = new Steps((error) => components.events.event('uplink-failed', (error as Error).message))
  }

  get kind(): EndpointKind {
    return this.#carrier?.via ?? 'packet'
  }

  open(): Promise<void> {
    return this.#steps.run(() => this.#open())
  }

  close(): Promise<void> {
    return this.#steps.run(() => this.#close())
  }

  describe(): Record<string, unknown> {
    const link = this.#link
    return {
      interface: link?.name ?? this.#options.interface,
      via: this.#carrier?.via ?? 'none',
      removed: this.#monitor !== null && link === null,
      ...(link === null ? {} : { mtu: link.mtu, address: link.address, up: link.up, carrier: link.running }),
      ...this.#carrier?.describe(),
    }
  }

  /**
   * Has frames to the rules' addresses come on the queues that they name, and all others on `fallback` (default: queue 0), in place of
   * what was asked for before; before the first call flows are spread over all queues. The rules hold until the uplink is closed, also
   * for an interface that comes back. Nothing is lost or duplicated by a change. Frames of an address that came before the change wait
   * in its old queue: who needs their order across the change empties that queue, as far as it was filled when this returned, before it
   * serves the address on the new one. Throws SteerRuleError.
   */
  steer(rules: readonly SteerRule[], fallback: readonly number[] = [0]): SteerResult {
    const { queues = 1 } = this.#options
    this.#steering = { entries: compileRules(rules, queues), fallback: checkFallback(fallback, queues) }
    return this.#applySteering()
  }

  #applySteering(): SteerResult {
    const { entries, fallback } = this.#steering!
    const left = this.#carrier?.steer(entries, fallback) ?? { entries, reason: 'the interface is not there' }
    const inSoftware = new Set(left.entries.map(({ rule }) => rule))
    return {
      inKernel: entries.map(({ rule }) => rule).filter((rule) => !inSoftware.has(rule)),
      inSoftware: [...inSoftware],
      reason: left.reason,
    }
  }

  async #open(): Promise<void> {
    if (this.#monitor !== null) return
    const { queues = 1, interface: name } = this.#options
    if (!Number.isInteger(queues) || queues < 1 || queues > UPLINK_QUEUES_MAX)
      throw new RangeError(`an uplink has 1 to ${UPLINK_QUEUES_MAX} queues, not ${queues}`)
    this.#monitor = new LinkMonitor(
      () => this.#link?.index ?? 0,
      (news) => this.#steps.start(() => this.#hear(news)),
    )
    try {
      await this.#attach(name)
    } catch (error) {
      await this.#close()
      throw error
    }
  }

  async #close(): Promise<void> {
    this.#monitor?.close()
    this.#monitor = null
    this.#steering = null
    await this.#detach()
  }

  /** Starts serving the interface `name`. */
  async #attach(name: string): Promise<void> {
    const index = sys.ifNametoindex(name)
    if (index === 0)
      throw new SystemCallError('if_nametoindex', ENODEV, name, 'there is no interface of this name here: "ip link" lists them')
    bringInterfaceUp(name)
    const link = readLink(index)
    if (link === null) throw new SystemCallError('RTM_GETLINK', ENODEV, name, 'the interface went away meanwhile')
    this.#link = link
    const plans = await this.#choose(link)
    if (this.#steering !== null) this.#applySteering()
    await this.#components.events.plans(plans, [])
    this.#components.events.mtu?.(link.mtu)
    this.#setLink(link.running)
  }

  async #detach(): Promise<void> {
    this.#setLink(false)
    this.#link = null
    if (this.#carrier === null) return
    try {
      await this.#components.events.plans([], [])
    } finally {
      this.#carrier.close()
      this.#carrier = null
    }
  }

  async #choose(link: LinkFacts): Promise<readonly QueuePlan[]> {
    const { port, via = 'auto', queues = 1, promiscuous = true, qdiscBypass = false } = this.#options
    const { memory, events } = this.#components
    const options = { port, queues, promiscuous, qdiscBypass }
    if (via !== 'packet') {
      const carrier = new XdpCarrier({ ...options, zeroCopyOnly: via === 'auto' }, memory)
      try {
        const plans = await openWhenFree(carrier, link)
        this.#carrier = carrier
        return plans
      } catch (error) {
        events.event('uplink-fallback', `uplink ${link.name} uses AF_PACKET, not AF_XDP: ${(error as Error).message}`)
      }
    }
    const carrier = new PacketCarrier(options, memory)
    const plans = carrier.open(link)
    this.#carrier = carrier
    return plans
  }

  async #hear(news: LinkNews): Promise<void> {
    if (this.#monitor === null) return
    const { events } = this.#components
    const link = this.#link
    if (link === null) {
      if (!news.gone && news.name === this.#options.interface) {
        try {
          await this.#attach(news.name)
        } catch (error) {
          await this.#detach()
          throw error
        }
        events.event('interface-returned', `uplink ${news.name} is back: its port is served again`)
      }
      return
    }
    if (news.index !== link.index) return
    if (news.gone) {
      events.event(
        'interface-removed',
        `uplink ${link.name} was removed while in use: its port is down until an interface "${this.#options.interface}" appears`,
      )
      return this.#detach()
    }
    this.#link = news
    if (news.name !== link.name) events.event('interface-renamed', `uplink ${link.name} is called ${news.name} now; it goes on`)
    if (news.mtu !== link.mtu) await this.#changeMtu(news, link.mtu)
    if (news.running !== link.running)
      events.event(
        news.running ? 'interface-up' : 'interface-down',
        `uplink ${news.name} ${news.running ? 'is up' : news.up ? 'has no carrier: check the cable or the other side' : 'was set down'}`,
      )
    this.#setLink(news.running)
  }

  // What can't carry the frames any more is opened anew; AF_XDP that an MTU was too large for is tried again with the next one. Frames
  // that wait in the old rings are lost then.
  async #changeMtu(link: LinkFacts, before: number): Promise<void> {
    const { events } = this.#components
    events.event('interface-mtu', `uplink ${link.name}: the MTU is ${link.mtu} now, it was ${before}`)
    const carrier = this.#carrier
    const wantsXdp = (this.#options.via ?? 'auto') !== 'packet'
    if (!carrier?.carries(link.mtu) || (wantsXdp && carrier.via === 'packet' && before > XDP_MTU_MAX)) {
      await events.plans([], [])
      carrier?.close()
      this.#carrier = null
      try {
        const plans = await this.#choose(link)
        if (this.#steering !== null) this.#applySteering()
        await events.plans(plans, [])
      } catch (error) {
        this.#setLink(false)
        throw error
      }
    }
    events.mtu?.(link.mtu)
  }

  #setLink(up: boolean): void {
    if (this.#up === up) return
    this.#up = up
    this.#components.events.link(up)
  }
}

async function openWhenFree(carrier: Carrier, link: LinkFacts): Promise<readonly QueuePlan[]> {
  for (let tries = 1; ; tries++)
    try {
      return carrier.open(link)
    } catch (error) {
      const isBusy = error instanceof SystemCallError && error.call === 'bind(AF_XDP)' && error.errno === EBUSY
      if (!isBusy || tries === BUSY_TRIES) throw error
      await sleep(BUSY_WAIT_MS)
    }
}
