// What the firewall knows of a VM, in blocks of bytes: its connections and the addresses that names led it to. For the module that replaces
// this one, and for a switch that the VM's port moves to.
//
// The rule it must not break: a block counts only for the same rules of the VM's group, which it carries a mark of; one that is not sound is
// refused as a whole. What names ports of this switch is not carried to another.
import { formatMark, type GroupMarks } from './group-marks.ts'
import type { SharedTable } from './shared-table.ts'

const FORMAT = 3
const HEADER_WORDS = 3
const ENTRY_WORDS = 3
/** Below what a block may have (SAVE_DATA_MAX). */
const BLOCK_WORDS_MAX = 16_000
const BITS_MAX = 255
const REST_MS_MAX = 2 ** 30

const Kind = { connections: 1, pins: 2 } as const

export interface LaneStateComponents {
  readonly connections: SharedTable
  readonly pins: SharedTable
  readonly marks: GroupMarks
  readonly laneOf: (portId: number) => number
  readonly groupOf: (portId: number) => number
  readonly nowMs: () => number
}

export class LaneState {
  readonly #parts: LaneStateComponents

  constructor(parts: LaneStateComponents) {
    this.#parts = parts
  }

  /** What is known of the VM at a port. `elsewhere`: for another switch. */
  save(portId: number, elsewhere: boolean): Uint8Array[] {
    const { connections, pins, marks, laneOf, groupOf, nowMs } = this.#parts
    const lane = laneOf(portId)
    if (lane < 0) return []
    const mark = marks.of(groupOf(portId))
    const blocks: Uint8Array[] = []
    // The first word of an address's key is the number of its rule, which is another one elsewhere.
    const firstRule = marks.firstRule(groupOf(portId))
    const write = (kind: number, table: SharedTable): void => {
      const { length } = table.key
      const base = kind === Kind.pins ? firstRule : 0
      let words: number[] = []
      const cut = (): void => {
        if (words.length > 0)
          blocks.push(new Uint8Array(Int32Array.of((FORMAT << 16) | (kind << 8) | length, mark, formatMark, ...words).buffer))
        words = []
      }
      table.each(lane, nowMs(), (bits, restMs, value, from, keyAt) => {
        if (elsewhere && value !== 0) return
        words.push(bits, restMs, value)
        words.push(from[keyAt]! - base)
        for (let k = 1; k < length; k++) words.push(from[keyAt + k]!)
        if (words.length + ENTRY_WORDS + length > BLOCK_WORDS_MAX) cut()
      })
      cut()
    }
    write(Kind.connections, connections)
    write(Kind.pins, pins)
    return blocks
  }

  /** Takes a block of the VM at a port. False if it is of other rules, or not sound. `elsewhere`: it is from another switch. */
  restore(portId: number, block: Uint8Array, elsewhere: boolean): boolean {
    const { connections, pins, marks, laneOf, groupOf, nowMs } = this.#parts
    const lane = laneOf(portId)
    if (lane < 0 || block.length % 4 !== 0 || block.length < HEADER_WORDS * 4) return false
    const words = new Int32Array(block.slice().buffer)
    const kind = (words[0]! >> 8) & 255
    const table = kind === Kind.connections ? connections : kind === Kind.pins ? pins : undefined
    if (table === undefined || words[0]! >> 16 !== FORMAT || words[1] !== marks.of(groupOf(portId)) || words[2] !== formatMark)
      return false
    const { length } = table.key
    const base = kind === Kind.pins ? marks.firstRule(groupOf(portId)) : 0
    const stride = ENTRY_WORDS + length
    if ((words[0]! & 255) !== length || (words.length - HEADER_WORDS) % stride !== 0) return false
    for (let at = HEADER_WORDS; at < words.length; at += stride) {
      const [bits, restMs, value] = [words[at]!, words[at + 1]!, words[at + 2]!]
      const isSound = bits >= 0 && bits <= BITS_MAX && restMs > 0 && restMs <= REST_MS_MAX
      if (!isSound || (elsewhere && value !== 0)) continue
      table.key.set(words.subarray(at + ENTRY_WORDS, at + stride))
      table.key[0] = words[at + ENTRY_WORDS]! + base
      table.put(lane, nowMs(), bits, restMs, value)
    }
    return true
  }
}
