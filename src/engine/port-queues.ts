// The queues of one processor, as the control thread's plans make them: those that it polls, those that it delivers to, and those that are
// another's and that it delivers to under their lock.
//
// The rule it must not break: queues that are replaced are closed before the request is answered, for their descriptors and memory go.
import type { MayBeDirect } from '../adapter/direct-path.ts'
import { type EndpointQueue, type QueueContext, type QueuePlan, receiving, ringKinds } from '../endpoints/endpoint.ts'
import { openQueue } from '../endpoints/open-queue.ts'
import type { EpollSet } from '../linux/epoll.ts'
import { RingPace } from '../switch/bandwidth/port-pacer.ts'
import type { Counters } from '../switch/counters.ts'
import type { Delivery, SinkQueue } from '../switch/delivery.ts'
import type { QueueTarget, Request } from './messages.ts'
import { ParkingSink } from './parking-sink.ts'
import type { Polled, PollOrder } from './poll-order.ts'
import type { ProcessorAdapters } from './processor-adapters.ts'
import type { BurstTaker, ProcessorQueues } from './queues/processor-queues.ts'
import { queueAdapterOf } from './queues/queue-plan.ts'
import { SharedQueue } from './shared-queue.ts'
import type { WindowSet } from './windows.ts'

const SYSTEM_CALL_PASSES = 3 // of a quiet queue where a look is a system call

/** A queue that the processor polls, and what takes its bursts. */
export interface Source extends Polled {
  readonly queue: EndpointQueue
  readonly key: string
  /** What takes its bursts: of a VPort or the wire the adapter's data path (`port` is the VPort then), of a ring with receive queues these. */
  readonly path: BurstTaker | undefined
  readonly counters: Counters
  readonly port: number
  /** The physical adapter of an external port, else 0. */
  readonly nicIndex: number
  readonly pace: RingPace | undefined
}

/** What the switch's external port sends goes to this adapter. */
interface JoinedPlan extends QueuePlan {
  readonly kind: 'adapter'
  readonly adapter: number
}

/** Frames that the target's other queues don't take any more wait here. */
interface ParkingPlan extends QueuePlan {
  readonly parking?: boolean
}

const keyOf = (target: QueueTarget): string =>
  target.kind === 'port' ? `port ${target.port}/${target.nicIndex}` : `vport ${target.adapter}/${target.vport}`

export interface PortQueuesComponents {
  readonly context: QueueContext
  readonly windows: WindowSet
  readonly epoll: EpollSet
  /** Those that are polled. */
  readonly sources: PollOrder<Source>
  readonly delivery: Delivery
  readonly adapters: ProcessorAdapters
  readonly queues: ProcessorQueues
  readonly counters: Counters
}

/** The queues that one processor serves, by port and VPort. */
export class PortQueues {
  readonly #parts: PortQueuesComponents
  readonly #queues = new Map<string, readonly EndpointQueue[]>()

  constructor(components: PortQueuesComponents) {
    this.#parts = components
  }

  /** Replaces the queues of a port or VPort; those that are gone are closed when this returns. */
  set({ target, plans, owned, locks, windows }: Extract<Request, { kind: 'queues' }>): void {
    const key = keyOf(target)
    const { adapters, context, counters, epoll, sources } = this.#parts
    const known = this.#queues.get(key)
    this.#queues.delete(key)
    this.#deliverTo(target, [])
    sources.remove((source) => source.key === key)
    for (const queue of known ?? []) queue.close(epoll)
    this.#parts.windows.add(windows) // may come before the plans that need them
    if (plans.length === 0) return
    const queues: EndpointQueue[] = []
    const sinks: (SinkQueue & MayBeDirect)[] = []
    let parking: EndpointQueue | undefined
    const served = target.kind === 'vport' ? adapters.find(target.adapter) : undefined
    for (const [i, plan] of plans.entries()) {
      if (plan.kind === 'adapter') {
        sinks.push(adapters.find((plan as JoinedPlan).adapter).uplink) // it comes by itself, with what the adapter receives
        continue
      }
      const opened = openQueue(plan, context)
      const queue = locks[i] === 0 ? opened : new SharedQueue(opened, context.memory.i32, locks[i]!)
      queues.push(queue)
      if ((plan as ParkingPlan).parking === true) {
        parking = queue
        continue
      }
      if (receiving(plans)(plan)) sinks.push(queue)
      if (!owned.includes(i)) continue
      const ofQueues = queueAdapterOf(plan)
      sources.add({
        queue,
        key,
        path: ofQueues === undefined ? served?.path : this.#parts.queues.find(ofQueues).ring(plan.index),
        counters: served?.counters ?? counters,
        port: target.kind === 'vport' ? target.vport : target.port,
        nicIndex: target.kind === 'vport' ? 0 : target.nicIndex,
        pace: target.kind === 'vport' || ofQueues !== undefined ? undefined : new RingPace(target.port, plan.index),
        passes: ringKinds.has(plan.kind) ? 0 : SYSTEM_CALL_PASSES,
        skip: 0,
        backOff: 0,
      })
    }
    const withQueues = plans.map(queueAdapterOf).find((adapter) => adapter !== undefined)
    if (withQueues !== undefined && target.kind === 'port') this.#serveWaiting(withQueues, key, target.port)
    this.#queues.set(key, queues)
    const place = parking
    const rings = sinks.length === 0 ? [null] : sinks // the driver of a virtio-net device has stopped all its rings
    this.#deliverTo(target, place === undefined ? sinks : rings.map((ring) => new ParkingSink(ring, place)))
  }

  // What other processors leave for the queues of this one.
  #serveWaiting(adapter: number, key: string, port: number): void {
    const { counters, queues, sources } = this.#parts
    const { waiting, serving } = queues.find(adapter)
    sources.add({
      queue: waiting,
      key,
      path: serving,
      counters,
      port,
      nicIndex: 0,
      pace: undefined,
      passes: 0,
      skip: 0,
      backOff: 0,
    })
  }

  #deliverTo(target: QueueTarget, sinks: readonly (SinkQueue & MayBeDirect)[]): void {
    const { adapters, delivery } = this.#parts
    if (target.kind === 'vport') adapters.setQueues(target.adapter, target.vport, sinks)
    else delivery.setQueues(target.port, sinks, target.team ? target.nicIndex : 0)
  }

  /** Closes all. */
  close(): void {
    for (const queues of this.#queues.values()) for (const queue of queues) queue.close(this.#parts.epoll)
  }
}
