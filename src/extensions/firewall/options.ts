// Options of the firewall: groups of VMs by the names of their ports, with what each group may reach and who may reach it.
//
// The rule it must not break: what could not be done, or would open more than it says, is refused here with what would be right.
import { OptionError, OptionReader, type Prefix, parsePrefix } from '../../extension.ts'

export const GROUPS_MAX = 64
export const RULES_MAX = 256
const PREFIXES_MAX = 1024
const DOMAINS_MAX = 256
const PATTERNS_MAX = 256
const TTL_MAX = 604_800
const VMS_MAX = 1024

/** 0 stands for all of them; `icmp` is that of both families. */
const protocols: Readonly<Record<string, number>> = { any: 0, tcp: 6, udp: 17, sctp: 132, icmp: 1, esp: 50, ah: 51, gre: 47 }
const withPorts: readonly number[] = [6, 17, 132]

export type PortRange = readonly [first: number, last: number]

export interface FirewallRule {
  /** Number in all of the firewall: place of its counter. */
  readonly number: number
  readonly name: string
  /** IP protocol; 0 = all. ICMP stands for ICMPv6 too. */
  readonly protocol: number
  /** Destination ports; undefined = all. */
  readonly ports: readonly PortRange[] | undefined
  /** Addresses on the other side; undefined = not by address. */
  readonly prefixes: readonly Prefix[] | undefined
  /** Names on the other side, in lower case; `*.` stands for one or more labels. */
  readonly domains: readonly string[] | undefined
  /** Groups on the other side, by index. */
  readonly groups: readonly number[] | undefined
  /** Addresses of resolvers whose answers are believed. */
  readonly resolvers: readonly Prefix[]
  /** Seconds that an answer counts at least, and at most. */
  readonly minimumTtl: number
  readonly maximumTtl: number
  /** Special-use addresses that answers may lead to all the same. */
  readonly mayResolveTo: readonly Prefix[]
}

export interface FirewallGroup {
  readonly name: string
  /** Names of ports, `*` for any letters. */
  readonly ports: readonly string[]
  readonly egress: readonly FirewallRule[]
  readonly ingress: readonly FirewallRule[]
  /** Whether names that no rule has may be asked for. */
  readonly dnsQueries: 'any' | 'listed'
}

export interface FirewallOptions {
  readonly mode: 'enforce' | 'audit'
  readonly groups: readonly FirewallGroup[]
  readonly rules: number
  /** Names of rules by number. */
  readonly ruleNames: readonly string[]
  /** VMs in groups, connections and addresses of names of each, at the most. */
  readonly vms: number
  readonly connections: number
  readonly pins: number
  readonly audit:
    | {
        readonly file: string
        readonly allowed: boolean
        readonly perSecond: number
        readonly repeatSeconds: number
        readonly rotateBytes: number
        readonly rotateFiles: number
      }
    | undefined
}

const show = (value: unknown): string => JSON.stringify(value) ?? String(value)

function readPrefix(value: unknown, path: string): Prefix {
  if (typeof value !== 'string') throw new OptionError(path, `${show(value)} is not a prefix: write one like 10.0.0.0/8`)
  try {
    return parsePrefix(value)
  } catch (error) {
    throw new OptionError(path, (error as Error).message)
  }
}

const everything = [parsePrefix('0.0.0.0/0'), parsePrefix('::/0')]

// "any" is both families; a prefix is one, and the other stays closed.
function readPrefixes(reader: OptionReader, name: string): Prefix[] | undefined {
  const read = reader.list(name, (value, path) => (value === 'any' ? everything : [readPrefix(value, path)]))?.flat()
  if (read !== undefined && (read.length === 0 || read.length > PREFIXES_MAX))
    throw reader.error(name, `has ${read.length} prefixes: write 1 to ${PREFIXES_MAX}, or any`)
  return read
}

function readPorts(value: unknown, path: string): PortRange {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(
    typeof value === 'number' ? String(value) : typeof value === 'string' ? value : '',
  )
  const first = match ? Number(match[1]) : -1
  const last = match ? Number(match[2] ?? match[1]) : -1
  if (first < 0 || last > 65535 || first > last)
    throw new OptionError(path, `${show(value)} is not a port or range: write one like 443 or "8000-8099"`)
  return [first, last]
}

function readDomain(value: unknown, path: string): string {
  const text = typeof value === 'string' ? value.toLowerCase().replace(/\.$/, '') : ''
  const bare = text.startsWith('*.') ? text.slice(2) : text
  if (bare.length <= 253 && /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/.test(bare)) {
    if (text.startsWith('*.') && !bare.includes('.'))
      throw new OptionError(path, `${show(value)} stands for all names of a top-level domain: write a longer one`)
    return text
  }
  throw new OptionError(
    path,
    `${show(value)} is not a name: write one like www.example.org or "*.example.org", with other letters as xn--…`,
  )
}

function readProtocol(reader: OptionReader): number {
  const value = reader.value('protocol')
  if (value === undefined) return 0
  if (typeof value === 'string' && Object.hasOwn(protocols, value)) return protocols[value]!
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 255) return value === 58 ? 1 : value
  const known = Object.keys(protocols).join(', ')
  throw reader.error('protocol', `${show(value)} is not a protocol: write one of ${known}, or a number from 1 to 255`)
}

interface Context {
  readonly groupNames: readonly string[]
  readonly resolvers: readonly Prefix[] | undefined
  readonly ruleNames: string[]
}

function readGroups(reader: OptionReader, { groupNames }: Context): number[] | undefined {
  return reader.names('groups')?.map((name) => {
    const index = groupNames.indexOf(name)
    if (index < 0) throw reader.error('groups', `there is no group "${name}"; there are ${groupNames.join(', ')}`)
    return index
  })
}

function readRule(raw: unknown, path: string, side: 'to' | 'from', context: Context): FirewallRule {
  const reader = new OptionReader(raw, path)
  const number = context.ruleNames.length
  const name = reader.text('name') ?? `${path}`
  if (context.ruleNames.includes(name)) throw reader.error('name', `two rules are named "${name}": give each its own name`)
  context.ruleNames.push(name)
  const protocol = readProtocol(reader)
  const ports = reader.list('ports', readPorts)
  if (ports && !withPorts.includes(protocol)) throw reader.error('ports', 'are for protocol tcp, udp or sctp: name one of them')
  const prefixes = readPrefixes(reader, side)
  const groups = readGroups(reader, context)
  const domains = side === 'to' ? reader.list('domains', readDomain) : undefined
  const own = domains ? reader.list('resolvers', readPrefix) : undefined
  const resolvers = own ?? context.resolvers ?? []
  const minimumTtl = (domains && reader.integer('minimumTtl', 0, TTL_MAX)) ?? 30
  const maximumTtl = (domains && reader.integer('maximumTtl', 1, TTL_MAX)) ?? 86_400
  const mayResolveTo = (domains && reader.list('mayResolveTo', readPrefix)) ?? []
  reader.done()
  if (domains && (domains.length === 0 || domains.length > DOMAINS_MAX))
    throw reader.error('domains', `has ${domains.length} names: write 1 to ${DOMAINS_MAX}`)
  if (domains && resolvers.length === 0)
    throw reader.error('domains', 'needs resolvers whose answers are believed: write them here or for all of the firewall')
  if (minimumTtl > maximumTtl) throw reader.error('minimumTtl', `is more than maximumTtl, ${maximumTtl}`)
  if (!prefixes && !domains && !groups) {
    const what = side === 'to' ? 'to, domains or groups' : 'from or groups'
    throw new OptionError(path, `says nothing of the other side: write ${what}; "${side}: any" is everybody`)
  }
  return { number, name, protocol, ports, prefixes, domains, groups, resolvers, minimumTtl, maximumTtl, mayResolveTo }
}

// What a group with names needs in order to ask for them.
function resolverRules(rules: readonly FirewallRule[], group: string, isListed: boolean, context: Context): FirewallRule[] {
  const prefixes = rules.flatMap((rule) => (rule.domains ? rule.resolvers : []))
  if (prefixes.length === 0) return []
  // What is asked over TCP is not looked into, so it stays closed where only some names may be asked for.
  return (isListed ? [17] : [17, 6]).map((protocol) => {
    const number = context.ruleNames.length
    const name = `${group}: resolvers over ${protocol === 17 ? 'udp' : 'tcp'}`
    context.ruleNames.push(name)
    const none = { domains: undefined, groups: undefined, resolvers: [], minimumTtl: 0, maximumTtl: 0, mayResolveTo: [] }
    return { ...none, number, name, protocol, ports: [[53, 53]] as const, prefixes }
  })
}

function readGroup(raw: unknown, path: string, context: Context): FirewallGroup {
  const reader = new OptionReader(raw, path)
  const name = reader.text('name')!
  const ports = reader.names('ports')
  if (!ports || ports.length === 0 || ports.length > PATTERNS_MAX)
    throw reader.error('ports', `is missing or too long: write 1 to ${PATTERNS_MAX} names of ports, "*" for any letters`)
  const egress = reader.list('egress', (rule, at) => readRule(rule, at, 'to', context)) ?? []
  const ingress = reader.list('ingress', (rule, at) => readRule(rule, at, 'from', context)) ?? []
  const dnsQueries = reader.choice('dnsQueries', ['any', 'listed']) ?? 'any'
  reader.done()
  return {
    name,
    ports,
    egress: [...egress, ...resolverRules(egress, name, dnsQueries === 'listed', context)],
    ingress,
    dnsQueries,
  }
}

function readNames(reader: OptionReader): string[] {
  const names =
    reader.list('groups', (raw, path) => {
      const name = new OptionReader(raw, path).text('name')
      if (name === undefined) throw new OptionError(`${path}.name`, 'is missing: write how the group is called')
      return name
    }) ?? []
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw reader.error('groups', `two groups are named "${twice}": give each its own name`)
  if (names.length > GROUPS_MAX) throw reader.error('groups', `are ${names.length}: write at most ${GROUPS_MAX}`)
  return names
}

function readAudit(reader: OptionReader, mode: string): FirewallOptions['audit'] {
  const raw = reader.value('audit')
  if (raw === false) {
    if (mode === 'audit') throw reader.error('audit', 'is false: in mode audit the log is all there is')
    return undefined
  }
  const inner = new OptionReader(raw, reader.path('audit'))
  const audit = {
    file: inner.text('file') ?? 'firewall.jsonl',
    allowed: inner.boolean('allowed') ?? false,
    perSecond: inner.integer('perSecond', 1, 10_000) ?? 100,
    repeatSeconds: inner.integer('repeatSeconds', 1, 3600) ?? 10,
    rotateBytes: inner.integer('rotateBytes', 0, 2 ** 40) ?? 16 << 20,
    rotateFiles: inner.integer('rotateFiles', 1, 1000) ?? 10,
  }
  inner.done()
  return audit
}

function powerOfTwo(reader: OptionReader, name: string, min: number, max: number, standard: number): number {
  const value = reader.integer(name, min, max) ?? standard
  if ((value & (value - 1)) !== 0) throw reader.error(name, `${value} is not a power of two: write for example ${standard}`)
  return value
}

/** Checks the configured options. */
export function parseFirewallOptions(raw: unknown): FirewallOptions {
  const reader = new OptionReader(raw)
  const mode = reader.choice('mode', ['enforce', 'audit']) ?? 'enforce'
  const context: Context = { groupNames: readNames(reader), resolvers: reader.list('resolvers', readPrefix), ruleNames: [] }
  const groups = reader.list('groups', (group, path) => readGroup(group, path, context)) ?? []
  const options: FirewallOptions = {
    mode,
    groups,
    rules: context.ruleNames.length,
    ruleNames: context.ruleNames,
    vms: reader.integer('vms', 1, VMS_MAX) ?? 64,
    connections: powerOfTwo(reader, 'connections', 64, 65_536, 1024),
    pins: powerOfTwo(reader, 'pins', 64, 65_536, 512),
    audit: readAudit(reader, mode),
  }
  reader.done()
  if (options.rules > RULES_MAX)
    throw reader.error('groups', `have ${options.rules} rules in all, those for resolvers counted: write at most ${RULES_MAX}`)
  return options
}
