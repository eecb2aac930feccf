// What the control half of a WebSocket endpoint and its relay thread say to each other.

/** What the relay thread starts with. */
export interface RelayStart {
  readonly host: string
  readonly port: number
  readonly token: string
  readonly origins: readonly string[]
  /** Certificate and key in PEM; null: no TLS. */
  readonly tls: { readonly cert: string; readonly key: string } | null
  readonly framesPerSecond: number
  /** RELAY_COUNTERS 64-bit counters, see `Counter`. */
  readonly counters: SharedArrayBuffer
}

/** Indices of the counters: what the relay did not pass on, and whom it refused. */
export const Counter = { overRate: 0, empty: 1, refused: 2 } as const
export const RELAY_COUNTERS = 3

/** To the relay thread. A descriptor that is named belongs to the relay from then on. */
export type ToRelay = { readonly do: 'join'; readonly fd: number } | { readonly do: 'release' } | { readonly do: 'close' }

/** From the relay thread. */
export type FromRelay =
  | { readonly said: 'listening'; readonly port: number }
  | { readonly said: 'failed'; readonly message: string }
  | { readonly said: 'connected' }
  | { readonly said: 'event'; readonly code: string; readonly message: string }
