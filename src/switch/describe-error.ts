// What was thrown, for the log: extensions throw anything.

/** The stack of an error, or the thing itself as text. Never throws. */
export function describeError(error: unknown): string {
  try {
    return error instanceof Error ? String(error.stack ?? error.message) : String(error)
  } catch {
    return 'something that has no text'
  }
}
