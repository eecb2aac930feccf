// Rate limits of VPorts as token buckets in shared memory: a VF over its rate is not served, so its frames wait in its own ring and
// nobody sleeps. A maximum is a bucket of the VPort. A minimum is a bucket that others can't empty: a VPort that has used up its
// minimum competes for what the link has left over all minimums.
//
// The rule it must not break: a turn takes no more frames than the tokens pay for, so a debt is one burst's last frame at the most.
import { BURST_MAX } from '../kernels/layout.ts'
import { fillBucket, startBucket, takeFromBucket } from '../switch/bandwidth/token-bucket.ts'

const burstMax: number = BURST_MAX
const ENTRY_WORDS = 8
const RATE = 0 // bytes per millisecond; 0 = no limit (of a minimum: none)
const TOKENS = 1 // a bucket
const MIN_RATE = 3
const MIN_TOKENS = 4 // a bucket
const US_PER_MS = 1000
/** Bytes that a bucket holds at the least: a super-frame must fit. */
const BUCKET_MIN = 65536
const BUCKET_MS = 10
/** Bytes that one frame may have. */
const FRAME_BYTES = 65536
/** Megabits per second that a limit may name. */
export const RATE_MAX_MBPS = 400_000
const BYTES_PER_MS_PER_MBPS = 125

export const rateLimitsBytes = (vports: number): number => (vports + 1) * ENTRY_WORDS * 4

/** Fields are ordinary ones: `allowance` runs per turn. The entry after the last VPort is the link's share left over all minimums. */
export class RateLimits {
  private readonly words: Int32Array
  private readonly vports: number

  /** Views the limits at byte offset `at` of `buffer`, zeroed by the caller. */
  constructor(buffer: ArrayBufferLike, at: number, vports: number) {
    this.words = new Int32Array(buffer, at, rateLimitsBytes(vports) >> 2)
    this.vports = vports
  }

  private refill(at: number, rate: number, nowUs: number): number {
    return fillBucket(this.words, at, rate / US_PER_MS, Math.max(BUCKET_MIN, rate * BUCKET_MS), nowUs)
  }

  /** True if a limit applies to the VPort, its own or the link's. Without one `allowance` is BURST_MAX, and nobody has to ask the time. */
  limits(vport: number): boolean {
    return this.words[vport * ENTRY_WORDS + RATE] !== 0 || this.words[this.vports * ENTRY_WORDS + RATE] !== 0
  }

  /** Frames that a turn may take from the VPort: 0…BURST_MAX. `nowUs`: microseconds, any origin, wrapping. Allocates nothing. */
  allowance(vport: number, nowUs: number): number {
    const { words } = this
    const at = vport * ENTRY_WORDS
    const link = this.vports * ENTRY_WORDS
    const rate = words[at + RATE]!
    const linkRate = words[link + RATE]!
    if (rate === 0 && linkRate === 0) return burstMax
    let tokens = rate === 0 ? 0x7fffffff : this.refill(at + TOKENS, rate, nowUs)
    if (linkRate !== 0) {
      let share = this.refill(link + TOKENS, linkRate, nowUs)
      const minimum = words[at + MIN_RATE]!
      if (minimum !== 0) share = Math.max(share, this.refill(at + MIN_TOKENS, minimum, nowUs))
      tokens = Math.min(tokens, share)
    }
    if (tokens <= 0) return 0
    const frames = Math.ceil(tokens / FRAME_BYTES)
    return frames < burstMax ? frames : burstMax
  }

  /** Takes the bytes that a turn sent from the VPort's buckets. */
  charge(vport: number, bytes: number): void {
    const { words } = this
    const at = vport * ENTRY_WORDS
    const link = this.vports * ENTRY_WORDS
    if (words[at + RATE] !== 0) takeFromBucket(words, at + TOKENS, bytes)
    if (words[link + RATE] === 0) return
    const minimum = words[at + MIN_RATE]! === 0 ? 0 : Atomics.load(words, at + MIN_TOKENS)
    if (minimum > 0) takeFromBucket(words, at + MIN_TOKENS, bytes)
    else takeFromBucket(words, link + TOKENS, bytes)
  }

  // ---- control thread -----------------------------------------------------------------------------------------------------

  /** Sets a VPort's limits in megabits per second; 0 = none. Both are at most RATE_MAX_MBPS. */
  set(vport: number, limits: { readonly maxMbps: number; readonly minMbps: number }, nowUs: number): void {
    const at = vport * ENTRY_WORDS
    this.start(at + TOKENS, at + RATE, limits.maxMbps, nowUs)
    this.start(at + MIN_TOKENS, at + MIN_RATE, limits.minMbps, nowUs)
  }

  /** Sets what the link has left over all minimums; 0 = the link sets no limit, and minimums mean nothing. */
  setLinkShare(mbps: number, nowUs: number): void {
    const at = this.vports * ENTRY_WORDS
    this.start(at + TOKENS, at + RATE, mbps, nowUs)
  }

  private start(tokensAt: number, rateAt: number, mbps: number, nowUs: number): void {
    const rate = mbps * BYTES_PER_MS_PER_MBPS
    startBucket(this.words, tokensAt, Math.max(BUCKET_MIN, rate * BUCKET_MS), nowUs)
    Atomics.store(this.words, rateAt, rate)
  }
}
