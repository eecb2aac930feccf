// How the uplink is shared (spec 7.6, Hyper-V's minimum bandwidth): every so often what the uplink can take is dealt out to the shares of
// ports, as tokens. Each share gets its minimum, and what is left goes by weight to those that have room; ports without a share of their
// own have equal parts of the default flow's. A share that is not used is full, gets nothing, and leaves its part to the others.
//
// The rules it must not break: what is dealt out in all is never more than what the uplink takes; one processor deals at a time, and
// nobody waits for it; nothing is allocated.
import type { BandwidthTable } from './bandwidth-table.ts'
import { W_LOCK, W_SHARE, W_UPLINK } from './bandwidth-table.ts'
import { fillBucket, inflow, microsecondsSince } from './token-bucket.ts'

/** Bytes that are dealt out at a time, and the bounds of the microseconds between two times. */
const DEAL_BYTES = 65_536
const DEAL_MIN_US = 250
const DEAL_MAX_US = 4000
/** Microseconds after which it is worth dealing again for one that has nothing. */
const DEAL_AGAIN_US = 16
/** Times that what full shares left is dealt out again. */
const PASSES = 4

/** Fields are ordinary ones: they are read per burst. */
export class UplinkShares {
  private readonly table: BandwidthTable
  private readonly words: Int32Array

  constructor(table: BandwidthTable) {
    this.table = table
    this.words = table.words
  }

  /** Microseconds from one dealing to the next. */
  get intervalUs(): number {
    return Math.min(DEAL_MAX_US, Math.max(DEAL_MIN_US, DEAL_BYTES / this.table.uplinkRate))
  }

  /** Tokens of a port's share, in bytes; deals first, if it has none. Any processor. */
  tokens(port: number, nowUs: number): number {
    const { table, words } = this
    table.noteShare(port)
    const at = table.entry(port) + W_SHARE
    const tokens = Atomics.load(words, at)
    if (tokens > 0 || microsecondsSince(Atomics.load(words, W_UPLINK + 1), Math.floor(nowUs)) < DEAL_AGAIN_US) return tokens
    this.deal(nowUs)
    return Atomics.load(words, at)
  }

  /** Takes what went out from a share. Any processor. */
  charge(share: number, bytes: number): void {
    Atomics.sub(this.words, this.table.entry(share) + W_SHARE, bytes)
  }

  /** Deals out what has come in since the last time. */
  deal(nowUs: number): void {
    const { words, table } = this
    if (Atomics.compareExchange(words, W_LOCK, 0, 1) !== 0) return
    const rate = table.uplinkRate
    if (rate > 0) {
      const tick = Math.floor(nowUs)
      const passed = microsecondsSince(Atomics.load(words, W_UPLINK + 1), tick)
      const budget = fillBucket(words, W_UPLINK, rate, table.uplinkDepth, nowUs)
      if (budget > 0) {
        const left = this.byWeight(this.minimums(budget, tick, passed))
        Atomics.sub(words, W_UPLINK, budget - left)
      }
    }
    Atomics.store(words, W_LOCK, 0)
  }

  private room(share: number): number {
    return this.table.shareDepth(share) - Atomics.load(this.words, this.table.entry(share) + W_SHARE)
  }

  private give(share: number, bytes: number): void {
    Atomics.add(this.words, this.table.entry(share) + W_SHARE, bytes)
  }

  // Ports that have parts of the default flow's share, and room for more.
  private members(): number {
    const { table } = this
    let members = 0
    for (let port = 0; port <= table.highest; port++) if (!table.hasOwnShare(port) && this.room(port) > 0) members++
    return members
  }

  // What a port is to have of its minimum, or of the default flow's.
  private least(port: number, members: number, tick: number, passed: number): number {
    const { table } = this
    const isOwn = table.hasOwnShare(port)
    const rate = isOwn ? table.minimum(port) : table.minimum(0)
    if (rate === 0) return 0
    const due = inflow(rate, tick, passed)
    return Math.max(0, Math.min(this.room(port), isOwn ? due : Math.floor(due / members)))
  }

  // Gives each share its minimum of the time that has passed, cut alike where they ask for more than there is. Returns what is left.
  private minimums(budget: number, tick: number, passed: number): number {
    const { highest } = this.table
    if (passed === Number.POSITIVE_INFINITY) return budget
    const members = Math.max(1, this.members())
    let wanted = 0
    for (let port = 0; port <= highest; port++) wanted += this.least(port, members, tick, passed)
    if (wanted === 0) return budget
    const part = Math.min(1, budget / wanted)
    let left = budget
    for (let port = 0; port <= highest; port++) {
      const given = Math.min(left, Math.floor(this.least(port, members, tick, passed) * part))
      if (given === 0) continue
      this.give(port, given)
      left -= given
    }
    return left
  }

  // Deals `budget` out by weight. Returns what is left.
  private byWeight(budget: number): number {
    const { table } = this
    const { highest } = table
    let left = budget
    for (let pass = 0; pass < PASSES && left > 0; pass++) {
      const members = this.members()
      let weights = members === 0 ? 0 : table.weight(0)
      for (let port = 1; port <= highest; port++)
        if (table.hasOwnShare(port) && this.room(port) > 0) weights += table.weight(port)
      if (weights === 0) break
      const dealt = left / weights
      for (let port = 0; port <= highest; port++) {
        const room = this.room(port)
        if (room <= 0) continue
        const weight = table.hasOwnShare(port) ? table.weight(port) : table.weight(0) / members
        const given = Math.min(room, left, Math.floor(dealt * weight))
        this.give(port, given)
        left -= given
      }
    }
    return left
  }
}
