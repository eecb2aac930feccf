// What a running switch is made from, and what it tells of its ports.
import { createHash } from 'node:crypto'
import type { BandwidthStatus } from '../switch/bandwidth/bandwidth-status.ts'
import { type ControlLimits, type EdgeComponents, NicType, PortType } from '../switch/control.ts'
import type { PortCounter } from '../switch/counters.ts'
import type { OverlayOptions } from '../switch/overlay/options.ts'
import type { ImposedPolicy } from '../switch/policies/imposed.ts'
import type { PropertyInput } from '../switch/policies/property.ts'
import type { AdapterConfig, IovConfig } from './adapter-config.ts'
import type { VfPlug } from './adapters/switch-adapters.ts'
import type { EndpointConfig } from './endpoint-factory.ts'
import type { ExtensionEntry } from './extension-manager.ts'
import type { PortSettings } from './port-settings.ts'
import type { RssConfig } from './rss/rss-config.ts'
import type { SnoopingConfig } from './snooping/snooping-config.ts'
import type { TeamingConfig } from './team/switch-team.ts'

/** A port to create. */
export interface PortConfig extends PortSettings {
  readonly name: string
  /** null: the port learns. */
  readonly mac: string | null
  readonly macSpoofing: 'on' | 'off'
  readonly learning: boolean
  readonly link: 'up' | 'down'
  readonly endpoint: EndpointConfig
  /**
   * Further physical adapters of an external connection, NIC index 2 and on; `endpoint` is index 1. Given, even empty, it makes the
   * port the external one whatever the kind of its endpoint.
   */
  readonly adapters?: readonly EndpointConfig[]
  /** Name of the VM whose adapter this is; without it the port's name. Adapters of one VM have one name, each has its port. ES-006 */
  readonly vm?: string
  /** The host's own adapter on the switch. */
  readonly managementOS?: boolean
  /** What the port wants of SR-IOV; nothing without it. */
  readonly iov?: IovConfig
  /** 0: no receive queue; 1…100: one where an adapter in VMQ mode has one left, the highest weights first. 100 without it. */
  readonly vmqWeight?: number
  /** False: a guest with several queue pairs gets its frames by the first one alone. */
  readonly vmmqEnabled?: boolean
  /** Queue pairs that frames are spread over at the most; all that the guest receives on without it. */
  readonly vmmqQueuePairs?: number
  /** Downloaded between PORT_CREATE and NIC_CREATE. */
  readonly properties?: readonly PropertyInput[]
}

/** What the port and its connection are in the switch's terms. */
export function attachmentOf({ endpoint, managementOS, adapters }: PortConfig): { type: PortType; nicType: NicType } {
  const external = endpoint.kind === 'uplink' || endpoint.kind === 'adapter' || adapters !== undefined
  // The host's port over a physical adapter: the switch refuses it (ES-010).
  if (managementOS === true) return { type: PortType.internal, nicType: external ? NicType.external : NicType.internal }
  if (external) return { type: PortType.external, nicType: NicType.external }
  if (endpoint.kind === 'vhost-user') return { type: PortType.synthetic, nicType: NicType.synthetic }
  return { type: PortType.emulated, nicType: NicType.emulated }
}

/** What only adapters of the host have: names of their devices (ES-230), and GUIDs, which stay the same from run to run. ES-228 */
export function hostAdapters(
  switchName: string,
  { name, endpoint, adapters = [] }: PortConfig,
): { deviceName: string; physicalNics: readonly string[]; netCfgInstanceIds: readonly string[] } {
  const deviceOf = (config: EndpointConfig): string | undefined => ('interface' in config ? config.interface : undefined)
  const others = adapters.map((config, i) => deviceOf(config) ?? `${name}.${i + 2}`)
  const physicalNics = [deviceOf(endpoint) ?? name, ...others]
  return {
    deviceName: physicalNics[0]!,
    physicalNics,
    netCfgInstanceIds: [name, ...physicalNics].map((device, index) => guidOf(`${switchName}/${name}/${index}/${device}`)),
  }
}

// RFC 9562, version 8: of a hash, for whoever knows the adapter by it.
function guidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex')
  const variant = ((Number.parseInt(hex[16]!, 16) & 3) | 8).toString(16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** A switch to create; everything checked, all paths absolute. */
export interface SwitchConfig {
  readonly name: string
  readonly type: 'private' | 'internal' | 'external'
  readonly processors: number
  readonly extensions: readonly ExtensionEntry[]
  readonly ports: readonly PortConfig[]
  /** SR-IOV adapters; one of them may be the external connection. */
  readonly adapters?: readonly AdapterConfig[]
  readonly macTable: { readonly entries: number; readonly ageingSeconds: number }
  /** Connections that stateful rules follow at the most, rounded up to a power of two; CONNECTIONS_DEFAULT without it. */
  readonly connectionTable?: { readonly entries: number }
  /** Guests with several queue pairs. */
  readonly rss?: RssConfig | undefined
  /** Directory in which relative sink paths start. */
  readonly directory: string
  /** Snooping of IGMP and MLD; without it multicast is flooded. */
  readonly snooping?: SnoopingConfig | undefined
  /** Tunnels to other hosts, which carry the frames of virtual subnets; needs an external port. */
  readonly overlay?: OverlayOptions | undefined
  /** Ports of different tenants do not exchange frames. */
  readonly isolateTenants?: boolean
  /** Custom properties of the switch. */
  readonly properties?: readonly PropertyInput[]
  /** The checking mode: every breach of the contract by an extension is logged by its rule number. Costs throughput; default off. */
  readonly verify?: boolean
  /** Pins processor N to host processor pin[N]. */
  readonly pin?: readonly number[]
  /** How long the switch waits for extensions on the control path; see ControlLimits for what stands without it. */
  readonly limits?: Partial<ControlLimits>
}

export interface SwitchComponents {
  /** One line about something that happened. */
  readonly log: (event: { source: string; code: string; message: string }) => void
  /** What the edges of the stack lead to: adapters with offloads, those who want status indications. */
  readonly edge?: EdgeComponents
  /** Plugs VFs into guests and out again, for ports that name a QMP socket. */
  readonly plug?: VfPlug | undefined
  /** What a network imposes on ports from their first frame on. */
  readonly imposed?: readonly ImposedPolicy[] | undefined
  /** The switch can't go on: a processor died. */
  readonly fatal?: (error: Error) => void
}

export interface PortStatus extends Required<Omit<PortSettings, 'mtu' | 'teaming' | 'customerAddresses'>> {
  /** null: as it is without settings. */
  readonly teaming: TeamingConfig | null
  readonly id: number
  readonly name: string
  /** Bytes. */
  readonly mtu: number
  readonly kind: string
  readonly mac: string | null
  readonly connected: boolean
  readonly link: 'up' | 'down'
  readonly queues: number
  readonly endpoint: EndpointConfig
  readonly detail: Record<string, unknown>
  readonly bandwidth: BandwidthStatus
  readonly counters: Record<keyof typeof PortCounter, number>
}

/** Drops of one port, by reason. */
export interface PortDrops {
  readonly port: string
  readonly reasons: Record<string, number>
}

/** A port was asked for that the switch does not have. */
export class UnknownPortError extends Error {
  override readonly name = 'UnknownPortError'
  readonly code = 'NO_SUCH_PORT'
}
