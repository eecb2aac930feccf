// Which queues a processor looks at in a round: those with frames every time, those that were found empty less and less often, and those
// that have been quiet for a while a few at a time, so that many idle queues cost next to nothing.
//
// The rule it must not break: every queue is looked at again within a bounded number of rounds, and a round serves a bounded number of them.

/** Rounds in which every quiet queue is looked at once. */
export const QUIET_ROUNDS = 16
/** Rounds that a queue found empty is left out at the most, before it counts as quiet. */
const SKIP_MAX = 15
/** Busy and quiet queues with frames that a round serves at the most; the next round goes on from there. A burst to all of many ports takes milliseconds. */
export const SERVED_MAX = 16

/** Something to look at. The counters are the order's own. Fields are ordinary ones: they are read per round. */
export interface Polled {
  /** How often a quiet queue's turn is passed over: 0 where a look is a read of memory, more where it is a system call. */
  readonly passes: number
  skip: number
  backOff: number
}

/** The order. `look` returns the packets that it took from the queue. */
export class PollOrder<Queue extends Polled> {
  /** All queues. */
  readonly all: Queue[] = []
  private readonly busy: Queue[] = []
  private readonly quiet: Queue[] = []
  private readonly look: (queue: Queue) => number
  private next = 0
  private from = 0 // where in `busy` the last round ended

  constructor(look: (queue: Queue) => number) {
    this.look = look
  }

  add(queue: Queue): void {
    this.all.push(queue)
    this.busy.push(queue)
  }

  /** Takes out the queues for which `gone` is true. */
  remove(gone: (queue: Queue) => boolean): void {
    for (const list of [this.all, this.busy, this.quiet]) {
      const kept = list.filter((queue) => !gone(queue))
      list.length = 0
      list.push(...kept)
    }
  }

  /** Forgets who was quiet: after a sleep anybody may have work. */
  wake(): void {
    for (const queue of this.all) {
      queue.skip = 0
      queue.backOff = 0
    }
    this.busy.push(...this.quiet)
    this.quiet.length = 0
  }

  /** A queue that had to be left out may have work now. */
  promote(queue: Queue): void {
    queue.skip = 0
    queue.backOff = 0
    const at = this.quiet.indexOf(queue)
    if (at < 0) return
    this.quiet[at] = this.quiet[this.quiet.length - 1]!
    this.quiet.pop()
    this.busy.push(queue)
  }

  /** One round. Returns the queues that had frames. */
  round(): number {
    const served = this.roundOfBusy()
    return this.from === 0 ? served + this.roundOfQuiet() : served
  }

  private roundOfBusy(): number {
    const { busy } = this
    let served = 0
    for (let i = this.from; i < busy.length; ) {
      const queue = busy[i]!
      if (queue.skip > 0) {
        queue.skip--
        i++
      } else if (this.look(queue) !== 0) {
        queue.backOff = 0
        i++
        if (++served < SERVED_MAX || i === busy.length) continue
        this.from = i
        return served
      } else if (queue.backOff < SKIP_MAX) {
        queue.backOff = queue.backOff * 2 + 1
        queue.skip = queue.backOff
        i++
      } else {
        queue.skip = queue.passes
        this.quiet.push(queue)
        busy[i] = busy[busy.length - 1]! // the last one takes its place, and is looked at now
        busy.pop()
      }
    }
    this.from = 0
    return served
  }

  private roundOfQuiet(): number {
    const { quiet } = this
    let served = 0
    for (let turns = Math.ceil(quiet.length / QUIET_ROUNDS); turns > 0 && served < SERVED_MAX; turns--) {
      if (this.next >= quiet.length) this.next = 0
      const queue = quiet[this.next]!
      if (queue.skip > 0) {
        queue.skip--
        this.next++
      } else if (this.look(queue) === 0) {
        queue.skip = queue.passes
        this.next++
      } else {
        served++
        queue.skip = 0
        queue.backOff = 0
        this.busy.push(queue)
        quiet[this.next] = quiet[quiet.length - 1]!
        quiet.pop()
      }
    }
    return served
  }
}
