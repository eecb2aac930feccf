// The twin of classify.as.ts: which rule of a program decides about a flow, by decision trees over the bits of its key (cuts of equal
// size, as HiCuts has them, with rules kept apart by the addresses that they narrow, as EffiCuts does).
//
// The rule it must not break: a tree only says which rules may match: each is compared in full, so a wrong turn can miss nothing that
// the compiler did not put elsewhere. Allocates nothing.
import * as layout from './classify-layout.ts'

const { CP_CUTS, CP_FIRST_TREE, CP_RULES, CP_TREES, CP_WIDE, CUT_KEY, CUT_SHIFT, KEY_BYTES, KEY_LOCAL, KEY_PORTS } = layout
const { KEY_REMOTE, NARROW_RULE_WORDS, NO_RULE, NR_FIELDS, NR_LOCAL, NR_REMOTE, NR_SPANS, PLACE_CUT, PLACE_INDEX } = layout
const { TREE_WORDS, WIDE_RULE_WORDS } = layout
const { WR_FIELDS, WR_ISOLATION, WR_LOCAL, WR_LOCAL_MASK, WR_REMOTE, WR_REMOTE_MASK } = layout

const KEY_WORDS = KEY_BYTES >> 2
const LOCAL = (KEY_LOCAL >> 2) + 3
const REMOTE = (KEY_REMOTE >> 2) + 3
const PORTS = KEY_PORTS >> 2

/** The rank of the first rule of `program` that matches the key at word `at` of `keys`, or NO_RULE. */
export function first(program: Int32Array, keys: Uint32Array, at = 0): number {
  let best = NO_RULE
  const trees = program[CP_TREES]!
  const isWide = program[CP_WIDE] !== 0
  const rules = program[CP_RULES]!
  const cuts = program[CP_CUTS]!
  const stride = isWide ? WIDE_RULE_WORDS : NARROW_RULE_WORDS
  const fieldsAt = rules + (isWide ? WR_FIELDS : NR_FIELDS)
  for (let t = 0; t < trees; t++) {
    const tree = CP_FIRST_TREE + t * TREE_WORDS
    if (program[tree + 1]! >= best) break // they are in the order of their first rule
    let place = program[tree]!
    while (place > 0) {
      const cut = cuts + (place >>> PLACE_CUT) * 2
      const head = program[cut]!
      const child = (keys[at + ((head & CUT_KEY) >> 2)]! >>> (head >>> CUT_SHIFT)) & program[cut + 1]!
      place = program[(place & PLACE_INDEX) + child]!
    }
    if (place === 0) continue
    for (let i = ~place; ; i++) {
      const entry = program[i]!
      const number = entry & 0x7fffffff
      if (number >= best) break // they are in the order of their ranks
      const rule = number * stride
      if (
        areFields(program, fieldsAt + rule, keys, at) &&
        (isWide ? isWideMatch(program, rules + rule, keys, at) : isNarrowMatch(program, rules + rule, keys, at))
      ) {
        best = number
        break
      }
      if (entry < 0) break
    }
  }
  if (best === NO_RULE) return NO_RULE
  const found = fieldsAt + best * stride
  return (program[found + 1]! >>> 16) | ((program[found + 3]! >>> 16) << 16)
}

/** The same for all `count` positions that `chosen` names, into `ranks`. */
export function classifyAll(program: Int32Array, keys: Uint32Array, chosen: Uint8Array, count: number, ranks: Int32Array): void {
  for (let n = 0; n < count; n++) ranks[chosen[n]!] = first(program, keys, chosen[n]! * KEY_WORDS)
}

function areFields(program: Int32Array, fields: number, keys: Uint32Array, at: number): boolean {
  const ports = keys[at + PORTS]!
  const own = program[fields]!
  const span = program[fields + 2]!
  if (((ports - own) & 0xffff) > (span & 0xffff)) return false
  if ((((ports >>> 16) - (own >>> 16)) & 0xffff) > span >>> 16) return false
  return ((keys[at + PORTS + 1]! - program[fields + 1]!) & 0xffff) <= (program[fields + 3]! & 0xffff)
}

const isNarrowMatch = (program: Int32Array, rule: number, keys: Uint32Array, at: number): boolean =>
  (keys[at + LOCAL]! - program[rule + NR_LOCAL]!) >>> 0 <= program[rule + NR_SPANS]! >>> 0 &&
  (keys[at + REMOTE]! - program[rule + NR_REMOTE]!) >>> 0 <= program[rule + NR_SPANS + 1]! >>> 0

function isWideMatch(program: Int32Array, rule: number, keys: Uint32Array, at: number): boolean {
  const isolation = (keys[at + PORTS + 1]! >>> 16) | (keys[at + PORTS + 2]! & 0xffff0000)
  let differs = (isolation ^ program[rule + WR_ISOLATION]!) & program[rule + WR_ISOLATION + 1]!
  for (let w = 0; w < 4; w++) {
    differs |= (keys[at + (KEY_LOCAL >> 2) + w]! ^ program[rule + WR_LOCAL + w]!) & program[rule + WR_LOCAL_MASK + w]!
    differs |= (keys[at + (KEY_REMOTE >> 2) + w]! ^ program[rule + WR_REMOTE + w]!) & program[rule + WR_REMOTE_MASK + w]!
  }
  return differs === 0
}
