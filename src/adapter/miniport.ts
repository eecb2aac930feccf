// What NDIS asks of the PF miniport. NDIS (adapter.ts) has validated every request and given the ids that it gives; the miniport carries
// it out. A promise is NDIS_STATUS_PENDING.
//
// The rule it must not break: the answers to `deleteSwitch`, `freeVf` and `clearFilter` are success: they can't fail (SR-119, SR-148, SR-220).
import type { NdisStatus } from '../ndis/status.ts'
import type { PowerState } from './identifiers.ts'
import type { BarResources, SwitchParameters, VfParameters, VPortParameters } from './payloads.ts'
import type { Filter } from './receive-filters.ts'
import type { RssMiniport } from './rss/rss-miniport.ts'

export type Answer = NdisStatus | Promise<NdisStatus>

/** A status, and what goes back to the caller if that is success. */
export interface Outcome<T> {
  readonly status: NdisStatus
  readonly value?: T
}

export interface PfMiniport {
  /** RSS on VPorts of the PF, where the miniport reports it. */
  readonly rss?: RssMiniport
  createSwitch(parameters: SwitchParameters): Answer
  deleteSwitch(): Answer
  setSwitchParameters(parameters: SwitchParameters): Answer
  /** Chooses a VF; `value`: its id and requester id. */
  allocateVf(parameters: VfParameters): Outcome<{ readonly vfId: number; readonly requestorId: number }>
  freeVf(vfId: number): Answer
  createVPort(parameters: VPortParameters): Answer
  deleteVPort(vportId: number): Answer
  /** `parameters`: as they become. */
  setVPortParameters(parameters: VPortParameters): Answer
  setFilter(filter: Filter): Answer
  clearFilter(filter: Filter): Answer
  /** Takes the filter from its VPort to another in one step (SR-221). */
  moveFilter(filter: Filter, toVPort: number): Answer
  readConfigSpace(vfId: number, offset: number, length: number): Outcome<Uint8Array>
  writeConfigSpace(vfId: number, offset: number, data: Uint8Array): Answer
  readConfigBlock(vfId: number, blockId: number, length: number): Outcome<Uint8Array>
  writeConfigBlock(vfId: number, blockId: number, data: Uint8Array): Answer
  resetVf(vfId: number): Answer
  setVfPowerState(vfId: number, state: PowerState, wakeEnable: boolean): Answer
  vfVendorDeviceId(vfId: number): { readonly vendorId: number; readonly deviceId: number }
  probedBars(): number[]
  barResources(vfId: number, barIndex: number): Outcome<BarResources>
  /** MiniportHaltEx. */
  halt(): void
}
