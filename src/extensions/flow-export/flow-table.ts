// The flows of one processor: a hash table with open addressing over entries of two cache lines each, in one buffer. An entry is the key,
// its hash and state in the first line, times and counters in the second.
//
// The rule it must not break: looking up, adding and taking out allocate nothing, and the table never grows: who adds to a full one
// takes a victim out before.

/** Words of an entry's key. */
export const KEY_WORDS = 14
const ENTRY_WORDS = 32
const ENTRY_DOUBLES = ENTRY_WORDS / 2
const HASH_WORD = KEY_WORDS
const STATE_WORD = HASH_WORD + 1
const NONE = -1
/** Entries that are looked at for the one to take out: the oldest of a few is old enough, and costs the same in any table. */
const VICTIM_CANDIDATES = 8

/** Key words. Addresses are kept in the machine's order of the bytes of a frame, as they come. */
export const Key = {
  /** Port where the packet was seen << 16, and on egress the port that it came from. */
  ports: 0,
  /** Protocol, VLAN id << 8, and bits. */
  kind: 1,
  /** Source << 16, destination; of ICMP type and code as destination. */
  transport: 2,
  /** Destination and source MAC address. */
  macs: 3,
  source: 6,
  destination: 10,
} as const

/** Bits of `Key.kind`. */
export const KindBit = { tagged: 1 << 20, ipv6: 1 << 21, egress: 1 << 22 } as const
const IPV6 = KindBit.ipv6

/** Numbers of an entry, in `FlowTable.numbers`. */
export const Flow = {
  startMs: 8,
  endMs: 9,
  packets: 10,
  octets: 11,
  layer2Octets: 12,
  droppedPackets: 13,
  droppedOctets: 14,
} as const
const { startMs: START, endMs: END, packets: PACKETS, octets: OCTETS, layer2Octets: LAYER2 } = Flow
const { droppedPackets: DROPPED_PACKETS, droppedOctets: DROPPED_OCTETS } = Flow

function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1)
  return mixed ^ (mixed >>> 15)
}

/** Fields are ordinary ones: they are read per packet. */
export class FlowTable {
  readonly capacity: number
  /** All entries: entry e has the words from `e * 32`, and as `numbers` those from `e * 16`. */
  readonly words: Int32Array
  readonly numbers: Float64Array
  readonly bytes: Uint8Array
  /** Flows in the table. */
  count = 0
  private readonly index: Int32Array
  private readonly mask: number
  private readonly free: Int32Array
  private readonly seed: number
  private hand = 0

  /** Room for `capacity` flows. `seed`: any number; another one makes other collisions. */
  constructor(capacity: number, seed: number) {
    this.capacity = capacity
    this.seed = seed | 0
    const buffer = new ArrayBuffer(capacity * ENTRY_WORDS * 4)
    this.words = new Int32Array(buffer)
    this.numbers = new Float64Array(buffer)
    this.bytes = new Uint8Array(buffer)
    const size = 2 ** Math.ceil(Math.log2(Math.max(2, capacity * 2)))
    this.mask = size - 1
    this.index = new Int32Array(size).fill(NONE)
    this.free = new Int32Array(capacity)
    for (let i = 0; i < capacity; i++) this.free[i] = capacity - 1 - i
  }

  /** The hash of a key. */
  hash(key: Int32Array): number {
    let hash = mix(mix(mix(this.seed, key[0]!), key[1]!), key[2]!)
    hash = mix(mix(mix(hash, key[3]!), key[4]!), key[5]!)
    hash = mix(mix(hash, key[6]!), key[10]!)
    if ((key[1]! & IPV6) !== 0) {
      hash = mix(mix(mix(hash, key[7]!), key[8]!), key[9]!)
      hash = mix(mix(mix(hash, key[11]!), key[12]!), key[13]!)
    }
    hash = Math.imul(hash ^ (hash >>> 13), 0x85ebca6b)
    return hash ^ (hash >>> 16)
  }

  /** True if entry `entry` has this key. */
  private has(entry: number, key: Int32Array): boolean {
    const { words } = this
    const at = entry * ENTRY_WORDS
    if (words[at] !== key[0] || words[at + 1] !== key[1] || words[at + 2] !== key[2] || words[at + 6] !== key[6]) return false
    if (words[at + 10] !== key[10] || words[at + 3] !== key[3] || words[at + 4] !== key[4] || words[at + 5] !== key[5])
      return false
    if ((key[1]! & IPV6) === 0) return true
    return (
      words[at + 7] === key[7] &&
      words[at + 8] === key[8] &&
      words[at + 9] === key[9] &&
      words[at + 11] === key[11] &&
      words[at + 12] === key[12] &&
      words[at + 13] === key[13]
    )
  }

  /** True if entry `entry` stands for the flow with this key now. */
  isFlow(entry: number, key: Int32Array): boolean {
    return this.has(entry, key) && this.isUsed(entry)
  }

  /** The entry of a key, or -1. */
  find(key: Int32Array, hash: number): number {
    const { index, mask, words } = this
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const entry = index[at]!
      if (entry === NONE) return NONE
      if (words[entry * ENTRY_WORDS + HASH_WORD] === hash && this.has(entry, key)) return entry
    }
  }

  /** Adds a key that is not there, with counters of 0, first seen at `nowMs`. -1 if the table is full. */
  add(key: Int32Array, hash: number, nowMs: number): number {
    if (this.count === this.capacity) return NONE
    const entry = this.free[this.capacity - ++this.count]!
    const { words, numbers, index, mask } = this
    const at = entry * ENTRY_WORDS
    for (let i = 0; i < KEY_WORDS; i++) words[at + i] = key[i]!
    words[at + HASH_WORD] = hash
    words[at + STATE_WORD] = 0
    numbers.fill(0, entry * ENTRY_DOUBLES + PACKETS, (entry + 1) * ENTRY_DOUBLES)
    numbers[entry * ENTRY_DOUBLES + START] = nowMs
    numbers[entry * ENTRY_DOUBLES + END] = nowMs
    let place = hash & mask
    while (index[place] !== NONE) place = (place + 1) & mask
    index[place] = entry
    return entry
  }

  /** Takes an entry out. */
  remove(entry: number): void {
    const { index, mask, words, numbers } = this
    let hole = words[entry * ENTRY_WORDS + HASH_WORD]! & mask
    while (index[hole] !== entry) hole = (hole + 1) & mask
    // Those behind that would not be found any more move into the hole.
    for (let at = (hole + 1) & mask; index[at] !== NONE; at = (at + 1) & mask) {
      const home = words[index[at]! * ENTRY_WORDS + HASH_WORD]! & mask
      if (((at - home) & mask) < ((at - hole) & mask)) continue
      index[hole] = index[at]!
      hole = at
    }
    index[hole] = NONE
    numbers[entry * ENTRY_DOUBLES + PACKETS] = 0
    this.free[this.capacity - this.count--] = entry
  }

  /** True if the entry stands for a flow that had a packet. */
  isUsed(entry: number): boolean {
    return this.numbers[entry * ENTRY_DOUBLES + PACKETS] !== 0
  }

  /** The entry to take out of a full table: of some, the one that had no packet for the longest time. */
  victim(): number {
    let oldest = NONE
    let oldestMs = Number.POSITIVE_INFINITY
    for (let n = 0; n < VICTIM_CANDIDATES; n++) {
      const entry = this.hand
      this.hand = entry + 1 === this.capacity ? 0 : entry + 1
      const endMs = this.numbers[entry * ENTRY_DOUBLES + END]!
      if (!this.isUsed(entry) || endMs >= oldestMs) continue
      oldest = entry
      oldestMs = endMs
    }
    return oldest
  }

  /** A number of an entry; `which`: one of Flow. */
  number(entry: number, which: number): number {
    return this.numbers[entry * ENTRY_DOUBLES + which]!
  }

  word(entry: number, which: number): number {
    return this.words[entry * ENTRY_WORDS + which]!
  }

  /** Flags of TCP seen | forwarding status << 8 | egress port << 16. */
  state(entry: number): number {
    return this.words[entry * ENTRY_WORDS + STATE_WORD]!
  }

  setState(entry: number, state: number): void {
    this.words[entry * ENTRY_WORDS + STATE_WORD] = state
  }

  /** Adds packets to an entry: one, or as many as a super-frame stands for. */
  countPacket(entry: number, nowMs: number, packets: number, octets: number, layer2Octets: number, isDropped: boolean): void {
    const { numbers } = this
    const at = entry * ENTRY_DOUBLES
    numbers[at + END] = nowMs
    numbers[at + PACKETS] = numbers[at + PACKETS]! + packets
    numbers[at + OCTETS] = numbers[at + OCTETS]! + octets
    numbers[at + LAYER2] = numbers[at + LAYER2]! + layer2Octets
    if (!isDropped) return
    numbers[at + DROPPED_PACKETS] = numbers[at + DROPPED_PACKETS]! + packets
    numbers[at + DROPPED_OCTETS] = numbers[at + DROPPED_OCTETS]! + octets
  }
}
