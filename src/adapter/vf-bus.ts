// The PF miniport's way to the configuration space of its VFs: the services of NDIS (NdisMGetVirtualFunctionBusData and its twin), or the
// vendor's virtual bus driver where there is one.
//
// The rule it must not break: VFs are on the bus while VF Enable is set, allocated or not, and at no other time (SR-016, SR-272).
import type { ExtendedCapability } from './extended-capability.ts'
import { CONFIG_SPACE_BYTES } from './identifiers.ts'
import { RegisterFile, type VfDevice } from './vf-device.ts'

/** A vendor's bus driver below the PF miniport, which owns configuration space. */
export interface VirtualBusDriver {
  /** `length` bytes from `offset`, or undefined: it can't. */
  read(vfId: number, offset: number, length: number): Uint8Array | undefined
  /** False: it can't. */
  write(vfId: number, offset: number, data: Uint8Array): boolean
}

export class VfBus {
  readonly #capability: ExtendedCapability
  readonly #allocated: (vfId: number) => VfDevice | undefined
  readonly #idle = new Map<number, RegisterFile>()

  /** `allocated`: the device of a VF that is. */
  constructor(capability: ExtendedCapability, allocated: (vfId: number) => VfDevice | undefined) {
    this.#capability = capability
    this.#allocated = allocated
  }

  #device(vfId: number): VfDevice | undefined {
    const { vfEnable, numVFs } = this.#capability
    if (!vfEnable || !(Number.isInteger(vfId) && vfId >= 0 && vfId < numVFs)) return undefined
    const found = this.#allocated(vfId) ?? this.#idle.get(vfId)
    if (found) return found
    const fresh = new RegisterFile()
    this.#idle.set(vfId, fresh)
    return fresh
  }

  /** NdisMGetVirtualFunctionBusData: fills `target` from `offset`. Returns the bytes moved, 0 on failure. */
  read(vfId: number, offset: number, target: Uint8Array): number {
    const device = this.#device(vfId)
    if (!device || !inSpace(offset, target.length)) return 0
    target.set(device.readConfig(offset, target.length))
    return target.length
  }

  /** NdisMSetVirtualFunctionBusData. Returns the bytes moved, 0 on failure. */
  write(vfId: number, offset: number, data: Uint8Array): number {
    const device = this.#device(vfId)
    if (!device || !inSpace(offset, data.length)) return 0
    device.writeConfig(offset, data)
    return data.length
  }
}

const inSpace = (offset: number, length: number): boolean =>
  Number.isInteger(offset) && offset >= 0 && length >= 1 && offset + length <= CONFIG_SPACE_BYTES
