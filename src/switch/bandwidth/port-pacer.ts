// How much may be taken from the rings of a port now (spec 7.6): its maximum, and its share of the uplink. Frames that may not be taken
// stay where they are, in the guest's own ring; nobody sleeps here and nothing is lost.
//
// The rules it must not break: over any time a port sends at most what its rate brings in and the depth of its bucket, apart from what a
// burst of frames may be longer than those before it, and that is bounded; nothing is allocated.
import { BURST_MAX } from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { BandwidthBit, BandwidthCounter, type BandwidthTable, W_LAST_RING, W_SEND, W_WAITING } from './bandwidth-table.ts'
import { fillBucket, takeFromBucket } from './token-bucket.ts'
import { UplinkShares } from './uplink-shares.ts'
import { wireBytes } from './wire-bytes.ts'

const burstMax: number = BURST_MAX
/** Microseconds of its rate that a ring waits for at the least: it is looked at anew for a few frames and not for each. */
const QUANTUM_US = 200
/** Parts of a bucket that a ring waits for at the most. */
const QUANTA = 4
/** Bytes of the longest frame, and microseconds that a burst of such frames may last where short ones were expected. */
const LONGEST = 65_562
const SURPRISE_US = 250_000
/** Times that a ring lets others of its port go first before it takes its turn whatever they do: one of them may be gone. */
const DEFERRALS_MAX = 8

/** One ring of a port, as a processor paces it. Fields are ordinary ones: they are read per round. */
export class RingPace {
  readonly port: number
  /** Its number among the rings of the port, below 31. */
  readonly index: number
  /** Microseconds of the switch's clock until which nothing may be taken; 0: there was something to take. */
  dueUs = 0
  /** Since when it waits, 0: it does not, or had nothing more. */
  sinceUs = 0
  /** Bytes that it has taken in its present turn, and times that it let others go first. */
  turnBytes = 0
  deferred = 0
  /** Bytes of its longer frames of late: what its next ones are expected to have. */
  frameBytes = LONGEST
  /** It may have more than was taken. */
  hasMore = false
  /** Until when it is not looked at, though there are tokens: for a burst that is worth it. */
  restsUntilUs = 0
  generation = -1

  constructor(port: number, index: number) {
    this.port = port
    this.index = index
  }
}

/** The pacer of one processor. */
export class PortPacer {
  private readonly table: BandwidthTable
  private readonly pool: PacketPool
  private readonly shares: UplinkShares

  constructor(table: BandwidthTable, pool: PacketPool) {
    this.table = table
    this.pool = pool
    this.shares = new UplinkShares(table)
  }

  /** True if the port is paced at all. */
  concerns(port: number): boolean {
    const { table } = this
    return table.isOn && (table.bits(port) & (BandwidthBit.send | BandwidthBit.shares)) !== 0
  }

  /** True if a ring has to wait after `nowUs`; settings that changed end the wait. */
  waits(ring: RingPace, nowUs: number): boolean {
    return ring.dueUs > nowUs && ring.generation === this.table.generation && this.concerns(ring.port)
  }

  /** Frames that may be taken from a ring now: 0…BURST_MAX. With 0, `dueUs` of the ring says when to ask again. */
  room(ring: RingPace, nowUs: number): number {
    const { table } = this
    if (this.waits(ring, nowUs)) return 0
    ring.generation = table.generation
    const { port } = ring
    const bits = table.bits(port)
    let frames = burstMax
    let waitUs = 0
    if ((bits & BandwidthBit.send) !== 0) {
      const rate = table.sendRate(port)
      const depth = table.sendDepth(port)
      const tokens = fillBucket(table.words, table.entry(port) + W_SEND, rate, depth, nowUs)
      const quantum = Math.min(depth / QUANTA, Math.max(ring.frameBytes, rate * QUANTUM_US))
      frames = this.framesFor(ring, tokens, rate)
      if (frames === 0) waitUs = (quantum - tokens) / rate
      else if (this.defers(ring)) {
        frames = 0
        waitUs = quantum / rate
      }
    }
    if (frames > 0 && (bits & BandwidthBit.shares) !== 0) {
      frames = Math.min(frames, this.framesFor(ring, this.shares.tokens(port, nowUs), table.uplinkRate))
      // Not all that wait come back at the same moment, or the first in a row would take what there is each time.
      if (frames === 0) waitUs = this.shares.intervalUs * (1 + Math.random())
    }
    if (frames > 0) this.ends(ring, nowUs)
    else this.holds(ring, nowUs, waitUs)
    return frames
  }

  // True if another ring of the port has waited for its turn, which comes before this one's: they go round.
  private defers(ring: RingPace): boolean {
    const { words } = this.table
    const at = this.table.entry(ring.port)
    const waiting = Atomics.load(words, at + W_WAITING) & ~(1 << ring.index)
    if (waiting === 0) return false
    const behindLast = -1 << Atomics.load(words, at + W_LAST_RING)
    const beforeMe = (1 << ring.index) - 1
    const isPast = ring.index >= Atomics.load(words, at + W_LAST_RING)
    if ((waiting & (isPast ? behindLast & beforeMe : behindLast | beforeMe)) === 0) return false
    if (++ring.deferred <= DEFERRALS_MAX) return true
    Atomics.store(words, at + W_WAITING, 0)
    return false
  }

  private framesFor({ frameBytes: expected }: RingPace, tokens: number, rate: number): number {
    if (tokens <= 0) return 0
    const most = Math.max(1, Math.floor((rate * SURPRISE_US) / LONGEST))
    return Math.min(burstMax, most, Math.max(1, Math.floor(tokens / expected)))
  }

  private holds(ring: RingPace, nowUs: number, waitUs: number): void {
    ring.dueUs = nowUs + waitUs
    if (ring.hasMore) Atomics.or(this.table.words, this.table.entry(ring.port) + W_WAITING, 1 << ring.index)
    if (ring.hasMore && ring.sinceUs === 0) ring.sinceUs = nowUs
  }

  private ends(ring: RingPace, nowUs: number): void {
    ring.dueUs = 0
    if (ring.sinceUs === 0) return
    this.table.count(ring.port, BandwidthCounter.waitedUs, Math.min(0x7fffffff, Math.round(nowUs - ring.sinceUs)))
    ring.sinceUs = 0
  }

  /** Charges `count` frames in slots `first`… that were taken from a ring, of `asked` that might have been. */
  took(ring: RingPace, first: number, count: number, asked: number): void {
    const { table, pool } = this
    ring.hasMore = count === asked
    ring.deferred = 0
    const at = table.entry(ring.port)
    let bytes = 0
    let longest = 0
    for (let slot = first; slot < first + count; slot++) {
      const onWire = wireBytes(pool, slot)
      bytes += onWire
      if (onWire > longest) longest = onWire
    }
    if (count !== 0) ring.frameBytes = longest > ring.frameBytes ? longest : ring.frameBytes - ((ring.frameBytes - longest) >> 2)
    if ((table.bits(ring.port) & BandwidthBit.send) === 0) return
    takeFromBucket(table.words, at + W_SEND, bytes)
    table.count(ring.port, BandwidthCounter.paced, bytes)
    this.goesRound(ring, at, bytes)
  }

  // A turn is over when the ring is empty, or has had its bytes; one that is cut short by want of tokens is taken up again.
  private goesRound(ring: RingPace, at: number, bytes: number): void {
    const { words } = this.table
    const mine = 1 << ring.index
    ring.turnBytes += bytes
    const isWaiting = (Atomics.load(words, at + W_WAITING) & mine) !== 0
    if (ring.hasMore && ring.turnBytes < LONGEST) {
      if (!isWaiting) Atomics.or(words, at + W_WAITING, mine)
      return
    }
    ring.turnBytes = 0
    Atomics.store(words, at + W_LAST_RING, ring.index + 1)
    if (isWaiting) Atomics.and(words, at + W_WAITING, ~mine)
  }
}
