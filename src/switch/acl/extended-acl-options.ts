// How the extended ACL of a port is written (Add-VMNetworkAdapterExtendedAcl), checked.
//
// The rule it must not break: a rule that could never match is an error, and so is what would silently not be done.
import { OptionError, OptionReader } from '../../ndis/module-options.ts'
import type { AddressPrefix, ExtendedAclProperty, ExtendedAclRule, PortRange } from '../../ndis/standard-properties.ts'
import { parsePrefix } from '../../packet/addresses.ts'
import { addressError, isAny } from './acl-options.ts'
import { hasPorts } from './flow-key.ts'

/** Rules that a port's extended ACL has at the most. */
export const EXTENDED_RULES_MAX = 16_384
/** IdleSessionTimeout of a stateful rule that names none, in seconds. */
export const IDLE_TIMEOUT_SECONDS = 255
/** A day: the longest IdleSessionTimeout. */
export const IDLE_TIMEOUT_MAX_SECONDS = 86_400
const WEIGHT_MAX = 65_535
const ISOLATION_MAX = 0xffffff
const NAME_MAX = 40

const protocols: Readonly<Record<string, number>> = {
  icmp: 1,
  icmpv4: 1,
  igmp: 2,
  tcp: 6,
  udp: 17,
  gre: 47,
  esp: 50,
  ah: 51,
  icmpv6: 58,
  icmp6: 58,
  ospf: 89,
  sctp: 132,
}

function readAddress(options: OptionReader, name: string): AddressPrefix | undefined {
  const text = options.text(name)
  if (text === undefined || isAny(text)) return undefined
  try {
    const { bytes, length } = parsePrefix(text)
    return { address: [...bytes], bits: length }
  } catch (error) {
    throw addressError(options.path(name), error)
  }
}

function readPorts(options: OptionReader, name: string): PortRange | undefined {
  const value = options.value(name)
  if (value === undefined || isAny(value)) return undefined
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(String(value))
  const first = Number(match?.[1])
  const last = Number(match?.[2] ?? match?.[1])
  if (match && first <= last && last <= 65535) return [first, last]
  throw options.error(name, `${JSON.stringify(value)} is no port or range: write one like 80 or "8000-8099", or ANY`)
}

function readProtocol(options: OptionReader): number | undefined {
  const value = options.value('protocol')
  if (value === undefined || isAny(value)) return undefined
  const number =
    typeof value === 'string' ? (protocols[value.toLowerCase()] ?? (/^\d{1,3}$/.test(value) ? Number(value) : -1)) : value
  if (typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= 255) return number
  const names = Object.keys(protocols).join(', ')
  throw options.error('protocol', `${JSON.stringify(value)} is no protocol: write ${names}, a number from 0 to 255, or ANY`)
}

function readRule(raw: unknown, path: string, index: number): ExtendedAclRule {
  const options = new OptionReader(raw, path)
  const name = options.text('name') ?? `rule ${index + 1}`
  if (name.length > NAME_MAX) throw options.error('name', `has ${name.length} characters, at most ${NAME_MAX} are possible`)
  const action = options.choice('action', ['allow', 'deny'])
  if (action === undefined) throw options.error('action', 'is missing: write allow or deny')
  const direction = options.choice('direction', ['inbound', 'outbound'])
  if (direction === undefined) throw options.error('direction', 'is missing: write inbound or outbound')
  const localAddress = readAddress(options, 'localIPAddress')
  const remoteAddress = readAddress(options, 'remoteIPAddress')
  if (localAddress && remoteAddress && localAddress.address.length !== remoteAddress.address.length)
    throw new OptionError(path, 'never matches: its addresses are of IPv4 and of IPv6; write two rules')
  const localPorts = readPorts(options, 'localPort')
  const remotePorts = readPorts(options, 'remotePort')
  const protocol = readProtocol(options)
  if ((localPorts || remotePorts) && protocol !== undefined && !hasPorts(protocol))
    throw new OptionError(path, `never matches: protocol ${protocol} has no ports; ports are of TCP, UDP and SCTP`)
  const stateful = options.boolean('stateful') ?? false
  const idleSessionTimeoutSeconds = options.integer('idleSessionTimeout', 1, IDLE_TIMEOUT_MAX_SECONDS)
  if (stateful && action === 'deny') throw options.error('stateful', 'a rule that denies opens no connection')
  if (!stateful && idleSessionTimeoutSeconds !== undefined) throw options.error('idleSessionTimeout', 'is of stateful rules only')
  const isolationId = options.integer('isolationId', 0, ISOLATION_MAX)
  const weight = options.integer('weight', 0, WEIGHT_MAX) ?? 0
  options.done()
  return {
    name,
    action,
    direction,
    weight,
    stateful,
    idleSessionTimeoutSeconds: idleSessionTimeoutSeconds ?? IDLE_TIMEOUT_SECONDS,
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(remoteAddress === undefined ? {} : { remoteAddress }),
    ...(localPorts === undefined ? {} : { localPorts }),
    ...(remotePorts === undefined ? {} : { remotePorts }),
    ...(protocol === undefined ? {} : { protocol }),
    ...(isolationId === undefined ? {} : { isolationId }),
  }
}

/** Reads the property `extended-acl`. Throws OptionError with the member that is wrong. */
export function parseExtendedAcl(options: OptionReader): ExtendedAclProperty {
  let index = 0
  const rules = options.list('rules', (raw, path) => readRule(raw, path, index++)) ?? []
  if (rules.length > EXTENDED_RULES_MAX)
    throw options.error('rules', `has ${rules.length} rules, at most ${EXTENDED_RULES_MAX} are possible`)
  const names = new Set<string>()
  for (const [i, { name }] of rules.entries()) {
    if (names.has(name))
      throw new OptionError(`${options.path('rules')}[${i}]`, `two rules are named "${name}": give each its own`)
    names.add(name)
  }
  return { rules }
}
