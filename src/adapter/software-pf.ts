// The PF miniport of the software adapter: carries requests out on the tables that the NIC switch's data path reads, owns the VFs, and
// answers their backchannel.
//
// The rule it must not break: an act on one VF affects no other (SR-006, SR-297, SR-299).
import { NdisStatus } from '../ndis/status.ts'
import { macKey } from '../switch/mac-table.ts'
import { Invalidations } from './backchannel.ts'
import { AdapterError, type HardwareLimits } from './capabilities.ts'
import { Block, type ReceiveMode } from './config-blocks.ts'
import type { DataTables } from './data-tables.ts'
import type { ExtendedCapability } from './extended-capability.ts'
import { DEFAULT_VPORT_ID, InterruptModeration, PF_FUNCTION_ID, type PowerState, VPortState } from './identifiers.ts'
import { lowestFree } from './lowest-free.ts'
import type { Answer, Outcome, PfMiniport } from './miniport.ts'
import type { BarResources, SwitchParameters, VfParameters, VPortParameters } from './payloads.ts'
import { PfBlocks } from './pf-blocks.ts'
import type { Filter } from './receive-filters.ts'
import { PfRss } from './rss/pf-rss.ts'
import { hasOwnHash, hasRestrictedTable } from './rss/rss-limits.ts'
import type { VPortStatistics } from './statistics.ts'
import { VfBus, type VirtualBusDriver } from './vf-bus.ts'
import { barWindow, probedBars, RegisterFile, type VfDevice, type VfIdentity } from './vf-device.ts'
import { createVfFunction, type VfFunction } from './vf-function.ts'
import { defaultVfSettings, settingsProblem, type VfSettings } from './vf-settings.ts'
import { VPortProgramming } from './vport-programming.ts'
import { PacketFilter } from './vport-table.ts'

export interface SoftwarePfOptions {
  readonly limits: HardwareLimits
  readonly identity: VfIdentity
  readonly mac: string
  readonly mtu: number
  /** Megabits per second of the wire; minimum rates share it. 0 = as fast as it goes: minimums mean nothing. */
  readonly speedMbps: number
  /** The switch is made in MiniportInitializeEx with so many VFs (SR-093), else by CREATE_SWITCH. */
  readonly staticVFs?: number
  /** False: the switch is made without SR-IOV, and virtualization is never enabled (SR-128). */
  readonly sriov?: boolean
  /** RSS on VPorts of the PF is enabled, if `limits` have it. */
  readonly rssOnHostVPorts?: boolean
}

export interface SoftwarePfComponents {
  readonly tables: DataTables
  readonly capability: ExtendedCapability
  /** Milliseconds, monotonic. */
  readonly nowMs: () => number
  /** Statistics of a VPort since it was made. */
  readonly statistics: (vport: number) => VPortStatistics
  /** A VPort is gone: queues and counters of the data path forget it. Settles when no processor uses it (SR-190). */
  readonly vportGone?: (vport: number) => Promise<void> | void
  /** Settles when every processor has begun a new turn. */
  readonly quiesced?: () => Promise<void>
  /** The vendor's bus driver: where there is one, it is asked for configuration space (SR-271). */
  readonly busDriver?: VirtualBusDriver
}

const ID_BYTES = 4
/** What the vendor id of a VF reads that no guest drives. */
const NO_VENDOR = 0xffff

export class SoftwarePf implements PfMiniport {
  readonly invalidations = new Invalidations()
  /** Configuration space of all VFs that are on the bus. */
  readonly bus: VfBus
  /** RSS on VPorts of the PF; undefined where it is not enabled. */
  readonly rss?: PfRss
  readonly #options: SoftwarePfOptions
  readonly #components: SoftwarePfComponents
  readonly #programming: VPortProgramming
  readonly #vfs = new Map<number, VfFunction>()
  readonly #ofVPort = new Map<number, VfFunction>()
  /** What the host decides about a VF outlives its allocation. */
  readonly #settings = new Map<number, VfSettings>()
  readonly #blocks: PfBlocks

  constructor(options: SoftwarePfOptions, components: SoftwarePfComponents) {
    this.#options = options
    this.#components = components
    this.#programming = new VPortProgramming(components.tables, options.mac)
    this.bus = new VfBus(components.capability, (vfId) => this.#vfs.get(vfId)?.device)
    this.#blocks = new PfBlocks(options, {
      groups: components.tables.groups,
      linkUp: (vf) => this.#programming.linkUp(vf),
      statistics: components.statistics,
      changed: (vf) => this.#programming.refresh(vf.vport),
    })
    const { limits } = options
    if (limits.rss && options.rssOnHostVPorts) {
      const caps = limits.switchCaps
      const rssOptions = {
        limits: limits.rss,
        queuePairsMax: limits.maxNumQueuePairsPerNonDefaultVPort,
        ownHash: hasOwnHash(caps),
        restricted: hasRestrictedTable(caps),
      }
      const { tables, quiesced } = components
      this.rss = new PfRss(rssOptions, { table: tables.rss, ...(quiesced ? { quiesced } : {}) })
    }
    if (options.staticVFs !== undefined) {
      if (options.staticVFs > options.limits.maxNumVFs)
        throw new RangeError(`${options.staticVFs} VFs are more than the adapter has`) // SR-094
      components.capability.enableVirtualization(options.staticVFs, true) // SR-093
    }
  }

  // ---- NIC switch ---------------------------------------------------------------------------------------------------------

  createSwitch(parameters: SwitchParameters): Answer {
    const { capability, tables } = this.#components
    const { staticVFs, sriov = true } = this.#options
    if (staticVFs !== undefined) {
      if (parameters.numVFs !== staticVFs) return NdisStatus.invalidParameter // SR-096
    } else if (sriov && capability.enableVirtualization(parameters.numVFs, true) !== NdisStatus.success) return NdisStatus.failure // SR-102
    tables.vports.setPacketFilter(PacketFilter.directed | PacketFilter.multicast | PacketFilter.broadcast)
    this.#programming.add(DEFAULT_VPORT_ID, undefined, true) // SR-101
    const { numQueuePairsForDefaultVPort: numQueuePairs = 1 } = parameters
    const interruptModeration = InterruptModeration.adaptive
    this.rss?.add(DEFAULT_VPORT_ID, { processorAffinity: [0], numQueuePairs, interruptModeration })
    this.#shareLink()
    return NdisStatus.success
  }

  deleteSwitch(): Answer {
    this.#programming.remove(DEFAULT_VPORT_ID)
    this.rss?.remove(DEFAULT_VPORT_ID)
    if (this.#options.staticVFs === undefined) this.#components.capability.enableVirtualization(0, false) // SR-115, SR-116
    return NdisStatus.success
  }

  setSwitchParameters(): Answer {
    return NdisStatus.success
  }

  halt(): void {
    if (this.#components.capability.vfEnable) this.#components.capability.enableVirtualization(0, false) // SR-117, SR-305
    for (const vf of this.#vfs.values()) this.invalidations.forget(vf.id)
  }

  // ---- VFs ----------------------------------------------------------------------------------------------------------------

  allocateVf(parameters: VfParameters): Outcome<{ vfId: number; requestorId: number }> {
    const { capability } = this.#components
    const vfId = lowestFree(0, capability.numVFs - 1, (id) => this.#vfs.has(id)) // SR-138
    if (vfId < 0) return { status: NdisStatus.resources }
    const requestorId = capability.vfRid(vfId) // SR-139
    const settings = this.#settings.get(vfId) ?? defaultVfSettings
    this.#vfs.set(vfId, createVfFunction(vfId, requestorId, parameters.currentMacAddress, settings, new RegisterFile()))
    return { status: NdisStatus.success, value: { vfId, requestorId } }
  }

  freeVf(vfId: number): Answer {
    const vf = this.#vfs.get(vfId)
    if (!vf || vf.vport >= 0) return NdisStatus.invalidParameter // SR-144 to SR-146
    this.#vfs.delete(vfId) // SR-147
    this.invalidations.forget(vfId)
    return NdisStatus.success
  }

  /** An allocated VF, or undefined. */
  vf(vfId: number): VfFunction | undefined {
    return this.#vfs.get(vfId)
  }

  /**
   * Gives an allocated VF the device that its guest drives; `undefined` takes it away. Throws AdapterError `attached` while another
   * guest's device is there (SR-005).
   */
  attachDevice(vfId: number, device: VfDevice | undefined): void {
    const vf = this.#vfs.get(vfId)
    if (!vf || vf.device === device) return
    if (device && !(vf.device instanceof RegisterFile))
      throw new AdapterError('attached', 'SR-005', `VF ${vfId} is attached to a guest: take it away from that one first`)
    vf.device = device ?? new RegisterFile()
    vf.device.setLink?.(this.#programming.linkUp(vf))
  }

  /** What a VF asks to receive besides its own address, judged by its trust; all of it, or nothing (PD-16). */
  receive(vfId: number, mode: ReceiveMode): NdisStatus {
    const vf = this.#vfs.get(vfId)
    return vf ? this.#blocks.receive(vf, mode) : NdisStatus.invalidParameter
  }

  /** True if a filter of the VF's VPort admits the VLAN id (0 = untagged or zero). */
  admits(vfId: number, vlan: number): boolean {
    const vport = this.#vfs.get(vfId)?.vport ?? -1
    return vport >= 0 && this.#components.tables.vports.admits(vport, vlan)
  }

  /** True if the VF may send from and receive for this address: its own, or that of a filter of its VPort (PD-01). */
  mayUse(vfId: number, mac: string): boolean {
    const vf = this.#vfs.get(vfId)
    if (!vf) return false
    const { low, high } = macKey(mac)
    return vf.mac.toLowerCase() === mac.toLowerCase() || this.#components.tables.filters.mayBeSource(low, high, vf.vport)
  }

  /** What the host decided about VF number `vfId`, allocated or not. */
  settings(vfId: number): VfSettings {
    return this.#settings.get(vfId) ?? defaultVfSettings
  }

  /** Changes that. Returns what is wrong with the change as a sentence, or undefined when it is in force. */
  configure(vfId: number, change: Partial<VfSettings>): string | undefined {
    if (!(Number.isInteger(vfId) && vfId >= 0 && vfId < this.#options.limits.maxNumVFs)) return `there is no VF ${vfId}`
    const before = this.settings(vfId)
    const settings = { ...before, ...change }
    const problem = settingsProblem(settings) ?? this.#overcommitted(vfId, settings)
    if (problem) return problem
    this.#settings.set(vfId, settings)
    const vf = this.#vfs.get(vfId)
    if (!vf) return undefined
    const linkBefore = this.#programming.linkUp(vf)
    vf.settings = settings
    if (!settings.trust) vf.promiscuous = false
    this.#limit(vf)
    this.#shareLink()
    this.#programming.refresh(vf.vport)
    if (this.#programming.linkUp(vf) !== linkBefore) this.#linkChanged(vf)
    return undefined
  }

  // Minimum rates are promises: their sum fits the link.
  #overcommitted(vfId: number, settings: VfSettings): string | undefined {
    const { speedMbps } = this.#options
    let sum = settings.minRateMbps
    for (const [id, other] of this.#settings) if (id !== vfId) sum += other.minRateMbps
    return speedMbps !== 0 && sum > speedMbps ? `min-rates add up to ${sum} Mbit/s and the link has ${speedMbps}` : undefined
  }

  #nowUs(): number {
    return this.#components.nowMs() * 1000
  }

  #limit(vf: VfFunction): void {
    if (vf.vport < 0) return
    const { maxRateMbps, minRateMbps } = vf.settings
    this.#components.tables.rates.set(vf.vport, { maxMbps: maxRateMbps, minMbps: minRateMbps }, this.#nowUs())
  }

  #shareLink(): void {
    const { speedMbps } = this.#options
    let kept = 0
    for (const vf of this.#vfs.values()) if (vf.vport >= 0) kept += vf.settings.minRateMbps
    // With all of it promised the rest still gets a trickle: a share of 0 would mean no limit.
    const share = speedMbps === 0 || kept === 0 ? 0 : Math.max(1, speedMbps - kept)
    this.#components.tables.rates.setLinkShare(share, this.#nowUs())
  }

  /** The wire came, went, or changed its link; guests whose link follows it are told. */
  setWire(exists: boolean, up: boolean): void {
    const before = new Map([...this.#vfs.values()].map((vf) => [vf, this.#programming.linkUp(vf)]))
    this.#programming.setWire(exists, up)
    for (const [vf, was] of before) if (this.#programming.linkUp(vf) !== was) this.#linkChanged(vf)
  }

  /** Packet filter of the PF: PacketFilter bits. */
  setPacketFilter(filter: number): void {
    this.#components.tables.vports.setPacketFilter(filter)
  }

  linkUp(vf: VfFunction): boolean {
    return this.#programming.linkUp(vf)
  }

  #linkChanged(vf: VfFunction): void {
    vf.device.setLink?.(this.#programming.linkUp(vf))
    this.invalidations.invalidate(vf.id, (1n << BigInt(Block.identity)) | (1n << BigInt(Block.linkState)))
  }

  // ---- VPorts and filters -------------------------------------------------------------------------------------------------

  createVPort(parameters: VPortParameters): Answer {
    const { vPortId, attachedFunctionId } = parameters
    const vf = attachedFunctionId === PF_FUNCTION_ID ? undefined : this.#vfs.get(attachedFunctionId)
    if (!vf && this.rss?.accepts(parameters.processorAffinity) === false) return NdisStatus.invalidParameter
    if (vf) {
      vf.vport = vPortId
      this.#ofVPort.set(vPortId, vf)
      this.#limit(vf)
      this.#shareLink()
    }
    if (!vf) this.rss?.add(vPortId, parameters)
    this.#programming.add(vPortId, vf, parameters.vPortState === VPortState.activated)
    return NdisStatus.success
  }

  async deleteVPort(vportId: number): Promise<NdisStatus> {
    const vf = this.#ofVPort.get(vportId)
    this.#programming.remove(vportId) // SR-189, SR-190: from here on nothing passes
    if (vf) {
      this.#blocks.forget(vf)
      vf.vport = -1
      this.#ofVPort.delete(vportId)
      this.#shareLink()
    }
    await this.#components.vportGone?.(vportId) // SR-191, SR-192
    this.rss?.remove(vportId) // VQ-230
    return NdisStatus.success
  }

  setVPortParameters(parameters: VPortParameters): Answer {
    if (this.rss && parameters.attachedFunctionId === PF_FUNCTION_ID) {
      const status = this.rss.setVPortParameters(parameters)
      if (status !== NdisStatus.success) return status
    }
    if (parameters.vPortState !== VPortState.activated) return NdisStatus.success
    return this.#programming.activate(parameters.vPortId)
  }

  setFilter(filter: Filter): Answer {
    return this.#programming.setFilter(filter)
  }

  clearFilter(filter: Filter): Answer {
    this.#programming.clearFilter(filter)
    return NdisStatus.success
  }

  moveFilter(filter: Filter, toVPort: number): Answer {
    return this.#programming.moveFilter(filter, toVPort)
  }

  // ---- functions ----------------------------------------------------------------------------------------------------------

  readConfigSpace(vfId: number, offset: number, length: number): Outcome<Uint8Array> {
    const { busDriver } = this.#components
    const value = busDriver ? busDriver.read(vfId, offset, length) : this.#readBus(vfId, offset, length)
    return value?.length === length ? { status: NdisStatus.success, value } : { status: NdisStatus.failure }
  }

  #readBus(vfId: number, offset: number, length: number): Uint8Array | undefined {
    const value = new Uint8Array(length)
    return this.bus.read(vfId, offset, value) === length ? value : undefined
  }

  writeConfigSpace(vfId: number, offset: number, data: Uint8Array): Answer {
    const { busDriver } = this.#components
    const moved = busDriver ? busDriver.write(vfId, offset, data) : this.bus.write(vfId, offset, data) === data.length
    return moved ? NdisStatus.success : NdisStatus.failure
  }

  readConfigBlock(vfId: number, blockId: number, length: number): Outcome<Uint8Array> {
    const block = this.#blocks.read(this.#vfs.get(vfId)!, blockId)
    if (!block) return { status: NdisStatus.invalidParameter } // SR-288
    const value = new Uint8Array(length)
    value.set(block.subarray(0, length))
    return { status: NdisStatus.success, value }
  }

  writeConfigBlock(vfId: number, blockId: number, data: Uint8Array): Answer {
    return this.#blocks.write(this.#vfs.get(vfId)!, blockId, data)
  }

  async resetVf(vfId: number): Promise<NdisStatus> {
    const vf = this.#vfs.get(vfId)!
    await vf.device.reset() // SR-297, SR-298
    this.#blocks.forget(vf)
    if (vf.vport >= 0) this.#programming.refresh(vf.vport)
    this.invalidations.invalidate(vfId, 1n << BigInt(Block.identity))
    return NdisStatus.success
  }

  setVfPowerState(vfId: number, state: PowerState, wakeEnable: boolean): Answer {
    const vf = this.#vfs.get(vfId)!
    vf.power = state
    vf.device.setPowerState(state, wakeEnable)
    this.#programming.refresh(vf.vport) // PD-15, SR-299
    return NdisStatus.success
  }

  /** What the guest enumerates (SR-274): the ids of the function that it drives, else those of the adapter's VFs (SR-273). */
  vfVendorDeviceId(vfId: number): { vendorId: number; deviceId: number } {
    const ids = new DataView(new ArrayBuffer(ID_BYTES))
    this.bus.read(vfId, 0, new Uint8Array(ids.buffer))
    const vendorId = ids.getUint16(0, true)
    if (vendorId !== 0 && vendorId !== NO_VENDOR) return { vendorId, deviceId: ids.getUint16(2, true) }
    return { vendorId: this.#options.identity.vendorId, deviceId: this.#options.identity.deviceId }
  }

  probedBars(): number[] {
    return probedBars(this.#options.identity)
  }

  barResources(vfId: number, barIndex: number): Outcome<BarResources> {
    const window = barWindow(this.#options.identity, this.#options.limits.totalVFs, vfId, barIndex)
    if (!window) return { status: NdisStatus.invalidParameter }
    return { status: NdisStatus.success, value: { type: 'memory', ...window } }
  }
}
