// The device's side of a ring: the twin of notify.as.ts.
//
// The rule it must not break: entries become visible to the guest by one atomic store per batch, and a full fence stands between
// that store and the read of what the guest asked for. (Atomics are sequentially consistent: that is the fence.)
import type { Window } from './kernels.ts'
import * as layout from './layout.ts'
import { ringPart, type TwinState, WINDOW_MASK, WINDOW_SHIFT } from './twin-memory.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const {
  DESC_AVAILABLE,
  DESC_USED,
  DESC_WRITE,
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
  Q_REGION_COUNT,
  Q_REGIONS,
  Q_SIGNALLED,
  Q_SIGNALLED_VALID,
  Q_SIZE,
  Q_STATE,
  Q_USED,
  Q_WRAP,
  QF_EVENT_INDEX,
  QF_PACKED,
  QS_RUNNING,
  REGION_BASE,
  REGION_BYTES,
  REGION_GPA_HIGH,
  REGION_OFFSET,
  REGION_SIZE,
  REGION_WINDOW,
} = layout

const LAPS = DESC_AVAILABLE | DESC_USED

/** Begins a batch of used entries on queue `q` (word index). */
export function beginGiving(s: TwinState, q: number): void {
  const u32 = s.u32
  s.packed = (u32[q + (Q_FLAGS >> 2)]! & QF_PACKED) !== 0
  s.mask = u32[q + (Q_MASK >> 2)]! | 0
  s.size = u32[q + (Q_SIZE >> 2)]! | 0
  s.used = u32[q + (Q_USED >> 2)]! | 0
  s.before = s.used
  s.given = 0
  s.firstAt = -1
  if (s.packed) {
    s.ring = ringPart(s, q + (Q_DESC >> 2))
    s.ringAt = s.at >> 2
    s.wrap = (u32[q + (Q_WRAP >> 2)]! & 2) !== 0 ? LAPS : 0
  } else {
    s.ring = ringPart(s, q + (Q_DEVICE >> 2))
    s.ringAt = (s.at >> 2) + 1
  }
}

/** Adds one used entry: chain `id` of `elements` ring elements, with `written` bytes. Not visible to the guest before `publish`. */
export function give(s: TwinState, id: number, elements: number, written: number): void {
  const u32 = s.ring.u32
  s.given++
  if (!s.packed) {
    const at = s.ringAt + ((s.used & s.mask) << 1)
    u32[at] = id
    u32[at + 1] = written
    s.used = (s.used + 1) & 0xffff
    return
  }
  const at = s.ringAt + (s.used << 2)
  const word = id | ((s.wrap | (written !== 0 ? DESC_WRITE : 0)) << 16)
  u32[at + 2] = written
  if (s.firstAt < 0) {
    s.firstAt = at
    s.firstWord = word
  } else u32[at + 3] = word
  s.used += elements
  if (s.used >= s.size) {
    s.used -= s.size
    s.wrap ^= LAPS
  }
}

/** Publishes the batch and returns 1 if the guest wants a notification. */
export function publish(s: TwinState, q: number): number {
  if (s.given === 0) return 0
  const u32 = s.u32
  u32[q + (Q_USED >> 2)] = s.used
  if (s.packed) {
    u32[q + (Q_WRAP >> 2)] = (u32[q + (Q_WRAP >> 2)]! & 1) | (s.wrap !== 0 ? 2 : 0)
    Atomics.store(s.ring.u32, s.firstAt + 3, s.firstWord)
  } else Atomics.store(s.ring.u16, (s.ringAt << 1) - 1, s.used)
  if (u32[q + (Q_LOG >> 2)] !== 0) logGiven(s, q)
  return s.packed ? wantedPacked(s, q) : wantedSplit(s, q)
}

/** Publishes `n` entries of a split ring that stand in its used ring already. Returns 1 if the guest wants a notification. */
export function publishWritten(s: TwinState, q: number, n: number): number {
  beginGiving(s, q)
  s.used = (s.used + n) & 0xffff
  s.given = n
  return publish(s, q)
}

function wantedSplit(s: TwinState, q: number): number {
  const u32 = s.u32
  const driver = ringPart(s, q + (Q_DRIVER >> 2))
  const at = s.at >> 1
  if ((u32[q + (Q_FLAGS >> 2)]! & QF_EVENT_INDEX) === 0) return (Atomics.load(driver.u16, at) & 1) ^ 1
  const old = u32[q + (Q_SIGNALLED >> 2)]! | 0
  const valid = u32[q + (Q_SIGNALLED_VALID >> 2)]! | 0
  u32[q + (Q_SIGNALLED >> 2)] = s.used
  u32[q + (Q_SIGNALLED_VALID >> 2)] = 1
  const event = Atomics.load(driver.u16, at + 2 + s.size)
  return valid === 0 || ((s.used - event - 1) & 0xffff) < ((s.used - old) & 0xffff) ? 1 : 0
}

function wantedPacked(s: TwinState, q: number): number {
  const u32 = s.u32
  const driver = ringPart(s, q + (Q_DRIVER >> 2))
  const word = Atomics.load(driver.u32, s.at >> 2) | 0
  const mode = (word >>> 16) & 3
  let old = u32[q + (Q_SIGNALLED >> 2)]! | 0
  const valid = u32[q + (Q_SIGNALLED_VALID >> 2)]! | 0
  u32[q + (Q_SIGNALLED >> 2)] = s.used
  u32[q + (Q_SIGNALLED_VALID >> 2)] = 1
  if (mode !== 2 || (u32[q + (Q_FLAGS >> 2)]! & QF_EVENT_INDEX) === 0) return mode === 1 ? 0 : 1
  if (valid === 0) return 1
  let event = word & 0x7fff
  if (s.used <= old) old -= s.size
  if (((word >>> 15) & 1) !== (s.wrap !== 0 ? 1 : 0)) event -= s.size
  return ((s.used - event - 1) & 0xffff) < ((s.used - old) & 0xffff) ? 1 : 0
}

/** Packed: has the descriptor at `at` been made available in the lap that `lap` (0 or 1) stands for? `desc` counts u32 words. */
export function isAvailable(ring: Window, desc: number, at: number, lap: number): boolean {
  const flags = Atomics.load(ring.u16, ((desc + (at << 2)) << 1) + 7)
  return ((flags >>> 7) & 1) === lap && ((flags >>> 15) & 1) !== lap
}

/** Asks the guest to notify us of new buffers. Returns 1 if some came meanwhile. */
export function arm(s: TwinState, q: number): number {
  const u32 = s.u32
  if (u32[q + (Q_STATE >> 2)] !== QS_RUNNING) return 0
  const flags = u32[q + (Q_FLAGS >> 2)]!
  const last = u32[q + (Q_LAST >> 2)]! | 0
  const logging = u32[q + (Q_LOG >> 2)] !== 0
  const device = ringPart(s, q + (Q_DEVICE >> 2))
  const at = s.at
  if ((flags & QF_PACKED) !== 0) {
    const lap = u32[q + (Q_WRAP >> 2)]! & 1
    Atomics.store(device.u32, at >> 2, (flags & QF_EVENT_INDEX) !== 0 ? last | (lap << 15) | (2 << 16) : 0)
    if (logging) logDevice(s, q, 0, 4)
    const ring = ringPart(s, q + (Q_DESC >> 2))
    return isAvailable(ring, s.at >> 2, last, lap) ? 1 : 0
  }
  if ((flags & QF_EVENT_INDEX) !== 0) {
    const event = 4 + (u32[q + (Q_SIZE >> 2)]! << 3)
    Atomics.store(device.u16, (at + event) >> 1, last)
    if (logging) logDevice(s, q, event, 2)
  } else {
    Atomics.store(device.u16, at >> 1, 0)
    if (logging) logDevice(s, q, 0, 2)
  }
  const driver = ringPart(s, q + (Q_DRIVER >> 2))
  return Atomics.load(driver.u16, (s.at >> 1) + 1) !== last ? 1 : 0
}

/** Tells the guest that we poll. */
export function disarm(s: TwinState, q: number): void {
  const u32 = s.u32
  if (u32[q + (Q_STATE >> 2)] !== QS_RUNNING) return
  const flags = u32[q + (Q_FLAGS >> 2)]!
  const device = ringPart(s, q + (Q_DEVICE >> 2))
  if ((flags & QF_PACKED) !== 0) Atomics.store(device.u32, s.at >> 2, 1 << 16)
  else if ((flags & QF_EVENT_INDEX) !== 0)
    return // an event index that has been passed asks for nothing
  else Atomics.store(device.u16, s.at >> 1, 1)
  if (u32[q + (Q_LOG >> 2)] !== 0) logDevice(s, q, 0, (flags & QF_PACKED) !== 0 ? 4 : 2)
}

/** Marks the guest pages of `n` bytes (> 0) at guest address `high`:`low` in the dirty log. */
function logRange(s: TwinState, q: number, low: number, high: number, n: number): void {
  const log = s.u32[q + (Q_LOG >> 2)]! | 0
  const bytes = s.u32[q + (Q_LOG_SIZE >> 2)]!
  // Page numbers as doubles: exact up to 2^52, and only a queue that is being migrated pays for them.
  const start = (high >>> 0) * 1048576 + (low >>> 12)
  const last = start + (((low & 4095) + n - 1) >>> 12)
  for (let page = start; page <= last; page++) {
    const byte = Math.floor(page / 8)
    if (byte >= bytes) return
    const at = (log + byte) | 0
    Atomics.or(s.windows[at >>> WINDOW_SHIFT]!.u8, at & WINDOW_MASK, 1 << (page & 7))
  }
}

/** logRange at `offset` bytes (< 2^31) behind guest address `high`:`low`. */
function logOffset(s: TwinState, q: number, low: number, high: number, offset: number, n: number): void {
  const at = (low + offset) | 0
  logRange(s, q, at, (high + (at >>> 0 < low >>> 0 ? 1 : 0)) | 0, n)
}

function logDevice(s: TwinState, q: number, offset: number, n: number): void {
  if (s.u32[q + (Q_LOG_RING >> 2)] === 0) return
  logOffset(s, q, s.u32[q + (Q_LOG_RING_LOW >> 2)]! | 0, s.u32[q + (Q_LOG_RING_HIGH >> 2)]! | 0, offset, n)
}

function logGiven(s: TwinState, q: number): void {
  const u32 = s.u32
  if (u32[q + (Q_LOG_RING >> 2)] === 0) return
  if (!s.packed) {
    logDevice(s, q, 0, 4)
    logRing(s, q, u32[q + (Q_LOG_RING_LOW >> 2)]! | 0, u32[q + (Q_LOG_RING_HIGH >> 2)]! | 0, 4, 8)
    return
  }
  // A packed ring is written in the descriptors themselves; the log's ring address is that of the event suppression.
  const e = ringRegion(s, q)
  if (e >= 0) logRing(s, q, u32[e]! | 0, u32[e + (REGION_GPA_HIGH >> 2)]! | 0, s.at, 16)
}

/** Word index of the region that holds the descriptor ring, its offset there in `s.at`; -1 if none does. */
function ringRegion(s: TwinState, q: number): number {
  const u32 = s.u32
  const linear = u32[q + (Q_DESC >> 2)]!
  const window = u32[q + (Q_DESC >> 2) + 1]!
  const offset = u32[q + (Q_DESC >> 2) + 2]!
  let e = u32[q + (Q_REGIONS >> 2)]! >>> 2
  for (let i = 0; i < u32[q + (Q_REGION_COUNT >> 2)]!; i++, e += REGION_BYTES >> 2) {
    const base = u32[e + (REGION_BASE >> 2)]!
    if ((linear !== 0) !== (base !== 0)) continue
    if (linear === 0 && window !== u32[e + (REGION_WINDOW >> 2)]!) continue
    const d = linear !== 0 ? linear - base : offset - u32[e + (REGION_OFFSET >> 2)]!
    if (d < 0 || d >= u32[e + (REGION_SIZE >> 2)]!) continue
    s.at = d
    return e
  }
  return -1
}

/** Marks the ring elements of `stride` bytes of the batch; the first element lies `offset` bytes behind `high`:`low`. */
function logRing(s: TwinState, q: number, low: number, high: number, offset: number, stride: number): void {
  const from = s.packed ? s.before : s.before & s.mask
  const to = s.packed ? s.used : s.used & s.mask
  if (to > from) logOffset(s, q, low, high, offset + from * stride, (to - from) * stride)
  else {
    logOffset(s, q, low, high, offset + from * stride, (s.size - from) * stride)
    if (to !== 0) logOffset(s, q, low, high, offset, to * stride)
  }
}

/** Marks the guest pages of the pieces gathered. */
export function logPieces(s: TwinState, q: number): void {
  for (let i = 0; i < s.pieces; i++) logRange(s, q, s.pieceLow[i]!, s.pieceHigh[i]!, s.pieceLength[i]!)
}
