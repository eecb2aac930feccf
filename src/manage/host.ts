// What a running switch offers to those who manage it: the contract between the engine, which implements it, and the control API
// and command line, which use it. This file holds types only.
//
// The rule it must not break: everything here survives JSON. Counters are numbers (exact up to 2^53), times ISO 8601 in UTC.
import type { EndpointConfig, PortInput } from './config/types.ts'

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
  readonly mac: string | null
  readonly macSpoofing: 'on' | 'off'
  readonly learning: boolean
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

/**
 * A running switch. Every call may fail with an error that has a stable `code`; those named here have their own HTTP status, see
 * control-errors.ts: no-such-port, no-such-extension, port-exists, bad-request, refused.
 */
export interface SwitchHost {
  status(): Answer<SwitchStatus>
  ports(): Answer<readonly PortStatus[]>
  fdb(filter: FdbFilter): Answer<readonly FdbEntry[]>
  /** Forgets learned addresses; returns how many. */
  flushFdb(filter: FdbFilter): Answer<number>
  extensions(): Answer<readonly ExtensionStatus[]>
  setExtension(change: { readonly name: string; readonly enabled: boolean }): Answer<ExtensionStatus>
  /** The new order of all extensions; must only permute extensions of one class. ES-018 */
  reorderExtensions(names: readonly string[]): Answer<readonly ExtensionStatus[]>
  /** Loads the extension's module anew and puts it in the place of the running one, without losing a frame. */
  replaceExtension(name: string): Answer<ExtensionStatus>
  counters(): Answer<CountersReport>
  drops(): Answer<readonly DropCount[]>
  addPort(port: PortInput): Answer<PortStatus>
  removePort(name: string): Answer<void>
  setLink(name: string, up: boolean): Answer<PortStatus>
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
