// What was found for the flows of late, so that packets of the same flow need not be classified anew: a table of exact keys in which a later
// flow takes the place of an earlier one.
//
// The rule it must not break: it answers for a key only what was found for the very same key since it was emptied. Allocates once.
import { FLOW_KEY_WORDS, K_FLAGS, K_PORTS, K_PROTOCOL, K_SWITCH_PORT } from './flow-key.ts'

/** Flows that are remembered at the most. */
const ENTRIES = 32_768
const STRIDE = 16
const E_RANK = FLOW_KEY_WORDS
// In place of the flags of the key, which no rule looks at: what was found belongs to this look-up. 0 where there is nothing.
const E_LOOKUP = K_FLAGS

/** What `find` returns for a flow that is not known. */
export const NOT_KNOWN = -1

/** Fields are ordinary ones: it is read per packet. */
export class FlowMemo {
  private readonly words = new Uint32Array(ENTRIES * STRIDE)

  /** Forgets everything. */
  clear(): void {
    this.words.fill(0)
  }

  /** Where a key belongs, for `find` and `note`. */
  placeOf(key: Uint32Array, wide: boolean): number {
    let hash = Math.imul(key[7]! ^ key[K_PORTS]!, 0x9e3779b1)
    hash = Math.imul(hash ^ (hash >>> 15) ^ key[3]! ^ key[K_PROTOCOL]!, 0x85ebca6b)
    if (wide) hash = Math.imul(hash ^ (hash >>> 13) ^ key[5]! ^ (key[6]! << 3) ^ key[1]! ^ key[2]!, 0xc2b2ae35)
    hash ^= Math.imul(key[K_SWITCH_PORT]!, 0x27d4eb2f)
    return ((hash ^ (hash >>> 16)) & (ENTRIES - 1)) * STRIDE
  }

  /** What was noted for the key by a look-up (1…), or NOT_KNOWN. */
  find(at: number, key: Uint32Array, wide: boolean, lookup: number): number {
    const { words } = this
    let differs = words[at + E_LOOKUP]! ^ lookup
    differs |= words[at + 3]! ^ key[3]!
    differs |= words[at + 7]! ^ key[7]!
    differs |= words[at + K_PORTS]! ^ key[K_PORTS]!
    differs |= words[at + K_PROTOCOL]! ^ key[K_PROTOCOL]!
    differs |= words[at + K_SWITCH_PORT]! ^ key[K_SWITCH_PORT]!
    if (differs !== 0) return NOT_KNOWN
    if (wide)
      for (let w = 0; w < 3; w++) {
        differs |= words[at + w]! ^ key[w]!
        differs |= words[at + 4 + w]! ^ key[4 + w]!
      }
    return differs === 0 ? words[at + E_RANK]! : NOT_KNOWN
  }

  note(at: number, key: Uint32Array, lookup: number, rank: number): void {
    const { words } = this
    for (let w = 0; w < FLOW_KEY_WORDS; w++) words[at + w] = key[w]!
    words[at + E_LOOKUP] = lookup
    words[at + E_RANK] = rank
  }
}
