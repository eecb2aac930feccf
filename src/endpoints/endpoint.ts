// What connects a switch port to the world, in two halves. The control half lives on the control thread: it opens sockets, speaks
// protocols and hands out plans. The data half (queue) lives in a processor's thread: it moves bursts of frames between the
// outside and the packet pool. One compliance suite (compliance.ts) runs against every kind.
//
// The rule both must not break: a queue's methods allocate nothing per packet and never block.
import type { DirectQueue } from '../adapter/direct-path.ts'
import type { FrameRingKernels, Kernels } from '../kernels/kernels.ts'
import type { EpollSet } from '../linux/epoll.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'
import type { SteerResult, SteerRule } from './uplink/steering.ts'

export const endpointKinds = [
  'vhost-user',
  'tap',
  'stream',
  'dgram',
  'unix-dgram',
  'websocket',
  'memory',
  'vf',
  'packet',
  'xdp',
  'pcap',
  'adapter',
] as const
export type EndpointKind = (typeof endpointKinds)[number]
/** Kinds whose rings lie in guest memory: they lock them by themselves, and finding one idle costs a read. */
export const ringKinds: ReadonlySet<EndpointKind> = new Set(['vhost-user', 'vf'])

/**
 * What a processor needs to serve one queue pair of an endpoint: plain, structured-cloneable data. Memory it names (linear
 * addresses, descriptors) stays valid until the control half has withdrawn the plan and the processor has confirmed.
 */
export interface QueuePlan {
  readonly kind: EndpointKind
  /** Index of the queue pair in the endpoint. */
  readonly index: number
  /** Id of the switch port that its frames come from and go to. */
  readonly port: number
  readonly [detail: string]: unknown
}

/**
 * Which of `plans` frames may be delivered to: not those whose driver sends on them and does not receive (`receives: false`), unless there is
 * no other.
 */
export function receiving(plans: readonly QueuePlan[]): (plan: QueuePlan) => boolean {
  const some = plans.some((plan) => plan.receives !== false)
  return (plan) => !some || plan.receives !== false
}

/** Windows of guest memory outside linear memory: index in the twin's table, native address, length. */
export interface WindowPlan {
  readonly index: number
  readonly address: number
  readonly length: number
}

/** What the control half tells its owner. */
export interface EndpointEvents {
  /**
   * The data path may serve these queue pairs now; an empty list withdraws all. Called again whenever they change. Settles when no
   * processor uses what was withdrawn, and all know the windows: only then may the control half close descriptors, free memory or
   * unmap, and let rings in new windows run. Windows may come before the plans that need them.
   */
  plans(plans: readonly QueuePlan[], windows: readonly WindowPlan[]): Promise<void> | void
  /** The peer's link came up or went down (for vhost-user: the guest's driver is ready or gone). */
  link(up: boolean): void
  /** What is outside has an MTU of so many bytes; for kinds that follow an interface that others set up. */
  mtu?(bytes: number): void
  /** Something a person should know: a refused message, a lost peer. `code` is stable. */
  event(code: string, message: string): void
}

/** What every control half is given. */
export interface EndpointComponents {
  readonly memory: SharedMemory
  readonly events: EndpointEvents
}

/** What every control half needs to know of its port; each kind adds its own. */
export interface EndpointOptions {
  /** Id of the switch port. */
  readonly port: number
}

/** The control half. */
export interface EndpointControl {
  readonly kind: EndpointKind
  /** Starts it: listens, connects, opens the device. Throws with what is wrong, where, and what to do. */
  open(): Promise<void>
  /** Sets going what sends by itself once it may; called after `open`, when the ports beside this one stand. Throws like `open`. */
  begin?(): void
  /** Stops it and gives everything back: descriptors, mappings, socket files, memory. */
  close(): Promise<void>
  /** Has the kernel put the frames to an address on given queue pairs; for kinds that can. See UplinkEndpoint.steer. */
  steer?(rules: readonly SteerRule[], fallback?: readonly number[]): SteerResult
  /** Facts for `status`: engine, negotiated features, memory, queue count, state of each ring. */
  describe(): Record<string, unknown>
}

/** What a data half works with, in its processor's thread. */
export interface QueueContext {
  readonly memory: SharedMemory
  /** Kernels for rings in linear memory, and those that can serve any memory. */
  readonly kernels: { readonly linear: Kernels & FrameRingKernels; readonly any: Kernels }
  /** Linear address of the processor's packet pool. */
  readonly pool: number
  /** Linear address of the processor's scratch memory (scratch.ts). */
  readonly scratch: number
}

/** The data half: one queue pair. Slots and lists are as in kernels/layout.ts. */
export interface EndpointQueue {
  /** Itself, of kinds whose rings the direct kernel of an SR-IOV adapter can work on. */
  readonly direct?: DirectQueue | undefined
  /** Offloads (OFFLOAD_*) that `deliver` can pass on; the data path does the others in software first. */
  readonly offloads: number
  /** Takes up to `max` frames into slots `first`…, parsed (Kernels.parse), P_NEEDS filled. Returns how many. */
  receive(first: number, max: number): number
  /** Gives the frames of the last receive back to their owner. Always follows a receive that returned more than 0. */
  complete(first: number, count: number): void
  /** Sends the packets whose slots stand in the u16 array at `list`, in order. Returns how many were taken. */
  deliver(list: number, count: number): number
  /** Frames that the outside gave up since the last call because we did not take them in time; for kinds that can know. */
  takeLost?(): number
  /** Why the last deliver did not take all: the drop reason of those not taken (NDIS drop reasons). */
  readonly refusal: number
  /** Before sleeping: registers what to wait for and returns true if there is work already (then the processor stays awake). */
  arm(epoll: EpollSet): boolean
  /** After sleeping. */
  disarm(epoll: EpollSet): void
  /** Frees what it holds in this thread (descriptors belong to the control half). */
  close(epoll: EpollSet): void
}
