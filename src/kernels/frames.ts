// Frames for tests of the kernels: built byte by byte, with checksums by a plain reference.
//
// The rule it must not break: it shares no code with what it tests.

export interface FrameOptions {
  readonly tags?: readonly [etherType: number, tci: number][]
  readonly ip?: 4 | 6
  readonly protocol?: number
  /** IPv6 extension headers, or IPv4 options, as bytes before the transport header. */
  readonly extra?: Uint8Array
  /** Protocol number of the first header after the IPv6 header, if `extra` is there. */
  readonly next?: number
  readonly payload?: Uint8Array
  /** IPv4 flags and fragment offset. */
  readonly fragment?: number
  readonly destination?: readonly number[]
  readonly tcpFlags?: number
  readonly sourcePort?: number
  readonly destinationPort?: number
}

/** Bytes that repeat late enough to show a shift. */
export function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7 + seed * 13) & 0xff)
}

function be(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * (bytes - 1 - i))) & 0xff)
}

/** The Internet checksum of `bytes`, big-endian words, not inverted. */
export function plainSum(bytes: Uint8Array, start = 0): number {
  let sum = start
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i]! << 8) | (bytes[i + 1] ?? 0)) >>> 0
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000)
  return sum
}

/** An Ethernet frame with TCP, UDP or other payload; the transport checksum is left at 0. */
export function frame(options: FrameOptions = {}): Uint8Array {
  const { ip = 4, protocol = 17, tags = [], extra = new Uint8Array(), payload = new Uint8Array(), fragment = 0 } = options
  const out: number[] = [...(options.destination ?? [2, 0, 0, 0, 0, 1]), 2, 0, 0, 0, 0, 2]
  for (const [type, tci] of tags) out.push(...be(type, 2), ...be(tci, 2))
  const ports = [...be(options.sourcePort ?? 1234, 2), ...be(options.destinationPort ?? 80, 2)]
  let transport: number[] = []
  if (protocol === 6) transport = [...ports, ...be(0xfffff000, 4), 0, 0, 0, 9, 0x50, options.tcpFlags ?? 0x18, 1, 0, 0, 0, 0, 0]
  else if (protocol === 17) transport = [...ports, ...be(8 + payload.length, 2), 0, 0]
  else if (protocol === 132) transport = [...ports, 0, 0, 0, 0, 0, 0, 0, 0]
  const body = [...transport, ...payload]
  if (ip === 4) {
    const header = [
      0x40 | (5 + extra.length / 4),
      0,
      ...be(Math.min(0xffff, 20 + extra.length + body.length), 2),
      0xff,
      0xfe,
      ...be(fragment, 2),
      64,
      protocol,
      0,
      0,
      10,
      0,
      0,
      1,
      10,
      0,
      0,
      2,
      ...extra,
    ]
    const sum = plainSum(Uint8Array.from(header)) ^ 0xffff
    header[10] = sum >> 8
    header[11] = sum & 0xff
    out.push(8, 0, ...header)
  } else {
    const length = Math.min(0xffff, extra.length + body.length)
    out.push(0x86, 0xdd, 0x60, 0, 0, 0, ...be(length, 2), options.next ?? protocol, 64)
    out.push(0xfd, ...new Array(14).fill(0), 1, 0xfd, ...new Array(14).fill(0), 2, ...extra)
  }
  const bytes = new Uint8Array(out.length + body.length)
  bytes.set(out)
  bytes.set(body, out.length)
  return bytes
}

/** Is the transport checksum of `bytes` (IP at `l3`, transport at `l4`) right, and the IPv4 header's? */
export function checksumsHold(bytes: Uint8Array, l3: number, l4: number): boolean {
  const v4 = bytes[l3]! >> 4 === 4
  if (v4 && plainSum(bytes.subarray(l3, l4)) !== 0xffff) return false
  const transport = bytes.subarray(l4)
  const protocol = v4 ? bytes[l3 + 9]! : l4 === l3 + 40 ? bytes[l3 + 6]! : bytes[l3 + 40]!
  const addresses = v4 ? bytes.subarray(l3 + 12, l3 + 20) : bytes.subarray(l3 + 8, l3 + 40)
  return plainSum(transport, plainSum(addresses) + protocol + transport.length) === 0xffff
}

/** A virtio-net header. */
export function vnet(
  flags = 0,
  gsoType = 0,
  headerLength = 0,
  gsoSize = 0,
  checksumStart = 0,
  checksumOffset = 0,
  buffers = 0,
): Uint8Array {
  const bytes = new Uint8Array(12)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, flags)
  view.setUint8(1, gsoType)
  view.setUint16(2, headerLength, true)
  view.setUint16(4, gsoSize, true)
  view.setUint16(6, checksumStart, true)
  view.setUint16(8, checksumOffset, true)
  view.setUint16(10, buffers, true)
  return bytes
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, part) => n + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}
