// What depends on several values of a configuration at once: duplicates, references, addresses, lengths of resolved paths.
import { existsSync } from 'node:fs'
import { hostAdapters } from '../../engine/switch-config.ts'
import { inBoxExtensionNames } from '../../extensions/catalog.ts'
import { OptionError } from '../../ndis/module-options.ts'
import { isSingle, type PropertyInput } from '../../switch/policies/property.ts'
import { protectionMembers } from '../../switch/policies/protection.ts'
import { parseStandardProperty } from '../../switch/policies/standard-properties.ts'
import { checkAdapters, checkEndpointPlaces, isExternalPort, type SharedChecks } from './adapter-checks.ts'
import { checkCluster } from './cluster-schema.ts'
import type { PathSegment } from './diagnostics.ts'
import type { Finding } from './explain.ts'
import { SOCKET_PATH_MAX_BYTES } from './limits.ts'
import { isMulticastMac, isZeroMac, multicastHint } from './mac.ts'
import { checkOverlay } from './overlay-checks.ts'
import { isModulePath } from './resolve.ts'
import { checkSnooping } from './snooping-schema.ts'
import { didYouMean } from './suggest.ts'
import type { ResolvedConfig, ResolvedPort, ResolvedSwitch, VfConfig } from './types.ts'

export type Path = readonly PathSegment[]

/** Findings in a resolved configuration, in the order of the file. */
export function checkConfig(config: ResolvedConfig): Finding[] {
  const findings: Finding[] = []
  const report: Report = (code, path, message, hint = '') => {
    findings.push({ code, path, key: null, message, hint })
  }

  /** Remembers where a value was first seen and reports a second time. */
  const once = (what: string, hint: string): ((value: string, path: Path) => void) => {
    const seen = new Map<string, string>()
    return (value, path) => {
      const before = seen.get(value)
      if (before === undefined) seen.set(value, ownerText(path))
      else report('duplicate', path, `the ${what} "${value}" is taken by ${before}`, hint)
    }
  }

  const extensionOnce = once('extension', 'each extension has its own name, that of its file: remove or rename one of the two')
  for (const [index, { name, use, file }] of config.switch.extensions.entries()) {
    const path: Path = ['switch', 'extensions', index, 'use']
    extensionOnce(name, path)
    if (file !== null) {
      if (!existsSync(file)) report('no-such-file', path, `there is no file ${file}`, 'paths start beside the configuration file')
    } else if (!(inBoxExtensionNames as readonly string[]).includes(use)) {
      const hint = /[/.]/.test(use) && !isModulePath(use) ? `for a file, write "./${use}"` : didYouMean(use, inBoxExtensionNames)
      report('no-such-extension', path, `there is no in-box extension "${use}"`, hint)
    }
  }

  if (config.switch.allowManagementOS === true && config.switch.type !== 'external')
    report(
      'needs-external',
      ['switch', 'allowManagementOS'],
      `a switch of type ${config.switch.type} has no uplink to share with the host`,
      'set type: external, or connect a port to the host with kind: tap',
    )

  const portOnce = once('port name', 'give each port its own name')
  const macOnce = once('MAC address', 'give each port its own address')
  const socketOnce = once('socket path', 'give each socket its own path')
  const interfaceOnce = once('interface', 'give each port its own interface')
  const shared: SharedChecks = {
    report,
    mac: macOnce,
    interface: interfaceOnce,
    token: once('token file', 'give each port its own: a token lets in to one port'),
    listener: once('address', 'give each port its own'),
    socket: (socket, path) => {
      checkSocketPath(socket, path)
      socketOnce(socket, path)
    },
  }
  shared.socket(config.runtime.control, ['runtime', 'control'])

  function checkSocketPath(socket: string, path: Path): void {
    const length = Buffer.byteLength(socket)
    if (socket.includes('\0')) report('bad-value', path, 'a path has no zero byte', 'remove it')
    if (length > SOCKET_PATH_MAX_BYTES)
      report(
        'path-too-long',
        path,
        `the socket's path has ${length} bytes, Linux allows ${SOCKET_PATH_MAX_BYTES}: ${socket}`,
        'choose a shorter path, or a shorter runtime.directory',
      )
  }

  for (const [index, port] of config.switch.ports.entries()) {
    const path: Path = ['switch', 'ports', index]
    portOnce(port.name, [...path, 'name'])
    if (port.mac !== null) {
      if (isMulticastMac(port.mac))
        report('multicast-mac', [...path, 'mac'], `${port.mac} is a group address`, multicastHint(port.mac))
      else if (isZeroMac(port.mac)) report('zero-mac', [...path, 'mac'], `${port.mac} is no address`, 'choose another one')
      macOnce(port.mac, [...path, 'mac'])
    }
    checkEndpointPlaces(port.endpoint, [...path, 'endpoint'], shared)
    for (const [member, uplink] of (port.adapters ?? []).entries())
      checkEndpointPlaces(uplink, [...path, 'uplinks', member], shared)
    checkProperties(port.properties ?? [], path, report)
    if (port.endpoint.kind === 'vf') checkFunction(port.endpoint, port, config.switch.ports, path, report)
    if (isExternalPort(port)) checkExternal(port, path, config.switch, report)
    checkMtu(port, path, report)
    if (port.teaming !== undefined && port.adapters === undefined)
      report(
        'no-team',
        [...path, 'teaming'],
        'this port has no further uplinks to team',
        'name them under uplinks, or remove teaming',
      )
  }
  checkAdapters(config, shared)
  if (config.cluster !== undefined)
    checkCluster(config.cluster, (code, path, ...words) => report(code, ['cluster', ...path], ...words))
  if (config.switch.snooping !== undefined) {
    const names = config.switch.ports.map(({ name }) => name)
    checkSnooping(config.switch.snooping, names, (code, path, ...words) =>
      report(code, ['switch', 'snooping', ...path], ...words),
    )
  }
  const { overlay, ports: wired } = config.switch
  if (overlay !== undefined)
    checkOverlay(overlay, { ports: wired, isExternal: isExternalPort }, (code, path, ...words) =>
      report(code, ['switch', 'overlay', ...path], ...words),
    )

  const guestOnce = once('guest name', 'give each guest its own name')
  const attachedOnce = once('port', 'attach each guest to its own port')
  const addressOnce = once('address', 'give each guest its own address')
  const ports = new Map(config.switch.ports.map((port) => [port.name, port]))
  for (const [index, guest] of config.guests.entries()) {
    const path: Path = ['guests', index]
    guestOnce(guest.name, [...path, 'name'])
    const port = ports.get(guest.port)
    if (port === undefined) {
      const hint = ports.size === 0 ? 'the switch has no ports' : didYouMean(guest.port, [...ports.keys()])
      report('no-such-port', [...path, 'port'], `there is no port "${guest.port}"`, hint)
    } else {
      attachedOnce(guest.port, [...path, 'port'])
      const pairs = port.endpoint.kind === 'vhost-user' ? port.endpoint.queuePairs : 1
      if (guest.queues > pairs)
        report(
          'too-many-queues',
          [...path, 'queues'],
          `the guest wants ${guest.queues} queue pairs, port "${port.name}" has ${pairs}`,
          port.endpoint.kind === 'vhost-user' ? `set queuePairs: ${guest.queues} at the port` : 'leave queues out',
        )
    }
    if (guest.address !== undefined) addressOnce(guest.address.split('/')[0]!, [...path, 'address'])
  }
  return findings
}

export type Report = (code: string, path: Path, message: string, hint?: string) => void

// Under which key of a port a property may be written.
const keys: Readonly<Partial<Record<PropertyInput['type'], string>>> = {
  acl: 'acls',
  'extended-acl': 'extendedAcls',
  vlan: 'vlan',
  security: 'security',
  protection: 'security',
}

// Where in a port's configuration a property is wrong: `rules[3].protocol` of an ACL stands under extendedAcls[3], `stormLimit.broadcast` under
// security.
function placeIn(type: PropertyInput['type'], error: unknown): Path {
  const key = keys[type]
  if (key === undefined || !(error instanceof OptionError)) return []
  const place = error.option
    .split(/[.[\]]+/)
    .filter((segment) => segment !== '')
    .map((segment) => (/^\d+$/.test(segment) ? Number(segment) : segment))
  return [key, ...(type.endsWith('acl') ? place.slice(1) : place)]
}

// What a person may have meant by a member that there is not.
function meant(type: PropertyInput['type'], error: unknown): string | undefined {
  const known = error instanceof OptionError ? / known are (.+)$/.exec(error.message)?.[1]?.split(', ') : undefined
  const member = (error as Partial<OptionError>).option?.split('.').at(-1) ?? ''
  return known === undefined ? undefined : didYouMean(member, type === 'security' ? [...known, ...protectionMembers] : known)
}

/** Standard properties: their values, and that a port has one of a type. Custom ones are checked when their extension is loaded. */
function checkProperties(properties: readonly PropertyInput[], path: Path, report: Report): void {
  const seen = new Set<string>()
  for (const { type, id, value } of properties) {
    if (type === 'custom') {
      if (id === undefined)
        report('missing', path, 'a custom property has no id', 'give its GUID, or the name that its extension gave it')
      continue
    }
    if (id !== undefined) report('bad-value', path, `a property of type ${type} has an id`, 'remove the id')
    if (isSingle(type) && seen.has(type)) report('duplicate', path, `the port has two properties of type ${type}`, 'remove one')
    seen.add(type)
    try {
      parseStandardProperty(type, value)
    } catch (error) {
      report('bad-value', [...path, ...placeIn(type, error)], `property ${type}: ${(error as Error).message}`, meant(type, error))
    }
  }
}

/** A virtual function: its address, and the port that stands in for it. */
function checkFunction(
  { mac, standby }: VfConfig,
  port: ResolvedPort,
  ports: readonly ResolvedPort[],
  path: Path,
  report: (code: string, path: Path, message: string, hint?: string) => void,
): void {
  const at = [...path, 'endpoint', 'mac']
  if (isMulticastMac(mac)) report('multicast-mac', at, `${mac} is a group address`, multicastHint(mac))
  else if (isZeroMac(mac)) report('zero-mac', at, `${mac} is no address`, 'choose another one')
  else if (port.mac !== null && port.mac !== mac)
    report('mac-mismatch', at, `the port has the address ${port.mac}, its virtual function ${mac}`, 'leave mac of the port out')
  if (standby === undefined) return
  const other = ports.find((candidate) => candidate.name === standby)
  const standbyAt = [...path, 'endpoint', 'standby']
  const bad = (message: string, hint: string): void => report('bad-standby', standbyAt, message, hint)
  if (!other) {
    const names = ports.map((candidate) => candidate.name)
    report('no-such-port', standbyAt, `there is no port "${standby}"`, didYouMean(standby, names))
  } else if (other.endpoint.kind !== 'vhost-user')
    bad(`port "${standby}" is of kind ${other.endpoint.kind}`, 'a standby is a port of kind vhost-user')
  else if (port.mac !== null || other.mac !== null)
    bad('both cards have one address', 'leave mac of both ports out, so that the switch learns where it is')
}

/** What leads to the physical network belongs to an external switch, which has one such port. */
function checkExternal(port: ResolvedPort, path: Path, { type, ports }: ResolvedSwitch, report: Report): void {
  const kind = [...path, 'endpoint', 'kind']
  const what = port.endpoint.kind === 'adapter' ? 'adapter' : 'uplink'
  if (type !== 'external')
    report('needs-external', kind, `a switch of type ${type} has no ${what}`, 'set type: external at the switch')
  const first = ports.find(isExternalPort)
  if (first !== port)
    report(
      'several-uplinks',
      kind,
      `port "${first?.name}" is the ${first?.endpoint.kind === 'adapter' ? 'external connection' : 'uplink'} already, and a switch has one`,
      'team the interfaces: name the further ones under uplinks of that port',
    )
  if (port.mac !== null)
    report('uplink-mac', [...path, 'mac'], `behind an ${what} there are many addresses`, 'leave mac out at this port')
  if (port.adapters === undefined) return
  const { physicalNics } = hostAdapters('', port)
  for (const [i, standby] of (port.teaming?.standby ?? []).entries())
    if (!physicalNics.includes(standby))
      report(
        'no-such-member',
        [...path, 'teaming', 'standby', i],
        `"${standby}" is no member of the team`,
        `its members are ${physicalNics.join(', ')}`,
      )
  if (port.endpoint.kind === 'adapter')
    report('no-team', [...path, 'uplinks'], 'an SR-IOV adapter is no member of a team', 'remove uplinks, or the adapter')
  else if (port.endpoint.kind === 'vhost-user' || port.endpoint.kind === 'vf')
    report('no-team', [...path, 'uplinks'], `behind a port of kind ${port.endpoint.kind} is a guest`, 'remove uplinks')
}

/** An endpoint with an MTU of its own is told there. */
function checkMtu({ mtu, endpoint }: ResolvedPort, path: Path, report: Report): void {
  if (mtu === undefined) return
  if (endpoint.kind === 'adapter')
    report('bad-value', [...path, 'mtu'], 'the MTU of an adapter is set there', `set mtu at the adapter "${endpoint.adapter}"`)
  else if ('mtu' in endpoint)
    report('bad-value', [...path, 'mtu'], `an endpoint of kind ${endpoint.kind} has its own MTU`, 'set mtu at the endpoint')
}

/** `switch.ports[0].mac` → what a person calls it: the entry that holds the value. */
function ownerText(path: Path): string {
  const [first, second, index] = path
  if (first === 'runtime') return 'the control socket'
  if (first === 'guests' || first === 'adapters') return `${first}[${String(second)}]`
  return `switch.${String(second)}[${String(index)}]`
}
