// What a processor counts of the queue pairs of one guest: frames by queue pair and by entry of the indirection table, and moves of entries.
// Written by that processor alone, read by the control thread.
//
// The rule it must not break: a look at them is cheap and may be a moment old; nothing waits for it.
import { TABLE_ENTRIES_MAX } from './vport-rss.ts'

/** Queue pairs of one guest that delivery spreads flows over. */
export const QUEUE_PAIRS_MAX = 16
/** Entries of a guest's indirection table. */
export const RSS_ENTRIES: number = TABLE_ENTRIES_MAX

// Behind the queue pairs and the entries: frames without a hash, then what is told of moves.
const FRAMES: number = QUEUE_PAIRS_MAX + RSS_ENTRIES + 1
const MOVED: number = FRAMES
const FORCED: number = FRAMES + 1
const WAITING: number = FRAMES + 2
const WORDS: number = FRAMES + 3

/** Bytes of shared memory, zeroed, of one processor's counters for one guest. */
export const RSS_COUNTER_BYTES: number = WORDS * 8

export class RssCounters {
  /** Frames of each queue pair, then those of each entry, then those without a hash. */
  readonly frames: Float64Array

  /** Views RSS_COUNTER_BYTES at byte offset `at`. */
  constructor(buffer: ArrayBufferLike, at: number) {
    this.frames = new Float64Array(buffer, at, WORDS)
  }

  ofPair(pair: number): number {
    return this.frames[pair]!
  }

  /** Frames of an entry; RSS_ENTRIES: those without a hash. */
  ofEntry(entry: number): number {
    return this.frames[QUEUE_PAIRS_MAX + entry]!
  }

  /** Moves of entries that this processor has followed. */
  get moves(): number {
    return this.frames[MOVED]!
  }

  /** Of these, those that did not find the queue pair empty in time. */
  get movesForced(): number {
    return this.frames[FORCED]!
  }

  /** Entries whose move this processor has yet to follow, as of its last burst for the guest. */
  get movesWaiting(): number {
    return this.frames[WAITING]!
  }

  moved(entries: number): void {
    this.frames[MOVED] = this.moves + entries
  }

  forced(entries: number): void {
    this.frames[FORCED] = this.movesForced + entries
  }

  setWaiting(entries: number): void {
    this.frames[WAITING] = entries
  }
}
