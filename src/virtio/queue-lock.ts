// The lock of a virtqueue: one word of shared memory that whoever touches the ring, the queue block or the guest memory behind it
// holds. A processor holds a transmit queue's lock from dequeue to complete and a receive queue's while it delivers.
//
// The rule it must not break: who takes several takes transmit locks before receive locks, since processors take them in that
// order; then nobody waits in a circle. The holder never sleeps.
import { Q_LOCK } from '../kernels/layout.ts'

const SPINS = 200
const NAP_MS = 0.1
/** Longer than any turn of a processor lasts: who holds a lock that long has died. */
export const LOCK_TIMEOUT_MS = 5000

/** Takes the lock of the queue block at linear address `queue` if it is free. `i32` views shared memory from address 0. */
export const tryLockQueue = (i32: Int32Array, queue: number): boolean =>
  Atomics.compareExchange(i32, (queue + Q_LOCK) >> 2, 0, 1) === 0

/** Takes the lock, waiting up to `timeoutMs` for its holder. Returns false if it did not come free. */
export function lockQueue(i32: Int32Array, queue: number, timeoutMs: number = LOCK_TIMEOUT_MS): boolean {
  const at = (queue + Q_LOCK) >> 2
  for (let spin = 0; spin < SPINS; spin++)
    if (Atomics.load(i32, at) === 0 && Atomics.compareExchange(i32, at, 0, 1) === 0) return true
  for (let napped = 0; napped < timeoutMs; napped += NAP_MS) {
    // No one notifies: an unlock costs the data path one store. The nap ends by itself.
    Atomics.wait(i32, at, 1, NAP_MS)
    if (Atomics.compareExchange(i32, at, 0, 1) === 0) return true
  }
  return false
}

/** Frees the lock. Everything written before is visible to the next holder. */
export const unlockQueue = (i32: Int32Array, queue: number): void => {
  Atomics.store(i32, (queue + Q_LOCK) >> 2, 0)
}
