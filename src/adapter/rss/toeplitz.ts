// The Toeplitz hash of receive side scaling: for every bit of the input that is set, the 32 bits of the key that begin at that bit's
// place are added without carry. One table per key: a look-up per byte instead of a step per bit.
//
// The rule it must not break: it gives what every other implementation gives (the vectors of spec 2.9); hashing allocates nothing.

/** Bytes of a secret key. */
export const HASH_KEY_BYTES = 40
/** Longest input: two IPv6 addresses and two ports. */
export const HASH_INPUT_BYTES_MAX = 36
const BYTE_VALUES = 256

/** The 32 bits of `key` that begin at bit `bit`. */
function windowOf(key: Uint8Array, bit: number): number {
  const at = bit >> 3
  const shift = bit & 7
  const word = (key[at]! << 24) | (key[at + 1]! << 16) | (key[at + 2]! << 8) | key[at + 3]!
  return shift === 0 ? word : (word << shift) | (key[at + 4]! >> (8 - shift))
}

/** The hash under one key. */
export class Toeplitz {
  private readonly table = new Int32Array(HASH_INPUT_BYTES_MAX * BYTE_VALUES)

  /** Throws RangeError if the key has not 40 bytes. */
  constructor(key: Uint8Array) {
    if (key.length !== HASH_KEY_BYTES) throw new RangeError(`a hash key has ${HASH_KEY_BYTES} bytes, not ${key.length}`)
    for (let place = 0; place < HASH_INPUT_BYTES_MAX; place++) {
      const windows = Array.from({ length: 8 }, (_, bit) => windowOf(key, place * 8 + bit))
      for (let value = 0; value < BYTE_VALUES; value++) {
        let sum = 0
        for (let bit = 0; bit < 8; bit++) if ((value & (0x80 >> bit)) !== 0) sum ^= windows[bit]!
        this.table[place * BYTE_VALUES + value] = sum
      }
    }
  }

  /**
   * Adds `length` bytes, a multiple of 4, of `bytes` from `from` on, which stand at byte `place` of the input, to `sum` (0 to begin with).
   */
  add(sum: number, bytes: Uint8Array, from: number, length: number, place: number): number {
    const { table } = this
    let at = place * BYTE_VALUES
    // Four at a time: nothing waits for the look-up before it.
    for (let i = from; i < from + length; i += 4, at += 4 * BYTE_VALUES)
      sum ^=
        table[at + bytes[i]!]! ^
        table[at + BYTE_VALUES + bytes[i + 1]!]! ^
        table[at + 2 * BYTE_VALUES + bytes[i + 2]!]! ^
        table[at + 3 * BYTE_VALUES + bytes[i + 3]!]!
    return sum
  }
}
