// A driver that keeps to the specification: split rings, chains of every shape it allows, buffers across two regions. What goes through
// its rings must have the same fate on every path.
//
// The rule it must not break: it has the methods of HostileDriver, and everything comes from the random source.
import * as L from '../../src/kernels/layout.ts'
import type { Random } from './random.ts'
import { DESC, DRIVER, PLACES, type QueueSetting, REGIONS } from './worlds.ts'

const TABLES = 0xa000 // indirect tables, in region 0
const TABLE_STRIDE = 64
const TABLE_SLOTS = 256
/** Guest address, above 2^33, at which regions 2 and 3 meet. */
const SEAM = 0x3000

interface Stretch {
  readonly low: number
  readonly high: number
  readonly length: number
}

export class HonestDriver {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #setting: QueueSetting
  readonly #writing: boolean
  readonly #calm: number
  readonly #random: Random
  #at: number
  #descriptor = 0
  #free: number
  #cursor = 0
  #table = 0

  /** One in `calm` chains has a shape, or a place, that is allowed and rare. */
  constructor(bytes: Uint8Array, setting: QueueSetting, writing: boolean, calm: number, random: Random) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#setting = setting
    this.#writing = writing
    this.#calm = calm
    this.#random = random
    this.#at = setting.last
    this.#free = setting.size
    this.#view.setUint16(PLACES[0]! + DRIVER + 2, this.#at, true)
  }

  /** Learns how far the device has read. A receive buffer is one descriptor; of transmit chains all are taken. */
  sync(last: number, _lap: number): void {
    const waiting = (this.#at - last) & 0xffff
    this.#free = this.#writing ? this.#setting.size - waiting : waiting === 0 ? this.#setting.size : 0
  }

  /** Offers a frame with its virtio-net header, or room for `room` bytes. */
  offer(content: Uint8Array | null, room: number): void {
    const random = this.#random
    const length = content ? content.length : room
    const stretch = this.#stretch(length)
    if (content) this.#write(stretch, content)
    const shape = !content ? 0 : random.oneIn(this.#calm) ? 2 : random.below(2)
    const cuts = shape === 0 ? [length] : shape === 1 ? [L.VNET_HEADER, length - L.VNET_HEADER] : [5, 20, length - 25]
    let done = 0
    const pieces = cuts.map((n) => {
      const piece = part(stretch, done, n)
      done += n
      return piece
    })
    const indirect = (this.#setting.flags & L.QF_INDIRECT) !== 0 && pieces.length > 1 && random.oneIn(this.#calm)
    this.#chain(indirect ? [this.#tableOf(pieces)] : pieces, indirect)
  }

  /** Whether the driver wants to be told. */
  disturb(): void {
    const driver = PLACES[0]! + DRIVER
    this.#view.setUint16(driver, this.#random.below(2), true)
    this.#view.setUint16(driver + 4 + this.#setting.size * 2, (this.#at + this.#random.below(9) - 4) & 0xffff, true)
  }

  #stretch(length: number): Stretch {
    if (this.#random.oneIn(this.#calm)) {
      const before = this.#random.below(Math.min(length, SEAM))
      return { low: SEAM - before, high: 2, length }
    }
    if (this.#cursor + length + 64 > REGIONS[1].bytes) this.#cursor = 0
    const low = this.#cursor + this.#random.below(32)
    this.#cursor = low + length
    return { low, high: 1, length }
  }

  #write({ low, high }: Stretch, content: Uint8Array): void {
    if (high === 1) {
      this.#bytes.set(content, PLACES[1]! + low)
      return
    }
    const before = Math.min(content.length, SEAM - low)
    this.#bytes.set(content.subarray(0, before), PLACES[2]! + REGIONS[2].bytes - SEAM + low)
    this.#bytes.set(content.subarray(before), PLACES[3]!)
  }

  #put(at: number, piece: Stretch, flags: number, next: number): void {
    const view = this.#view
    view.setUint32(at, piece.low, true)
    view.setUint32(at + 4, piece.high, true)
    view.setUint32(at + 8, piece.length, true)
    view.setUint16(at + 12, flags, true)
    view.setUint16(at + 14, next, true)
  }

  #tableOf(pieces: readonly Stretch[]): Stretch {
    const low = TABLES + (this.#table++ % TABLE_SLOTS) * TABLE_STRIDE
    for (const [i, piece] of pieces.entries())
      this.#put(PLACES[0]! + low + i * 16, piece, i < pieces.length - 1 ? L.DESC_NEXT : 0, i + 1)
    return { low, high: 0, length: pieces.length * 16 }
  }

  #chain(pieces: readonly Stretch[], indirect: boolean): void {
    const { size } = this.#setting
    if (pieces.length > this.#free) return
    this.#free -= pieces.length
    const head = this.#descriptor % size
    for (const [i, piece] of pieces.entries()) {
      const at = this.#descriptor++ % size
      const more = i < pieces.length - 1
      const flags = (this.#writing ? L.DESC_WRITE : 0) | (indirect ? L.DESC_INDIRECT : 0) | (more ? L.DESC_NEXT : 0)
      this.#put(PLACES[0]! + DESC + at * 16, piece, flags, more ? this.#descriptor % size : 0)
    }
    const driver = PLACES[0]! + DRIVER
    this.#view.setUint16(driver + 4 + (this.#at % size) * 2, head, true)
    this.#at = (this.#at + 1) & 0xffff
    this.#view.setUint16(driver + 2, this.#at, true)
  }
}

const part = ({ low, high }: Stretch, from: number, length: number): Stretch => ({ low: low + from, high, length })
