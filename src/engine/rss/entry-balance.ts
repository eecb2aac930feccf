// Which entries of a guest's indirection table change their queue pair when the queue pairs' frames differ: entry by entry from the busiest
// queue pair to the one with the least, until they lie near each other. A queue pair's load is its part of the guest's frames.
//
// The rule it must not break: every move makes the gap between the two smaller by a good deal of what moves: a flow that is most of the
// load is not sent to and fro, the others make room for it.

/** Parts of the guest's frames that two queue pairs must lie apart before an entry moves. */
export const SHARE_GAP_MIN = 0.2
/** An entry that carries more than so much of the gap stays: it would make a gap of its own. */
const OF_GAP_MAX = 0.75
/** Fewer frames than that between two looks say nothing. */
export const FRAMES_MIN = 1000
/** Entries that move after one look at the most. */
export const MOVES_MAX = 16

export interface BalancedEntry {
  readonly entry: number
  readonly from: number
  readonly to: number
}

/** `frames`: of each entry since the last look; `mayMove`: false of entries that have moved lately. */
export function balance(
  table: readonly number[],
  frames: readonly number[],
  queuePairs: number,
  mayMove: (entry: number) => boolean,
): BalancedEntry[] {
  const total = frames.reduce((sum, each) => sum + each, 0)
  if (total < FRAMES_MIN) return []
  const now = [...table]
  const shares = new Array<number>(queuePairs).fill(0)
  for (const [entry, pair] of now.entries()) shares[pair] = shares[pair]! + frames[entry]! / total
  const moves: BalancedEntry[] = []
  while (moves.length < MOVES_MAX) {
    const from = shares.indexOf(Math.max(...shares))
    const to = shares.indexOf(Math.min(...shares))
    const gap = shares[from]! - shares[to]!
    if (gap < SHARE_GAP_MIN) break
    const [best] = now
      .flatMap((pair, entry) => (pair === from && mayMove(entry) ? [{ entry, share: frames[entry]! / total }] : []))
      .filter(({ entry, share }) => share > 0 && share <= gap * OF_GAP_MAX && !moves.some((made) => made.entry === entry))
      .sort((a, b) => Math.abs(gap - 2 * a.share) - Math.abs(gap - 2 * b.share))
    if (!best) break
    moves.push({ entry: best.entry, from, to })
    now[best.entry] = to
    shares[from] = shares[from]! - best.share
    shares[to] = shares[to]! + best.share
  }
  return moves
}
