// The part of SwitchHost that is asked for once a second: the live view, over the engine's object.
//
// The rule it must not break: it changes nothing, and nobody on the data path waits for it.
import type { RunningSwitch } from '../../engine/host.ts'
import type { VlanProperty, VlanRange } from '../../ndis/standard-properties.ts'
import type { QueueCalls } from '../adapters/queue-calls.ts'
import type { EndpointConfig, ResolvedConfig, ResolvedPort } from '../config/types.ts'
import type { DropCount } from '../host.ts'
import type { OverlayCalls } from '../overlay/overlay-calls.ts'
import type { LiveCalls, LivePort } from './live-view.ts'

export interface LiveComponents {
  readonly running: RunningSwitch
  readonly config: ResolvedConfig
  readonly settings: ReadonlyMap<string, ResolvedPort>
  readonly version: string
  readonly startedAt: string
  readonly queues: QueueCalls['queues']
  readonly overlay: OverlayCalls['overlay']
}

export function liveHost({ running, config, settings, version, startedAt, queues, overlay }: LiveComponents): LiveCalls {
  const vlanOf = (id: number): string | null => {
    const property = running.policies.list(id).find(({ type }) => type === 'vlan')
    return property === undefined ? null : vlanWords(property.property as VlanProperty)
  }
  const portOf = (port: ReturnType<RunningSwitch['ports']>[number]): LivePort => {
    const { name, id, friendlyName, mac, link, connected, queues: pairs, mtu, detail, endpoint, counters } = port
    return {
      name,
      id,
      friendlyName,
      kind: endpoint.kind,
      place: endpointPlace(endpoint as EndpointConfig),
      mac,
      link,
      connected,
      queues: pairs,
      engine: typeof detail.engine === 'string' ? detail.engine : null,
      mtu,
      vlan: vlanOf(id),
      wantsVf: (settings.get(name)?.iov?.weight ?? 0) > 0,
      counters,
    }
  }
  return {
    live: async () => {
      const extensions = await running.extensions()
      const { used, capacity } = running.fdbStatistics()
      const { ageingSeconds } = config.switch.macTable
      return {
        takenAt: new Date().toISOString(),
        switch: {
          name: config.switch.name,
          type: config.switch.type,
          version,
          startedAt,
          uptimeSeconds: Math.floor(running.uptimeMs / 1000),
        },
        ports: running.ports().map(portOf),
        extensions,
        drops: running
          .drops()
          .flatMap(({ port, reasons }) =>
            Object.entries(reasons).map(([reason, frames]): DropCount => ({ port, reason, frames })),
          ),
        processors: running
          .processors()
          .map(({ index, latencyNs, latencyCounts, counters }) => ({ id: index, latencyNs, latencyCounts, counters })),
        adapters: running.adapters.list(),
        queues: await queues(),
        overlay: await overlay(),
        macTable: { used, capacity, ageingSeconds },
        memory: { residentBytes: process.memoryUsage.rss(), guestBytesAvailable: running.memory().guestBytesAvailable },
      }
    },
  }
}

/** Members of endpoints that say where they lead, in the order in which they are looked for. */
const PLACES = ['path', 'interface', 'adapter', 'replay', 'record', 'listen', 'connect'] as const

export function endpointPlace(endpoint: EndpointConfig): string {
  const members = endpoint as unknown as Readonly<Record<string, unknown>>
  for (const key of PLACES) if (typeof members[key] === 'string') return members[key]
  return ''
}

const rangeWords = (ranges: readonly VlanRange[]): string =>
  ranges.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(',')

/** `10`, `trunk 10-20`, `private 10/101`. */
export function vlanWords(vlan: VlanProperty): string {
  if (vlan.mode === 'access') return String(vlan.accessVlanId)
  if (vlan.mode === 'trunk') return `trunk ${rangeWords(vlan.trunkVlanIds)}`
  const secondary = vlan.pvlanMode === 'promiscuous' ? rangeWords(vlan.secondaryVlanIds) : String(vlan.secondaryVlanId)
  return `private ${vlan.primaryVlanId}/${secondary}`
}
