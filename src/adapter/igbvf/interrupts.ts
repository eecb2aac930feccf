// Interrupts of one function: causes, masks, moderation, and the eventfds that stand for MSI-X vectors. Cause bit n is vector n.
// Control half and data halves raise at the same time, so every bit is moved by one atomic operation.
//
// The rule it must not break: a cause that is pending and allowed is signalled at once, or noted as deferred or pending: never lost.
import { V_ASLEEP, V_DEFERRED, V_INTERRUPTS, V_PENDING, V_VECTORS } from './block.ts'
import { Moderation } from './moderation.ts'
import { EIAC, EIAM, EICR, EIMS, IVAR_MISC, IVAR_VALID, IVAR0, VECTOR_MASK, VECTORS } from './registers.ts'

export interface InterruptComponents {
  /** Views shared memory from address 0. */
  readonly i32: Int32Array
  readonly f64: Float64Array
  /** Adds 1 to an eventfd. */
  readonly signal: (fd: number) => void
  /** Sees to it that, though the processor of the function sleeps, `evaluate` is called in `ms` milliseconds or before. */
  readonly wakeIn: (ms: number) => void
  /** Milliseconds on a clock that all threads of the process share. */
  readonly nowMs: () => number
}

/** One thread's hold on a function's interrupts. Ordinary fields: it is called per batch. */
export class Interrupts {
  private readonly i32: Int32Array
  private readonly moderation: Moderation
  private readonly signal: (fd: number) => void
  private readonly wakeIn: (ms: number) => void
  private readonly nowMs: () => number
  private readonly block: number

  constructor(block: number, { i32, f64, signal, wakeIn, nowMs }: InterruptComponents) {
    this.block = block
    this.i32 = i32
    this.moderation = new Moderation(block, i32, f64)
    this.signal = signal
    this.wakeIn = wakeIn
    this.nowMs = nowMs
  }

  /** Causes of the receive queue, of the transmit queue and of the mailbox, as the driver has set them: bits, 0 = none. */
  get receiveCause(): number {
    return causeOf(this.i32[(this.block + IVAR0) >> 2]!)
  }

  get transmitCause(): number {
    return causeOf(this.i32[(this.block + IVAR0) >> 2]! >>> 8)
  }

  get mailboxCause(): number {
    return causeOf(this.i32[(this.block + IVAR_MISC) >> 2]!)
  }

  /** Sets causes and signals what is allowed. The caller holds a ring's lock, or is the control half. */
  raise(causes: number): void {
    if (causes === 0) return
    Atomics.or(this.i32, (this.block + EICR) >> 2, causes & VECTOR_MASK)
    this.evaluate()
  }

  /** Signals pending causes that have become allowed, or whose interval is over. */
  evaluate(): void {
    const { i32, block } = this
    const allowed = Atomics.load(i32, (block + EICR) >> 2) & Atomics.load(i32, (block + EIMS) >> 2) & VECTOR_MASK
    Atomics.and(i32, (block + V_DEFERRED) >> 2, allowed) // what was masked meanwhile fires when it is unmasked
    if (allowed === 0) return
    const now = this.nowMs()
    for (let vector = 0; vector < VECTORS; vector++) {
      const bit = 1 << vector
      if ((allowed & bit) === 0) continue
      const waitMs = this.moderation.waitMs(vector, now)
      if (waitMs > 0) this.defer(bit, waitMs)
      else this.fire(vector, bit, now)
    }
  }

  /** Frames were put into the receive queue. `low`: it is about to run out of descriptors. */
  received(low: boolean): void {
    const cause = this.receiveCause
    if (cause === 0) return
    if (low) this.moderation.hurry(vectorOf(cause))
    this.raise(cause)
  }

  /** `descriptors` of the `size` of the transmit queue are finished, and some of them were to be reported. */
  transmitted(descriptors: number, size: number): void {
    const cause = this.transmitCause
    if (cause === 0) return
    this.moderation.finished(vectorOf(cause), descriptors, size)
    this.raise(cause)
  }

  /** Whether interrupts wait for their interval: then someone must call evaluate again soon. */
  get hasDeferred(): boolean {
    return Atomics.load(this.i32, (this.block + V_DEFERRED) >> 2) !== 0
  }

  /** Milliseconds until the first of the deferred interrupts is due; Infinity if there is none. */
  get deferredMs(): number {
    const deferred = Atomics.load(this.i32, (this.block + V_DEFERRED) >> 2)
    if (deferred === 0) return Number.POSITIVE_INFINITY
    const now = this.nowMs()
    let least = Number.POSITIVE_INFINITY
    for (let vector = 0; vector < VECTORS; vector++)
      if ((deferred & (1 << vector)) !== 0) least = Math.min(least, this.moderation.waitMs(vector, now))
    return Math.max(0, least)
  }

  /** Hands on what was raised while a vector had no eventfd. Control half only, with both rings locked. */
  flushPending(): void {
    const { i32, block } = this
    for (let vector = 0; vector < VECTORS; vector++) {
      const fd = i32[((block + V_VECTORS) >> 2) + vector]!
      if (fd >= 0 && (Atomics.and(i32, (block + V_PENDING) >> 2, ~(1 << vector)) & (1 << vector)) !== 0) this.signal(fd)
    }
  }

  private defer(bit: number, waitMs: number): void {
    const { i32, block } = this
    Atomics.or(i32, (block + V_DEFERRED) >> 2, bit)
    // A processor that is awake looks by itself, and before it sleeps.
    if (Atomics.load(i32, (block + V_ASLEEP) >> 2) !== 0) this.wakeIn(waitMs)
  }

  private fire(vector: number, bit: number, now: number): void {
    const { i32, block } = this
    Atomics.and(i32, (block + V_DEFERRED) >> 2, ~bit)
    // Who takes the bit signals; another thread that saw it too does not.
    if ((i32[(block + EIAM) >> 2]! & bit) !== 0 && (Atomics.and(i32, (block + EIMS) >> 2, ~bit) & bit) === 0) return
    if ((i32[(block + EIAC) >> 2]! & bit) !== 0) Atomics.and(i32, (block + EICR) >> 2, ~bit)
    this.moderation.signalled(vector, now, bit === this.receiveCause, bit === this.transmitCause)
    Atomics.add(i32, (block + V_INTERRUPTS) >> 2, 1)
    const fd = i32[((block + V_VECTORS) >> 2) + vector]!
    if (fd >= 0) this.signal(fd)
    else Atomics.or(i32, (block + V_PENDING) >> 2, bit)
  }
}

const causeOf = (entry: number): number => ((entry & IVAR_VALID) !== 0 ? (1 << (entry & 0x1f)) & VECTOR_MASK : 0)
/** The number of a cause's vector; cause bit n is vector n. */
const vectorOf = (cause: number): number => 31 - Math.clz32(cause)
