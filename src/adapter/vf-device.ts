// The VF as a PCI function, as the PF sees it: configuration space, BARs, reset and power. A form of the VF that a guest drives
// (a PCI function over vfio-user, for one) answers from its own registers; the function here stands in while none is attached.
//
// The rule it must not break: a write changes bits that the standard lets software write, and nothing outside configuration space.
import { BARS_MAX, CONFIG_SPACE_BYTES, type PowerState } from './identifiers.ts'

/** PCI identity and BARs of the VFs of one adapter. */
export interface VfIdentity {
  readonly vendorId: number
  readonly deviceId: number
  /** Bytes of each BAR, by index: powers of two of a page or more, 0 = not implemented. At most BARS_MAX. */
  readonly barBytes: readonly number[]
  /** Where the windows of BAR 0 of VF 0 start in the adapter's address space; the others follow. */
  readonly barBase: number
}

/** Vendor and device id of the Intel 82576 VF; BAR 0 registers, BAR 3 MSI-X. */
export const igbvfIdentity: VfIdentity = {
  vendorId: 0x8086,
  deviceId: 0x10ca,
  barBytes: [16384, 0, 0, 16384, 0, 0],
  barBase: 0xd0000000,
}

/** What carries the PF's requests out on a VF. */
export interface VfDevice {
  /** `length` bytes from `offset`, within CONFIG_SPACE_BYTES (the caller checked). */
  readConfig(offset: number, length: number): Uint8Array
  /** Writes what software may write of it. */
  writeConfig(offset: number, data: Uint8Array): void
  /** Function level reset: rings empty, no pending interrupt, new ring generation. Settles when the function is quiet. */
  reset(): Promise<void> | void
  setPowerState(state: PowerState, wakeEnable: boolean): void
  /** The guest's link goes up or down. */
  setLink?(up: boolean): void
}

const COMMAND = 4
const COMMAND_BUS_MASTER = 0x04
const HEADER_TYPE_IDS = 4

/** A function without a guest form: registers that can be read, with the bits that the standard makes writable. */
export class RegisterFile implements VfDevice {
  readonly #space = new Uint8Array(CONFIG_SPACE_BYTES)
  readonly #writable = new Uint8Array(CONFIG_SPACE_BYTES)
  /** Resets so far. */
  generation = 0

  constructor() {
    this.#space.fill(0xff, 0, HEADER_TYPE_IDS) // a VF's own id registers read as ones: hence OID_SRIOV_VF_VENDOR_DEVICE_ID
    this.#writable[COMMAND] = COMMAND_BUS_MASTER
  }

  readConfig(offset: number, length: number): Uint8Array {
    return this.#space.slice(offset, offset + length)
  }

  writeConfig(offset: number, data: Uint8Array): void {
    for (let i = 0; i < data.length; i++) {
      const mask = this.#writable[offset + i]!
      this.#space[offset + i] = (this.#space[offset + i]! & ~mask) | (data[i]! & mask)
    }
  }

  reset(): void {
    this.generation++
    this.#space[COMMAND] = 0
  }

  setPowerState(): void {
    // Nothing runs here that could sleep.
  }
}

/** What a probe of each BAR (write all ones, read back) gives; 0 = not implemented (SR-276, SR-277). */
export function probedBars(identity: VfIdentity): number[] {
  return Array.from({ length: BARS_MAX }, (_, i) => {
    const bytes = identity.barBytes[i] ?? 0
    return bytes === 0 ? 0 : (~(bytes - 1) & 0xfffffff0) >>> 0
  })
}

/** The window of a VF's BAR (SR-278), or undefined if the adapter has no such BAR. */
export function barWindow(
  identity: VfIdentity,
  totalVFs: number,
  vfId: number,
  bar: number,
): { start: number; length: number } | undefined {
  const length = identity.barBytes[bar] ?? 0
  if (length === 0) return undefined
  const before = identity.barBytes.slice(0, bar).reduce((sum, bytes) => sum + bytes * totalVFs, 0)
  return { start: identity.barBase + before + vfId * length, length }
}
