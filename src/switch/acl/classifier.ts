// Finds the first of many rules that matches a key, by decision trees over the bits of the key's words (cuts of equal size, as HiCuts has
// them, with rules kept apart by the addresses that they narrow, as EffiCuts does). classifier-compiler.ts makes the trees.
//
// The rule it must not break: a tree only says which rules may match: each is compared in full, so a wrong turn can miss nothing that
// the compiler did not put elsewhere. Look-ups allocate nothing.
import { K_PORTS, K_PROTOCOL, K_SWITCH_PORT } from './flow-key.ts'

// Words of a program: how many trees; of each its root and its first rank; the rest is nodes, leaves and rules, by index.
export const C_TREES = 0
export const C_FIRST_TREE = 1
export const TREE_WORDS = 2

// A node: word of the key | shift << 4 | bits << 9, then 2^bits places. A place: 0 nothing; > 0 index of a node; < 0 ~index of a leaf.
export const NODE_SHIFT = 4
export const NODE_BITS = 9

// A leaf: how many rules, then their indices, by rank.
// A rule: rank, then value and mask of protocol word, of isolation's high bits, first ports, spans of ports, then value and mask of
// address words: the last of each address first.
export const R_RANK = 0
export const R_PROTOCOL = 1
export const R_ISOLATION = 3
export const R_LOCAL_PORT = 5
export const R_LOCAL_SPAN = 6
export const R_REMOTE_PORT = 7
export const R_REMOTE_SPAN = 8
export const R_LOCAL = 9
export const R_REMOTE = 11
/** Words of a rule that compares one word of each address. */
export const NARROW_RULE_WORDS = 13
/** Then the first three words of the local address and of the remote one. */
export const R_WIDE = 13
export const WIDE_RULE_WORDS = 25

/** What `first` returns where no rule matches. */
export const NO_RULE = 0x7fffffff

/**
 * The rank of the first rule of a program that matches `key`, or NO_RULE. `wide`: the program compares whole addresses of IPv6, not
 * their last words alone.
 */
export function first(words: Int32Array, wide: boolean, key: Uint32Array): number {
  let best = NO_RULE
  const trees = words[C_TREES]!
  for (let t = 0; t < trees; t++) {
    const tree = C_FIRST_TREE + t * TREE_WORDS
    if (words[tree + 1]! >= best) break // they are in the order of their first rank
    let place = words[tree]!
    while (place > 0) {
      const head = words[place]!
      place = words[place + 1 + ((key[head & 15]! >>> ((head >>> NODE_SHIFT) & 31)) & ((1 << (head >>> NODE_BITS)) - 1))]!
    }
    if (place === 0) continue
    const leaf = ~place
    const end = leaf + 1 + words[leaf]!
    for (let i = leaf + 1; i < end; i++) {
      const rule = words[i]!
      const rank = words[rule + R_RANK]!
      if (rank >= best) break
      if (matches(words, rule, wide, key)) {
        best = rank
        break
      }
    }
  }
  return best
}

function matches(words: Int32Array, rule: number, wide: boolean, key: Uint32Array): boolean {
  let differs = (key[K_PROTOCOL]! ^ words[rule + R_PROTOCOL]!) & words[rule + R_PROTOCOL + 1]!
  differs |= (key[7]! ^ words[rule + R_REMOTE]!) & words[rule + R_REMOTE + 1]!
  differs |= (key[3]! ^ words[rule + R_LOCAL]!) & words[rule + R_LOCAL + 1]!
  differs |= (key[K_SWITCH_PORT]! ^ words[rule + R_ISOLATION]!) & words[rule + R_ISOLATION + 1]!
  if (differs !== 0) return false
  const ports = key[K_PORTS]!
  if (((ports >>> 16) - words[rule + R_LOCAL_PORT]!) >>> 0 > words[rule + R_LOCAL_SPAN]!) return false
  if (((ports & 0xffff) - words[rule + R_REMOTE_PORT]!) >>> 0 > words[rule + R_REMOTE_SPAN]!) return false
  if (!wide) return true
  for (let w = 0; w < 3; w++) {
    const at = rule + R_WIDE + w * 2
    differs |= (key[w]! ^ words[at]!) & words[at + 1]!
    differs |= (key[w + 4]! ^ words[at + 6]!) & words[at + 7]!
  }
  return differs === 0
}
