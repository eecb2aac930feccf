// An SR-IOV adapter in software, put together: registry, adapter (NDIS), PF miniport, tables.
//
// The rule it must not break: what an overlying driver does goes through `adapter.request`; the PF's own doors (settings, devices, wire)
// are for the host that owns the adapter.
import type { NdisStatus } from '../ndis/status.ts'
import { Adapter, type AdapterIndication } from './adapter.ts'
import { VfChannel } from './backchannel.ts'
import { type HardwareLimits, pfAttributes } from './capabilities.ts'
import { type DataTables, dataTablesBytes, viewDataTables } from './data-tables.ts'
import { ExtendedCapability, type FunctionLocation } from './extended-capability.ts'
import type { PartitionType } from './identifiers.ts'
import { Keyword, type Registry, selectInterfaces } from './keywords.ts'
import type { PfMiniport } from './miniport.ts'
import { SoftwareQueues, type SoftwareQueuesComponents } from './queues/software-queues.ts'
import { SoftwarePf } from './software-pf.ts'
import type { VPortStatistics } from './statistics.ts'
import type { VirtualBusDriver } from './vf-bus.ts'
import { igbvfIdentity, type VfIdentity } from './vf-device.ts'

export interface SoftwareAdapterOptions {
  readonly limits: HardwareLimits
  readonly mac: string
  readonly mtu?: number
  /** Megabits per second of the wire, 0 = as fast as it goes. */
  readonly speedMbps?: number
  readonly identity?: VfIdentity
  readonly location?: FunctionLocation
  /** The switch is made when the miniport initializes, from the registry (spec 3.3), not by CREATE_SWITCH. */
  readonly staticSwitch?: boolean
  /** Processors that may serve receive queues, and microseconds that their wake-ups may be put off. Used where VMQ is enabled. */
  readonly queues?: { readonly processors: readonly number[]; readonly moderationUs?: number }
}

export interface SoftwareAdapterComponents {
  /** Shared memory, zeroed, of adapterTablesBytes(limits) bytes at `at`. */
  readonly buffer: ArrayBufferLike
  readonly at: number
  readonly registry: Registry
  readonly nowMs: () => number
  readonly statistics: (vport: number) => VPortStatistics
  readonly vportGone?: (vport: number) => Promise<void> | void
  /** Settles when every processor has begun a new turn; left out where no thread but this one uses the tables. */
  readonly quiesced?: () => Promise<void>
  readonly indicate?: (indication: AdapterIndication) => void
  readonly report?: (code: string, rule: string, message: string) => void
  readonly trace?: (step: string) => void
  readonly partition?: PartitionType
  readonly busDriver?: VirtualBusDriver
  /** Stands between NDIS and the miniport, for tests of the contract. */
  readonly wrap?: (pf: SoftwarePf) => PfMiniport
  /** What receive queues work on, with tables for `numQueues + 1` queues and `maxNumMacAddresses` filters; without it there are none. */
  readonly queues?: SoftwareQueuesComponents
}

/** Bytes of shared memory that an adapter's tables take. */
export const adapterTablesBytes = (limits: HardwareLimits): number => dataTablesBytes(sizesOf(limits))

/** Views the tables of an adapter of that size; processors do it in their own threads. */
export const viewAdapterTables = (buffer: ArrayBufferLike, at: number, limits: HardwareLimits): DataTables =>
  viewDataTables(buffer, at, sizesOf(limits))

const sizesOf = ({ maxNumVPorts, maxNumMacAddresses, rss }: HardwareLimits) => ({
  vports: maxNumVPorts,
  filters: maxNumMacAddresses,
  rss: rss ? maxNumVPorts : 0,
})

/** Keywords of an adapter that has SR-IOV and VMQ on, and `vfs` VFs. */
export const sriovKeywords = (vfs: number): Partial<Record<Keyword, number | string>> => ({
  [Keyword.sriovPreferred]: 1,
  [Keyword.rssOrVmqPreference]: 1,
  [Keyword.sriov]: 1,
  [Keyword.vmq]: 1,
  [Keyword.numVFs]: vfs,
})

export class SoftwareAdapter {
  readonly adapter: Adapter
  readonly capability: ExtendedCapability
  readonly tables: DataTables
  readonly registry: Registry
  #pf: SoftwarePf | undefined
  #queues: SoftwareQueues | undefined

  constructor(options: SoftwareAdapterOptions, components: SoftwareAdapterComponents) {
    const { limits, mac, mtu = 1500, speedMbps = 0, identity = igbvfIdentity } = options
    const { registry, nowMs, statistics, vportGone, busDriver } = components
    this.registry = registry
    this.capability = new ExtendedCapability(limits.totalVFs, options.location ?? { segment: 0, bus: 1, device: 0 })
    this.tables = viewAdapterTables(components.buffer, components.at, limits)
    // VQ-001: an adapter that has no queues says so, whatever the keywords say.
    const limitsNow = options.queues && components.queues ? limits : { ...limits, numQueues: 0 }
    const initialize = () => {
      const selection = selectInterfaces(registry)
      const staticVFs = options.staticSwitch && selection.sriov ? registry.number(Keyword.numVFs) : undefined
      const pf = new SoftwarePf(
        {
          limits,
          identity,
          mac,
          mtu,
          speedMbps,
          sriov: selection.sriov,
          rssOnHostVPorts: selection.rssOnHostVPorts === true,
          ...(staticVFs === undefined ? {} : { staticVFs }),
        },
        {
          tables: this.tables,
          capability: this.capability,
          nowMs,
          statistics,
          ...(vportGone ? { vportGone } : {}),
          ...(components.quiesced ? { quiesced: components.quiesced } : {}),
          ...(busDriver ? { busDriver } : {}),
        },
      )
      this.#pf = pf
      this.#queues = selection.vmq && !selection.sriov ? this.#makeQueues(options, components) : undefined
      const queues = this.#queues
      return {
        pf: components.wrap?.(pf) ?? pf,
        attributes: pfAttributes(limitsNow, selection),
        ...(queues ? { queues } : {}),
      }
    }
    this.adapter = new Adapter({ ...components, initialize })
  }

  #makeQueues(options: SoftwareAdapterOptions, { queues }: SoftwareAdapterComponents): SoftwareQueues | undefined {
    const { limits, mac } = options
    return options.queues && queues && new SoftwareQueues({ ...options.queues, numQueues: limits.numQueues, mac }, queues)
  }

  /** The miniport's receive queues, from `adapter.start()` on; undefined where VMQ is not enabled. */
  get queues(): SoftwareQueues | undefined {
    return this.#queues
  }

  /** The PF miniport, from `adapter.start()` on. */
  get pf(): SoftwarePf {
    if (!this.#pf) throw new Error('the adapter has not been started')
    return this.#pf
  }

  /**
   * Changes keywords and restarts the miniport, which reads them then (SR-089). Throws AdapterError, with nothing changed, while the adapter
   * is in use. The wire has to be set again.
   */
  async changeKeywords(values: Partial<Record<Keyword, number | string>>): Promise<void> {
    const runs = this.adapter.state === 'running'
    if (runs) await this.adapter.halt()
    for (const [keyword, value] of Object.entries(values)) this.registry.write(keyword as Keyword, value)
    if (runs) await this.adapter.start()
  }

  /** The VF miniport's end of the backchannel of an allocated VF. */
  channel(vfId: number): VfChannel {
    return new VfChannel(vfId, (request) => this.adapter.request(request, 'vpci'), this.pf.invalidations)
  }

  /** Carries a request out and gives its status alone. */
  async status(request: Parameters<Adapter['request']>[0], driver: string): Promise<NdisStatus> {
    return (await this.adapter.request(request, driver)).status
  }
}
