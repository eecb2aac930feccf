// What the overlay of a processor sends of its own: answers to guests' questions, messages about packets that do not fit, copies of floods.
//
// The rule it must not break: how much of it guests can cause is bounded; nothing is allocated but slots of the pool.
import * as layout from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import type { Injections } from '../injections.ts'
import type { PortTable } from '../port-table.ts'
import { AddressAnswers, ANSWER_BYTES_MAX, type CustomerAddresses, NO_QUESTION } from './address-answers.ts'
import { TOO_BIG_BYTES_MAX, tooBigMessage } from './too-big.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { DE_PRESERVE_PRIORITY, DE_PRESERVE_VLAN, HEADER_COPY, HEADER_STRIDE, PF_TAGGED } = layout
const KEEP_ALL = DE_PRESERVE_VLAN | DE_PRESERVE_PRIORITY
/** Messages to guests about packets that do not fit, per second of a processor. */
const MESSAGES_PER_SECOND = 200

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
  private readonly message = new Uint8Array(Math.max(TOO_BIG_BYTES_MAX, ANSWER_BYTES_MAX))
  private messagesLeft = 0

  constructor(components: OverlaySenderComponents) {
    const { pool, ports, nowMs, addresses } = components
    this.components = components
    this.pool = pool
    this.answers = new AddressAnswers({ ports: ports.ports }, { addresses, nowMs })
  }

  /** To be called once a second. */
  nextSecond(): void {
    this.messagesLeft = MESSAGES_PER_SECOND
  }

  /** Tells the sender of the packet in `slot` that IP packets of more than `mtu` bytes do not fit. */
  tellTooBig(slot: number, mtu: number): void {
    if (this.messagesLeft <= 0) return
    const { pool, message } = this
    const at = slot * HEADER_STRIDE + pool.headerOffset[slot]!
    const length = tooBigMessage(pool.header8, at, at + pool.headerLength[slot]!, mtu, message)
    if (length === 0) return
    this.messagesLeft--
    this.reply(length, slot)
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
