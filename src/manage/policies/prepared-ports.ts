// Ports that are prepared for guests of other switches, as long as whoever moves them says so.
//
// The rule it must not break: a port is given up only if whoever moves it has said once that it would go on saying so.

/** A prepared port is given up when nothing was heard for so long of who moves it. Signs of life come every 5 s. */
export const PREPARED_SILENCE_MS = 30_000

/** Calls `silent` with the name of a port of which nothing is heard any more. */
export class PreparedPorts {
  readonly #silent: (name: string) => void
  readonly #timers = new Map<string, NodeJS.Timeout>()

  constructor(silent: (name: string) => void) {
    this.#silent = silent
  }

  /** A sign of life. */
  alive(name: string): void {
    this.forget(name)
    const timer = setTimeout(() => {
      this.#timers.delete(name)
      this.#silent(name)
    }, PREPARED_SILENCE_MS)
    this.#timers.set(name, timer.unref())
  }

  /** The port has come, or will not. */
  forget(name: string): void {
    clearTimeout(this.#timers.get(name))
    this.#timers.delete(name)
  }
}
