// The firewall's log: a line of JSON for each kind of decision, which tells how often it was made since the line before.
//
// The rules it must not break: what a VM does can't make it write more than its configured lines a second; and each decision is counted in one
// line, at the latest when the log ends.

import type { Sink, SwitchHandle } from '../../extension.ts'
import type { FirewallOptions } from './options.ts'

const KINDS = 2048
const REPEAT_TICK_MS = 1000
const NEVER = Number.NEGATIVE_INFINITY

type AuditOptions = NonNullable<FirewallOptions['audit']>

/** What a line tells, and under which name its count. */
interface Told {
  readonly what: Readonly<Record<string, unknown>>
  readonly unit: string
}

export class Audit {
  readonly #sw: SwitchHandle
  readonly #sink: Sink
  readonly #options: AuditOptions
  readonly #encoder = new TextEncoder()
  readonly #kinds = new Int32Array(KINDS)
  readonly #toldAt = new Float64Array(KINDS).fill(NEVER)
  readonly #repeated = new Uint32Array(KINDS)
  // What was told of each kind, for the line that tells how often there was more of it.
  readonly #told: (Told | undefined)[] = new Array<Told | undefined>(KINDS).fill(undefined)
  #at = 0
  #isRepeated = false
  #tokens: number
  #filledAt = 0
  #suppressed = 0

  constructor(sw: SwitchHandle, options: AuditOptions) {
    this.#sw = sw
    this.#options = options
    this.#sink = sw.sink('audit')
    this.#tokens = options.perSecond
    sw.every(REPEAT_TICK_MS, () => this.#tellRepeated(false))
  }

  get allowed(): boolean {
    return this.#options.allowed
  }

  #takeToken(now: number): boolean {
    const { perSecond } = this.#options
    this.#tokens = Math.min(perSecond, this.#tokens + ((now - this.#filledAt) * perSecond) / 1000)
    this.#filledAt = now
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }

  /**
   * Whether a decision of kind `kind` (a hash) is to be told now, by `tellKind`: how many there were since it was told, this one included,
   * or 0. Allocates nothing.
   */
  isDue(kind: number): number {
    const now = this.#sw.now()
    const at = (kind ^ (kind >>> 15)) & (KINDS - 1)
    this.#at = at
    if (this.#kinds[at] !== kind) {
      this.#suppressed += this.#repeated[at]!
      this.#kinds[at] = kind
      this.#toldAt[at] = NEVER
      this.#repeated[at] = 0
      this.#told[at] = undefined
    }
    const count = this.#repeated[at]! + 1
    const isSoon = now - this.#toldAt[at]! < this.#options.repeatSeconds * 1000
    if (!isSoon && this.#takeToken(now)) {
      this.#toldAt[at] = now
      this.#repeated[at] = 0
      return count
    }
    // Of a kind that was never told there is nothing to tell later.
    if (this.#told[at] === undefined) this.#suppressed++
    else {
      this.#repeated[at] = count
      this.#isRepeated = true
    }
    return 0
  }

  /** Writes the line of the kind that was just found due: `count` of `unit`. */
  tellKind(what: Readonly<Record<string, unknown>>, unit: string, count: number): void {
    this.#told[this.#at] = { what, unit }
    this.tell({ ...what, [unit]: count }, count)
  }

  /** Writes a line, for what happens seldom. `decisions`: how many it stands for. */
  tell(what: Readonly<Record<string, unknown>>, decisions = 0): void {
    const { seconds, nanoseconds } = this.#sw.wallClock
    const time = new Date(seconds * 1000 + Math.floor(nanoseconds / 1e6)).toISOString()
    const more = this.#suppressed > 0 ? { suppressed: this.#suppressed } : {}
    const bytes = this.#encoder.encode(`${JSON.stringify({ time, ...what, ...more })}\n`)
    if (this.#sink.write(bytes, bytes.length)) this.#suppressed = 0
    else this.#suppressed += decisions
  }

  // Decisions that were made again after they were told, and then no more, are told too; `all`: at once.
  #tellRepeated(all: boolean): void {
    const now = this.#sw.now()
    if (this.#isRepeated) {
      this.#isRepeated = false
      for (let at = 0; at < KINDS; at++) {
        const count = this.#repeated[at]!
        const told = this.#told[at]
        if (count === 0 || told === undefined) continue
        const isSoon = now - this.#toldAt[at]! < this.#options.repeatSeconds * 1000
        if (!all && (isSoon || !this.#takeToken(now))) {
          this.#isRepeated = true
          continue
        }
        this.#toldAt[at] = now
        this.#repeated[at] = 0
        this.tell({ ...told.what, [told.unit]: count }, count)
      }
    }
    if (this.#suppressed > 0 && (all || this.#takeToken(now))) this.tell({ action: 'suppressed' })
  }

  /** Writes what is not told yet: the log ends. */
  end(): void {
    this.#tellRepeated(true)
  }
}
