// The device's side of a ring: used entries and their publication, the decision whether the guest wants a notification, asking the
// guest to notify us, and the dirty log.
//
// The rule it must not break: entries become visible to the guest by one atomic store per batch, and a full fence stands between
// that store and the read of what the guest asked for. (WebAssembly atomics are sequentially consistent: that is the fence.)
import {
  DESC_AVAILABLE,
  DESC_USED,
  DESC_WRITE,
  P_PIECES,
  PIECE_BYTES,
  Q_DESC,
  Q_DEVICE,
  Q_DRIVER,
  Q_FLAGS,
  Q_LAST,
  Q_LOG,
  Q_LOG_RING,
  Q_LOG_RING_HIGH,
  Q_LOG_RING_LOW,
  Q_LOG_SIZE,
  Q_MASK,
  Q_SIGNALLED,
  Q_SIGNALLED_VALID,
  Q_SIZE,
  Q_STATE,
  Q_USED,
  Q_WRAP,
  QF_EVENT_INDEX,
  QF_FOREIGN,
  QF_PACKED,
  QS_RUNNING,
} from './layout'
import { guestAddress } from './memory.as'

let packed: bool = false
let mask: u32 = 0
let size: u32 = 0
let ring: usize = 0 // used ring elements (split) or descriptors (packed)
let used: u32 = 0
let wrap: u32 = 0 // packed: 0x8080 or 0, the flags of a used descriptor
let firstAt: usize = 0 // packed: the descriptor whose flags go out last
let firstWord: u32 = 0
let before: u32 = 0
let given: u32 = 0

/** Begins a batch of used entries on queue `q`. */
export function beginGiving(q: usize): void {
  packed = (load<u32>(q, Q_FLAGS) & QF_PACKED) != 0
  mask = load<u32>(q, Q_MASK)
  size = load<u32>(q, Q_SIZE)
  used = load<u32>(q, Q_USED)
  before = used
  given = 0
  firstAt = 0
  if (packed) {
    ring = load<u32>(q, Q_DESC)
    wrap = load<u32>(q, Q_WRAP) & 2 ? DESC_AVAILABLE | DESC_USED : 0
  } else ring = <usize>load<u32>(q, Q_DEVICE) + 4
}

/** Adds one used entry: chain `id` of `elements` ring elements, with `written` bytes. Not visible to the guest before `publish`. */
@inline
export function give(id: u32, elements: u32, written: u32): void {
  if (!packed) {
    store<u64>(ring + (<usize>(used & mask) << 3), (<u64>id) | ((<u64>written) << 32))
    used = (used + 1) & 0xffff
  } else givePacked(id, elements, written)
  given++
}

function givePacked(id: u32, elements: u32, written: u32): void {
  const d = ring + (<usize>used << 4)
  const word = id | ((wrap | (written != 0 ? DESC_WRITE : 0)) << 16)
  store<u32>(d, written, 8)
  if (firstAt == 0) {
    firstAt = d
    firstWord = word
  } else store<u32>(d, word, 12)
  used += elements
  if (used >= size) {
    used -= size
    wrap ^= DESC_AVAILABLE | DESC_USED
  }
}

/** Publishes the batch and returns 1 if the guest wants a notification. */
export function publish(q: usize): u32 {
  if (given == 0) return 0
  store<u32>(q, used, Q_USED)
  if (packed) {
    store<u32>(q, (load<u32>(q, Q_WRAP) & 1) | (wrap != 0 ? 2 : 0), Q_WRAP)
    atomic.store<u32>(firstAt + 12, firstWord)
  } else atomic.store<u16>(ring - 2, <u16>used)
  if (load<u32>(q, Q_LOG) != 0) logGiven(q)
  return packed ? wantedPacked(q) : wantedSplit(q)
}

/** Publishes `n` entries of a split ring that stand in its used ring already. Returns 1 if the guest wants a notification. */
export function publishWritten(q: usize, n: u32): u32 {
  beginGiving(q)
  used = (used + n) & 0xffff
  given = n
  return publish(q)
}

function wantedSplit(q: usize): u32 {
  const driver = <usize>load<u32>(q, Q_DRIVER)
  if ((load<u32>(q, Q_FLAGS) & QF_EVENT_INDEX) == 0) return (<u32>atomic.load<u16>(driver) & 1) ^ 1
  const old = load<u32>(q, Q_SIGNALLED)
  const valid = load<u32>(q, Q_SIGNALLED_VALID)
  store<u32>(q, used, Q_SIGNALLED)
  store<u32>(q, 1, Q_SIGNALLED_VALID)
  const event = <u32>atomic.load<u16>(driver + 4 + (<usize>size << 1))
  return valid == 0 || ((used - event - 1) & 0xffff) < ((used - old) & 0xffff) ? 1 : 0
}

function wantedPacked(q: usize): u32 {
  const word = atomic.load<u32>(<usize>load<u32>(q, Q_DRIVER))
  const mode = (word >>> 16) & 3
  let old = load<u32>(q, Q_SIGNALLED)
  const valid = load<u32>(q, Q_SIGNALLED_VALID)
  store<u32>(q, used, Q_SIGNALLED)
  store<u32>(q, 1, Q_SIGNALLED_VALID)
  if (mode != 2 || (load<u32>(q, Q_FLAGS) & QF_EVENT_INDEX) == 0) return mode == 1 ? 0 : 1
  if (valid == 0) return 1
  let event = word & 0x7fff
  if (used <= old) old -= size
  if (((word >>> 15) & 1) != (wrap != 0 ? <u32>1 : <u32>0)) event -= size
  return ((used - event - 1) & 0xffff) < ((used - old) & 0xffff) ? 1 : 0
}

@inline
function servable(q: usize): bool {
  return load<u32>(q, Q_STATE) == QS_RUNNING && (load<u32>(q, Q_FLAGS) & QF_FOREIGN) == 0
}

/** Packed: has the descriptor at `at` been made available in the lap that `lap` (0 or 1) stands for? */
@inline
export function isAvailable(desc: usize, at: u32, lap: u32): bool {
  const flags = <u32>atomic.load<u16>(desc + (<usize>at << 4) + 14)
  return ((flags >>> 7) & 1) == lap && ((flags >>> 15) & 1) != lap
}

export function arm(q: usize): u32 {
  if (!servable(q)) return 0
  const flags = load<u32>(q, Q_FLAGS)
  const last = load<u32>(q, Q_LAST)
  const device = <usize>load<u32>(q, Q_DEVICE)
  const logging = load<u32>(q, Q_LOG) != 0
  if (flags & QF_PACKED) {
    const lap = load<u32>(q, Q_WRAP) & 1
    atomic.store<u32>(device, flags & QF_EVENT_INDEX ? last | (lap << 15) | (2 << 16) : 0)
    if (logging) logDevice(q, 0, 4)
    return isAvailable(load<u32>(q, Q_DESC), last, lap) ? 1 : 0
  }
  if (flags & QF_EVENT_INDEX) {
    const at = 4 + (load<u32>(q, Q_SIZE) << 3)
    atomic.store<u16>(device + at, <u16>last)
    if (logging) logDevice(q, at, 2)
  } else {
    atomic.store<u16>(device, 0)
    if (logging) logDevice(q, 0, 2)
  }
  return <u32>atomic.load<u16>(<usize>load<u32>(q, Q_DRIVER) + 2) != last ? 1 : 0
}

export function disarm(q: usize): void {
  if (!servable(q)) return
  const flags = load<u32>(q, Q_FLAGS)
  const device = <usize>load<u32>(q, Q_DEVICE)
  if (flags & QF_PACKED) atomic.store<u32>(device, 1 << 16)
  else if (flags & QF_EVENT_INDEX) return // an event index that has been passed asks for nothing
  else atomic.store<u16>(device, 1)
  if (load<u32>(q, Q_LOG) != 0) logDevice(q, 0, flags & QF_PACKED ? 4 : 2)
}

/** Marks the guest pages of `n` bytes (> 0) at guest address `a` in the dirty log. */
function logRange(q: usize, a: u64, n: u32): void {
  const log = <usize>load<u32>(q, Q_LOG)
  const bytes = <u64>load<u32>(q, Q_LOG_SIZE)
  const last = (a + <u64>(n - 1)) >> 12
  for (let page = a >> 12; page <= last; page++) {
    if (page >> 3 >= bytes) return
    atomic.or<u8>(log + <usize>(page >> 3), <u8>(<u32>1 << (<u32>page & 7)))
  }
}

function logDevice(q: usize, offset: u32, n: u32): void {
  if (load<u32>(q, Q_LOG_RING) == 0) return
  const a = <u64>load<u32>(q, Q_LOG_RING_LOW) | (<u64>load<u32>(q, Q_LOG_RING_HIGH) << 32)
  logRange(q, a + <u64>offset, n)
}

function logGiven(q: usize): void {
  if (load<u32>(q, Q_LOG_RING) == 0) return
  if (packed) {
    // A packed ring is written in the descriptors themselves; the log's ring address is that of the event suppression.
    const a = guestAddress(ring)
    if (a == ~(<u64>0)) return
    logRing(q, a, 16, used)
  } else {
    const a = <u64>load<u32>(q, Q_LOG_RING_LOW) | (<u64>load<u32>(q, Q_LOG_RING_HIGH) << 32)
    logRange(q, a, 4)
    logRing(q, a + 4, 8, used)
  }
}

/** Marks ring elements of `stride` bytes from `before` up to `end`, both as positions or free-running indices. */
function logRing(q: usize, a: u64, stride: u32, end: u32): void {
  const from = packed ? before : before & mask
  const to = packed ? end : end & mask
  if (to > from) logRange(q, a + <u64>from * <u64>stride, (to - from) * stride)
  else {
    logRange(q, a + <u64>from * <u64>stride, (size - from) * stride)
    if (to != 0) logRange(q, a, to * stride)
  }
}

/** Marks the guest pages of the first `n` pieces gathered in `pool`. */
export function logPieces(q: usize, pool: usize, n: u32): void {
  let entry = pool + P_PIECES
  for (let i: u32 = 0; i < n; i++, entry += PIECE_BYTES) logRange(q, load<u64>(entry, 8), load<u32>(entry, 4))
}
