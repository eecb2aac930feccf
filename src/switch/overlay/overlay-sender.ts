// What the overlay of a processor sends of its own: answers to guests' questions, messages about packets that do not fit, copies of floods.
//
// The rule it must not break: how much of it guests can cause is bounded; nothing is allocated but slots of the pool.
import * as layout from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import type { Injections } from '../injections.ts'
import type { PortTable } from '../port-table.ts'
import { AddressAnswers, ANSWER_BYTES_MAX, type CustomerAddresses, NO_QUESTION } from './address-answers.ts'
import { ICMP_ERROR_BYTES_MAX, IcmpError, icmpError } from './icmp-errors.ts'
import { PortRates } from './port-rates.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { DE_PRESERVE_PRIORITY, DE_PRESERVE_VLAN, HEADER_COPY, HEADER_STRIDE, PF_TAGGED } = layout
const KEEP_ALL = DE_PRESERVE_VLAN | DE_PRESERVE_PRIORITY
/** Messages to a port about packets that go no further, per second of a processor, and at once. */
const MESSAGES_PER_SECOND = 100
const MESSAGES_AT_ONCE = 50

export interface OverlaySenderComponents {
  readonly pool: PacketPool
  readonly ports: PortTable
  readonly injections: Injections
  readonly nowMs: () => number
  readonly owner: { parse(slot: number): void; readonly modules: number }
  readonly addresses: CustomerAddresses
}

/** Fields are ordinary ones. */
export class OverlaySender {
  private readonly components: OverlaySenderComponents
  private readonly pool: PacketPool
  private readonly answers: AddressAnswers
  private readonly messages: PortRates
  private readonly message = new Uint8Array(Math.max(ICMP_ERROR_BYTES_MAX, ANSWER_BYTES_MAX))

  constructor(components: OverlaySenderComponents) {
    const { pool, ports, nowMs, addresses } = components
    this.components = components
    this.pool = pool
    this.answers = new AddressAnswers({ ports: ports.ports }, { addresses, nowMs })
    this.messages = new PortRates({ ports: ports.ports, perSecond: MESSAGES_PER_SECOND, burst: MESSAGES_AT_ONCE }, { nowMs })
  }

  /** Tells the sender of the packet in `slot` that IP packets of more than `mtu` bytes do not fit. */
  tellTooBig(slot: number, mtu: number): void {
    this.tell(slot, IcmpError.tooBig, mtu, undefined)
  }

  /** Tells the sender of the untagged packet in `slot` why it goes no further, from the router's address `from`. */
  tell(slot: number, error: IcmpError, mtu: number, from: Uint8Array | undefined): void {
    const { pool, message } = this
    const at = slot * HEADER_STRIDE + pool.headerOffset[slot]!
    const length = icmpError(pool.header8, at, at + pool.headerLength[slot]!, error, mtu, from, message)
    if (length !== 0 && this.messages.take(pool.sourcePort[slot]!)) this.reply(length, slot)
  }

  /** Answers the packet in `slot` if it asks for an address that a record knows. Returns what AddressAnswers.answer does. */
  answer(slot: number): number {
    const { pool, answers, message } = this
    if ((pool.flags[slot]! & PF_TAGGED) !== 0) return NO_QUESTION
    const at = slot * HEADER_STRIDE + pool.headerOffset[slot]!
    const end = at + Math.min(pool.headerLength[slot]!, pool.length[slot]!)
    const length = answers.answer(pool.header8, at, end, pool.vsid[slot]!, pool.sourcePort[slot]!, message, 0)
    if (length > 0) this.reply(length, slot)
    return length
  }

  // Sends the first `length` bytes of `message` to where the packet in `to` came from.
  private reply(length: number, to: number): void {
    const { pool, message, components } = this
    const slot = pool.take(length, Math.min(length, HEADER_COPY))
    if (slot < 0) return
    const at = slot * HEADER_STRIDE + pool.headerOffset[slot]!
    const copied = pool.headerLength[slot]!
    for (let k = 0; k < copied; k++) pool.header8[at + k] = message[k]!
    for (let k = copied; k < length; k++) pool.setPayload8(slot, k, message[k]!)
    components.owner.parse(slot)
    pool.vsid[slot] = pool.vsid[to]!
    this.send(slot, pool.sourcePort[to]! | KEEP_ALL)
  }

  /** Queues a packet of the overlay's own in a held slot for one destination: it passes all modules on egress. */
  send(slot: number, destination: number): void {
    const { pool, components } = this
    const { injections, owner } = components
    injections.own(slot, -1, false, owner.modules)
    pool.destination[slot] = destination
    pool.destinationCount[slot] = 1
    injections.pins.pin(slot)
    injections.enqueue(slot, true)
  }
}
