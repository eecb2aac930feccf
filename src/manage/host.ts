// What a running switch offers to those who manage it: the contract between the engine, which implements it, and the control API
// and command line, which use it. This file holds types only, so that the engine may name them.
//
// The rule it must not break: everything here survives JSON. Counters are numbers (exact up to 2^53), times ISO 8601 in UTC.
import type { PortInput } from './config/types.ts'

type Answer<T> = T | Promise<T>

/** Counters of one port, as the switch sees it: received is what came from the port's NIC. */
export interface PortCounters {
  readonly receivedFrames: number
  readonly receivedBytes: number
  readonly sentFrames: number
  readonly sentBytes: number
  /** Frames dropped on their way from or to this port, all reasons together. */
  readonly droppedFrames: number
}

/** Nanoseconds that bursts spent in the switch: quantiles of the histogram that is always on. */
export interface Latency {
  readonly bursts: number
  readonly p50Ns: number
  readonly p99Ns: number
  readonly p999Ns: number
  readonly maxNs: number
}

export interface ProcessorStatus {
  readonly id: number
  readonly state: 'polling' | 'sleeping' | 'stopped'
  /** Names of the ports that it serves. */
  readonly ports: readonly string[]
  readonly frames: number
  readonly latency: Latency
}

export interface SwitchStatus {
  readonly name: string
  readonly type: 'private' | 'internal' | 'external'
  readonly version: string
  readonly pid: number
  readonly startedAt: string
  /** Configuration file, or null. */
  readonly file: string | null
  readonly runtimeDirectory: string
  readonly control: string
  readonly processors: readonly ProcessorStatus[]
  readonly ports: { readonly total: number; readonly up: number }
  readonly extensions: { readonly total: number; readonly running: number; readonly failed: number }
  readonly macTable: { readonly entries: number; readonly capacity: number; readonly ageingSeconds: number }
  readonly droppedFrames: number
  readonly memory: { readonly residentBytes: number; readonly guestBytes: number }
  /** Other facts, by name. */
  readonly details: Readonly<Record<string, unknown>>
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
  readonly processor: number
  /** What moves the port's packets: wasm kernels, their TypeScript twins, or system calls. */
  readonly engine: string
  readonly endpoint: EndpointStatus
  readonly counters: PortCounters
}

/** Kind and addresses of the endpoint as configured, with absolute paths, and what its control half tells of itself. */
export interface EndpointStatus {
  readonly kind: string
  readonly path?: string
  readonly mode?: 'server' | 'client'
  readonly queuePairs?: number
  readonly mtu?: number
  readonly interface?: string
  readonly local?: string
  readonly remote?: string
  readonly [detail: string]: unknown
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
  readonly class: 'capturing' | 'filtering' | 'forwarding'
  readonly enabled: boolean
  readonly state: string
  readonly onFailure: 'open' | 'closed'
  /** Absolute path of the module; null for an in-box extension. */
  readonly file: string | null
  /** Times that it threw, and what it said last. */
  readonly faults: number
  readonly lastFault: string | null
  readonly counters: Readonly<Record<string, number>>
}

export interface CountersReport {
  readonly takenAt: string
  readonly ports: readonly ({ readonly name: string } & PortCounters)[]
  readonly extensions: readonly { readonly name: string; readonly counters: Readonly<Record<string, number>> }[]
  readonly latency: Latency
}

export interface DropCount {
  readonly port: string
  readonly reason: string
  readonly frames: number
}

/**
 * A running switch. Every call may fail with an error that has a stable `code`; those named here have their own HTTP status, see
 * control-errors.ts: no-such-port, no-such-extension, port-exists, bad-request, not-possible.
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

/** Where a switch tells what happens. `details` are structured facts that go with the message. */
export interface HostLog {
  info(message: string, details?: Readonly<Record<string, unknown>>): void
  warn(message: string, details?: Readonly<Record<string, unknown>>): void
  error(message: string, details?: Readonly<Record<string, unknown>>): void
}

/** What `createSwitch(config, components)` is given beside the configuration. */
export interface HostComponents {
  readonly log: HostLog
}
