// Lowers the segment size that a TCP connection agrees on (RFC 879, RFC 6691) to what fits into a tunnel.
//
// The rule it must not break: it reads and writes within the bytes given, and the checksum follows the change.
import { get16, put16 } from '../../packet/bytes.ts'
import { foldSum } from '../../packet/checksum.ts'

const SYN = 0x02
const HEADER = 20
const CHECKSUM = 16
const END_OF_OPTIONS = 0
const NO_OPERATION = 1
const SEGMENT_SIZE = 2

/**
 * Lowers the segment size in the TCP header at `tcp` to at most `most`, if it is a SYN with that option; headers stand up to `end`.
 * `isOpen`: the checksum will be summed later. True if it was lowered.
 */
export function clampSegmentSize(bytes: Uint8Array, tcp: number, end: number, most: number, isOpen: boolean): boolean {
  if (tcp + HEADER > end || (bytes[tcp + 13]! & SYN) === 0) return false
  const last = Math.min(end, tcp + (bytes[tcp + 12]! >> 4) * 4)
  for (let option = tcp + HEADER; option < last; ) {
    const kind = bytes[option]!
    if (kind === END_OF_OPTIONS) return false
    if (kind === NO_OPERATION) {
      option++
      continue
    }
    const length = option + 1 < last ? bytes[option + 1]! : 0
    if (length < 2 || option + length > last) return false
    if (kind === SEGMENT_SIZE && length === 4) {
      if (get16(bytes, option + 2) <= most) return false
      const at = option + 2
      const isEven = ((at - tcp) & 1) === 0
      const before = get16(bytes, at)
      put16(bytes, at, most)
      if (!isOpen) {
        // RFC 1624; at an odd place the octets stand in two words.
        const swapped = (value: number): number => (isEven ? value : ((value & 0xff) << 8) | (value >> 8))
        const sum = (~get16(bytes, tcp + CHECKSUM) & 0xffff) + (~swapped(before) & 0xffff) + swapped(most)
        put16(bytes, tcp + CHECKSUM, foldSum(sum))
      }
      return true
    }
    option += length
  }
  return false
}
