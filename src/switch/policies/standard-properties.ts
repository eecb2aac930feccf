// Checks the standard port properties: how a value from a configuration, the command line or the API becomes what extensions get.
//
// The rule it must not break: what passes here is in range and belongs to its mode; an extension never sees another value. ES-503
import { OptionError, OptionReader } from '../../ndis/module-options.ts'
import { NO_GUID, normalizeGuid } from '../../ndis/properties.ts'
import {
  ISOLATION_NAME_MAX,
  type IsolationProperty,
  inVlanRanges,
  type ProfileProperty,
  type RoutingDomainProperty,
  type SecurityProperty,
  type StandardProperties,
  type StandardPropertyName,
  type VlanProperty,
  type VlanRange,
} from '../../ndis/standard-properties.ts'
import { parseAcl } from '../acl/acl-options.ts'
import { parseExtendedAcl } from '../acl/extended-acl-options.ts'
import { parseBandwidth } from './bandwidth-property.ts'
import { parseProtection } from './protection.ts'

/** IF_MAX_STRING_SIZE: characters of a counted string. */
const COUNTED_STRING_MAX = 256
const VIRTUAL_SUBNET_MAX = 0xffffff
const VLAN_MAX = 4094
const U32_MAX = 0xffffffff
const ISOLATION_IDS_MAX = 4096

function name(options: OptionReader, key: string, max: number): string {
  const value = options.value(key) ?? ''
  if (typeof value === 'string' && value.length <= max) return value
  throw options.error(key, `a text of at most ${max} characters is needed`)
}

function guid(options: OptionReader, key: string): string {
  const value = options.value(key) ?? NO_GUID
  const normal = typeof value === 'string' ? normalizeGuid(value) : undefined
  if (normal !== undefined) return normal
  throw options.error(key, 'a GUID is needed, such as 952c5004-4465-451c-8cb8-fa9ab382b773')
}

function needed<Value>(options: OptionReader, key: string, value: Value | undefined, example = ''): Value {
  if (value !== undefined) return value
  throw options.error(key, `is missing${example === '' ? '' : `: write ${example}`}`)
}

const vlanId = (options: OptionReader, key: string, min: number): number | undefined => options.integer(key, min, VLAN_MAX)

/** Reads VLANs written as 10, "10", "10-20" or a list of these. Sorted and merged. */
function vlanRanges(options: OptionReader, key: string): VlanRange[] | undefined {
  const ranges = options.list(key, (value, path): VlanRange => {
    if (Array.isArray(value) && value.length === 2) value = `${String(value[0])}-${String(value[1])}`
    const match = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(String(value))
    const first = Number(match?.[1])
    const last = Number(match?.[2] ?? match?.[1])
    if (match && first >= 1 && first <= last && last <= VLAN_MAX) return [first, last]
    throw new OptionError(path, `${JSON.stringify(value)} is not a VLAN from 1 to ${VLAN_MAX} or a range of them, such as 10-20`)
  })
  const merged: [number, number][] = []
  for (const [first, last] of ranges?.sort((a, b) => a[0] - b[0]) ?? []) {
    const before = merged.at(-1)
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last)
    else merged.push([first, last])
  }
  return ranges === undefined ? undefined : merged
}

function security(options: OptionReader): SecurityProperty {
  return {
    allowMacSpoofing: options.boolean('allowMacSpoofing') ?? false,
    allowIeeePriorityTag: options.boolean('allowIeeePriorityTag') ?? false,
    virtualSubnetId: options.integer('virtualSubnetId', 0, VIRTUAL_SUBNET_MAX) ?? 0,
    allowTeaming: options.boolean('allowTeaming') ?? false,
    dynamicIpAddressLimit: options.integer('dynamicIpAddressLimit', 0, U32_MAX) ?? 0,
  }
}

const vlanModes = ['access', 'trunk', 'private'] as const
const pvlanModes = ['isolated', 'community', 'promiscuous'] as const

function vlan(options: OptionReader): VlanProperty {
  const mode = needed(options, 'mode', options.choice('mode', vlanModes), 'mode: access, trunk or private')
  if (mode === 'access')
    return { mode, accessVlanId: needed(options, 'accessVlanId', vlanId(options, 'accessVlanId', 0), 'a VLAN, such as 10') }
  if (mode === 'trunk')
    return {
      mode,
      nativeVlanId: vlanId(options, 'nativeVlanId', 0) ?? 0,
      trunkVlanIds: needed(options, 'trunkVlanIds', vlanRanges(options, 'trunkVlanIds'), 'its VLANs, such as [10, 20-30]'),
      pruneVlanIds: vlanRanges(options, 'pruneVlanIds') ?? [],
    }
  const pvlanMode = needed(options, 'pvlanMode', options.choice('pvlanMode', pvlanModes), 'isolated, community or promiscuous')
  const primaryVlanId = needed(options, 'primaryVlanId', vlanId(options, 'primaryVlanId', 1), 'a VLAN, such as 100')
  if (pvlanMode === 'promiscuous') {
    const ranges = vlanRanges(options, 'secondaryVlanIds')
    const secondaryVlanIds = needed(options, 'secondaryVlanIds', ranges, 'those that it hears, such as [101, 102]')
    if (inVlanRanges(secondaryVlanIds, primaryVlanId)) throw twoVlans(options, 'secondaryVlanIds', primaryVlanId)
    return { mode, pvlanMode, primaryVlanId, secondaryVlanIds }
  }
  const secondary = vlanId(options, 'secondaryVlanId', 1)
  const secondaryVlanId = needed(options, 'secondaryVlanId', secondary, 'the one that it sends in, such as 101')
  if (secondaryVlanId === primaryVlanId) throw twoVlans(options, 'secondaryVlanId', primaryVlanId)
  return { mode, pvlanMode, primaryVlanId, secondaryVlanId }
}

// A port that sends in the primary VLAN reaches all of the private one: nothing would be isolated. ES-537, ES-538
const twoVlans = (options: OptionReader, key: string, primary: number): OptionError =>
  options.error(key, `${primary} is the primary VLAN, which all ports of the private one hear: take another one`)

function profile(options: OptionReader): ProfileProperty {
  const pci = new OptionReader(options.value('pciLocation'), options.path('pciLocation'))
  const pciLocation = {
    segment: pci.integer('segment', 0, 0xffff) ?? 0,
    bus: pci.integer('bus', 0, 0xff) ?? 0,
    device: pci.integer('device', 0, 0x1f) ?? 0,
    function: pci.integer('function', 0, 7) ?? 0,
  }
  pci.done()
  return {
    profileName: name(options, 'profileName', COUNTED_STRING_MAX),
    profileId: guid(options, 'profileId'),
    vendorName: name(options, 'vendorName', COUNTED_STRING_MAX),
    vendorId: guid(options, 'vendorId'),
    profileData: options.integer('profileData', 0, U32_MAX) ?? 0,
    netCfgInstanceId: guid(options, 'netCfgInstanceId'),
    pciLocation,
    cdnLabelId: options.integer('cdnLabelId', 0, U32_MAX) ?? 0,
    cdnLabel: name(options, 'cdnLabel', COUNTED_STRING_MAX),
  }
}

const isolationModes = ['none', 'native-virtual-subnet', 'external-virtual-subnet', 'vlan'] as const

function isolation(options: OptionReader): IsolationProperty {
  const mode = options.choice('mode', isolationModes) ?? 'none'
  const idMax = mode === 'none' ? U32_MAX : mode === 'vlan' ? VLAN_MAX : VIRTUAL_SUBNET_MAX
  return {
    mode,
    allowUntaggedTraffic: options.boolean('allowUntaggedTraffic') ?? false,
    defaultIsolationId: options.integer('defaultIsolationId', 0, idMax) ?? 0,
  }
}

function routingDomain(options: OptionReader): RoutingDomainProperty {
  const isolationIds =
    options.list('isolationIds', (value, path) => {
      const entry = new OptionReader(value, path)
      const isolationId = needed(entry, 'isolationId', entry.integer('isolationId', 0, U32_MAX))
      const isolationName = name(entry, 'name', ISOLATION_NAME_MAX) // ES-546
      entry.done()
      return { isolationId, name: isolationName }
    }) ?? []
  if (isolationIds.length > ISOLATION_IDS_MAX)
    throw options.error('isolationIds', `has ${isolationIds.length} entries, at most ${ISOLATION_IDS_MAX} are possible`)
  needed(options, 'routingDomainId', options.value('routingDomainId'))
  return {
    routingDomainId: guid(options, 'routingDomainId'),
    routingDomainName: name(options, 'routingDomainName', ISOLATION_NAME_MAX), // ES-546
    isolationIds,
  }
}

const parsers: { readonly [Name in StandardPropertyName]: (options: OptionReader) => StandardProperties[Name] } = {
  security,
  vlan,
  profile,
  isolation,
  'routing-domain': routingDomain,
  bandwidth: parseBandwidth,
  protection: parseProtection,
  acl: parseAcl,
  'extended-acl': parseExtendedAcl,
}

/** Checks the value of a standard property and fills its defaults in. Throws OptionError with the member that is wrong. */
export function parseStandardProperty<Name extends StandardPropertyName>(type: Name, raw: unknown): StandardProperties[Name] {
  const options = new OptionReader(raw)
  const value = parsers[type](options)
  options.done()
  return value
}
