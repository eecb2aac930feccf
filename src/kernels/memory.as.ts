// Guest memory as the wasm kernels see it: stretches of the one linear memory, found through a guest's region table, and the
// copies between them.
//
// The rule it must not break: no address that a guest wrote is used before `translate` has found it, with its length, inside that
// guest's own table. The module's memory checks nothing: all guests lie in it.
import { Q_REGION_COUNT, Q_REGIONS, REGION_BASE, REGION_BYTES, REGION_SIZE } from './layout'

let table: usize = 0
let entries: u32 = 0
let hint: usize = 0 // the entry that was hit last: buffers of one guest lie close together

/** Bytes from the address that `translatePart` found to the end of its region. */
export let part: u32 = 0

/** Chooses the region table of queue `q`. Returns false if it is empty. */
export function enterRegions(q: usize): bool {
  table = load<u32>(q, Q_REGIONS)
  entries = load<u32>(q, Q_REGION_COUNT)
  hint = table
  return entries != 0
}

function search(a: u64, n: u32): usize {
  let entry = table
  for (let i: u32 = 0; i < entries; i++, entry += REGION_BYTES) {
    const d = a - load<u64>(entry)
    const size = <u64>load<u32>(entry, REGION_SIZE)
    if (d < size && <u64>n <= size - d) {
      const base = load<u32>(entry, REGION_BASE)
      if (base == 0) return 0
      hint = entry
      return <usize>base + <usize>d
    }
  }
  return 0
}

/** Linear address of `n` bytes at guest address `a`, all in one region; 0 if they are not. */
@inline
export function translate(a: u64, n: u32): usize {
  const d = a - load<u64>(hint)
  const size = <u64>load<u32>(hint, REGION_SIZE)
  const base = load<u32>(hint, REGION_BASE)
  if (d < size && <u64>n <= size - d && base != 0) return <usize>base + <usize>d
  return search(a, n)
}

/** Linear address of guest address `a`, with the bytes that follow it in its region in `part`; 0 if it is in none. */
export function translatePart(a: u64): usize {
  const p = translate(a, 1)
  // `hint` is the entry that holds it.
  if (p != 0) part = <u32>(<u64>load<u32>(hint, REGION_SIZE) - (a - load<u64>(hint)))
  return p
}

/** Guest address of linear address `p`, for the dirty log; ~0 if no region holds it. */
export function guestAddress(p: usize): u64 {
  let entry = table
  for (let i: u32 = 0; i < entries; i++, entry += REGION_BYTES) {
    const base = <usize>load<u32>(entry, REGION_BASE)
    if (base != 0 && p - base < <usize>load<u32>(entry, REGION_SIZE)) return load<u64>(entry) + <u64>(p - base)
  }
  return ~(<u64>0)
}

// A second guest, the one that is written to while the first is read.
let targetTable: usize = 0
let targetEntries: u32 = 0
let targetHint: usize = 0

/** Chooses the region table of queue `q` for translateTarget. Returns false if it is empty. */
export function enterTarget(q: usize): bool {
  targetTable = load<u32>(q, Q_REGIONS)
  targetEntries = load<u32>(q, Q_REGION_COUNT)
  targetHint = targetTable
  return targetEntries != 0
}

function searchTarget(a: u64, n: u32): usize {
  let entry = targetTable
  for (let i: u32 = 0; i < targetEntries; i++, entry += REGION_BYTES) {
    const d = a - load<u64>(entry)
    const size = <u64>load<u32>(entry, REGION_SIZE)
    if (d < size && <u64>n <= size - d) {
      const base = load<u32>(entry, REGION_BASE)
      if (base == 0) return 0
      targetHint = entry
      return <usize>base + <usize>d
    }
  }
  return 0
}

/** As translate, in the region table that enterTarget chose. */
@inline
export function translateTarget(a: u64, n: u32): usize {
  const d = a - load<u64>(targetHint)
  const size = <u64>load<u32>(targetHint, REGION_SIZE)
  const base = load<u32>(targetHint, REGION_BASE)
  if (d < size && <u64>n <= size - d && base != 0) return <usize>base + <usize>d
  return searchTarget(a, n)
}

/** Copies exactly `n` bytes (any number), meant for headers: overlapping 16-byte steps instead of a tail loop. */
@inline
export function copySmall(d: usize, s: usize, n: u32): void {
  if (n >= 16) {
    let o: u32 = 0
    for (; o + 64 <= n; o += 64) {
      v128.store(d + o, v128.load(s + o))
      v128.store(d + o, v128.load(s + o, 16), 16)
      v128.store(d + o, v128.load(s + o, 32), 32)
      v128.store(d + o, v128.load(s + o, 48), 48)
    }
    for (; o + 16 <= n; o += 16) v128.store(d + o, v128.load(s + o))
    if (o < n) v128.store(d + n - 16, v128.load(s + n - 16))
  } else if (n >= 8) {
    store<u64>(d, load<u64>(s))
    store<u64>(d + n - 8, load<u64>(s + n - 8))
  } else if (n >= 4) {
    store<u32>(d, load<u32>(s))
    store<u32>(d + n - 4, load<u32>(s + n - 4))
  } else {
    for (let o: u32 = 0; o < n; o++) store<u8>(d + o, load<u8>(s + o))
  }
}

/** Copies exactly `n` bytes of payload. From 1 KiB on, the engine's own copy is faster than this loop. */
@inline
export function copyLong(d: usize, s: usize, n: u32): void {
  if (n >= 1024) memory.copy(d, s, n)
  else copySmall(d, s, n)
}
