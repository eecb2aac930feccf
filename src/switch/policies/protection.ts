// The protection of a port, a policy built into the switch (spec 7.6): how its values are read, and which members of a configuration's
// `security` belong to it.
//
// The rule it must not break: no extension sees it or hears of a change (ES-253, ES-496), so it is a property of its own and never a part
// of the security property.

import { OptionError, OptionReader } from '../../ndis/module-options.ts'
import type {
  AddressPrefix,
  ProtectionProperty,
  SourceGuardProperty,
  StormBucket,
  StormClass,
} from '../../ndis/standard-properties.ts'
import { parsePrefix } from '../../packet/addresses.ts'
import { SOURCE_PREFIXES_MAX } from '../guards/source-addresses.ts'
import { parseBitRate } from './bit-rate.ts'

/** The highest limits: what a bucket of 31 bits can hold. */
export const STORM_PACKETS_MAX = 1_000_000
export const STORM_KILOBITS_MAX = 10_000_000

const stormClasses: readonly StormClass[] = ['broadcast', 'multicast', 'unknownUnicast']
const BITS_PER_KILOBIT = 1000

// Packets per second as a number, bits per second as a text such as 10mbit; undefined: no limit.
function stormRate(value: unknown, path: string): Omit<StormBucket, 'classes'> | undefined {
  if (value === undefined || value === 0) return undefined
  if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= STORM_PACKETS_MAX)
    return { packetsPerSecond: value }
  const kilobitsPerSecond = (typeof value === 'string' ? (parseBitRate(value) ?? 0) : 0) / BITS_PER_KILOBIT
  if (Number.isInteger(kilobitsPerSecond) && kilobitsPerSecond > 0 && kilobitsPerSecond <= STORM_KILOBITS_MAX)
    return { kilobitsPerSecond }
  throw new OptionError(
    path,
    `${JSON.stringify(value)} is no limit: write packets per second (1 to ${STORM_PACKETS_MAX}), or bits per second such as "10mbit" (up to 10gbit)`,
  )
}

// A single limit is for all kinds of frames together, as in Set-VMNetworkAdapter -StormLimit.
function stormLimit(options: OptionReader): StormBucket[] {
  const value = options.value('stormLimit')
  if (typeof value !== 'object') {
    const rate = stormRate(value, options.path('stormLimit'))
    return rate === undefined ? [] : [{ classes: stormClasses, ...rate }]
  }
  const kinds = new OptionReader(value, options.path('stormLimit'))
  const buckets = stormClasses.flatMap((kind): StormBucket[] => {
    const rate = stormRate(kinds.value(kind), kinds.path(kind))
    return rate === undefined ? [] : [{ classes: [kind], ...rate }]
  })
  kinds.done()
  return buckets
}

const LEARNED = 'learned'

// A list of addresses and prefixes, and the word `learned`; undefined: no source guard.
function sourceGuard(options: OptionReader): SourceGuardProperty | undefined {
  let learned = false
  const prefixes = options
    .list('sourceGuard', (value, path): AddressPrefix | undefined => {
      if (value === LEARNED) {
        learned = true
        return undefined
      }
      try {
        const { bytes, length } = parsePrefix(String(value))
        return { address: [...bytes], bits: length }
      } catch (error) {
        const why = error instanceof Error ? error.message : ''
        throw new OptionError(path, `${why}; addresses, prefixes and the word ${LEARNED} are possible`)
      }
    })
    ?.filter((prefix) => prefix !== undefined)
  if (prefixes === undefined) return undefined
  if (prefixes.length > SOURCE_PREFIXES_MAX)
    throw options.error('sourceGuard', `has ${prefixes.length} prefixes, at most ${SOURCE_PREFIXES_MAX} are possible`)
  return { prefixes, learned }
}

export function parseProtection(options: OptionReader): ProtectionProperty {
  const source = sourceGuard(options)
  return {
    ...(source === undefined ? {} : { sourceGuard: source }),
    dhcpGuard: options.boolean('dhcpGuard') ?? false,
    routerGuard: options.boolean('routerGuard') ?? false,
    stormLimit: stormLimit(options),
  }
}

/** True if any guard is on. */
export const isGuarded = ({ dhcpGuard, routerGuard, stormLimit, sourceGuard }: ProtectionProperty): boolean =>
  dhcpGuard || routerGuard || stormLimit.length > 0 || sourceGuard !== undefined

/** What a protection consists of. */
export const protectionMembers = [
  'dhcpGuard',
  'routerGuard',
  'stormLimit',
  'sourceGuard',
] as const satisfies readonly (keyof ProtectionProperty)[]
const members: ReadonlySet<string> = new Set(protectionMembers)

/** What a person wrote under `security`, as the security property and the protection; undefined: there is nothing of it. */
export function splitSecurity(written: Readonly<Record<string, unknown>>): {
  readonly security: Readonly<Record<string, unknown>> | undefined
  readonly protection: Readonly<Record<string, unknown>> | undefined
} {
  const entries = Object.entries(written)
  const guards = entries.filter(([name]) => members.has(name))
  if (guards.length === 0) return { security: written, protection: undefined }
  const others = entries.filter(([name]) => !members.has(name))
  return {
    security: others.length === 0 ? undefined : Object.fromEntries(others),
    protection: Object.fromEntries(guards),
  }
}
