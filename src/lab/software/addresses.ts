// Addresses of the software guests as bytes and as text.

export const BROADCAST_MAC = Buffer.from('ffffffffffff', 'hex')

/** "52:54:00:77:00:01" → 6 bytes. Throws a RangeError for anything else. */
export function parseMac(text: string): Buffer {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) throw new RangeError(`"${text}" is not a MAC address like 52:54:00:77:00:01`)
  return Buffer.from(text.replaceAll(':', ''), 'hex')
}

/** "10.77.0.1" → 4 bytes. Throws a RangeError for anything else. */
export function parseIpv4(text: string): Buffer {
  const parts = text.split('.')
  const good = parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255)
  if (!good) throw new RangeError(`"${text}" is not an IPv4 address like 10.77.0.1`)
  return Buffer.from(parts.map(Number))
}

export const formatIpv4 = (bytes: Uint8Array): string => [...bytes].join('.')

/** The link-local IPv6 address that a MAC address leads to (RFC 4291, appendix A). */
export function linkLocalOf(mac: Uint8Array): Buffer {
  return Buffer.from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]])
}

/** The multicast group in which an IPv6 address is asked for (RFC 4291, 2.7.1). */
export function solicitedNodeOf(address: Uint8Array): Buffer {
  return Buffer.from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, address[13], address[14], address[15]])
}
