// Extended ACLs as people have them, and packets that meet them: prefixes of many lengths, ports, ranges of ports, protocols, mixed. The same
// for the same seed.
import type { ExtendedAclRule, PortRange } from '../../src/ndis/standard-properties.ts'

/** A packet from a port: local is its source. */
export interface Flow {
  readonly remote: readonly number[]
  readonly localPort: number
  readonly remotePort: number
}

/** Numbers below `below`, always the same ones. */
export function numbers(seed: number): (below: number) => number {
  let state = seed | 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return Math.floor(((state >>> 0) / 2 ** 32) * below)
  }
}

const PORTS = [22, 25, 53, 80, 110, 123, 143, 443, 445, 993, 1433, 3306, 3389, 5432, 6379, 8080]
const RANGES: readonly PortRange[] = [
  [1024, 65535],
  [8000, 8099],
  [5000, 5100],
  [30000, 32767],
  [0, 1023],
]
// How many of a hundred rules name a remote prefix of so many bits.
const PREFIXES = [
  { bits4: 32, bits6: 128, share: 30 },
  { bits4: 24, bits6: 64, share: 35 },
  { bits4: 16, bits6: 48, share: 15 },
  { bits4: 20, bits6: 56, share: 10 },
  { bits4: 8, bits6: 32, share: 2 },
] as const

function prefixBits(share: number, family: 4 | 6): number | undefined {
  let left = share
  for (const prefix of PREFIXES) {
    if (left < prefix.share) return family === 4 ? prefix.bits4 : prefix.bits6
    left -= prefix.share
  }
  return undefined // any address
}

const cut = (bytes: readonly number[], bits: number): number[] =>
  bytes.map((byte, i) => byte & ~(0xff >> Math.min(8, Math.max(0, bits - i * 8))) & 0xff)

/** Rules of a large set. */
export const MANY_RULES = 10_000
/** The /14 in which the flows of testpmd's flowgen are. */
export const FLOWGEN_NETWORK = [10, 252] as const

/**
 * `count` rules for what a port sends; all of them allow, so that the rest of a packet's way is the same. `network`: first bytes of a /14 of
 * IPv4 in which all remote prefixes are, in place of four /8.
 */
export function ruleSet(count: number, family: 4 | 6, seed: number, network?: readonly [number, number]): ExtendedAclRule[] {
  const random = numbers(seed)
  return Array.from({ length: count }, (_, i) => {
    const bits = prefixBits(random(100), family)
    const bytes = Array.from({ length: family === 4 ? 4 : 16 }, () => random(256))
    bytes.splice(0, family === 4 ? 1 : 2, ...(family === 4 ? [[10, 172, 192, 198][random(4)]!] : [0x20, 0x01]))
    if (network !== undefined) bytes.splice(0, 2, network[0], network[1] + random(4))
    const port = random(10)
    const remotePorts: PortRange | undefined =
      port < 5 || bits === undefined
        ? [PORTS[random(PORTS.length)]! + random(40), 0]
        : port < 8
          ? RANGES[random(RANGES.length)]!
          : undefined
    return {
      name: `rule ${i + 1}`,
      action: 'allow',
      direction: 'outbound',
      weight: count - i,
      stateful: false,
      idleSessionTimeoutSeconds: 255,
      protocol: random(4) === 0 ? 17 : 6,
      ...(bits === undefined ? {} : { remoteAddress: { address: cut(bytes, bits), bits } }),
      ...(remotePorts === undefined
        ? {}
        : { remotePorts: remotePorts[1] === 0 ? [remotePorts[0], remotePorts[0]] : remotePorts }),
      ...(random(8) === 0 ? { localPorts: RANGES[random(RANGES.length)]! } : {}),
    }
  })
}

/** `count` flows, nine of ten within a rule of `rules`. */
export function flowsOf(rules: readonly ExtendedAclRule[], count: number, family: 4 | 6, seed: number): Flow[] {
  const random = numbers(seed)
  const within = ([first, last]: PortRange): number => first + random(last - first + 1)
  return Array.from({ length: count }, () => {
    const rule = random(10) === 0 ? undefined : rules[random(rules.length)]
    const { address, bits } = rule?.remoteAddress ?? { address: [], bits: 0 }
    const remote = Array.from({ length: family === 4 ? 4 : 16 }, (_, i) => {
      const free = 0xff >> Math.min(8, Math.max(0, bits - i * 8))
      return (address[i] ?? 0) | (random(256) & free)
    })
    return {
      remote,
      localPort: within(rule?.localPorts ?? [32768, 60999]),
      remotePort: within(rule?.remotePorts ?? [0, 65535]),
    }
  })
}

const portsText = ([first, last]: PortRange): string => `${first}-${last}`

/** A rule of `ruleSet` over IPv4 as the property `extended-acl` has it. */
export const ruleOptions = ({
  name,
  action,
  direction,
  weight,
  protocol,
  remoteAddress,
  remotePorts,
  localPorts,
}: ExtendedAclRule): object => ({
  name,
  action,
  direction,
  weight,
  protocol,
  ...(remoteAddress ? { remoteIPAddress: `${remoteAddress.address.join('.')}/${remoteAddress.bits}` } : {}),
  ...(remotePorts ? { remotePort: portsText(remotePorts) } : {}),
  ...(localPorts ? { localPort: portsText(localPorts) } : {}),
})
