// What NDIS and the PF miniport do for each OID: NDIS validates, gives ids, keeps what it was told, and asks the miniport.
//
// The rule it must not break: nothing is kept before the miniport has carried it out, and nothing is asked of it that NDIS must refuse.
import { NdisStatus } from '../ndis/status.ts'
import {
  BARS_MAX,
  CONFIG_BLOCK_BYTES_MAX,
  CONFIG_SPACE_BYTES,
  DEFAULT_RECEIVE_QUEUE_ID,
  DEFAULT_SWITCH_ID,
  DEFAULT_VPORT_ID,
  ENUM_FILTERS_VPORT_SPECIFIED,
  ENUM_VFS_ON_SPECIFIC_SWITCH,
  EnumVPorts,
  NAME_CHARACTERS_MAX,
  PowerState,
  SWITCH_NAME_CHANGED,
} from './identifiers.ts'
import type { PfMiniport } from './miniport.ts'
import { AdapterOid } from './oids.ts'
import type * as P from './payloads.ts'
import type { AdapterCompletion, RequestType } from './requests.ts'
import type { AdapterRss } from './rss/adapter-rss.ts'
import { describeSwitch, type SwitchState } from './switch-state.ts'
import { checkAllocateVf } from './vfs.ts'

/** What a handler works with. */
export interface HandlerContext {
  readonly pf: PfMiniport
  /** The usable switch: OIDs that need one have it. */
  readonly nicSwitch: SwitchState
  readonly driver: string
  readonly filterCapabilities: P.ReceiveFilterCapabilities
  /** RSS on VPorts of the PF, where it is enabled. */
  readonly rss: AdapterRss | undefined
  /** The switch's new name goes to the registry (SR-125). */
  readonly rename: (name: string) => void
}

export type Handler = (
  context: HandlerContext,
  payload: never,
  type: RequestType,
) => AdapterCompletion | Promise<AdapterCompletion>

const done = (output?: unknown): AdapterCompletion => ({ status: NdisStatus.success, output })
const refused = (status: NdisStatus): AdapterCompletion => ({ status })
const invalid = refused(NdisStatus.invalidParameter)
const unknown = refused(NdisStatus.fileNotFound)

// ---- NIC switch -------------------------------------------------------------------------------------------------------------

async function switchParameters(c: HandlerContext, payload: P.SwitchParameters, type: RequestType): Promise<AdapterCompletion> {
  const { nicSwitch } = c
  if (payload.switchId !== DEFAULT_SWITCH_ID) return invalid
  if (type === 'method') return done(nicSwitch.parameters) // SR-123
  const wanted = { ...nicSwitch.parameters, ...payload, flags: 0 }
  const fixed = ['numVFs', 'switchType', 'numQueuePairsForDefaultVPort'] as const
  const same = fixed.every((name) => wanted[name] === nicSwitch.parameters[name]) // SR-097, SR-124
  const named = typeof payload.switchFriendlyName === 'string' && payload.switchFriendlyName.length <= NAME_CHARACTERS_MAX
  if (!same || !named || payload.flags !== SWITCH_NAME_CHANGED) return invalid
  const status = await c.pf.setSwitchParameters(wanted)
  if (status !== NdisStatus.success && status !== NdisStatus.reinitRequired) return refused(status) // SR-127
  c.rename(payload.switchFriendlyName)
  if (status === NdisStatus.success) nicSwitch.parameters = Object.freeze(wanted)
  return refused(status)
}

// ---- VFs --------------------------------------------------------------------------------------------------------------------

function allocateVf(c: HandlerContext, payload: P.VfParameters): AdapterCompletion {
  const status = checkAllocateVf(payload) // SR-135
  if (status !== NdisStatus.success) return refused(status)
  const outcome = c.pf.allocateVf(payload)
  if (outcome.status !== NdisStatus.success || !outcome.value) return refused(outcome.status)
  const parameters = { ...payload, ...outcome.value }
  c.nicSwitch.vfs.keep({ owner: c.driver, parameters })
  return done(parameters)
}

async function freeVf(c: HandlerContext, { vfId }: P.VfReference): Promise<AdapterCompletion> {
  const { vfs, vports } = c.nicSwitch
  const vf = vfs.get(vfId)
  if (!vf || vports.ofFunction(vfId).length > 0) return unknown // SR-143, SR-149
  if (vf.owner !== c.driver) return invalid // SR-131
  await c.pf.freeVf(vfId) // SR-148
  vfs.forget(vfId)
  return done()
}

function enumVfs(c: HandlerContext, payload: P.EnumVfsInput | undefined, type: RequestType): AdapterCompletion {
  const flags = type === 'method' ? (payload?.flags ?? 0) : 0
  const other = (flags & ENUM_VFS_ON_SPECIFIC_SWITCH) !== 0 && payload?.switchId !== DEFAULT_SWITCH_ID
  return done(other ? [] : c.nicSwitch.vfs.list().map(({ parameters }) => parameters)) // SR-150
}

// ---- VPorts -----------------------------------------------------------------------------------------------------------------

async function createVPort(c: HandlerContext, payload: P.VPortParameters): Promise<AdapterCompletion> {
  const { vports, vfs } = c.nicSwitch
  const vport = vports.prepare(payload, c.driver, (vfId) => vfs.get(vfId) !== undefined)
  if (typeof vport === 'number') return refused(vport) // SR-162
  const status = await c.pf.createVPort(vport.parameters)
  if (status !== NdisStatus.success) return refused(status) // SR-165
  vports.keep(vport)
  c.rss?.refresh(vport)
  return done(vport.parameters)
}

async function vportParameters(c: HandlerContext, payload: P.VPortParameters, type: RequestType): Promise<AdapterCompletion> {
  const { vports } = c.nicSwitch
  const vport = vports.get(payload.vPortId)
  if (!vport) return invalid
  if (type === 'method') return done(vport.parameters) // SR-181
  const next = vports.change(vport, payload)
  if (typeof next === 'number') return refused(next)
  const status = await c.pf.setVPortParameters(next)
  if (status !== NdisStatus.success) return refused(status)
  vport.parameters = next
  c.rss?.refresh(vport)
  return refused(status)
}

function enumVPorts(c: HandlerContext, payload: P.EnumVPortsInput | undefined, type: RequestType): AdapterCompletion {
  const { vports, filters } = c.nicSwitch
  const flags = type === 'method' ? (payload?.flags ?? 0) : 0
  if ((flags & EnumVPorts.onSpecificFunction) !== 0 && (flags & EnumVPorts.onSpecificSwitch) !== 0) return invalid // SR-183
  let found = vports.list()
  if ((flags & EnumVPorts.onSpecificFunction) !== 0) found = vports.ofFunction(payload!.attachedFunctionId) // SR-182
  if ((flags & EnumVPorts.onSpecificSwitch) !== 0 && payload!.switchId !== DEFAULT_SWITCH_ID) found = []
  return done(found.map(({ id, parameters }): P.VPortInfo => ({ ...parameters, numFilters: filters.list(id).length }))) // SR-226
}

async function deleteVPort(c: HandlerContext, { vPortId }: P.DeleteVPortParameters): Promise<AdapterCompletion> {
  const { vports, filters } = c.nicSwitch
  const vport = vports.get(vPortId)
  if (!vport || vPortId === DEFAULT_VPORT_ID) return invalid // SR-118, SR-186
  if (vport.owner !== c.driver || filters.list(vPortId).length > 0) return invalid // SR-184, SR-185
  const status = await c.pf.deleteVPort(vPortId)
  if (status === NdisStatus.success) {
    vports.forget(vPortId)
    c.rss?.forget(vPortId)
  }
  return refused(status)
}

// ---- receive filters --------------------------------------------------------------------------------------------------------

// Whose VPort it is may filter on it; the default VPort is nobody's (SR-195, SR-196).
function mayFilter(c: HandlerContext, vportId: number): boolean {
  const vport = c.nicSwitch.vports.get(vportId)
  return vport !== undefined && (vportId === DEFAULT_VPORT_ID || vport.owner === c.driver)
}

async function setFilter(c: HandlerContext, payload: P.FilterParameters): Promise<AdapterCompletion> {
  if (!mayFilter(c, payload.vPortId)) return invalid
  const { filters } = c.nicSwitch
  const filter = filters.prepare(payload, c.driver, c.filterCapabilities)
  if (typeof filter === 'number') return refused(filter)
  const status = await c.pf.setFilter(filter)
  if (status !== NdisStatus.success) return refused(status)
  filters.keep(filter)
  return done(filter.parameters)
}

async function clearFilter(c: HandlerContext, payload: P.ClearFilterParameters): Promise<AdapterCompletion> {
  const { filters } = c.nicSwitch
  const filter = filters.get(payload.filterId)
  if (!filter || payload.queueId !== DEFAULT_RECEIVE_QUEUE_ID) return unknown // SR-218, SR-220
  if (filter.owner !== c.driver) return invalid // SR-217
  await c.pf.clearFilter(filter)
  filters.forget(filter)
  return done()
}

async function moveFilter(c: HandlerContext, payload: P.MoveFilterParameters): Promise<AdapterCompletion> {
  const filter = c.nicSwitch.filters.get(payload.filterId)
  if (!filter || filter.vport !== payload.sourceVPortId || filter.owner !== c.driver) return invalid // SR-223
  if (payload.sourceQueueId !== DEFAULT_RECEIVE_QUEUE_ID || payload.destQueueId !== DEFAULT_RECEIVE_QUEUE_ID) return invalid // SR-222
  if (!mayFilter(c, payload.destVPortId)) return invalid
  if (payload.destVPortId === filter.vport) return done()
  const status = await c.pf.moveFilter(filter, payload.destVPortId)
  if (status === NdisStatus.success) filter.vport = payload.destVPortId
  return refused(status)
}

function enumFilters(c: HandlerContext, payload: P.EnumFiltersInput | undefined): AdapterCompletion {
  const specific = ((payload?.flags ?? 0) & ENUM_FILTERS_VPORT_SPECIFIED) !== 0
  const found = c.nicSwitch.filters.list(specific ? payload!.vPortId : undefined) // SR-224
  return done(found.map(({ id, parameters }): P.FilterInfo => ({ filterId: id, filterType: parameters.filterType })))
}

function readFilter(c: HandlerContext, payload: { filterId: number }): AdapterCompletion {
  const filter = c.nicSwitch.filters.get(payload.filterId)
  return filter ? done({ ...filter.parameters, vPortId: filter.vport }) : invalid // SR-225
}

// ---- configuration, reset, power ----------------------------------------------------------------------------------------------

const inSpace = (offset: number, length: number): boolean => length >= 1 && offset + length <= CONFIG_SPACE_BYTES

function readConfigSpace(c: HandlerContext, payload: P.ReadConfigSpace): AdapterCompletion {
  const { vfId, offset, length, room } = payload
  if (room < length) return { status: NdisStatus.invalidLength, bytesNeeded: length } // SR-268
  if (!inSpace(offset, length)) return invalid
  const { status, value } = c.pf.readConfigSpace(vfId, offset, length)
  return { status, output: value } // SR-269
}

async function writeConfigSpace(c: HandlerContext, { vfId, offset, data }: P.WriteConfigSpace): Promise<AdapterCompletion> {
  if (!(data instanceof Uint8Array) || !inSpace(offset, data.length)) return invalid
  return refused(await c.pf.writeConfigSpace(vfId, offset, data))
}

function readConfigBlock(c: HandlerContext, { vfId, blockId, length, room }: P.ReadConfigBlock): AdapterCompletion {
  if (room < length) return { status: NdisStatus.invalidLength, bytesNeeded: length }
  if (!(length >= 1 && length <= CONFIG_BLOCK_BYTES_MAX)) return invalid // SR-289
  const { status, value } = c.pf.readConfigBlock(vfId, blockId, length)
  return { status, output: value }
}

async function writeConfigBlock(c: HandlerContext, { vfId, blockId, data }: P.WriteConfigBlock): Promise<AdapterCompletion> {
  if (!(data instanceof Uint8Array) || data.length > CONFIG_BLOCK_BYTES_MAX) return invalid
  return refused(await c.pf.writeConfigBlock(vfId, blockId, data))
}

async function setPowerState(c: HandlerContext, { vfId, powerState, wakeEnable }: P.SetPowerState): Promise<AdapterCompletion> {
  if (!(powerState >= PowerState.d0 && powerState <= PowerState.d3) || typeof wakeEnable !== 'boolean') return invalid
  if (powerState === PowerState.d0 && wakeEnable) return invalid // SR-300
  return refused(await c.pf.setVfPowerState(vfId, powerState, wakeEnable))
}

function barResources(c: HandlerContext, { vfId, barIndex }: P.BarResourcesInput): AdapterCompletion {
  if (barIndex >= BARS_MAX) return invalid
  const { status, value } = c.pf.barResources(vfId, barIndex)
  return { status, output: value }
}

/** The acts, by OID; those without a switch stand in adapter.ts. */
export const handlers: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [AdapterOid.nicSwitchParameters, switchParameters],
  [AdapterOid.nicSwitchEnumSwitches, (c) => done([describeSwitch(c.nicSwitch)])],
  [AdapterOid.nicSwitchAllocateVf, allocateVf],
  [AdapterOid.nicSwitchFreeVf, freeVf],
  [AdapterOid.nicSwitchVfParameters, (c, payload: P.VfReference) => done(c.nicSwitch.vfs.get(payload.vfId)!.parameters)], // SR-151
  [AdapterOid.nicSwitchEnumVfs, enumVfs],
  [AdapterOid.nicSwitchCreateVPort, createVPort],
  [AdapterOid.nicSwitchVPortParameters, vportParameters],
  [AdapterOid.nicSwitchEnumVPorts, enumVPorts],
  [AdapterOid.nicSwitchDeleteVPort, deleteVPort],
  [AdapterOid.receiveFilterSetFilter, setFilter],
  [AdapterOid.receiveFilterClearFilter, clearFilter],
  [AdapterOid.receiveFilterMoveFilter, moveFilter],
  [AdapterOid.receiveFilterEnumFilters, enumFilters],
  [AdapterOid.receiveFilterParameters, readFilter],
  [AdapterOid.sriovReadVfConfigSpace, readConfigSpace],
  [AdapterOid.sriovWriteVfConfigSpace, writeConfigSpace],
  [AdapterOid.sriovReadVfConfigBlock, readConfigBlock],
  [AdapterOid.sriovWriteVfConfigBlock, writeConfigBlock],
  [AdapterOid.sriovResetVf, async (c, { vfId }: P.VfReference) => refused(await c.pf.resetVf(vfId))],
  [AdapterOid.sriovSetVfPowerState, setPowerState],
  [AdapterOid.sriovVfVendorDeviceId, (c, { vfId }: P.VfReference) => done({ vfId, ...c.pf.vfVendorDeviceId(vfId) })],
  [AdapterOid.sriovProbedBars, (c) => done(c.pf.probedBars())],
  [AdapterOid.sriovBarResources, barResources],
])
