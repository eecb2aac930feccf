// Everything a benchmark starts or takes, given back in reverse order: at its end, on an error, on Ctrl-C, and when the process exits.
//
// The rule it must not break: giving back is synchronous, so that it also happens in the last moment of the process.

/** Takes note of what must be undone. */
export class Scope {
  #undo: (() => void)[] = []

  constructor() {
    process.on('exit', this.#atExit)
  }

  readonly #atExit = (): void => this.close()

  /** `undo` runs once, when the scope closes. */
  add(undo: () => void): void {
    this.#undo.push(undo)
  }

  /** Undoes everything, last first. A step that fails does not keep the others from running. */
  close(): void {
    process.off('exit', this.#atExit)
    const steps = this.#undo
    this.#undo = []
    for (const step of steps.reverse())
      try {
        step()
      } catch (error) {
        process.stderr.write(`bench: clearing up: ${error instanceof Error ? error.message : String(error)}\n`)
      }
  }
}
