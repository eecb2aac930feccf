// How often an address has come with a wrong token, and whether it is to be heard at all.
//
// The rule it must not break: it never keeps more than ADDRESSES_MAX addresses, whoever asks.

/** Wrong tokens of an address within WINDOW_MS, after which it is not heard until they have passed. */
export const ATTEMPTS_MAX = 10
export const WINDOW_MS = 60_000
const ADDRESSES_MAX = 4096

interface Attempts {
  count: number
  sinceMs: number
}

/** `::ffff:192.0.2.1` → `192.0.2.1`; of an IPv6 address its network of 64 bits, since whoever has one has all of them. */
export function addressKey(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '')
  if (!plain.includes(':')) return plain
  const [head = '', tail] = plain.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const missing = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length)
  return [...left, ...Array<string>(missing).fill('0'), ...right].slice(0, 4).join(':')
}

export class AttemptLimit {
  readonly #nowMs: () => number
  /** In the order in which their windows began. */
  readonly #attempts = new Map<string, Attempts>()

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Seconds until the address is heard again; 0: it is heard now. */
  waitSeconds(address: string): number {
    const attempts = this.#current(addressKey(address))
    if (attempts === undefined || attempts.count < ATTEMPTS_MAX) return 0
    return Math.ceil((attempts.sinceMs + WINDOW_MS - this.#nowMs()) / 1000)
  }

  /** A wrong token came from `address`. Answers whether it was the one after which it is not heard. */
  failed(address: string): boolean {
    const key = addressKey(address)
    const attempts = this.#current(key) ?? this.#begin(key)
    attempts.count++
    return attempts.count === ATTEMPTS_MAX
  }

  #current(key: string): Attempts | undefined {
    const attempts = this.#attempts.get(key)
    if (attempts === undefined || this.#nowMs() - attempts.sinceMs < WINDOW_MS) return attempts
    this.#attempts.delete(key)
    return undefined
  }

  #begin(key: string): Attempts {
    const attempts = { count: 0, sinceMs: this.#nowMs() }
    const [oldest] = this.#attempts.keys()
    if (this.#attempts.size >= ADDRESSES_MAX && oldest !== undefined) this.#attempts.delete(oldest)
    this.#attempts.set(key, attempts)
    return attempts
  }
}
