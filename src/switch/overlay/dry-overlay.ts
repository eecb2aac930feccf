// The overlay of a traced frame: the running one's plan, peers, subnets and records, on a path that learns, counts and hears nothing; it tells
// which record it found, which host the frame goes to or came from, and in what.
//
// The rule it must not break: the code that decides is the one that decides for guests' frames; nothing stays of a traced frame.
import { PF_DROPPED, PF_MULTICAST } from '../../kernels/layout.ts'
import type { Batch } from '../../ndis/batch.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { formatMac } from '../../packet/addresses.ts'
import { TunnelFormat, TunnelReader, TunnelVerdict } from '../../packet/tunnel.ts'
import type { PacketTrace } from '../dry-run-steps.ts'
import { macKey } from '../mac-table.ts'
import type { PortTable } from '../port-table.ts'
import type { NativeForwarding } from '../switch-edge.ts'
import type { OverlayPath } from './overlay-path.ts'
import type { OverlayPathOwner, OverlayTables } from './overlay-tables.ts'
import { addressText } from './records.ts'
import { ROUTER_MAC_TEXT } from './routing.ts'

export interface DryOverlayComponents {
  readonly pool: PacketPool
  readonly ports: PortTable
  /** The data path of the dry run. */
  readonly owner: OverlayPathOwner
  readonly trace: PacketTrace
  readonly portName: (id: number) => string
}

const NAMES: Readonly<Record<TunnelFormat, string>> = {
  [TunnelFormat.nvgre]: 'NVGRE',
  [TunnelFormat.vxlan]: 'VXLAN',
  [TunnelFormat.geneve]: 'Geneve',
}
const MAC = 6
const IPV4 = 0x0800
/** Where the destination address stands behind the start of a tunnel packet, by family. */
const OUTER_DESTINATION = { ipv4: 30, ipv6: 38 } as const
/** Refused before anybody looked where the frame goes. */
const BEFORE_LOOK_UP: ReadonlySet<number> = new Set([DropReason.macSpoofing, DropReason.reservedMulticast, DropReason.stormLimit])

/** What the router found. */
const ROUTING: ReadonlyMap<number, string> = new Map([
  [DropReason.overlayNoRoute, 'no subnet or route of the routing domain has its destination'],
  [DropReason.overlayNoNeighbour, 'its destination, or the next hop to it, has no record in the virtual subnet'],
  [DropReason.overlayHopsUsedUp, 'its hop limit is used up'],
  [DropReason.overlayToRouter, 'the router takes untagged IP packets to others, and echo requests'],
])

/** What the frame was before the overlay had it. */
interface Before {
  readonly slot: number
  readonly subnet: number
  readonly vsid: number
  readonly to: string
  readonly from: string
}

export class DryOverlay implements NativeForwarding {
  readonly parses = true
  readonly #path: OverlayPath
  readonly #running: OverlayTables
  readonly #components: DryOverlayComponents

  constructor(running: OverlayPath, components: DryOverlayComponents) {
    this.#running = running.tables
    this.#components = components
    this.#path = running.shadow(this.#watched(components.owner))
  }

  // An owner that tells what leaves by a tunnel; copies of a flood as well.
  #watched(owner: OverlayPathOwner): OverlayPathOwner {
    return {
      refuse: (batch, i, reason, port) => owner.refuse(batch, i, reason, port),
      filtered: (slot, reason, port, incoming) => owner.filtered(slot, reason, port, incoming),
      parse: (slot) => owner.parse(slot),
      encapsulated: (slot) => {
        this.#wraps(slot)
        owner.encapsulated(slot)
      },
      routed: (slot, vsid) => {
        const { trace } = this.#components
        trace.overlay(slot, `the router passes it on to virtual subnet ${vsid}, to ${this.#macAt(slot, 0)}, one hop less`)
        owner.routed?.(slot, vsid)
      },
      get modules() {
        return owner.modules
      },
    }
  }

  claims(batch: Batch, i: number): boolean {
    return this.#path.claims(batch, i)
  }

  refresh(): void {
    this.#path.refresh()
  }

  get leavesPorts(): boolean {
    return this.#path.leavesPorts
  }

  separate(batch: Batch): void {
    this.#path.separate(batch)
  }

  forward(batch: Batch, i: number): void {
    const { pool, trace } = this.#components
    const { external, ofPort } = this.#path.subnets
    const slot = batch.slots[i]!
    const source = pool.sourcePort[slot]!
    trace.inOverlay()
    if (source === external) this.#inbound(batch, i, slot)
    else {
      const [to, from] = [this.#macAt(slot, 0), this.#macAt(slot, MAC)]
      this.#outbound(batch, i, { slot, subnet: ofPort[source]!, vsid: pool.vsid[slot]!, to, from })
    }
  }

  // ---- into a tunnel ----------------------------------------------------------------------------------------------------------

  #outbound(batch: Batch, i: number, before: Before): void {
    const { pool, trace, portName } = this.#components
    const { slot, vsid, subnet, from } = before
    const told = trace.steps.length
    const lookUp = this.#lookUp(before)
    this.#path.forward(batch, i)
    const isDropped = (pool.flags[slot]! & PF_DROPPED) !== 0
    const reason = isDropped ? this.#reasonSince(told) : undefined
    if (isDropped && reason === undefined) {
      trace.overlay(slot, `is a question about an address that a record of virtual subnet ${vsid} has: the switch answers it`)
      return
    }
    if (reason !== undefined && BEFORE_LOOK_UP.has(pool.reason[slot]!)) return
    const steps = trace.steps.splice(told)
    trace.overlay(slot, lookUp)
    if (reason !== undefined) this.#explain(slot, pool.reason[slot]!)
    trace.steps.push(...steps)
    if (!isDropped && pool.destinationCount[slot] !== 0) trace.overlay(slot, `sends it to ${trace.destinations(slot)}`)
    this.#learns(slot, from, subnet, `behind ${portName(pool.sourcePort[slot]!)}`)
  }

  // The reason of a drop that was told since step `told`.
  #reasonSince(told: number): string | undefined {
    return this.#components.trace.steps.slice(told).findLast(({ packet, dropped }) => packet === 1 && dropped !== undefined)
      ?.dropped
  }

  // Where the running overlay says that the frame goes.
  #lookUp({ slot, subnet, vsid, to }: Before): string {
    const { pool, ports, portName } = this.#components
    const { macs } = this.#running
    if ((pool.flags[slot]! & PF_MULTICAST) !== 0) return `is for everybody in virtual subnet ${vsid}`
    const { low, high } = macKey(to)
    if (to === ROUTER_MAC_TEXT && this.#running.routing.domainOf[subnet] !== 0)
      return `is for the router of virtual subnet ${vsid}`
    const place = macs.lookup(low, high, subnet)
    if (place < 0) return `virtual subnet ${vsid} has no record of ${to}`
    if (place < ports.ports) return `${to} is behind ${portName(place)} in virtual subnet ${vsid}`
    const provider = this.#provider(place - ports.ports)
    return macs.lookupStatic(low, high, subnet) < 0
      ? `${to} in virtual subnet ${vsid} was learned to be at provider ${provider}`
      : `the record of ${to} in virtual subnet ${vsid} leads to provider ${provider}`
  }

  #provider(peer: number): string {
    const address = this.#running.peers.addressOf(peer)
    return address.length === 0 ? 'that is gone' : addressText(address)
  }

  #wraps(slot: number): void {
    const { pool, trace } = this.#components
    const isIpv4 = pool.etherType[slot] === IPV4
    const from = this.#running.frameAt(slot) + (isIpv4 ? OUTER_DESTINATION.ipv4 : OUTER_DESTINATION.ipv6)
    const provider = addressText(pool.header8.slice(from, from + (isIpv4 ? 4 : 16)))
    const what = `${this.#name} to provider ${provider} by ${this.#macAt(slot, 0)}`
    trace.overlay(slot, `wraps it in ${what}: virtual subnet ${pool.vsid[slot]}, ${pool.length[slot]} bytes`)
    trace.wrapped(slot, provider, this.#running.subnets.external)
  }

  // What a reason alone does not say.
  #explain(slot: number, reason: number): void {
    const { trace } = this.#components
    const routing = ROUTING.get(reason)
    if (routing !== undefined) trace.overlay(slot, routing)
    const [ipv4, ipv6] = this.#running.mtus
    if (reason === DropReason.overlayTooBig)
      trace.overlay(slot, `its IP packet is too long for the tunnel: at most ${ipv4} bytes fit over IPv4, ${ipv6} over IPv6`)
    if (reason === DropReason.overlayNoNextHop)
      trace.overlay(slot, 'nobody has answered for that provider, or for the gateway to it')
  }

  // ---- from a tunnel ----------------------------------------------------------------------------------------------------------

  #inbound(batch: Batch, i: number, slot: number): void {
    const { pool, trace } = this.#components
    const { plan, subnets } = this.#running
    const reader = new TunnelReader(plan.format, plan.udpPort)
    const at = this.#running.frameAt(slot)
    const verdict = reader.read(pool.header8, at, at + pool.headerLength[slot]!, pool.length[slot]!)
    const isSound = verdict === TunnelVerdict.sound
    const from = isSound ? addressText(pool.header8.slice(reader.source, reader.source + reader.addressBytes)) : ''
    const told = trace.steps.length
    this.#path.forward(batch, i)
    const steps = trace.steps.splice(told)
    if (!isSound) {
      if (verdict === TunnelVerdict.other)
        trace.overlay(slot, 'is for the provider address itself: the switch takes it, and answers where an answer is due')
      trace.steps.push(...steps)
      return
    }
    trace.overlay(slot, `comes through ${this.#name} of provider ${from}, virtual subnet ${reader.vsid}`)
    trace.steps.push(...steps)
    if ((pool.flags[slot]! & PF_DROPPED) !== 0) return
    trace.overlay(slot, `takes it out of the tunnel: ${pool.length[slot]} bytes`)
    if (pool.destinationCount[slot] !== 0) trace.overlay(slot, `sends it to ${trace.destinations(slot)}`)
    this.#learns(slot, this.#macAt(slot, MAC), subnets.index(reader.vsid), `at provider ${from}`)
  }

  // What the shadow learned and the running overlay did not know.
  #learns(slot: number, mac: string, subnet: number, where: string): void {
    const { low, high } = macKey(mac)
    const learned = this.#path.tables.macs.lookup(low, high, subnet)
    if (learned >= 0 && learned !== this.#running.macs.lookup(low, high, subnet))
      this.#components.trace.overlay(slot, `would learn that ${mac} is ${where}`, 'learning')
  }

  // ---- what frames hold -------------------------------------------------------------------------------------------------------

  get #name(): string {
    return NAMES[this.#running.plan.format]
  }

  #macAt(slot: number, offset: number): string {
    const at = this.#running.frameAt(slot) + offset
    return formatMac(this.#components.pool.header8.slice(at, at + MAC))
  }
}
