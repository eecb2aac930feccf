// Follows the established connections of a burst: finds them for all packets abreast, so that the processor waits for many lines of memory at
// once, then counts each packet and moves its connection on where that is plain. Its twin is src/switch/conntrack/connection-table.ts.
//
// The rule it must not break: what it lets through leaves the same behind as the twin would; everything else it leaves to the twin as it is,
// and behind a packet that is left no packet of the same connection is taken. It writes an entry only while it holds it.
import { CL_CHOSEN, CL_KEYS, CL_KINDS, CL_NODES, CL_SLOTS, KEY_BYTES, KEY_LOCAL, KEY_PORTS, KEY_REMOTE, KIND_WIDE } from './classify-layout'
import {
  E_COUNTS,
  E_KEY,
  E_LAST,
  E_SIDES,
  E_STATE,
  E_TIMEOUT,
  ENTRY_BITS,
  ENTRY_MASK,
  ENTRY_WORDS,
  ESTABLISHED,
  FIRST_ENTRY,
  H_SEED,
  INDEX_PER_ENTRY,
  KIND_ECHO_FROM_REMOTE,
  MIX_A,
  MIX_B,
  MIX_C,
  PROBES,
  REPLIED,
  S_ACKNOWLEDGED,
  S_END,
  S_LIMIT,
  SCALE_BITS,
  SCALE_NONE,
  SCALE_SHIFT,
  SF_FROM_REMOTE,
  SIDE_WORDS,
  STATE_MASK,
  UNREPLIED,
  WINDOW_MAX,
  WINDOW_PROBE,
} from './follow-layout'
import { HEADER_STRIDE, P_FLAGS, P_HEADER_LENGTH, P_HEADER_OFFSET, P_L3, P_L4, P_LENGTH, PF_FRAGMENT, PF_IPV4 } from './layout'
import { be16 } from './parse.as'

const ICMP: u32 = 1
const TCP: u32 = 6
const ICMPV6: u32 = 58
const ICMP_HEADER: u32 = 8
const TCP_HEADER: u32 = 20
const IPV6_HEADER: u32 = 40
const FLAGS_ASKED: u32 = 0x17 // FIN, SYN, RST, ACK
const ACK_ALONE: u32 = 0x10
const PROTOCOL = KEY_PORTS + 4
const SWITCH_PORT = KEY_PORTS + 8
/** How often an entry that others write is tried. */
const TRIES: u32 = 64

// Scratch, by order in the burst: what the key is mixed to, and the linear address of the entry that it leads to, 0: none.
const MIXED = CL_NODES
const ENTRY = CL_NODES + 4

// Keeps loads that only bring lines of memory nearer.
let touched: u32 = 0

// A segment, once it was read.
let sequence: i32 = 0
let acknowledgement: i32 = 0
let window: i32 = 0
let end: i32 = 0

@inline
function isIcmp(protocol: u32): bool {
  return protocol == ICMP || protocol == ICMPV6
}

// The key's word of protocol and kind as the table has it; 0 of ICMP that is no echo.
@inline
function protocolWord(pool: usize, k: usize, key: usize, inbound: u32): u32 {
  const word = load<u32>(key, PROTOCOL)
  return isIcmp(word & 0xff) ? echoWord(pool, k, word, inbound) : word
}

function echoWord(pool: usize, k: usize, word: u32, inbound: u32): u32 {
  const l4 = <u32>load<u8>(pool + k, P_L4)
  if (l4 == 0 || l4 + ICMP_HEADER > <u32>load<u16>(pool + (k << 1), P_HEADER_LENGTH)) return 0
  const type = <u32>load<u8>(headerOf(pool, k) + <usize>l4)
  const request: u32 = (word & 0xff) == ICMP ? 8 : 128
  const reply: u32 = (word & 0xff) == ICMP ? 0 : 129
  if (type != request && type != reply) return 0
  return <u32>(type == request) == inbound ? word | KIND_ECHO_FROM_REMOTE : word
}

@inline
function headerOf(pool: usize, k: usize): usize {
  return pool + k * HEADER_STRIDE + <usize>load<u16>(pool + (k << 1), P_HEADER_OFFSET)
}

// As ConnectionStore mixes it.
@inline
function mix(seed: u32, key: usize, protocol: u32): u32 {
  let mixed = (seed ^ load<u32>(key, KEY_LOCAL + 12)) * <u32>MIX_A
  mixed = (mixed ^ (mixed >> 15) ^ load<u32>(key, KEY_REMOTE + 12)) * <u32>MIX_B
  mixed = (mixed ^ (mixed >> 13) ^ load<u32>(key, KEY_PORTS)) * <u32>MIX_C
  mixed = (mixed ^ (mixed >> 16) ^ protocol) * <u32>MIX_A
  if (((protocol >> 8) & 0xf) != 4) {
    mixed = (mixed ^ (mixed >> 15) ^ load<u32>(key, KEY_LOCAL)) * <u32>MIX_B
    mixed = (mixed ^ (mixed >> 13) ^ load<u32>(key, KEY_LOCAL + 4)) * <u32>MIX_C
    mixed = (mixed ^ (mixed >> 16) ^ load<u32>(key, KEY_LOCAL + 8)) * <u32>MIX_A
    mixed = (mixed ^ (mixed >> 15) ^ load<u32>(key, KEY_REMOTE)) * <u32>MIX_B
    mixed = (mixed ^ (mixed >> 13) ^ load<u32>(key, KEY_REMOTE + 4)) * <u32>MIX_C
    mixed = (mixed ^ (mixed >> 16) ^ load<u32>(key, KEY_REMOTE + 8)) * <u32>MIX_A
  }
  mixed = (mixed ^ (mixed >> 15) ^ load<u32>(key, SWITCH_PORT)) * <u32>MIX_B
  mixed = (mixed ^ (mixed >> 13)) * <u32>MIX_C
  return mixed ^ (mixed >> 16)
}

// Mixes the keys of a burst, and begins to fetch the words of the index that they lead to.
@inline
function mixAll(pool: usize, block: usize, count: u32, table: usize, mask: u32, index: usize, inbound: u32): void {
  const seed = load<u32>(table, H_SEED * 4)
  for (let n: u32 = 0; n < count; n++) {
    const position = <usize>load<u8>(block + n, CL_CHOSEN)
    const own = block + (<usize>n << 3)
    store<u32>(own, 0, ENTRY)
    store<u32>(own, 0, MIXED)
    if ((<u32>load<u8>(block + position, CL_KINDS) & ~<u32>KIND_WIDE) != 0) continue
    const key = block + position * KEY_BYTES + CL_KEYS
    const protocol = protocolWord(pool, <usize>load<u16>(block + (position << 1), CL_SLOTS), key, inbound)
    if (protocol == 0) continue
    const mixed = mix(seed, key, protocol)
    store<u32>(own, mixed, MIXED)
    store<u32>(own, load<u32>(index + (<usize>(mixed & mask) << 2)), ENTRY)
  }
}

// The place where the index leads from word `i` on.
function probe(index: usize, entries: usize, mask: u32, mixed: u32): u32 {
  for (let n: u32 = 0; n < <u32>PROBES; n++) {
    const word = load<u32>(index + (<usize>((mixed + n) & mask) << 2))
    if (word == 0) return 0
    if ((word ^ mixed) >> ENTRY_BITS == 0 && (word & ENTRY_MASK) >= <u32>FIRST_ENTRY) return entryOf(entries, word)
  }
  return 0
}

@inline
function entryOf(entries: usize, word: u32): u32 {
  return <u32>entries + ((word & ENTRY_MASK) - FIRST_ENTRY) * (ENTRY_WORDS * 4)
}

// Puts in the place of each first word of the index the entry that has the same fingerprint, and begins to fetch that.
@inline
function findAll(block: usize, count: u32, mask: u32, index: usize, entries: usize): void {
  let seen: u32 = 0
  for (let n: u32 = 0; n < count; n++) {
    const own = block + (<usize>n << 3)
    const word = load<u32>(own, ENTRY)
    if (word == 0) continue
    const mixed = load<u32>(own, MIXED)
    const isIt = (word ^ mixed) >> ENTRY_BITS == 0 && (word & ENTRY_MASK) >= <u32>FIRST_ENTRY
    const entry = isIt ? entryOf(entries, word) : probe(index, entries, mask, mixed)
    store<u32>(own, entry, ENTRY)
    if (entry == 0) continue
    seen ^= load<u32>(<usize>entry) ^ load<u32>(<usize>entry, E_COUNTS * 4)
  }
  touched = seen
}

// Reads a segment that may be plain: ACK, and none of SYN, FIN and RST.
@inline
function isPlainSegment(pool: usize, k: usize): bool {
  const l3 = <u32>load<u8>(pool + k, P_L3)
  const l4 = <u32>load<u8>(pool + k, P_L4)
  if (l4 == 0 || l4 + TCP_HEADER > <u32>load<u16>(pool + (k << 1), P_HEADER_LENGTH)) return false
  const header = headerOf(pool, k)
  const network = header + <usize>l3
  const isIpv4 = (load<u32>(pool + (k << 2), P_FLAGS) & PF_IPV4) != 0
  const length = <i32>((isIpv4 ? be16(network + 2) : IPV6_HEADER + be16(network + 4)) + l3 - l4)
  const at = header + <usize>l4
  const own = <i32>((<u32>load<u8>(at, 12) >> 4) << 2)
  if (own < <i32>TCP_HEADER || own > length || (<u32>load<u8>(at, 13) & FLAGS_ASKED) != ACK_ALONE) return false
  sequence = bswap<i32>(load<i32>(at, 4))
  acknowledgement = bswap<i32>(load<i32>(at, 8))
  window = <i32>be16(at + 14)
  end = sequence + length - own
  return true
}

// As `proceed` of tcp.ts: true if the segment is where its side stands.
@inline
function isInWindow(side: usize, other: usize): bool {
  const sent = load<i32>(side, S_END * 4)
  const behind = load<i32>(other, S_END * 4) - acknowledgement
  return (
    end - load<i32>(side, S_LIMIT * 4) <= WINDOW_PROBE && sent - sequence <= WINDOW_MAX && behind >= 0 && behind <= WINDOW_MAX
  )
}

@inline
function advance(held: u32, side: usize, other: usize, inbound: u32): void {
  const scale = (held >> (SCALE_SHIFT + inbound * SCALE_BITS)) & ((1 << SCALE_BITS) - 1)
  const limit = acknowledgement + (window << (scale == SCALE_NONE ? 0 : scale))
  const sent = load<i32>(side, S_END * 4)
  const acknowledged = load<i32>(side, S_ACKNOWLEDGED * 4)
  const before = load<i32>(other, S_LIMIT * 4)
  store<i32>(side, end - sent > 0 ? end : sent, S_END * 4)
  store<i32>(side, acknowledgement - acknowledged > 0 ? acknowledgement : acknowledged, S_ACKNOWLEDGED * 4)
  store<i32>(other, limit - before > 0 ? limit : before, S_LIMIT * 4)
}

@inline
function isKeyOf(entry: usize, key: usize, protocol: u32): bool {
  const first = v128.xor(v128.load(entry, E_KEY * 4), v128.load(key, KEY_LOCAL))
  const second = v128.xor(v128.load(entry, E_KEY * 4 + 16), v128.load(key, KEY_REMOTE))
  const fields = i32x4.replace_lane(v128.load(key, KEY_PORTS), 1, <i32>protocol)
  const third = i32x4.replace_lane(v128.xor(v128.load(entry, E_KEY * 4 + 32), fields), 3, 0)
  return !v128.any_true(v128.or(v128.or(first, second), third))
}

// Counts the packet and moves its connection on; false if that is for others to do, and nothing was changed.
@inline
function take(pool: usize, k: usize, key: usize, entry: usize, protocol: u32, tick: i32, inbound: u32): bool {
  const isTcp = (protocol & 0xff) == TCP
  if (isTcp && !isPlainSegment(pool, k)) return false
  const sides = entry + E_SIDES * 4
  const side = sides + <usize>inbound * (SIDE_WORDS * 4)
  const other = sides + <usize>(1 - inbound) * (SIDE_WORDS * 4)
  for (let n: u32 = 0; n < TRIES; n++) {
    const before = atomic.load<u32>(entry)
    if ((before & 1) != 0) continue
    const held = load<u32>(entry, E_STATE * 4)
    const state = held & STATE_MASK
    if (!isKeyOf(entry, key, protocol) || tick - load<i32>(entry, E_LAST * 4) > load<i32>(entry, E_TIMEOUT * 4)) return false
    if (isTcp) {
      if (state != ESTABLISHED || !isInWindow(side, other)) return false
    } else if (state != REPLIED && !(state == UNREPLIED && <u32>((held & SF_FROM_REMOTE) != 0) == inbound)) return false
    if (atomic.cmpxchg<u32>(entry, before, before + 1) != before) continue
    if (isTcp) advance(held, side, other, inbound)
    store<i32>(entry, tick, E_LAST * 4)
    const counts = entry + E_COUNTS * 4 + (<usize>inbound << 4)
    const more = f64x2.replace_lane(f64x2.splat(1), 1, <f64>load<u32>(pool + (k << 2), P_LENGTH))
    v128.store(counts, f64x2.add(v128.load(counts), more))
    atomic.store<u32>(entry, before + 2)
    return true
  }
  return false
}

/** See ConnectionKernels. */
export function follow(
  pool: usize,
  block: usize,
  count: u32,
  table: usize,
  index: usize,
  connections: u32,
  tick: i32,
  inbound: u32,
): u32 {
  const places = connections * INDEX_PER_ENTRY
  const entries = index + (<usize>places << 2)
  mixAll(pool, block, count, table, places - 1, index, inbound)
  findAll(block, count, places - 1, index, entries)
  // A bit for what the key of each packet that was left is mixed to.
  let left: u64 = 0
  let kept: u32 = 0
  for (let n: u32 = 0; n < count; n++) {
    const position = <usize>load<u8>(block + n, CL_CHOSEN)
    const own = block + (<usize>n << 3)
    const entry = <usize>load<u32>(own, ENTRY)
    if (entry != 0) {
      const bit = <u64>1 << <u64>(load<u32>(own, MIXED) >> 26)
      const k = <usize>load<u16>(block + (position << 1), CL_SLOTS)
      if ((left & bit) == 0 && (load<u32>(pool + (k << 2), P_FLAGS) & PF_FRAGMENT) == 0) {
        const key = block + position * KEY_BYTES + CL_KEYS
        if (take(pool, k, key, entry, protocolWord(pool, k, key, inbound), tick, inbound)) continue
      }
      left |= bit
    }
    store<u8>(block + kept, <u8>position, CL_CHOSEN)
    kept++
  }
  return kept
}
