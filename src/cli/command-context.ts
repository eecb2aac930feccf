// What every command is given, and the options that all of them share.
import type { RemoteSwitchHost } from '../manage/host.ts'
import { createTerminal, type Terminal } from './terminal.ts'

/** Options of every command that asks a running switch. */
export interface CommonOptions {
  readonly json?: boolean
  readonly socket?: string
}

/** What a command works with. */
export interface CommandContext {
  readonly terminal: Terminal
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** The running switch that the command is about. Throws CliError `not-running`. */
  connect(): Promise<RemoteSwitchHost>
  /** Its control socket. Throws CliError `not-running`. */
  control(): Promise<string>
}

/** The context of this process. Modules that only some commands need are loaded when they are needed. */
export function processContext({ json, socket }: CommonOptions): CommandContext {
  const { env, stdout, stderr } = process
  const cwd = process.cwd()
  const control = async (): Promise<string> => (await import('./find-control.ts')).findControl(socket, { env, cwd })
  return {
    terminal: createTerminal({ json: json === true }, { env, stdout, stderr }),
    env,
    cwd,
    control,
    connect: async () => (await import('../manage/control-client.ts')).connectControl(await control()),
  }
}
