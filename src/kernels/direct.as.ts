// The direct path from virtual function to virtual function: a frame goes from the sender's ring straight into the receiver's, decided
// by the tables of the SR-IOV adapter. It stops at the first frame that is not simple; src/adapter takes it from there, in order.
//
// The rule it must not break: it decides exactly as src/adapter does, or leaves the frame in the ring. What was checked is what is sent:
// the 16 bytes that the decision reads are read once, and sent from where they were read to.
import {
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
} from './layout'
import { copyLong, enterRegions, enterTarget, translate, translateTarget } from './memory.as'
import { publishWritten } from './notify.as'
import { touchAhead } from './transmit.as'

const VNET: u32 = VNET_HEADER
const HEAD: u32 = 16 // bytes that the decision reads: both addresses, the type, and two more to make it one load
const TOUCHED_AT_ONCE: u32 = 16 // frames whose lines are fetched together, while what was written for those before is on its way
const LONGEST: u32 = FRAME_MAX - 4 // with the tag of an access port it must not be too long
const TAG_BYTES_SWAPPED_C: u32 = 0x0081 // 0x8100 as it is read, low byte first
const TAG_BYTES_SWAPPED_S: u32 = 0xa888
const TAG_BYTES_SWAPPED_OLD: u32 = 0x0091
const IPV4_BEHIND: u32 = 34 // where the transport header of an IPv4 packet without options begins
const IPV6_BEHIND: u32 = 54
const NOT_PLAIN: u32 = 0xff00 | VNET_NEEDS_CSUM // segmentation, or an open checksum
const SHAPE: u32 = DESC_NEXT | DESC_WRITE | DESC_INDIRECT

let filters: usize = 0
let filterMask: u32 = 0

@inline
function find(low: u32, key: u32): usize {
  const mixed = low ^ (key * <u32>FILTER_HASH_HIGH) ^ ((key >>> 16) * <u32>FILTER_HASH_KEY)
  let i = ((mixed ^ (mixed >>> 15)) * <u32>FILTER_HASH_MIX) >>> 8
  for (let probe: u32 = 0; probe < <u32>FILTER_PROBES; probe++, i++) {
    const at = filters + FILTER_TABLE_HEADER + <usize>(i & filterMask) * FILTER_ENTRY_BYTES
    if (load<u32>(at, 4) == key && load<u32>(at) == low) return at
  }
  return 0
}

/** VPort of the filter with this key, -1 if there is none. */
function vportOf(low: u32, key: u32): i32 {
  const at = find(low, key)
  if (at == 0) return -1
  const vport = atomic.load<i32>(at, 8)
  // A writer may have been here meanwhile: the key must still be the same.
  return atomic.load<u32>(at, 4) == key && load<u32>(at) == low ? vport : -1
}

/** VPort whose filter matches this destination address in VLAN `vlan` (0 = untagged or zero), -1 if none does. */
function match(low: u32, high: u32, vlan: u32): i32 {
  const vport = vportOf(low, high | (vlan << 16) | FILTER_VALID)
  return vport >= 0 ? vport : vportOf(low, high | FILTER_ANY_VLAN | FILTER_VALID)
}

@inline
function isOpen(flags: u32): bool {
  return (flags & (VPORT_FLAG_ACTIVE | VPORT_FLAG_LINK_DOWN | VPORT_FLAG_ASLEEP)) == VPORT_FLAG_ACTIVE
}

/**
 * May the receiver be left to sum up the checksum at `start` + `offset` of this frame? Only behind the network header and the ports, as
 * policy reads them; where these end is known of TCP and UDP in plain IPv4 and IPv6. `type`: bytes 12…15 of the frame at `p`.
 */
function maySum(p: usize, length: u32, type: u32, start: u32, offset: u32): bool {
  let behind: u32 = 0
  if ((type & 0xffffff) == 0x450008) behind = IPV4_BEHIND
  else if ((type & 0xf0ffff) == 0x60dd86 && length >= IPV6_BEHIND + 4) {
    const next = <u32>load<u8>(p, 20)
    if (next == 6 || next == 17) behind = IPV6_BEHIND
  }
  return behind != 0 && length >= behind + 4 && start >= behind && start + offset >= behind + 4 && start + offset + 2 <= length
}

/** The record of VPort `vport` in this burst, its receive ring locked and fit for the direct path; 0 if it is not. */
function open(block: usize, vport: u32): usize {
  const marks = <usize>load<u32>(block, D_MARKS)
  const mark = <u32>load<u8>(marks + vport)
  if (mark != 0) return block + D_RECORD + <usize>(mark - 1) * D_RECORD_BYTES
  const n = load<u32>(block, D_RECORDS)
  const q = <usize>load<u32>(<usize>load<u32>(block, D_QUEUES) + (<usize>vport << 2))
  if (q == 0 || n == <u32>BURST_MAX || load<u32>(q, Q_STATE) != QS_RUNNING) return 0
  if (atomic.cmpxchg<i32>(q + Q_LOCK, 0, 1) != 0) return 0
  const flags = load<u32>(q, Q_FLAGS)
  const limit = <u32>atomic.load<u16>(<usize>load<u32>(q, Q_DRIVER) + 2)
  if (
    load<u32>(q, Q_STATE) != QS_RUNNING ||
    (flags & (QF_FOREIGN | QF_PACKED)) != 0 ||
    load<u32>(q, Q_LOG) != 0 ||
    ((limit - load<u32>(q, Q_LAST)) & 0xffff) > load<u32>(q, Q_MASK) + 1 ||
    !enterTarget(q)
  ) {
    atomic.store<i32>(q + Q_LOCK, 0)
    return 0
  }
  store<u8>(marks + vport, <u8>(n + 1))
  store<u32>(block, n + 1, D_RECORDS)
  const record = block + D_RECORD + <usize>n * D_RECORD_BYTES
  store<u32>(record, vport, DR_VPORT)
  store<u32>(record, <u32>q, DR_QUEUE)
  store<u64>(record, 0, DR_FRAMES)
  store<u64>(record, 0, DR_LOST)
  store<u32>(record, limit, DR_LIMIT)
  return record
}

/**
 * The walk, twice: for drivers that negotiated to leave checksums open (`sums`), and for those that did not, whose frames have nothing to
 * pass on. What the first does for each frame costs the second a sixth of its rate.
 */
export function direct(block: usize, q: usize, source: u32, most: u32): u32 {
  return (load<u32>(q, Q_OFFLOADS) & OFFLOAD_CHECKSUM) != 0 ? walk(block, q, source, most, true) : walk(block, q, source, most, false)
}

@inline
function walk(block: usize, q: usize, source: u32, most: u32, sums: bool): u32 {
  store<u32>(block, 0, D_TAKEN)
  store<u32>(block, 0, D_BYTES)
  store<u32>(block, 0, D_NOTIFY)
  store<u32>(block, 0, D_RECORDS)
  if (load<u32>(q, Q_STATE) != QS_RUNNING || (load<u32>(q, Q_FLAGS) & (QF_FOREIGN | QF_PACKED)) != 0 || !enterRegions(q)) return 1
  const avail = <usize>load<u32>(q, Q_DRIVER)
  const desc = <usize>load<u32>(q, Q_DESC)
  const mask = load<u32>(q, Q_MASK)
  const last = load<u32>(q, Q_LAST)
  let n = (<u32>atomic.load<u16>(avail + 2) - last) & 0xffff
  if (n == 0) return 0
  if (n > mask + 1) return 1
  const entries = <usize>load<u32>(block, D_VPORTS) + VPORT_TABLE_HEADER
  const vports = load<u32>(block, D_VPORT_COUNT)
  const own = entries + <usize>source * VPORT_ENTRY_BYTES
  const policy = load<u32>(own, VPORT_FLAGS)
  if (!isOpen(policy) || (policy & VPORT_FLAG_VF) == 0) return 1
  // An access port's frames get a tag on the way in, and other access ports of the VLAN get them without: they pass as they are.
  const vlan = policy & VPORT_FLAG_ACCESS ? load<u32>(own, VPORT_ACCESS) & 0xfff : 0
  const admitted = entries + <usize>(vports + 1) * VPORT_ENTRY_BYTES + <usize>source * VPORT_ADMITTED_BYTES
  if (((load<u32>(admitted + ((vlan >>> 5) << 2)) >>> (vlan & 31)) & 1) == 0) return 1 // PD-02
  const checked = (policy & VPORT_FLAG_CHECK_SOURCE) != 0
  const ownLow = load<u32>(own, VPORT_MAC_LOW)
  const ownHigh = load<u32>(own, VPORT_MAC_HIGH)
  filters = <usize>load<u32>(block, D_FILTERS)
  filterMask = load<u32>(block, D_FILTER_MASK)
  n = min(n, min(most, <u32>DIRECT_MAX))

  const usedRing = <usize>load<u32>(q, Q_DEVICE) + 4
  const used = load<u32>(q, Q_USED)
  let taken: u32 = 0
  let bytes: u32 = 0
  // The receive ring that the frame before went to, and that frame's destination address.
  let record: usize = 0
  let lastFirst: u32 = 0
  let lastSecond: u32 = 0
  let target: usize = 0
  let at: u32 = 0
  let limit: u32 = 0
  let targetUsed: u32 = 0
  let targetMask: u32 = 0
  let targetSums = false
  let targetAvail: usize = 0
  let targetDesc: usize = 0
  let targetRing: usize = 0
  let frames: u32 = 0
  let sent: u32 = 0
  for (; taken < n; taken++) {
    if (taken % TOUCHED_AT_ONCE == 0) touchAhead(avail, desc, mask, last + taken, min(TOUCHED_AT_ONCE, n - taken))
    const head = <u32>load<u16>(avail + 4 + (<usize>((last + taken) & mask) << 1))
    if (head > mask) break
    const d = desc + (<usize>head << 4)
    const l = load<u32>(d, 8)
    const word = load<u32>(d, 12)
    const kind = word & SHAPE
    let vnet: usize = 0
    let p: usize = 0
    let length: u32 = 0
    if (kind == 0) {
      if (l < VNET + HEAD) break
      vnet = translate(load<u64>(d), l)
      p = vnet + VNET_HEADER
      length = l - VNET
      if (vnet == 0) break
    } else if (kind == DESC_NEXT && l == VNET && word >>> 16 <= mask) {
      const e = desc + (<usize>(word >>> 16) << 4)
      length = load<u32>(e, 8)
      if (length < HEAD || (load<u32>(e, 12) & SHAPE) != 0) break
      vnet = translate(load<u64>(d), VNET)
      p = translate(load<u64>(e), length)
      if (vnet == 0 || p == 0) break
    } else break
    if (length > LONGEST) break
    const request: u64 = sums ? load<u64>(vnet) : <u64>load<u16>(vnet)
    const asked = <u32>request & 0xffff
    if (!sums && (asked & NOT_PLAIN) != 0) break
    const header = v128.load(p)
    const addresses = i64x2.extract_lane(header, 0)
    const behind = i64x2.extract_lane(header, 1)
    const first = <u32>addresses
    const second = <u32>(<u64>addresses >> 32)
    const third = <u32>behind
    const etherType = <u32>(<u64>behind >> 32) & 0xffff
    if (etherType == TAG_BYTES_SWAPPED_C || etherType == TAG_BYTES_SWAPPED_S || etherType == TAG_BYTES_SWAPPED_OLD) break
    if ((first & 1) != 0 || (second & 0x10000) != 0) break // a group address, or a group that sends
    if (checked && (third != ownLow || second >>> 16 != ownHigh)) {
      // PD-01
      if (find(third, (second >>> 16) | (source << 16) | FILTER_SOURCE | FILTER_VALID) == 0) break
    }
    let offset: u32 = 0
    if (sums && asked != 0) {
      if ((asked & 0xff00) != 0) break // segmentation
      if (asked & VNET_NEEDS_CSUM) {
        offset = <u32>load<u16>(vnet, 8)
        if (!sums || !maySum(p, length, <u32>(<u64>behind >> 32), <u32>(request >> 48), offset)) break
      }
    }
    if (record == 0 || first != lastFirst || (second & 0xffff) != lastSecond) {
      const vport = match((first >>> 16) | (second << 16), first & 0xffff, vlan)
      if (vport < 0 || <u32>vport >= vports || <u32>vport == source) break
      const theirs = load<u32>(entries + <usize>vport * VPORT_ENTRY_BYTES, VPORT_FLAGS)
      if (!isOpen(theirs) || (vlan != 0 && (theirs & VPORT_FLAG_STRIP) == 0)) break
      const next = open(block, <u32>vport)
      if (next == 0) break
      lastFirst = first
      lastSecond = second & 0xffff
      if (next != record) {
        if (record != 0) {
          store<u32>(target, at, Q_LAST)
          store<u32>(record, frames, DR_FRAMES)
          store<u32>(record, sent, DR_BYTES)
        }
        record = next
        target = <usize>load<u32>(record, DR_QUEUE)
        enterTarget(target)
        frames = load<u32>(record, DR_FRAMES)
        sent = load<u32>(record, DR_BYTES)
        limit = load<u32>(record, DR_LIMIT)
        at = load<u32>(target, Q_LAST)
        targetUsed = load<u32>(target, Q_USED) + frames
        targetMask = load<u32>(target, Q_MASK)
        if (sums) targetSums = (load<u32>(target, Q_OFFLOADS) & OFFLOAD_CHECKSUM) != 0
        targetAvail = <usize>load<u32>(target, Q_DRIVER)
        targetDesc = <usize>load<u32>(target, Q_DESC)
        targetRing = <usize>load<u32>(target, Q_DEVICE) + 4
      }
    }
    if (sums && (asked & VNET_NEEDS_CSUM) != 0 && !targetSums) break
    if (at == limit) {
      store<u32>(target, load<u32>(target, Q_NO_BUFFER) + 1, Q_NO_BUFFER)
      store<u32>(record, load<u32>(record, DR_LOST) + 1, DR_LOST)
    } else {
      const buffer = <u32>load<u16>(targetAvail + 4 + (<usize>(at & targetMask) << 1))
      if (buffer > targetMask) break
      const t = targetDesc + (<usize>buffer << 4)
      const total = length + VNET
      if ((load<u32>(t, 12) & (DESC_WRITE | DESC_INDIRECT)) != DESC_WRITE || load<u32>(t, 8) < total) break
      const to = translateTarget(load<u64>(t), total)
      if (to == 0) break
      if (!sums || asked == 0) store<u64>(to, 0)
      else if (asked & VNET_NEEDS_CSUM) store<u64>(to, (request & 0xffff000000000000) | VNET_NEEDS_CSUM)
      else store<u64>(to, (asked & VNET_DATA_VALID) != 0 && targetSums ? VNET_DATA_VALID : 0)
      store<u32>(to, offset | (1 << 16), 8) // one buffer
      v128.store(to, header, 12)
      copyLong(to + VNET_HEADER + HEAD, p + HEAD, length - HEAD)
      store<u64>(targetRing + (<usize>(targetUsed & targetMask) << 3), (<u64>buffer) | ((<u64>total) << 32))
      targetUsed++
      at = (at + 1) & 0xffff
      frames++
      sent += length
    }
    store<u64>(usedRing + (<usize>((used + taken) & mask) << 3), <u64>head)
    bytes += length
  }
  if (record != 0) {
    store<u32>(target, at, Q_LAST)
    store<u32>(record, frames, DR_FRAMES)
    store<u32>(record, sent, DR_BYTES)
  }
  const marks = <usize>load<u32>(block, D_MARKS)
  const records = load<u32>(block, D_RECORDS)
  for (let i: u32 = 0; i < records; i++) {
    const r = block + D_RECORD + <usize>i * D_RECORD_BYTES
    store<u8>(marks + load<u32>(r, DR_VPORT), 0)
    store<u32>(r, publishWritten(load<u32>(r, DR_QUEUE), load<u32>(r, DR_FRAMES)), DR_NOTIFY)
  }
  if (taken != 0) {
    store<u32>(q, 0, Q_NEEDS_SEEN)
    store<u32>(q, (last + taken) & 0xffff, Q_LAST)
    store<u32>(block, taken, D_TAKEN)
    store<u32>(block, bytes, D_BYTES)
    store<u32>(block, publishWritten(q, taken), D_NOTIFY)
  }
  return taken < n ? 1 : 0
}
