// Policies that a network of hosts imposes on ports: how they are read, to which ports they belong, and what is in force where a port has
// properties of its own.
//
// The rule it must not break: what is in force is never looser than what the network says, whatever the port's own properties are; those stay as
// they were written.
import { OptionError } from '../../ndis/module-options.ts'
import type {
  AddressPrefix,
  BandwidthProperty,
  ExtendedAclProperty,
  ProtectionProperty,
  SecurityProperty,
  SourceGuardProperty,
  StormBucket,
} from '../../ndis/standard-properties.ts'
import type { PropertyTypeName } from './property.ts'
import { parseStandardProperty } from './standard-properties.ts'

/** Types of which a network may impose values. */
export const imposableTypes = ['security', 'protection', 'bandwidth', 'extended-acl'] as const
export type ImposableType = (typeof imposableTypes)[number]

/** A policy as it is written: for the ports of a virtual subnet, or for the port of a name. Everything survives JSON. */
export interface ImposedInput {
  readonly name: string
  readonly virtualSubnetId?: number | undefined
  readonly port?: string | undefined
  readonly properties: readonly { readonly type: ImposableType; readonly value: unknown }[]
}

/** The same, checked. */
export interface ImposedPolicy {
  readonly name: string
  readonly virtualSubnetId?: number | undefined
  readonly port?: string | undefined
  readonly noMacSpoofing: boolean
  readonly noTeaming: boolean
  readonly protection?: ProtectionProperty
  readonly bandwidth?: BandwidthProperty
  readonly rules: ExtendedAclProperty['rules']
  /** As they were written. */
  readonly properties: ImposedInput['properties']
}

/** What of a property counts for what is in force. */
export interface InForce {
  readonly type: PropertyTypeName
  readonly property: unknown
}

/** Added to the weight of a network's rules: all of a port's own are lighter. */
const ABOVE_OWN = 65_536
const noSecurity: SecurityProperty = {
  allowMacSpoofing: false,
  allowIeeePriorityTag: true,
  virtualSubnetId: 0,
  allowTeaming: false,
  dynamicIpAddressLimit: 0,
}
const noProtection: ProtectionProperty = { dhcpGuard: false, routerGuard: false, stormLimit: [] }

/** Reads a policy. Throws OptionError with the member that is wrong. */
export function readImposed({ name, virtualSubnetId, port, properties }: ImposedInput): ImposedPolicy {
  if ((virtualSubnetId === undefined) === (port === undefined))
    throw new OptionError('virtualSubnetId', 'a policy is for a virtual subnet or for a port: name one of them')
  const policy = {
    name,
    virtualSubnetId,
    port,
    noMacSpoofing: false,
    noTeaming: false,
    rules: [] as ExtendedAclProperty['rules'],
    properties,
  }
  let read: ImposedPolicy = policy
  const seen = new Set<ImposableType>()
  for (const { type, value } of properties) {
    if (seen.has(type)) throw new OptionError(type, 'is there twice')
    seen.add(type)
    if (type === 'security') read = { ...read, ...forbidden(value) }
    else if (type === 'protection') read = { ...read, protection: parseStandardProperty(type, value) }
    else if (type === 'bandwidth') read = { ...read, bandwidth: limitsOf(parseStandardProperty(type, value)) }
    else read = { ...read, rules: rulesOf(name, parseStandardProperty(type, value)) }
  }
  return read
}

function forbidden(value: unknown): Pick<ImposedPolicy, 'noMacSpoofing' | 'noTeaming'> {
  const written = (value ?? {}) as Readonly<Record<string, unknown>>
  const wrong = Object.entries(written).find(
    ([member, one]) => (member !== 'allowMacSpoofing' && member !== 'allowTeaming') || one !== false,
  )
  if (wrong !== undefined)
    throw new OptionError(
      `security.${wrong[0]}`,
      'a network forbids: allowMacSpoofing and allowTeaming can be false, nothing else',
    )
  return { noMacSpoofing: written.allowMacSpoofing === false, noTeaming: written.allowTeaming === false }
}

function limitsOf(value: BandwidthProperty): BandwidthProperty {
  const { maximumBandwidth: _, maximumReceiveBandwidth: __, ...others } = value
  const [other] = Object.keys(others)
  if (other === undefined) return value
  throw new OptionError(`bandwidth.${other}`, 'a network limits: maximumBandwidth and maximumReceiveBandwidth are possible')
}

const rulesOf = (policy: string, { rules }: ExtendedAclProperty): ExtendedAclProperty['rules'] =>
  rules.map((rule) => ({ ...rule, name: `${policy}: ${rule.name}`, weight: rule.weight + ABOVE_OWN }))

/** Whether a policy belongs to a port. */
export const belongsTo = (policy: ImposedPolicy, port: string, virtualSubnetId: number): boolean =>
  policy.port === undefined ? policy.virtualSubnetId === virtualSubnetId : policy.port === port

/** What is in force of `own` properties under policies that belong to their port. */
export function withImposed(own: readonly InForce[], imposed: readonly ImposedPolicy[]): readonly InForce[] {
  if (imposed.length === 0) return own
  const found = <T>(type: ImposableType): T | undefined => own.find((one) => one.type === type)?.property as T | undefined
  const security = imposed.reduce(strictSecurity, found<SecurityProperty>('security'))
  const protection = imposed.reduce(strictProtection, found<ProtectionProperty>('protection'))
  const bandwidth = imposed.reduce(strictBandwidth, found<BandwidthProperty>('bandwidth'))
  const rules = imposed.flatMap((policy) => policy.rules)
  const acl = found<ExtendedAclProperty>('extended-acl')
  // The port's own rules keep their places, by which they are listed and counted.
  const extended = rules.length === 0 ? acl : { rules: [...(acl?.rules ?? []), ...rules] }
  const merged: readonly (readonly [ImposableType, unknown])[] = [
    ['security', security],
    ['protection', protection],
    ['bandwidth', bandwidth],
    ['extended-acl', extended],
  ]
  const others = own.filter(({ type }) => !imposableTypes.some((one) => one === type))
  return [...others, ...merged.flatMap(([type, property]) => (property === undefined ? [] : [{ type, property }]))]
}

function strictSecurity(
  own: SecurityProperty | undefined,
  { noMacSpoofing, noTeaming }: ImposedPolicy,
): SecurityProperty | undefined {
  if (own === undefined) return noMacSpoofing ? noSecurity : undefined
  return {
    ...own,
    allowMacSpoofing: own.allowMacSpoofing && !noMacSpoofing,
    allowTeaming: own.allowTeaming && !noTeaming,
  }
}

function strictProtection(own: ProtectionProperty | undefined, { protection }: ImposedPolicy): ProtectionProperty | undefined {
  if (protection === undefined) return own
  const { dhcpGuard, routerGuard, stormLimit, sourceGuard } = own ?? noProtection
  const guard = protection.sourceGuard === undefined ? sourceGuard : strictSources(sourceGuard, protection.sourceGuard)
  return {
    dhcpGuard: dhcpGuard || protection.dhcpGuard,
    routerGuard: routerGuard || protection.routerGuard,
    stormLimit: strictStorms(stormLimit, protection.stormLimit),
    ...(guard === undefined ? {} : { sourceGuard: guard }),
  }
}

// The network's limits are in force for the kinds of frames that they name; of two alike the lower one is.
function strictStorms(own: readonly StormBucket[], imposed: readonly StormBucket[]): readonly StormBucket[] {
  const isAlike = (one: StormBucket, other: StormBucket): boolean => one.classes.join() === other.classes.join()
  const lower = (a: number | undefined, b: number | undefined): number | undefined =>
    a === undefined || b === undefined ? (a ?? b) : Math.min(a, b)
  const limits = imposed.map((bucket): StormBucket => {
    const same = own.find((one) => isAlike(one, bucket))
    const { classes, packetsPerSecond, kilobitsPerSecond } = bucket
    if (packetsPerSecond !== undefined) return { classes, packetsPerSecond: lower(packetsPerSecond, same?.packetsPerSecond)! }
    return { classes, kilobitsPerSecond: lower(kilobitsPerSecond, same?.kilobitsPerSecond)! }
  })
  const named = new Set(imposed.flatMap(({ classes }) => classes))
  const left = own.flatMap((bucket): StormBucket[] => {
    const classes = bucket.classes.filter((kind) => !named.has(kind))
    return classes.length === 0 ? [] : [{ ...bucket, classes }]
  })
  return [...left, ...limits]
}

// Of the port's own addresses those that the network lets it speak for; the network's where none of them is.
function strictSources(own: SourceGuardProperty | undefined, imposed: SourceGuardProperty): SourceGuardProperty {
  const isWithin = ({ address, bits }: AddressPrefix): boolean =>
    imposed.prefixes.some(
      (one) => bits >= one.bits && one.address.length === address.length && leadingBits(one.address, address) >= one.bits,
    )
  const narrower = (own?.prefixes ?? []).filter(isWithin)
  return narrower.length === 0 ? imposed : { prefixes: narrower, learned: imposed.learned && own?.learned === true }
}

/** How many bits two addresses begin with alike. */
function leadingBits(one: readonly number[], other: readonly number[]): number {
  const at = one.findIndex((octet, i) => octet !== other[i])
  return at < 0 ? one.length * 8 : at * 8 + Math.clz32(one[at]! ^ other[at]!) - 24
}

function strictBandwidth(own: BandwidthProperty | undefined, { bandwidth }: ImposedPolicy): BandwidthProperty | undefined {
  if (bandwidth === undefined) return own
  const lowest = (member: 'maximumBandwidth' | 'maximumReceiveBandwidth'): BandwidthProperty => {
    const limits = [own?.[member], bandwidth[member]].filter((limit) => limit !== undefined)
    return limits.length === 0 ? {} : { [member]: Math.min(...limits) }
  }
  const maximum = lowest('maximumBandwidth')
  const { maximumBandwidth: most = Number.POSITIVE_INFINITY } = maximum
  const least = own?.minimumBandwidthAbsolute
  return {
    ...own,
    ...maximum,
    ...lowest('maximumReceiveBandwidth'),
    ...(least === undefined ? {} : { minimumBandwidthAbsolute: Math.min(least, most) }),
  }
}
