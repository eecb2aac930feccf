// One thing after the other: what a control half does on open, on a lost peer, on a new one and on close involves waiting for the
// processors, and none of it may overlap.
//
// The rule it must not break: a step that fails does not stop the following ones.

/** Runs asynchronous steps in the order in which they were asked for. */
export class Steps {
  readonly #onFailure: (error: unknown) => void
  #last: Promise<void> = Promise.resolve()

  /** `onFailure` is told of steps that nobody waits for. */
  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure
  }

  /** Runs `step` after those asked for before. Settles like the step. */
  run(step: () => Promise<void>): Promise<void> {
    const done = this.#last.then(step)
    this.#last = done.catch(() => {})
    return done
  }

  /** Runs `step` without anyone waiting for it. */
  start(step: () => Promise<void>): void {
    this.run(step).catch(this.#onFailure)
  }
}
