// The picture of a running switch that is asked for over and over: what a console or a display needs once a second, in one answer. Types
// only; live-host.ts makes it.
//
// The rule it must not break: everything here survives JSON, and a thousand ports stay below a few hundred kilobytes.
import type { AdapterStatus } from '../adapters/adapter-calls.ts'
import type { QueueStatus } from '../adapters/queue-calls.ts'
import type { DropCount, ExtensionStatus, Latency, PortCounters } from '../host.ts'
import type { OverlayStatus } from '../overlay/overlay-calls.ts'

type Answer<T> = T | Promise<T>

/** A port, without what only its own page shows. */
export interface LivePort {
  readonly name: string
  /** Port identifier in the switch, from 1. */
  readonly id: number
  readonly friendlyName: string
  /** Kind of its endpoint. */
  readonly kind: string
  /** Where the endpoint leads: a socket, an interface, a file, an adapter; empty: nowhere that has a name. */
  readonly place: string
  readonly mac: string | null
  readonly link: 'up' | 'down'
  readonly connected: boolean
  readonly queues: number
  readonly engine: string | null
  readonly mtu: number
  /** Its VLANs in short words; null: it has no VLAN property. */
  readonly vlan: string | null
  /** The port asks for a virtual function. */
  readonly wantsVf: boolean
  readonly counters: PortCounters
}

/** One data-path thread. */
export interface LiveProcessor {
  readonly id: number
  readonly latencyNs: Latency
  /** Bursts by what they took: at N those of 2^N to 2^(N+1) nanoseconds. */
  readonly latencyCounts: readonly number[]
  readonly counters: Readonly<Record<string, number>>
}

export interface LiveView {
  /** ISO 8601 in UTC; rates are differences over it. */
  readonly takenAt: string
  readonly switch: {
    readonly name: string
    readonly type: 'private' | 'internal' | 'external'
    readonly version: string
    readonly startedAt: string
    readonly uptimeSeconds: number
  }
  readonly ports: readonly LivePort[]
  /** First to meet an incoming packet first. */
  readonly extensions: readonly ExtensionStatus[]
  readonly drops: readonly DropCount[]
  readonly processors: readonly LiveProcessor[]
  readonly adapters: readonly AdapterStatus[]
  readonly queues: readonly QueueStatus[]
  /** Tunnels to other hosts; null: there is no overlay. */
  readonly overlay: OverlayStatus | null
  readonly macTable: { readonly used: number; readonly capacity: number; readonly ageingSeconds: number }
  readonly memory: { readonly residentBytes: number; readonly guestBytesAvailable: number }
}

export interface LiveCalls {
  /** Counters and tables are read from shared memory; processors are asked for the state of their modules only, between two bursts. */
  live(): Answer<LiveView>
}
