// Which queue changes its processor when their load differs: at most one at a time, from the busiest processor to the one that has least to
// do, and only where that makes the busiest one's load smaller by a good deal.
//
// The rule it must not break: two looks at the same load never move a queue to and fro.

/** Points of load (1 = a whole processor) that two processors must lie apart before a queue moves. */
export const LOAD_GAP_MIN = 0.2
/** Looks for which a queue that has moved stays where it is. */
export const RESTING_LOOKS = 3

export interface ProcessorLoad {
  readonly processor: number
  /** Part of the time since the last look that it was at work, 0…1. */
  readonly busy: number
}

export interface QueueLoad {
  readonly queue: number
  readonly processor: number
  /** Frames since the last look. */
  readonly frames: number
  /** False: it has moved lately, or an operator chose its processor. */
  readonly mayMove: boolean
}

/**
 * The move to make, or undefined. A queue's load is its part of its processor's, by frames; of those that make the gap between the two
 * processors smaller and leave at least a quarter of it, the one that comes nearest to closing it goes.
 */
export function chooseMove(
  processors: readonly ProcessorLoad[],
  queues: readonly QueueLoad[],
): { readonly queue: number; readonly to: number } | undefined {
  if (processors.length < 2) return undefined
  const ordered = [...processors].sort((a, b) => b.busy - a.busy)
  const [from, to] = [ordered[0]!, ordered.at(-1)!]
  const gap = from.busy - to.busy
  if (gap < LOAD_GAP_MIN) return undefined
  const there = queues.filter(({ processor }) => processor === from.processor)
  const frames = there.reduce((sum, one) => sum + one.frames, 0)
  const candidates = there
    .filter(({ mayMove, frames: own }) => mayMove && own > 0)
    .map(({ queue, frames: own }) => ({ queue, left: Math.abs(gap - 2 * from.busy * (own / frames)) }))
    .filter(({ left }) => left <= gap * 0.75)
    .sort((a, b) => a.left - b.left || a.queue - b.queue)
  const [best] = candidates
  return best && { queue: best.queue, to: to.processor }
}
