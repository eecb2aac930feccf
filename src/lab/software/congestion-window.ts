// How much a TCP sender may have under way (RFC 5681): slow start, congestion avoidance, and what counts as a loss.
import { sequenceDifference } from './tcp-segment.ts'

const INITIAL_SEGMENTS = 10
const DUPLICATES_FOR_LOSS = 3

export class CongestionWindow {
  #segmentBytes = 0
  #window = 0
  #threshold = Number.POSITIVE_INFINITY
  #duplicates = 0
  /** The highest byte sent at the last loss: acknowledgments up to it say nothing of a new one. */
  #recover: number

  constructor(initialSequence: number) {
    this.#recover = initialSequence
  }

  /** Bytes that may be under way. */
  get bytes(): number {
    return Math.floor(this.#window)
  }

  /** The handshake is through. */
  open(segmentBytes: number): void {
    this.#segmentBytes = segmentBytes
    this.#window = INITIAL_SEGMENTS * segmentBytes
  }

  acknowledged(bytes: number): void {
    this.#duplicates = 0
    if (this.#window < this.#threshold) this.#window += Math.min(bytes, this.#segmentBytes)
    else this.#window += (this.#segmentBytes * this.#segmentBytes) / this.#window
  }

  /** A duplicate acknowledgment came. Returns whether it shows a loss; the sender then goes back to what is missing. */
  duplicate(unacknowledged: number, highest: number): boolean {
    // What is sent again makes duplicates too; only those beyond the last loss count.
    if (sequenceDifference(unacknowledged, this.#recover) <= 0) return false
    if (++this.#duplicates !== DUPLICATES_FOR_LOSS) return false
    this.#reduce(unacknowledged, highest)
    this.#window = this.#threshold
    return true
  }

  /** Nothing was acknowledged in time. */
  timeout(unacknowledged: number, highest: number): void {
    this.#reduce(unacknowledged, highest)
    this.#window = this.#segmentBytes
    this.#duplicates = 0
  }

  #reduce(unacknowledged: number, highest: number): void {
    this.#recover = highest
    this.#threshold = Math.max(sequenceDifference(highest, unacknowledged) / 2, 2 * this.#segmentBytes)
  }
}
