// From one indirection table to another by moves of single entries (VQ-213): what NDIS makes of an RSSv1 set for a miniport that moves entries
// on their own. A move is issued on the processor that the entry points to, so that moves are grouped by where entries are.
//
// The rule it must not break: no group on the way names more processors than the VPort has queues, if neither end does.
import { DEFAULT_PROCESSOR_INDEX, type EntryMove } from './vport-rss.ts'

/** Moves of one group, issued on `actor`. */
export interface MoveGroup {
  readonly actor: number
  readonly moves: readonly EntryMove[]
}

/** What entries point to; as many on both ends. */
export interface Pointers {
  readonly table: readonly number[]
  readonly default: number
}

/** Groups of moves that lead from one to the other, in order; entries that stay are not moved. */
export function planMoves(from: Pointers, to: Pointers, queues: number): MoveGroup[] {
  const direct = toTables(from.table, to.table)
  const fits = processorsOnTheWay(from.table, direct) <= queues
  // Else all entries meet on one processor first: that never takes one more.
  const [meeting] = to.table
  const together = from.table.map(() => meeting!)
  const groups = fits ? direct : [...toTables(from.table, together), ...toTables(together, to.table)]
  if (from.default === to.default) return groups
  return [...groups, { actor: from.default, moves: [{ index: DEFAULT_PROCESSOR_INDEX, target: to.default }] }]
}

// What points to a processor moves in one group; where entries moved to already is none of them.
function toTables(from: readonly number[], to: readonly number[]): MoveGroup[] {
  return [...new Set(from)].flatMap((actor) => {
    const moves = from.flatMap((processor, index) =>
      processor === actor && to[index] !== actor ? [{ index, target: to[index]! }] : [],
    )
    return moves.length > 0 ? [{ actor, moves }] : []
  })
}

function processorsOnTheWay(from: readonly number[], groups: readonly MoveGroup[]): number {
  const now = [...from]
  let most = 0
  for (const { moves } of groups) {
    for (const { index, target } of moves) now[index] = target
    most = Math.max(most, new Set(now).size)
  }
  return most
}
