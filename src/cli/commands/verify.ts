// `vmswitch verify FILE`: does an extension keep the contract, whatever happens to it?
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describeReport, STUCK, type VerifyReport } from '../../lab/verify/report.ts'
import { type VerifyOptions, verifyExtension } from '../../lab/verify/verify-extension.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'

export interface VerifyArguments {
  readonly seed?: number | undefined
  readonly steps?: number | undefined
  readonly seconds?: number | undefined
  /** JSON text of the extension's options. */
  readonly options?: string | undefined
}

const SEED_MAX = 2 ** 31
const SECONDS_DEFAULT = 10
/** With a number of steps the time is no limit of its own. */
const SECONDS_MAX = 3600

/** Returns the exit code: 1 if a rule was broken or the extension failed. */
export async function verify({ terminal, cwd }: CommandContext, file: string, given: VerifyArguments): Promise<number> {
  const path = resolve(cwd, file)
  if (!existsSync(path)) throw new CliError('no-such-file', `there is no file ${path}`, '', ExitCode.usage)
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-verify-'))
  const options: VerifyOptions = {
    file: path,
    shown: file,
    options: parseOptions(given.options),
    seed: given.seed ?? 1 + Math.floor(Math.random() * SEED_MAX),
    steps: given.steps ?? Number.MAX_SAFE_INTEGER,
    seconds: given.seconds ?? (given.steps === undefined ? SECONDS_DEFAULT : SECONDS_MAX),
    directory,
  }
  try {
    const report = await verifyExtension(options)
    if (terminal.json) terminal.data(report)
    else for (const line of describeReport(report)) terminal.line(line)
    endIfStuck(report)
    return report.passed ? ExitCode.ok : ExitCode.failed
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

// The thread of an extension that does not return would keep this process for ever.
function endIfStuck({ faults }: VerifyReport): void {
  if (faults.some(({ code }) => code === STUCK)) process.exit(ExitCode.failed)
}

function parseOptions(text: string | undefined): unknown {
  if (text === undefined) return {}
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new CliError(
      'bad-options',
      `--options is not JSON: ${(error as Error).message}`,
      `write for example '{"entries": 64}'`,
      ExitCode.usage,
    )
  }
}
