// The firewall's log: a line of JSON for each kind of decision, which tells how often it was made since the line before.
//
// The rule it must not break: what a VM does can't make it write more than its configured lines a second; what is not written is counted in a
// line that is.

import type { Sink, SwitchHandle } from '../../extension.ts'
import type { FirewallOptions } from './options.ts'

const KINDS = 2048
const NEVER = Number.NEGATIVE_INFINITY

type AuditOptions = NonNullable<FirewallOptions['audit']>

export class Audit {
  readonly #sw: SwitchHandle
  readonly #sink: Sink
  readonly #options: AuditOptions
  readonly #encoder = new TextEncoder()
  readonly #kinds = new Int32Array(KINDS)
  readonly #toldAt = new Float64Array(KINDS).fill(NEVER)
  readonly #repeated = new Uint32Array(KINDS)
  #tokens: number
  #filledAt = 0
  #suppressed = 0

  constructor(sw: SwitchHandle, options: AuditOptions) {
    this.#sw = sw
    this.#options = options
    this.#sink = sw.sink('audit')
    this.#tokens = options.perSecond
  }

  get allowed(): boolean {
    return this.#options.allowed
  }

  /**
   * Whether a decision of kind `kind` (a hash) is to be told now: how many there were since it was told, this one included, or 0. Allocates
   * nothing.
   */
  isDue(kind: number): number {
    const now = this.#sw.now()
    const at = (kind ^ (kind >>> 15)) & (KINDS - 1)
    if (this.#kinds[at] !== kind) {
      this.#kinds[at] = kind
      this.#toldAt[at] = NEVER
      this.#repeated[at] = 0
    }
    this.#repeated[at] = this.#repeated[at]! + 1
    if (now - this.#toldAt[at]! < this.#options.repeatSeconds * 1000) return 0
    const { perSecond } = this.#options
    this.#tokens = Math.min(perSecond, this.#tokens + ((now - this.#filledAt) * perSecond) / 1000)
    this.#filledAt = now
    if (this.#tokens < 1) {
      this.#suppressed++
      return 0
    }
    this.#tokens--
    this.#toldAt[at] = now
    const count = this.#repeated[at]!
    this.#repeated[at] = 0
    return count
  }

  /** Writes a line. Call it after `isDue`, or for what happens seldom. */
  tell(what: Readonly<Record<string, unknown>>): void {
    const { seconds, nanoseconds } = this.#sw.wallClock
    const time = new Date(seconds * 1000 + Math.floor(nanoseconds / 1e6)).toISOString()
    const more = this.#suppressed > 0 ? { suppressed: this.#suppressed } : {}
    const bytes = this.#encoder.encode(`${JSON.stringify({ time, ...what, ...more })}\n`)
    if (this.#sink.write(bytes, bytes.length)) this.#suppressed = 0
  }
}
