// What the thread of the software guests and the lab's own thread say to each other. Types only; all of it survives a message.

import type { Path, StreamEnd, StreamRecord } from './numbered-frames.ts'
import type { PairedGuestOptions, TornOut } from './paired-guest.ts'
import type { TcpOutcome } from './tcp-stream.ts'

/** The load between the guest that has a function and its peer. */
export interface LoadOptions {
  /** Whether a TCP stream runs from the peer to the guest. */
  readonly tcp: boolean
  readonly tcpMbps: number
  /** Numbered UDP frames per second in each direction. */
  readonly udpPps: number
}

export type GuestRequest =
  /** The synthetic card's device is at `path`. */
  | { readonly kind: 'start'; readonly guest: PairedGuestOptions; readonly path: string }
  | { readonly kind: 'plug'; readonly guest: string; readonly path: string }
  | { readonly kind: 'unplug'; readonly guest: string }
  /** `remote`: the guest is none of this thread's, but a real one. */
  | {
      readonly kind: 'load'
      readonly guest: string
      readonly peer: string
      readonly options: LoadOptions
      readonly remote?: StreamEnd | undefined
    }
  /** The switch sends frames for a real guest this way from now on. */
  | { readonly kind: 'path'; readonly path: Path }
  | { readonly kind: 'finish' }
  | { readonly kind: 'close' }

export type ToGuests = GuestRequest & { readonly id: number }

export type FromGuests =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: { readonly code: string; readonly message: string } }

/** The answer to `finish`. */
export interface LoadOutcome {
  readonly streams: readonly StreamRecord[]
  readonly tcp: TcpOutcome | null
  /** When performance.now() was 0 on the guests' thread: milliseconds since the epoch. */
  readonly timeOrigin: number
  readonly tornOut: Readonly<Record<string, readonly TornOut[]>>
}
