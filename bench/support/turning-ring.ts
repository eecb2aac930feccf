// The driver's side of a ring of a vhost-user front-end whose buffers are lent again in the order in which they came back: frames were written
// once, so a load of it costs next to nothing.
import type { DriverRing } from '../../test/support/driver-ring.ts'
import type { FrontEnd } from '../../test/support/vhost-front-end.ts'

const NO_INTERRUPT = 1
/** The device's wish: it looks by itself. */
const NO_NOTIFY = 1

/** A split ring whose buffers are all lent, or came back and are still to be lent again. */
export class TurningRing {
  readonly #ring: DriverRing
  readonly #used: Int32Array
  readonly #lent: Int32Array
  readonly #size: number
  #seen: number
  frames = 0

  constructor(front: FrontEnd, ring: DriverRing) {
    this.#ring = ring
    this.#size = ring.size
    const words = (address: bigint): Int32Array => {
      const { buffer, byteOffset } = front.view(address, 4 + 8 * ring.size)
      return new Int32Array(buffer as ArrayBuffer, byteOffset, 1 + 2 * ring.size)
    }
    this.#used = words(ring.device)
    this.#lent = words(ring.driver)
    Atomics.or(this.#lent, 0, NO_INTERRUPT)
    this.#seen = ((this.#lent[0]! >>> 16) - ring.size) & 0xffff // what came back since is still to be lent again
  }

  /** Lends again what came back, and tells how many buffers that were. `lengths`: counts them there, by the bytes that were written. */
  turn(lengths?: Float64Array): number {
    const count = ((Atomics.load(this.#used, 0) >>> 16) - this.#seen) & 0xffff
    if (count === 0) return 0
    if (lengths !== undefined)
      for (let i = 0; i < count; i++) {
        const length = this.#used[2 + 2 * ((this.#seen + i) & (this.#size - 1))]!
        lengths[length] = lengths[length]! + 1
      }
    this.#seen = (this.#seen + count) & 0xffff
    this.frames += count
    const lent = this.#lent[0]! >>> 16
    Atomics.store(this.#lent, 0, NO_INTERRUPT | (((lent + count) & 0xffff) << 16))
    if ((Atomics.load(this.#used, 0) & NO_NOTIFY) === 0) this.#ring.signal()
    return count
  }
}
