// Deliver: copies packets into a guest's receive buffers, once each, and publishes them together.
//
// The rule it must not break: never a byte beyond the frame's length is written into a guest (it would show another guest's
// data), and no part of a packet is published before all of it stands in its buffers. The twin of this file is twin-receive.ts.
import { beginGather, chainElements, chainId, ENDLESS, got, pieces, walk } from './chain.as'
import {
  CHAIN_BYTES,
  DELIVER_NOTIFY,
  DESC_INDIRECT,
  DESC_NEXT,
  DESC_WRITE,
  GATHER_MAX,
  HEADER_STRIDE,
  OFFLOAD_CHECKSUM,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  OFFLOAD_USO,
  P_ADDRESS,
  P_CHAINS,
  P_FLAGS,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_LENGTH,
  P_NEEDS,
  P_PIECES,
  P_SCRATCH,
  P_SEGMENT,
  P_SEGMENTS,
  P_VNET,
  PF_DATA_VALID,
  PF_FOREIGN,
  PIECE_BYTES,
  Q_BAD_BUFFER,
  Q_DESC,
  Q_DRIVER,
  Q_ERROR,
  Q_FLAGS,
  Q_LAST,
  Q_LOG,
  Q_MASK,
  Q_NO_BUFFER,
  Q_OFFLOADS,
  Q_SIZE,
  Q_STATE,
  Q_TOO_BIG,
  Q_WRAP,
  QE_AVAILABLE_INDEX,
  QE_HEAD,
  QE_PACKED_CHAIN,
  QF_FOREIGN,
  QF_MERGEABLE,
  QF_PACKED,
  QS_BROKEN,
  QS_RUNNING,
  SEGMENTS_MAX,
  VNET_DATA_VALID,
  VNET_HEADER,
  VNET_NEEDS_CSUM,
  VNET_STRIDE,
} from './layout'
import { copyLong, copySmall, enterRegions, translate } from './memory.as'
import { beginGiving, give, isAvailable, logPieces, publish } from './notify.as'

const VNET: u32 = VNET_HEADER
const DELIVERED: u32 = 0
const LOST: u32 = 1 // this packet is lost, the next may fit
const EMPTY: u32 = 2 // no buffers left
const BROKEN: u32 = 3

// Where the ring is read next. Moved on only for buffers that are given back.
let packed: bool = false
let at: u32 = 0
let lap: u32 = 0
let limit: u32 = 0 // split: the driver's available index

function broken(q: usize, error: u32): u32 {
  store<u32>(q, QS_BROKEN, Q_STATE)
  store<u32>(q, error, Q_ERROR)
  return BROKEN
}

/** The first ten bytes of the virtio-net header for slot `k` to `h`, and the number of buffers. */
@inline
function writeVnet(pool: usize, k: u32, h: usize, offloads: u32, buffers: u32): void {
  const needs = <u32>load<u8>(pool + k, P_NEEDS)
  if (needs == 0) {
    const valid = (load<u32>(pool + (<usize>k << 2), P_FLAGS) & PF_DATA_VALID) != 0 && (offloads & OFFLOAD_CHECKSUM) != 0
    store<u64>(h, valid ? VNET_DATA_VALID : 0)
    store<u32>(h, buffers << 16, 8)
  } else {
    const vnet = pool + P_VNET + <usize>k * VNET_STRIDE
    const keep: u64 = needs & (OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO) ? 0xffffffffffffff00 : 0xffff000000000000
    store<u64>(h, (load<u64>(vnet) & keep) | (needs & OFFLOAD_CHECKSUM ? VNET_NEEDS_CSUM : 0))
    store<u32>(h, <u32>load<u16>(vnet, 8) | (buffers << 16), 8)
  }
}

/** Copies the whole of slot `k`, virtio-net header (in the scratch area) first, into the pieces gathered. */
function writePieces(pool: usize, k: u32): void {
  const length = load<u32>(pool + (<usize>k << 2), P_LENGTH)
  const copied = <u32>load<u16>(pool + (<usize>k << 1), P_HEADER_LENGTH)
  const count = <u32>load<u8>(pool + k, P_SEGMENTS)
  let entry = pool + P_PIECES
  let to = <usize>load<u32>(entry)
  let room = load<u32>(entry, 4)
  let segment = pool + P_SEGMENT + <usize>k * (SEGMENTS_MAX * 8)
  let left = length + VNET_HEADER
  for (let source: u32 = 0; left != 0; source++) {
    let from: usize
    let n: u32
    if (source == 0) {
      from = pool + P_SCRATCH
      n = VNET_HEADER
    } else if (source == 1) {
      from = pool + <usize>k * HEADER_STRIDE + <usize>load<u16>(pool + (<usize>k << 1), P_HEADER_OFFSET)
      n = copied
    } else if (source - 2 >= count) return // the slot's own arrays contradict each other
    else if (count == 1) {
      from = <usize>load<u32>(pool + (<usize>k << 2), P_ADDRESS)
      n = length - copied
    } else {
      from = <usize>load<u32>(segment)
      n = load<u32>(segment, 4)
      segment += 8
    }
    n = min(n, left)
    left -= n
    while (n != 0) {
      while (room == 0) {
        entry += PIECE_BYTES
        to = <usize>load<u32>(entry)
        room = load<u32>(entry, 4)
      }
      const m = min(n, room)
      copyLong(to, from, m)
      to += m
      from += m
      room -= m
      n -= m
    }
  }
}

function advance(elements: u32, size: u32): void {
  if (!packed) at = (at + 1) & 0xffff
  else {
    at += elements
    if (at >= size) {
      at -= size
      lap ^= 1
    }
  }
}

/** Delivers slot `k` into buffers of any shape. */
function deliverAny(q: usize, pool: usize, k: u32, flags: u32, offloads: u32): u32 {
  const total = load<u32>(pool + (<usize>k << 2), P_LENGTH) + VNET_HEADER
  const desc = <usize>load<u32>(q, Q_DESC)
  const size = load<u32>(q, Q_SIZE)
  const avail = <usize>load<u32>(q, Q_DRIVER)
  const mergeable = (flags & QF_MERGEABLE) != 0
  const startAt = at
  const startLap = lap
  const chainTable = pool + P_CHAINS
  let chains: u32 = 0
  let bad = false
  beginGather(pool, total)
  while (got < total && !bad) {
    let i = at
    if (packed) {
      if (!isAvailable(desc, at, lap)) break
    } else {
      if (at == limit) break
      i = <u32>load<u16>(avail + 4 + (<usize>(at & (size - 1)) << 1))
      if (i >= size) {
        at = startAt
        return broken(q, QE_HEAD)
      }
    }
    const before = got
    const fault = walk(q, i)
    if (fault == ENDLESS) {
      at = startAt
      lap = startLap
      return broken(q, QE_PACKED_CHAIN)
    }
    if (fault != 0) bad = true
    else if (mergeable) bad = got == before || got < VNET || chains == GATHER_MAX - 1
    else if (got < total) {
      store<u32>(q, load<u32>(q, Q_TOO_BIG) + 1, Q_TOO_BIG)
      return LOST
    }
    const entry = chainTable + <usize>chains * CHAIN_BYTES
    store<u32>(entry, packed ? chainId : i)
    store<u32>(entry, chainElements, 4)
    store<u32>(entry, got - before, 8)
    chains++
    advance(chainElements, size)
  }
  if (!bad && got < total) {
    // Nothing of it was published: the buffers stay the driver's.
    at = startAt
    lap = startLap
    return EMPTY
  }
  if (!bad) {
    writeVnet(pool, k, pool + P_SCRATCH, offloads, chains)
    writePieces(pool, k)
    if (load<u32>(q, Q_LOG) != 0) logPieces(q, pool, pieces)
  } else store<u32>(q, load<u32>(q, Q_BAD_BUFFER) + chains, Q_BAD_BUFFER)
  for (let c: u32 = 0; c < chains; c++) {
    const entry = chainTable + <usize>c * CHAIN_BYTES
    give(load<u32>(entry), load<u32>(entry, 4), bad ? 0 : load<u32>(entry, 8))
  }
  return bad ? LOST : DELIVERED
}

/** Delivers slot `k` into one buffer at `t`, which has room for it. */
@inline
function writePlain(pool: usize, k: u32, t: usize, length: u32, offloads: u32): void {
  const copied = <u32>load<u16>(pool + (<usize>k << 1), P_HEADER_LENGTH)
  const h = pool + <usize>k * HEADER_STRIDE + <usize>load<u16>(pool + (<usize>k << 1), P_HEADER_OFFSET)
  writeVnet(pool, k, t, offloads, 1)
  if (copied == 128) {
    v128.store(t, v128.load(h), 12)
    v128.store(t, v128.load(h, 16), 28)
    v128.store(t, v128.load(h, 32), 44)
    v128.store(t, v128.load(h, 48), 60)
    v128.store(t, v128.load(h, 64), 76)
    v128.store(t, v128.load(h, 80), 92)
    v128.store(t, v128.load(h, 96), 108)
    v128.store(t, v128.load(h, 112), 124)
  } else copySmall(t + VNET_HEADER, h, copied)
  if (length > copied)
    copyLong(t + VNET_HEADER + copied, <usize>load<u32>(pool + (<usize>k << 2), P_ADDRESS), length - copied)
}

export function deliver(q: usize, pool: usize, list: usize, count: u32): u32 {
  const flags = load<u32>(q, Q_FLAGS)
  if (load<u32>(q, Q_STATE) != QS_RUNNING || (flags & QF_FOREIGN) != 0 || !enterRegions(q)) return 0
  const desc = <usize>load<u32>(q, Q_DESC)
  const avail = <usize>load<u32>(q, Q_DRIVER)
  const size = load<u32>(q, Q_SIZE)
  const mask = load<u32>(q, Q_MASK)
  const offloads = load<u32>(q, Q_OFFLOADS)
  const plain = load<u32>(q, Q_LOG) == 0
  packed = (flags & QF_PACKED) != 0
  at = load<u32>(q, Q_LAST)
  lap = load<u32>(q, Q_WRAP) & 1
  if (!packed) {
    limit = <u32>atomic.load<u16>(avail + 2)
    if (((limit - at) & 0xffff) > mask + 1) {
      broken(q, QE_AVAILABLE_INDEX)
      return 0
    }
  }
  beginGiving(q)
  let delivered: u32 = 0
  for (let j: u32 = 0; j < count; j++) {
    const k = <u32>load<u16>(list + (<usize>j << 1))
    const length = load<u32>(pool + (<usize>k << 2), P_LENGTH)
    const total = length + VNET_HEADER
    if (load<u32>(pool + (<usize>k << 2), P_FLAGS) & PF_FOREIGN) {
      // Its addresses mean nothing here: the twin has to deliver it.
      store<u32>(q, load<u32>(q, Q_BAD_BUFFER) + 1, Q_BAD_BUFFER)
      continue
    }
    if (plain && load<u8>(pool + k, P_SEGMENTS) <= 1) {
      if (!packed) {
        if (at == limit) {
          store<u32>(q, load<u32>(q, Q_NO_BUFFER) + (count - j), Q_NO_BUFFER)
          break
        }
        const head = <u32>load<u16>(avail + 4 + (<usize>(at & mask) << 1))
        if (head > mask) {
          broken(q, QE_HEAD)
          break
        }
        const d = desc + (<usize>head << 4)
        if ((load<u32>(d, 12) & (DESC_WRITE | DESC_INDIRECT)) == DESC_WRITE && load<u32>(d, 8) >= total) {
          const t = translate(load<u64>(d), total)
          if (t != 0) {
            writePlain(pool, k, t, length, offloads)
            give(head, 1, total)
            at = (at + 1) & 0xffff
            delivered++
            continue
          }
        }
      } else {
        if (!isAvailable(desc, at, lap)) {
          store<u32>(q, load<u32>(q, Q_NO_BUFFER) + (count - j), Q_NO_BUFFER)
          break
        }
        const d = desc + (<usize>at << 4)
        const word = load<u32>(d, 12)
        if (((word >>> 16) & (DESC_WRITE | DESC_INDIRECT | DESC_NEXT)) == DESC_WRITE && load<u32>(d, 8) >= total) {
          const t = translate(load<u64>(d), total)
          if (t != 0) {
            writePlain(pool, k, t, length, offloads)
            give(word & 0xffff, 1, total)
            advance(1, size)
            delivered++
            continue
          }
        }
      }
    }
    const result = deliverAny(q, pool, k, flags, offloads)
    if (result == DELIVERED) delivered++
    else if (result == BROKEN) break
    else if (result == EMPTY) {
      store<u32>(q, load<u32>(q, Q_NO_BUFFER) + (count - j), Q_NO_BUFFER)
      break
    }
  }
  store<u32>(q, at, Q_LAST)
  store<u32>(q, (load<u32>(q, Q_WRAP) & 2) | lap, Q_WRAP)
  return publish(q) != 0 ? delivered | DELIVER_NOTIFY : delivered
}
