// Ethernet headers with up to two VLAN tags (802.1Q, 802.1ad), read and written at offsets.
import { MAC_BYTES } from './addresses.ts'
import { get16, put16 } from './bytes.ts'

/** Ether types, by their numbers. */
export const EtherType = {
  ipv4: 0x0800,
  arp: 0x0806,
  rarp: 0x8035,
  vlan: 0x8100,
  ipv6: 0x86dd,
  serviceVlan: 0x88a8,
  lldp: 0x88cc,
} as const

export const ETHERNET_HEADER_BYTES = 14
export const VLAN_TAG_BYTES = 4
const TAGS_MAX = 2

/** One VLAN tag. */
export interface VlanTag {
  /** Tag protocol: EtherType.vlan or EtherType.serviceVlan. */
  readonly protocol: number
  /** 0…7. */
  readonly priority: number
  readonly dropEligible: boolean
  /** 0…4095. */
  readonly id: number
}

export interface EthernetHeader {
  readonly destination: Uint8Array
  readonly source: Uint8Array
  /** Outer tag first. */
  readonly tags: readonly VlanTag[]
  /** Of the payload, after the tags. */
  readonly etherType: number
}

/** True for the ether types that introduce a VLAN tag. */
export const isTagType = (etherType: number): boolean =>
  etherType === EtherType.vlan || etherType === EtherType.serviceVlan || etherType === 0x9100

/** Bytes of the header with `tags` tags. */
export const ethernetHeaderBytes = (tags: number): number => ETHERNET_HEADER_BYTES + tags * VLAN_TAG_BYTES

/** Reads the header at `at`; undefined if it does not fit before `end`. A third tag is left as the payload's ether type. */
export function parseEthernet(bytes: Uint8Array, at = 0, end = bytes.length): EthernetHeader | undefined {
  if (at + ETHERNET_HEADER_BYTES > end) return undefined
  const tags: VlanTag[] = []
  let next = at + 2 * MAC_BYTES
  let etherType = get16(bytes, next)
  while (isTagType(etherType) && tags.length < TAGS_MAX) {
    if (next + VLAN_TAG_BYTES + 2 > end) return undefined
    const control = get16(bytes, next + 2)
    tags.push({ protocol: etherType, priority: control >> 13, dropEligible: (control & 0x1000) !== 0, id: control & 0xfff })
    next += VLAN_TAG_BYTES
    etherType = get16(bytes, next)
  }
  return {
    destination: bytes.slice(at, at + MAC_BYTES),
    source: bytes.slice(at + MAC_BYTES, at + 2 * MAC_BYTES),
    tags,
    etherType,
  }
}

/** Writes a header at `at`; returns the offset behind it. */
export function writeEthernet(bytes: Uint8Array, at: number, header: EthernetHeader): number {
  bytes.set(header.destination, at)
  bytes.set(header.source, at + MAC_BYTES)
  let next = at + 2 * MAC_BYTES
  for (const tag of header.tags) {
    put16(bytes, next, tag.protocol)
    put16(bytes, next + 2, (tag.priority << 13) | (tag.dropEligible ? 0x1000 : 0) | tag.id)
    next += VLAN_TAG_BYTES
  }
  put16(bytes, next, header.etherType)
  return next + 2
}
