// Words in shared memory by which the control thread has the receive rings of an uplink served in order while the kernel is told to put a
// VM's frames on another ring: the new ring is shut until what came on the old one before the change has been taken from it.
//
// The rule it must not break: a shut ring loses nothing but what it has no room for, and no ring stays shut.

const WORDS_PER_RING = 16
// The control thread writes the first and the third, the ring's processor the others.
const GATE = 0
const SEEN = 1
const DRAIN = 2
const DRAINED = 3
/** Frames that a ring holds at the most: who has taken so many has taken all that were in it. */
const RING_FRAMES_MAX = 4096

/** Bytes of shared memory, zeroed, for so many rings. */
export const ringGatesBytes = (rings: number): number => rings * WORDS_PER_RING * 4

/** The control thread's side. */
export class RingGates {
  readonly #words: Int32Array
  #ticket = 0

  /** Views the words at byte offset `at` of `buffer`. */
  constructor(buffer: ArrayBufferLike, at: number, rings: number) {
    this.#words = new Int32Array(buffer, at, rings * WORDS_PER_RING)
  }

  /** Shuts a ring; true from `isShut` means that nothing more is taken from it. */
  shut(ring: number): void {
    Atomics.store(this.#words, ring * WORDS_PER_RING + GATE, this.#next())
  }

  isShut(ring: number): boolean {
    const at = ring * WORDS_PER_RING
    return Atomics.load(this.#words, at + SEEN) === Atomics.load(this.#words, at + GATE)
  }

  open(ring: number): void {
    Atomics.store(this.#words, ring * WORDS_PER_RING + GATE, 0)
  }

  /** Asks to be told when all that is in a ring now has been taken from it. */
  drain(ring: number): void {
    Atomics.store(this.#words, ring * WORDS_PER_RING + DRAIN, this.#next())
  }

  isDrained(ring: number): boolean {
    const at = ring * WORDS_PER_RING
    return Atomics.load(this.#words, at + DRAINED) === Atomics.load(this.#words, at + DRAIN)
  }

  #next(): number {
    this.#ticket = (this.#ticket + 1) & 0x7fffffff || 1
    return this.#ticket
  }
}

/** The side of the processor that polls a ring. Fields are ordinary ones: they are read per burst. */
export class RingGate {
  private readonly words: Int32Array
  private seen = 0
  private draining = 0
  private left = 0

  constructor(buffer: ArrayBufferLike, at: number, ring: number) {
    this.words = new Int32Array(buffer, at + ring * WORDS_PER_RING * 4, WORDS_PER_RING)
    this.draining = Atomics.load(this.words, DRAINED)
  }

  /** False while nothing may be taken from the ring. Before each burst. */
  isOpen(): boolean {
    const gate = Atomics.load(this.words, GATE)
    if (gate !== 0) {
      if (gate !== this.seen) {
        this.seen = gate
        Atomics.store(this.words, SEEN, gate)
      }
      return false
    }
    const drain = Atomics.load(this.words, DRAIN)
    if (drain !== this.draining) {
      this.draining = drain
      this.left = RING_FRAMES_MAX
    }
    return true
  }

  /** So many frames have been taken from the ring, and delivered. After each burst. */
  took(frames: number): void {
    if (this.left === 0) return
    this.left = frames === 0 || frames >= this.left ? 0 : this.left - frames
    if (this.left === 0) Atomics.store(this.words, DRAINED, this.draining)
  }
}
