// A saved switch or port as a message: JSON with a name and a version, checked member by member when it is read.
//
// The rule it must not break: what `readSavedSwitch` returns is in range and complete, whatever the text said; anything else is
// refused with its place. A member that is not known is refused too: a newer version has another number.
import { normalizeGuid } from '../../ndis/properties.ts'
import { type NicSaveBlock, SAVE_DATA_MAX } from '../../ndis/save-state.ts'
import { savedConnectionsError } from '../conntrack/connection-records.ts'
import { type PropertyInput, propertyTypes } from '../policies/property.ts'
import { PROPERTIES_MAX } from '../policies/property-store.ts'
import { decodeBase64, encodeBase64 } from './base64.ts'
import { lineAndColumn, offsetOf } from './json-position.ts'

export const SAVE_FORMAT = 'vmswitch-save'
export const SAVE_VERSION = 1
/** Characters of a saved switch. */
export const SAVED_TEXT_MAX = 64 * 1024 * 1024
export const SAVED_PORTS_MAX = 65535
/** Blocks that all extensions together may save of one connection, and their bytes. */
export const BLOCKS_PER_PORT_MAX = 1024
export const BLOCK_BYTES_PER_PORT_MAX = 8 * 1024 * 1024
/** Learned addresses of one port. */
export const ADDRESSES_PER_PORT_MAX = 1 << 20
const NAME_MAX = 256
const VLAN_MAX = 4095

/** A learned address of a port. */
export interface SavedAddress {
  readonly mac: string
  readonly vlan: number
  readonly ageSeconds: number
}

export interface SavedPort {
  readonly name: string
  /** Whether its adapter was connected, so that extensions were asked for their data. */
  readonly connected: boolean
  /** The port as a configuration has it; whoever restores checks it as one. */
  readonly config: Readonly<Record<string, unknown>>
  readonly properties: readonly PropertyInput[]
  readonly counters: Readonly<Record<string, number>>
  readonly addresses: readonly SavedAddress[]
  /** Run-time data of extensions, in the order in which they were saved. */
  readonly blocks: readonly NicSaveBlock[]
  /** Connections that its stateful rules follow, if there are any: see conntrack/connection-records.ts. */
  readonly connections?: Uint8Array
}

export interface SavedSwitch {
  readonly name: string
  /** ISO 8601. */
  readonly savedAt: string
  readonly properties: readonly PropertyInput[]
  readonly ports: readonly SavedPort[]
}

/** A saved switch that can't be read. `line` and `column` start at 1. */
export class SavedStateError extends Error {
  override readonly name = 'SavedStateError'
  readonly code = 'BAD_SAVED_STATE'
  readonly line: number
  readonly column: number

  constructor(message: string, line: number, column: number) {
    super(`${line}:${column}: ${message}`)
    this.line = line
    this.column = column
  }
}

/** The message for a switch. */
export function writeSavedSwitch({ name, savedAt, properties, ports }: SavedSwitch): string {
  return JSON.stringify({
    format: SAVE_FORMAT,
    version: SAVE_VERSION,
    name,
    savedAt,
    properties,
    ports: ports.map(({ connections, ...port }) => ({
      ...port,
      ...(connections === undefined || connections.length === 0 ? {} : { connections: encodeBase64(connections) }),
      blocks: port.blocks.map(({ saveData, ...block }) => ({ ...block, saveData: encodeBase64(saveData) })),
    })),
  })
}

type Path = readonly (string | number)[]

class Refusal {
  readonly path: Path
  readonly message: string
  constructor(path: Path, message: string) {
    this.path = path
    this.message = message
  }
}

const pathText = (path: Path): string =>
  path.reduce<string>(
    (text, step) => (typeof step === 'number' ? `${text}[${step}]` : text === '' ? step : `${text}.${step}`),
    '',
  )

/** Reads the message of a switch. Throws SavedStateError with line and column of what is wrong. */
export function readSavedSwitch(text: string): SavedSwitch {
  if (text.length > SAVED_TEXT_MAX) throw new SavedStateError(`a saved switch has at most ${SAVED_TEXT_MAX} characters`, 1, 1)
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch (error) {
    throw syntaxError(text, error)
  }
  try {
    return savedSwitch(data)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const { line, column } = lineAndColumn(text, offsetOf(text, error.path))
    const where = pathText(error.path)
    throw new SavedStateError(where === '' ? error.message : `${where}: ${error.message}`, line, column)
  }
}

function syntaxError(text: string, error: unknown): SavedStateError {
  const message = error instanceof Error ? error.message : String(error)
  const at = /at position (\d+)/.exec(message)
  const { line, column } = lineAndColumn(text, at ? Number(at[1]) : text.length)
  return new SavedStateError(`this is not JSON: ${message.replace(/ at position.*$/, '')}`, line, column)
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

// An object with exactly these members; those that may be absent end in "?".
function object(value: unknown, path: Path, ...members: string[]): Record<string, unknown> {
  if (!isObject(value)) throw new Refusal(path, 'an object is expected')
  const names = members.map((member) => member.replace('?', ''))
  for (const key of Object.keys(value)) if (!names.includes(key)) throw new Refusal([...path, key], 'this member is not known')
  for (const member of members)
    if (!member.endsWith('?') && !Object.hasOwn(value, member)) throw new Refusal(path, `member "${member}" is missing`)
  return value
}

function list<Item>(value: unknown, path: Path, max: number, item: (value: unknown, path: Path) => Item): Item[] {
  if (!Array.isArray(value)) throw new Refusal(path, 'a list is expected')
  if (value.length > max) throw new Refusal(path, `has ${value.length} entries, at most ${max} are possible`)
  return value.map((one, i) => item(one, [...path, i]))
}

function text(value: unknown, path: Path, max = NAME_MAX): string {
  if (typeof value === 'string' && value.length <= max) return value
  throw new Refusal(path, `a text of at most ${max} characters is expected`)
}

function number(value: unknown, path: Path, max: number, whole = true): number {
  if (typeof value === 'number' && value >= 0 && value <= max && (!whole || Number.isInteger(value))) return value
  throw new Refusal(path, `a${whole ? ' whole' : ''} number from 0 to ${max} is expected`)
}

function guid(value: unknown, path: Path): string {
  const normal = typeof value === 'string' ? normalizeGuid(value) : undefined
  if (normal !== undefined) return normal
  throw new Refusal(path, 'a GUID is expected')
}

function savedSwitch(data: unknown): SavedSwitch {
  if (!isObject(data) || data.format !== SAVE_FORMAT) throw new Refusal([], `this is no saved switch (format "${SAVE_FORMAT}")`)
  if (data.version !== SAVE_VERSION)
    throw new Refusal(['version'], `version ${String(data.version)} is not known, only ${SAVE_VERSION}`)
  const members = object(data, [], 'format', 'version', 'name', 'savedAt', 'properties', 'ports')
  const ports = list(members.ports, ['ports'], SAVED_PORTS_MAX, savedPort)
  const names = new Set<string>()
  for (const [i, { name }] of ports.entries()) {
    if (names.has(name)) throw new Refusal(['ports', i, 'name'], `there are two ports "${name}"`)
    names.add(name)
  }
  return {
    name: text(members.name, ['name']),
    savedAt: text(members.savedAt, ['savedAt']),
    properties: list(members.properties, ['properties'], PROPERTIES_MAX, savedProperty),
    ports,
  }
}

function savedProperty(value: unknown, path: Path): PropertyInput {
  const { type, id, instance, version, value: content } = object(value, path, 'type', 'id?', 'instance', 'version', 'value')
  const known = propertyTypes.find((name) => name === type)
  if (known === undefined) throw new Refusal([...path, 'type'], `one of ${propertyTypes.join(', ')} is expected`)
  if ((known === 'custom') !== (id !== undefined)) throw new Refusal(path, 'a custom property, and no other, has an id')
  return {
    type: known,
    ...(id === undefined ? {} : { id: guid(id, [...path, 'id']) }),
    instance: guid(instance, [...path, 'instance']),
    version: text(version, [...path, 'version']),
    value: content,
  }
}

function savedPort(value: unknown, path: Path): SavedPort {
  const members = object(
    value,
    path,
    'name',
    'connected',
    'config',
    'properties',
    'counters',
    'addresses',
    'blocks',
    'connections?',
  )
  if (!isObject(members.config)) throw new Refusal([...path, 'config'], 'an object is expected')
  if (!isObject(members.counters)) throw new Refusal([...path, 'counters'], 'an object is expected')
  if (typeof members.connected !== 'boolean') throw new Refusal([...path, 'connected'], 'true or false is expected')
  const name = text(members.name, [...path, 'name'])
  if (members.config.name !== name) throw new Refusal([...path, 'config'], `its name is not "${name}"`)
  const blocks = list(members.blocks, [...path, 'blocks'], BLOCKS_PER_PORT_MAX, savedBlock)
  const bytes = blocks.reduce((sum, { saveData }) => sum + saveData.length, 0)
  if (bytes > BLOCK_BYTES_PER_PORT_MAX)
    throw new Refusal([...path, 'blocks'], `${bytes} bytes of data, at most ${BLOCK_BYTES_PER_PORT_MAX} are possible`)
  return {
    name,
    connected: members.connected,
    config: members.config,
    properties: list(members.properties, [...path, 'properties'], PROPERTIES_MAX, savedProperty),
    counters: Object.fromEntries(
      Object.entries(members.counters).map(([key, count]) => [
        key,
        number(count, [...path, 'counters', key], Number.MAX_SAFE_INTEGER),
      ]),
    ),
    addresses: list(members.addresses, [...path, 'addresses'], ADDRESSES_PER_PORT_MAX, savedAddress),
    blocks,
    ...(members.connections === undefined
      ? {}
      : { connections: savedConnections(members.connections, [...path, 'connections']) }),
  }
}

function savedConnections(value: unknown, path: Path): Uint8Array {
  const bytes = typeof value === 'string' ? decodeBase64(value) : undefined
  if (bytes === undefined) throw new Refusal(path, 'base64 is expected')
  const wrong = savedConnectionsError(bytes)
  if (wrong !== undefined) throw new Refusal(path, wrong)
  return bytes
}

function savedAddress(value: unknown, path: Path): SavedAddress {
  const { mac, vlan, ageSeconds } = object(value, path, 'mac', 'vlan', 'ageSeconds')
  if (typeof mac !== 'string' || !/^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/i.test(mac))
    throw new Refusal([...path, 'mac'], 'a MAC address of one station is expected, such as 52:54:00:77:00:01')
  return {
    mac: mac.toLowerCase(),
    vlan: number(vlan, [...path, 'vlan'], VLAN_MAX),
    ageSeconds: number(ageSeconds, [...path, 'ageSeconds'], 0x7fffffff),
  }
}

function savedBlock(value: unknown, path: Path): NicSaveBlock {
  const members = object(value, path, 'extensionId', 'extensionFriendlyName', 'featureClassId', 'saveData')
  const saveData = typeof members.saveData === 'string' ? decodeBase64(members.saveData) : undefined
  if (saveData === undefined) throw new Refusal([...path, 'saveData'], 'base64 is expected')
  if (saveData.length > SAVE_DATA_MAX)
    throw new Refusal([...path, 'saveData'], `${saveData.length} bytes, a block has at most ${SAVE_DATA_MAX}`) // ES-477
  return {
    extensionId: guid(members.extensionId, [...path, 'extensionId']),
    extensionFriendlyName: text(members.extensionFriendlyName, [...path, 'extensionFriendlyName']),
    featureClassId: guid(members.featureClassId, [...path, 'featureClassId']),
    saveData,
  }
}
