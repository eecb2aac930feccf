// What an overlay, its subnets and records, and the ports of the switch must have in common.
//
// The rule it must not break: what is accepted here has one meaning: each address reads as one, and no two records speak of the same guest.
import { NVGRE_VSID_MAX, NVGRE_VSID_MIN } from '../../switch/overlay/options.ts'
import type { Path, Report } from './checks.ts'
import { type IpAddress, ipAddress } from './ip-address.ts'
import { isMulticastMac, isZeroMac, multicastHint, normalizeMac } from './mac.ts'
import { checkRouting, normalPrefix, normalRoute } from './overlay-route-checks.ts'
import type { OverlayConfig, RecordConfig, ResolvedPort, SubnetConfig } from './types.ts'

/** What guests with IPv6 need (RFC 8200 5). */
const GUEST_MTU_MIN = 1280
const DEFAULT_MTU = 1500
const ETHERNET = 14
const IPV4 = 20
const IPV6 = 40
const headers = { nvgre: 8, vxlan: 16, geneve: 16 } as const

/** Bytes that a tunnel adds before a guest's IP packet: its own headers and the guest's Ethernet header. */
export const tunnelBytes = (kind: OverlayConfig['kind'], family: 4 | 6): number =>
  ETHERNET + headers[kind] + (family === 4 ? IPV4 : IPV6)

/** The virtual subnet that a port's guest is in; 0: none. */
export function virtualSubnetOf({ properties = [] }: Pick<ResolvedPort, 'properties'>): number {
  const security = properties.find(({ type }) => type === 'security')?.value as { virtualSubnetId?: unknown } | undefined
  return typeof security?.virtualSubnetId === 'number' ? security.virtualSubnetId : 0
}

/** Reports what does not fit, at its place below `overlay`. */
export function checkOverlay(
  overlay: OverlayConfig,
  { ports, isExternal }: { readonly ports: readonly ResolvedPort[]; readonly isExternal: (port: ResolvedPort) => boolean },
  report: Report,
): void {
  if (!ports.some(isExternal))
    report(
      'needs-external',
      [],
      'the switch has no external port, behind which the tunnels would be',
      'give it a port with an endpoint of kind: uplink, and type: external',
    )
  const families = checkProviders(overlay, report)
  const known = new Set<number>()
  for (const [index, subnet] of overlay.subnets.entries()) {
    checkSubnet(subnet, overlay, families, ['subnets', index], report)
    if (known.has(subnet.vsid))
      report('duplicate', ['subnets', index, 'vsid'], `there are two subnets ${subnet.vsid}`, 'make one of them')
    known.add(subnet.vsid)
  }
  checkRecords(overlay, known, families, report)
  checkRouting(overlay, report)
  checkSettings(overlay, families, report)
  const subnets = known.size === 0 ? 'there are none' : `there are ${[...known].slice(0, 8).join(', ')}`
  // Without any, a network of hosts tells them.
  for (const port of known.size === 0 ? [] : ports) {
    const vsid = virtualSubnetOf(port)
    if (vsid !== 0 && !known.has(vsid))
      report(
        'no-such-subnet',
        [],
        `port "${port.name}" is in virtual subnet ${vsid}, which overlay.subnets does not have`,
        subnets,
      )
  }
}

function checkProviders({ providerAddresses, providerMac, kind, mtu = DEFAULT_MTU }: OverlayConfig, report: Report): Set<4 | 6> {
  if (providerMac !== undefined) checkMac(normalizeMac(providerMac), ['providerMac'], report)
  const seen = new Set<string>()
  const families = new Set<4 | 6>()
  for (const [index, provider] of providerAddresses.entries()) {
    const path: Path = ['providerAddresses', index]
    const own = checkProvider(provider, path, report)
    if (own === null) continue
    if (seen.has(own.text)) report('duplicate', [...path, 'address'], `${own.text} is there twice`, 'remove one of the two')
    seen.add(own.text)
    families.add(own.family)
    const left = mtu - tunnelBytes(kind, own.family)
    if (left < GUEST_MTU_MIN)
      report(
        'mtu-too-small',
        ['mtu'],
        `an MTU of ${mtu} leaves ${left} bytes for a guest's packet in a tunnel over IPv${own.family}`,
        `at least ${GUEST_MTU_MIN + tunnelBytes(kind, own.family)} are needed`,
      )
  }
  return families
}

function checkProvider(
  { address, gateway }: OverlayConfig['providerAddresses'][number],
  path: Path,
  report: Report,
): IpAddress | null {
  const [text = '', length, ...more] = address.split('/')
  const own = ipAddress(text)
  const bits = own?.family === 6 ? 128 : 32
  const isLength = length !== undefined && /^\d{1,3}$/.test(length) && Number(length) <= bits && more.length === 0
  if (own === null || own.isGroup || own.isZero || !isLength) {
    const hint = 'write it with its prefix length, such as 192.0.2.1/24 or 2001:db8::1/64'
    report('bad-address', [...path, 'address'], `"${address}" is not the address of a host`, hint)
    return null
  }
  if (gateway !== undefined) checkHost(gateway, new Set([own.family]), [...path, 'gateway'], report)
  return own
}

// The address of another host, of a family in which this one has an address.
function checkHost(text: string, families: ReadonlySet<4 | 6>, path: Path, report: Report): string | null {
  const host = ipAddress(text)
  if (host === null || host.isGroup || host.isZero) {
    report('bad-address', path, `"${text}" is not the address of a host`, 'write one such as 192.0.2.2 or 2001:db8::2')
    return null
  }
  if (!families.has(host.family))
    report(
      'wrong-family',
      path,
      `${host.text} is an IPv${host.family} address, and this host has no provider address of IPv${host.family}`,
      'add one to providerAddresses, or use the other family',
    )
  return host.text
}

const ownAddresses = (providers: OverlayConfig['providerAddresses']): ReadonlySet<string | undefined> =>
  new Set(providers.map(({ address }) => ipAddress(address.split('/')[0]!)?.text))

/** Checks one subnet; its place is below `path`. */
export function checkSubnet(
  { vsid, peers }: SubnetConfig,
  { kind, providerAddresses }: Pick<OverlayConfig, 'kind' | 'providerAddresses'>,
  families: ReadonlySet<4 | 6>,
  path: Path,
  report: Report,
): void {
  if (kind === 'nvgre' && (vsid < NVGRE_VSID_MIN || vsid > NVGRE_VSID_MAX))
    report(
      'bad-value',
      [...path, 'vsid'],
      `NVGRE has no virtual subnet ${vsid}`,
      `take one from ${NVGRE_VSID_MIN} to ${NVGRE_VSID_MAX}`,
    )
  const own = ownAddresses(providerAddresses)
  const seen = new Set<string>()
  for (const [index, text] of peers.entries()) {
    const at: Path = [...path, 'peers', index]
    const peer = checkHost(text, families, at, report)
    if (peer === null) continue
    if (own.has(peer)) report('bad-value', at, `${peer} is this host itself`, 'name other hosts')
    if (seen.has(peer)) report('duplicate', at, `${peer} is there twice`, 'remove one of the two')
    seen.add(peer)
  }
}

function checkRecords(
  { records, providerAddresses }: OverlayConfig,
  subnets: ReadonlySet<number>,
  families: ReadonlySet<4 | 6>,
  report: Report,
): void {
  const own = ownAddresses(providerAddresses)
  const guests = new Set<string>()
  const addresses = new Map<string, string>()
  for (const [index, record] of records.entries()) {
    const path: Path = ['records', index]
    checkRecord(record, families, path, report)
    const { vsid } = record
    if (own.has(record.provider))
      report(
        'bad-value',
        [...path, 'provider'],
        `${record.provider} is this host itself`,
        'records are about guests of other hosts',
      )
    const mac = normalizeMac(record.mac)
    if (!subnets.has(vsid))
      report(
        'no-such-subnet',
        [...path, 'vsid'],
        `there is no virtual subnet ${vsid}`,
        subnets.size === 0 ? 'add it to subnets' : `there are ${[...subnets].slice(0, 8).join(', ')}`,
      )
    const guest = `${vsid}/${mac}`
    if (guests.has(guest))
      report('duplicate', [...path, 'mac'], `${mac} of virtual subnet ${vsid} has a record already`, 'remove one of the two')
    guests.add(guest)
    for (const [i, text] of record.addresses.entries()) {
      const key = `${vsid}/${ipAddress(text)?.text}`
      const owner = addresses.get(key)
      if (owner !== undefined)
        report('duplicate', [...path, 'addresses', i], `${text} is an address of ${owner} already`, 'remove one of the two')
      addresses.set(key, mac)
    }
  }
}

function checkMac(mac: string, path: Path, report: Report): void {
  if (isMulticastMac(mac)) report('multicast-mac', path, `${mac} is a group address`, multicastHint(mac))
  else if (isZeroMac(mac)) report('zero-mac', path, `${mac} is no address`, 'choose another one')
}

/** Checks one record by itself; its place is below `path`. */
export function checkRecord(record: RecordConfig, families: ReadonlySet<4 | 6>, path: Path, report: Report): void {
  checkMac(normalizeMac(record.mac), [...path, 'mac'], report)
  for (const [i, text] of record.addresses.entries()) {
    const customer = ipAddress(text)
    if (customer === null || customer.isGroup || customer.isZero)
      report(
        'bad-address',
        [...path, 'addresses', i],
        `"${text}" is not the address of a guest`,
        'write one such as 10.0.0.2 or fd00::2',
      )
  }
  checkHost(record.provider, families, [...path, 'provider'], report)
}

function checkSettings({ kind, udpPort, multicast }: OverlayConfig, families: ReadonlySet<4 | 6>, report: Report): void {
  if (kind === 'nvgre' && udpPort !== undefined) report('bad-value', ['udpPort'], 'NVGRE has no UDP port', 'remove udpPort')
  if (multicast === undefined || multicast === 'replicate' || multicast === 'drop') return
  const group = ipAddress(multicast)
  if (group === null || !group.isGroup)
    report(
      'bad-value',
      ['multicast'],
      `"${multicast}" is no multicast group`,
      'write replicate, drop, or a group such as 239.1.1.1',
    )
  else if (!families.has(group.family))
    report(
      'wrong-family',
      ['multicast'],
      `this host has no provider address of IPv${group.family}`,
      'use a group of the other family',
    )
}

/** The families in which this host has provider addresses. */
export const providerFamilies = ({ providerAddresses }: Pick<OverlayConfig, 'providerAddresses'>): Set<4 | 6> =>
  new Set(providerAddresses.flatMap(({ address }) => ipAddress(address.split('/')[0]!)?.family ?? []))

const normal = (text: string): string => ipAddress(text)?.text ?? text

export const normalSubnet = ({ prefixes, gateways, ...subnet }: SubnetConfig): SubnetConfig => ({
  ...subnet,
  ...(prefixes === undefined ? {} : { prefixes: prefixes.map(normalPrefix) }),
  ...(gateways === undefined ? {} : { gateways: gateways.map(normal) }),
  peers: subnet.peers.map(normal),
})

export const normalRecord = (record: RecordConfig): RecordConfig => ({
  ...record,
  mac: normalizeMac(record.mac),
  addresses: record.addresses.map(normal),
  provider: normal(record.provider),
})

/** The overlay with all addresses in normal form; what is no address stays as it is, for the checks to find. */
export const normalOverlay = (overlay: OverlayConfig): OverlayConfig => ({
  ...overlay,
  providerAddresses: overlay.providerAddresses.map(({ address, gateway }) => {
    const [host = '', ...rest] = address.split('/')
    return { address: [normal(host), ...rest].join('/'), ...(gateway === undefined ? {} : { gateway: normal(gateway) }) }
  }),
  ...(overlay.providerMac === undefined ? {} : { providerMac: normalizeMac(overlay.providerMac) }),
  ...(overlay.multicast === undefined ? {} : { multicast: normal(overlay.multicast) }),
  subnets: overlay.subnets.map(normalSubnet),
  records: overlay.records.map(normalRecord),
  routes: overlay.routes.map(normalRoute),
})
