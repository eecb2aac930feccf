// The guest's half in software, without a VM: NDIS of a child partition around a VF's miniport driver. Who writes such a driver, or logic
// that fails over, tries it here against the adapter of the host.
//
// The rule it must not break: the driver reaches the adapter through these services alone: its own VF's configuration space and blocks,
// which the PF judges (SR-006, SR-009, SR-264).
import { NdisStatus } from '../../ndis/status.ts'
import type { VfChannel } from '../backchannel.ts'
import { AdapterError, checkAttributes, checkPartition, type HardwareAssist } from '../capabilities.ts'
import type { PartitionType } from '../identifiers.ts'
import { AdapterOid } from '../oids.ts'
import type { AdapterCompletion, AdapterRequest } from '../requests.ts'

/** The only protocol that binds to a VF (SR-019). */
export const NETVSC = 'netvsc'

/** What a VF's miniport may call. */
export interface VfServices {
  /** NdisMReadConfigBlock: settles when the PF has completed it (SR-284). */
  readConfigBlock(blockId: number, length: number): Promise<{ status: NdisStatus; data?: Uint8Array }>
  /** NdisMWriteConfigBlock (SR-285). */
  writeConfigBlock(blockId: number, data: Uint8Array): Promise<NdisStatus>
  /** NdisMGetBusData: bytes of configuration space, none on failure (SR-265). */
  getBusData(offset: number, length: number): Promise<Uint8Array>
  /** NdisMSetBusData (SR-266). */
  setBusData(offset: number, data: Uint8Array): Promise<NdisStatus>
}

/** A VF's miniport driver. */
export interface VfDriver {
  /** SupportedOidList. */
  readonly supportedOids: readonly number[]
  /** MiniportInitializeEx: reads its blocks, and says what it can do. */
  initialize(services: VfServices): Promise<HardwareAssist>
  /** OID_SRIOV_VF_INVALIDATE_CONFIG_BLOCK: bit n: what was read from block n is stale (SR-296). */
  invalidated(blockMask: bigint): void
  /** MiniportPause, then MiniportHaltEx (SR-306). */
  halt(): Promise<void>
}

export interface GuestNdisOptions {
  readonly partition: PartitionType
  /** From the virtual PCI bus: which VF adapter of the VM this is (SR-281). */
  readonly serialNumber: number
}

export interface GuestNdisComponents {
  readonly channel: VfChannel
  readonly driver: VfDriver
}

/** NDIS of the guest, for one VF. */
export class GuestNdis {
  readonly #options: GuestNdisOptions
  readonly #components: GuestNdisComponents
  #attributes: HardwareAssist | undefined
  #bound = false
  /** Settles when no call waits for invalidations any more. */
  #listening: Promise<void> = Promise.resolve()

  constructor(options: GuestNdisOptions, components: GuestNdisComponents) {
    this.#options = options
    this.#components = components
  }

  get running(): boolean {
    return this.#attributes !== undefined
  }

  /** The device has appeared. Throws AdapterError if it may not start here, or reports what no VF has. */
  async start(): Promise<HardwareAssist> {
    const { channel, driver } = this.#components
    checkPartition('vf', this.#options.partition) // SR-020, SR-025
    if (this.#attributes) throw new AdapterError('already-started', 'SR-306', 'the VF runs already')
    const attributes = await driver.initialize({
      readConfigBlock: (blockId, length) => channel.read(blockId, length),
      writeConfigBlock: (blockId, data) => channel.write(blockId, data),
      getBusData: (offset, length) => channel.readConfig(offset, length),
      setBusData: (offset, data) => channel.writeConfig(offset, data),
    })
    checkAttributes(attributes)
    if (attributes.hardwareNicSwitch || attributes.hardwareReceiveFilter) {
      await driver.halt()
      throw new AdapterError(
        'bad-capabilities',
        'SR-036',
        'a VF miniport has neither a NIC switch nor receive filters of its own',
      )
    }
    this.#attributes = attributes
    this.#listening = this.#listen()
    return attributes
  }

  /** A protocol binds. Throws AdapterError for any but NetVSC. */
  bind(protocol: string): void {
    if (protocol !== NETVSC)
      throw new AdapterError('not-bindable', 'SR-019', `${protocol} can't bind to a VF: only ${NETVSC} does`)
    if (!this.running) throw new AdapterError('not-running', 'SR-243', 'the VF miniport has not initialized')
    this.#bound = true
  }

  get bound(): boolean {
    return this.#bound
  }

  /** A request of the guest's: NDIS answers what it has from the bus and from start. */
  request({ oid, type }: AdapterRequest): AdapterCompletion {
    const attributes = this.#attributes
    if (!attributes) return { status: NdisStatus.failure }
    const found: Record<number, unknown> = {
      [AdapterOid.sriovHardwareCapabilities]: attributes.hardwareSriov,
      [AdapterOid.sriovCurrentCapabilities]: attributes.currentSriov,
      [AdapterOid.sriovVfSerialNumber]: { serialNumber: this.#options.serialNumber },
    }
    const output = type === 'query' ? found[oid] : undefined
    return output === undefined ? { status: NdisStatus.notSupported } : { status: NdisStatus.success, output }
  }

  // The one call that waits for invalidations is NDIS's, and it posts the next (SR-292, SR-293).
  async #listen(): Promise<void> {
    const { channel, driver } = this.#components
    const takes = driver.supportedOids.includes(AdapterOid.sriovVfInvalidateConfigBlock)
    while (this.running) {
      const mask = await channel.invalidated()
      if (mask === 0n || !this.running) return
      if (takes) driver.invalidated(mask)
    }
  }

  /** The device goes, asked for or not: NetVSC is unbound, then the miniport is halted (SR-247, SR-306). */
  async stop(): Promise<void> {
    if (!this.running) return
    this.#bound = false
    this.#attributes = undefined
    this.#components.channel.endWait()
    await this.#components.driver.halt()
    await this.#listening
  }
}
