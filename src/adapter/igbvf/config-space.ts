// The configuration space of the function: 4096 bytes with a mask of what a write may change, and the capabilities that drivers of
// the 82576 VF and a PCI Express root look for.
//
// The rule it must not break: a write changes masked bits only (SR-264 … SR-268); out of range is refused, never wrapped.

export const CONFIG_BYTES = 4096
export const VENDOR_ID = 0x8086
export const DEVICE_ID = 0x10ca
const SUBSYSTEM_ID = 0xa03c
const REVISION = 1
const CLASS_ETHERNET = 0x020000

const COMMAND = 0x04
const STATUS = 0x06
const BAR0 = 0x10
const BAR_COUNT = 6
const CAPABILITIES = 0x34
const MSIX = 0x70
const MSIX_ENABLE = 0x8000
const EXPRESS = 0xa0
const DEVICE_CONTROL = EXPRESS + 8
const FLR = 0x8000
const AER = 0x100
const ARI = 0x150
const BUS_MASTER = 0x0004
const STATUS_HAS_CAPABILITIES = 0x0010
/** Memory space, bus master, INTx disable: what a function without I/O space has in its command register. */
const COMMAND_WRITABLE = 0x0406
const PENDING_BITS_AT = 0x2000

/** Probed sizes of the BARs: 0 and 3, 16 KiB of memory each, 32 bits. */
const BAR_MASKS: readonly number[] = [0xffff_c000, 0, 0, 0xffff_c000, 0, 0]
const MSIX_BAR = 3

const advancedErrorSeverity = 0x0006_2030

export class ConfigSpace {
  readonly bytes = new Uint8Array(CONFIG_BYTES)
  readonly #view = new DataView(this.bytes.buffer)
  readonly #mask = new Uint8Array(CONFIG_BYTES)
  /** A function-level reset was asked for through the PCI Express capability. */
  readonly #onFunctionReset: () => void
  readonly #vectors: number

  constructor(vectors: number, onFunctionReset: () => void) {
    this.#vectors = vectors
    this.#onFunctionReset = onFunctionReset
    const mask = new DataView(this.#mask.buffer)
    mask.setUint16(COMMAND, COMMAND_WRITABLE, true)
    mask.setUint8(0x0c, 0xff) // cache line size
    for (const [i, sized] of BAR_MASKS.entries()) mask.setUint32(BAR0 + 4 * i, sized, true)
    mask.setUint8(0x3c, 0xff) // interrupt line
    mask.setUint16(MSIX + 2, 0xc000, true)
    mask.setUint16(DEVICE_CONTROL, 0x7fff, true)
    mask.setUint16(EXPRESS + 0x10, 0x00c3, true) // link control
    for (const at of [AER + 0x08, AER + 0x0c, AER + 0x14]) mask.setUint32(at, 0xffff_ffff, true)
    mask.setUint32(AER + 0x18, 0x0000_0140, true)
    this.reset()
  }

  /** Back to what it is after power-on. */
  reset(): void {
    const view = this.#view
    this.bytes.fill(0)
    view.setUint16(0x00, VENDOR_ID, true)
    view.setUint16(0x02, DEVICE_ID, true)
    view.setUint16(STATUS, STATUS_HAS_CAPABILITIES, true)
    view.setUint32(0x08, ((CLASS_ETHERNET << 8) | REVISION) >>> 0, true)
    view.setUint16(0x2c, VENDOR_ID, true)
    view.setUint16(0x2e, SUBSYSTEM_ID, true)
    view.setUint8(CAPABILITIES, MSIX)
    view.setUint8(MSIX, 0x11)
    view.setUint8(MSIX + 1, EXPRESS)
    view.setUint16(MSIX + 2, this.#vectors - 1, true)
    view.setUint32(MSIX + 4, MSIX_BAR, true)
    view.setUint32(MSIX + 8, PENDING_BITS_AT | MSIX_BAR, true)
    view.setUint8(EXPRESS, 0x10)
    view.setUint16(EXPRESS + 2, 0x0002, true) // an endpoint, version 2
    view.setUint32(EXPRESS + 4, 0x1000_8001, true) // function-level reset, role-based errors, 256-byte payload
    view.setUint32(EXPRESS + 0x0c, 0x0000_0011, true) // 2.5 GT/s, one lane
    view.setUint16(EXPRESS + 0x12, 0x0011, true)
    view.setUint32(AER, (ARI << 20) | (1 << 16) | 0x0001, true)
    view.setUint32(AER + 0x0c, advancedErrorSeverity, true)
    view.setUint32(ARI, (1 << 16) | 0x000e, true)
  }

  /** Copies `target.length` bytes from `offset`. Returns false if that is out of range. */
  read(offset: number, target: Uint8Array): boolean {
    if (offset < 0 || offset + target.length > CONFIG_BYTES) return false
    target.set(this.bytes.subarray(offset, offset + target.length))
    return true
  }

  /** Writes what may be written of `data`. Returns false if it is out of range. */
  write(offset: number, data: Uint8Array): boolean {
    if (offset < 0 || offset + data.length > CONFIG_BYTES) return false
    for (let i = 0; i < data.length; i++) {
      const mask = this.#mask[offset + i]!
      this.bytes[offset + i] = (this.bytes[offset + i]! & ~mask) | (data[i]! & mask)
    }
    const high = DEVICE_CONTROL + 1
    if (offset <= high && offset + data.length > high && ((data[high - offset]! << 8) & FLR) !== 0) this.#onFunctionReset()
    return true
  }

  /** May the function reach memory? */
  get busMaster(): boolean {
    return (this.#view.getUint16(COMMAND, true) & BUS_MASTER) !== 0
  }

  get msixEnabled(): boolean {
    return (this.#view.getUint16(MSIX + 2, true) & MSIX_ENABLE) !== 0
  }

  /** What a probe of each BAR (write all ones, read back) gives; 0 = not implemented. SR-276, SR-277. */
  probedBars(): readonly number[] {
    return BAR_MASKS.slice(0, BAR_COUNT)
  }
}
