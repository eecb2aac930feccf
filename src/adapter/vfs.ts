// Allocated VFs as NDIS keeps them: validation of ALLOCATE_VF and FREE_VF, owners. The PF miniport chooses id and requester id
// (SR-138, SR-139).
//
// The rule it must not break: what an allocated VF was given does not change (SR-141).
import { NdisStatus } from '../ndis/status.ts'
import { DEFAULT_SWITCH_ID, INVALID_RID, INVALID_VF_FUNCTION_ID, NAME_CHARACTERS_MAX } from './identifiers.ts'
import type { VfParameters } from './payloads.ts'

/** An allocated VF. */
export interface Vf {
  readonly owner: string
  readonly parameters: VfParameters
}

const STATION = /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/i

/** True for a station's MAC address: no group, not all zeroes. */
export const isStationAddress = (mac: unknown): mac is string =>
  typeof mac === 'string' && STATION.test(mac) && mac !== '00:00:00:00:00:00'

const isName = (name: unknown): boolean => typeof name === 'string' && name.length <= NAME_CHARACTERS_MAX

/** Checks an ALLOCATE_VF before it goes to the miniport (SR-132, SR-133, SR-135). */
export function checkAllocateVf(parameters: VfParameters): NdisStatus {
  const { switchId, vfId, requestorId, permanentMacAddress, currentMacAddress } = parameters
  if (switchId !== DEFAULT_SWITCH_ID || vfId !== INVALID_VF_FUNCTION_ID || requestorId !== INVALID_RID)
    return NdisStatus.invalidParameter
  if (!isStationAddress(permanentMacAddress) || !isStationAddress(currentMacAddress)) return NdisStatus.invalidParameter
  const named = isName(parameters.vmName) && isName(parameters.vmFriendlyName) && isName(parameters.nicName)
  return named ? NdisStatus.success : NdisStatus.invalidParameter
}

/** The allocated VFs of one NIC switch. */
export class Vfs {
  readonly #byId = new Map<number, Vf>()

  get(vfId: number): Vf | undefined {
    return this.#byId.get(vfId)
  }

  get size(): number {
    return this.#byId.size
  }

  list(): Vf[] {
    return [...this.#byId.values()].sort((a, b) => a.parameters.vfId - b.parameters.vfId)
  }

  keep(vf: Vf): void {
    this.#byId.set(vf.parameters.vfId, { owner: vf.owner, parameters: Object.freeze({ ...vf.parameters }) }) // SR-141
  }

  forget(vfId: number): void {
    this.#byId.delete(vfId)
  }
}
