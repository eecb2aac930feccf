// A property as management names and stores it, and how what a person wrote becomes one: its type, identity, version and checked value
// (spec 7.2).
//
// The rule it must not break: a property is stored with a value that its definition accepted, and with the value as it was written,
// so that it can be saved and checked again elsewhere.

import type { PropertyDefinition } from '../../extension.ts'
import { OptionError } from '../../ndis/module-options.ts'
import { NO_GUID, normalizeGuid, PortPropertyType, type PropertyInfo, parsePropertyVersion } from '../../ndis/properties.ts'
import { type PropertyField, readPropertyFields } from '../../ndis/property-fields.ts'
import type { BandwidthProperty } from '../../ndis/standard-properties.ts'
import { NdisStatus } from '../../ndis/status.ts'
import { strangerOf } from './bandwidth-property.ts'
import { parseStandardProperty } from './standard-properties.ts'

/** Names of property types, as configuration, command line and API have them. */
export const propertyTypes = [
  'security',
  'vlan',
  'profile',
  'isolation',
  'routing-domain',
  'bandwidth',
  'protection',
  'acl',
  'extended-acl',
  'custom',
] as const
export type PropertyTypeName = (typeof propertyTypes)[number]

/** Values nested deeper than this are refused: they are copied between threads. */
const VALUE_DEPTH_MAX = 32

const typeNumbers: Readonly<Record<PropertyTypeName, PortPropertyType>> = {
  security: PortPropertyType.security,
  vlan: PortPropertyType.vlan,
  profile: PortPropertyType.profile,
  isolation: PortPropertyType.isolation,
  'routing-domain': PortPropertyType.routingDomain,
  bandwidth: PortPropertyType.undefined, // extensions never see these
  protection: PortPropertyType.undefined,
  acl: PortPropertyType.undefined,
  'extended-acl': PortPropertyType.undefined,
  custom: PortPropertyType.custom,
}

/** Types of which a port has one instance at the most. */
const single: ReadonlySet<PropertyTypeName> = new Set([
  'security',
  'vlan',
  'profile',
  'isolation',
  'bandwidth',
  'protection',
  'acl',
  'extended-acl',
])

export const isSingle = (type: PropertyTypeName): boolean => single.has(type)

/** Policies that are built into the switch: set as properties are, and never announced to extensions. ES-253 */
export const isBuiltIn = (type: PropertyTypeName): boolean => builtIn.has(type)

const builtIn: ReadonlySet<PropertyTypeName> = new Set(['bandwidth', 'protection', 'acl', 'extended-acl'])

/** A property as somebody wrote it. Everything survives JSON. */
export interface PropertyInput {
  readonly type: PropertyTypeName
  /** GUID of a custom property, or the name that an extension of the switch gave it. */
  readonly id?: string | undefined
  /** GUID of the instance; a new one without it. */
  readonly instance?: string | undefined
  /** "1.0"; that of the definition without it. */
  readonly version?: string | undefined
  readonly value: unknown
}

/** Which property is meant; without `instance` the only one that fits. */
export type PropertySelector = Omit<PropertyInput, 'value' | 'version'>

/** A stored property. */
export interface PropertyInstance extends PropertyInfo {
  readonly type: PropertyTypeName
  /** Name of a custom property in its definition, '' if no extension defines it. */
  readonly name: string
  /** The value as it was written; `property` is what became of it. */
  readonly value: unknown
}

/** A property that can't be added, changed, deleted or found. */
export class PropertyError extends Error {
  override readonly name = 'PropertyError'
  readonly code: 'BAD_PROPERTY' | 'NO_SUCH_PROPERTY' | 'PROPERTY_EXISTS' | 'PROPERTY_VETOED' | 'NO_SUCH_PORT' | 'NO_SUCH_FEATURE'
  /** NDIS status that says the same. */
  readonly status: number

  constructor(code: PropertyError['code'], message: string, status: number) {
    super(message)
    this.code = code
    this.status = status
  }
}

/** A custom property that an extension of the switch defines. */
export interface DefinedProperty extends Pick<PropertyDefinition, 'name' | 'version' | 'scope'> {
  readonly id: string
  /** Name of the extension in the switch. */
  readonly extension: string
  /** Without them only the extension knows what a value is. */
  readonly fields?: readonly PropertyField[] | undefined
  /** Whether a list of values with these fields is a value. */
  readonly list?: boolean
  /** Checks a value and fills it in; throws. */
  readonly parse: (raw: unknown) => unknown
}

/** What an extension of the switch defines under `properties`. Its GUIDs are checked when it is loaded. */
export const definedProperties = (
  extension: string,
  properties: Readonly<Record<string, PropertyDefinition>> | undefined,
): DefinedProperty[] =>
  Object.entries(properties ?? {}).map(([guid, definition]) => {
    const { name, version, scope, fields, list = false } = definition
    const checked = (raw: unknown): unknown => (fields === undefined ? raw : readPropertyFields(fields, raw, list))
    const parse = (raw: unknown): unknown => (definition.parse === undefined ? checked(raw) : definition.parse(checked(raw)))
    return { id: normalizeGuid(guid) ?? NO_GUID, extension, name, version, scope, fields, list, parse }
  })

/** The definitions of the extensions that are loaded now. */
export type Definitions = () => readonly DefinedProperty[]

const bad = (message: string, status: number = NdisStatus.invalidData): PropertyError =>
  new PropertyError('BAD_PROPERTY', message, status)

function checkDepth(value: unknown, depth = 0): void {
  if (typeof value !== 'object' || value === null) return
  if (depth >= VALUE_DEPTH_MAX) throw bad(`the value is nested more than ${VALUE_DEPTH_MAX} deep`)
  for (const inner of Object.values(value)) checkDepth(inner, depth + 1)
}

/** The GUID that `id` means: itself, or that of the definition with this name. */
export function customId(id: string | undefined, definitions: readonly DefinedProperty[]): string {
  if (id === undefined) throw bad('a custom property needs its id: a GUID, or the name that an extension gave it')
  const found = normalizeGuid(id) ?? definitions.find((definition) => definition.name === id)?.id
  if (found !== undefined) return found
  const known = definitions.map(({ name }) => name).join(', ') || 'none'
  throw bad(`there is no property "${id}"; a GUID or the name of one that an extension defines is needed (defined are: ${known})`)
}

/** Type number and GUID of what a selector means. */
export function identify(selector: PropertySelector, definitions: readonly DefinedProperty[]): { type: number; id: string } {
  const custom = selector.type === 'custom'
  if (!custom && selector.id !== undefined) throw bad(`a property of type ${selector.type} has no id`)
  return { type: typeNumbers[selector.type], id: custom ? customId(selector.id, definitions) : NO_GUID }
}

/** The instance GUID in its normal form. */
export function instanceOf(text: string): string {
  const instance = normalizeGuid(text)
  if (instance === undefined) throw bad(`"${text}" is no instance: a GUID is needed`)
  return instance
}

/**
 * Checks what somebody wrote. `scope`: where it is to go. Throws PropertyError BAD_PROPERTY with the member that is wrong.
 * `newInstanceId` is asked for the instance's GUID if none was given.
 */
export function makeProperty(
  input: PropertyInput,
  scope: 'port' | 'switch',
  definitions: readonly DefinedProperty[],
  newInstanceId: () => string,
): PropertyInstance {
  if (scope === 'switch' && input.type !== 'custom' && input.type !== 'bandwidth')
    throw bad(`a switch has custom properties only, not one of type ${input.type}`, NdisStatus.invalidParameter) // ES-547
  const { type, id } = identify(input, definitions)
  const definition = definitions.find((candidate) => candidate.id === id && candidate.scope === scope)
  const written = input.version ?? definition?.version ?? '1.0'
  const propertyVersion = parsePropertyVersion(written)
  if (propertyVersion === undefined) throw bad(`"${written}" is no version: write "1.0"`)
  checkDepth(input.value)
  let property: unknown = input.value
  const what = input.type === 'custom' ? `property ${definition?.name ?? id}` : `property ${input.type}`
  try {
    if (input.type !== 'custom') property = parseStandardProperty(input.type, input.value)
    else if (definition) property = structuredClone(definition.parse(input.value)) // it goes to other threads
  } catch (error) {
    if (input.type !== 'custom' && !(error instanceof OptionError)) throw error
    throw bad(`${what}: ${error instanceof Error ? error.message : 'its definition refused the value'}`)
  }
  if (input.type === 'bandwidth') checkBandwidth(property as BandwidthProperty, scope)
  return {
    type: input.type,
    name: definition?.name ?? '',
    propertyType: type,
    propertyId: id,
    propertyVersion,
    propertyInstanceId: input.instance === undefined ? newInstanceId() : instanceOf(input.instance),
    property,
    value: input.value,
  }
}

function checkBandwidth(property: BandwidthProperty, scope: 'port' | 'switch'): void {
  const stranger = strangerOf(property, scope)
  if (stranger === undefined) return
  throw bad(`property bandwidth: ${stranger} is for a ${scope === 'port' ? 'switch' : 'port'}, not for a ${scope}`)
}

/** Words that name a property in messages. */
export const propertyText = ({ type, name, propertyId }: PropertyInstance): string =>
  type === 'custom' ? (name === '' ? propertyId : name) : type
