// What tells one configuration from another, as a list of changes: what a person sees of `vmswitch apply`, and what is carried out.
//
// The rule it must not break: two configurations that mean the same differ in nothing, and nothing that differs is left out.
import { isDeepStrictEqual } from 'node:util'
import type { SnoopingConfig } from '../../engine/snooping/snooping-config.ts'
import type { PropertyInput } from '../../switch/policies/property.ts'
import type { OverlayConfig, ResolvedConfig, ResolvedExtension, ResolvedPort } from '../config/types.ts'
import { type OverlayDiff, overlayDiff, overlaySettings } from '../overlay/overlay-diff.ts'
import { plain } from '../store/state.ts'
import { diffProperties, type PropertyDiff, type PropertyNames, propertyText } from './property-diff.ts'

/** One difference. Everything survives JSON. */
export interface Change {
  readonly action: 'added' | 'changed' | 'removed'
  readonly kind: 'switch' | 'adapter' | 'extension' | 'port' | 'property'
  readonly name: string
  /** What differs, such as `link: up → down`. */
  readonly details: readonly string[]
  /** live: nobody notices; replace: a port or extension is made anew; restart: the whole switch is. */
  readonly how: 'live' | 'replace' | 'restart'
}

export interface PortChange {
  readonly from: ResolvedPort
  readonly to: ResolvedPort
  /** Made anew: what differs can't be changed while it runs. */
  readonly replace: boolean
  readonly properties: PropertyDiff
}

/** What has to be done. */
export interface Plan {
  readonly changes: readonly Change[]
  readonly restart: boolean
  readonly extensions: {
    readonly added: readonly ResolvedExtension[]
    readonly removed: readonly ResolvedExtension[]
    readonly replaced: readonly { readonly from: ResolvedExtension; readonly to: ResolvedExtension }[]
    readonly switched: readonly { readonly name: string; readonly enabled: boolean }[]
    /** The order in which they are to stand. */
    readonly order: readonly string[]
    readonly orderBefore: readonly string[]
  }
  readonly ports: {
    readonly added: readonly ResolvedPort[]
    readonly removed: readonly ResolvedPort[]
    readonly changed: readonly PortChange[]
  }
  readonly properties: PropertyDiff
  /** Snooping before and after, if it changes while the switch runs. */
  readonly snooping: { readonly from: SnoopingConfig | undefined; readonly to: SnoopingConfig | undefined } | null
  /** Subnets and records of the overlay that change while the switch runs. */
  readonly overlay: OverlayDiff | null
}

/** Settings of the switch that it has from its start to its end. */
const fixedSettings = ['name', 'type', 'processors', 'verify', 'isolateTenants', 'macTable', 'connectionTable', 'limits'] as const
/** What of a port can change while it runs; the MTU only from one to another. */
const livePortKeys: ReadonlySet<string> = new Set([
  'link',
  'friendlyName',
  'portMirroring',
  'monitorSession',
  'monitorDirection',
  'monitorVlan',
  'tenant',
  'customerAddresses',
  'teaming',
  'mtu',
])
const VALUE_TEXT_MAX = 60

/** The changes that lead from one configuration to another; `from` null: from nothing. */
export function planChanges(from: ResolvedConfig | null, to: ResolvedConfig, names: PropertyNames = new Map()): Plan {
  const changes: Change[] = []
  const before = from === null ? null : plain(from)
  const after = plain(to)
  const settings = settingChanges(before, after)
  changes.push(...settings, ...adapterChanges(before?.adapters ?? [], after.adapters ?? []))
  const restart = before === null || changes.length > 0
  const extensions = planExtensions(before?.switch.extensions ?? [], after.switch.extensions, changes)
  const properties = diffProperties(before?.switch.properties ?? [], after.switch.properties ?? [], names)
  changes.push(...propertyChanges(properties))
  const ports = planPorts(before?.switch.ports ?? [], after.switch.ports, names, changes)
  const snooping = planSnooping(before, after, changes)
  const overlay = planOverlay(before?.switch.overlay, after.switch.overlay, changes)
  const cluster = difference('cluster', before?.cluster, after.cluster)
  if (cluster.length > 0)
    changes.push({ action: 'changed', kind: 'switch', name: 'network of hosts', details: cluster, how: 'live' })
  return { changes, restart, extensions, ports, properties, snooping, overlay }
}

function planOverlay(from: OverlayConfig | undefined, to: OverlayConfig | undefined, changes: Change[]): Plan['overlay'] {
  if (from === undefined || to === undefined) return null
  const diff = overlayDiff(from, to)
  if (diff === null) return null
  changes.push({ action: 'changed', kind: 'switch', name: 'overlay', details: diff.details, how: 'live' })
  return diff
}

function planSnooping(before: ResolvedConfig | null, after: ResolvedConfig, changes: Change[]): Plan['snooping'] {
  const from = before?.switch.snooping
  const to = after.switch.snooping
  if (before === null || isDeepStrictEqual(from, to)) return null
  changes.push({ action: 'changed', kind: 'switch', name: 'snooping', details: difference('snooping', from, to), how: 'live' })
  return { from, to }
}

function settingChanges(from: ResolvedConfig | null, to: ResolvedConfig): Change[] {
  if (from === null)
    return [{ action: 'added', kind: 'switch', name: to.switch.name, details: [`type: ${to.switch.type}`], how: 'restart' }]
  const details = [
    ...fixedSettings.flatMap((key) => difference(key, from.switch[key], to.switch[key])),
    ...difference('overlay', overlaySettings(from.switch.overlay), overlaySettings(to.switch.overlay)),
    ...difference('runtime.directory', from.runtime.directory, to.runtime.directory),
  ]
  return details.length === 0 ? [] : [{ action: 'changed', kind: 'switch', name: to.switch.name, details, how: 'restart' }]
}

function adapterChanges(from: NonNullable<ResolvedConfig['adapters']>, to: NonNullable<ResolvedConfig['adapters']>): Change[] {
  const { added, removed, both } = byName(from, to)
  const change = (action: Change['action'], name: string, details: readonly string[] = []): Change => ({
    action,
    kind: 'adapter',
    name,
    details,
    how: 'restart',
  })
  return [
    ...removed.map(({ name }) => change('removed', name)),
    ...both.flatMap(([old, now]) => {
      const details = differences(old, now)
      return details.length === 0 ? [] : [change('changed', now.name, details)]
    }),
    ...added.map(({ name, vfs }) => change('added', name, [`vfs: ${vfs}`])),
  ]
}

function planExtensions(
  from: readonly ResolvedExtension[],
  to: readonly ResolvedExtension[],
  changes: Change[],
): Plan['extensions'] {
  const { added, removed, both } = byName(from, to)
  const replaced: { from: ResolvedExtension; to: ResolvedExtension }[] = []
  const switched: { name: string; enabled: boolean }[] = []
  for (const { name } of removed) changes.push({ action: 'removed', kind: 'extension', name, details: [], how: 'live' })
  for (const [old, now] of both) {
    const details = differences(old, now)
    if (details.length === 0) continue
    const isSwitch = isDeepStrictEqual({ ...old, enabled: now.enabled }, now)
    if (isSwitch) switched.push({ name: now.name, enabled: now.enabled })
    else replaced.push({ from: old, to: now })
    changes.push({ action: 'changed', kind: 'extension', name: now.name, details, how: isSwitch ? 'live' : 'replace' })
  }
  for (const { name, enabled } of added)
    changes.push({ action: 'added', kind: 'extension', name, details: enabled ? [] : ['disabled'], how: 'live' })
  const order = to.map(({ name }) => name)
  const orderBefore = from.map(({ name }) => name)
  const common = both.map(([, { name }]) => name)
  const was = orderBefore.filter((name) => common.includes(name))
  const is = order.filter((name) => common.includes(name))
  if (!isDeepStrictEqual(was, is))
    changes.push({
      action: 'changed',
      kind: 'switch',
      name: 'order of extensions',
      details: [`${was.join(', ')} → ${is.join(', ')}`],
      how: 'live',
    })
  return { added, removed, replaced, switched, order, orderBefore }
}

function planPorts(
  from: readonly ResolvedPort[],
  to: readonly ResolvedPort[],
  names: PropertyNames,
  changes: Change[],
): Plan['ports'] {
  const { added, removed, both } = byName(from, to)
  const changed: PortChange[] = []
  for (const { name } of removed) changes.push({ action: 'removed', kind: 'port', name, details: [], how: 'live' })
  for (const [{ properties: was = [], ...old }, { properties: wanted = [], ...now }] of both) {
    const properties = diffProperties(was, wanted, names)
    const details = differences(old, now)
    const propertyDetails = propertyChanges(properties).map(({ action, name, details: [text] }) =>
      text === undefined ? `property ${name} ${action}` : `property ${name}: ${text}`,
    )
    if (details.length + propertyDetails.length === 0) continue
    const replace = needsReplacing(old, now)
    changed.push({ from: { ...old, properties: was }, to: { ...now, properties: wanted }, replace, properties })
    changes.push({
      action: 'changed',
      kind: 'port',
      name: now.name,
      details: [...details, ...propertyDetails],
      how: replace ? 'replace' : 'live',
    })
  }
  for (const { name, endpoint } of added)
    changes.push({ action: 'added', kind: 'port', name, details: [`endpoint: ${endpoint.kind}`], how: 'live' })
  return { added, removed, changed }
}

function needsReplacing(from: ResolvedPort, to: ResolvedPort): boolean {
  const members = (port: ResolvedPort): Readonly<Record<string, unknown>> => ({ ...port })
  const keys = new Set([...Object.keys(from), ...Object.keys(to)])
  for (const key of keys) if (!livePortKeys.has(key) && !isDeepStrictEqual(members(from)[key], members(to)[key])) return true
  return (from.mtu === undefined) !== (to.mtu === undefined)
}

function propertyChanges({ added, changed, removed }: PropertyDiff): Change[] {
  const change = (action: Change['action'], property: PropertyInput, details: readonly string[] = []): Change => ({
    action,
    kind: 'property',
    name: propertyText(property),
    details,
    how: 'live',
  })
  return [
    ...removed.map((property) => change('removed', property)),
    ...changed.map(({ from, to }) => change('changed', to, [`${valueText(from.value)} → ${valueText(to.value)}`])),
    ...added.map((property) => change('added', property)),
  ]
}

interface Named {
  readonly name: string
}

function byName<T extends Named>(from: readonly T[], to: readonly T[]) {
  const old = new Map(from.map((one) => [one.name, one]))
  const now = new Set(to.map(({ name }) => name))
  return {
    added: to.filter(({ name }) => !old.has(name)),
    removed: from.filter(({ name }) => !now.has(name)),
    both: to.flatMap((one): [T, T][] => {
      const before = old.get(one.name)
      return before === undefined ? [] : [[before, one]]
    }),
  }
}

/** The members in which two things differ, one line each. */
function differences(from: object, to: object): string[] {
  const a = from as Readonly<Record<string, unknown>>
  const b = to as Readonly<Record<string, unknown>>
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((key) => difference(key, a[key], b[key]))
}

function difference(key: string, from: unknown, to: unknown): string[] {
  if (isDeepStrictEqual(from, to)) return []
  const isMap = (value: unknown): value is object => typeof value === 'object' && value !== null && !Array.isArray(value)
  if (isMap(from) && isMap(to)) return differences(from, to).map((line) => `${key}.${line}`)
  return [`${key}: ${valueText(from)} → ${valueText(to)}`]
}

function valueText(value: unknown): string {
  if (value === undefined || value === null) return 'none'
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return text.length > VALUE_TEXT_MAX ? `${text.slice(0, VALUE_TEXT_MAX)}…` : text
}
