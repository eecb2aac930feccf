// The direct path from virtual function to virtual function: the twin of direct.as.ts.
//
// The rule it must not break: it decides exactly as src/adapter does, or leaves the frame in the ring. What was checked is what is sent:
// the 16 bytes that the decision reads are read once, and sent from where they were read to.
import type { Window } from './kernels.ts'
import * as layout from './layout.ts'
import { copy, enterRegions, load16, load32, ringPart, store32, type TwinState, translate } from './twin-memory.ts'
import { publishWritten } from './twin-notify.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const {
  BURST_MAX,
  D_BYTES,
  D_FILTER_MASK,
  D_FILTERS,
  D_MARKS,
  D_NOTIFY,
  D_QUEUES,
  D_RECORD,
  D_RECORD_BYTES,
  D_RECORDS,
  D_TAKEN,
  D_VPORT_COUNT,
  D_VPORTS,
  DESC_INDIRECT,
  DESC_NEXT,
  DESC_WRITE,
  DIRECT_MAX,
  DR_BYTES,
  DR_FRAMES,
  DR_LIMIT,
  DR_LOST,
  DR_NOTIFY,
  DR_QUEUE,
  DR_VPORT,
  FILTER_ANY_VLAN,
  FILTER_ENTRY_BYTES,
  FILTER_HASH_HIGH,
  FILTER_HASH_KEY,
  FILTER_HASH_MIX,
  FILTER_PROBES,
  FILTER_SOURCE,
  FILTER_TABLE_HEADER,
  FILTER_VALID,
  FRAME_MAX,
  OFFLOAD_CHECKSUM,
  Q_DESC,
  Q_DEVICE,
  Q_DRIVER,
  Q_FLAGS,
  Q_LAST,
  Q_LOCK,
  Q_LOG,
  Q_MASK,
  Q_NEEDS_SEEN,
  Q_NO_BUFFER,
  Q_OFFLOADS,
  Q_STATE,
  Q_USED,
  QF_FOREIGN,
  QF_PACKED,
  QS_RUNNING,
  VNET_DATA_VALID,
  VNET_HEADER,
  VNET_NEEDS_CSUM,
  VPORT_ACCESS,
  VPORT_ADMITTED_BYTES,
  VPORT_ENTRY_BYTES,
  VPORT_FLAG_ACCESS,
  VPORT_FLAG_ACTIVE,
  VPORT_FLAG_ASLEEP,
  VPORT_FLAG_CHECK_SOURCE,
  VPORT_FLAG_LINK_DOWN,
  VPORT_FLAG_STRIP,
  VPORT_FLAG_VF,
  VPORT_FLAGS,
  VPORT_MAC_HIGH,
  VPORT_MAC_LOW,
  VPORT_TABLE_HEADER,
} = layout

const HEAD = 16
const LONGEST = FRAME_MAX - 4
const TAG_C = 0x0081
const TAG_S = 0xa888
const TAG_OLD = 0x0091
const IPV4_BEHIND = 34
const IPV6_BEHIND = 54
const SHAPE = DESC_NEXT | DESC_WRITE | DESC_INDIRECT

/** What the decision read of the frame in work. One thread, one frame at a time. */
const head = new Int32Array(HEAD >> 2)
/** The virtio-net header that it is delivered with. */
const out = new Int32Array(3)

/** Word index of the entry of the filter table with this key, -1 if there is none. */
function find(s: TwinState, block: number, low: number, key: number): number {
  const { u32 } = s
  const entries = (u32[block + (D_FILTERS >> 2)]! + FILTER_TABLE_HEADER) >> 2
  const mask = u32[block + (D_FILTER_MASK >> 2)]! | 0
  const mixed = low ^ Math.imul(key, FILTER_HASH_HIGH) ^ Math.imul(key >>> 16, FILTER_HASH_KEY)
  let i = Math.imul(mixed ^ (mixed >>> 15), FILTER_HASH_MIX) >>> 8
  for (let probe = 0; probe < FILTER_PROBES; probe++, i++) {
    const at = entries + (i & mask) * (FILTER_ENTRY_BYTES >> 2)
    if ((u32[at + 1]! | 0) === key && (u32[at]! | 0) === low) return at
  }
  return -1
}

function vportOf(s: TwinState, block: number, low: number, key: number): number {
  const at = find(s, block, low, key)
  if (at < 0) return -1
  const vport = Atomics.load(s.u32, at + 2) | 0
  return (Atomics.load(s.u32, at + 1) | 0) === key && (s.u32[at]! | 0) === low ? vport : -1
}

function match(s: TwinState, block: number, low: number, high: number, vlan: number): number {
  const vport = vportOf(s, block, low, high | (vlan << 16) | FILTER_VALID)
  return vport >= 0 ? vport : vportOf(s, block, low, high | FILTER_ANY_VLAN | FILTER_VALID)
}

const isOpen = (flags: number): boolean =>
  (flags & (VPORT_FLAG_ACTIVE | VPORT_FLAG_LINK_DOWN | VPORT_FLAG_ASLEEP)) === VPORT_FLAG_ACTIVE

/** May the receiver be left to sum up the checksum at `start` + `offset` of the frame in work? See direct.as.ts. */
function maySum(from: Window, p: number, length: number, start: number, offset: number): boolean {
  const type = head[3]!
  let behind = 0
  if ((type & 0xffffff) === 0x450008) behind = IPV4_BEHIND
  else if ((type & 0xf0ffff) === 0x60dd86 && length >= IPV6_BEHIND + 4) {
    const next = from.u8[p + 20]!
    if (next === 6 || next === 17) behind = IPV6_BEHIND
  }
  return behind !== 0 && length >= behind + 4 && start >= behind && start + offset >= behind + 4 && start + offset + 2 <= length
}

/** Word index of the record of VPort `vport`, its receive ring locked and fit for the direct path; -1 if it is not. */
function open(s: TwinState, block: number, vport: number): number {
  const { u8, u32 } = s
  const marks = u32[block + (D_MARKS >> 2)]!
  const mark = u8[marks + vport]!
  if (mark !== 0) return block + ((D_RECORD + (mark - 1) * D_RECORD_BYTES) >> 2)
  const n = u32[block + (D_RECORDS >> 2)]!
  const q = u32[(u32[block + (D_QUEUES >> 2)]! >> 2) + vport]! >>> 2
  if (q === 0 || n === BURST_MAX || u32[q + (Q_STATE >> 2)] !== QS_RUNNING) return -1
  if (Atomics.compareExchange(u32, q + (Q_LOCK >> 2), 0, 1) !== 0) return -1
  const driver = ringPart(s, q + (Q_DRIVER >> 2))
  const limit = Atomics.load(driver.u16, (s.at >> 1) + 1)
  const waiting = (limit - u32[q + (Q_LAST >> 2)]!) & 0xffff
  const fit =
    u32[q + (Q_STATE >> 2)] === QS_RUNNING &&
    (u32[q + (Q_FLAGS >> 2)]! & (QF_FOREIGN | QF_PACKED)) === 0 &&
    u32[q + (Q_LOG >> 2)] === 0 &&
    waiting <= u32[q + (Q_MASK >> 2)]! + 1
  if (!fit || !enterRegions(s, q)) {
    Atomics.store(u32, q + (Q_LOCK >> 2), 0)
    return -1
  }
  u8[marks + vport] = n + 1
  u32[block + (D_RECORDS >> 2)] = n + 1
  const record = block + ((D_RECORD + n * D_RECORD_BYTES) >> 2)
  u32[record + (DR_VPORT >> 2)] = vport
  u32[record + (DR_QUEUE >> 2)] = q << 2
  u32[record + (DR_FRAMES >> 2)] = 0
  u32[record + (DR_BYTES >> 2)] = 0
  u32[record + (DR_LOST >> 2)] = 0
  u32[record + (DR_NOTIFY >> 2)] = 0
  u32[record + (DR_LIMIT >> 2)] = limit
  return record
}

/** Copies a frame of `length` bytes into the next buffer of the record's ring. Returns false if that is not simple. */
function hand(s: TwinState, record: number, length: number, w: number, p: number): boolean {
  const { u32 } = s
  const q = u32[record + (DR_QUEUE >> 2)]! >>> 2
  const at = u32[q + (Q_LAST >> 2)]! | 0
  if (at === u32[record + (DR_LIMIT >> 2)]) {
    u32[q + (Q_NO_BUFFER >> 2)] = u32[q + (Q_NO_BUFFER >> 2)]! + 1
    u32[record + (DR_LOST >> 2)] = u32[record + (DR_LOST >> 2)]! + 1
    return true
  }
  const mask = u32[q + (Q_MASK >> 2)]! | 0
  const avail = ringPart(s, q + (Q_DRIVER >> 2)).u16
  const buffer = avail[(s.at >> 1) + 2 + (at & mask)]!
  if (buffer > mask) return false
  const desc = ringPart(s, q + (Q_DESC >> 2)).u32
  const d = (s.at >> 2) + (buffer << 2)
  const total = length + VNET_HEADER
  if ((desc[d + 3]! & (DESC_WRITE | DESC_INDIRECT)) !== DESC_WRITE || desc[d + 2]! < total) return false
  if (!enterRegions(s, q)) return false
  const tw = translate(s, desc[d]! | 0, desc[d + 1]! | 0, total)
  if (tw < 0) return false
  const t = s.at
  const to = s.windows[tw]!
  for (let i = 0; i < 3; i++) store32(to, t + i * 4, out[i]!)
  for (let i = 0; i < 4; i++) store32(to, t + VNET_HEADER + i * 4, head[i]!)
  copy(s, tw, t + VNET_HEADER + HEAD, w, p + HEAD, length - HEAD)
  const frames = u32[record + (DR_FRAMES >> 2)]!
  const ring = ringPart(s, q + (Q_DEVICE >> 2)).u32
  const entry = (s.at >> 2) + 1 + (((u32[q + (Q_USED >> 2)]! + frames) & mask) << 1)
  ring[entry] = buffer
  ring[entry + 1] = total
  u32[q + (Q_LAST >> 2)] = (at + 1) & 0xffff
  u32[record + (DR_FRAMES >> 2)] = frames + 1
  u32[record + (DR_BYTES >> 2)] = u32[record + (DR_BYTES >> 2)]! + length
  return true
}

/** DirectKernels.direct. `q` and `block` are word indices. */
export function direct(s: TwinState, block: number, q: number, source: number, most: number): number {
  const { u8, u32 } = s
  u32[block + (D_TAKEN >> 2)] = 0
  u32[block + (D_BYTES >> 2)] = 0
  u32[block + (D_NOTIFY >> 2)] = 0
  u32[block + (D_RECORDS >> 2)] = 0
  if (u32[q + (Q_STATE >> 2)] !== QS_RUNNING || (u32[q + (Q_FLAGS >> 2)]! & (QF_FOREIGN | QF_PACKED)) !== 0) return 1
  if (!enterRegions(s, q)) return 1
  const avail = ringPart(s, q + (Q_DRIVER >> 2)).u16
  const availAt = s.at >> 1
  const desc = ringPart(s, q + (Q_DESC >> 2)).u32
  const descAt = s.at >> 2
  const ring = ringPart(s, q + (Q_DEVICE >> 2)).u32
  const ringAt = (s.at >> 2) + 1
  const mask = u32[q + (Q_MASK >> 2)]! | 0
  const sums = (u32[q + (Q_OFFLOADS >> 2)]! & OFFLOAD_CHECKSUM) !== 0
  const last = u32[q + (Q_LAST >> 2)]! | 0
  let n = (Atomics.load(avail, availAt + 1) - last) & 0xffff
  if (n === 0) return 0
  if (n > mask + 1) return 1
  const entries = (u32[block + (D_VPORTS >> 2)]! + VPORT_TABLE_HEADER) >> 2
  const vports = u32[block + (D_VPORT_COUNT >> 2)]!
  const own = entries + source * (VPORT_ENTRY_BYTES >> 2)
  const policy = u32[own + (VPORT_FLAGS >> 2)]!
  if (!isOpen(policy) || (policy & VPORT_FLAG_VF) === 0) return 1
  const vlan = (policy & VPORT_FLAG_ACCESS) !== 0 ? u32[own + (VPORT_ACCESS >> 2)]! & 0xfff : 0
  const admitted = entries + (vports + 1) * (VPORT_ENTRY_BYTES >> 2) + source * (VPORT_ADMITTED_BYTES >> 2)
  if (((u32[admitted + (vlan >>> 5)]! >>> (vlan & 31)) & 1) === 0) return 1 // PD-02
  const checked = (policy & VPORT_FLAG_CHECK_SOURCE) !== 0
  const ownLow = u32[own + (VPORT_MAC_LOW >> 2)]! | 0
  const ownHigh = u32[own + (VPORT_MAC_HIGH >> 2)]! | 0
  n = Math.min(n, most, DIRECT_MAX)
  const used = u32[q + (Q_USED >> 2)]! | 0
  let bytes = 0
  let taken = 0
  let record = -1
  let lastFirst = 0
  let lastSecond = 0
  for (; taken < n; taken++) {
    const id = avail[availAt + 2 + ((last + taken) & mask)]!
    if (id > mask || !enterRegions(s, q)) break
    const d = descAt + (id << 2)
    const word = desc[d + 3]! | 0
    const kind = word & SHAPE
    const l = desc[d + 2]!
    const low = desc[d]! | 0
    const high = desc[d + 1]! | 0
    let length = 0
    let w = -1
    let p = 0
    let vw = -1
    let vnet = 0
    if (kind === 0) {
      if (l < VNET_HEADER + HEAD) break
      vw = translate(s, low, high, l | 0)
      vnet = s.at
      w = vw
      p = vnet + VNET_HEADER
      length = l - VNET_HEADER
    } else if (kind === DESC_NEXT && l === VNET_HEADER && word >>> 16 <= mask) {
      const e = descAt + ((word >>> 16) << 2)
      length = desc[e + 2]!
      if (length < HEAD || (desc[e + 3]! & SHAPE) !== 0) break
      vw = translate(s, low, high, VNET_HEADER)
      vnet = s.at
      w = translate(s, desc[e]! | 0, desc[e + 1]! | 0, length | 0)
      p = s.at
    } else break
    if (vw < 0 || w < 0 || length > LONGEST) break
    const request = load16(s.windows[vw]!, vnet)
    const sizes = load32(s.windows[vw]!, vnet + 4)
    if ((request & 0xff00) !== 0) break
    const from = s.windows[w]!
    for (let i = 0; i < 4; i++) head[i] = load32(from, p + i * 4)
    const first = head[0]!
    const second = head[1]!
    const third = head[2]!
    const etherType = head[3]! & 0xffff
    if (etherType === TAG_C || etherType === TAG_S || etherType === TAG_OLD) break
    if ((first & 1) !== 0 || (second & 0x10000) !== 0) break
    if (checked && (third !== ownLow || second >>> 16 !== ownHigh)) {
      // PD-01
      if (find(s, block, third, (second >>> 16) | (source << 16) | FILTER_SOURCE | FILTER_VALID) < 0) break
    }
    const offset = load16(s.windows[vw]!, vnet + 8)
    const asked = request & VNET_NEEDS_CSUM
    if (asked !== 0 && !(sums && maySum(from, p, length, sizes >>> 16, offset))) break
    if (record < 0 || first !== lastFirst || (second & 0xffff) !== lastSecond) {
      const vport = match(s, block, (first >>> 16) | (second << 16), first & 0xffff, vlan)
      if (vport < 0 || vport >= vports || vport === source) break
      const flags = u32[entries + vport * (VPORT_ENTRY_BYTES >> 2) + (VPORT_FLAGS >> 2)]!
      if (!isOpen(flags) || (vlan !== 0 && (flags & VPORT_FLAG_STRIP) === 0)) break
      const next = open(s, block, vport)
      if (next < 0) break
      record = next
      lastFirst = first
      lastSecond = second & 0xffff
    }
    const target = u32[record + (DR_QUEUE >> 2)]! >>> 2
    const theirs = sums && (u32[target + (Q_OFFLOADS >> 2)]! & OFFLOAD_CHECKSUM) !== 0
    if (asked !== 0 && !theirs) break
    out[0] = asked !== 0 ? VNET_NEEDS_CSUM : theirs ? request & VNET_DATA_VALID : 0
    out[1] = asked !== 0 ? sizes & 0xffff0000 : 0
    out[2] = (asked !== 0 ? offset : 0) | (1 << 16)
    if (!hand(s, record, length, w, p)) break
    const entry = ringAt + (((used + taken) & mask) << 1)
    ring[entry] = id
    ring[entry + 1] = 0
    bytes += length
  }
  const marks = u32[block + (D_MARKS >> 2)]!
  const records = u32[block + (D_RECORDS >> 2)]!
  for (let i = 0; i < records; i++) {
    const r = block + ((D_RECORD + i * D_RECORD_BYTES) >> 2)
    u8[marks + u32[r + (DR_VPORT >> 2)]!] = 0
    u32[r + (DR_NOTIFY >> 2)] = publishWritten(s, u32[r + (DR_QUEUE >> 2)]! >>> 2, u32[r + (DR_FRAMES >> 2)]!)
  }
  if (taken !== 0) {
    u32[q + (Q_NEEDS_SEEN >> 2)] = 0
    u32[q + (Q_LAST >> 2)] = (last + taken) & 0xffff
    u32[block + (D_TAKEN >> 2)] = taken
    u32[block + (D_BYTES >> 2)] = bytes
    u32[block + (D_NOTIFY >> 2)] = publishWritten(s, q, taken)
  }
  return taken < n ? 1 : 0
}
