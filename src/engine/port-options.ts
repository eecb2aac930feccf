// A port of the configuration as the control side of the switch creates it, and as people see it.
import { bandwidthStatusOf } from '../switch/bandwidth/bandwidth-status.ts'
import type { PortOptions } from '../switch/control.ts'
import { PortCounter, portCounterNames } from '../switch/counters.ts'
import { type EndpointConfig, mtuOf } from './endpoint-factory.ts'
import { type PortSources, portCounter } from './port-figures.ts'
import type { PortRunner } from './port-runner.ts'
import { attachmentOf, hostAdapters, type PortConfig, type PortStatus, type SwitchConfig } from './switch-config.ts'

// Through an SR-IOV adapter, what the adapter takes.
function mtuOfPort({ endpoint }: PortConfig, { adapters }: SwitchConfig): number {
  if (endpoint.kind !== 'adapter') return mtuOf(endpoint)
  return adapters?.find(({ name }) => name === endpoint.adapter)?.mtu ?? mtuOf(endpoint)
}

/** The endpoints of a port, that of each physical adapter, with the port's MTU. */
export const endpointsOf = ({ endpoint, adapters = [] }: PortConfig, mtu: number): EndpointConfig[] =>
  [endpoint, ...adapters].map((each) => ('mtu' in each ? { ...each, mtu } : each))

/** PORT_CREATE and NIC_CREATE for `config`. */
export const portOptionsOf = (
  config: PortConfig,
  ofSwitch: SwitchConfig,
  how: { readonly isValidationPort: boolean; readonly connectionLater: boolean },
): PortOptions => ({
  name: config.name,
  friendlyName: config.friendlyName ?? config.name,
  ...attachmentOf(config),
  mac: config.mac ?? undefined,
  macSpoofing: config.macSpoofing === 'on',
  learning: config.learning,
  linkUp: config.link === 'up',
  mtu: config.mtu ?? mtuOfPort(config, ofSwitch),
  vmName: config.vm ?? config.name,
  ...hostAdapters(ofSwitch.name, config),
  ...how,
})

/** State of a port. */
export const portStatusOf = (
  runner: PortRunner,
  config: PortConfig,
  { control, table, saver, counters }: PortSources,
): PortStatus => ({
  id: runner.id,
  name: config.name,
  friendlyName: config.friendlyName ?? config.name,
  mtu: control.mtu(runner.id),
  portMirroring: config.portMirroring ?? 'none',
  monitorSession: config.monitorSession ?? 0,
  monitorDirection: config.monitorDirection ?? 'both',
  monitorVlan: config.monitorVlan ?? 0,
  tenant: config.tenant ?? '',
  teaming: config.teaming ?? null,
  kind: config.endpoint.kind,
  mac: config.mac,
  connected: table.connected(runner.id),
  link: control.linkUp(runner.id) ? 'up' : 'down',
  queues: runner.queues,
  endpoint: config.endpoint,
  detail: runner.endpoint.describe(),
  bandwidth: bandwidthStatusOf(table.bandwidth, runner.id),
  counters: Object.fromEntries(
    portCounterNames.map((name) => [name, portCounter(counters, runner.id, PortCounter[name]) + saver.counted(runner.id, name)]),
  ) as PortStatus['counters'],
})
