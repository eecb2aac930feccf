// Hashes of packets computed again, by those above an adapter whose VPorts have no hash of their own (VQ-185): what the packet carries is the
// adapter's then, under its key.
//
// The rule it must not break: after it a packet carries the hash under the VPort's own function, types and key, or none.
import type { PacketPool } from '../../ndis/pool.ts'
import { HASH_FUNCTION_MASK, HASH_FUNCTION_TOEPLITZ } from './hash-types.ts'
import { ReceiveHash } from './receive-hash.ts'
import { Toeplitz } from './toeplitz.ts'

export class SoftwareHash {
  readonly #pool: PacketPool
  readonly #hash: ReceiveHash
  readonly #types: number
  readonly #toeplitz: Toeplitz

  /** Throws RangeError for a key that has not 40 bytes, or a function other than Toeplitz. */
  constructor(pool: PacketPool, hashInformation: number, hashSecretKey: Uint8Array) {
    if ((hashInformation & HASH_FUNCTION_MASK) !== HASH_FUNCTION_TOEPLITZ)
      throw new RangeError(`hash function ${hashInformation & HASH_FUNCTION_MASK} is not known: Toeplitz is 1`)
    this.#pool = pool
    this.#hash = new ReceiveHash(pool)
    this.#types = hashInformation & ~HASH_FUNCTION_MASK
    this.#toeplitz = new Toeplitz(hashSecretKey)
  }

  /** Hashes a packet; `inner`: over inner headers, where they are known. */
  of(slot: number, inner: boolean): void {
    this.#hash.of(slot, this.#types, this.#toeplitz, inner)
    this.#pool.hashInfo[slot] = this.#hash.type === 0 ? 0 : this.#hash.type | HASH_FUNCTION_TOEPLITZ
    if (this.#hash.type !== 0) this.#pool.hashValue[slot] = this.#hash.value
  }
}
