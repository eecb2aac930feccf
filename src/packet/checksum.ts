// The Internet checksum (RFC 1071) over bytes at offsets, with the pseudo headers of IPv4 and IPv6.
//
// The rule it must not break: sums are plain numbers below 2^53, carried unfolded, so pieces may be added in any order as long as
// each piece but the last has an even length.

/** Adds the big-endian 16-bit words of `bytes[from…to-1]` to `initial`; an odd last byte counts as its word's upper half. */
export function sumBytes(bytes: Uint8Array, from: number, to: number, initial = 0): number {
  let sum = initial
  let at = from
  for (; at + 1 < to; at += 2) sum += (bytes[at]! << 8) | bytes[at + 1]!
  return at < to ? sum + (bytes[at]! << 8) : sum
}

/** Folds a sum to its 16-bit checksum (the one's complement). */
export function foldSum(sum: number): number {
  let folded = sum
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000)
  return ~folded & 0xffff
}

/** The checksum of `bytes[from…to-1]`. A range that holds its own correct checksum yields 0. */
export const internetChecksum = (bytes: Uint8Array, from: number, to: number): number => foldSum(sumBytes(bytes, from, to))

/** The sum of the pseudo header of the IPv4 packet whose header starts at `ip`, for `length` bytes of `protocol`. */
export const pseudoSumIpv4 = (bytes: Uint8Array, ip: number, protocol: number, length: number): number =>
  sumBytes(bytes, ip + 12, ip + 20, protocol + length)

/** The sum of the pseudo header of the IPv6 packet whose header starts at `ip`. */
export const pseudoSumIpv6 = (bytes: Uint8Array, ip: number, protocol: number, length: number): number =>
  sumBytes(bytes, ip + 8, ip + 40, protocol + Math.floor(length / 0x10000) + (length % 0x10000))

/** The checksum of the transport bytes `from…to-1` under the IP header at `ip` (its version is read from there). */
export function transportChecksum(bytes: Uint8Array, ip: number, protocol: number, from: number, to: number): number {
  const pseudo = (bytes[ip]! >> 4 === 4 ? pseudoSumIpv4 : pseudoSumIpv6)(bytes, ip, protocol, to - from)
  return foldSum(sumBytes(bytes, from, to, pseudo))
}
