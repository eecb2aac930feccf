// What SR-IOV adapters, ports and the switch must have in common. checks.ts has the rest.
//
// The rule it must not break: what the NIC switch can't enforce is refused here, since a virtual function's frames pass the switch by.
import { parseStandardProperty } from '../../switch/policies/standard-properties.ts'
import type { Path, Report } from './checks.ts'
import { isMulticastMac, isZeroMac, multicastHint } from './mac.ts'
import { loopbackPattern } from './patterns.ts'
import { checkQueues } from './queue-checks.ts'
import { socketKeys } from './resolve.ts'
import { didYouMean } from './suggest.ts'
import type { EndpointConfig, ResolvedConfig, ResolvedPort, WebsocketConfig } from './types.ts'

/** What may be there once only, and lengths of paths: noted with the rest of the configuration. */
export interface SharedChecks {
  readonly report: Report
  readonly mac: (mac: string, path: Path) => void
  readonly socket: (socket: string, path: Path) => void
  readonly interface: (name: string, path: Path) => void
  readonly token: (file: string, path: Path) => void
  readonly listener: (address: string, path: Path) => void
}

/** Whether the port is the external connection of the switch. */
export const isExternalPort = ({ endpoint, adapters }: ResolvedPort): boolean =>
  endpoint.kind === 'uplink' || endpoint.kind === 'adapter' || adapters !== undefined

/** Sockets and interface of one endpoint. */
export function checkEndpointPlaces(endpoint: EndpointConfig, path: Path, shared: SharedChecks): void {
  const places = endpoint as Readonly<Record<string, unknown>>
  for (const key of socketKeys) {
    const socket = places[key]
    if (typeof socket === 'string') shared.socket(socket, [...path, key])
  }
  if (endpoint.kind === 'websocket') {
    shared.token(endpoint.tokenFile, [...path, 'tokenFile'])
    if (!endpoint.listen.endsWith(':0')) shared.listener(endpoint.listen, [...path, 'listen'])
    checkTls(endpoint, path, shared)
  }
  if (endpoint.kind === 'tap' || endpoint.kind === 'uplink') shared.interface(endpoint.interface, [...path, 'interface'])
}

/** What other machines reach is served over TLS. */
function checkTls({ listen, certificate, key }: WebsocketConfig, path: Path, { report }: SharedChecks): void {
  if ((certificate === undefined) !== (key === undefined))
    report(
      'bad-value',
      [...path, certificate === undefined ? 'key' : 'certificate'],
      `there is no ${certificate === undefined ? 'certificate' : 'key'} with it`,
      'certificate and key belong together',
    )
  else if (certificate === undefined && !loopbackPattern.test(listen))
    report(
      'bad-value',
      [...path, 'listen'],
      `expected a loopback address with its port, such as 127.0.0.1:7801, got "${listen}"`,
      'what other machines reach needs TLS: give certificate and key',
    )
}

/** Adapters, and the ports that name them. */
export function checkAdapters(config: ResolvedConfig, shared: SharedChecks): void {
  const { report } = shared
  const adapters = config.adapters ?? []
  const names = adapters.map(({ name }) => name)
  const users = new Map<string, string>()
  for (const [index, port] of config.switch.ports.entries()) {
    const { endpoint } = port
    if (endpoint.kind !== 'adapter') continue
    const path: Path = ['switch', 'ports', index, 'endpoint', 'adapter']
    const user = users.get(endpoint.adapter)
    if (!names.includes(endpoint.adapter))
      report(
        'no-such-adapter',
        path,
        `there is no adapter "${endpoint.adapter}"`,
        names.length === 0 ? 'add it under adapters, beside switch' : didYouMean(endpoint.adapter, names),
      )
    else if (user !== undefined)
      report('duplicate', path, `the adapter "${endpoint.adapter}" is taken by port "${user}"`, 'an adapter belongs to one port')
    users.set(endpoint.adapter, port.name)
  }
  for (const [index, { name, mac, uplink }] of adapters.entries()) {
    const path: Path = ['adapters', index]
    if (names.indexOf(name) !== index)
      report('duplicate', [...path, 'name'], `the adapter "${name}" is there twice`, 'give each adapter its own name')
    else if (!users.has(name))
      report(
        'unused-adapter',
        [...path, 'name'],
        `no port is connected to the adapter "${name}"`,
        `add a port with endpoint: { kind: adapter, adapter: ${name} }, or remove the adapter`,
      )
    const at: Path = [...path, 'mac']
    if (isMulticastMac(mac)) report('multicast-mac', at, `${mac} is a group address`, multicastHint(mac))
    else if (isZeroMac(mac)) report('zero-mac', at, `${mac} is no address`, 'choose another one')
    shared.mac(mac, at)
    if (uplink !== null) checkEndpointPlaces(uplink, [...path, 'uplink'], shared)
  }
  for (const [index, port] of config.switch.ports.entries())
    if (port.iov !== undefined) checkIov(port, ['switch', 'ports', index], config, shared)
  checkQueues(config, report)
}

function checkIov(port: ResolvedPort, path: Path, config: ResolvedConfig, { report, socket }: SharedChecks): void {
  const { iov } = port
  if (iov === undefined) return
  const at: Path = [...path, 'iov']
  socket(iov.path, [...at, 'path'])
  if (iov.qmp !== undefined) socket(iov.qmp, [...at, 'qmp'])
  if (iov.form === 'vfio-user' && iov.queuePairs !== 1)
    report(
      'too-many-queues',
      [...at, 'queuePairs'],
      `a function of form vfio-user has one queue pair, not ${iov.queuePairs}`,
      'leave queuePairs out, or set form: vhost-user',
    )
  if (iov.weight === 0) return
  if (!config.switch.ports.some(({ endpoint }) => endpoint.kind === 'adapter'))
    report(
      'needs-adapter',
      at,
      `switch "${config.switch.name}" has no SR-IOV adapter to take virtual functions from`,
      'add one under adapters, and a port with endpoint: { kind: adapter, adapter: NAME }',
    )
  if (port.endpoint.kind !== 'vhost-user')
    report(
      'needs-synthetic',
      at,
      `a virtual function stands beside a synthetic card, and this port is of kind ${port.endpoint.kind}`,
      'set the endpoint to kind: vhost-user, or remove iov',
    )
  else if (port.mac === null)
    report('missing', at, 'a virtual function has the address of its port, and this port has none', 'set mac at the port')
  checkIovVlan(port, path, report)
}

/** A VF has the VLAN of an access port; the NIC switch carries out no other mode. */
function checkIovVlan(port: ResolvedPort, path: Path, report: Report): void {
  const property = port.properties?.find(({ type }) => type === 'vlan')
  if (property === undefined) return
  let mode: string
  try {
    mode = parseStandardProperty('vlan', property.value).mode
  } catch {
    return // said already, with the property
  }
  if (mode !== 'access')
    report(
      'not-enforced',
      [...path, 'vlan'],
      `a virtual function carries the VLAN of an access port, and this port's is of mode ${mode}`,
      'remove iov, or set its weight to 0',
    )
}
