// Runs the command line and turns whatever comes of it into an exit code.
//
// The rule it must not break: every error ends in one message for a person (with --json: one object) and a documented exit code.
import { readFileSync } from 'node:fs'
import { ExitCode, explainFailure } from './exit.ts'
import { CommanderError, createProgram } from './program.ts'

/** Runs the command line that this process was started with. Sets the exit code; never throws. */
export async function run(): Promise<void> {
  // `vmswitch ports | head` ends when head does.
  process.stdout.on('error', (error: NodeJS.ErrnoException) =>
    process.exit(error.code === 'EPIPE' ? ExitCode.ok : ExitCode.failed),
  )
  const [first = '', second = ''] = process.argv.slice(2)
  if (namedByHyperV.test(first)) return runCmdletOf(process.argv.slice(2))
  if (first === 'help' && namedByHyperV.test(second)) return runCmdletOf([second, '--help'])
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const { version } = JSON.parse(text) as { version: string }
  const program = createProgram(version, (exitCode) => {
    process.exitCode = exitCode
  })
  try {
    await program.parseAsync()
  } catch (error) {
    process.exitCode = report(error, process.argv.includes('--json'), process)
  }
}

/** A verb, a dash, and a noun of VMs or network adapters. */
const namedByHyperV = /^[a-z]+-(vm|net)/i

/** `vmswitch Get-VMSwitch …`: its arguments are PowerShell's, which the grammar does not know. */
async function runCmdletOf(line: readonly string[]): Promise<void> {
  const [{ processContext }, { runCmdlet, splitWords }] = await Promise.all([
    import('./command-context.ts'),
    import('./hyper-v/run-cmdlet.ts'),
  ])
  try {
    const words = splitWords(line)
    process.exitCode = await runCmdlet(processContext({ json: words.json, ...words.place }), words)
  } catch (error) {
    process.exitCode = report(error, process.argv.includes('--json'), process)
  }
}

/** Where a message goes. */
export interface ReportStreams {
  readonly stdout: NodeJS.WritableStream
  readonly stderr: NodeJS.WritableStream
}

/** Tells what went wrong, and returns the exit code. */
export function report(error: unknown, json: boolean, { stdout, stderr }: ReportStreams): number {
  // The grammar's own errors have been printed already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage
  const { exitCode, code, message, hint } = explainFailure(error)
  if (json) stdout.write(`${JSON.stringify({ error: { code, message, hint } })}\n`)
  else stderr.write(`vmswitch: ${message}\n${hint === '' ? '' : `${hint.replace(/^/gm, '  ')}\n`}`)
  return exitCode
}
