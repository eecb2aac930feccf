// Drivers of doubtful intent: rings that are mostly right, and wrong in every way a guest can make them wrong.
//
// The rule it must not break: everything comes from the random source, so that a seed repeats it.
import { concat, frame, pattern, vnet } from '../../src/kernels/frames.ts'
import * as L from '../../src/kernels/layout.ts'
import type { Random } from './random.ts'
import { DESC, DEVICE, DRIVER, PLACES, type QueueSetting, REGIONS } from './worlds.ts'

const TABLES = 0xa000 // indirect tables, in region 0
const TABLE_SLOTS = 48
const TABLE_STRIDE = 512

/** Frames with their virtio-net headers. */
export function corpus(random: Random): Uint8Array[] {
  const frames: Uint8Array[] = []
  for (let i = 0; i < 160; i++) {
    const ip = random.oneIn(3) ? 6 : 4
    const protocol = random.pick([6, 6, 17, 17, 132, 1, 58, 51])
    const tags = random.pick([
      [],
      [],
      [[0x8100, 5]],
      [
        [0x88a8, 7],
        [0x8100, 0x2003],
      ],
      [
        [0x9100, 1],
        [0x8100, 2],
        [0x8100, 3],
      ],
    ]) as [number, number][]
    const gso = random.oneIn(3)
    const length = gso ? random.below(9000) : random.pick([0, 2, 18, 22, 86, 87, 100, random.below(1500), random.below(300)])
    const extended = random.oneIn(4)
    const next = random.pick([0, 43, 44, 51, 60])
    const extra = extended ? extension(random, ip, protocol, next) : undefined
    const destination = random.pick([undefined, undefined, [255, 255, 255, 255, 255, 255], [1, 0, 94, 0, 0, 1]])
    const bytes = frame({
      ip,
      protocol,
      tags,
      payload: pattern(length, i),
      fragment: random.oneIn(8) ? random.pick([0x2000, 0x2001, 0x0001, 0x4000]) : 0,
      tcpFlags: random.below(256),
      ...(extra ? { extra, next } : {}),
      ...(destination ? { destination } : {}),
    })
    const l4 = 14 + tags.length * 4 + (ip === 4 ? 20 : 40) + (extra?.length ?? 0)
    frames.push(concat(request(random, bytes.length, gso, ip, protocol, l4), bytes))
  }
  return frames
}

function extension(random: Random, ip: number, protocol: number, next: number): Uint8Array {
  if (ip === 4) return new Uint8Array(4 * (1 + random.below(10)))
  const bytes = new Uint8Array(8 * (1 + random.below(6)))
  bytes[0] = random.oneIn(4) ? random.pick([0, 43, 60]) : protocol
  bytes[1] = next === 51 ? bytes.length / 4 - 2 : bytes.length / 8 - 1
  bytes[2] = next === 44 && random.oneIn(3) ? 1 : 0
  bytes[3] = random.oneIn(4) ? 1 : 0
  return bytes
}

function request(random: Random, length: number, gso: boolean, ip: number, protocol: number, l4: number): Uint8Array {
  if (random.oneIn(12)) return Uint8Array.from({ length: 12 }, () => random.next())
  if (!gso && random.oneIn(2)) return vnet(random.oneIn(5) ? L.VNET_DATA_VALID : 0, 0, random.below(3))
  const type = protocol === 17 ? L.VNET_GSO_UDP_L4 : ip === 4 ? L.VNET_GSO_TCPV4 : L.VNET_GSO_TCPV6
  const start = random.oneIn(8) ? random.below(200) : l4
  const offset = random.oneIn(8) ? random.below(30) : protocol === 17 ? 6 : 16
  const kind = gso ? type | (random.oneIn(6) ? L.VNET_GSO_ECN : 0) : 0
  const size = random.oneIn(10) ? random.below(3) : 100 + random.below(1400)
  return vnet(L.VNET_NEEDS_CSUM, kind, random.oneIn(8) ? random.below(length + 40) : l4, size, start, offset, random.below(4))
}

interface Stretch {
  low: number
  high: number
  length: number
}

/** The driver's side of one ring, in one guest's bytes. */
export class HostileDriver {
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly packed: boolean
  readonly size: number
  readonly writing: boolean
  readonly #indirect: boolean
  readonly #random: Random
  #at: number
  #lap: number
  #free = 0
  #descriptor = 0
  #table = 0
  #cursor = 0

  constructor(bytes: Uint8Array, setting: QueueSetting, writing: boolean, random: Random) {
    const { flags, size, last, wrap } = setting
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.packed = (flags & L.QF_PACKED) !== 0
    this.size = size
    this.writing = writing
    this.#indirect = (flags & L.QF_INDIRECT) !== 0 || random.oneIn(20)
    this.#random = random
    this.#at = last
    this.#lap = wrap & 1
  }

  /** Learns how far the device has read: what it has taken is free again, and now and then more than that. */
  sync(last: number, lap: number): void {
    const { size } = this
    const taken = this.packed ? this.#at - last + ((this.#lap ^ lap) & 1) * size : (this.#at - last) & 0xffff
    this.#free = this.#random.oneIn(40) ? size : size - taken
  }

  /** Offset in the span of a guest address, -1 if `length` bytes there are not all in one region. */
  #place(low: number, high: number, length: number): number {
    for (let i = 0; i < REGIONS.length; i++) {
      const { low: start, high: top, bytes } = REGIONS[i]!
      const d = (high - top) * 0x1_0000_0000 + low - start
      if (d >= 0 && d + length <= bytes) return PLACES[i]! + d
    }
    return -1
  }

  /** A guest address for `length` bytes; with luck all of them are in memory, perhaps across the seam. */
  #address(length: number): [low: number, high: number] {
    const random = this.#random
    if (random.oneIn(5)) {
      const before = random.below(Math.min(length + 1, 0x3fff))
      return [(0x3000 - before) >>> 0, before > 0x3000 ? 1 : 2]
    }
    if (this.#cursor + length + 64 > REGIONS[1].bytes) this.#cursor = 0
    const at = (this.#cursor + random.below(32)) & (random.oneIn(3) ? ~0 : ~3)
    this.#cursor = at + length
    return [at, 1]
  }

  #hostileAddress(): [number, number] {
    const random = this.#random
    return random.pick([
      [random.next(), random.below(4)],
      [random.next(), random.next()],
      [0xfffffff0 + random.below(16), 0xffffffff],
      [0x20000 - random.below(64), 1],
      [0x7000 - random.below(64), 2],
      [random.below(0x10000), 0],
    ]) as [number, number]
  }

  #put(at: number, piece: Stretch, flags: number, link: number): void {
    const { view } = this
    view.setUint32(at, piece.low, true)
    view.setUint32(at + 4, piece.high, true)
    view.setUint32(at + 8, piece.length, true)
    view.setUint16(at + 12, this.packed ? link : flags, true)
    view.setUint16(at + 14, this.packed ? flags : link, true)
  }

  /** Cuts `length` bytes at an address into pieces. */
  #cut(low: number, high: number, length: number): Stretch[] {
    const random = this.#random
    const pieces: Stretch[] = []
    const count = random.oneIn(20) ? random.pick([20, 28, 70]) : random.pick([1, 1, 1, 2, 2, 3, 5])
    let at = low
    let left = length
    for (let i = 0; i < count; i++) {
      const last = i === count - 1
      const n = last
        ? left
        : Math.min(left, i === 0 && !random.oneIn(3) ? 12 : random.oneIn(9) ? 0 : random.below(count > 5 ? 200 : 2000))
      pieces.push({ low: at >>> 0, high: high + (at > 0xffffffff ? 1 : 0), length: n })
      at += n
      left -= n
    }
    return pieces
  }

  /** Offers one chain with `content` (transmit) or room for `room` bytes (receive). */
  offer(content: Uint8Array | null, room: number): void {
    const random = this.#random
    const length = content ? content.length : room
    let [low, high] = this.#address(length)
    if (content)
      for (let i = 0; i < length; ) {
        // Piece by piece, since the stretch may cross the seam.
        const n = Math.min(length - i, low < 0x3000 && low + length - i > 0x3000 && high === 2 ? 0x3000 - low : length - i)
        const part = Math.max(1, Math.min(n, 64))
        const address = low + i
        const at = this.#place(address >>> 0, high + (address > 0xffffffff ? 1 : 0), part)
        if (at >= 0) this.bytes.set(content.subarray(i, i + part), at)
        else
          for (let j = 0; j < part; j++) {
            const one = this.#place((address + j) >>> 0, high + (address + j > 0xffffffff ? 1 : 0), 1)
            if (one >= 0) this.bytes[one] = content[i + j]!
          }
        i += part
      }
    if (random.oneIn(25)) [low, high] = this.#hostileAddress()
    const pieces = this.#cut(low, high, length)
    if (random.oneIn(15)) {
      const victim = random.pick(pieces)
      if (random.oneIn(2)) victim.length = random.pick([0, 0xffffffff, 0x80000000, 70000, random.next()])
      else [victim.low, victim.high] = this.#hostileAddress()
    }
    const direct = this.writing ? L.DESC_WRITE : 0
    const indirect = this.#indirect && pieces.length <= TABLE_STRIDE / 16 && random.oneIn(2)
    if (!indirect) {
      this.#offerRing(
        pieces,
        pieces.map(() => (random.oneIn(60) ? random.below(8) : direct)),
      )
      return
    }
    const table = TABLES + (this.#table++ % TABLE_SLOTS) * TABLE_STRIDE + random.pick([0, 0, 0, 4, 1])
    pieces.forEach((piece, i) => {
      const more = !this.packed && i < pieces.length - 1 ? L.DESC_NEXT : 0
      const flags = random.oneIn(60) ? random.below(8) : direct | more
      this.#put(PLACES[0]! + table + i * 16, piece, flags, random.oneIn(30) ? random.below(pieces.length + 2) : i + 1)
    })
    const bytes = random.oneIn(20) ? random.below(200) : pieces.length * 16
    this.#offerRing([{ low: table, high: 0, length: bytes }], [L.DESC_INDIRECT | (random.oneIn(3) ? direct : 0)])
  }

  #offerRing(pieces: readonly Stretch[], flags: readonly number[]): void {
    const { size, view } = this
    const random = this.#random
    const desc = PLACES[0]! + DESC
    if (pieces.length > this.#free) return
    this.#free -= pieces.length
    if (this.packed) {
      const id = random.below(65536)
      pieces.slice(0, size).forEach((piece, i, all) => {
        const lap = this.#lap === 1 ? L.DESC_AVAILABLE : L.DESC_USED
        const more = i < all.length - 1 ? L.DESC_NEXT : 0
        this.#put(desc + this.#at * 16, piece, flags[i]! | more | lap, id)
        if (++this.#at === size) {
          this.#at = 0
          this.#lap ^= 1
        }
      })
      return
    }
    const head = this.#descriptor % size
    const count = Math.min(pieces.length, size)
    for (let i = 0; i < count; i++) {
      const at = this.#descriptor++ % size
      const more = i < count - 1 ? L.DESC_NEXT : 0
      const link = random.oneIn(80) ? random.below(80) : this.#descriptor % size
      this.#put(desc + at * 16, pieces[i]!, flags[i]! | more, link)
    }
    const driver = PLACES[0]! + DRIVER
    view.setUint16(driver + 4 + (this.#at % size) * 2, random.oneIn(400) ? random.below(65536) : head, true)
    this.#at = (this.#at + 1) & 0xffff
    view.setUint16(driver + 2, this.#at, true)
  }

  /** What the driver wants to be told, and now and then some vandalism. */
  disturb(): void {
    const random = this.#random
    const { view } = this
    const driver = PLACES[0]! + DRIVER
    view.setUint16(driver, random.pick([0, 1, random.below(65536)]), true)
    if (this.packed) view.setUint16(driver + 2, random.pick([0, 1, 2, 2, 3]), true)
    view.setUint16(driver + 4 + this.size * 2, (this.#at + random.below(20) - 10) & 0xffff, true)
    if (!random.oneIn(4)) return
    for (let i = random.below(6); i >= 0; i--) {
      const area = random.pick([DESC, DESC, DRIVER, DEVICE, TABLES])
      const bytes = area === DESC || area === TABLES ? this.size * 16 : 4 + this.size * 2
      const at = PLACES[0]! + area + random.below(bytes)
      if (random.oneIn(2)) this.bytes[at] = random.next()
      else view.setUint32(at & ~3, random.pick([0, 1, 0xffffffff, 0x80008000, 0x00800080, 0x80, random.next()]), true)
    }
  }
}
