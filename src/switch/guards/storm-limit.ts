// Storm limits: how many broadcast, multicast and unknown unicast frames a port may send, as token buckets in shared memory that all
// processors draw from (spec 7.6). A bucket holds thousandths of frames, or bits; what flows in per millisecond is its rate.
//
// The rule it must not break: a bucket never holds more than its depth, whichever processors draw from it at a time; nothing is allocated.
import type { StormBucket, StormClass } from '../../ndis/standard-properties.ts'

const stormClasses: readonly StormClass[] = ['broadcast', 'multicast', 'unknownUnicast']
/** Kinds of frames, as positions. */
export const BROADCAST = 0
export const MULTICAST = 1
export const UNKNOWN_UNICAST = 2

const MILLI = 1000
/** Milliseconds of its rate that a bucket of bits holds; one of frames holds a second. */
const BITS_DEPTH_MS = 100
/** Bits that every bucket of bits holds: the longest frame that there is, twice. */
const BITS_DEPTH_MIN = 2 * 65_562 * 8
/** Milliseconds that a processor's look at the clock may be behind another one's. */
const SKEW_MS = 1000

// Of a port: which bucket each kind of frames draws from (0 = none, n = bucket n - 1), a byte each; the buckets.
const W_BUCKET_OF = 0
const W_BUCKETS = 1
const W_RATE = 0
const W_DEPTH = 1
const W_TOKENS = 2
const W_TICK = 3
const W_COUNTS_BITS = 4
const BUCKET_WORDS = 5

export const STORM_WORDS = W_BUCKETS + stormClasses.length * BUCKET_WORDS

/** Writes the limits of a port into `words` from `at` on. Control thread only. */
export function setStormLimits(words: Int32Array, at: number, buckets: readonly StormBucket[]): void {
  words.fill(0, at, at + STORM_WORDS)
  let bucketOf = 0
  for (const [k, { classes, packetsPerSecond, kilobitsPerSecond }] of buckets.entries()) {
    const bucket = at + W_BUCKETS + k * BUCKET_WORDS
    const rate = packetsPerSecond ?? kilobitsPerSecond ?? 0
    const depth = packetsPerSecond === undefined ? Math.max(rate * BITS_DEPTH_MS, BITS_DEPTH_MIN) : rate * MILLI
    words[bucket + W_RATE] = rate
    words[bucket + W_DEPTH] = depth
    words[bucket + W_TOKENS] = depth
    words[bucket + W_COUNTS_BITS] = packetsPerSecond === undefined ? 1 : 0
    for (const name of classes) bucketOf |= (k + 1) << (8 * stormClasses.indexOf(name))
  }
  words[at + W_BUCKET_OF] = bucketOf
}

/** True if frames of `kind` are limited by the words at `at`. */
export const isLimited = (words: Int32Array, at: number, kind: number): boolean =>
  ((words[at + W_BUCKET_OF]! >> (8 * kind)) & 0xff) !== 0

/**
 * Takes what `frames` frames of `kind`, `bytes` long together, need out of their bucket. False: it holds less, and they are to be dropped.
 * `tick`: whole milliseconds of the switch's clock, which goes round after 2^32. Any processor.
 */
export function takeTokens(words: Int32Array, at: number, kind: number, frames: number, bytes: number, tick: number): boolean {
  const number = (words[at + W_BUCKET_OF]! >> (8 * kind)) & 0xff
  if (number === 0) return true
  const bucket = at + W_BUCKETS + (number - 1) * BUCKET_WORDS
  fill(words, bucket, tick | 0)
  const cost = words[bucket + W_COUNTS_BITS] === 0 ? frames * MILLI : bytes * 8
  if (Atomics.sub(words, bucket + W_TOKENS, cost) >= cost) return true
  Atomics.add(words, bucket + W_TOKENS, cost)
  return false
}

/** A bucket of a port, as it is now. */
export interface StormBucketState {
  /** Frames, or kilobits, per second. */
  readonly rate: number
  readonly counts: 'frames' | 'kilobits'
  /** What it holds: frames, or kilobits. */
  readonly left: number
  /** Whether it has enough for so many frames and bytes. */
  readonly isEnough: boolean
}

/** The bucket that frames of `kind` draw from, as it would be at `tick`, for what `takeTokens` would take; undefined: none. Takes nothing. */
export function stormBucket(
  words: Int32Array,
  at: number,
  kind: number,
  frames: number,
  bytes: number,
  tick: number,
): StormBucketState | undefined {
  const number = (words[at + W_BUCKET_OF]! >> (8 * kind)) & 0xff
  if (number === 0) return undefined
  const copy = words.slice(at + W_BUCKETS + (number - 1) * BUCKET_WORDS, at + W_BUCKETS + number * BUCKET_WORDS)
  fill(copy, 0, tick | 0)
  const isBits = copy[W_COUNTS_BITS] !== 0
  const tokens = copy[W_TOKENS]!
  return {
    rate: copy[W_RATE]!,
    counts: isBits ? 'kilobits' : 'frames',
    left: tokens / MILLI,
    isEnough: tokens >= (isBits ? bytes * 8 : frames * MILLI),
  }
}

// What flowed in since the last look. The processor that moves the clock on pours it in.
function fill(words: Int32Array, bucket: number, tick: number): void {
  const last = Atomics.load(words, bucket + W_TICK)
  const passed = (tick - last) | 0
  if (passed <= 0 && passed > -SKEW_MS) return
  if (Atomics.compareExchange(words, bucket + W_TICK, last, tick) !== last) return
  const depth = words[bucket + W_DEPTH]!
  // The clock went all the way round where less than nothing has passed.
  const inflow = passed < 0 ? depth : Math.min(depth, passed * words[bucket + W_RATE]!)
  for (;;) {
    const tokens = Atomics.load(words, bucket + W_TOKENS)
    if (Atomics.compareExchange(words, bucket + W_TOKENS, tokens, Math.min(depth, tokens + inflow)) === tokens) return
  }
}
