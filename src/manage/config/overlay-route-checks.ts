// What the routing of an overlay must have in common: prefixes and gateways of virtual subnets, routing domains, customer routes.
//
// The rule it must not break: what is accepted here leads each address of a routing domain one way, and every gateway is the router's alone.
import { formatPrefix, isInPrefix, type Prefix, parsePrefix } from '../../packet/addresses.ts'
import { ipBytes } from '../../packet/build.ts'
import type { Path, Report } from './checks.ts'
import { ipAddress } from './ip-address.ts'
import type { OverlayConfig, RouteConfig, SubnetConfig } from './types.ts'

const IPV6_BYTES = 16

function prefixOf(text: string): Prefix | null {
  try {
    return text.includes('/') ? parsePrefix(text) : null
  } catch {
    return null
  }
}

/** A prefix in normal form; what is none stays as it is, for the checks to find. */
export function normalPrefix(text: string): string {
  const prefix = prefixOf(text)
  return prefix === null ? text : formatPrefix(prefix)
}

/** A route in normal form: a next hop of zeros is none. */
export function normalRoute({ nextHop, ...route }: RouteConfig): RouteConfig {
  const hop = nextHop === undefined ? null : ipAddress(nextHop)
  const isNone = nextHop === undefined || hop?.isZero === true
  return { ...route, prefix: normalPrefix(route.prefix), ...(isNone ? {} : { nextHop: hop?.text ?? nextHop }) }
}

const isLinkLocal = (bytes: Uint8Array): boolean =>
  bytes.length === IPV6_BYTES && bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80

/** Reports what does not fit, at its place below `overlay`. */
export function checkRouting({ subnets, records, routes }: OverlayConfig, report: Report): void {
  const owners = new Map<string, number>()
  for (const [index, subnet] of subnets.entries()) {
    const path: Path = ['subnets', index]
    const prefixes = checkPrefixes(subnet, owners, path, report)
    checkGateways(subnet, prefixes, path, report)
  }
  const own = new Set(
    subnets.flatMap(({ vsid, gateways = [] }) => gateways.map((text) => `${vsid}/${ipAddress(text)?.text ?? text}`)),
  )
  for (const [index, { vsid, addresses }] of records.entries())
    for (const [i, text] of addresses.entries())
      if (own.has(`${vsid}/${ipAddress(text)?.text ?? text}`))
        report(
          'duplicate',
          ['records', index, 'addresses', i],
          `${text} is a gateway of virtual subnet ${vsid}`,
          'give the guest another address, or the subnet another gateway',
        )
  const known = new Map(subnets.map((subnet) => [subnet.vsid, subnet]))
  const seen = new Set<string>()
  for (const [index, route] of routes.entries()) {
    const path: Path = ['routes', index]
    checkRoute(route, known.get(route.vsid), own, path, report)
    const { vsid, prefix, nextHop = '' } = normalRoute(route)
    const id = `${vsid} ${prefix} ${nextHop}`
    if (seen.has(id)) report('duplicate', [...path, 'prefix'], 'the same route is there twice', 'remove one of the two')
    seen.add(id)
  }
}

function checkPrefixes(
  { vsid, routingDomain, prefixes = [] }: SubnetConfig,
  owners: Map<string, number>,
  path: Path,
  report: Report,
): readonly Prefix[] {
  const found: Prefix[] = []
  for (const [i, text] of prefixes.entries()) {
    const at: Path = [...path, 'prefixes', i]
    const prefix = checkPrefix(text, at, report)
    if (prefix === null) continue
    found.push(prefix)
    const key = `${routingDomain ?? `#${vsid}`} ${formatPrefix(prefix)}`
    const owner = owners.get(key)
    if (owner === vsid) report('duplicate', at, `${text} is there twice`, 'remove one of the two')
    else if (owner !== undefined)
      report(
        'duplicate',
        at,
        `virtual subnet ${owner} of routing domain "${routingDomain}" has the prefix ${text} already`,
        'give one of the two another prefix, or another routing domain',
      )
    else owners.set(key, vsid)
  }
  return found
}

function checkPrefix(text: string, path: Path, report: Report): Prefix | null {
  const prefix = prefixOf(text)
  if (prefix === null)
    report('bad-address', path, `"${text}" is not a prefix`, 'write one such as 10.1.0.0/24, without bits behind its length')
  return prefix
}

function checkGateways(
  { vsid, routingDomain, gateways = [] }: SubnetConfig,
  prefixes: readonly Prefix[],
  path: Path,
  report: Report,
): void {
  if (gateways.length > 0 && routingDomain === undefined)
    report(
      'bad-value',
      [...path, 'gateways'],
      `virtual subnet ${vsid} has a gateway and no routing domain`,
      'give it a routingDomain: the router is there for the subnets of one',
    )
  const seen = new Set<string>()
  for (const [i, text] of gateways.entries()) {
    const at: Path = [...path, 'gateways', i]
    const gateway = ipAddress(text)
    if (gateway === null || gateway.isGroup || gateway.isZero) {
      report('bad-address', at, `"${text}" is not the address of a router`, 'write one such as 10.1.0.1 or fd00:1::1')
      continue
    }
    const bytes = ipBytes(gateway.text)
    if (!isLinkLocal(bytes) && !prefixes.some((prefix) => isInPrefix(prefix, bytes)))
      report('bad-value', at, `${text} is in none of the prefixes of virtual subnet ${vsid}`, 'add its prefix to prefixes')
    if (seen.has(gateway.text)) report('duplicate', at, `${text} is there twice`, 'remove one of the two')
    seen.add(gateway.text)
  }
}

function checkRoute(
  { vsid, prefix: text, nextHop }: RouteConfig,
  subnet: SubnetConfig | undefined,
  gateways: ReadonlySet<string>,
  path: Path,
  report: Report,
): void {
  const prefix = checkPrefix(text, [...path, 'prefix'], report)
  if (subnet === undefined) report('no-such-subnet', [...path, 'vsid'], `there is no virtual subnet ${vsid}`, 'add it to subnets')
  else if (subnet.routingDomain === undefined)
    report(
      'bad-value',
      [...path, 'vsid'],
      `virtual subnet ${vsid} is in no routing domain: nothing is routed to it`,
      'give the subnet a routingDomain',
    )
  if (nextHop === undefined) return
  const at: Path = [...path, 'nextHop']
  const hop = ipAddress(nextHop)
  if (hop === null || hop.isGroup)
    report('bad-address', at, `"${nextHop}" is not the address of a guest`, 'write one such as 10.1.0.9 or fd00:1::9')
  else if (prefix !== null && prefix.family !== hop.family)
    report('wrong-family', at, `${nextHop} is of another family than ${text}`, 'name a guest of the same family')
  else if (gateways.has(`${vsid}/${hop.text}`))
    report('bad-value', at, `${nextHop} is the router itself`, 'name a guest that leads on')
}
