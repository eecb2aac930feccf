// Watches the processors from the control thread: one that does not turn any more is stuck, mostly in a handler of an extension that does not
// return. It is told with the extension's name, and after a while the handler is interrupted and its extension set apart like one that threw;
// the ports that the processor serves go on.
//
// The rule it must not break: only code of an extension is interrupted, and only where its processor can go on without it; never after a pause
// of the whole process, nor while a debugger listens. What counts is time in which the thread ran or slept: a busy machine that does not let
// it run makes no extension guilty.
import type { ThreadTime } from '../linux/thread-time.ts'
import { type Counters, ProcessorCounter } from '../switch/counters.ts'

const LOOK_MS = 250
/** A processor that has not turned for so long is told of. Both count the time that its thread ran or slept. */
export const STUCK_MS = 1_000
/** The handler that it is in is interrupted after so long. */
export const INTERRUPT_MS = 5_000
const LATE_MS = 1_000 // a look that comes so late says nothing about the processors: this thread did not run either

/** One processor, as it is watched. */
export interface WatchedProcessor {
  readonly counters: Counters
  /** What its thread did so far; null if that is not known: then all time counts. */
  threadTime(): ThreadTime | null
  /** Ends what its thread is executing; false if that can't be done. */
  interrupt(): Promise<boolean>
  /** Has it go on after that without the module at `place` (`Counters.inside`). */
  goOn(place: number, seconds: number): Promise<void>
}

export interface ProcessorWatchComponents {
  readonly processors: readonly WatchedProcessor[]
  /** Name of the extension at `place` (`Counters.inside`). */
  readonly nameOf: (place: number) => string | undefined
  readonly log: (event: { source: string; code: string; message: string }) => void
  readonly nowMs: () => number
}

interface Seen {
  turns: number
  place: number
  sinceMs: number
  /** Of the thread, at the last look. */
  ranMs: number
  /** Since `sinceMs`, without what the thread waited for the machine. */
  usedMs: number
  told: boolean
  interrupting: boolean
}

/** What is stuck, and since when. */
export class ProcessorWatch {
  readonly #components: ProcessorWatchComponents
  readonly #seen: Seen[]
  #lookedMs: number
  #timer: NodeJS.Timeout | undefined

  constructor(components: ProcessorWatchComponents) {
    this.#components = components
    this.#lookedMs = components.nowMs()
    this.#seen = components.processors.map(() => ({
      turns: Number.NaN,
      place: 0,
      sinceMs: this.#lookedMs,
      ranMs: 0,
      usedMs: 0,
      told: false,
      interrupting: false,
    }))
  }

  /** Looks from now on, until `stop`. */
  start(): void {
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** One look at all processors. */
  look(): void {
    const now = this.#components.nowMs()
    const passedMs = now - this.#lookedMs
    this.#lookedMs = now
    for (const [index, processor] of this.#components.processors.entries()) {
      const seen = this.#seen[index]!
      const thread = processor.threadTime()
      const usedMs = thread === null || thread.asleep ? passedMs : Math.min(passedMs, thread.ranMs - seen.ranMs)
      seen.ranMs = thread?.ranMs ?? 0
      const turns = processor.counters.readProcessor(ProcessorCounter.turns)
      if (turns !== seen.turns) this.#turned(index, turns, now)
      else if (passedMs > LATE_MS) Object.assign(seen, { sinceMs: now, usedMs: 0 })
      else this.#stands(index, now, usedMs)
    }
  }

  #turned(index: number, turns: number, now: number): void {
    const seen = this.#seen[index]!
    if (seen.told && !seen.interrupting)
      this.#tell(seen.place, 'stuck-ended', `processor ${index} goes on, after ${seconds(now - seen.sinceMs)} s`)
    Object.assign(seen, { turns, sinceMs: now, usedMs: 0, told: seen.told && seen.interrupting })
  }

  #stands(index: number, now: number, usedMs: number): void {
    const { counters } = this.#components.processors[index]!
    const seen = this.#seen[index]!
    const stoodMs = now - seen.sinceMs
    seen.usedMs += usedMs
    if (!seen.told) {
      seen.place = counters.inside
      // Without an extension to blame it is mostly the machine that is busy.
      if (seen.usedMs < (seen.place === 0 ? INTERRUPT_MS : STUCK_MS)) return
      seen.told = true
      const what = seen.place === 0 ? '' : seen.place > 0 ? 'its handler of packets' : 'a timer of its'
      const who = `processor ${index} has not turned for ${seconds(stoodMs)} s, and all ports that it serves wait`
      this.#tell(seen.place, 'stuck', what === '' ? who : `${what} does not return: ${who}`)
      return
    }
    if (seen.interrupting || seen.usedMs < INTERRUPT_MS || seen.place === 0) return
    if (counters.inside !== seen.place || counters.borrowed) return
    void this.#interrupt(index, stoodMs)
  }

  async #interrupt(index: number, stoodMs: number): Promise<void> {
    const processor = this.#components.processors[index]!
    const seen = this.#seen[index]!
    const { place } = seen
    seen.interrupting = true
    try {
      if (!(await processor.interrupt())) return
      await processor.goOn(place, seconds(stoodMs))
      this.#tell(place, 'stuck-ended', `processor ${index} goes on without it: it was interrupted after ${seconds(stoodMs)} s`)
      seen.told = false
    } catch (error) {
      this.#tell(place, 'stuck', `processor ${index} could not be interrupted: ${error instanceof Error ? error.message : error}`)
    } finally {
      // One that can't be interrupted is left alone: it is told once.
      seen.interrupting = seen.told
    }
  }

  #tell(place: number, code: string, message: string): void {
    const { log, nameOf } = this.#components
    const name = nameOf(place)
    if (name === undefined) log({ source: 'switch', code: `processor-${code}`, message })
    else log({ source: `extension ${name}`, code: `extension-${code}`, message })
  }
}

const seconds = (ms: number): number => Math.round(ms / 100) / 10
