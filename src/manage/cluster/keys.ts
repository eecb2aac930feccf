// Keys of the shared bucket: where each record stands, and what of it the key itself says.
//
// The rule it must not break: everything that a host writes lies below `host.NAME.`, so that one rule of the NATS server confines it; a record
// has exactly one key.

/** What a host claims for a port, once in the whole network. */
export const claimKinds = ['port', 'mac', 'ip'] as const
export type ClaimKind = (typeof claimKinds)[number]

/** What can be claimed, as the last two parts of a key: `mac.5001-525400770001`. */
export type Thing = `${ClaimKind}.${string}`

export const HOST_NAME_MAX = 63
export const hostNamePattern = new RegExp(`^[A-Za-z0-9][A-Za-z0-9-]{0,${HOST_NAME_MAX - 1}}$`)
export const networkNamePattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/
/** Longer keys are nobody's. */
export const KEY_MAX = 400

/** Where a key leads. */
export type Place =
  | { readonly kind: 'network' }
  | { readonly kind: 'subnet'; readonly virtualSubnetId: number }
  | { readonly kind: 'policy'; readonly name: string }
  | { readonly kind: 'lookup'; readonly virtualSubnetId: number; readonly mac: string }
  | { readonly kind: 'lease'; readonly host: string }
  | { readonly kind: 'port'; readonly host: string; readonly port: string }
  | { readonly kind: 'claim'; readonly host: string; readonly thing: Thing }

/** Name of the bucket of a network. */
export const bucketOf = (network: string): string => `vmswitch-${network}`

/** A text as one part of a key: letters, digits, `-` and `_` as they are, other bytes as `=` and two digits. */
export const partOf = (text: string): string =>
  [...new TextEncoder().encode(text)]
    .map((byte) => {
      const letter = String.fromCharCode(byte)
      return /[A-Za-z0-9_-]/.test(letter) ? letter : `=${byte.toString(16).padStart(2, '0')}`
    })
    .join('')

/** The text of a part; null if `partOf` never made it. */
export function textOf(part: string): string | null {
  const bytes = part.match(/=[0-9a-f]{2}|[A-Za-z0-9_-]/g) ?? []
  if (part === '' || bytes.join('') !== part) return null
  const codes = bytes.map((byte) => (byte.length === 1 ? byte.charCodeAt(0) : Number.parseInt(byte.slice(1), 16)))
  const text = new TextDecoder().decode(Uint8Array.from(codes))
  return partOf(text) === part ? text : null
}

export const NETWORK_KEY = 'network'
export const subnetKey = (virtualSubnetId: number): string => `subnet.${virtualSubnetId}`
export const policyKey = (name: string): string => `policy.${partOf(name)}`
export const lookupKey = (virtualSubnetId: number, mac: string): string => `lookup.${virtualSubnetId}-${macPart(mac)}`
export const leaseKey = (host: string): string => `host.${host}.lease`
export const portKey = (host: string, port: string): string => `host.${host}.port.${partOf(port)}`
export const claimKey = (host: string, thing: Thing): string => `host.${host}.claim.${thing}`

const macPart = (mac: string): string => mac.replaceAll(':', '')

export const portThing = (port: string): Thing => `port.${partOf(port)}`
export const macThing = (virtualSubnetId: number, mac: string): Thing => `mac.${virtualSubnetId}-${macPart(mac)}`
export const ipThing = (virtualSubnetId: number, address: string): Thing => `ip.${virtualSubnetId}-${partOf(address)}`

/** A claimed thing in words: `the MAC address 52:54:00:77:00:01 in virtual subnet 5001`. */
export function thingText(thing: Thing): string {
  const [kind, part = ''] = thing.split('.') as [ClaimKind, string]
  if (kind === 'port') return `the port name "${textOf(part) ?? part}"`
  const at = part.indexOf('-')
  const subnet = part.slice(0, at) === '0' ? '' : ` in virtual subnet ${part.slice(0, at)}`
  const rest = part.slice(at + 1)
  if (kind === 'ip') return `the address ${textOf(rest) ?? rest}${subnet}`
  return `the MAC address ${rest.match(/../g)?.join(':') ?? rest}${subnet}`
}

const thingPatterns: Readonly<Record<ClaimKind, RegExp>> = {
  port: /^[A-Za-z0-9_=-]+$/,
  mac: /^(0|[1-9]\d{0,7})-[0-9a-f]{12}$/,
  ip: /^(0|[1-9]\d{0,7})-[A-Za-z0-9_=-]+$/,
}

/** Where a key leads; null: nowhere that this version knows. */
export function placeOf(key: string): Place | null {
  if (key.length > KEY_MAX) return null
  const parts = key.split('.')
  const [first, second = '', third, fourth = '', fifth = ''] = parts
  if (key === NETWORK_KEY) return { kind: 'network' }
  if (first === 'subnet' && parts.length === 2 && /^[1-9]\d{0,7}$/.test(second))
    return { kind: 'subnet', virtualSubnetId: Number(second) }
  if (first === 'policy' && parts.length === 2) {
    const name = textOf(second)
    return name === null ? null : { kind: 'policy', name }
  }
  if (first === 'lookup' && parts.length === 2) {
    const found = /^([1-9]\d{0,7})-([0-9a-f]{12})$/.exec(second)
    return found === null ? null : { kind: 'lookup', virtualSubnetId: Number(found[1]), mac: found[2]!.match(/../g)!.join(':') }
  }
  if (first !== 'host' || !hostNamePattern.test(second)) return null
  if (third === 'lease' && parts.length === 3) return { kind: 'lease', host: second }
  if (third === 'port' && parts.length === 4) {
    const port = textOf(fourth)
    return port === null ? null : { kind: 'port', host: second, port }
  }
  if (third !== 'claim' || parts.length !== 5) return null
  const kind = claimKinds.find((one) => one === fourth)
  return kind !== undefined && thingPatterns[kind].test(fifth) ? { kind: 'claim', host: second, thing: `${kind}.${fifth}` } : null
}
