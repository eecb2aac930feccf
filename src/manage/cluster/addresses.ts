// IP addresses in their one spelling, so that two texts that mean the same are the same.
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from '../../packet/addresses.ts'

/** An address as RFC 5952 and dotted decimals write it; null: it is none. */
export function canonicalAddress(text: string): string | null {
  try {
    return text.includes(':') ? formatIpv6(parseIpv6(text)) : formatIpv4(parseIpv4(text))
  } catch {
    return null
  }
}
