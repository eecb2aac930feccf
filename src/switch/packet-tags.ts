// What is known of the packets in held slots: which module has each, whether it holds it or made it, and what became of it since.
//
// The rule it must not break: a packet that no module has has state 0.
import * as layout from '../kernels/layout.ts'
import * as pools from '../ndis/pool.ts'

// V8 folds constants of a module, not imported ones.
const { POOL_SLOTS } = layout
const { HELD_FIRST } = pools

/** Of a packet that a module has; 0 = none has it. */
export const PacketState = { owned: 1, held: 2, bare: 3 } as const

/** Bits of a packet's word: its state, what else is known, and from `ownerShift` on the module that has it, signed. */
export const PacketTag = {
  state: 3,
  onIngress: 4,
  /** A module made it, and did not hold it. */
  made: 8,
  /** Data or source is not that of the original any more. */
  altered: 16,
  /** Destinations are the original's. */
  preserved: 32,
  /** Taken in a dry run: not to be sent by anybody. */
  dry: 64,
  /** The first of a run that is held under its handle. The others of a run have no word of their own. */
  run: 128,
  ownerShift: 16,
} as const

const { state: STATE, ownerShift: OWNER_SHIFT } = PacketTag

/** Fields are ordinary ones: they are read per packet. */
export class PacketTags {
  readonly words = new Int32Array(POOL_SLOTS)

  /** One of PacketState; 0 for a packet that no module has. */
  stateOf(slot: number): number {
    return this.words[slot]! & STATE
  }

  setState(slot: number, state: number): void {
    this.words[slot] = (this.words[slot]! & ~STATE) | state
  }

  has(slot: number, bit: number): boolean {
    return (this.words[slot]! & bit) !== 0
  }

  mark(slot: number, bits: number): void {
    this.words[slot] = this.words[slot]! | bits
  }

  ownerOf(slot: number): number {
    return this.words[slot]! >> OWNER_SHIFT
  }

  setOwner(slot: number, module: number): void {
    this.words[slot] = (this.words[slot]! & ~(-1 << OWNER_SHIFT)) | (module << OWNER_SHIFT)
  }

  /** Slots of the packets and runs that modules have; of module `owner` alone if one is named. */
  owned(owner?: number): number[] {
    const found: number[] = []
    for (let slot = HELD_FIRST; slot < POOL_SLOTS; slot++)
      if (this.stateOf(slot) !== 0 && (owner === undefined || this.ownerOf(slot) === owner)) found.push(slot)
    return found
  }
}
