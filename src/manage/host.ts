// What a running switch offers to those who manage it: the contract between the engine, which implements it, and the control API
// and command line, which use it. This file holds types only.
//
// The rule it must not break: everything here survives JSON, but for the stream of a capture. Counters are numbers (exact up to 2^53), times ISO 8601 in UTC.

import type { TeamingConfig } from '../engine/team/switch-team.ts'
import type { PropertyField } from '../ndis/property-fields.ts'
import type { BandwidthStatus } from '../switch/bandwidth/bandwidth-status.ts'
import type { PropertyTypeName } from '../switch/policies/property.ts'
import type { AdapterCalls } from './adapters/adapter-calls.ts'
import type { EndpointConfig, PortChange, PortInput, ResolvedIov } from './config/types.ts'
import type { DiagnosisCalls } from './diagnosis/diagnosis-calls.ts'
import type { LiveCalls } from './live/live-view.ts'
import type { OverlayCalls } from './overlay/overlay-calls.ts'
import type { AclCalls } from './policies/acl-calls.ts'
import type { SnoopingCalls } from './policies/snooping-calls.ts'
import type { TeamCalls } from './policies/team-calls.ts'

type Answer<T> = T | Promise<T>

/** Counters of one port, as the switch sees it: received is what came from the port's NIC. */
export interface PortCounters {
  readonly receivedFrames: number
  readonly receivedBytes: number
  readonly sentFrames: number
  readonly sentBytes: number
  /** Frames from this port that were dropped, all reasons together. */
  readonly receivedDropped: number
  /** Frames on their way to this port that were dropped. */
  readonly sendDropped: number
  readonly receivedMulticast: number
  /** Frames from this port that went to all ports, since their destination was not known. */
  readonly floodedFrames: number
}

/** Nanoseconds that bursts spent in the switch: quantiles of the histogram that is always on. */
export interface Latency {
  readonly p50: number
  readonly p99: number
  readonly p999: number
}

/** One data-path thread. */
export interface ProcessorStatus {
  readonly id: number
  readonly latencyNs: Latency
  readonly counters: Readonly<Record<string, number>>
}

export interface SwitchStatus {
  readonly name: string
  readonly type: 'private' | 'internal' | 'external'
  readonly version: string
  readonly pid: number
  readonly startedAt: string
  readonly uptimeSeconds: number
  /** Configuration file. */
  readonly file: string
  readonly runtimeDirectory: string
  readonly control: string
  readonly processors: readonly ProcessorStatus[]
  readonly ports: { readonly total: number; readonly connected: number }
  readonly extensions: { readonly total: number; readonly enabled: number; readonly failed: number }
  readonly macTable: { readonly used: number; readonly capacity: number; readonly ageingSeconds: number }
  readonly receivedFrames: number
  readonly droppedFrames: number
  readonly memory: {
    readonly residentBytes: number
    /** Guest memory that can still be served by the wasm engine; guests beyond it are served by the TypeScript one. */
    readonly guestBytesAvailable: number
  }
}

export interface PortStatus {
  readonly name: string
  /** Port identifier in the switch, from 1. */
  readonly id: number
  /** Its name for people; the name without one. */
  readonly friendlyName: string
  /** VM behind it; called like the port if nothing else was said. */
  readonly vm: string
  readonly mac: string | null
  readonly macSpoofing: 'on' | 'off'
  readonly learning: boolean
  /** Bytes. */
  readonly mtu: number
  readonly portMirroring: 'none' | 'source' | 'destination' | 'all'
  readonly monitorSession: number
  readonly monitorDirection: 'both' | 'sent' | 'received'
  /** VLAN that mirrored copies for the port are tagged with; 0: they keep what they have. */
  readonly monitorVlan: number
  /** Name of the tenant whose port it is; '': nobody's. */
  readonly tenant: string
  /** Settings of a team; null: as it is without. */
  readonly teaming: TeamingConfig | null
  /** Further physical adapters of an external port, which form a team with the endpoint. */
  readonly uplinks: readonly EndpointConfig[]
  /** What the port wants of SR-IOV; null: nothing. */
  readonly iov: ResolvedIov | null
  /** What the administrator wants. */
  readonly link: 'up' | 'down'
  /** Whether a peer is there and ready: a guest's driver, a connected VMM. */
  readonly connected: boolean
  /** Queue pairs in service. */
  readonly queues: number
  /** What moves the port's packets: `wasm`, `typescript` (guest memory outside the shared one), or null for a copied endpoint. */
  readonly engine: string | null
  /** The endpoint as configured, with absolute paths. */
  readonly endpoint: EndpointConfig
  /** What the endpoint tells of itself: negotiated features, memory, rings. */
  readonly detail: Readonly<Record<string, unknown>>
  /** What it may send and get, and its part of the uplink. */
  readonly bandwidth: BandwidthStatus
  readonly counters: PortCounters
}

export interface FdbEntry {
  readonly vlan: number
  readonly mac: string
  readonly port: string
  readonly kind: 'static' | 'learned'
  /** Seconds since the address was last seen; null for a static entry. */
  readonly ageSeconds: number | null
}

export interface FdbFilter {
  readonly vlan?: number | undefined
  readonly port?: string | undefined
}

export interface ExtensionStatus {
  /** Unique in the switch; what the other calls take. */
  readonly name: string
  readonly id: string
  readonly version: string
  /** capturing, filtering or forwarding. */
  readonly class: string
  readonly enabled: boolean
  readonly state: string
  readonly onFailure: 'open' | 'closed'
  /** Times that it threw, and what it said last (empty: never). */
  readonly faults: number
  readonly lastFault: string
  /** Breaches of the contract for extensions. */
  readonly breaches: number
  /** Sampled nanoseconds per packet. */
  readonly nsPerPacket: number
  readonly counters: Readonly<Record<string, number>>
  /** Files that it writes, and the writes lost because the disk was behind. */
  readonly sinks: readonly { readonly name: string; readonly path: string; readonly lost: number }[]
}

/** An extension to install on a running switch: at the top of its class, and disabled unless it says otherwise. ES-017, ES-032 */
export interface ExtensionInput {
  /** Name of an in-box extension, or absolute path of a module. */
  readonly use: string
  /** Default: false. */
  readonly enabled?: boolean | undefined
  readonly onFailure?: 'open' | 'closed' | undefined
  readonly required?: boolean | undefined
  readonly options?: Readonly<Record<string, unknown>> | undefined
}

export interface CountersReport {
  readonly takenAt: string
  readonly ports: readonly { readonly name: string; readonly counters: PortCounters }[]
  readonly extensions: readonly { readonly name: string; readonly counters: Readonly<Record<string, number>> }[]
  readonly processors: readonly ProcessorStatus[]
}

export interface DropCount {
  /** Name of the port, or `extensions` for packets that extensions made. */
  readonly port: string
  readonly reason: string
  readonly frames: number
}

/** A property of a port or of the switch. */
export interface PropertyStatus {
  /** Name of the port; null for a property of the switch. */
  readonly port: string | null
  readonly type: PropertyTypeName
  /** GUID of a custom property, null for others. */
  readonly id: string | null
  /** Name of a custom property in its definition; '' if no extension defines it. */
  readonly name: string
  readonly instance: string
  /** "1.0" */
  readonly version: string
  /** As it was written. */
  readonly value: unknown
  /** Policy of the network that imposes it; absent: it is the port's own. */
  readonly network?: string | undefined
}

/** A custom property that an extension of the switch defines. */
export interface PropertyDefinitionStatus {
  /** What the calls take, beside the GUID. */
  readonly name: string
  readonly id: string
  /** "1.0" */
  readonly version: string
  readonly scope: 'port' | 'switch'
  /** Name of the extension in the switch. */
  readonly extension: string
  /** What a value consists of; null: only the extension knows. */
  readonly fields: readonly PropertyField[] | null
  /** Whether a list of such values is a value too. */
  readonly list: boolean
  /** JSON Schema of a value, from the fields; null without them. */
  readonly schema: Readonly<Record<string, unknown>> | null
}

/** Which property is meant: of a port, or without `port` of the switch. `instance` may be left out where only one fits. */
export interface PropertyFilter {
  readonly port?: string | undefined
  readonly type: PropertyStatus['type']
  /** GUID or name of a custom property. */
  readonly id?: string | undefined
  readonly instance?: string | undefined
}

/** A property to add or change. */
export interface PropertyChange extends PropertyFilter {
  /** "1.0"; that of the definition without it. */
  readonly version?: string | undefined
  readonly value: unknown
}

export interface FeatureFilter {
  readonly port?: string | undefined
  /** GUID of the feature, or the name of the extension whose identifier it is. */
  readonly id: string
  readonly instance?: string | undefined
}

/** Status of a feature as an extension reports it. */
export interface FeatureStatusReport {
  readonly id: string
  /** "1.0" */
  readonly version: string
  /** In base64. */
  readonly data: string
}

/** What became of a restore. */
export interface RestoreReport {
  readonly ports: readonly {
    readonly name: string
    /** Made by the restore, or there already. */
    readonly created: boolean
    /** restored: extensions have their data back; waiting: they get it when the port's peer connects; none: there was none. */
    readonly data: 'restored' | 'waiting' | 'none'
    /** Blocks of data that no extension owned. */
    readonly orphans: number
    /** Why its guest stays on the synthetic path, where the port wants a virtual function and has none. */
    readonly withoutVf: string | null
  }[]
}

/**
 * A running switch. Every call may fail with an error that has a stable `code`; those named here have their own HTTP status, see
 * control-errors.ts, such as no-such-port, no-such-extension, port-exists, bad-request, refused.
 */
export interface SwitchHost extends AclCalls, AdapterCalls, DiagnosisCalls, LiveCalls, OverlayCalls, SnoopingCalls, TeamCalls {
  status(): Answer<SwitchStatus>
  ports(): Answer<readonly PortStatus[]>
  fdb(filter: FdbFilter): Answer<readonly FdbEntry[]>
  /** Forgets learned addresses; returns how many. */
  flushFdb(filter: FdbFilter): Answer<number>
  extensions(): Answer<readonly ExtensionStatus[]>
  setExtension(change: { readonly name: string; readonly enabled: boolean }): Answer<ExtensionStatus>
  /** Stops an extension at its place, or lets it go on; packets that come to it meanwhile are dropped. */
  pauseExtension(change: { readonly name: string; readonly paused: boolean }): Answer<ExtensionStatus>
  /** The new order of all extensions; must only permute extensions of one class. ES-018 */
  reorderExtensions(names: readonly string[]): Answer<readonly ExtensionStatus[]>
  /** Installs an extension; fails with bad-request, refused, or what its module says. */
  installExtension(extension: ExtensionInput): Answer<ExtensionStatus>
  /** Takes an extension off the switch. */
  uninstallExtension(name: string): Answer<void>
  /** Loads the extension's module anew and puts it in the place of the running one, without losing a frame. */
  replaceExtension(name: string): Answer<ExtensionStatus>
  counters(): Answer<CountersReport>
  drops(): Answer<readonly DropCount[]>
  addPort(port: PortInput): Answer<PortStatus>
  removePort(name: string): Answer<void>
  setLink(name: string, up: boolean): Answer<PortStatus>
  /** Name for people, MTU, mirroring: those that are named. */
  setPort(name: string, change: PortChange): Answer<PortStatus>
  /** Properties of a port; without `port`, of the switch and of all ports. */
  /** `imposed`: with what a network imposes on ports. */
  properties(filter: {
    readonly port?: string | undefined
    readonly imposed?: boolean | undefined
  }): Answer<readonly PropertyStatus[]>
  /** The custom properties that can be set: those of the extensions that are loaded. */
  propertyDefinitions(): Answer<readonly PropertyDefinitionStatus[]>
  addProperty(change: PropertyChange): Answer<PropertyStatus>
  setProperty(change: PropertyChange): Answer<PropertyStatus>
  removeProperty(filter: PropertyFilter): Answer<void>
  featureStatus(filter: FeatureFilter): Answer<FeatureStatusReport>
  /** The switch with all its ports as a message; `port`: this one only. */
  save(filter: { readonly port?: string | undefined }): Answer<string>
  /** Puts the ports of a saved switch back, and what belongs to them. */
  restore(saved: string): Answer<RestoreReport>
  /** Target of a migration: checks a port's policies on a validation port, then makes it, not yet connected. ES-491, ES-492 */
  prepareMigration(saved: string): Answer<PortStatus>
  /**
   * Target: whoever moves the prepared port is still at it. It says so again and again from then on: 30 s without, and the port goes.
   * `last`: the source is about to let go of the port, which stays here from now on, whatever happens.
   */
  stillMigrating(name: string, last: boolean): Answer<void>
  /**
   * Source of a migration: from now on the port's connection stays when its guest stops, until `handOver` or `abandonMigration`. A virtual
   * function that the VMM does not take out by itself is taken back; a call may last as long as the guest takes for that.
   */
  holdPort(name: string): Answer<void>
  /** Whether the guest of a held port has stopped; waits for it at most `timeoutMs` (10 s). */
  awaitStop(name: string, timeoutMs: number): Answer<boolean>
  /** Source of a migration: saves the port and deletes it. ES-494 */
  handOver(name: string): Answer<string>
  /** Target of a migration: connects the prepared port and restores what the source saved. ES-495 */
  takeOver(saved: string): Answer<RestoreReport>
  /** Ends a migration without it: the source's port goes on, the target's prepared port is deleted. */
  abandonMigration(name: string): Answer<void>
}

/** The same over a connection. */
export type RemoteSwitchHost = {
  readonly [Call in keyof SwitchHost]: (...args: Parameters<SwitchHost[Call]>) => Promise<Awaited<ReturnType<SwitchHost[Call]>>>
}

/** Something that happened. `code` is stable; `source` says where, such as `port alpha`. */
export interface SwitchEvent {
  readonly source: string
  readonly code: string
  readonly message: string
}

/** Where a switch tells what happens. */
export type EventLog = (event: SwitchEvent) => void
