// The IP addresses that are learned of a port, in shared memory: all processors learn and look up, without a lock (ES-530). An IPv4 address
// stays as long as the port; an IPv6 one that was silent for an hour makes room, since guests take new ones all the time (RFC 8981).
//
// The rule it must not break: a port never has more addresses than its limit says; nothing is allocated, and nobody waits.

/** IPv4 addresses that are learned of a port at the most. */
export const IP_ADDRESSES_MAX = 64
/** IPv6 addresses that are learned of a port at the most. */
export const IPV6_ADDRESSES_MAX = 16
/** Milliseconds of silence after which an IPv6 address makes room for another one. */
const SILENCE_MS = 3_600_000

// The limit; IPv4 addresses, 0 = free; IPv6 addresses.
const W_LIMIT = 0
const W_IPV4 = 1
const W_IPV6 = W_IPV4 + IP_ADDRESSES_MAX
// Of an IPv6 address: 0 = free, odd = being written, else changed with every new address; the address; when it was seen last.
const W_TURN = 0
const W_ADDRESS = 1
const W_SEEN = 5
const IPV6_WORDS = 6

export const LEARNED_WORDS = W_IPV6 + IPV6_ADDRESSES_MAX * IPV6_WORDS

/** Sets how many are learned; another limit begins anew. Control thread only. True if it is another one. */
export function setLearnedLimit(words: Int32Array, at: number, limit: number): boolean {
  const most = Math.min(limit, IP_ADDRESSES_MAX)
  if (words[at + W_LIMIT] === most) return false
  words.fill(0, at, at + LEARNED_WORDS)
  words[at + W_LIMIT] = most
  return true
}

/** How many addresses of a family are learned; 0 = none. */
export const learnedLimit = (words: Int32Array, at: number): number => words[at + W_LIMIT]!

/** Learns an IPv4 address, as a 32-bit number; `learns` false: only tells. False if there is no room for it. Any processor. */
export function learnIpv4(words: Int32Array, at: number, address: number, learns: boolean): boolean {
  const end = at + W_IPV4 + words[at + W_LIMIT]!
  for (let slot = at + W_IPV4; slot < end; slot++) {
    const known = learns ? Atomics.compareExchange(words, slot, 0, address) : Atomics.load(words, slot)
    if (known === 0 || known === address) return true
  }
  return false
}

/**
 * Learns an IPv6 address, as four numbers; `learns` false: only tells. False if there is no room for it. `tick`: milliseconds of the switch's
 * clock, which goes round after 2^32. Any processor. Two that learn one address at the same moment may take two places for it.
 */
export function learnIpv6(
  words: Int32Array,
  at: number,
  a: number,
  b: number,
  c: number,
  d: number,
  tick: number,
  learns: boolean,
): boolean {
  const end = at + W_IPV6 + Math.min(words[at + W_LIMIT]!, IPV6_ADDRESSES_MAX) * IPV6_WORDS
  let room = -1
  for (let entry = at + W_IPV6; entry < end; entry += IPV6_WORDS) {
    const turn = Atomics.load(words, entry + W_TURN)
    if (turn === 0) {
      if (room < 0) room = entry
      continue
    }
    if ((turn & 1) !== 0) continue
    const address = entry + W_ADDRESS
    if (words[address] === a && words[address + 1] === b && words[address + 2] === c && words[address + 3] === d) {
      if (Atomics.load(words, entry + W_TURN) !== turn) continue
      if (learns) words[entry + W_SEEN] = tick
      return true
    }
    if (room < 0 && ((tick - words[entry + W_SEEN]!) | 0) > SILENCE_MS) room = entry
  }
  if (room < 0) return false
  return !learns || write(words, room, a, b, c, d, tick)
}

// False if another processor takes the place at the same moment: the packet is dropped, and the guest says it again.
function write(words: Int32Array, entry: number, a: number, b: number, c: number, d: number, tick: number): boolean {
  const turn = Atomics.load(words, entry + W_TURN)
  if ((turn & 1) !== 0 || Atomics.compareExchange(words, entry + W_TURN, turn, turn + 1) !== turn) return false
  words[entry + W_ADDRESS] = a
  words[entry + W_ADDRESS + 1] = b
  words[entry + W_ADDRESS + 2] = c
  words[entry + W_ADDRESS + 3] = d
  words[entry + W_SEEN] = tick
  Atomics.store(words, entry + W_TURN, (turn + 2) | 0 || 2)
  return true
}

/** The IPv4 addresses that were learned, as 32-bit numbers. */
export const learnedIpv4 = (words: Int32Array, at: number): number[] =>
  [...words.subarray(at + W_IPV4, at + W_IPV4 + words[at + W_LIMIT]!)].filter((address) => address !== 0)

/** The IPv6 addresses that were learned, as four 32-bit numbers each. */
export function learnedIpv6(words: Int32Array, at: number): number[][] {
  const entries = Array.from({ length: IPV6_ADDRESSES_MAX }, (_, i) => at + W_IPV6 + i * IPV6_WORDS)
  return entries
    .filter((entry) => words[entry + W_TURN] !== 0)
    .map((entry) => [...words.subarray(entry + W_ADDRESS, entry + W_SEEN)])
}
