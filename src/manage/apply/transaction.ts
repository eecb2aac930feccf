// Steps that are carried out all, or not at all: when one fails, those before it are undone, the last first.
//
// The rule it must not break: after a failure every step that was done has been asked to undo itself, whatever others of them say.

export interface Step {
  /** What it does, for whoever reads why it failed: `port alpha is added`. */
  readonly what: string
  do(): Promise<void>
  undo(): Promise<void>
}

/** A step failed, and what was done before it was undone; `leftovers`: what could not be. */
export class ApplyError extends Error {
  override readonly name = 'ApplyError'
  readonly code: string
  readonly leftovers: readonly string[]

  constructor(step: Step, cause: unknown, leftovers: readonly string[]) {
    const message = cause instanceof Error ? cause.message : String(cause)
    super(`nothing was applied: ${step.what}: ${message}`, { cause })
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'refused'
    this.code = code.toLowerCase().replaceAll('_', '-')
    this.leftovers = leftovers
  }
}

/** A transaction that was carried out and can still be taken back. */
export interface Done {
  /** Takes it back; answers what could not be. */
  undo(): Promise<readonly string[]>
}

/** Carries out `steps` in order. Throws ApplyError after undoing what was done. */
export async function carryOut(steps: readonly Step[]): Promise<Done> {
  const done: Step[] = []
  const undo = async (): Promise<string[]> => {
    const leftovers: string[] = []
    for (const step of done.splice(0).toReversed()) {
      try {
        await step.undo()
      } catch (error) {
        leftovers.push(`${step.what} can't be undone: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    return leftovers
  }
  for (const step of steps) {
    try {
      await step.do()
    } catch (error) {
      throw new ApplyError(step, error, await undo())
    }
    done.push(step)
  }
  return { undo }
}
