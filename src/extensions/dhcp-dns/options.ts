// Options of dhcp-dns: the address that it has in the lab, and what it gives out.
//
// The rule it must not break: an address that it would give out lies in its own network and is not its own; what can't be is refused here.
import { formatIpv4, formatIpv6, OptionError, OptionReader, parseMac } from '../../extension.ts'
import { ipv4At, ipv6At, reading } from './address-values.ts'
import { hasWayOut, isOfNetwork, type LabNetwork, readNetworks } from './network-options.ts'

const STATIC_MAX = 1024
const SEARCH_MAX = 8
const UPSTREAM_MAX = 4
const LEASE_SECONDS_MAX = 1_000_000
const MAC_DEFAULT = '02:76:6d:73:00:01'

/** What one VM has once and for all: the first of its kind whose port or MAC address fits. */
export interface StaticLease {
  readonly port: string | undefined
  readonly mac: string | undefined
  readonly address: number | undefined
  readonly address6: Uint8Array | undefined
  readonly name: string | undefined
}

export interface FixedName {
  /** Within the domain; `*.apps` stands for every name below apps. */
  readonly name: string
  readonly addresses: readonly string[]
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
  /** Resolvers that questions about other names are passed on to. */
  readonly upstream: readonly number[]
  /** Domains that guests look names up in, behind the lab's own. */
  readonly search: readonly string[]
  readonly networks: readonly LabNetwork[]
  readonly statics: readonly StaticLease[]
  readonly names: readonly FixedName[]
}

const labelPattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

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
  const name = reader.text('name')?.toLowerCase()
  if (name === undefined) throw reader.error('name', 'is missing: write a name, within the domain')
  if (name.length > 200 || !name.split('.').every((label, i) => labelPattern.test(label) || (i === 0 && label === '*')))
    throw reader.error('name', `"${name}" is not a name within the domain: printer, www.shop, or *.apps for all below apps`)
  const addresses = reader.list('addresses', (value, at) => {
    const isIpv6 = typeof value === 'string' && value.includes(':')
    return isIpv6 ? formatIpv6(ipv6At(value, at)) : formatIpv4(ipv4At(value, at))
  })
  if (!addresses?.length) throw reader.error('addresses', 'is missing: write one or more')
  reader.done()
  return { name, addresses }
}

const isDomain = (text: string): boolean => text.length <= 200 && text.split('.').every((label) => labelPattern.test(label))

function readDomain(reader: OptionReader): string {
  const domain = (reader.text('domain') ?? 'lab.internal').toLowerCase().replace(/\.$/, '')
  if (isDomain(domain)) return domain
  throw reader.error('domain', `"${domain}" is not a domain: write one like lab.internal`)
}

function readSearch(value: unknown, path: string): string {
  const domain = typeof value === 'string' ? value.toLowerCase().replace(/\.$/, '') : ''
  if (isDomain(domain)) return domain
  throw new OptionError(path, `${JSON.stringify(value)} is not a domain: write one like example.org`)
}

function checkStatics({ statics, networks }: DhcpDnsOptions): void {
  const seen = new Set<number>()
  for (const [i, { address }] of statics.entries()) {
    if (address === undefined) continue
    const error = (what: string): OptionError => new OptionError(`statics[${i}].address`, `${formatIpv4(address)} ${what}`)
    const network = networks.find(({ ipv4 }) => ipv4 && isOfNetwork(address, ipv4.prefix))
    if (!network) throw error('is not in the network of ipv4.address')
    if (address === network.ipv4!.address) throw error('is its own address')
    if (seen.has(address)) throw error('is given twice')
    seen.add(address)
  }
}

// A resolver is in one of the networks, or behind the router of one.
function checkUpstream({ upstream, networks }: DhcpDnsOptions): void {
  for (const [i, address] of upstream.entries()) {
    const error = (what: string): OptionError => new OptionError(`upstream[${i}]`, `${formatIpv4(address)} ${what}`)
    if (networks.some(({ ipv4 }) => ipv4?.address === address)) throw error('is its own address')
    if (!networks.some(({ ipv4 }) => ipv4 && (isOfNetwork(address, ipv4.prefix) || hasWayOut(ipv4))))
      throw error('is in none of its networks: write a router of one that leads there')
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
    upstream: reader.list('upstream', ipv4At) ?? [],
    search: reader.list('search', readSearch) ?? [],
    networks: readNetworks(reader),
    statics: reader.list('statics', readStatic) ?? [],
    names: reader.list('names', readFixedName) ?? [],
  }
  reader.done()
  if (options.search.length > SEARCH_MAX)
    throw reader.error('search', `has ${options.search.length} domains: write at most ${SEARCH_MAX}`)
  if (options.upstream.length > UPSTREAM_MAX)
    throw reader.error('upstream', `has ${options.upstream.length} addresses: write at most ${UPSTREAM_MAX}`)
  checkUpstream(options)
  if (options.statics.length > STATIC_MAX || options.names.length > STATIC_MAX)
    throw new OptionError('statics', `and names: write at most ${STATIC_MAX} of each`)
  checkStatics(options)
  return options
}
