// Makes one pcapng capture of several that are written at the same time, block by block: one section, the interfaces of all.
//
// The rule it must not break: a packet names an interface that was described before it.
import { BlockType } from './pcapng.ts'

/** Merges streams of little-endian blocks, as PcapngWriter makes them. */
export class PcapngMerger {
  #inSection = false
  #described = 0
  /** Per stream: numbers in the merged capture of its interfaces. */
  readonly #numbers = new Map<number, number[]>()

  /**
   * A block of stream `stream`, changed in place to fit; undefined where the merged capture has no use for it: further section headers,
   * packets of interfaces that were not described.
   */
  merge(stream: number, block: Uint8Array): Uint8Array | undefined {
    const view = new DataView(block.buffer, block.byteOffset, block.byteLength)
    const type = view.getUint32(0, true)
    if (type === BlockType.sectionHeader) {
      this.#numbers.set(stream, [])
      if (this.#inSection) return undefined
      this.#inSection = true
      return block
    }
    const numbers = this.#numbers.get(stream)
    if (!numbers) return undefined
    if (type === BlockType.interfaceDescription) numbers.push(this.#described++)
    if (type === BlockType.enhancedPacket) {
      const number = numbers[view.getUint32(8, true)]
      if (number === undefined) return undefined
      view.setUint32(8, number, true)
    }
    return block
  }
}

/** True for a block that holds a packet. */
export const isPacketBlock = (block: Uint8Array): boolean =>
  block[0] === BlockType.enhancedPacket && block[1] === 0 && block[2] === 0 && block[3] === 0

/** Cuts a stream of bytes into blocks again. Little-endian. */
export class PcapngBlocks {
  #rest: Uint8Array = new Uint8Array(0)

  /** The blocks that are whole now, with `bytes` behind what was left. Throws RangeError where a block's length can't be. */
  push(bytes: Uint8Array): Uint8Array[] {
    const all = new Uint8Array(this.#rest.length + bytes.length)
    all.set(this.#rest)
    all.set(bytes, this.#rest.length)
    const view = new DataView(all.buffer)
    const blocks: Uint8Array[] = []
    let at = 0
    while (at + 12 <= all.length) {
      const length = view.getUint32(at + 4, true)
      if (length < 12 || length % 4 !== 0) throw new RangeError(`a block of ${length} bytes`)
      if (at + length > all.length) break
      blocks.push(all.subarray(at, at + length))
      at += length
    }
    this.#rest = all.slice(at)
    return blocks
  }
}
