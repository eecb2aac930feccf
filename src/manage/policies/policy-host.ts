// The part of SwitchHost that is about properties, feature status, save, restore and migration. switch-host.ts has the rest.
//
// The rule it must not break: what comes from a saved switch is checked as a configuration is before a port is made of it.
import { isAbsolute, relative } from 'node:path'
import type { RunningSwitch } from '../../engine/host.ts'
import { formatPropertyVersion, normalizeGuid } from '../../ndis/properties.ts'
import { fieldsSchema } from '../../ndis/property-fields.ts'
import type { DefinedProperty, PropertyInstance } from '../../switch/policies/property.ts'
import { encodeBase64 } from '../../switch/save-restore/base64.ts'
import { readSavedSwitch, type SavedPort, type SavedSwitch, writeSavedSwitch } from '../../switch/save-restore/saved-switch.ts'
import { placeKeys } from '../config/resolve.ts'
import type { ResolvedPort } from '../config/types.ts'
import { ControlError } from '../control/control-errors.ts'
import type { EventLog, PortStatus, PropertyDefinitionStatus, PropertyStatus, SwitchHost } from '../host.ts'
import { checkVirtualSubnet } from '../overlay/subnet-check.ts'
import { PreparedPorts } from './prepared-ports.ts'

type PolicyCalls =
  | 'properties'
  | 'propertyDefinitions'
  | 'addProperty'
  | 'setProperty'
  | 'removeProperty'
  | 'featureStatus'
  | 'save'
  | 'restore'
  | 'prepareMigration'
  | 'stillMigrating'
  | 'holdPort'
  | 'awaitStop'
  | 'handOver'
  | 'takeOver'
  | 'abandonMigration'

const definitionStatus = ({ parse: _, fields, list = false, ...rest }: DefinedProperty): PropertyDefinitionStatus => ({
  ...rest,
  fields: fields ?? null,
  list,
  schema: fields === undefined ? null : fieldsSchema(fields, list),
})

export interface PolicyHostComponents {
  readonly running: RunningSwitch
  readonly runtimeDirectory: string
  /** The ports as configured; a port that is made or goes is noted here. */
  readonly settings: Map<string, ResolvedPort>
  /** The status of a port; throws `no-such-port`. */
  readonly port: (name: string) => PortStatus
  /** Checks a port as a configuration would be checked with it; throws `bad-request` or `port-exists`. */
  readonly resolve: (input: unknown) => ResolvedPort
  readonly translated: <T>(work: () => Promise<T>) => Promise<T>
  readonly log: EventLog
}

export function policyHost(components: PolicyHostComponents): Pick<SwitchHost, PolicyCalls> {
  const { running, settings, port, resolve, translated, log } = components
  const { moves, policies } = running
  const abandon = async (name: string): Promise<void> => {
    await moves.abandon(name)
    if (!running.ports().some((one) => one.name === name)) settings.delete(name)
  }
  const prepared = new PreparedPorts((name) => {
    if (!moves.isPrepared(name)) return
    abandon(name).then(
      () =>
        log({ source: `port ${name}`, code: 'migration-given-up', message: 'it was to come here, and nobody moves it any more' }),
      ({ message }: Error) => log({ source: `port ${name}`, code: 'migration-given-up', message }),
    )
  })
  const idOf = (name: string | undefined): number | undefined => (name === undefined ? undefined : port(name).id)
  // A feature whose identifier is that of its extension goes by the extension's name.
  const featureId = async (id: string): Promise<string> =>
    normalizeGuid(id) ?? (await running.extensions()).find(({ name }) => name === id)?.id ?? id
  const shown = (name: string | undefined, property: PropertyInstance): PropertyStatus => ({
    port: name ?? null,
    type: property.type,
    id: property.type === 'custom' ? property.propertyId : null,
    name: property.name,
    instance: property.propertyInstanceId,
    version: formatPropertyVersion(property.propertyVersion),
    value: property.value,
  })
  const known = (name: string | undefined, { type, value }: { readonly type: string; readonly value?: unknown }): void => {
    if (name !== undefined && type === 'security') checkVirtualSubnet(running, name, value)
  }
  const imposedOn = (name: string, id: number): PropertyStatus[] =>
    policies.imposedOn(id).flatMap(({ name: network, properties }) =>
      properties.map(({ type, value }) => ({
        port: name,
        type,
        id: null,
        name: '',
        instance: `network ${network}`,
        version: '',
        value,
        network,
      })),
    )
  const write = (saved: SavedSwitch): string =>
    writeSavedSwitch({ ...saved, ports: saved.ports.map((one) => ({ ...one, config: movable(one.config, components) })) })
  const onlyPort = (text: string): SavedPort => {
    const { ports } = readSavedSwitch(text)
    if (ports.length !== 1 || !ports[0]) throw new ControlError('bad-request', 'one port is expected in what was saved')
    return ports[0]
  }

  return {
    properties: ({ port: name, imposed = false }) => {
      const ofPort = (one: string, id: number): PropertyStatus[] => [
        ...policies.list(id).map((property) => shown(one, property)),
        ...(imposed ? imposedOn(one, id) : []),
      ]
      return name === undefined
        ? [
            ...policies.list(undefined).map((property) => shown(undefined, property)),
            ...running.ports().flatMap((one) => ofPort(one.name, one.id)),
          ]
        : ofPort(name, port(name).id)
    },
    propertyDefinitions: () => policies.definitions().map(definitionStatus),
    addProperty: ({ port: name, ...input }) =>
      translated(async () => {
        known(name, input)
        return shown(name, await policies.add(idOf(name), input))
      }),
    setProperty: ({ port: name, ...input }) =>
      translated(async () => {
        known(name, input)
        return shown(name, await policies.update(idOf(name), input))
      }),
    removeProperty: ({ port: name, ...selector }) =>
      translated(async () => {
        await policies.delete(idOf(name), selector)
      }),
    featureStatus: ({ port: name, id, instance }) =>
      translated(async () => {
        const status = await policies.featureStatus(idOf(name), await featureId(id), instance)
        return { id: status.id, version: formatPropertyVersion(status.version), data: encodeBase64(status.data) }
      }),
    save: ({ port: name }) =>
      translated(async () => {
        idOf(name)
        return write(await moves.save(name))
      }),
    restore: (text) =>
      translated(async () => {
        const saved = readSavedSwitch(text)
        const present = new Set(running.ports().map(({ name }) => name))
        // All are checked before one is made.
        const fresh = new Map(saved.ports.filter(({ name }) => !present.has(name)).map((one) => [one.name, resolve(one.config)]))
        for (const made of fresh.values()) settings.set(made.name, made) // a virtual function may be plugged before the call returns
        try {
          const restored = await moves.restoreAll(saved, fresh)
          return { ports: restored.map((one) => ({ ...one, created: fresh.has(one.name) })) }
        } catch (error) {
          for (const name of fresh.keys()) settings.delete(name)
          throw error
        }
      }),
    prepareMigration: (text) =>
      translated(async () => {
        const saved = onlyPort(text)
        const resolved = resolve(saved.config)
        await moves.prepare({ ...resolved, properties: saved.properties })
        settings.set(resolved.name, resolved)
        return port(resolved.name)
      }),
    stillMigrating: async (name, last) => {
      port(name)
      if (!moves.isPrepared(name)) throw new ControlError('wrong-state', `port "${name}" is not prepared for a migration`)
      if (last) prepared.forget(name)
      else prepared.alive(name)
    },
    holdPort: (name) =>
      translated(async () => {
        port(name)
        await moves.hold(name)
      }),
    awaitStop: (name, timeoutMs) =>
      translated(async () => {
        port(name)
        return moves.stopped(name, timeoutMs)
      }),
    handOver: (name) =>
      translated(async () => {
        port(name)
        const saved = write(await moves.handOver(name))
        settings.delete(name)
        return saved
      }),
    takeOver: (text) =>
      translated(async () => {
        const saved = onlyPort(text)
        prepared.forget(saved.name)
        return { ports: [{ ...(await moves.takeOver(saved)), created: false }] }
      }),
    abandonMigration: (name) =>
      translated(async () => {
        port(name)
        prepared.forget(name)
        await abandon(name)
      }),
  }
}

/** A port's configuration as it can be used elsewhere: sockets of the runtime directory are named from there, no MAC is left out. */
function movable(
  config: Readonly<Record<string, unknown>>,
  { runtimeDirectory }: PolicyHostComponents,
): Readonly<Record<string, unknown>> {
  const fromThere = (value: unknown, keys: readonly string[]): Record<string, unknown> => {
    const moved: Record<string, unknown> = { ...(value as object) }
    for (const key of keys) {
      const path = moved[key]
      if (typeof path !== 'string') continue
      const beside = relative(runtimeDirectory, path)
      if (!beside.startsWith('..') && !isAbsolute(beside)) moved[key] = beside
    }
    return moved
  }
  const { mac, adapters, iov, ...rest } = config
  return {
    ...rest,
    ...(mac === null ? {} : { mac }),
    endpoint: fromThere(config.endpoint, placeKeys),
    ...(Array.isArray(adapters) ? { uplinks: adapters.map((uplink) => fromThere(uplink, placeKeys)) } : {}),
    ...(iov === undefined ? {} : { iov: fromThere(iov, ['path', 'qmp']) }),
  }
}
