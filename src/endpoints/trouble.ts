// How a data half, in its processor's thread, tells its control half what it met: a lost peer, a hostile length, a new peer. One
// word per kind of trouble in shared memory, and one eventfd.
//
// The rule it must not break: telling costs nothing while all is well, never blocks, and loses the number of repeats at most.
import { closeFd, createEventFd, drainEventFd, signalEventFd, watchFd } from '../linux/files.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'

export const TROUBLE_BYTES = 64
const DETAIL_MAX = 0x7fff_fffe

/** What can be told; the value is the index of its word. Each word holds a detail plus 1 (an errno, a length), 0 = nothing. */
export const Trouble = {
  /** The peer closed the connection. */
  closed: 0,
  /** The peer announced a frame of impossible length; the detail is the length. */
  badLength: 1,
  /** A system call failed for good; the detail is the errno. */
  failed: 2,
  /** A datagram peer introduced itself, or came back. */
  peerFound: 3,
  /** A datagram peer no longer takes frames; the detail is the errno. */
  peerLost: 4,
  /** A second datagram peer sends while the first is alive. */
  secondPeer: 5,
} as const
export type Trouble = (typeof Trouble)[keyof typeof Trouble]

/** The part of a plan by which a data half tells trouble. */
export interface TroublePlan {
  readonly trouble: number
  readonly troubleFd: number
}

/** Tells the control half. Cheap enough for a rare event, not for every packet. */
export function tellTrouble(memory: SharedMemory, plan: TroublePlan, trouble: Trouble, detail: number): void {
  Atomics.store(memory.i32, (plan.trouble >> 2) + trouble, Math.min(detail, DETAIL_MAX) + 1)
  signalEventFd(plan.troubleFd)
}

/** The control half's side: owns the words and the eventfd, calls back on its own thread. */
export class TroubleDesk {
  readonly plan: TroublePlan
  readonly #memory: SharedMemory
  readonly #watcher: { close(): void }

  constructor(memory: SharedMemory, onTrouble: (trouble: Trouble, detail: number) => void) {
    this.#memory = memory
    this.plan = { trouble: memory.allocate(TROUBLE_BYTES), troubleFd: createEventFd() }
    this.#watcher = watchFd(this.plan.troubleFd, () => {
      drainEventFd(this.plan.troubleFd)
      for (const trouble of Object.values(Trouble)) {
        const told = Atomics.exchange(memory.i32, (this.plan.trouble >> 2) + trouble, 0)
        if (told !== 0) onTrouble(trouble, told - 1)
      }
    })
  }

  /** Forgets what was told: before a new connection is served. */
  clear(): void {
    for (const trouble of Object.values(Trouble)) Atomics.store(this.#memory.i32, (this.plan.trouble >> 2) + trouble, 0)
  }

  /** Gives the words and the eventfd back; no data half may use them any more. */
  close(): void {
    this.#watcher.close()
    closeFd(this.plan.troubleFd)
    this.#memory.free(this.plan.trouble, TROUBLE_BYTES)
  }
}
