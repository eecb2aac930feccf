// The switch's own short cuts between rings, for a burst of one port: admission, forwarding of known and simply flooded frames,
// sorting by destination. What is not simple is left to TypeScript (src/switch), which does the same for all cases.
//
// The rule it must not break: it decides exactly as src/switch does, or leaves the packet undecided.
import {
  BURST_SLOTS,
  DE_EXCLUDED,
  DE_PORT,
  DE_PRESERVE_PRIORITY,
  DE_PRESERVE_VLAN,
  HEADER_STRIDE,
  MAC_KEY_MASK,
  MAC_KEY_STATIC,
  MAC_KEY_VALID,
  NIC_CONNECTED,
  P_ARENA,
  P_DESTINATION,
  P_DESTINATION_COUNT,
  P_DESTINATION_OFFSET,
  P_DESTINATION_ROOM,
  P_ETHER_TYPE,
  P_FLAGS,
  P_HEADER_OFFSET,
  P_L3,
  P_LENGTH,
  P_NEEDS,
  P_PACKET_ID,
  P_VLAN,
  PF_BROADCAST,
  PF_DROPPED,
  PF_MULTICAST,
  PF_NATIVE_FORWARDING,
  PF_TAGGED,
  PF_VLAN_OOB,
  PORT_ENTRY_BYTES,
  PORT_FLAG_CHECK_SOURCE,
  PORT_FLAG_EXTERNAL,
  PORT_FLAG_LEARN,
  PORT_FLAG_LINK_DOWN,
  PORT_FLAG_VLAN,
  PORT_FLAGS,
  PORT_NIC_STATE,
  PORT_TABLE_HEADER,
  PORT_VLAN,
  PORT_VLAN_MODE,
  PORT_VLAN_SECONDARY,
  PORT_VLAN_SET_BYTES,
  S_BYTES,
  S_FILL,
  S_FLOOD_TO,
  S_FLOODED,
  S_LIST_BYTES,
  S_LISTS,
  S_LONGEST,
  S_MAC_MASK,
  S_MACS,
  S_MEMBER,
  S_MULTICASTS,
  S_NEEDS,
  S_NOW,
  S_OVERFLOW,
  S_POLICY,
  S_PORTS,
  S_REACHED,
  S_SEEN,
  S_SOURCE,
  S_SOURCE_HIGH,
  S_SOURCE_LOW,
  S_STOPPED_AT,
  S_TAGGED,
  S_TOUCHED,
  S_TOUCHED_COUNT,
  S_UNKNOWN_TO,
  S_VLAN,
  S_VLAN_SETS,
  S_VLANS,
} from './layout'
import { find } from './mac-table.as'
import { isTag } from './parse.as'

/** Numbers slots 0…taken-1 from `id` on, writes those not dropped to `list`, sums them up in the block. Returns how many. */
export function admit(pool: usize, taken: u32, id: u32, list: usize, block: usize): u32 {
  let kept: u32 = 0
  let bytes: u32 = 0
  let multicasts: u32 = 0
  let needs: u32 = 0
  let seen: u32 = 0
  let longest: u32 = 0
  for (let k: u32 = 0; k < taken; k++) {
    const k4 = pool + (<usize>k << 2)
    store<u32>(k4, id + k, P_PACKET_ID)
    const flags = load<u32>(k4, P_FLAGS)
    if (flags & PF_DROPPED) continue
    store<u16>(list + (<usize>kept << 1), <u16>k)
    kept++
    const length = load<u32>(k4, P_LENGTH)
    bytes += length
    longest = max(longest, length)
    seen |= flags
    multicasts += (flags & PF_MULTICAST) != 0 ? 1 : 0
    needs |= <u32>load<u8>(pool + k, P_NEEDS)
  }
  store<u32>(block, bytes, S_BYTES)
  store<u32>(block, multicasts, S_MULTICASTS)
  store<u32>(block, needs, S_NEEDS)
  store<u32>(block, seen, S_SEEN)
  store<u32>(block, longest, S_LONGEST)
  return kept
}

@inline
function isPlain(ports: usize, port: u32): bool {
  const at = ports + PORT_TABLE_HEADER + <usize>port * PORT_ENTRY_BYTES
  return load<u32>(at, PORT_NIC_STATE) == NIC_CONNECTED && (load<u32>(at, PORT_FLAGS) & (PORT_FLAG_LINK_DOWN | PORT_FLAG_VLAN)) == 0
}

// VlanMode of src/switch/port-table.ts
const NONE: u32 = 0
const ACCESS: u32 = 1
const TRUNK: u32 = 2
const COMMUNITY: u32 = 4
const PROMISCUOUS: u32 = 5
const KEEP_ALL: u32 = DE_PRESERVE_VLAN | DE_PRESERVE_PRIORITY
const TWO_TAGS: u32 = 22
// NO_VLAN of src/switch/port-table.ts, and what nobody may send.
const BLOCKED: u32 = u32.MAX_VALUE

@inline
function isInSet(sets: usize, port: u32, vlan: u32): bool {
  return (load<u32>(sets + <usize>port * PORT_VLAN_SET_BYTES + <usize>((vlan >> 5) << 2)) & (<u32>1 << (vlan & 31))) != 0
}

// True if the tagged packet `k` has another tag behind the one that counts.
@inline
function isStacked(pool: usize, k: u32): bool {
  return <u32>load<u8>(pool + k, P_L3) >= TWO_TAGS || isTag(<u32>load<u16>(pool + (<usize>k << 1), P_ETHER_TYPE))
}

// How a port gets a packet of `vlan` with one tag at the most: PreserveVLAN and PreservePriority; 0: not. `free`: the source has no VLAN
// property; `guest`: nor is it an uplink. What src/switch/vlan-policy.ts says of such packets (ES-531…ES-539).
@inline
function asMember(ports: usize, sets: usize, port: u32, vlan: u32, free: bool, guest: bool): u32 {
  const at = ports + PORT_TABLE_HEADER + <usize>port * PORT_ENTRY_BYTES
  const flags = load<u32>(at, PORT_FLAGS)
  if (load<u32>(at, PORT_NIC_STATE) != NIC_CONNECTED || (flags & PORT_FLAG_LINK_DOWN) != 0) return 0
  const mode = load<u32>(at, PORT_VLAN_MODE)
  if (mode == NONE) {
    if (vlan == 0) return free ? KEEP_ALL : DE_PRESERVE_PRIORITY
    return guest != ((flags & PORT_FLAG_EXTERNAL) != 0) ? KEEP_ALL : 0
  }
  if (guest && vlan != 0) return 0
  if (load<u32>(at, PORT_VLAN) == vlan) return DE_PRESERVE_PRIORITY
  if (mode == COMMUNITY) return load<u32>(at, PORT_VLAN_SECONDARY) == vlan ? DE_PRESERVE_PRIORITY : 0
  if (mode != TRUNK && mode != PROMISCUOUS) return 0
  return !isInSet(sets, port, vlan) ? 0 : mode == TRUNK ? KEEP_ALL : DE_PRESERVE_PRIORITY
}

// `inVlans`: a constant, so that there is one copy of this for each value, and packets that VLANs do not concern don't pay for them.
@inline
function forwardAll(pool: usize, list: usize, count: u32, block: usize, inVlans: bool): u32 {
  const ports = <usize>load<u32>(block, S_PORTS)
  const table = <usize>load<u32>(block, S_MACS)
  const mask = load<u32>(block, S_MAC_MASK)
  const now = load<u32>(block, S_NOW)
  const source = load<u32>(block, S_SOURCE)
  const policy = load<u32>(block, S_POLICY)
  const own = load<u32>(block, S_VLAN)
  const mode = load<u32>(block, S_VLANS) - 1
  const ownMember = load<u32>(block, S_MEMBER)
  const free = mode == NONE
  const isGuest = free && (policy & PORT_FLAG_EXTERNAL) == 0
  const sets = <usize>load<u32>(block, S_VLAN_SETS)
  let member: u32 = 0
  let preserve: u32 = KEEP_ALL
  let tagged: u32 = 0
  const floodTo = load<u32>(block, S_FLOOD_TO)
  const unknownTo = load<u32>(block, S_UNKNOWN_TO)
  let undecided: u32 = 0
  let flooded: u32 = 0
  let stopped: u32 = count
  let reached: u32 = 0
  // What the packet before was asked for, and what it got: packets in a row often have the same addresses.
  let lastFirst: u32 = 0
  let lastSecond: u32 = 0
  let lastThird: u32 = 0
  let lastVlan: u32 = u32.MAX_VALUE
  let lastTarget: u32 = 0
  let lastFlooded: u32 = 0
  for (let j: u32 = 0; j < count; j++) {
    const k = <u32>load<u16>(list + (<usize>j << 1))
    const k2 = pool + (<usize>k << 1)
    const k4 = pool + (<usize>k << 2)
    const kind = load<u32>(k4, P_FLAGS)
    if ((kind & PF_NATIVE_FORWARDING) != 0 && load<u16>(k2, P_DESTINATION_COUNT) != 0) {
      reached = u32.MAX_VALUE // network virtualization has directed it
      continue
    }
    const h = pool + <usize>k * HEADER_STRIDE + <usize>load<u16>(k2, P_HEADER_OFFSET)
    const first = load<u32>(h)
    const second = load<u32>(h, 4)
    const third = load<u32>(h, 8)
    let target: u32 = 0
    if ((kind & PF_NATIVE_FORWARDING) == 0) {
      let vlan = own
      if (!inVlans) {
        if (own == 0 && (kind & PF_TAGGED) != 0) vlan = <u32>load<u16>(k2, P_VLAN) & 0xfff
      } else {
        member = ownMember
        if (kind & PF_TAGGED) {
          const tag = <u32>load<u16>(k2, P_VLAN) & 0xfff
          if (isStacked(pool, k) || (tag == 0 && !free)) {
            stopped = j // TypeScript looks behind the tag, or changes it
            break
          }
          if (free || mode == TRUNK) vlan = tag
          if (mode == TRUNK ? !isInSet(sets, source, tag) : !free && tag != ownMember) vlan = BLOCKED
          member = tag
        }
        if (vlan == BLOCKED) {
          undecided++
          continue
        }
      }
      if (first == lastFirst && second == lastSecond && third == lastThird && vlan == lastVlan) target = lastTarget
      else {
        lastFlooded = 0
        let good = true
        if (policy & PORT_FLAG_CHECK_SOURCE)
          good = third == load<u32>(block, S_SOURCE_LOW) && second >>> 16 == load<u32>(block, S_SOURCE_HIGH)
        else if ((policy & PORT_FLAG_LEARN) != 0 && (second & 0x10000) != 0) good = (policy & PORT_FLAG_EXTERNAL) != 0
        else if ((policy & PORT_FLAG_LEARN) != 0) {
          const at = find(table, mask, third, (second >>> 16) | (vlan << 16) | MAC_KEY_VALID)
          if (at == 0 || load<u32>(at, 8) != source) {
            // An address to be learned decides about the packets behind it: they have to wait.
            stopped = j
            break
          }
          if (load<u32>(at, 12) != now) store<u32>(at, now, 12)
        }
        if (good) {
          if (kind & PF_MULTICAST) {
            const reserved = (kind & PF_BROADCAST) == 0 && first == 0x00c28001 && (second & 0xf0ff) == 0
            if (!reserved) {
              target = floodTo
              lastFlooded = target != 0 ? 1 : 0
            }
          } else {
            const low = (first >>> 16) | (second << 16)
            let key = (first & 0xffff) | (vlan << 16) | MAC_KEY_VALID
            let at = find(table, mask, low, key)
            if (at == 0 && vlan != 0) {
              key = (first & 0xffff) | MAC_KEY_VALID
              at = find(table, mask, low, key)
              if (at != 0 && (load<u32>(at, 4) & MAC_KEY_STATIC) == 0) at = 0
            }
            if (at == 0) {
              target = unknownTo
              lastFlooded = target != 0 ? 1 : 0
            } else {
              const port = load<u32>(at, 8)
              // A writer may have been here meanwhile: the key must still be the same.
              const isSame = (atomic.load<u32>(at, 4) & MAC_KEY_MASK) == key && load<u32>(at) == low && port != source
              if (isSame) target = port
            }
          }
          if (target != 0) {
            if (inVlans) preserve = asMember(ports, sets, target, member, free, isGuest)
            if (inVlans ? preserve == 0 : !isPlain(ports, target)) {
              target = 0
              lastFlooded = 0
            }
          }
        }
        lastFirst = first
        lastSecond = second
        lastThird = third
        lastVlan = vlan
        lastTarget = target
      }
      flooded += lastFlooded
    }
    if (target == 0) undecided++
    else {
      store<u32>(k4, target | preserve, P_DESTINATION)
      if (inVlans && member != 0 && (kind & PF_TAGGED) == 0) {
        store<u16>(k2, <u16>member, P_VLAN)
        store<u32>(k4, kind | PF_VLAN_OOB, P_FLAGS)
        tagged |= preserve & DE_PRESERVE_VLAN
      }
      store<u16>(k2, 1, P_DESTINATION_COUNT)
      store<u16>(k2, 0, P_DESTINATION_ROOM)
      reached |= <u32>1 << (target & 31)
    }
  }
  store<u32>(block, flooded, S_FLOODED)
  store<u32>(block, reached, S_REACHED)
  store<u32>(block, tagged != 0 ? 1 : 0, S_TAGGED)
  store<u32>(block, stopped, S_STOPPED_AT)
  return undecided
}

/**
 * Gives a destination to each of the `count` packets of `list` for which that is simple: a known address, or a flood to one port.
 * The others keep a destination count of 0. Stops at a packet that must be decided before those behind it, because its source address is to
 * be learned, or may be (S_STOPPED_AT). Returns how many packets before that are left.
 */
export function forward(pool: usize, list: usize, count: u32, block: usize): u32 {
  return load<u32>(block, S_VLANS) == 0 ? forwardAll(pool, list, count, block, false) : forwardAll(pool, list, count, block, true)
}

/** Puts each packet of `list` on the list of every destination that is not excluded. Returns the number of ports with a list. */
export function sort(pool: usize, list: usize, count: u32, block: usize): u32 {
  const lists = <usize>load<u32>(block, S_LISTS)
  const fills = <usize>load<u32>(block, S_FILL)
  const sums = <usize>load<u32>(block, S_LIST_BYTES)
  const touched = <usize>load<u32>(block, S_TOUCHED)
  let ports: u32 = load<u32>(block, S_TOUCHED_COUNT)
  let overflow: u32 = 0
  for (let j: u32 = 0; j < count; j++) {
    const k = <u32>load<u16>(list + (<usize>j << 1))
    const k2 = pool + (<usize>k << 1)
    const k4 = pool + (<usize>k << 2)
    const length = load<u32>(k4, P_LENGTH)
    const many = load<u16>(k2, P_DESTINATION_ROOM) != 0
    let at = many ? pool + P_ARENA + (<usize>load<u32>(k4, P_DESTINATION_OFFSET) << 2) : k4 + P_DESTINATION
    const end = at + (<usize>(many ? <u32>load<u16>(k2, P_DESTINATION_COUNT) : <u32>1) << 2)
    for (; at < end; at += 4) {
      const entry = load<u32>(at)
      if (entry & DE_EXCLUDED) continue
      const port = entry & DE_PORT
      const fill = fills + (<usize>port << 1)
      const filled = <u32>load<u16>(fill)
      if (filled == 0) {
        store<u16>(touched + (<usize>ports << 1), <u16>port)
        ports++
      } else if (filled >= <u32>BURST_SLOTS) {
        overflow++
        continue
      }
      store<u16>(lists + ((<usize>port * BURST_SLOTS + filled) << 1), <u16>k)
      store<u16>(fill, <u16>(filled + 1))
      const sum = sums + (<usize>port << 2)
      store<u32>(sum, load<u32>(sum) + length)
    }
  }
  store<u32>(block, ports, S_TOUCHED_COUNT)
  store<u32>(block, overflow, S_OVERFLOW)
  return ports
}
