// Patterns of the configuration's texts, and what each means to a person who did not match it.
import { FRIENDLY_NAME_MAX, INTERFACE_NAME_MAX, NAME_MAX } from './limits.ts'

export const namePattern = new RegExp(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,${NAME_MAX - 1}}$`)
export const friendlyNamePattern = new RegExp(`^[^\\p{Cc}]{1,${FRIENDLY_NAME_MAX}}$`, 'u')
export const macPattern = /^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$/
export const interfacePattern = new RegExp(`^[^\\s/]{1,${INTERFACE_NAME_MAX}}$`)
export const versionPattern = /^\d{1,3}(\.\d{1,3})?$/
export const guidPattern = /^\{?[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}?$/
export const ipv4Pattern = /^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}\/(3[0-2]|[12]?\d)$/
/** An IPv4 address alone. */
export const plainIpv4Pattern = /^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/
/** An IPv6 link-local address, with one `::` at the most. */
export const linkLocalPattern = /^fe80:(:[0-9a-f]{1,4}){1,4}$|^fe80(:[0-9a-f]{1,4}){7}$/i
/** Loopback address and port: 127.0.0.1:7788, [::1]:7788, localhost:7788. */
export const loopbackPattern = /^(127(\.\d{1,3}){3}|\[::1\]|localhost):\d{1,5}$/
/** Address or name and port: 192.0.2.1:7801, [2001:db8::1]:7801. */
export const listenPattern = /^(\[[0-9a-f:.%]+\]|[^[\]:\s/?#@]+):\d{1,5}$/i
/** Origin of a page, as browsers send it. */
export const originPattern = /^https?:\/\/[^\s/?#@]+$/
/** Secret key of the Toeplitz hash. */
export const hashKeyPattern = /^[0-9a-fA-F]{80}$/
/** Bits per second with a unit. */
export const bitRatePattern = /^(0|\d{1,15}(\.\d{1,9})?[kmg]?bit)$/

/** What a failed pattern means, by pattern: the words that a person reads. */
export const patternMeanings: ReadonlyMap<string, string> = new Map([
  [String(namePattern), `a name: letters, digits, ".", "_" and "-", at most ${NAME_MAX} of them, the first a letter or digit`],
  [String(friendlyNamePattern), `a text of at most ${FRIENDLY_NAME_MAX} characters on one line`],
  [String(macPattern), 'a MAC address such as 52:54:00:77:00:01'],
  [String(interfacePattern), `an interface name of at most ${INTERFACE_NAME_MAX} characters without spaces and slashes`],
  [String(versionPattern), 'a version in quotes, such as "1.0"'],
  [String(guidPattern), 'a GUID such as 0d3c1f9f-0001-4c56-9b7e-7b0b6d0e5f0c'],
  [String(hashKeyPattern), 'a hash key in quotes: 80 hexadecimal digits'],
  [String(bitRatePattern), 'bits per second, such as 100mbit (64kbit to 400gbit)'],
  [String(ipv4Pattern), 'an IPv4 address with its prefix length, such as 10.77.0.1/24'],
  [String(plainIpv4Pattern), 'an IPv4 address, such as 10.77.0.1'],
  [String(linkLocalPattern), 'an IPv6 link-local address, such as fe80::1'],
  [String(listenPattern), 'an address with its port, such as 127.0.0.1:7801'],
  [String(originPattern), 'an origin without a path, such as http://127.0.0.1:8080'],
  [String(loopbackPattern), 'a loopback address with its port, such as 127.0.0.1:7788'],
])
