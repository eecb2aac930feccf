// What a switch's SR-IOV adapters are made from, and what they tell of themselves: the contract between the engine, which runs them, and
// the management layer above. Types only.
//
// The rule it must not break: everything here survives JSON, so that a configuration, the control API and an embedder use the same.
import type { AdapterIndication } from '../adapter/adapter.ts'
import type { VfShown, VfWords } from '../adapter/linux-words.ts'
import type { AdapterRequest } from '../adapter/requests.ts'
import type { BringUpOrder } from '../adapter/sequences.ts'
import type { EndpointConfig } from './endpoint-factory.ts'
import type { AdapterMode, QueueModeConfig } from './queue-config.ts'

/** An adapter to create. Its default VPort becomes the external connection of the port whose endpoint is `{ kind: 'adapter' }`. */
export interface AdapterConfig extends Partial<QueueModeConfig> {
  readonly name: string
  /** sriov without it. In VMQ mode the adapter has queues, and no VFs. */
  readonly mode?: AdapterMode
  /** Address of the PF, lower case. */
  readonly mac: string
  /** What the physical port is connected to; null: to nothing, the NIC switch works between VFs and the host. */
  readonly uplink: EndpointConfig | null
  /** VFs that the adapter has, 0…63. */
  readonly vfs: number
  /** MTU of the physical port and of VFs, in bytes. */
  readonly mtu: number
  /** Megabits per second that minimum rates share; 0 = not known. */
  readonly speedMbps: number
  /** When the filters of a VM move to its VF. */
  readonly order: BringUpOrder
}

/** How a VF reaches its guest. `vfio-user`: a PCI function that igbvf drives; `vhost-user`: a virtio-net device. */
export type VfForm = 'vfio-user' | 'vhost-user'

/** What a port (a VM's network adapter) wants of SR-IOV. */
export interface IovConfig {
  /** 0: no VF; 1…100: a VF where the adapter has one left, the highest weights first (Set-VMNetworkAdapter -IovWeight). */
  readonly weight: number
  readonly form: VfForm
  /** Unix socket that the VMM connects to for the VF. */
  readonly path: string
  readonly queuePairs: number
  readonly trusted: boolean
  readonly requireSeals: boolean
  /** QMP socket of the guest's QEMU: the VF is plugged and unplugged through it. Without it the VMM has it plugged from the start. */
  readonly qmp?: string | undefined
}

/** Where a VM's traffic goes. `waiting`: the VF is given, the guest's driver is not up yet; traffic is on the synthetic path. */
export type VfState = 'waiting' | 'active' | 'removing'

/** A VF that a VM has. */
export interface AssignedVfStatus {
  readonly adapter: string
  readonly port: string
  readonly vf: number
  readonly vport: number
  readonly serialNumber: number
  readonly form: VfForm
  readonly path: string
  readonly state: VfState
  /** Times that traffic went to the VF and back to the synthetic path. */
  readonly switchovers: number
  /** What the endpoint tells of itself: registers, rings, faults. */
  readonly detail: Readonly<Record<string, unknown>>
}

/** Counters of a VPort or of the physical port, as in PortCounters; received is what came from the VPort's function. */
export interface VPortCounters {
  readonly receivedFrames: number
  readonly receivedBytes: number
  readonly sentFrames: number
  readonly sentBytes: number
  readonly receivedDropped: number
  readonly sendDropped: number
  readonly receivedMulticast: number
}

export interface VPortStatus {
  /** 0 = the default VPort. */
  readonly id: number
  readonly name: string
  /** 'pf' or the number of the VF. */
  readonly function: 'pf' | number
  readonly state: 'activated' | 'deactivated'
  readonly queuePairs: number
  readonly filters: readonly { readonly id: number; readonly mac: string; readonly vlan: number | null }[]
  readonly counters: VPortCounters
  readonly drops: Readonly<Record<string, number>>
}

export interface AdapterStatus {
  readonly name: string
  /** sriov without it. */
  readonly mode?: AdapterMode
  readonly mac: string
  /** running; removed: the adapter was pulled; absent from the list once it is closed. */
  readonly state: 'running' | 'removed'
  readonly uplink: EndpointConfig | null
  readonly link: 'up' | 'down'
  readonly vfs: { readonly total: number; readonly allocated: number }
  readonly vports: readonly VPortStatus[]
  readonly wire: VPortCounters
  readonly wireDrops: Readonly<Record<string, number>>
  /** Every VF in the words of `ip link show`. */
  readonly shown: readonly VfShown[]
  readonly assigned: readonly AssignedVfStatus[]
}

/**
 * The adapters of a running switch. Errors carry a `code`: NO_SUCH_ADAPTER, NO_SUCH_PORT, NO_VF_LEFT, NO_IOV (the port asks for none),
 * VF_ASSIGNED, NO_VF (the port has none), ADAPTER_REMOVED, BAD_VF_SETTING.
 */
export interface SwitchAdapters {
  list(): readonly AdapterStatus[]
  /** Gives the VM behind `port` a VF; it is used as soon as the guest's driver is up. */
  assign(port: string): Promise<AssignedVfStatus>
  /** Takes it back: the guest is asked first and what its rings hold is drained; `surprise`: at once, as if it were torn out. */
  remove(port: string, surprise?: boolean): Promise<void>
  /** OID_SRIOV_RESET_VF: the function goes through a function-level reset; the guest's driver starts anew. */
  reset(port: string): Promise<void>
  /** `ip link set … vf N …`. */
  set(adapter: string, vf: number, words: VfWords): Promise<VfShown>
  /** Pulls the adapter (surprise removal): every VM falls back; the switch's external connection goes down. */
  pull(adapter: string): Promise<void>
  /** Puts a pulled adapter back: it starts anew, and ports get their VFs again by weight. */
  plug(adapter: string): Promise<void>
  /** Any OID of the adapter, as an overlying driver issues it. */
  request(adapter: string, request: AdapterRequest): Promise<{ readonly status: number; readonly output: unknown }>
  /** Status indications of all adapters, from now on. Returns what ends it. */
  observe(observer: (adapter: string, indication: AdapterIndication) => void): () => void
}
