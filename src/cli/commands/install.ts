// `vmswitch ext install|uninstall`: extensions that come and go while traffic flows.
import { resolve } from 'node:path'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'

export interface InstallWords {
  readonly enable?: boolean
  readonly onFailure?: 'open' | 'closed'
  readonly options?: string
}

function optionsOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // refused below, as any other text that is no object
  }
  throw new CliError('usage', `the options are no JSON object: ${text}`, 'write them in quotes: \'{"rate":100}\'', ExitCode.usage)
}

/** `use`: name of one in the box, or a path, which is meant from here. */
export async function installExtension(
  { terminal, connect, cwd }: CommandContext,
  use: string,
  { enable = false, onFailure, options }: InstallWords,
): Promise<void> {
  const isPath = use.includes('/') || /\.[cm]?[jt]s$/.test(use)
  const answer = await (await connect()).installExtension({
    use: isPath ? resolve(cwd, use) : use,
    enabled: enable,
    ...(onFailure === undefined ? {} : { onFailure }),
    ...(options === undefined ? {} : { options: optionsOf(options) }),
  })
  if (terminal.json) return terminal.data(answer)
  terminal.line(`${answer.name} ${answer.version} is installed (${answer.class}, ${answer.enabled ? answer.state : 'disabled'})`)
  if (!answer.enabled) terminal.note(`# let it take part: vmswitch ext enable ${answer.name}`)
}

export async function uninstallExtension({ terminal, connect }: CommandContext, name: string): Promise<void> {
  await (await connect()).uninstallExtension(name)
  if (terminal.json) return terminal.data({})
  terminal.line(`${name} is off the switch`)
}
