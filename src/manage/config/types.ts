// Types of the configuration: as a person writes it (Config) and as the switch takes it (ResolvedConfig). This file holds types
// only, so that the engine and the lab, which stand below this layer, may name them without importing anything from it.
import type { z } from 'zod'
import type { AdapterMode, QueueModeConfig } from '../../engine/queue-config.ts'
import type { RssConfig } from '../../engine/rss/rss-config.ts'
import type { SnoopingConfig } from '../../engine/snooping/snooping-config.ts'
import type { TeamingConfig } from '../../engine/team/switch-team.ts'
import type { PropertyInput } from '../../switch/policies/property.ts'
import type { adapterSchema, iovSchema } from './adapter-schema.ts'
import type { ClusterConfig } from './cluster-schema.ts'
import type { endpointSchema, wireSchema } from './endpoint-schema.ts'
import type { failoverSchema } from './failover-schema.ts'
import type { listenSchema } from './listen-schema.ts'
import type { overlaySchema, recordSchema, routeSchema, subnetSchema } from './overlay-schema.ts'
import type { configSchema, guestSchema, limitsSchema, portChangeSchema, portSchema } from './schema.ts'

/** A configuration as written: defaults may be left out. */
export type Config = z.input<typeof configSchema>

/** A port as written, for example to add one to a running switch. */
export type PortInput = z.input<typeof portSchema>

/** Settings of a port that may change while the switch runs. */
export type PortChange = z.input<typeof portChangeSchema>

/** An endpoint with its defaults filled in. In a ResolvedConfig, its socket paths are absolute. */
export type EndpointConfig = z.output<typeof endpointSchema>
export type VhostUserConfig = Extract<EndpointConfig, { kind: 'vhost-user' }>
export type TapConfig = Extract<EndpointConfig, { kind: 'tap' }>
export type UplinkConfig = Extract<EndpointConfig, { kind: 'uplink' }>
export type StreamConfig = Extract<EndpointConfig, { kind: 'stream' }>
export type DgramConfig = Extract<EndpointConfig, { kind: 'dgram' }>
export type WebsocketConfig = Extract<EndpointConfig, { kind: 'websocket' }>
export type UnixDgramConfig = Extract<EndpointConfig, { kind: 'unix-dgram' }>
export type VfConfig = Extract<EndpointConfig, { kind: 'vf' }>

/** What leads to the network. */
export type WireConfig = z.output<typeof wireSchema>

/** An SR-IOV adapter: its address is known, its uplink's paths are absolute; null: it leads nowhere. */
export interface ResolvedAdapter
  extends Omit<z.output<typeof adapterSchema>, 'mac' | 'uplink' | 'mode' | keyof QueueModeConfig>,
    Partial<QueueModeConfig> {
  /** Absent: sriov. */
  readonly mode?: AdapterMode
  readonly mac: string
  readonly uplink: WireConfig | null
}

/** What a port wants of SR-IOV, with absolute paths. */
export interface ResolvedIov extends Omit<z.output<typeof iovSchema>, 'path'> {
  readonly path: string
}

/** A failover lab, with its defaults but for names. */
export type FailoverConfig = z.output<typeof failoverSchema>

/** An overlay with its defaults. In a ResolvedConfig, all addresses are in normal form. */
export type OverlayConfig = z.output<typeof overlaySchema>
export type SubnetConfig = z.output<typeof subnetSchema>
export type RecordConfig = z.output<typeof recordSchema>
export type RecordInput = z.input<typeof recordSchema>
export type SubnetInput = z.input<typeof subnetSchema>
export type RouteConfig = z.output<typeof routeSchema>
export type RouteInput = z.input<typeof routeSchema>

export type GuestConfig = z.output<typeof guestSchema>

export interface ResolvedPort {
  readonly name: string
  /** Lower case, separated by colons; null: the port learns. */
  readonly mac: string | null
  readonly macSpoofing: 'on' | 'off'
  readonly learning: boolean
  readonly link: 'up' | 'down'
  readonly endpoint: EndpointConfig
  /** The host's own adapter on the switch, which allowManagementOS asks for. */
  readonly managementOS?: boolean
  /** Absent: the name. */
  readonly friendlyName?: string
  /** Absent: the VM is called like the port. */
  readonly vm?: string
  /** Further physical adapters, which form a team with the endpoint. */
  readonly adapters?: readonly WireConfig[]
  /** Bytes; of an endpoint that has no MTU of its own. */
  readonly mtu?: number
  /** Absent: none. */
  readonly portMirroring?: NonNullable<z.output<typeof portSchema>['portMirroring']>
  readonly monitorSession?: number
  readonly monitorDirection?: NonNullable<z.output<typeof portSchema>['monitorDirection']>
  readonly monitorVlan?: number
  /** Absent or '': nobody's. */
  readonly tenant?: string
  /** IP addresses of the guest, for other hosts of a network and the router of virtual subnets. */
  readonly customerAddresses?: readonly string[]
  readonly teaming?: TeamingConfig
  /** Absent: 100. */
  readonly vmqWeight?: number
  /** Absent: true. */
  readonly vmmqEnabled?: boolean
  /** Absent: all that the guest receives on. */
  readonly vmmqQueuePairs?: number
  /** Absent: the port wants nothing of SR-IOV. */
  readonly iov?: ResolvedIov
  /** Properties, those of the shorthands `vlan` and `security` first; absent without any. */
  readonly properties?: readonly PropertyInput[]
}

export interface ResolvedExtension {
  /** The in-box name, or the module's file or folder name without its ending; unique in the switch. */
  readonly name: string
  /** As written: the in-box name or the path. */
  readonly use: string
  /** Absolute path of the module, or null for an in-box extension. */
  readonly file: string | null
  readonly enabled: boolean
  readonly onFailure: 'open' | 'closed'
  /** False: the switch starts without it if it does not attach. */
  readonly required: boolean
  readonly options: Readonly<Record<string, unknown>>
}

export interface ResolvedSwitch {
  readonly name: string
  readonly type: 'private' | 'internal' | 'external'
  /** The host has an adapter of its own on the switch. */
  readonly allowManagementOS?: boolean | undefined
  readonly processors: number
  /** Ports of different tenants exchange no frames; off if left out. */
  readonly isolateTenants?: boolean | undefined
  /** Snooping of IGMP and MLD; off if left out. */
  readonly snooping?: SnoopingConfig | undefined
  /** Tunnels to other hosts; absent: none. */
  readonly overlay?: OverlayConfig | undefined
  /** Checking mode; off if left out. */
  readonly verify?: boolean | undefined
  readonly extensions: readonly ResolvedExtension[]
  readonly ports: readonly ResolvedPort[]
  readonly macTable: { readonly entries: number; readonly ageingSeconds: number }
  /** Guests with several queue pairs. */
  readonly rss?: RssConfig | undefined
  /** Connections that stateful rules follow; the engine's own number without it. */
  readonly connectionTable?: { readonly entries: number } | undefined
  /** Custom properties of the switch; absent without any. */
  readonly properties?: readonly PropertyInput[]
  /** How long the switch waits for extensions; the engine's own limits for what is absent. */
  readonly limits?: z.output<typeof limitsSchema> | undefined
}

/** A checked configuration with all defaults filled in and all paths absolute. */
export interface ResolvedConfig {
  /** Absolute path of the configuration file. */
  readonly file: string
  readonly switch: ResolvedSwitch
  /** SR-IOV adapters; absent without any. */
  readonly adapters?: readonly ResolvedAdapter[]
  readonly runtime: {
    readonly directory: string
    readonly control: string
    /** HOST:PORT of the console; absent: it is served on the control socket only. */
    readonly console?: string | undefined
    /** The API on the network; absent: it is not served there. Paths are absolute. */
    readonly listen?: z.output<typeof listenSchema> | undefined
  }
  /** The network of hosts that a service joins; paths are absolute. Absent: that of `vmswitch join`, or none. */
  readonly cluster?: ClusterConfig
  readonly guests: readonly GuestConfig[]
  /** Absent without a failover lab. */
  readonly failover?: FailoverConfig
}
