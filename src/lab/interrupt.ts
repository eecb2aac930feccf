// Ctrl-C for a command that has things to stop: the first asks, the second insists. A terminal, npm and a script may each pass the
// same Ctrl-C on: signals that come together are one.

export interface Interrupt {
  /** Aborts at the first SIGINT, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal
  /** Gives the signals back. */
  release(): void
}

const EXIT_INTERRUPTED = 130
const TOGETHER_MS = 500
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export interface InterruptComponents {
  write(line: string): void
  /** Where the signals come from: the process. */
  readonly source: Pick<NodeJS.EventEmitter, 'on' | 'off'>
  nowMs(): number
  /** Ends the process. */
  exit(code: number): void
}

/** The process itself. */
export const processInterrupts = (write: (line: string) => void): InterruptComponents => ({
  write,
  source: process,
  nowMs: () => performance.now(),
  exit: (code) => process.exit(code),
})

/** Listens for the signals. At the second one the process exits at once, with 130; its guests die with it. */
export function catchInterrupts({ write, source, nowMs, exit }: InterruptComponents): Interrupt {
  const controller = new AbortController()
  let firstAtMs = 0
  const handler = () => {
    if (controller.signal.aborted) {
      if (nowMs() - firstAtMs >= TOGETHER_MS) exit(EXIT_INTERRUPTED)
      return
    }
    firstAtMs = nowMs()
    write('stopping (once more to force)')
    controller.abort()
  }
  for (const signal of signals) source.on(signal, handler)
  return {
    signal: controller.signal,
    release: () => {
      for (const signal of signals) source.off(signal, handler)
    },
  }
}
