// Options of DHCP that have no name here, as the configuration writes them: by number, with a value in one of four forms.
//
// The rule it must not break: what the server says by itself, and what only a client may say, can't be written over.
import { OptionReader } from '../../extension.ts'
import { ipv4At } from './address-values.ts'

const OPTIONS_MAX = 32
const VALUE_BYTES_MAX = 255
const CODE_MAX = 254

export interface ExtraOption {
  readonly code: number
  readonly value: readonly number[]
}

/** Options that are set otherwise, by number. */
const elsewhere: Readonly<Record<number, string>> = {
  1: 'it follows from address',
  3: 'write router',
  6: 'write dns',
  12: 'it is the name of the guest',
  15: 'write domain',
  26: 'write mtu',
  28: 'it follows from address',
  42: 'write ntp',
  51: 'write leaseSeconds',
  58: 'it follows from leaseSeconds',
  59: 'it follows from leaseSeconds',
  66: 'write boot',
  67: 'write boot',
  119: 'write search',
  121: 'write routes',
}
/** Those that belong to the exchange itself. */
const ofTheExchange: ReadonlySet<number> = new Set([50, 52, 53, 54, 55, 56, 57, 60, 61, 77, 80, 81, 82, 93, 94, 97])

const octets = (value: number): number[] => [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]

function readHex(text: string): number[] | undefined {
  const digits = text.replace(/[\s:]/g, '')
  return /^([0-9a-f]{2})+$/i.test(digits) ? Array.from(digits.matchAll(/../g), ([pair]) => Number.parseInt(pair, 16)) : undefined
}

function readValue(reader: OptionReader): readonly number[] {
  const text = reader.text('text')
  const hex = reader.text('hex')
  const number = reader.integer('number', -0x80000000, 0xffffffff)
  const addresses = reader.list('addresses', ipv4At)
  const given = [text, hex, number, addresses].filter((one) => one !== undefined)
  if (given.length !== 1) throw reader.error('code', 'needs one value: write text, addresses, number (of 32 bits) or hex')
  if (text !== undefined) return Array.from(new TextEncoder().encode(text))
  if (addresses) return addresses.flatMap(octets)
  if (number !== undefined) return octets(number)
  const bytes = readHex(hex!)
  if (bytes) return bytes
  throw reader.error('hex', `"${hex}" is not pairs of hexadecimal digits`)
}

function readOption(raw: unknown, path: string): ExtraOption {
  const reader = new OptionReader(raw, path)
  const code = reader.integer('code', 1, CODE_MAX)
  if (code === undefined) throw reader.error('code', 'is missing: write the number of the option, such as 114')
  if (elsewhere[code] !== undefined) throw reader.error('code', `${code} is set otherwise: ${elsewhere[code]}`)
  if (ofTheExchange.has(code)) throw reader.error('code', `${code} belongs to the exchange itself`)
  const value = readValue(reader)
  reader.done()
  if (value.length > VALUE_BYTES_MAX)
    throw reader.error('code', `${code} has ${value.length} bytes: at most ${VALUE_BYTES_MAX} fit`)
  return { code, value }
}

/** Reads the option `options` of a network. Throws OptionError. */
export function readExtraOptions(reader: OptionReader): readonly ExtraOption[] {
  const options = reader.list('options', readOption) ?? []
  if (options.length > OPTIONS_MAX) throw reader.error('options', `are ${options.length}: write at most ${OPTIONS_MAX}`)
  for (const [i, { code }] of options.entries())
    if (options.findIndex((one) => one.code === code) !== i) throw reader.error(`options[${i}].code`, `${code} is there twice`)
  return options
}
