// From the configuration as written to the one that the switch takes: absolute paths, normal forms, the runtime directory.
//
// The rule it must not break: nothing is made or changed here; directories are made by whoever starts the switch.
import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, parse, resolve } from 'node:path'
import type { z } from 'zod'
import type { PropertyInput } from '../../switch/policies/property.ts'
import { splitSecurity } from '../../switch/policies/protection.ts'
import type { adapterSchema } from './adapter-schema.ts'
import { resolveCluster } from './cluster-schema.ts'
import { INTERFACE_NAME_MAX } from './limits.ts'
import type { listenSchema } from './listen-schema.ts'
import { normalizeMac } from './mac.ts'
import { normalOverlay } from './overlay-checks.ts'
import type { configSchema, extensionSchema, portSchema } from './schema.ts'
import type { EndpointConfig, ResolvedAdapter, ResolvedConfig, ResolvedExtension, ResolvedPort } from './types.ts'

/** What resolving asks of the machine. */
export interface ResolveComponents {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** Whether this process could make `directory` and files in it. */
  canWrite(directory: string): boolean
}

/** The machine that the process runs on. */
export const systemComponents = (): ResolveComponents => ({ env: process.env, cwd: process.cwd(), canWrite })

/** Whether the nearest existing ancestor of `directory`, itself included, can be written to. */
function canWrite(directory: string): boolean {
  let nearest = directory
  while (!existsSync(nearest) && dirname(nearest) !== nearest) nearest = dirname(nearest)
  try {
    accessSync(nearest, constants.W_OK | constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The directories that hold the runtime directories of switches, in the order of preference. */
export function runtimeRoots({ env, cwd }: Pick<ResolveComponents, 'env' | 'cwd'>): string[] {
  const own = env.XDG_RUNTIME_DIR
  const roots = [join(cwd, '.vmswitch')]
  roots.unshift(own !== undefined && isAbsolute(own) ? join(own, 'vmswitch') : '/run/vmswitch')
  return roots
}

function runtimeDirectory(name: string, components: ResolveComponents): string {
  const roots = runtimeRoots(components)
  const root = roots.find((candidate) => components.canWrite(candidate)) ?? roots[roots.length - 1]!
  return join(root, name)
}

/** Keys of an endpoint that name unix sockets. */
export const socketKeys = ['path', 'local', 'remote'] as const
/** Keys of an endpoint that name files of the runtime directory. */
export const placeKeys = [...socketKeys, 'tokenFile', 'certificate', 'key'] as const

function resolveEndpoint<T extends EndpointConfig>(endpoint: T, directory: string): T {
  const resolved: Record<string, unknown> = { ...endpoint }
  for (const key of placeKeys) if (typeof resolved[key] === 'string') resolved[key] = resolve(directory, resolved[key])
  if (endpoint.kind === 'pcap')
    for (const key of ['replay', 'record'] as const)
      if (endpoint[key] !== undefined) resolved[key] = resolve(directory, endpoint[key])
  if (endpoint.kind === 'vf') resolved.mac = normalizeMac(endpoint.mac)
  return resolved as unknown as T
}

function portProperties({
  vlan,
  security,
  bandwidth,
  acls,
  extendedAcls,
  properties = [],
}: z.output<typeof portSchema>): PropertyInput[] {
  const access = typeof vlan === 'number' ? { mode: 'access', accessVlanId: vlan } : vlan
  const { security: standard, protection } = splitSecurity(security ?? {})
  return [
    ...(access === undefined ? [] : [{ type: 'vlan' as const, value: access }]),
    ...(security === undefined || standard === undefined ? [] : [{ type: 'security' as const, value: standard }]),
    ...(protection === undefined ? [] : [{ type: 'protection' as const, value: protection }]),
    ...(bandwidth === undefined ? [] : [{ type: 'bandwidth' as const, value: bandwidth }]),
    ...(acls === undefined ? [] : [{ type: 'acl' as const, value: { entries: acls } }]),
    ...(extendedAcls === undefined ? [] : [{ type: 'extended-acl' as const, value: { rules: extendedAcls } }]),
    ...properties,
  ]
}

/** An address that stays the same as long as the names do: locally administered, of a station. */
export function derivedMac(switchName: string, adapterName: string): string {
  const bytes = createHash('sha256').update(`${switchName}/${adapterName}`).digest().subarray(0, 6)
  bytes[0] = (bytes[0]! & 0xfc) | 0x02
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}

function resolveAdapter(
  { mac, uplink, mode, queues, baseProcessor, maxProcessors, rebalanceSeconds, ...rest }: z.output<typeof adapterSchema>,
  switchName: string,
  directory: string,
): ResolvedAdapter {
  return {
    ...rest,
    ...(mode === undefined ? {} : { mode }),
    ...(queues === undefined ? {} : { queues }),
    ...(baseProcessor === undefined ? {} : { baseProcessor }),
    ...(maxProcessors === undefined ? {} : { maxProcessors }),
    ...(rebalanceSeconds === undefined ? {} : { rebalanceSeconds }),
    mac: mac === undefined ? derivedMac(switchName, rest.name) : normalizeMac(mac),
    uplink: uplink === undefined ? null : resolveEndpoint(uplink, directory),
  }
}

function resolveIov({ name, iov }: z.output<typeof portSchema>, directory: string): Pick<ResolvedPort, 'iov'> {
  if (iov === undefined) return {}
  const path = resolve(directory, iov.path ?? `${name}-vf.sock`)
  return { iov: { ...iov, path, ...(iov.qmp === undefined ? {} : { qmp: resolve(directory, iov.qmp) }) } }
}

/** A port with absolute socket paths, its address in normal form, and whether it learns. */
export function resolvePort(port: z.output<typeof portSchema>, directory: string): ResolvedPort {
  const properties = portProperties(port)
  return {
    name: port.name,
    mac: port.mac === undefined ? null : normalizeMac(port.mac),
    macSpoofing: port.macSpoofing,
    learning: port.learning ?? port.mac === undefined,
    link: port.link,
    endpoint: resolveEndpoint(port.endpoint, directory),
    ...(port.uplinks === undefined ? {} : { adapters: port.uplinks.map((uplink) => resolveEndpoint(uplink, directory)) }),
    ...(port.vm === undefined ? {} : { vm: port.vm }),
    ...(port.friendlyName === undefined ? {} : { friendlyName: port.friendlyName }),
    ...(port.mtu === undefined ? {} : { mtu: port.mtu }),
    ...(port.portMirroring === undefined ? {} : { portMirroring: port.portMirroring, monitorSession: port.monitorSession ?? 0 }),
    ...(port.monitorDirection === undefined ? {} : { monitorDirection: port.monitorDirection }),
    ...(port.tenant === undefined ? {} : { tenant: port.tenant }),
    ...(port.customerAddresses === undefined ? {} : { customerAddresses: port.customerAddresses }),
    ...(port.teaming === undefined ? {} : { teaming: port.teaming }),
    ...(port.monitorVlan === undefined ? {} : { monitorVlan: port.monitorVlan }),
    ...(port.vmqWeight === undefined ? {} : { vmqWeight: port.vmqWeight }),
    ...(port.vmmqEnabled === undefined ? {} : { vmmqEnabled: port.vmmqEnabled }),
    ...(port.vmmqQueuePairs === undefined ? {} : { vmmqQueuePairs: port.vmmqQueuePairs }),
    ...resolveIov(port, directory),
    ...(properties.length > 0 ? { properties } : {}),
  }
}

/** Name of the port that allowManagementOS adds. */
export const MANAGEMENT_PORT = 'management-os'

/** The host's own adapter on the switch: a TAP whose name shows whose it is. */
function managementPort(switchName: string): ResolvedPort {
  return {
    name: MANAGEMENT_PORT,
    mac: null,
    macSpoofing: 'off',
    learning: true,
    link: 'up',
    endpoint: { kind: 'tap', interface: `vsw-${switchName}`.slice(0, INTERFACE_NAME_MAX), mtu: 1500, queues: 1 },
    managementOS: true,
  }
}

/** Whether `use` names a module and not an in-box extension. */
export const isModulePath = (use: string): boolean => /^(\.{1,2}\/|\/)/.test(use)

/** `./policies/block-telnet.ts` and `./block-telnet/index.ts` are both called `block-telnet`. */
function extensionName(use: string): string {
  if (!isModulePath(use)) return use
  const { name, dir } = parse(use)
  return name === 'index' && basename(dir) !== '' && !/^\.+$/.test(basename(dir)) ? basename(dir) : name
}

/** An extension with its name and the path of its module, which starts in `directory` if it is relative. */
export const resolveExtension = (extension: z.output<typeof extensionSchema>, directory: string): ResolvedExtension => ({
  ...extension,
  name: extensionName(extension.use),
  file: isModulePath(extension.use) ? resolve(directory, extension.use) : null,
})

function resolveListen(listen: z.output<typeof listenSchema>, beside: string): z.output<typeof listenSchema> {
  const { certificate, key, tokens, ...rest } = listen
  const pair =
    certificate === undefined || key === undefined ? {} : { certificate: resolve(beside, certificate), key: resolve(beside, key) }
  return { ...rest, ...pair, tokens: resolve(beside, tokens) }
}

/** `file` is the absolute path of the configuration: module paths and a relative runtime directory start beside it. */
export function resolveConfig(
  config: z.output<typeof configSchema>,
  file: string,
  components: ResolveComponents,
): ResolvedConfig {
  const beside = dirname(file)
  const { directory: written, control, console, listen } = config.runtime
  const { properties: custom = [], bandwidth, overlay, ...ofSwitch } = config.switch
  const properties: PropertyInput[] = [
    ...(bandwidth === undefined ? [] : [{ type: 'bandwidth' as const, value: bandwidth }]),
    ...custom.map((property) => ({ type: 'custom' as const, ...property })),
  ]
  const directory = written === undefined ? runtimeDirectory(config.switch.name, components) : resolve(beside, written)
  return {
    file,
    switch: {
      ...ofSwitch,
      ...(overlay === undefined ? {} : { overlay: normalOverlay(overlay) }),
      ...(properties.length > 0 ? { properties } : {}),
      extensions: config.switch.extensions.map((extension) => resolveExtension(extension, beside)),
      ports: [
        ...config.switch.ports.map((port) => resolvePort(port, directory)),
        ...(config.switch.allowManagementOS === true ? [managementPort(config.switch.name)] : []),
      ],
    },
    ...(config.adapters === undefined
      ? {}
      : { adapters: config.adapters.map((adapter) => resolveAdapter(adapter, config.switch.name, directory)) }),
    runtime: {
      directory,
      control: resolve(directory, control),
      ...(console === undefined ? {} : { console }),
      ...(listen === undefined ? {} : { listen: resolveListen(listen, beside) }),
    },
    ...(config.cluster === undefined ? {} : { cluster: resolveCluster(config.cluster, beside) }),
    guests: config.guests,
    ...(config.failover === undefined ? {} : { failover: config.failover }),
  }
}
