// A port and its connections as the control side keeps them, and the parameters that OIDs and queries show of them.
import {
  DEFAULT_NIC_INDEX,
  NIC_INITIALIZING,
  type NicParameters,
  NicState,
  NicType,
  type PortParameters,
  PortState,
  type PortType,
} from '../../ndis/oids.ts'
import type { TopologyPort } from './topology.ts'

/** What a port is made of. */
export interface PortOptions {
  /** Unique in the switch. */
  readonly name: string
  readonly friendlyName: string
  readonly type: PortType
  readonly nicType: NicType
  /** Address of the connection, or undefined: the port learns. */
  readonly mac: string | undefined
  readonly macSpoofing: boolean
  readonly learning: boolean
  readonly linkUp: boolean
  /** Bytes. */
  readonly mtu: number
  readonly vmName: string
  /** Name of the VM for people; default: vmName. */
  readonly vmFriendlyName?: string
  /** True for a port that only checks settings: it never has a connection. ES-148 */
  readonly isValidationPort?: boolean
  /** True for the target of a migration: the connection follows with `createConnection`. ES-495 */
  readonly connectionLater?: boolean
  /** Names of the physical adapters under an external port, index 1 first. Default: one, called like the port. */
  readonly physicalNics?: readonly string[]
  /** What the device behind a host's adapter is called: NicName of an internal adapter, and of index 0 of an external one. ES-230 */
  readonly deviceName?: string
  /** GUIDs of an external or internal adapter, by NIC index. */
  readonly netCfgInstanceIds?: readonly string[]
  /** AllowTeaming: it may use an address that failed over to it. */
  readonly teaming?: boolean
  readonly numaNodeId?: number
}

/** What NIC_UPDATED may change (ES-194). Addresses are written 02:00:…; '' = none. */
export interface NicUpdate {
  readonly nicFriendlyName?: string
  readonly netCfgInstanceId?: string
  readonly mtu?: number
  readonly numaNodeId?: number
  readonly permanentMacAddress?: string
  readonly vmMacAddress?: string
  /** The address that failed over to the adapter; its permanent one or '' ends that. Of no effect without AllowTeaming. ES-225 */
  readonly currentMacAddress?: string
  readonly vfAssigned?: boolean
}

/** One connection: what a guest, the host or a physical adapter has on a port. */
export class NicRecord {
  readonly index: number
  readonly name: string
  state: NicState = NicState.unknown
  friendlyName: string
  mtu: number
  permanentMac: string
  /** What the guest set; '' until it says something else than its permanent address. */
  vmMac: string
  currentMac: string
  vfAssigned = false
  netCfgInstanceId: string
  numaNodeId: number
  /** The address of another adapter of its team that failed over to it; '' = none. ES-225 */
  failedOverMac = ''
  /** True from the first NIC_CREATE that succeeded on. ES-173 */
  initialized = false
  /** True from the first NIC_CONNECT on. */
  operational = false

  constructor(options: PortOptions, index: number) {
    const mac = options.mac ?? ''
    const vm = isVmNic(options.nicType)
    this.index = index
    const device = vm ? undefined : options.deviceName
    this.name = index === DEFAULT_NIC_INDEX ? (device ?? options.name) : (options.physicalNics?.[index - 1] ?? options.name) // ES-230
    this.friendlyName = index === DEFAULT_NIC_INDEX ? options.friendlyName : this.name
    this.mtu = options.mtu
    this.permanentMac = mac
    this.vmMac = vm ? mac : '' // ES-222
    this.currentMac = mac // ES-223
    this.netCfgInstanceId = vm ? '' : (options.netCfgInstanceIds?.[index] ?? '') // ES-228
    this.numaNodeId = vm ? (options.numaNodeId ?? 0) : 0 // ES-229
  }
}

/** Adapters of VMs: the others belong to the host. */
export const isVmNic = (type: NicType): boolean => type === NicType.synthetic || type === NicType.emulated

export class PortRecord implements TopologyPort {
  readonly id: number
  options: PortOptions
  /** Index 0, then the physical adapters. */
  readonly nics: readonly NicRecord[]
  state: PortState = PortState.unknown
  friendlyName: string
  linkUp: boolean
  /** Operations on this port, one after the other. */
  queue: Promise<unknown> = Promise.resolve()

  constructor(id: number, options: PortOptions) {
    this.id = id
    this.options = options
    this.friendlyName = options.friendlyName
    this.linkUp = options.linkUp
    this.nics = Array.from({ length: 1 + this.physicalNics }, (_, index) => new NicRecord(options, index))
  }

  get name(): string {
    return this.options.name
  }

  get type(): PortType {
    return this.options.type
  }

  get nicType(): NicType {
    return this.options.nicType
  }

  get isValidationPort(): boolean {
    return this.options.isValidationPort ?? false
  }

  // ES-155: a single adapter, or a team hidden behind one (ES-156), has index 1.
  get physicalNics(): number {
    return this.options.nicType === NicType.external ? (this.options.physicalNics?.length ?? 1) : 0
  }

  /** True while a physical adapter is connected: before that the external connection is not usable. ES-164 */
  get physicallyConnected(): boolean {
    return this.nics.some(({ index, state }) => index > 0 && state === NicState.connected)
  }

  /** NDIS_SWITCH_PORT_PARAMETERS. */
  portParameters(): PortParameters {
    return {
      portId: this.id,
      portName: this.options.name,
      portFriendlyName: this.friendlyName,
      portType: this.options.type, // ES-105
      isValidationPort: this.isValidationPort,
      portState: this.state,
    }
  }

  /** NDIS_SWITCH_NIC_PARAMETERS. */
  nicParameters(nic: NicRecord): NicParameters {
    const { options } = this
    const vm = isVmNic(options.nicType)
    const first = options.nicType === NicType.synthetic && !nic.initialized && nic.state === NicState.created
    return {
      flags: first ? NIC_INITIALIZING : 0, // ES-173
      nicName: nic.name,
      nicFriendlyName: nic.friendlyName,
      portId: this.id,
      nicIndex: nic.index,
      nicType: options.nicType,
      nicState: nic.state,
      vmName: vm ? options.vmName : '', // ES-227
      vmFriendlyName: vm ? (options.vmFriendlyName ?? options.vmName) : '',
      netCfgInstanceId: nic.operational ? nic.netCfgInstanceId : '', // ES-228
      mtu: nic.mtu,
      numaNodeId: nic.numaNodeId,
      permanentMacAddress: nic.permanentMac,
      vmMacAddress: nic.vmMac,
      currentMacAddress: nic.currentMac,
      vfAssigned: vm && nic.vfAssigned, // ES-226
    }
  }

  /** Applies an update; false if nothing changed. */
  update(nic: NicRecord, update: NicUpdate): boolean {
    const before = JSON.stringify(this.nicParameters(nic))
    const vm = isVmNic(this.options.nicType)
    nic.friendlyName = update.nicFriendlyName ?? nic.friendlyName
    nic.mtu = update.mtu ?? nic.mtu
    nic.permanentMac = update.permanentMacAddress ?? nic.permanentMac
    if (vm) {
      nic.numaNodeId = update.numaNodeId ?? nic.numaNodeId
      nic.vmMac = update.vmMacAddress ?? nic.vmMac
      nic.vfAssigned = update.vfAssigned ?? nic.vfAssigned
    } else nic.netCfgInstanceId = update.netCfgInstanceId ?? nic.netCfgInstanceId
    if (this.options.teaming) nic.failedOverMac = update.currentMacAddress ?? nic.failedOverMac
    nic.currentMac = this.#addressInUse(nic)
    return JSON.stringify(this.nicParameters(nic)) !== before
  }

  // The policy decides: spoofing, what the guest set (ES-224); teaming, what failed over, if something did (ES-225); neither, the
  // permanent one (ES-223).
  #addressInUse(nic: NicRecord): string {
    const { nicType, macSpoofing, teaming } = this.options
    if (isVmNic(nicType) && macSpoofing && nic.vmMac !== '') return nic.vmMac
    return teaming && nic.failedOverMac !== '' ? nic.failedOverMac : nic.permanentMac
  }
}
