// How the ACL of a port is written (Add-VMNetworkAdapterAcl), checked.
//
// The rule it must not break: an entry that could never have a say, because another one of the same address speaks for it, is an error.
import { OptionError, OptionReader } from '../../ndis/module-options.ts'
import type { AclEntry, AclProperty, AddressPrefix } from '../../ndis/standard-properties.ts'
import { formatMac, formatPrefix, parseMac, parsePrefix } from '../../packet/addresses.ts'

/** Entries that a port's ACL has at the most. */
export const ACL_ENTRIES_MAX = 4096

const ANY = 'ANY'
/** Members that name an address; an entry has one of them. */
export const aclAddresses = ['localIPAddress', 'remoteIPAddress', 'localMacAddress', 'remoteMacAddress'] as const

/** What a text that is no address says, with the option's path. */
export function addressError(path: string, error: unknown): OptionError {
  return new OptionError(path, `${error instanceof Error ? error.message : String(error)}; or ${ANY}`)
}

/** True for the word that stands for every address or port. */
export const isAny = (value: unknown): boolean => typeof value === 'string' && value.toUpperCase() === ANY

type Address = Pick<AclEntry, 'kind' | 'text' | 'prefix'>

const nothing: AddressPrefix = { address: [], bits: 0 }

function readIp(text: string): Address {
  if (isAny(text)) return { kind: 'any-ip', text: ANY, prefix: nothing }
  const prefix = parsePrefix(text)
  const { bytes, length, family } = prefix
  return { kind: family === 4 ? 'ipv4' : 'ipv6', text: formatPrefix(prefix), prefix: { address: [...bytes], bits: length } }
}

function readMac(text: string): Address {
  if (isAny(text)) return { kind: 'any-mac', text: ANY, prefix: nothing }
  const bytes = parseMac(text)
  return { kind: 'mac', text: formatMac(bytes), prefix: { address: [...bytes], bits: 48 } }
}

function readEntry(raw: unknown, path: string): AclEntry {
  const options = new OptionReader(raw, path)
  const action = options.choice('action', ['allow', 'deny', 'meter'])
  if (action === undefined) throw options.error('action', 'is missing: write allow, deny or meter')
  const direction = options.choice('direction', ['inbound', 'outbound', 'both'])
  if (direction === undefined) throw options.error('direction', 'is missing: write inbound, outbound or both')
  const given = aclAddresses.filter((name) => options.value(name) !== undefined)
  const [name, second] = given
  if (name === undefined || second !== undefined)
    throw new OptionError(
      path,
      `an entry has one of ${aclAddresses.join(', ')}${second === undefined ? '' : `, not ${given.join(' and ')}`}`,
    )
  let address: Address
  try {
    const text = options.text(name)!
    address = name.endsWith('MacAddress') ? readMac(text) : readIp(text)
  } catch (error) {
    throw error instanceof OptionError ? error : addressError(options.path(name), error)
  }
  options.done()
  return { action, direction, side: name.startsWith('local') ? 'local' : 'remote', ...address }
}

/** Directions of an entry. */
export const directionsOf = ({ direction }: Pick<AclEntry, 'direction'>): readonly ('inbound' | 'outbound')[] =>
  direction === 'both' ? ['inbound', 'outbound'] : [direction]

/** Reads the property `acl`. Throws OptionError with the member that is wrong. */
export function parseAcl(options: OptionReader): AclProperty {
  const entries = options.list('entries', readEntry) ?? []
  if (entries.length > ACL_ENTRIES_MAX)
    throw options.error('entries', `has ${entries.length} entries, at most ${ACL_ENTRIES_MAX} are possible`)
  const seen = new Map<string, number>()
  for (const [i, entry] of entries.entries())
    for (const direction of directionsOf(entry)) {
      const key = `${direction} ${entry.side} ${entry.kind} ${entry.text} ${entry.action === 'meter'}`
      const other = seen.get(key)
      if (other !== undefined)
        throw new OptionError(
          `${options.path('entries')}[${i}]`,
          `${entry.side} ${entry.text} has an entry of direction ${direction} already: entries[${other}]`,
        )
      seen.set(key, i)
    }
  return { entries }
}
