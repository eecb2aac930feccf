// The arithmetic of token buckets in shared memory, for everything that has a rate: ports, virtual functions, the uplink. A bucket is two
// words, its tokens in bytes and the microsecond of its last filling; rate and depth are the owner's.
//
// The rules it must not break: what flows in between two moments depends on these alone, however often and by whom somebody looked in
// between, so that no fraction of a byte is ever lost or made; a bucket never holds more than its depth; nothing is allocated.

/** Words of a bucket. */
export const BUCKET_WORDS = 2
const W_TOKENS = 0
const W_STAMP = 1
/** Microseconds that a processor's look at the clock may be behind another one's. */
const SKEW_US = 1_000_000
const BITS_PER_BYTE = 8
const US_PER_SECOND = 1e6

/** Bits per second as bytes per microsecond, the unit of rates here. */
export const bytesPerUs = (bitsPerSecond: number): number => bitsPerSecond / BITS_PER_BYTE / US_PER_SECOND

/**
 * Whole bytes that flow in with `rate` from `passed` microseconds before `tick` until `tick`. The sum over stretches in a row is that of
 * all of them together, to the byte.
 */
export const inflow = (rate: number, tick: number, passed: number): number =>
  Math.floor(tick * rate) - Math.floor((tick - passed) * rate)

/** Microseconds from the one in `stamp` to `tick`, 0 for looks that come late; Infinity if the clock went round in between. */
export function microsecondsSince(stamp: number, tick: number): number {
  const passed = ((tick | 0) - stamp) | 0
  if (passed >= 0) return passed
  return passed > -SKEW_US ? 0 : Number.POSITIVE_INFINITY
}

/**
 * Lets flow in what is due, and returns the tokens: bytes, negative if more was taken than there was. `rate`: bytes per microsecond,
 * above 0; `depth`: bytes; `nowUs`: microseconds of a clock that all processors share. Any processor.
 */
export function fillBucket(words: Int32Array, at: number, rate: number, depth: number, nowUs: number): number {
  const tick = Math.floor(nowUs)
  const last = Atomics.load(words, at + W_STAMP)
  const passed = microsecondsSince(last, tick)
  if (passed === 0 || Atomics.compareExchange(words, at + W_STAMP, last, tick | 0) !== last) return Atomics.load(words, at)
  const due = passed === Number.POSITIVE_INFINITY ? Number.POSITIVE_INFINITY : inflow(rate, tick, passed)
  for (;;) {
    const tokens = Atomics.load(words, at + W_TOKENS)
    const filled = due >= depth - tokens ? depth : tokens + due
    if (Atomics.compareExchange(words, at + W_TOKENS, tokens, filled) === tokens) return filled
  }
}

/** Takes `bytes` out, whether there are as many or not. Any processor. */
export function takeFromBucket(words: Int32Array, at: number, bytes: number): void {
  Atomics.sub(words, at + W_TOKENS, bytes)
}

/** Makes the bucket full as of `nowUs`. Control thread only. */
export function startBucket(words: Int32Array, at: number, depth: number, nowUs: number): void {
  Atomics.store(words, at + W_STAMP, Math.floor(nowUs) | 0)
  Atomics.store(words, at + W_TOKENS, depth)
}
