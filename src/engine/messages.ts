// What the control thread and the processors say to each other. Everything is structured-cloneable. Each request gets one answer with
// its number; the doorbell eventfd wakes a processor that sleeps.
import type { HardwareLimits } from '../adapter/capabilities.ts'
import type { QueuePlan, WindowPlan } from '../endpoints/endpoint.ts'
import type { NicStatusIndication, OidCompletion, OidRequest } from '../ndis/oids.ts'
import type { AclPlan } from '../switch/acl/acl-plan.ts'
import type { ControlLimits } from '../switch/control/limits.ts'
import type { ViewChange } from '../switch/control/view.ts'
import type { FailurePolicy, ModuleState } from '../switch/module.ts'
import type { OverlayChange, OverlayPlan } from '../switch/overlay/plan.ts'
import type { SnoopingPlan } from '../switch/snooping/snooping.ts'
import type { QueueAdapterPlan } from './queues/queue-plan.ts'

/** Linear addresses of what all processors share, and of what one has for itself. */
export interface ProcessorAddresses {
  readonly pool: number
  readonly scratch: number
  readonly list: number
  readonly delivery: number
  readonly switching: number
  readonly classify: number
  readonly counters: number
  readonly drops: number
  readonly portTable: number
  readonly macTable: number
  readonly reasons: number
  readonly references: number
}

/** Whose queues: a port's of the switch, or those of a VPort (or the wire) of an SR-IOV adapter. */
export type QueueTarget =
  | {
      readonly kind: 'port'
      readonly port: number
      /** 0, or the physical adapter of an external port that the queues belong to. */
      readonly nicIndex: number
      /** The external port has several physical adapters. */
      readonly team: boolean
    }
  | { readonly kind: 'vport'; readonly adapter: number; readonly vport: number }

/** An SR-IOV adapter as a processor serves it: its tables, and what of it belongs to this processor. */
export interface AdapterPlan {
  readonly adapter: number
  readonly limits: HardwareLimits
  /** Linear addresses: of the tables, which all share; of this processor's delivery lists and counters. */
  readonly tables: number
  readonly delivery: number
  readonly counters: number
  /** Of this processor's direct path between VFs. */
  readonly direct: number
}

/** What a processor is started with. */
export interface ProcessorStart {
  readonly memory: WebAssembly.Memory
  readonly kernels: Uint8Array
  readonly index: number
  readonly processors: number
  /** Port ids are below this. */
  readonly ports: number
  readonly macEntries: number
  readonly addresses: ProcessorAddresses
  readonly doorbell: number
  /** CLOCK_MONOTONIC in milliseconds when the switch started. */
  readonly startedMs: number
  /** Host processor to run on, or -1. */
  readonly pinTo: number
  /** The checking mode: modules are watched, and every breach of the contract is reported. */
  readonly verify: boolean
  readonly switchName: string
  readonly switchFriendlyName: string
  readonly limits: Partial<ControlLimits>
}

/** One module as a processor attaches it. `key` is unique per attach: a reloaded extension gets a new one. */
export interface ModulePlan {
  readonly key: number
  readonly name: string
  readonly url: string
  readonly onFailure: FailurePolicy
  readonly options: unknown
  /** Linear address and number of the module's counters on this processor. */
  readonly counters: { readonly at: number; readonly count: number }
  readonly shared: readonly { readonly name: string; readonly at: number; readonly bytes: number }[]
  readonly sinks: readonly { readonly name: string; readonly at: number; readonly bytes: number; readonly doorbell: number }[]
}

export interface ModuleReport {
  readonly key: number
  readonly name: string
  readonly state: ModuleState
  readonly faults: number
  readonly lastFault: string
  readonly breaches: number
  /** Nanoseconds per packet, sampled; 0 if not yet known. */
  readonly nsPerPacket: number
}

export type Request =
  | { readonly kind: 'prepare'; readonly modules: readonly ModulePlan[] }
  | { readonly kind: 'commit'; readonly order: readonly number[] }
  | { readonly kind: 'abandon'; readonly keys: readonly number[] }
  | {
      readonly kind: 'queues'
      readonly target: QueueTarget
      readonly plans: readonly QueuePlan[]
      /** Indices of the plans that this processor polls. */
      readonly owned: readonly number[]
      /** For each plan the lock under which processors use its queue, 0 = none needed. */
      readonly locks: readonly number[]
      readonly windows: readonly WindowPlan[]
    }
  | { readonly kind: 'adapter'; readonly plan: AdapterPlan }
  /** The switch's external port stands above the adapter's default VPort, or (port 0) no more. */
  | { readonly kind: 'adapter-host'; readonly adapter: number; readonly port: number; readonly nicIndex: number }
  | { readonly kind: 'adapter-gone'; readonly adapter: number }
  /** Queue pairs of a port are chosen by its indirection table. Linear addresses: of the table (0: no more), and of this processor's counters. */
  | { readonly kind: 'queue-pairs'; readonly port: number; readonly table: number; readonly counters: number }
  | { readonly kind: 'queue-adapter'; readonly plan: QueueAdapterPlan }
  | { readonly kind: 'queue-adapter-gone'; readonly adapter: number }
  /** The ACLs of a port are these from the next burst on; undefined: it has none. */
  | { readonly kind: 'acls'; readonly port: number; readonly plan: AclPlan | undefined }
  /** Snooping of IGMP and MLD; undefined: off. */
  | { readonly kind: 'snooping'; readonly plan: SnoopingPlan | undefined }
  /** Tunnels to other hosts, and what changed of their peers and subnets. */
  | { readonly kind: 'overlay'; readonly plan: OverlayPlan }
  | { readonly kind: 'overlay-change'; readonly change: OverlayChange }
  /** Sends a frame of the switch's own out of a port. */
  | { readonly kind: 'transmit'; readonly port: number; readonly frame: Uint8Array }
  /** Answered between two bursts: what the processor saw before, it works with no more. */
  | { readonly kind: 'quiesce' }
  | { readonly kind: 'start'; readonly keys: readonly number[] }
  | { readonly kind: 'pause' | 'resume'; readonly key: number }
  | { readonly kind: 'view'; readonly change: ViewChange }
  | { readonly kind: 'activate' }
  | { readonly kind: 'originate'; readonly key: number; readonly request: OidRequest }
  | { readonly kind: 'indicate'; readonly indication: NicStatusIndication; readonly from?: number }
  | { readonly kind: 'revoke'; readonly portId: number; readonly nicIndex: number }
  | { readonly kind: 'oid'; readonly request: OidRequest }
  | { readonly kind: 'oids'; readonly requests: readonly OidRequest[] }
  | { readonly kind: 'outcome'; readonly request: OidRequest; readonly completion: OidCompletion }
  /** Takes a frame into the switch as though it came from the port's connection; answers whether there was room. */
  | { readonly kind: 'inject'; readonly port: number; readonly nicIndex?: number; readonly frame: Uint8Array }
  /** Steps of a frame through the switch, without sending it; undefined without room. `list`, `deliveryList`: see DryRunOptions. */
  | {
      readonly kind: 'trace'
      readonly port: number
      readonly frame: Uint8Array
      readonly list: number
      readonly deliveryList: number
    }
  | { readonly kind: 'modules' }
  /** The processor was interrupted in the module at `place` (`Counters.inside`), which had not returned for `seconds`: it goes on without it. */
  | { readonly kind: 'interrupted'; readonly place: number; readonly seconds: number }
  /** The switch goes: no more frames are taken from outside, so that the removal of many ports does not wait for what still comes. */
  | { readonly kind: 'retire' }
  | { readonly kind: 'close' }

/** What a processor asks the control thread. */
export type Question =
  | { readonly kind: 'edge'; readonly request: OidRequest }
  | { readonly kind: 'relay'; readonly key: number; readonly request: OidRequest }
  | { readonly kind: 'relay-status'; readonly key: number; readonly indication: NicStatusIndication }
  | { readonly kind: 'status'; readonly indication: NicStatusIndication }
  /** A frame came that is for a provider address of the overlay itself. */
  | { readonly kind: 'overlay-heard'; readonly frame: Uint8Array }
  /** A port sends from the address of another adapter of its VM; the address as words of the MAC table. */
  | { readonly kind: 'failover'; readonly port: number; readonly low: number; readonly high: number }

export type ToProcessor = { readonly id: number } & (
  | Request
  | { readonly kind: 'reply'; readonly value: unknown; readonly error?: string }
)

export type FromProcessor =
  /** `thread`: its id (gettid). */
  | { readonly kind: 'ready'; readonly thread: number }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly message: string }
  | { readonly kind: 'ask'; readonly id: number; readonly question: Question }
  | { readonly kind: 'report'; readonly module: string; readonly code: string; readonly message: string }
