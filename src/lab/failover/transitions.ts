// From what became of numbered frames, and what was done when, to what each transition cost. Pure: times are microseconds on one clock.
//
// The rule it must not break: every number that was sent is accounted for in exactly one transition. A frame that was lost belongs to the
// one in which the next frame of its stream arrived: until then it was on its way, perhaps in a ring that was torn out.
import { Path, type StreamRecord } from './numbered-frames.ts'
import type { FailoverAction } from './schedule.ts'

/** Something that was done. */
export interface DoneAction {
  readonly action: FailoverAction
  readonly target: string
  readonly beganUs: number
  readonly endedUs: number
  /** What came of it, for a person; empty if that is plain. */
  readonly note: string
  readonly failed: boolean
  /** Frames that the rings of functions held when they were torn out; 0 for what is not. */
  readonly inRings: number
}

/** What a stream went through from one action to the next. */
export interface StreamTransition {
  readonly stream: string
  /** Whether traffic went to another path. */
  readonly moved: boolean
  readonly to: 'vf' | 'synthetic' | null
  /** Microseconds from the action's begin to the last frame's arrival on the old path, and to the first one's on the new; null: none. */
  readonly lastOldUs: number | null
  readonly firstNewUs: number | null
  /** Between these two; 0 where they overlap, null where traffic did not move. */
  readonly blackoutUs: number | null
  /** Longest time without a frame. */
  readonly silenceUs: number
  readonly sent: number
  readonly lost: number
  readonly duplicated: number
  readonly reordered: number
}

export interface Transition extends DoneAction {
  readonly streams: readonly StreamTransition[]
  readonly lost: number
  readonly duplicated: number
  readonly reordered: number
}

/** What happened before the first action counts as `start`. */
export interface Account {
  readonly start: readonly StreamTransition[]
  readonly transitions: readonly Transition[]
}

const sum = (streams: readonly StreamTransition[], of: (one: StreamTransition) => number): number =>
  streams.reduce((total, one) => total + of(one), 0)

export function accountFor(actions: readonly DoneAction[], records: readonly StreamRecord[]): Account {
  const begins = actions.map(({ beganUs }) => beganUs)
  const columns = records.map((record) => accountForStream(begins, record))
  return {
    start: columns.map((column) => column[0]!),
    transitions: actions.map((action, i) => {
      const streams = columns.map((column) => column[i + 1]!)
      const [lost, duplicated, reordered] = (['lost', 'duplicated', 'reordered'] as const).map((key) =>
        sum(streams, (one) => one[key]),
      ) as [number, number, number]
      return { ...action, streams, lost, duplicated, reordered }
    }),
  }
}

/** The windows of one stream: the first is what came before the first action. */
function accountForStream(begins: readonly number[], record: StreamRecord): StreamTransition[] {
  const windows = [Number.NEGATIVE_INFINITY, ...begins].map(() => ({ sent: 0, lost: 0, duplicated: 0, reordered: 0 }))
  const windowOf = (atUs: number): number => {
    let index = begins.length
    while (index > 0 && begins[index - 1]! > atUs) index--
    return index
  }
  const times = new Uint32Array(record.sentUs.length)
  let highest = -1
  for (const [i, number] of record.receivedNumber.entries()) {
    const window = windows[windowOf(record.receivedUs[i]!)]!
    if (number >= times.length) continue // nobody sent it
    if (++times[number]! > 1) window.duplicated++
    else if (number < highest) window.reordered++
    highest = Math.max(highest, number)
  }
  const arrivals = firstArrivals(record)
  let nextUs = Number.POSITIVE_INFINITY
  for (let number = times.length - 1; number >= 0; number--) {
    windows[windowOf(record.sentUs[number]!)]!.sent++
    if (times[number] === 0) windows[windowOf(nextUs)]!.lost++
    else nextUs = Math.min(nextUs, arrivals[number]!)
  }
  return windows.map((counts, i) => ({ ...counts, ...pathsIn(i, begins, record) }))
}

/** When each number came first. */
function firstArrivals({ sentUs, receivedNumber, receivedUs }: StreamRecord): Float64Array {
  const arrivals = new Float64Array(sentUs.length).fill(Number.POSITIVE_INFINITY)
  for (const [i, number] of receivedNumber.entries())
    if (number < arrivals.length) arrivals[number] = Math.min(arrivals[number]!, receivedUs[i]!)
  return arrivals
}

/** Which way the frames went that arrived in window `index`. */
function pathsIn(index: number, begins: readonly number[], { name, receivedUs, receivedPath }: StreamRecord) {
  const from = begins[index - 1] ?? Number.NEGATIVE_INFINITY
  const to = begins[index] ?? Number.POSITIVE_INFINITY
  let first = receivedUs.findIndex((atUs) => atUs >= from)
  if (first < 0) first = receivedUs.length
  const before = first > 0 ? receivedPath[first - 1]! : (receivedPath[0] ?? Path.synthetic)
  let lastOld = first > 0 ? receivedUs[first - 1]! : null
  let firstNew: number | null = null
  let silenceUs = 0
  for (let i = first; i < receivedUs.length && receivedUs[i]! < to; i++) {
    if (i > 0) silenceUs = Math.max(silenceUs, receivedUs[i]! - receivedUs[i - 1]!)
    if (receivedPath[i] !== before) firstNew ??= receivedUs[i]!
    else if (firstNew === null || lastOld === null) lastOld = receivedUs[i]!
    else lastOld = Math.max(lastOld, receivedUs[i]!)
  }
  const moved = firstNew !== null
  const relative = (atUs: number | null): number | null =>
    atUs === null || from === Number.NEGATIVE_INFINITY ? null : atUs - from
  return {
    stream: name,
    moved,
    to: moved ? (before === Path.vf ? ('synthetic' as const) : ('vf' as const)) : null,
    lastOldUs: moved ? relative(lastOld) : null,
    firstNewUs: relative(firstNew),
    blackoutUs: firstNew === null || lastOld === null ? null : Math.max(0, firstNew - lastOld),
    silenceUs,
  }
}
