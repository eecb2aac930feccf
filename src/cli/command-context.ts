// What every command is given, and the options that all of them share.
import type { ControlPlace } from '../manage/control/control-place.ts'
import type { RemoteSwitchHost } from '../manage/host.ts'
import { createTerminal, type Terminal } from './terminal.ts'

/** Options of every command that asks a running switch. */
export interface CommonOptions {
  readonly json?: boolean
  readonly socket?: string
  /** https://HOST:PORT, or the name of one in the file of hosts. */
  readonly host?: string
  readonly tokenFile?: string
  readonly ca?: string
}

/** What a command works with. */
export interface CommandContext {
  readonly terminal: Terminal
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** The running switch that the command is about. Throws CliError `not-running`. */
  connect(): Promise<RemoteSwitchHost>
  /** Its control socket, or its address on the network. Throws CliError `not-running`. */
  control(): Promise<ControlPlace>
}

/** The context of this process. Modules that only some commands need are loaded when they are needed. */
export function processContext({ json, ...where }: CommonOptions): CommandContext {
  const { env, stdout, stderr } = process
  const cwd = process.cwd()
  const control = async (): Promise<ControlPlace> => (await import('./find-place.ts')).findPlace(where, { env, cwd })
  return {
    terminal: createTerminal({ json: json === true }, { env, stdout, stderr }),
    env,
    cwd,
    control,
    connect: async () => (await import('../manage/control/control-client.ts')).connectControl(await control()),
  }
}
