// The arithmetic of setting up a virtqueue: how large and how aligned its three parts are, which sizes are allowed, and how a
// position in it travels in vhost messages. Pure numbers.
//
// The rule it must not break: a ring that passes here needs no check of its geometry in the data path.

/** VIRTIO 1.3, 2.7 and 2.8: the largest queue of either format. */
export const RING_SIZE_MAX = 32768

export interface RingPart {
  readonly bytes: number
  readonly alignment: number
}

/** The three parts of a ring: descriptors, what the driver writes, what the device writes. */
export interface RingParts {
  readonly descriptors: RingPart
  readonly driver: RingPart
  readonly device: RingPart
}

/** Whether a queue may have `size` entries: 1…32768, a power of two where the ring is split. */
export const isRingSize = (size: number, packed: boolean): boolean =>
  size >= 1 && size <= RING_SIZE_MAX && (packed || (size & (size - 1)) === 0)

/** Sizes and alignments of the parts of a ring with `size` entries. */
export function ringParts(size: number, packed: boolean, eventIndex: boolean): RingParts {
  const descriptors = { bytes: 16 * size, alignment: 16 }
  if (packed) return { descriptors, driver: { bytes: 4, alignment: 4 }, device: { bytes: 4, alignment: 4 } }
  const event = eventIndex ? 2 : 0
  return {
    descriptors,
    driver: { bytes: 4 + 2 * size + event, alignment: 2 },
    device: { bytes: 4 + 8 * size + event, alignment: 4 },
  }
}

/** The base of a packed ring that was never used: position 0, wrap counters 1, in both halves. */
export const PACKED_START = 0x8000_8000

/** Where the device stands in a packed ring: position and wrap counter. */
export interface PackedPosition {
  readonly index: number
  readonly wrap: 0 | 1
}

const packedPosition = (word: number): PackedPosition => ({ index: word & 0x7fff, wrap: (word >> 15) & 1 ? 1 : 0 })

/**
 * Reads the position of a packed ring from a vring base: available index and wrap counter in the low 16 bits, used ones in the
 * high 16. Front-ends that know only the low half leave the high one 0; then both are the same. Buffers are given back in order,
 * so work resumes at the used position: what lies between it and the available one was taken and never given back.
 */
export const packedBase = (base: number): PackedPosition => packedPosition(base >>> 16 === 0 ? base & 0xffff : base >>> 16)

/** The vring base of a packed ring from its available and used positions. */
export const encodePackedBase = (available: PackedPosition, used: PackedPosition): number =>
  ((used.wrap << 31) | (used.index << 16) | (available.wrap << 15) | available.index) >>> 0
