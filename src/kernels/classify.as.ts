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
  CP_FIRST_TREE,
  CP_RULES,
  CP_TREES,
  CP_WIDE,
  KEY_BYTES,
  KEY_LOCAL,
  KEY_PORTS,
  KEY_REMOTE,
  NARROW_RULE_WORDS,
  NO_RULE,
  NODE_KEY,
  NODE_LEFT,
  NODE_RIGHT,
  NR_FIELDS,
  NR_LOCAL,
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

// Moves `count` flows at the root of a tree down to its leaves, at block's CL_LEAVES. Returns how many come to one.
@inline
function descend(program: usize, block: usize, count: u32): u32 {
  let leaves = block
  let left = count
  while (left != 0) {
    const end = block + (<usize>left << 3)
    let to = block
    for (let from = block; from < end; from += 8) {
      const position = load<u32>(from, CL_NODES)
      const node = program + (<usize>load<u32>(from, CL_NODES + 4) << 2)
      const head = load<u32>(node)
      const word = load<u32>(block + <usize>position * KEY_BYTES + <usize>(head & NODE_KEY))
      const next = load<i32>(node + (<usize>((word << (head >> NODE_LEFT)) >> (head >> NODE_RIGHT)) << 2), 4)
      store<u32>(to, position, CL_NODES)
      store<i32>(to, next, CL_NODES + 4)
      to += <usize>(next > 0) << 3
      store<u32>(leaves, position, CL_LEAVES)
      store<i32>(leaves, ~next, CL_LEAVES + 4)
      leaves += (<u32>next >> 31) << 3
    }
    left = <u32>(to - block) >> 3
  }
  return <u32>(leaves - block) >> 3
}

// Compares `count` flows at leaves with the rules there, one rule of each at a time.
@inline
function compare(program: usize, rules: usize, isWide: bool, block: usize, count: u32): void {
  const stride: usize = isWide ? WIDE_RULE_WORDS * 4 : NARROW_RULE_WORDS * 4
  const fields: usize = isWide ? WR_FIELDS * 4 : NR_FIELDS * 4
  let left = count
  while (left != 0) {
    const end = block + (<usize>left << 3)
    let to = block
    for (let from = block; from < end; from += 8) {
      const position = load<u32>(from, CL_LEAVES)
      const place = load<u32>(from, CL_LEAVES + 4)
      const entry = load<i32>(program + (<usize>place << 2))
      const rule = rules + <usize>(entry & 0x7fffffff) * stride
      const key = block + <usize>position * KEY_BYTES
      const isMatch = isWide ? isWideMatch(rule, key) : isNarrowMatch(rule, key)
      const rank = <i32>load<u16>(rule + fields, 6) | (<i32>load<u16>(rule + fields, 14) << 16)
      const best = block + (<usize>position << 2)
      const before = load<i32>(best, CL_RANKS)
      const isSooner = rank < before
      store<i32>(best, select(rank, before, <bool>(<i32>isMatch & <i32>isSooner)), CL_RANKS)
      store<u32>(to, position, CL_LEAVES)
      store<u32>(to, place + 1, CL_LEAVES + 4)
      to += <usize>(<u32>!isMatch & <u32>isSooner & <u32>(entry >= 0)) << 3
    }
    left = <u32>(to - block) >> 3
  }
}

/** See ClassifyKernels. */
export function classify(program: usize, block: usize, count: u32): void {
  const trees = load<u32>(program, CP_TREES * 4)
  const rules = program + (<usize>load<u32>(program, CP_RULES * 4) << 2)
  for (let n: u32 = 0; n < count; n++)
    store<i32>(block + (<usize>load<u8>(block + n, CL_CHOSEN) << 2), NO_RULE, CL_RANKS)
  let tree = program
  for (let t: u32 = 0; t < trees; t++) {
    const root = load<i32>(tree, CP_FIRST_TREE * 4)
    const first = load<i32>(tree, CP_FIRST_TREE * 4 + 4)
    const isNode = root > 0
    const to = isNode ? block + CL_NODES : block + CL_LEAVES
    const place = isNode ? root : ~root
    let asked: usize = 0
    for (let n: u32 = 0; n < count; n++) {
      const position = <u32>load<u8>(block + n, CL_CHOSEN)
      store<u32>(to + asked, position)
      store<i32>(to + asked, place, 4)
      asked += <usize>(first < load<i32>(block + (<usize>position << 2), CL_RANKS)) << 3
    }
    const flows = <u32>asked >> 3
    const leaves = isNode ? descend(program, block, flows) : flows
    if (load<u32>(program, CP_WIDE * 4) != 0) compare(program, rules, true, block, leaves)
    else compare(program, rules, false, block, leaves)
    tree += TREE_WORDS * 4
  }
}
