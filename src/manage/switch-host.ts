// A running switch as those who manage it see it: SwitchHost over the engine's object. Translates names, codes and shapes; decides
// nothing of its own.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { ExtensionEntry } from '../engine/extension-manager.ts'
import type { RunningSwitch } from '../engine/host.ts'
import type { PortSettings } from '../engine/port-settings.ts'
import { type InBoxExtensionName, inBoxExtensionUrls } from '../extensions/catalog.ts'
import { adapterHost } from './adapters/adapter-host.ts'
import { checkConfig } from './config/checks.ts'
import { pathText } from './config/diagnostics.ts'
import { explainIssues } from './config/explain.ts'
import { resolvePort } from './config/resolve.ts'
import { portSchema } from './config/schema.ts'
import type { ResolvedConfig, ResolvedExtension, ResolvedPort } from './config/types.ts'
import { ControlError } from './control/control-errors.ts'
import { diagnosisHost } from './diagnosis/diagnosis-host.ts'
import type { EventLog, ExtensionStatus, FdbFilter, PortStatus, ProcessorStatus, SwitchHost } from './host.ts'
import { installedExtension } from './installed-extension.ts'
import { liveHost } from './live/live-host.ts'
import { overlayHost } from './overlay/overlay-host.ts'
import { checkVirtualSubnet } from './overlay/subnet-check.ts'
import { aclHost } from './policies/acl-host.ts'
import { policyHost } from './policies/policy-host.ts'
import { snoopingHost } from './policies/snooping-host.ts'

/** What the engine is told to build. */
export function engineConfig(config: ResolvedConfig): ConstructorParameters<typeof RunningSwitch>[0] {
  const { name, type, processors, verify, isolateTenants, ports, macTable, connectionTable, extensions, limits } = config.switch
  return {
    name,
    type,
    processors,
    verify: verify === true,
    isolateTenants: isolateTenants === true,
    ...(config.switch.snooping === undefined ? {} : { snooping: config.switch.snooping }),
    ...(config.switch.overlay === undefined ? {} : { overlay: config.switch.overlay }),
    ports,
    macTable,
    ...(connectionTable === undefined ? {} : { connectionTable }),
    ...(config.switch.properties === undefined ? {} : { properties: config.switch.properties }),
    ...(config.adapters === undefined ? {} : { adapters: config.adapters }),
    ...(limits === undefined ? {} : { limits: defined(limits) }),
    ...(config.switch.rss === undefined ? {} : { rss: config.switch.rss }),
    extensions: extensions.map(extensionEntry),
    directory: config.runtime.directory,
  }
}

/** Without the members that are undefined: they would take the place of the engine's own. */
const defined = <T extends object>(value: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } =>
  Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as never

/** An extension as the engine takes it. */
export const extensionEntry = ({ name, file, enabled, onFailure, required, options }: ResolvedExtension): ExtensionEntry => ({
  name,
  file: file ?? fileURLToPath(inBoxExtensionUrls[name as InBoxExtensionName]), // the configuration was checked: the name is known
  enabled,
  onFailure,
  required,
  options,
})

/** Version of this package. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

/** The ports of a configuration, by name. */
export const configuredPorts = (config: ResolvedConfig): Map<string, ResolvedPort> =>
  new Map(config.switch.ports.map((port) => [port.name, port]))

/** Manages `running`, which was made from `config`. `settings`: its ports, which are kept as they come, change and go; `log` hears of what it does by itself. */
export function manageSwitch(
  running: RunningSwitch,
  config: ResolvedConfig,
  settings: Map<string, ResolvedPort> = configuredPorts(config),
  log: EventLog = () => {},
): SwitchHost {
  const version = packageVersion()
  const startedAt = new Date(Date.now() - running.uptimeMs).toISOString()

  const ports = (): PortStatus[] => running.ports().map((port) => portStatus(port, settings.get(port.name)))
  const port = (name: string): PortStatus => {
    const found = ports().find((candidate) => candidate.name === name)
    if (found === undefined) throw new ControlError('no-such-port', `switch "${config.switch.name}" has no port "${name}"`)
    return found
  }
  const processors = (): ProcessorStatus[] =>
    running.processors().map(({ index, latencyNs, counters }) => ({ id: index, latencyNs, counters }))
  const extension = async (name: string): Promise<ExtensionStatus> => {
    const found = (await running.extensions()).find((candidate) => candidate.name === name)
    if (found === undefined)
      throw new ControlError('no-such-extension', `switch "${config.switch.name}" has no extension "${name}"`)
    return found
  }
  const knownPort = ({ port: name }: FdbFilter): void => {
    if (name !== undefined) port(name)
  }

  /** As if these ports stood in the configuration. Of them only `wanting` must have an adapter to take its virtual function from. */
  const checkPorts = (all: readonly ResolvedPort[], wanting?: ResolvedPort): void => {
    const findings = checkConfig({
      ...config,
      switch: { ...config.switch, snooping: undefined, overlay: undefined, ports: all },
      guests: [],
    })
    const finding = findings.find(({ code, path }) => code !== 'needs-adapter' || all[Number(path[2])] === wanting)
    if (finding !== undefined) throw new ControlError('bad-request', `${finding.message}; ${finding.hint}`)
  }

  // A port that comes from another switch stays on its synthetic card where this one has no adapter.
  const resolve = (input: unknown, isNew: boolean): ResolvedPort => {
    const parsed = portSchema.safeParse(input)
    if (!parsed.success) {
      const [first] = explainIssues(portSchema, input, parsed.error.issues)
      const where = first === undefined ? '' : pathText(first.path)
      throw new ControlError(
        'bad-request',
        `this is no port: ${where}${where === '' ? '' : ': '}${first?.message ?? parsed.error.message}`,
      )
    }
    const added = resolvePort(parsed.data, config.runtime.directory)
    if (ports().some(({ name }) => name === added.name))
      throw new ControlError('port-exists', `switch "${config.switch.name}" already has a port "${added.name}"`)
    checkPorts([...settings.values(), added], isNew ? added : undefined)
    if (isNew) checkVirtualSubnet(running, added.name, added.properties?.find(({ type }) => type === 'security')?.value)
    return added
  }

  const adapters = adapterHost({ adapters: running.adapters, switchName: config.switch.name, translated })
  const overlay = overlayHost(running)
  const properties = policyHost({
    running,
    runtimeDirectory: config.runtime.directory,
    settings,
    port,
    resolve: (input) => resolve(input, false),
    translated,
    log,
  })
  return {
    ...adapters,
    ...overlay,
    ...liveHost({ running, config, settings, version, startedAt, queues: adapters.queues, overlay: overlay.overlay }),
    ...diagnosisHost({ running, port, translated }),
    ...snoopingHost(running),
    ...aclHost({ running, port, settings, properties }),
    ...properties,
    status: async () => {
      const all = ports()
      const extensions = await running.extensions()
      const { used, capacity } = running.fdbStatistics()
      return {
        name: config.switch.name,
        type: config.switch.type,
        version,
        pid: process.pid,
        startedAt,
        uptimeSeconds: Math.floor(running.uptimeMs / 1000),
        file: config.file,
        runtimeDirectory: config.runtime.directory,
        control: config.runtime.control,
        processors: processors(),
        ports: { total: all.length, connected: all.filter(({ connected }) => connected).length },
        extensions: {
          total: extensions.length,
          enabled: extensions.filter(({ enabled }) => enabled).length,
          failed: extensions.filter(({ state }) => state === 'failed').length,
        },
        macTable: { used, capacity, ageingSeconds: config.switch.macTable.ageingSeconds },
        receivedFrames: sum(all, ({ counters }) => counters.receivedFrames),
        droppedFrames: sum(all, ({ counters }) => counters.receivedDropped + counters.sendDropped),
        memory: { residentBytes: process.memoryUsage.rss(), guestBytesAvailable: running.memory().guestBytesAvailable },
      }
    },
    ports,
    team: () => running.effects.team.status() ?? null,
    fdb: (filter) => {
      knownPort(filter)
      return running.fdb(filter).map(({ vlan, mac, port: owner, static: isStatic, ageSeconds }) => ({
        vlan,
        mac,
        port: owner,
        kind: isStatic ? 'static' : 'learned',
        ageSeconds: isStatic ? null : ageSeconds,
      }))
    },
    flushFdb: (filter) => {
      knownPort(filter)
      return running.flushFdb(filter)
    },
    extensions: () => running.extensions(),
    setExtension: ({ name, enabled }) =>
      translated(async () => {
        await extension(name)
        await running.setExtension(name, enabled)
        return extension(name)
      }),
    pauseExtension: ({ name, paused }) =>
      translated(async () => {
        await extension(name)
        await running.setExtensionPaused(name, paused)
        return extension(name)
      }),
    reorderExtensions: (names) =>
      translated(async () => {
        for (const name of names) await extension(name)
        await running.reorderExtensions(names)
        return running.extensions()
      }),
    installExtension: (input) =>
      translated(async () => {
        const entry = installedExtension(input)
        await running.installExtension(extensionEntry(entry))
        return extension(entry.name)
      }),
    uninstallExtension: (name) =>
      translated(async () => {
        await extension(name)
        await running.uninstallExtension(name)
      }),
    replaceExtension: (name) =>
      translated(async () => {
        await extension(name)
        await running.reloadExtension(name)
        return extension(name)
      }),
    counters: async () => ({
      takenAt: new Date().toISOString(),
      ports: ports().map(({ name, counters }) => ({ name, counters })),
      extensions: (await running.extensions()).map(({ name, counters }) => ({ name, counters })),
      processors: processors(),
    }),
    drops: () =>
      running
        .drops()
        .flatMap(({ port: name, reasons }) =>
          Object.entries(reasons).map(([reason, frames]) => ({ port: name, reason, frames })),
        ),
    addPort: (input) =>
      translated(async () => {
        const added = resolve(input, true)
        settings.set(added.name, added) // its virtual function may be plugged before the call returns
        try {
          await running.addPort(added)
        } catch (error) {
          settings.delete(added.name)
          throw error
        }
        return port(added.name)
      }),
    removePort: (name) =>
      translated(async () => {
        port(name)
        await running.removePort(name)
        settings.delete(name)
      }),
    setLink: (name, up) =>
      translated(async () => {
        port(name)
        await running.setLink(name, up)
        return port(name)
      }),
    setPort: (name, change) =>
      translated(async () => {
        port(name)
        const before = settings.get(name)
        const after = before === undefined ? undefined : ({ ...before, ...change } as ResolvedPort)
        if (after !== undefined) checkPorts([...settings.values()].map((one) => (one === before ? after : one)))
        await running.setPort(name, change as PortSettings)
        if (after !== undefined) settings.set(name, after)
        return port(name)
      }),
  }
}

const sum = <T>(items: readonly T[], of: (item: T) => number): number => items.reduce((total, item) => total + of(item), 0)

type EnginePort = ReturnType<RunningSwitch['ports']>[number]

function portStatus(port: EnginePort, settings: ResolvedPort | undefined): PortStatus {
  const { kind: _, ...shown } = port
  return {
    ...shown,
    vm: settings?.vm ?? port.name,
    macSpoofing: settings?.macSpoofing ?? 'off',
    learning: settings?.learning ?? port.mac === null,
    uplinks: settings?.adapters ?? [],
    iov: settings?.iov ?? null,
    engine: typeof port.detail.engine === 'string' ? port.detail.engine : null,
  }
}

/** The engine's codes (NOT_FOUND) as the API has them (not-found); what needs a code and has none gets `refused`. */
async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') throw error
    if (/^[A-Z]+(_[A-Z]+)*$/.test(error.code) && !/^E[A-Z0-9]+$/.test(error.code))
      throw new ControlError(error.code.toLowerCase().replaceAll('_', '-'), error.message)
    throw error
  }
}
