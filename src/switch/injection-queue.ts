// Packets of modules that wait to be sent, in order. An entry is one word: the slot, where the packet joins, and the module that it comes
// from.
//
// The rule it must not break: packets leave in the order in which they were put in (ES-065); nothing is allocated.
import * as layout from '../kernels/layout.ts'

// V8 folds constants of a module, not imported ones.
const { POOL_SLOTS } = layout
const INDEX_MASK = POOL_SLOTS - 1
const SLOT = 0x1fff
/** The packet is the first of a run, which waits as one. */
const RUN = 0x2000
const INGRESS = 0x4000
const MADE = 0x8000
const MODULE_SHIFT = 16
const REST = (1 << MODULE_SHIFT) - 1

/** Fields are ordinary ones: they are used per packet. */
export class InjectionQueue {
  private readonly entries = new Int32Array(POOL_SLOTS)
  private head = 0
  /** Packets and runs waiting. */
  count = 0
  /** Of the packets that `next` returned: the module they come from, and their direction. */
  module = -1
  ingress = true

  /** Puts in the packet in `slot`, or the run that begins with it, which `module` made, or held. */
  put(slot: number, module: number, ingress: boolean, made: boolean, isRun: boolean): void {
    const at = (this.head + this.count++) & INDEX_MASK
    this.entries[at] = slot | (isRun ? RUN : 0) | (ingress ? INGRESS : 0) | (made ? MADE : 0) | (module << MODULE_SHIFT)
  }

  /** Takes the next packets, at most `max`, as long as they come from one place, to `slots`. Returns how many. Not while it is empty. */
  next(slots: Uint16Array, max: number): number {
    const { entries, head } = this
    const first = entries[head]!
    const most = Math.min(max, this.count)
    let taken = 0
    for (; taken < most; taken++) {
      const entry = entries[(head + taken) & INDEX_MASK]!
      if (((entry ^ first) & ~SLOT) !== 0) break
      slots[taken] = entry & SLOT
    }
    this.head = (head + taken) & INDEX_MASK
    this.count -= taken
    this.module = first >> MODULE_SHIFT
    this.ingress = (first & INGRESS) !== 0
    return taken
  }

  /** True if a run is to be taken next, with `drop`, and not with `next`. Not while it is empty. */
  get beginsWithRun(): boolean {
    return (this.entries[this.head]! & RUN) !== 0
  }

  /** The slot of the packet, or of the first of the run, to be taken next. */
  get first(): number {
    return this.entries[this.head]! & SLOT
  }

  /** Takes one entry out. True if another comes behind it, of the same kind and from the same place. */
  drop(): boolean {
    const entry = this.entries[this.head]!
    this.module = entry >> MODULE_SHIFT
    this.ingress = (entry & INGRESS) !== 0
    this.head = (this.head + 1) & INDEX_MASK
    this.count--
    return this.count !== 0 && ((this.entries[this.head]! ^ entry) & ~SLOT) === 0
  }

  /** The stack changed: packets of each module come from module `place(module, ingress)` now. */
  remap(place: (module: number, ingress: boolean) => number): void {
    for (let i = 0; i < this.count; i++) {
      const at = (this.head + i) & INDEX_MASK
      const entry = this.entries[at]!
      this.entries[at] = (entry & REST) | (place(entry >> MODULE_SHIFT, (entry & INGRESS) !== 0) << MODULE_SHIFT)
    }
  }

  /** Slots of the packets, and of the first ones of runs, that wait. */
  slots(): number[] {
    return Array.from({ length: this.count }, (_, i) => this.entries[(this.head + i) & INDEX_MASK]! & SLOT)
  }

  /** Packets of `module` that wait. */
  countOf(module: number): number {
    let count = 0
    for (let i = 0; i < this.count; i++) if (this.entries[(this.head + i) & INDEX_MASK]! >> MODULE_SHIFT === module) count++
    return count
  }
}
