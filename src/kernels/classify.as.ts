// Which rule of a program decides about each of many flows: all of them go through a decision tree abreast, one level at a time, so that
// the processor waits for many lines of memory at once, and nothing that differs by packet is a branch.
//
// The rule it must not break: a rank is that of the first rule that matches. It trusts the program, which the control thread compiled, and
// no key: those are bits that choose among the places of a node. The twin of this file is twin-classify.ts.
import {
  CL_CHOSEN,
  CL_LEAVES,
  CL_NODES,
  CL_RANKS,
  CP_CUTS,
  CP_FIRST_TREE,
  CP_RULES,
  CP_TREES,
  CP_WIDE,
  CUT_KEY,
  CUT_MASK,
  CUT_SHIFT,
  KEY_BEST,
  KEY_BYTES,
  KEY_LOCAL,
  KEY_PORTS,
  KEY_REMOTE,
  NARROW_RULE_WORDS,
  NO_RULE,
  NR_FIELDS,
  NR_LOCAL,
  PLACE_CUT,
  PLACE_INDEX,
  TREE_WORDS,
  WIDE_RULE_WORDS,
  WR_FIELDS,
  WR_ISOLATION,
  WR_LOCAL,
  WR_LOCAL_MASK,
  WR_REMOTE,
  WR_REMOTE_MASK,
} from './classify-layout'

@inline
function isNarrowMatch(rule: usize, key: usize): bool {
  const own = v128.load(rule, NR_LOCAL * 4)
  const fields = v128.load(rule, NR_FIELDS * 4)
  const addresses = v128.shuffle<i32>(v128.load(key, KEY_LOCAL), v128.load(key, KEY_REMOTE), 3, 7, 3, 7)
  const near = i32x4.le_u(i32x4.sub(addresses, own), v128.shuffle<i32>(own, own, 2, 3, 2, 3))
  return i64x2.extract_lane(v128.and(near, areFields(fields, key)), 0) == -1
}

// All ones in the first 64 bits if ports and protocol are within a rule's.
@inline
function areFields(fields: v128, key: usize): v128 {
  const found = i16x8.le_u(i16x8.sub(v128.load(key, KEY_PORTS), fields), v128.shuffle<i64>(fields, fields, 1, 1))
  return v128.or(found, i16x8(0, 0, 0, -1, 0, 0, 0, -1)) // where a rule has its rank
}

@inline
function isWideMatch(rule: usize, key: usize): bool {
  const local = v128.and(v128.xor(v128.load(key, KEY_LOCAL), v128.load(rule, WR_LOCAL * 4)), v128.load(rule, WR_LOCAL_MASK * 4))
  const remote = v128.and(v128.xor(v128.load(key, KEY_REMOTE), v128.load(rule, WR_REMOTE * 4)), v128.load(rule, WR_REMOTE_MASK * 4))
  const isolation = (load<u32>(key, KEY_PORTS + 4) >> 16) | (load<u32>(key, KEY_PORTS + 8) & 0xffff0000)
  const differs = (isolation ^ load<u32>(rule, WR_ISOLATION * 4)) & load<u32>(rule, WR_ISOLATION * 4 + 4)
  const fields = i64x2.extract_lane(areFields(v128.load(rule, WR_FIELDS * 4), key), 0) == -1
  return <bool>(<i32>!v128.any_true(v128.or(local, remote)) & <i32>(differs == 0) & <i32>fields)
}

// The place that a node, or the root of a tree, has for a key.
@inline
function placeIn(program: usize, cuts: usize, node: u32, key: usize): i32 {
  const cut = cuts + (<usize>(node >> PLACE_CUT) << 3)
  const head = load<u32>(cut)
  const word = load<u32>(key + <usize>(head & CUT_KEY))
  const index = (node & PLACE_INDEX) + ((word >> (head >> CUT_SHIFT)) & load<u32>(cut, CUT_MASK * 4))
  return load<i32>(program + (<usize>index << 2))
}

// Moves flows at nodes of a tree, at block's CL_NODES up to `end`, down to its leaves: returns the end of those from `leaves` on.
@inline
function descend(program: usize, cuts: usize, block: usize, end: usize, leaves: usize): usize {
  let last = end
  while (last != block) {
    let to = block
    for (let from = block; from < last; from += 8) {
      const key = load<u32>(from, CL_NODES)
      const next = placeIn(program, cuts, load<u32>(from, CL_NODES + 4), key)
      store<u32>(to, <u32>key, CL_NODES)
      store<i32>(to, next, CL_NODES + 4)
      to += <usize>(next > 0) << 3
      store<u32>(leaves, <u32>key, CL_LEAVES)
      store<i32>(leaves, ~next, CL_LEAVES + 4)
      leaves += (<u32>next >> 31) << 3
    }
    last = to
  }
  return leaves
}

// Compares flows at leaves, at block's CL_LEAVES up to `end`, with the rules there, one rule of each at a time.
@inline
function compare(program: usize, rules: usize, isWide: bool, block: usize, end: usize): void {
  const stride: usize = isWide ? WIDE_RULE_WORDS * 4 : NARROW_RULE_WORDS * 4
  let last = end
  while (last != block) {
    let to = block
    for (let from = block; from < last; from += 8) {
      const key = <usize>load<u32>(from, CL_LEAVES)
      const place = load<u32>(from, CL_LEAVES + 4)
      const entry = load<i32>(program + (<usize>place << 2))
      const number = entry & 0x7fffffff
      const rule = rules + <usize>number * stride
      const isMatch = isWide ? isWideMatch(rule, key) : isNarrowMatch(rule, key)
      const before = load<i32>(key, KEY_BEST)
      const isSooner = number < before
      store<i32>(key, select(number, before, <bool>(<i32>isMatch & <i32>isSooner)), KEY_BEST)
      store<u32>(to, <u32>key, CL_LEAVES)
      store<u32>(to, place + 1, CL_LEAVES + 4)
      to += <usize>(<u32>!isMatch & <u32>isSooner & <u32>(entry >= 0)) << 3
    }
    last = to
  }
}

// Ranks of the rules that were found.
@inline
function fillRanks(program: usize, rules: usize, isWide: bool, block: usize, count: u32): void {
  const stride: usize = isWide ? WIDE_RULE_WORDS * 4 : NARROW_RULE_WORDS * 4
  const fields: usize = isWide ? WR_FIELDS * 4 : NR_FIELDS * 4
  for (let n: u32 = 0; n < count; n++) {
    const position = <usize>load<u8>(block + n, CL_CHOSEN)
    const best = load<i32>(block + position * KEY_BYTES, KEY_BEST)
    const isFound = best != NO_RULE
    const at = select(rules + <usize>best * stride + fields, program, isFound)
    const rank = <i32>load<u16>(at, 6) | (<i32>load<u16>(at, 14) << 16)
    store<i32>(block + (position << 2), select(rank, NO_RULE, isFound), CL_RANKS)
  }
}

/** See ClassifyKernels. */
export function classify(program: usize, block: usize, count: u32): void {
  const trees = load<u32>(program, CP_TREES * 4)
  const rules = program + (<usize>load<u32>(program, CP_RULES * 4) << 2)
  const cuts = program + (<usize>load<u32>(program, CP_CUTS * 4) << 2)
  const isWide = load<u32>(program, CP_WIDE * 4) != 0
  for (let n: u32 = 0; n < count; n++)
    store<i32>(block + <usize>load<u8>(block + n, CL_CHOSEN) * KEY_BYTES, NO_RULE, KEY_BEST)
  let tree = program
  for (let t: u32 = 0; t < trees; t++) {
    const root = load<i32>(tree, CP_FIRST_TREE * 4)
    const first = load<i32>(tree, CP_FIRST_TREE * 4 + 4)
    let nodes = block
    let leaves = block
    if (root > 0) {
      for (let n: u32 = 0; n < count; n++) {
        const key = block + <usize>load<u8>(block + n, CL_CHOSEN) * KEY_BYTES
        const next = placeIn(program, cuts, root, key)
        const isAsked = <u32>(first < load<i32>(key, KEY_BEST))
        store<u32>(nodes, <u32>key, CL_NODES)
        store<i32>(nodes, next, CL_NODES + 4)
        nodes += <usize>(isAsked & <u32>(next > 0)) << 3
        store<u32>(leaves, <u32>key, CL_LEAVES)
        store<i32>(leaves, ~next, CL_LEAVES + 4)
        leaves += <usize>(isAsked & (<u32>next >> 31)) << 3
      }
      leaves = descend(program, cuts, block, nodes, leaves)
    } else {
      for (let n: u32 = 0; n < count; n++) {
        const key = block + <usize>load<u8>(block + n, CL_CHOSEN) * KEY_BYTES
        store<u32>(leaves, <u32>key, CL_LEAVES)
        store<i32>(leaves, ~root, CL_LEAVES + 4)
        leaves += <usize>(first < load<i32>(key, KEY_BEST)) << 3
      }
    }
    if (isWide) compare(program, rules, true, block, leaves)
    else compare(program, rules, false, block, leaves)
    tree += TREE_WORDS * 4
  }
  if (isWide) fillRanks(program, rules, true, block, count)
  else fillRanks(program, rules, false, block, count)
}
