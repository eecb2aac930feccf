// Addresses that a name of the world outside has no business to lead to: a resolver, or who owns the name, could otherwise open the way
// to the host, its metadata service or the networks behind it (DNS rebinding).
//
// The rule it must not break: an IPv4 address that an IPv6 address carries is judged as the IPv4 address that it is.
import { isInPrefix, parsePrefix } from '../../extension.ts'

const SPECIAL_IPV4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '224.0.0.0/4',
  '240.0.0.0/4',
].map(parsePrefix)

const SPECIAL_IPV6 = [
  '::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/32',
  '2001:2::/48',
  '5f00::/16',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
].map(parsePrefix)

/** IPv6 prefixes behind which an IPv4 address stands, and at which octet: mapped, translated (NAT64), 6to4. */
const CARRIERS = [
  { prefix: parsePrefix('::ffff:0:0/96'), at: 12 },
  { prefix: parsePrefix('::ffff:0:0:0/96'), at: 12 },
  { prefix: parsePrefix('64:ff9b::/96'), at: 12 },
  { prefix: parsePrefix('2002::/16'), at: 2 },
]

/** True if no name may open the way to the 4 or 16 octets of an address, unless a rule says so. */
export function isSpecial(address: Uint8Array): boolean {
  if (address.length === 4) return SPECIAL_IPV4.some((prefix) => isInPrefix(prefix, address))
  for (const { prefix, at } of CARRIERS) if (isInPrefix(prefix, address)) return isSpecial(address.subarray(at, at + 4))
  return SPECIAL_IPV6.some((prefix) => isInPrefix(prefix, address))
}
