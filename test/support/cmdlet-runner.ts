// Runs cmdlets against a service: each as a process the first time, as people do, and then within the test, which costs a tenth of it.
import { PassThrough } from 'node:stream'
import type { CommandContext } from '../../src/cli/command-context.ts'
import { findPlace } from '../../src/cli/find-place.ts'
import { runCmdlet, splitWords } from '../../src/cli/hyper-v/run-cmdlet.ts'
import { report } from '../../src/cli/run.ts'
import { createTerminal } from '../../src/cli/terminal.ts'
import { connectControl } from '../../src/manage/control/control-client.ts'
import type { CliService, Ended } from './cli-service.ts'

/** Runs the words of a command line; those that begin with no cmdlet always as a process. */
export type CmdletRunner = (line: readonly string[]) => Promise<Ended>

const CMDLET = /^[a-z]+-(vm|net)/i

const textOf = (stream: PassThrough): string => String(stream.read() ?? '')

export function cmdletRunner(service: CliService): CmdletRunner {
  const seen = new Set<string>()
  return async (line) => {
    const [first = ''] = line
    const name = first.toLowerCase()
    if (CMDLET.test(first) && seen.has(name)) return within(service, line)
    seen.add(name)
    return service.run(line)
  }
}

async function within({ env, directory }: CliService, line: readonly string[]): Promise<Ended> {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() }
  let code: number
  try {
    const words = splitWords(line)
    const control = async () => findPlace(words.place, { env, cwd: directory })
    const context: CommandContext = {
      terminal: createTerminal({ json: words.json }, { env, ...streams }),
      env,
      cwd: directory,
      control,
      connect: async () => connectControl(await control()),
    }
    code = await runCmdlet(context, words)
  } catch (error) {
    code = report(error, line.includes('--json'), streams)
  }
  return { code, stdout: textOf(streams.stdout), stderr: textOf(streams.stderr) }
}
