// The 802.1Q form in which one destination gets its packets, and its MTU: what src/switch/delivery-forms.ts and tag-edit.ts do, for ports that
// are no destination of copies in a VLAN of their own (spec 5.11; ES-326, ES-327, ES-528).
//
// The rule it must not break: the packets get exactly the form that those give them, and after `unform` they are what they were.
import {
  DE_EXCLUDED,
  DE_PORT,
  DE_PRESERVE_PRIORITY,
  DE_PRESERVE_VLAN,
  HEADER_STRIDE,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  OFFLOAD_USO,
  P_ARENA,
  P_DESTINATION,
  P_DESTINATION_COUNT,
  P_DESTINATION_OFFSET,
  P_DESTINATION_ROOM,
  P_EDITED,
  P_FLAGS,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_L3,
  P_L4,
  P_LENGTH,
  P_NEEDS,
  P_VLAN,
  P_VNET,
  PF_TAGGED,
  PF_VLAN_OOB,
  S_FORM_BYTES,
  S_NOTED,
  S_NOTES,
  S_TOO_LONG,
  VNET_NEEDS_CSUM,
  VNET_STRIDE,
} from './layout'

const SUPER_FRAME: u32 = OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO
const ETHERNET_HEADER: u32 = 14
const ADDRESSES: usize = 12
const TAG: u32 = 4
const PRIORITY: u32 = 0xe000
const VLAN: u32 = 0x1fff // with the drop-eligible bit
const TYPE: u32 = 0xffff
const C_TAG: u32 = 0x0081 // little-endian

// A note: slot u16, kind of edit u16, the tag before u32
const NOTE_BYTES: usize = 8
const INSERTED: u32 = 1
const STRIPPED: u32 = 2
const REWRITTEN: u32 = 3

@inline
function headerOf(pool: usize, k: u32): usize {
  return pool + <usize>k * HEADER_STRIDE + <usize>load<u16>(pool + (<usize>k << 1), P_HEADER_OFFSET)
}

@inline
function tciBytes(tci: u32): u32 {
  return ((tci & 0xff) << 24) | ((tci & 0xff00) << 8)
}

@inline
function addTo(at: usize, by: u32): void {
  store<u16>(at, <u16>(<u32>load<u16>(at) + by))
}

// Moves the addresses by `by` bytes: the frame begins later (a tag is cut out) or earlier (room for one).
@inline
function shift(pool: usize, k: u32, by: u32): void {
  const k2 = pool + (<usize>k << 1)
  const k4 = pool + (<usize>k << 2)
  const k1 = pool + <usize>k
  const h = headerOf(pool, k)
  const addresses = load<u64>(h)
  const last = load<u32>(h, 8)
  const to = by == TAG ? h + <usize>TAG : h - <usize>TAG
  store<u64>(to, addresses)
  store<u32>(to, last, 8)
  addTo(k2 + P_HEADER_OFFSET, by)
  addTo(k2 + P_HEADER_LENGTH, 0 - by)
  store<u32>(k4, load<u32>(k4, P_LENGTH) - by, P_LENGTH)
  store<u8>(k1, <u8>(<u32>load<u8>(k1, P_L3) - by), P_L3)
  const l4 = <u32>load<u8>(k1, P_L4)
  if (l4 != 0) store<u8>(k1, <u8>(l4 - by), P_L4)
  const vnet = pool + P_VNET + <usize>k * VNET_STRIDE
  if (load<u8>(vnet, 1) != 0) addTo(vnet + 2, 0 - by)
  if (load<u8>(vnet) & VNET_NEEDS_CSUM) addTo(vnet + 6, 0 - by)
}

// The destination entry of packet `k` for `port`; the port alone where there is none.
@inline
function entryOf(pool: usize, k: u32, port: u32): u32 {
  const k2 = pool + (<usize>k << 1)
  const k4 = pool + (<usize>k << 2)
  const many = load<u16>(k2, P_DESTINATION_ROOM) != 0
  let at = many ? pool + P_ARENA + (<usize>load<u32>(k4, P_DESTINATION_OFFSET) << 2) : k4 + P_DESTINATION
  const end = at + (<usize>load<u16>(k2, P_DESTINATION_COUNT) << 2)
  for (; at < end; at += 4) {
    const entry = load<u32>(at)
    if ((entry & (DE_PORT | DE_EXCLUDED)) == port) return entry
  }
  return port
}

// Notes that nobody took back, because a delivery failed, are of packets that are gone.
@inline
function forget(pool: usize, block: usize): void {
  const first = block + S_NOTES
  for (let note = first + <usize>load<u32>(block, S_NOTED); note > first; note -= NOTE_BYTES)
    store<u8>(pool + <usize>load<u16>(note - NOTE_BYTES), 0, P_EDITED)
}

/**
 * Gives the packets whose slots stand in the first `count` (≤ BURST_SLOTS) of the u16 array at `list` the form for `port`, and takes those out
 * that are too long for `mtu` (0: none is). `priority` 1: the port takes priorities. Returns how many are left, S_FORM_BYTES their bytes,
 * S_TOO_LONG the first that is not.
 */
export function form(pool: usize, list: usize, count: u32, port: u32, mtu: u32, priority: u32, block: usize): u32 {
  forget(pool, block)
  let note = block + S_NOTES
  let kept: u32 = 0
  let bytes: u32 = 0
  for (let i: u32 = 0; i < count; i++) {
    const k = <u32>load<u16>(list + (<usize>i << 1))
    const k4 = pool + (<usize>k << 2)
    const flags = load<u32>(k4, P_FLAGS)
    if (mtu != 0 && (<u32>load<u8>(pool + k, P_NEEDS) & SUPER_FRAME) == 0) {
      const overhead = ETHERNET_HEADER + ((flags & PF_TAGGED) == 0 ? 0 : TAG)
      if (<i32>(load<u32>(k4, P_LENGTH) - overhead) > <i32>mtu) {
        if (kept == i) store<u32>(block, k, S_TOO_LONG)
        continue
      }
    }
    if ((flags & (PF_TAGGED | PF_VLAN_OOB)) != 0 && load<u8>(pool + k, P_EDITED) == 0) {
      const entry = entryOf(pool, k, port)
      const tci = <u32>load<u16>(pool + (<usize>k << 1), P_VLAN)
      const keeps = (entry & DE_PRESERVE_VLAN) != 0
      let left = (entry & DE_PRESERVE_PRIORITY) != 0 && priority != 0 ? tci & PRIORITY : 0
      const wanted = keeps || left != 0
      if (keeps) left |= tci & VLAN
      let kind: u32 = 0
      let before: u32 = 0
      if ((flags & PF_TAGGED) == 0) {
        if (wanted && load<u16>(pool + (<usize>k << 1), P_HEADER_OFFSET) >= <u16>TAG) {
          kind = INSERTED
          shift(pool, k, 0 - TAG)
          store<u32>(headerOf(pool, k) + ADDRESSES, C_TAG | tciBytes(left))
        }
      } else if (!wanted) {
        kind = STRIPPED
        before = load<u32>(headerOf(pool, k) + ADDRESSES)
        shift(pool, k, TAG)
      } else if (left != tci) {
        // A tag that is left with nothing but its priority becomes one of 802.1Q, whatever it was.
        const at = headerOf(pool, k) + ADDRESSES
        kind = REWRITTEN
        before = load<u32>(at)
        store<u32>(at, (keeps ? before & TYPE : C_TAG) | tciBytes(left))
      }
      if (kind != 0) {
        store<u8>(pool + k, 1, P_EDITED)
        store<u16>(note, <u16>k)
        store<u16>(note, <u16>kind, 2)
        store<u32>(note, before, 4)
        note += NOTE_BYTES
      }
    }
    bytes += load<u32>(k4, P_LENGTH)
    store<u16>(list + (<usize>kept << 1), <u16>k)
    kept++
  }
  store<u32>(block, <u32>(note - block - S_NOTES), S_NOTED)
  store<u32>(block, bytes, S_FORM_BYTES)
  return kept
}

/** Takes back what the last `form` did to the packets. */
export function unform(pool: usize, block: usize): void {
  const first = block + S_NOTES
  for (let note = first + <usize>load<u32>(block, S_NOTED); note > first; ) {
    note -= NOTE_BYTES
    const k = <u32>load<u16>(note)
    const kind = <u32>load<u16>(note, 2)
    store<u8>(pool + k, 0, P_EDITED)
    if (kind == INSERTED) shift(pool, k, TAG)
    else {
      if (kind == STRIPPED) shift(pool, k, 0 - TAG)
      store<u32>(headerOf(pool, k) + ADDRESSES, load<u32>(note, 4))
    }
  }
  store<u32>(block, 0, S_NOTED)
}
