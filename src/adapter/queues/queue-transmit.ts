// The transmit path of an adapter's queues on one processor (VQ-119 to VQ-123): packets carry the queue of the VM that sends them, are given
// to the transmit queue of that number, and complete by queue.
//
// The rule it must not break: an id that names no queue goes out on queue 0, never nowhere; packets of one queue keep their order.
import * as layout from '../../kernels/layout.ts'
import { SendCompleteFlag, SendFlag } from '../../ndis/list-flags.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import type { QueueTable } from './queue-table.ts'
import { OperationalState, QUEUES_MAX } from './queue-words.ts'

const { BURST_SLOTS } = layout
const { undefined: absent, dmaStopped } = OperationalState
const NONE = 0xffff
const QUEUE_COUNT: number = QUEUES_MAX

/** Takes packets of one transmit queue, in order. */
export type Transmit = (queue: number, slots: Uint16Array, count: number) => void
/** Takes a list of sent packets, with SendCompleteFlag. */
export type Completed = (slots: Uint16Array, count: number, flags: number) => void

/** Fields are ordinary ones: `send` runs per packet. */
export class QueueTransmit {
  private readonly pool: PacketPool
  private readonly queues: QueueTable
  private readonly transmit: Transmit
  private readonly completed: Completed
  private readonly list = new Uint16Array(BURST_SLOTS)
  private readonly touched = new Uint16Array(BURST_SLOTS)
  private readonly firstOf = new Uint16Array(QUEUE_COUNT).fill(NONE)
  private readonly lastOf = new Uint16Array(QUEUE_COUNT)
  private readonly nextOf: Uint16Array

  constructor(components: { pool: PacketPool; queues: QueueTable; transmit: Transmit; completed: Completed }) {
    this.pool = components.pool
    this.queues = components.queues
    this.transmit = components.transmit
    this.completed = components.completed
    this.nextOf = new Uint16Array(this.pool.receiveQueue.length)
  }

  /** NET_BUFFER_LIST_RECEIVE_QUEUE_ID of outgoing packets: the queue of the VM that sends them (VQ-119). */
  stamp(slots: Uint16Array, count: number, queue: number): void {
    const { receiveQueue } = this.pool
    for (let i = 0; i < count; i++) receiveQueue[slots[i]!] = queue
  }

  /** The transmit queue of an id: 0 for one that names no queue, or one that is being freed (VQ-123). */
  queueOf(id: number): number {
    if (id >= this.queues.queues) return 0
    const state = this.queues.state(id)
    return state === absent || state === dmaStopped ? 0 : id
  }

  /** Sends packets; with SendFlag.singleQueue all are for the queue of the first (VQ-121). At most BURST_SLOTS of them. */
  send(slots: Uint16Array, count: number, flags: number): void {
    if (count === 0) return
    const { receiveQueue } = this.pool
    if ((flags & SendFlag.singleQueue) !== 0) {
      this.transmit(this.queueOf(receiveQueue[slots[0]!]!), slots, count)
      return
    }
    const touched = this.chain(slots, count)
    for (let k = 0; k < touched; k++) {
      const queue = this.touched[k]!
      this.transmit(queue, this.list, this.unchain(queue))
    }
  }

  /** Packets were sent. Tells so in one call, which names one queue only if all were sent on it (VQ-122). */
  complete(slots: Uint16Array, count: number): void {
    if (count === 0) return
    const { receiveQueue } = this.pool
    const queue = this.queueOf(receiveQueue[slots[0]!]!)
    let single = true
    for (let i = 1; single && i < count; i++) single = this.queueOf(receiveQueue[slots[i]!]!) === queue
    this.completed(slots, count, SendCompleteFlag.dispatchLevel | (single ? SendCompleteFlag.singleQueue : 0))
  }

  private chain(slots: Uint16Array, count: number): number {
    const { firstOf, lastOf, nextOf } = this
    let touched = 0
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      const queue = this.queueOf(this.pool.receiveQueue[slot]!)
      if (firstOf[queue] === NONE) {
        firstOf[queue] = slot
        this.touched[touched++] = queue
      } else nextOf[lastOf[queue]!] = slot
      lastOf[queue] = slot
      nextOf[slot] = NONE
    }
    return touched
  }

  private unchain(queue: number): number {
    let count = 0
    for (let slot = this.firstOf[queue]!; slot !== NONE; slot = this.nextOf[slot]!) this.list[count++] = slot
    this.firstOf[queue] = NONE
    return count
  }
}
