// Walks one descriptor chain of any shape, split or packed, direct or indirect. Transmit chains become a slot's header copy and
// payload segments; receive chains become pieces, stretches of guest memory to fill. The fast paths of dequeue and deliver do
// without it; whatever they don't recognise comes here.
//
// The rule it must not break: a guest's field is read once, and every walk is bounded (DESCRIPTORS_MAX, the ring's size).
import {
  DESC_INDIRECT,
  DESC_NEXT,
  DESC_WRITE,
  DESCRIPTORS_MAX,
  FRAME_MAX,
  GATHER_MAX,
  HEADER_COPY,
  HEADER_START,
  HEADER_STRIDE,
  P_ADDRESS,
  P_PIECES,
  P_SEGMENT,
  P_VNET,
  PIECE_BYTES,
  Q_DESC,
  Q_FLAGS,
  Q_SIZE,
  QF_INDIRECT,
  QF_PACKED,
  REASON_BAD_CHAIN,
  REASON_OVERSIZE,
  SEGMENTS_MAX,
  VNET_HEADER,
  VNET_STRIDE,
} from './layout'
import { copySmall, part, translate, translatePart } from './memory.as'

/** Fault of `walk`: a packed chain that never ends breaks the ring. */
export const ENDLESS: i32 = -1

const VNET: u32 = VNET_HEADER
const COPIED: u32 = VNET_HEADER + HEADER_COPY
const LIMIT: u32 = VNET_HEADER + FRAME_MAX

// Results of a walk.
export let chainId: u32 = 0 // packed: the buffer id in the chain's last descriptor
export let chainElements: u32 = 0 // ring elements it occupies
export let got: u32 = 0 // bytes taken, the virtio-net header included
export let segments: u32 = 0 // transmit: payload segments stored
export let pieces: u32 = 0 // receive: pieces stored

let budget: u32 = 0
let receiving: bool = false
let packed: bool = false
let indirect: bool = false
let want: u32 = 0
let header: usize = 0
let vnet: usize = 0
let segmentTable: usize = 0
let pieceTable: usize = 0

/** Begins a transmit chain whose frame goes to slot `k`. */
export function beginFrame(pool: usize, k: u32): void {
  receiving = false
  got = 0
  segments = 0
  header = pool + <usize>k * HEADER_STRIDE + HEADER_START
  vnet = pool + P_VNET + <usize>k * VNET_STRIDE
  segmentTable = pool + P_SEGMENT + <usize>k * (SEGMENTS_MAX * 8)
}

/** Begins to gather receive buffers for `bytes` bytes; more walks may follow until `got` is `bytes`. */
export function beginGather(pool: usize, bytes: u32): void {
  receiving = true
  got = 0
  pieces = 0
  want = bytes
  pieceTable = pool + P_PIECES
}

function takeFrame(a: u64, l: u32): i32 {
  if (l > LIMIT - got) return REASON_OVERSIZE
  while (l != 0) {
    let p = translatePart(a)
    if (p == 0) return REASON_BAD_CHAIN
    let n = min(l, part)
    l -= n
    a += n
    if (got < VNET) {
      const m = min(n, VNET - got)
      copySmall(vnet + got, p, m)
      got += m
      p += m
      n -= m
    }
    if (n != 0 && got < COPIED) {
      const m = min(n, COPIED - got)
      copySmall(header + got - VNET_HEADER, p, m)
      got += m
      p += m
      n -= m
    }
    if (n != 0) {
      if (segments == SEGMENTS_MAX) return REASON_BAD_CHAIN
      const entry = segmentTable + (<usize>segments << 3)
      store<u32>(entry, <u32>p)
      store<u32>(entry, n, 4)
      segments++
      got += n
    }
  }
  return 0
}

function gather(a: u64, l: u32): i32 {
  l = min(l, want - got)
  while (l != 0) {
    const p = translatePart(a)
    if (p == 0 || pieces == GATHER_MAX) return REASON_BAD_CHAIN
    const n = min(l, part)
    const entry = pieceTable + <usize>pieces * PIECE_BYTES
    store<u32>(entry, <u32>p)
    store<u32>(entry, n, 4)
    store<u64>(entry, a, 8)
    pieces++
    got += n
    l -= n
    a += n
  }
  return 0
}

function takeTable(a: u64, l: u32): i32 {
  const n = l >>> 4
  let i: u32 = 0
  while (true) {
    if (budget-- == 0) return REASON_BAD_CHAIN
    const d = translate(a + (<u64>i << 4), 16)
    if (d == 0) return REASON_BAD_CHAIN
    const address = load<u64>(d)
    const bytes = load<u32>(d, 8)
    const word = load<u32>(d, 12)
    const flags = packed ? word >>> 16 : word & 0xffff
    if ((flags & DESC_INDIRECT) != 0 || ((flags & DESC_WRITE) != 0) != receiving) return REASON_BAD_CHAIN
    if (bytes != 0) {
      const fault = receiving ? gather(address, bytes) : takeFrame(address, bytes)
      if (fault != 0) return fault
    }
    if (receiving && got >= want) return 0
    if (packed) {
      if (++i == n) return 0
    } else {
      if ((flags & DESC_NEXT) == 0) return 0
      i = word >>> 16
      if (i >= n) return REASON_BAD_CHAIN
    }
  }
}

function take(a: u64, l: u32, flags: u32): i32 {
  if (budget-- == 0) return REASON_BAD_CHAIN
  if (flags & DESC_INDIRECT) {
    if (!indirect || (flags & DESC_NEXT) != 0 || l == 0 || (l & 15) != 0) return REASON_BAD_CHAIN
    return takeTable(a, l)
  }
  if (((flags & DESC_WRITE) != 0) != receiving) return REASON_BAD_CHAIN
  if (l == 0) return 0
  return receiving ? gather(a, l) : takeFrame(a, l)
}

/**
 * Walks the chain that starts at descriptor `i` (< size). Returns 0, the reason why the chain is refused, or ENDLESS. A packed
 * chain is followed to its end in any case: its elements have to be given back.
 */
export function walk(q: usize, i: u32): i32 {
  const flags = load<u32>(q, Q_FLAGS)
  const size = load<u32>(q, Q_SIZE)
  const desc = <usize>load<u32>(q, Q_DESC)
  packed = (flags & QF_PACKED) != 0
  indirect = (flags & QF_INDIRECT) != 0
  budget = DESCRIPTORS_MAX
  let elements: u32 = 0
  let fault: i32 = 0
  for (;;) {
    if (packed && elements == size) return ENDLESS
    elements++
    const d = desc + (<usize>i << 4)
    const a = load<u64>(d)
    const l = load<u32>(d, 8)
    const word = load<u32>(d, 12)
    const f = packed ? word >>> 16 : word & 0xffff
    if (fault == 0 && !(receiving && got >= want)) fault = take(a, l, f)
    if (packed) {
      chainId = word & 0xffff
      if ((f & DESC_NEXT) == 0) break
      if (++i == size) i = 0
    } else {
      if (fault != 0 || (f & DESC_NEXT) == 0 || (receiving && got >= want)) break
      i = word >>> 16
      if (i >= size) {
        fault = REASON_BAD_CHAIN
        break
      }
    }
  }
  chainElements = elements
  return fault
}

/** Puts the address of a one-segment payload where one-segment packets have it. */
export function settleFrame(pool: usize, k: u32): void {
  store<u32>(pool + (<usize>k << 2), segments == 1 ? load<u32>(segmentTable) : 0, P_ADDRESS)
}
