// What dhcp-dns gives out in one network: the addresses that it has there itself, those of guests, and what it tells with them.
//
// The rule it must not break: an address that it would give out lies in its own network and is not its own; what can't be is refused here.
import { formatIpv4, formatIpv6, OptionError, OptionReader, type Prefix, parseIpv4, parsePrefix } from '../../extension.ts'
import { ipv4At, ipv6At, reading } from './address-values.ts'
import { type BootFile, readBoot } from './boot-options.ts'
import { type ExtraOption, readExtraOptions } from './extra-options.ts'

export const POOL_MAX = 65_536
const ROUTES_MAX = 16
const SERVERS_MAX = 4
const VLAN_MAX = 4094
const NETWORKS_MAX = 64

export interface Route {
  readonly to: Prefix
  readonly via: number
}

export interface Ipv4Options {
  readonly address: number
  readonly prefix: Prefix
  /** First and last address of the pool; undefined: only static leases. */
  readonly pool: readonly [first: number, last: number] | undefined
  readonly router: number | undefined
  readonly dns: readonly number[]
  readonly ntp: readonly number[]
  readonly routes: readonly Route[]
  /** What guests that boot over the network fetch. */
  readonly boot: readonly BootFile[]
  /** Options beside those that have names here. */
  readonly extra: readonly ExtraOption[]
}

export interface Ipv6Options {
  readonly address: Uint8Array
  readonly prefix: Prefix
  /** How guests come by addresses: by themselves, and whether DHCPv6 tells them the rest or gives addresses too. */
  readonly mode: 'slaac' | 'stateless' | 'stateful'
  /** Of `stateful`: low 32 bits of the first and last address. */
  readonly pool: readonly [first: number, last: number] | undefined
  /** Whether guests may send to it what goes elsewhere: seconds, 0 = no. */
  readonly routerSeconds: number
  readonly dns: readonly Uint8Array[]
  readonly intervalSeconds: number
}

/** A network that it serves: the guests of one VLAN, or of all that no other network is for. */
export interface LabNetwork {
  /** Its place in the list. */
  readonly index: number
  /** undefined: every VLAN that no other network names, and guests in none. */
  readonly vlan: number | undefined
  readonly ipv4: Ipv4Options | undefined
  readonly ipv6: Ipv6Options | undefined
}

// An address with the length of its network: 10.0.0.1/24.
function addressWithin(reader: OptionReader, family: 4 | 6): { text: string; prefix: Prefix } | undefined {
  const text = reader.text('address')
  if (text === undefined) return undefined
  const example = family === 4 ? '10.0.0.1/24' : 'fd00::1/64'
  const [address = '', length = ''] = text.split('/')
  const bits = /^\d{1,3}$/.test(length) ? Number(length) : -1
  if (bits < 1 || bits > (family === 4 ? 30 : 64))
    throw reader.error('address', `"${text}" needs the length of its network: ${example}`)
  const bytes =
    family === 4
      ? reading(reader.path('address'), address, 'an address', (one) => new DataView(numberBytes(parseIpv4(one)).buffer))
      : new DataView(ipv6At(address, reader.path('address')).slice().buffer)
  const whole = new Uint8Array(bytes.buffer)
  for (let i = 0; i < whole.length; i++)
    whole[i] = whole[i]! & (i * 8 >= bits ? 0 : bits - i * 8 >= 8 ? 255 : (0xff00 >> (bits - i * 8)) & 255)
  const net = family === 4 ? formatIpv4(bytes.getUint32(0)) : formatIpv6(whole)
  return { text: address, prefix: parsePrefix(`${net}/${bits}`) }
}

const numberBytes = (address: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.of(address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255)

export const isOfNetwork = (address: number, prefix: Prefix): boolean => {
  const net = new DataView(prefix.bytes.buffer, prefix.bytes.byteOffset).getUint32(0)
  return (address ^ net) >>> (32 - prefix.length) === 0
}

function readIpv4(raw: unknown, path: string): Ipv4Options | undefined {
  if (raw === undefined) return undefined
  const reader = new OptionReader(raw, path)
  const own = addressWithin(reader, 4)
  if (!own) throw reader.error('address', 'is missing: write its address and network, like 10.0.0.1/24')
  const address = ipv4At(own.text, reader.path('address'))
  const { prefix } = own
  const poolText = reader.text('pool')
  const ends = poolText?.split('-').map((one) => ipv4At(one.trim(), reader.path('pool')))
  if (ends && (ends.length !== 2 || ends[0]! > ends[1]! || ends[1]! - ends[0]! >= POOL_MAX))
    throw reader.error(
      'pool',
      `"${poolText}" is not a range of at most ${POOL_MAX} addresses: write one like 10.0.0.100-10.0.0.199`,
    )
  if (ends && !ends.every((one) => isOfNetwork(one, prefix)))
    throw reader.error('pool', `"${poolText}" is not all in the network of ${own.text}/${prefix.length}`)
  const list = (name: string): number[] => {
    const read = reader.list(name, ipv4At) ?? []
    if (read.length > SERVERS_MAX) throw reader.error(name, `has ${read.length} addresses: write at most ${SERVERS_MAX}`)
    return read
  }
  const router = reader.value('router') === undefined ? undefined : ipv4At(reader.value('router'), reader.path('router'))
  const dns = reader.value('dns') === undefined ? [address] : list('dns')
  const ntp = list('ntp')
  const routes =
    reader.list('routes', (value, at) => {
      const inner = new OptionReader(value, at)
      const to = reading(inner.path('to'), inner.value('to'), 'a prefix, like 10.1.0.0/16', parsePrefix)
      const via = ipv4At(inner.value('via'), inner.path('via'))
      inner.done()
      if (to.family !== 4) throw inner.error('to', 'is IPv6: DHCP gives routes of IPv4')
      return { to, via }
    }) ?? []
  if (routes.length > ROUTES_MAX) throw reader.error('routes', `are ${routes.length}: write at most ${ROUTES_MAX}`)
  const boot = readBoot(reader)
  const extra = readExtraOptions(reader)
  reader.done()
  return { address, prefix, pool: ends as [number, number] | undefined, router, dns, ntp, routes, boot, extra }
}

function readIpv6(raw: unknown, path: string): Ipv6Options | undefined {
  if (raw === undefined) return undefined
  const reader = new OptionReader(raw, path)
  const own = addressWithin(reader, 6)
  if (!own) throw reader.error('address', 'is missing: write its address and network, like fd00::1/64')
  const mode = reader.choice('mode', ['slaac', 'stateless', 'stateful']) ?? 'slaac'
  if (mode !== 'stateful' && own.prefix.length !== 64)
    throw reader.error('address', `is in a network of /${own.prefix.length}: guests make themselves addresses in one of /64`)
  const address = ipv6At(own.text, reader.path('address'))
  const first = mode === 'stateful' ? (reader.integer('first', 1, 0xffffffff) ?? 0x1000) : undefined
  const count = mode === 'stateful' ? (reader.integer('count', 1, POOL_MAX) ?? 256) : 0
  const options: Ipv6Options = {
    address,
    prefix: own.prefix,
    mode,
    pool: first === undefined ? undefined : [first, first + count - 1],
    routerSeconds: reader.integer('routerSeconds', 0, 9000) ?? 0,
    dns: reader.value('dns') === undefined ? [address] : (reader.list('dns', ipv6At) ?? []),
    intervalSeconds: reader.integer('intervalSeconds', 4, 1800) ?? 60,
  }
  reader.done()
  if (options.dns.length > SERVERS_MAX)
    throw reader.error('dns', `has ${options.dns.length} addresses: write at most ${SERVERS_MAX}`)
  return options
}

/** Whether a network has a router that is not the server itself, which forwards nothing. */
export const hasWayOut = ({ router, address }: Ipv4Options): boolean => router !== undefined && router !== address

/** Reads one network of the list `networks`, or the top level, which is one too. Throws OptionError. */
function readNetwork(reader: OptionReader, index: number, vlan: number | undefined): LabNetwork {
  return {
    index,
    vlan,
    ipv4: readIpv4(reader.value('ipv4'), reader.path('ipv4')),
    ipv6: readIpv6(reader.value('ipv6'), reader.path('ipv6')),
  }
}

const overlaps = (one: Prefix, other: Prefix): boolean => {
  const length = Math.min(one.length, other.length)
  return one.bytes.every((octet, i) => {
    const bits = Math.min(8, Math.max(0, length - i * 8))
    return bits === 0 || (octet ^ other.bytes[i]!) >>> (8 - bits) === 0
  })
}

/** Reads the networks of the options: the one at their top level, if there is one, and those of the list. Throws OptionError. */
export function readNetworks(reader: OptionReader): readonly LabNetwork[] {
  const found: LabNetwork[] = []
  const top = readNetwork(reader, 0, undefined)
  if (top.ipv4 || top.ipv6) found.push(top)
  const add = (raw: unknown, path: string): void => {
    const inner = new OptionReader(raw, path)
    const vlan = inner.integer('vlan', 1, VLAN_MAX)
    if (vlan === undefined) throw inner.error('vlan', `is missing: write the number of a VLAN, 1 to ${VLAN_MAX}`)
    if (found.some((one) => one.vlan === vlan)) throw inner.error('vlan', `${vlan} has a network already`)
    const network = readNetwork(inner, found.length, vlan)
    inner.done()
    if (!network.ipv4 && !network.ipv6) throw new OptionError(path, 'has neither ipv4 nor ipv6: write one of them')
    for (const other of found)
      for (const family of ['ipv4', 'ipv6'] as const)
        if (network[family] && other[family] && overlaps(network[family].prefix, other[family].prefix))
          throw inner.error(`${family}.address`, 'lies in the network of another one of the list')
    found.push(network)
  }
  reader.list('networks', add)
  if (found.length === 0) throw new OptionError('', 'there is neither ipv4 nor ipv6: write one of them')
  if (found.length > NETWORKS_MAX) throw reader.error('networks', `are ${found.length}: write at most ${NETWORKS_MAX}`)
  return found
}
