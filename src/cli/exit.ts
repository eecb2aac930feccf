// Exit codes of the command line, and the error that carries one.

export const ExitCode = {
  ok: 0,
  /** The command was understood, and failed. */
  failed: 1,
  /** Wrong arguments, or a configuration that can't be used. */
  usage: 2,
  /** No switch runs, or it can't be reached. */
  notRunning: 3,
  /** Ended by Ctrl-C before the work was done. */
  interrupted: 130,
} as const
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** What the codes say, for help and manuals. */
export const exitStatus: Readonly<Record<string, string>> = {
  0: 'done',
  1: 'failed',
  2: 'wrong arguments or configuration',
  3: "no switch runs or it can't be reached",
  130: 'interrupted',
}

/** Variables that the command line heeds. */
export const environment: Readonly<Record<string, string>> = {
  VMSWITCH_CONTROL: 'is the control socket to use',
  VMSWITCH_HOST: 'stands for --host',
  VMSWITCH_TOKEN_FILE: 'stands for --token-file',
  VMSWITCH_CA: 'stands for --ca',
  NO_COLOR: 'turns colour off',
  FORCE_COLOR: 'turns it on where no terminal is',
  VMSWITCH_DEBUG: '1 shows where errors come from',
}

/** An error for a person: what is wrong, and, in `hint`, what to do. `code` is stable. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly code: string
  readonly exitCode: number
  readonly hint: string

  constructor(code: string, message: string, hint = '', exitCode: number = ExitCode.failed) {
    super(message)
    this.code = code
    this.hint = hint
    this.exitCode = exitCode
  }
}

/** Exit code, stable code, message and hint of whatever was thrown. */
export function explainFailure(error: unknown): { exitCode: number; code: string; message: string; hint: string } {
  if (error instanceof CliError) {
    const { exitCode, code, message, hint } = error
    return { exitCode, code, message, hint }
  }
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof Error && 'hint' in error && 'code' in error)
    return { exitCode: ExitCode.failed, code: String(error.code), message, hint: String(error.hint) }
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'internal'
  if (error instanceof Error && error.name === 'ConfigError') return { exitCode: ExitCode.usage, code, message, hint: '' }
  if (code === 'not-running') return { exitCode: ExitCode.notRunning, code, message, hint: howToStart }
  if (code === 'not-permitted' || code === 'no-answer') return { exitCode: ExitCode.notRunning, code, message, hint: '' }
  if (code === 'internal' && error instanceof Error)
    return { exitCode: ExitCode.failed, code, message: process.env.VMSWITCH_DEBUG ? (error.stack ?? message) : message, hint: '' }
  return { exitCode: ExitCode.failed, code, message, hint: '' }
}

export const howToStart = 'start one: vmswitch up FILE, for example: vmswitch up examples/two-guests.yaml'
