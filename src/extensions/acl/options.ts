// Options of the access control list: rules as they are configured, checked, in the order in which they are tried.
import { EtherType, OptionError, OptionReader, type Prefix, parsePrefix } from '../../extension.ts'

export const RULES_MAX = 1024

/** Protocols that have ports. */
export const portProtocols = { tcp: 6, udp: 17, sctp: 132 } as const
const protocols: Readonly<Record<string, number>> = {
  icmp: 1,
  igmp: 2,
  gre: 47,
  esp: 50,
  ah: 51,
  icmp6: 58,
  ospf: 89,
  ...portProtocols,
}

/** First and last port of a range. */
export type PortRange = readonly [first: number, last: number]

/** One rule. A member that is undefined matches everything. */
export interface AclRule {
  /** For messages, counters and drop reasons. */
  readonly name: string
  /** False if the name was made up from the rule's position. */
  readonly isNamed: boolean
  readonly action: 'allow' | 'deny'
  readonly direction: 'ingress' | 'egress' | 'both'
  /** Name of the switch port: the source on ingress, a destination on egress. */
  readonly port: string | undefined
  readonly etherType: number | undefined
  /** IP protocol, 1…255. */
  readonly protocol: number | undefined
  readonly source: Prefix | undefined
  readonly destination: Prefix | undefined
  readonly sourcePorts: readonly PortRange[] | undefined
  readonly destinationPorts: readonly PortRange[] | undefined
  readonly weight: number
}

export interface AclOptions {
  /** Heaviest first; as configured where weights are equal. */
  readonly rules: readonly AclRule[]
  readonly defaultAction: 'allow' | 'deny'
  /** What happens to IP fragments other than the first. */
  readonly fragments: 'pass' | 'drop'
  /** What happens to IP packets whose headers cannot be read as far as the rules want. */
  readonly unreadable: 'pass' | 'drop'
}

const show = (value: unknown): string => JSON.stringify(value) ?? String(value)

function numberOrName(value: unknown, names: Readonly<Record<string, number>>, min: number, max: number): number | undefined {
  if (typeof value === 'string' && Object.hasOwn(names, value)) return names[value]
  const number = typeof value === 'string' && /^0x[0-9a-f]{1,4}$/i.test(value) ? Number.parseInt(value, 16) : value
  return typeof number === 'number' && Number.isInteger(number) && number >= min && number <= max ? number : undefined
}

function readPorts(value: unknown, path: string): PortRange {
  const text = typeof value === 'number' ? String(value) : value
  const match = typeof text === 'string' ? /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) : null
  const first = match ? Number(match[1]) : -1
  const last = match ? Number(match[2] ?? match[1]) : -1
  if (first < 0 || last > 65535)
    throw new OptionError(path, `${show(value)} is not a port or range: write one like 80 or "8000-8099"`)
  if (first > last) throw new OptionError(path, `the range ${show(value)} ends before it begins: write "${last}-${first}"`)
  return [first, last]
}

class RuleReader {
  readonly #reader: OptionReader
  readonly #title: string

  constructor(raw: unknown, path: string) {
    const reader = new OptionReader(raw, path)
    const name = reader.text('name')
    this.#title = name === undefined ? path : `${path} "${name}"`
    // Read again under a title that names the rule, so that every message does.
    this.#reader = new OptionReader(raw, this.#title)
  }

  #prefix(name: string): Prefix | undefined {
    const text = this.#reader.text(name)
    if (text === undefined) return undefined
    try {
      return parsePrefix(text)
    } catch (error) {
      throw this.#reader.error(name, (error as Error).message)
    }
  }

  #named(name: string, names: Readonly<Record<string, number>>, min: number, max: number, what: string): number | undefined {
    const value = this.#reader.value(name)
    const number = numberOrName(value, names, min, max)
    if (value !== undefined && number === undefined)
      throw this.#reader.error(
        name,
        `${show(value)} is not ${what}: write one of ${Object.keys(names).join(', ')}, or a number from ${min} to ${max}`,
      )
    return number
  }

  read(index: number): AclRule {
    const reader = this.#reader
    const name = reader.text('name')
    const action = reader.choice('action', ['allow', 'deny'])
    if (!action) throw reader.error('action', 'is missing: write allow or deny')
    const rule: AclRule = {
      name: name ?? `rule ${index + 1}`,
      isNamed: name !== undefined,
      action,
      direction: reader.choice('direction', ['ingress', 'egress', 'both']) ?? 'ingress',
      port: reader.text('port'),
      etherType: this.#named('etherType', EtherType, 0, 0xffff, 'an ether type'),
      protocol: this.#named('protocol', protocols, 1, 255, 'an IP protocol'),
      source: this.#prefix('sourcePrefix'),
      destination: this.#prefix('destinationPrefix'),
      sourcePorts: reader.list('sourcePorts', readPorts),
      destinationPorts: reader.list('destinationPorts', readPorts),
      weight: reader.integer('weight', 0, 65535) ?? 0,
    }
    reader.done()
    this.#checkSense(rule)
    return rule
  }

  // A rule that can never match is a mistake, and a dangerous one where it was meant to deny.
  #checkSense(rule: AclRule): void {
    const never = (message: string): OptionError => new OptionError(this.#title, `never matches: ${message}`)
    const { source, destination, etherType, protocol } = rule
    const hasPorts = rule.sourcePorts !== undefined || rule.destinationPorts !== undefined
    if (source && destination && source.family !== destination.family)
      throw never(`sourcePrefix is IPv${source.family}, destinationPrefix is IPv${destination.family}; write two rules`)
    const family = source?.family ?? destination?.family
    const type = family === 4 ? EtherType.ipv4 : EtherType.ipv6
    if (family !== undefined && etherType !== undefined && etherType !== type)
      throw never(`its prefix is IPv${family}, its etherType is not; leave etherType out`)
    const needsIp = protocol !== undefined || hasPorts
    if (needsIp && etherType !== undefined && etherType !== EtherType.ipv4 && etherType !== EtherType.ipv6)
      throw never('protocols and ports are of IP packets, its etherType is not; leave etherType out')
    const isPortProtocol = Object.values(portProtocols).some((number) => number === protocol)
    if (hasPorts && protocol !== undefined && !isPortProtocol)
      throw never(`protocol ${protocol} has no ports; ports are for ${Object.keys(portProtocols).join(', ')}`)
  }
}

/** Checks the configured options. */
export function parseAclOptions(raw: unknown): AclOptions {
  const reader = new OptionReader(raw)
  let index = 0
  const rules = reader.list('rules', (rule, path) => new RuleReader(rule, path).read(index++)) ?? []
  if (rules.length > RULES_MAX) throw reader.error('rules', `${rules.length} rules are too many: at most ${RULES_MAX}`)
  const seen = new Set<string>()
  for (const rule of rules) {
    if (seen.has(rule.name)) throw reader.error('rules', `two rules are named "${rule.name}": give each its own name`)
    seen.add(rule.name)
  }
  const options: AclOptions = {
    rules: rules.toSorted((a, b) => b.weight - a.weight),
    defaultAction: reader.choice('default', ['allow', 'deny']) ?? 'allow',
    fragments: reader.choice('fragments', ['pass', 'drop']) ?? 'pass',
    unreadable: reader.choice('unreadable', ['pass', 'drop']) ?? 'drop',
  }
  reader.done()
  return options
}
