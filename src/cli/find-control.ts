// Finds the control socket of the switch that a command is about.
import { lstatSync, readdirSync } from 'node:fs'
import { isAbsolute, join, resolve } from 'node:path'
import { isAnswered } from '../manage/control/socket-path.ts'
import { CliError, ExitCode, howToStart } from './exit.ts'

export interface FindComponents {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
}

/** Directories that may hold runtime directories, as the configuration's defaults have them. */
function roots({ env, cwd }: FindComponents): string[] {
  const own = env.XDG_RUNTIME_DIR
  return [...(own !== undefined && isAbsolute(own) ? [join(own, 'vmswitch')] : []), '/run/vmswitch', join(cwd, '.vmswitch')]
}

/**
 * The control socket: the one given, else $VMSWITCH_CONTROL, else that of the switch that was started last. Throws CliError
 * `not-running` if there is none.
 */
export async function findControl(given: string | undefined, components: FindComponents): Promise<string> {
  if (given !== undefined) return resolve(components.cwd, given)
  const fromEnv = components.env.VMSWITCH_CONTROL
  if (fromEnv) return resolve(components.cwd, fromEnv)
  const found = roots(components)
    .flatMap(socketsIn)
    .sort((a, b) => b.startedMs - a.startedMs)
  for (const { path } of found) if (await isAnswered(path).catch(() => true)) return path
  throw new CliError(
    'not-running',
    'no switch is running',
    `${howToStart}\nif it runs elsewhere, say where: --socket PATH, or VMSWITCH_CONTROL`,
    ExitCode.notRunning,
  )
}

function socketsIn(root: string): { path: string; startedMs: number }[] {
  let names: string[]
  try {
    names = readdirSync(root)
  } catch {
    return []
  }
  return names.flatMap((name) => {
    const path = join(root, name, 'control.sock')
    try {
      const facts = lstatSync(path)
      return facts.isSocket() ? [{ path, startedMs: facts.mtimeMs }] : []
    } catch {
      return []
    }
  })
}
