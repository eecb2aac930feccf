// Options of dhcp-dns: the address that it has in the lab, and what it gives out.
//
// The rule it must not break: an address that it would give out lies in its own network and is not its own; what can't be is refused here.
import {
  formatIpv4,
  formatIpv6,
  OptionError,
  OptionReader,
  type Prefix,
  parseIpv4,
  parseIpv6,
  parseMac,
  parsePrefix,
} from '../../extension.ts'

export const POOL_MAX = 65_536
const STATIC_MAX = 1024
const ROUTES_MAX = 16
const SERVERS_MAX = 4
const LEASE_SECONDS_MAX = 1_000_000
const MAC_DEFAULT = '02:76:6d:73:00:01'

export interface Route {
  readonly to: Prefix
  readonly via: number
}

/** What one VM has once and for all: the first of its kind whose port or MAC address fits. */
export interface StaticLease {
  readonly port: string | undefined
  readonly mac: string | undefined
  readonly address: number | undefined
  readonly address6: Uint8Array | undefined
  readonly name: string | undefined
}

export interface FixedName {
  readonly name: string
  readonly addresses: readonly string[]
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

export interface DhcpDnsOptions {
  readonly mac: string
  readonly domain: string
  /** Its own name in the domain. */
  readonly name: string
  readonly ports: readonly string[] | undefined
  readonly leaseSeconds: number
  readonly leases: number
  readonly leasesPerPort: number
  readonly answersPerSecond: number
  readonly mtu: number | undefined
  readonly dnsTtl: number
  readonly ipv4: Ipv4Options | undefined
  readonly ipv6: Ipv6Options | undefined
  readonly statics: readonly StaticLease[]
  readonly names: readonly FixedName[]
}

const show = (value: unknown): string => JSON.stringify(value) ?? String(value)
const labelPattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

function reading<Value>(path: string, value: unknown, what: string, read: (text: string) => Value): Value {
  if (typeof value !== 'string') throw new OptionError(path, `${show(value)} is not ${what}`)
  try {
    return read(value)
  } catch (error) {
    throw new OptionError(path, (error as Error).message)
  }
}

const ipv4At = (value: unknown, path: string): number => reading(path, value, 'an IPv4 address, like 10.0.0.1', parseIpv4)
const ipv6At = (value: unknown, path: string): Uint8Array => reading(path, value, 'an IPv6 address, like fd00::1', parseIpv6)

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

const isOfNetwork = (address: number, prefix: Prefix): boolean => {
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
  reader.done()
  return { address, prefix, pool: ends as [number, number] | undefined, router, dns, ntp, routes }
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

function readName(reader: OptionReader, name: string): string | undefined {
  const text = reader.text(name)?.toLowerCase()
  if (text === undefined || labelPattern.test(text)) return text
  throw reader.error(name, `"${text}" is not a name of one label: letters, digits and hyphens`)
}

function readStatic(raw: unknown, path: string): StaticLease {
  const reader = new OptionReader(raw, path)
  const macText = reader.text('mac')
  const mac = macText === undefined ? undefined : macText.toLowerCase().replaceAll('-', ':')
  if (mac !== undefined) reading(reader.path('mac'), mac, 'a MAC address', parseMac)
  const lease: StaticLease = {
    port: reader.text('port'),
    mac,
    address: reader.value('address') === undefined ? undefined : ipv4At(reader.value('address'), reader.path('address')),
    address6: reader.value('address6') === undefined ? undefined : ipv6At(reader.value('address6'), reader.path('address6')),
    name: readName(reader, 'name'),
  }
  reader.done()
  if (lease.port === undefined && lease.mac === undefined) throw new OptionError(path, 'is for nobody: write port or mac')
  return lease
}

function readFixedName(raw: unknown, path: string): FixedName {
  const reader = new OptionReader(raw, path)
  const name = readName(reader, 'name')
  if (name === undefined) throw reader.error('name', 'is missing: write a name of one label')
  const addresses = reader.list('addresses', (value, at) => {
    const isIpv6 = typeof value === 'string' && value.includes(':')
    return isIpv6 ? formatIpv6(ipv6At(value, at)) : formatIpv4(ipv4At(value, at))
  })
  if (!addresses?.length) throw reader.error('addresses', 'is missing: write one or more')
  reader.done()
  return { name, addresses }
}

function readDomain(reader: OptionReader): string {
  const domain = (reader.text('domain') ?? 'lab.internal').toLowerCase().replace(/\.$/, '')
  if (domain.length <= 200 && domain.split('.').every((label) => labelPattern.test(label))) return domain
  throw reader.error('domain', `"${domain}" is not a domain: write one like lab.internal`)
}

function checkStatics({ statics, ipv4 }: DhcpDnsOptions): void {
  const seen = new Set<number>()
  for (const [i, { address }] of statics.entries()) {
    if (address === undefined) continue
    const error = (what: string): OptionError => new OptionError(`statics[${i}].address`, `${formatIpv4(address)} ${what}`)
    if (!ipv4 || !isOfNetwork(address, ipv4.prefix)) throw error('is not in the network of ipv4.address')
    if (address === ipv4.address) throw error('is its own address')
    if (seen.has(address)) throw error('is given twice')
    seen.add(address)
  }
}

/** Checks the configured options. */
export function parseDhcpDnsOptions(raw: unknown): DhcpDnsOptions {
  const reader = new OptionReader(raw)
  const mac = (reader.text('mac') ?? MAC_DEFAULT).toLowerCase().replaceAll('-', ':')
  const bytes = reading('mac', mac, 'a MAC address', parseMac)
  if ((bytes[0]! & 1) !== 0) throw reader.error('mac', `${mac} is a group address`)
  const options: DhcpDnsOptions = {
    mac,
    domain: readDomain(reader),
    name: readName(reader, 'name') ?? 'gateway',
    ports: reader.names('ports'),
    leaseSeconds: reader.integer('leaseSeconds', 60, LEASE_SECONDS_MAX) ?? 3600,
    leases: reader.integer('leases', 1, 4096) ?? 512,
    leasesPerPort: reader.integer('leasesPerPort', 1, 256) ?? 8,
    answersPerSecond: reader.integer('answersPerSecond', 1, 10_000) ?? 100,
    mtu: reader.integer('mtu', 1280, 65_535),
    dnsTtl: reader.integer('dnsTtl', 0, 86_400) ?? 10,
    ipv4: readIpv4(reader.value('ipv4'), 'ipv4'),
    ipv6: readIpv6(reader.value('ipv6'), 'ipv6'),
    statics: reader.list('statics', readStatic) ?? [],
    names: reader.list('names', readFixedName) ?? [],
  }
  reader.done()
  if (!options.ipv4 && !options.ipv6) throw new OptionError('', 'there is neither ipv4 nor ipv6: write one of them')
  if (options.statics.length > STATIC_MAX || options.names.length > STATIC_MAX)
    throw new OptionError('statics', `and names: write at most ${STATIC_MAX} of each`)
  checkStatics(options)
  return options
}
