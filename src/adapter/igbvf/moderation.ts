// How far apart a function's interrupts are: at least what the driver asks for (EITR), and more where that costs nobody anything. Each
// interrupt costs an emulated guest tens of microseconds and a register access, that is a message to us.
//
// - Receive: while frames come in bulk, the next interrupt waits until a batch has come, so that the driver's poll takes more at once.
// - Transmit: a sender is told at once of full frames, since its TCP sends no more until then. Nobody waits for single small frames (a
//   receiver's acknowledgements): they are told together.
//
// The rule it must not break: the first interrupt after a quiet time is never kept back, and none is for longer than INTERVAL_MAX_MS
// beyond what the driver asked for.
import { V_INTERVAL, V_RX_TOLD, V_SIGNALLED, V_TX_TOLD, V_TX_UNTOLD } from './block.ts'
import { EITR_MASK, EITR_SHIFT, EITR0, VFGOTC, VFGPRC } from './registers.ts'

/** Frames between two receive interrupts that make the traffic bulk, and that a batch shall have. */
const BULK_FRAMES = 24
const BATCH_FRAMES = 128
/** Traffic that took longer for its frames is not bulk. */
const BULK_WITHIN_MS = 4
/** What drivers ask for themselves when they see bulk: longer would slow down answers that come in bursts. */
const RECEIVE_MAX_MS = 0.25
/** Bytes or descriptors finished that the driver is told of at once, whenever it was told last; and the so-manieth part of its ring. */
const TRANSMIT_BYTES = 2048
const TRANSMIT_DESCRIPTORS = 16
const TRANSMIT_SHARE = 4
const TRANSMIT_MAX_MS = 10
export const INTERVAL_MAX_MS: number = Math.max(RECEIVE_MAX_MS, TRANSMIT_MAX_MS)

/** One thread's hold on the moderation of a function. Two threads may note an interrupt at once: then an interval is a little off. */
export class Moderation {
  private readonly i32: Int32Array
  private readonly f64: Float64Array
  private readonly block: number

  constructor(block: number, i32: Int32Array, f64: Float64Array) {
    this.block = block
    this.i32 = i32
    this.f64 = f64
  }

  /** Milliseconds that `vector` must wait still; 0 or less: it may be signalled. */
  waitMs(vector: number, nowMs: number): number {
    const { f64, block } = this
    const elapsed = nowMs - f64[((block + V_SIGNALLED) >> 3) + vector]!
    if (elapsed < 0) return 0
    const askedMs = ((this.i32[(block + EITR0 + 4 * vector) >> 2]! >>> EITR_SHIFT) & EITR_MASK) / 1000
    return Math.max(askedMs, f64[((block + V_INTERVAL) >> 3) + vector]!) - elapsed
  }

  /** `vector` is signalled now; it stands for the receive or transmit queue, or for neither. */
  signalled(vector: number, nowMs: number, receive: boolean, transmit: boolean): void {
    const { f64, i32, block } = this
    const at = ((block + V_SIGNALLED) >> 3) + vector
    let interval = 0
    if (receive) {
      const elapsed = nowMs - f64[at]!
      const frames = (i32[(block + VFGPRC) >> 2]! - i32[(block + V_RX_TOLD) >> 2]!) >>> 0
      i32[(block + V_RX_TOLD) >> 2] = i32[(block + VFGPRC) >> 2]!
      if (frames >= BULK_FRAMES && elapsed < BULK_WITHIN_MS)
        interval = Math.min(RECEIVE_MAX_MS, (elapsed * BATCH_FRAMES) / frames)
    } else if (transmit) {
      i32[(block + V_TX_TOLD) >> 2] = i32[(block + VFGOTC) >> 2]!
      i32[(block + V_TX_UNTOLD) >> 2] = 0
    }
    f64[((block + V_INTERVAL) >> 3) + vector] = interval
    f64[at] = nowMs
  }

  /** The receive queue runs out of descriptors: the driver must hear of it. */
  hurry(vector: number): void {
    this.f64[((this.block + V_INTERVAL) >> 3) + vector] = 0
  }

  /** `descriptors` more of `size` are finished in the transmit queue, whose vector is `vector`. */
  finished(vector: number, descriptors: number, size: number): void {
    const { i32, block } = this
    const untold = i32[(block + V_TX_UNTOLD) >> 2]! + descriptors
    i32[(block + V_TX_UNTOLD) >> 2] = untold
    const bytes = (i32[(block + VFGOTC) >> 2]! - i32[(block + V_TX_TOLD) >> 2]!) >>> 0
    const much = bytes >= TRANSMIT_BYTES || untold >= TRANSMIT_DESCRIPTORS || untold * TRANSMIT_SHARE >= size
    this.f64[((block + V_INTERVAL) >> 3) + vector] = much ? 0 : TRANSMIT_MAX_MS
  }
}
