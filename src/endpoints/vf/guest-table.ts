// Finds the memory behind a guest address that a descriptor names, in the region table of the function's block.
//
// The rule it must not break: no address that a guest wrote is used before `find` has found it, with its whole length, inside one
// region of that guest's own table, and a region given for reading is never written.
import {
  RE_BYTES,
  RE_FLAGS,
  RE_HIGH,
  RE_LINEAR,
  RE_LOW,
  REGION_ENTRY_BYTES,
  REGION_WRITABLE,
  V_REGION_COUNT,
  V_REGIONS,
} from '../../adapter/igbvf/block.ts'

const ENTRY_WORDS = REGION_ENTRY_BYTES >> 2
const HIGH_WORD = 0x1_0000_0000
const LOW = RE_LOW >> 2
const HIGH = RE_HIGH >> 2
const BYTES = RE_BYTES >> 2
const LINEAR = RE_LINEAR >> 2
const FLAGS = RE_FLAGS >> 2
const WRITABLE = REGION_WRITABLE

/** One thread's view of a function's region table. Ordinary fields: it is asked per descriptor. */
export class GuestTable {
  /** Linear address that the last successful `find` found. */
  address = 0
  private readonly u32: Uint32Array
  private readonly table: number
  private readonly countAt: number
  private hint = 0

  constructor(u32: Uint32Array, block: number) {
    this.u32 = u32
    this.table = (block + V_REGIONS) >> 2
    this.countAt = (block + V_REGION_COUNT) >> 2
  }

  /** Looks for `bytes` at guest address `high`:`low`; `write`: they will be written. Allocates nothing. */
  find(low: number, high: number, bytes: number, write: boolean): boolean {
    const count = this.u32[this.countAt]!
    if (this.hint < count && this.within(this.hint, low, high, bytes, write)) return true
    for (let i = 0; i < count; i++)
      if (this.within(i, low, high, bytes, write)) {
        this.hint = i
        return true
      }
    return false
  }

  private within(index: number, low: number, high: number, bytes: number, write: boolean): boolean {
    const { u32 } = this
    const at = this.table + index * ENTRY_WORDS
    const offset = (high - u32[at + HIGH]!) * HIGH_WORD + (low - u32[at + LOW]!)
    if (offset < 0 || offset + bytes > u32[at + BYTES]! || (write && (u32[at + FLAGS]! & WRITABLE) === 0)) return false
    this.address = u32[at + LINEAR]! + offset
    return true
  }
}
