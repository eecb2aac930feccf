// An IP address as a person writes it.
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from '../../packet/addresses.ts'

export interface IpAddress {
  readonly family: 4 | 6
  /** In normal form. */
  readonly text: string
  /** Of a group. */
  readonly isGroup: boolean
  readonly isZero: boolean
}

/** The address that a text is; null: none. */
export function ipAddress(text: string): IpAddress | null {
  try {
    if (text.includes(':')) {
      const bytes = parseIpv6(text)
      return { family: 6, text: formatIpv6(bytes), isGroup: bytes[0] === 0xff, isZero: bytes.every((octet) => octet === 0) }
    }
    const value = parseIpv4(text)
    return { family: 4, text: formatIpv4(value), isGroup: value >>> 28 === 14, isZero: value === 0 }
  } catch {
    return null
  }
}
