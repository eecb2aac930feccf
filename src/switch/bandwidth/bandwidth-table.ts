// What ports may send and get per second, and how they share the uplink, in shared memory: written by the control thread when a
// setting changes, drawn from by every processor. It is a part of the port table. Rates are bytes per microsecond.
//
// The rule it must not break: a port that nothing is set for costs one look at a word; nothing is allocated but by the control thread.
import type { BandwidthProperty } from '../../ndis/standard-properties.ts'
import { BUCKET_WORDS, bytesPerUs } from './token-bucket.ts'

/** What is on at a port, as bits. */
export const BandwidthBit = {
  /** What it sends has a maximum. */
  send: 1,
  /** What it gets has a maximum. */
  receive: 2,
  /** It has a part of the uplink of its own; others have theirs of the default flow's. */
  share: 4,
  /** It leads to the uplink that is shared. */
  uplink: 8,
  /** It draws from the shares of an uplink. */
  shares: 16,
} as const

/** Counters of a port, as words of its entry: each has two, the lower half first. */
export const BandwidthCounter = {
  /** Bytes that were taken from it against its maximum. */
  paced: 20,
  /** Microseconds for which its rings had to wait, summed over them. */
  waitedUs: 22,
  /** Bytes that it sent to the uplink against a share of it. */
  uplink: 24,
} as const

// Of a port. The entry of port 0, which no port has, tells what the default flow has.
const W_BITS = 0
export const W_SEND = 1
const W_SEND_DEPTH = W_SEND + BUCKET_WORDS
export const W_RECEIVE = 4
const W_RECEIVE_DEPTH = W_RECEIVE + BUCKET_WORDS
export const W_SHARE = 8
const W_SHARE_DEPTH = 9
/** Rings of the port that had to wait, as bits; the ring that had its turn last, plus 1. */
export const W_WAITING = 10
export const W_LAST_RING = 11
// As doubles: half of the word's number.
const D_SEND_RATE = 12 >> 1
const D_RECEIVE_RATE = 14 >> 1
const D_MINIMUM = 16 >> 1
const D_WEIGHT = 18 >> 1
const ENTRY_WORDS = 32
const ENTRY_DOUBLES = ENTRY_WORDS >> 1

// Before the entries: of the uplink.
const W_GENERATION = 0
const W_ON = 1
const W_HIGHEST = 2
export const W_LOCK = 3
export const W_UPLINK = 4
const W_UPLINK_DEPTH = W_UPLINK + BUCKET_WORDS
const D_UPLINK_RATE = 8 >> 1
const HEADER_WORDS = 16
const HEADER_DOUBLES = HEADER_WORDS >> 1

/** Milliseconds of its rate that a bucket holds, and bytes that it holds in any case: two of the longest frames that there are. */
const DEPTH_MS = 20
const DEPTH_MIN = 2 * 65_562
const US_PER_MS = 1000
const DEPTH_MAX = 0x3fffffff
const WORD = 2 ** 32
/** What the default flow, and a port with a reservation alone, weigh where nothing is said. */
export const DEFAULT_WEIGHT = 10

export const bandwidthTableBytes = (ports: number): number => (HEADER_WORDS + ports * ENTRY_WORDS) * 4

/** How bandwidth is shared, for all ports of a switch: bits per second. */
export type UplinkSettings = Pick<
  BandwidthProperty,
  'capacity' | 'defaultFlowMinimumBandwidthAbsolute' | 'defaultFlowMinimumBandwidthWeight' | 'minimumBandwidthMode'
>

const depthOf = (rate: number): number => Math.min(DEPTH_MAX, Math.max(DEPTH_MIN, Math.ceil(rate * DEPTH_MS * US_PER_MS)))

/** The table; port ids are indices below `ports`. Fields are ordinary ones: they are read per burst. */
export class BandwidthTable {
  readonly words: Int32Array
  private readonly doubles: Float64Array
  private readonly ports: number
  // Known to the control thread alone.
  readonly #settings = new Map<number, BandwidthProperty>()
  #ofSwitch: UplinkSettings = {}
  #uplink = 0
  #linkSpeed = 0

  /** Views the table at byte offset `at` of `buffer`, a multiple of 8; zeroed by the caller. */
  constructor(buffer: ArrayBufferLike, at: number, ports: number) {
    this.words = new Int32Array(buffer, at, bandwidthTableBytes(ports) >> 2)
    this.doubles = new Float64Array(buffer, at, bandwidthTableBytes(ports) >> 3)
    this.ports = ports
  }

  // ---- any processor --------------------------------------------------------------------------------------------------------

  /** True if anything is set at any port. */
  get isOn(): boolean {
    return this.words[W_ON] !== 0
  }

  /** Changes whenever a setting does. */
  get generation(): number {
    return this.words[W_GENERATION]!
  }

  /** Ports up to this id have drawn from their shares of the uplink. */
  get highest(): number {
    return this.words[W_HIGHEST]!
  }

  /** A port draws from its share. */
  noteShare(port: number): void {
    if (port > this.words[W_HIGHEST]!) this.words[W_HIGHEST] = port
  }

  /** Number of the first word of a port's entry. */
  entry(port: number): number {
    return HEADER_WORDS + port * ENTRY_WORDS
  }

  private doublesOf(port: number): number {
    return HEADER_DOUBLES + port * ENTRY_DOUBLES
  }

  /** BandwidthBit of a port. */
  bits(port: number): number {
    return this.words[this.entry(port) + W_BITS]!
  }

  /** Bytes per microsecond that a port may send at the most. */
  sendRate(port: number): number {
    return this.doubles[this.doublesOf(port) + D_SEND_RATE]!
  }

  sendDepth(port: number): number {
    return this.words[this.entry(port) + W_SEND_DEPTH]!
  }

  receiveRate(port: number): number {
    return this.doubles[this.doublesOf(port) + D_RECEIVE_RATE]!
  }

  receiveDepth(port: number): number {
    return this.words[this.entry(port) + W_RECEIVE_DEPTH]!
  }

  /** True if a port has a part of the uplink of its own, and not of the default flow's. */
  hasOwnShare(port: number): boolean {
    return (this.bits(port) & BandwidthBit.share) !== 0
  }

  /** Bytes per microsecond that a share of its own has in any case; of port 0: that the default flow has. */
  minimum(share: number): number {
    return this.doubles[this.doublesOf(share) + D_MINIMUM]!
  }

  /** The same: its weight for what is left over all minimums. */
  weight(share: number): number {
    return this.doubles[this.doublesOf(share) + D_WEIGHT]!
  }

  shareDepth(share: number): number {
    return this.words[this.entry(share) + W_SHARE_DEPTH]!
  }

  /** Bytes per microsecond that the uplink takes. */
  get uplinkRate(): number {
    return this.doubles[D_UPLINK_RATE]!
  }

  get uplinkDepth(): number {
    return this.words[W_UPLINK_DEPTH]!
  }

  /** Adds to a counter (BandwidthCounter). `by`: whole, 0…2^31. */
  count(port: number, counter: number, by: number): void {
    const at = this.entry(port) + counter
    const before = Atomics.add(this.words, at, by) >>> 0
    if (before + by >= WORD) Atomics.add(this.words, at + 1, 1)
  }

  /** Reads a counter. */
  counted(port: number, counter: number): number {
    const at = this.entry(port) + counter
    return (Atomics.load(this.words, at + 1) >>> 0) * WORD + (Atomics.load(this.words, at) >>> 0)
  }

  // ---- control thread ---------------------------------------------------------------------------------------------------------

  /** Sets what a port may use; undefined: nothing is set for it. */
  set(port: number, settings: BandwidthProperty | undefined): void {
    if (settings === this.#settings.get(port)) return
    if (settings === undefined) this.#settings.delete(port)
    else this.#settings.set(port, settings)
    this.#write()
  }

  /** Forgets a port that is deleted, and its counters. */
  clear(port: number): void {
    const isKnown = this.#settings.delete(port) || this.#uplink === port
    if (this.#uplink === port) this.#uplink = 0
    this.words.fill(0, this.entry(port), this.entry(port + 1))
    if (isKnown || this.isOn) this.#write()
  }

  /** Sets how the switch shares its uplink. */
  setSwitch(settings: UplinkSettings | undefined): void {
    this.#ofSwitch = settings ?? {}
    this.#write()
  }

  /** `port` leads to the network over links of `linkSpeed` bits per second in all, 0 = not known. */
  setUplink(port: number, linkSpeed: number): void {
    this.#uplink = port
    this.#linkSpeed = linkSpeed
    this.#write()
  }

  /** Bits per second that are shared by what goes out through the uplink; 0: they are not shared. */
  get shared(): number {
    const { capacity, minimumBandwidthMode } = this.#ofSwitch
    const limits = [capacity, this.#settings.get(this.#uplink)?.maximumBandwidth].filter((limit) => limit !== undefined)
    if (this.#uplink === 0 || (limits.length === 0 && minimumBandwidthMode === 'none')) return 0
    if (limits.length > 0) return Math.min(...limits)
    return this.#isWanted() ? this.#linkSpeed : 0
  }

  // Whether anybody asks for a share: only then is a link's own speed a reason to pace what goes out.
  #isWanted(): boolean {
    const { defaultFlowMinimumBandwidthAbsolute: absolute, defaultFlowMinimumBandwidthWeight: weight } = this.#ofSwitch
    if (absolute !== undefined || weight !== undefined) return true
    return [...this.#settings.values()].some(hasShare)
  }

  #write(): void {
    const uplinkRate = bytesPerUs(this.shared)
    let isOn = uplinkRate > 0
    const weights = this.#weights()
    const sum = [...weights.values()].reduce((total, weight) => total + weight, 0)
    for (let port = 0; port < this.ports; port++) {
      const settings = this.#settings.get(port)
      const own = port !== 0 && weights.has(port)
      const weight = own || port === 0 ? weights.get(port)! : 0
      const isUplink = port !== 0 && port === this.#uplink
      const send = isUplink ? 0 : bytesPerUs(settings?.maximumBandwidth ?? 0)
      const receive = isUplink ? 0 : bytesPerUs(settings?.maximumReceiveBandwidth ?? 0)
      const minimum = port === 0 ? this.#ofSwitch.defaultFlowMinimumBandwidthAbsolute : settings?.minimumBandwidthAbsolute
      this.#limit(port, W_SEND, W_SEND_DEPTH, D_SEND_RATE, send)
      this.#limit(port, W_RECEIVE, W_RECEIVE_DEPTH, D_RECEIVE_RATE, receive)
      const least = own || port === 0 ? bytesPerUs(minimum ?? 0) : 0
      const depth = uplinkRate > 0 ? depthOf(least + (uplinkRate * weight) / sum) : 0
      const at = this.entry(port)
      this.doubles[this.doublesOf(port) + D_MINIMUM] = least
      this.doubles[this.doublesOf(port) + D_WEIGHT] = weight
      if (this.words[at + W_SHARE_DEPTH] === 0 || this.words[at + W_SHARE]! > depth)
        Atomics.store(this.words, at + W_SHARE, depth)
      this.words[at + W_SHARE_DEPTH] = depth
      this.words[at + W_BITS] =
        (send > 0 ? BandwidthBit.send : 0) |
        (receive > 0 ? BandwidthBit.receive : 0) |
        (own ? BandwidthBit.share : 0) |
        (uplinkRate > 0 && isUplink ? BandwidthBit.uplink : 0) |
        (uplinkRate > 0 && !isUplink ? BandwidthBit.shares : 0)
      isOn ||= send > 0 || receive > 0
    }
    this.doubles[D_UPLINK_RATE] = uplinkRate
    this.words[W_UPLINK_DEPTH] = depthOf(uplinkRate)
    this.words[W_ON] = isOn ? 1 : 0
    Atomics.add(this.words, W_GENERATION, 1)
  }

  #limit(port: number, bucket: number, depth: number, rateAt: number, rate: number): void {
    const at = this.entry(port)
    const before = this.words[at + depth]!
    const most = rate === 0 ? 0 : depthOf(rate)
    this.doubles[this.doublesOf(port) + rateAt] = rate
    this.words[at + depth] = most
    // A bucket that is new is full; one whose rate changes keeps what it has, debts too, as far as it holds that.
    if (before === 0 || Atomics.load(this.words, at + bucket) > most) Atomics.store(this.words, at + bucket, most)
  }

  // Of the default flow (0) and of each port with a share of its own.
  #weights(): Map<number, number> {
    const weights = new Map([[0, this.#ofSwitch.defaultFlowMinimumBandwidthWeight ?? DEFAULT_WEIGHT]])
    for (const [port, settings] of this.#settings)
      if (port !== this.#uplink && hasShare(settings)) weights.set(port, settings.minimumBandwidthWeight ?? DEFAULT_WEIGHT)
    return weights
  }
}

const hasShare = ({ minimumBandwidthAbsolute, minimumBandwidthWeight }: BandwidthProperty): boolean =>
  (minimumBandwidthAbsolute ?? 0) > 0 || minimumBandwidthWeight !== undefined
