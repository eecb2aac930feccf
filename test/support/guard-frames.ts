// Frames for tests of the guards of ports, put together header by header, so that a test can say how a sender hides something.
import { mac } from './data-path-harness.ts'

const octetsOf = (text: string): number[] => text.split(':').map((octet) => Number.parseInt(octet, 16))

/** What comes before IP: addresses, tags. */
export interface Outside {
  readonly from?: number
  readonly to?: string
  /** 802.1Q tags, outermost first. */
  readonly tags?: readonly number[]
}

export interface Ipv4Parts extends Outside {
  readonly source?: string
  readonly destination?: string
  readonly protocol?: number
  /** Bytes of options, a multiple of 4. */
  readonly options?: number
  /** In bytes, a multiple of 8. */
  readonly fragmentOffset?: number
  readonly moreFragments?: boolean
}

export interface Ipv6Parts extends Outside {
  readonly source?: string
  readonly destination?: string
}

const word = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff]

/** A frame of any ether type, padded to 60 bytes with `padding`. */
export function ether(
  { from = 1, to = 'ff:ff:ff:ff:ff:ff', tags = [] }: Outside,
  type: number,
  payload: readonly number[],
  padding: readonly number[] = [],
): Buffer {
  const tagged = tags.flatMap((vlan) => [0x81, 0x00, ...word(vlan)])
  const bytes = [...octetsOf(to), ...octetsOf(mac(from)), ...tagged, ...word(type), ...payload, ...padding]
  while (bytes.length < 60) bytes.push(0)
  return Buffer.from(bytes)
}

export const ipv4Bytes = (text: string): number[] => text.split('.').map(Number)

/** An IPv6 address with at most one `::`. */
export function ipv6Bytes(text: string): number[] {
  const [head = '', tail] = text.split('::')
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'))
  const first = groups(head)
  const last = groups(tail ?? '')
  const all = tail === undefined ? first : [...first, ...Array<string>(8 - first.length - last.length).fill('0'), ...last]
  return all.flatMap((group) => word(Number.parseInt(group, 16)))
}

/** An IPv4 packet in a frame. */
export function ipv4(parts: Ipv4Parts, payload: readonly number[], padding: readonly number[] = []): Buffer {
  const { source = '10.0.0.1', destination = '255.255.255.255', protocol = 17, options = 0 } = parts
  const { fragmentOffset = 0, moreFragments = false } = parts
  const header = 20 + options
  const fragment = (moreFragments ? 0x2000 : 0) | (fragmentOffset >> 3)
  const packet = [
    ...[0x40 | (header >> 2), 0, ...word(header + payload.length), 0, 1, ...word(fragment), 64, protocol, 0, 0],
    ...ipv4Bytes(source),
    ...ipv4Bytes(destination),
    ...Array<number>(options).fill(1),
    ...payload,
  ]
  return ether(parts, 0x0800, packet, padding)
}

/** An IPv6 packet in a frame; `next` is the number of the first header in `payload`. */
export function ipv6(parts: Ipv6Parts, next: number, payload: readonly number[], padding: readonly number[] = []): Buffer {
  const { source = 'fe80::1', destination = 'ff02::1' } = parts
  const packet = [0x60, 0, 0, 0, ...word(payload.length), next, 255, ...ipv6Bytes(source), ...ipv6Bytes(destination), ...payload]
  return ether(parts, 0x86dd, packet, padding)
}

/** UDP with a message whose first byte is `message`. */
export const udp = (source: number, destination: number, message: number, bytes = 20): number[] => [
  ...[...word(source), ...word(destination), ...word(8 + bytes), 0, 0],
  message,
  ...Array<number>(bytes - 1).fill(0),
]

/** ICMP of either version. */
export const icmp = (type: number, body: readonly number[] = Array<number>(20).fill(0)): number[] => [type, 0, 0, 0, ...body]

/** An extension header of IPv6 of `words` times 8 bytes, before header `next`. */
export const extension = (next: number, words = 1): number[] => [next, words - 1, ...Array<number>(words * 8 - 2).fill(0)]

/** A fragment header of IPv6; `offset` in bytes. */
export const fragment = (next: number, offset = 0, more = true): number[] => [
  next,
  0,
  ...word(offset | (more ? 1 : 0)),
  0,
  0,
  0,
  9,
]

export const IPV6 = { hopByHop: 0, udp: 17, routing: 43, fragment: 44, icmp: 58, options: 60 } as const
