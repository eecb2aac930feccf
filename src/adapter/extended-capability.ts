// The SR-IOV Extended Capability of the PF, and NdisMEnableVirtualization, which alone writes it (SR-109, SR-111).
//
// The rule it must not break: NumVFs never exceeds TotalVFs (SR-017), and VFs exist only while VF Enable is set (SR-016).
import { NdisStatus } from '../ndis/status.ts'
import { makeRid } from './identifiers.ts'

/** Where the adapter sits on its bus. */
export interface FunctionLocation {
  readonly segment: number
  readonly bus: number
  readonly device: number
}

const FUNCTIONS_PER_DEVICE = 8
const FUNCTIONS_PER_BUS = 256
/** Function number of the first VF counted from the PF (First VF Offset). */
const FIRST_VF_OFFSET = 16

export class ExtendedCapability {
  readonly totalVFs: number
  readonly #location: FunctionLocation
  #numVFs = 0
  #vfEnable = false

  constructor(totalVFs: number, location: FunctionLocation) {
    this.totalVFs = totalVFs
    this.#location = location
  }

  get numVFs(): number {
    return this.#numVFs
  }

  get vfEnable(): boolean {
    return this.#vfEnable
  }

  /** NdisMEnableVirtualization. `migration`: EnableVFMigration or EnableMigrationInterrupt, which must not be asked for (SR-110). */
  enableVirtualization(numVFs: number, enable: boolean, migration = false): NdisStatus {
    if (migration) return NdisStatus.invalidParameter
    if (!enable) {
      if (numVFs !== 0) return NdisStatus.invalidParameter // SR-108
      this.#numVFs = 0
      this.#vfEnable = false
      return NdisStatus.success
    }
    if (this.#vfEnable || numVFs > this.totalVFs || numVFs < 0) return NdisStatus.failure // SR-107, SR-017
    this.#numVFs = numVFs
    this.#vfEnable = true
    return NdisStatus.success
  }

  /** Requester id of the PF. */
  get pfRid(): number {
    const { segment, bus, device } = this.#location
    return makeRid(segment, bus, device * FUNCTIONS_PER_DEVICE)
  }

  /** Requester id of a VF, unique on the adapter (SR-003, SR-139). */
  vfRid(vfId: number): number {
    const { segment, bus, device } = this.#location
    const fn = device * FUNCTIONS_PER_DEVICE + FIRST_VF_OFFSET + vfId
    return makeRid(segment, bus + Math.floor(fn / FUNCTIONS_PER_BUS), fn % FUNCTIONS_PER_BUS)
  }
}
