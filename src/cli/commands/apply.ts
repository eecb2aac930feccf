// `vmswitch apply FILE`: makes the switch of a service what a configuration says, and prints what that changes.
import { resolve } from 'node:path'
import type { Change } from '../../manage/apply/plan.ts'
import { loadConfig, readConfig } from '../../manage/config/load.ts'
import type { ApplyRequest } from '../../manage/service/service-calls.ts'
import { connectService } from '../../manage/service/service-client.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError } from '../exit.ts'
import type { Terminal } from '../terminal.ts'

export interface ApplyOptions {
  readonly dryRun?: boolean
  readonly restart?: boolean
}

/** Checks the file here, where its lines can be shown, and reads it as a service takes it. Throws ConfigError. */
export async function readRequest(file: string, cwd: string): Promise<ApplyRequest> {
  await loadConfig(file)
  return { config: await readConfig(file), file: resolve(cwd, file) }
}

export async function apply(
  { terminal, cwd, control }: CommandContext,
  file: string,
  { dryRun = false, restart = false }: ApplyOptions,
): Promise<void> {
  const request = await readRequest(file, cwd)
  const service = connectService(await control())
  const work = service.apply({ ...request, dryRun, restart }).catch((error: Error & { code?: string }) => {
    if (error.code !== 'no-such-route') throw error
    throw new CliError(
      'no-service',
      'the switch that runs is no service',
      'start one with vmswitch serve, or name it with --socket',
    )
  })
  const report = await terminal.progress(`applying ${file}`, work)
  if (terminal.json) return terminal.data(report)
  for (const change of report.changes) printChange(terminal, change)
  if (report.changes.length === 0) terminal.line('nothing differs')
  else if (!report.applied) terminal.line(`nothing was changed${report.restart ? '; this restarts the switch (--restart)' : ''}`)
  else terminal.line(`applied: ${count(report.changes)}, revision ${report.revision}`)
}

const signs = { added: ['+', 'green'], changed: ['~', 'yellow'], removed: ['-', 'red'] } as const
const consequences = { live: '', replace: ' (made anew)', restart: ' (restart)' } as const

function printChange(terminal: Terminal, { action, kind, name, details, how }: Change): void {
  const [sign, colour] = signs[action]
  const what = `${sign} ${kind} ${name}${action === 'changed' ? consequences[how] : ''}`
  terminal.line(`${terminal.style(colour, what)}${details.length === 0 ? '' : `  ${details.join('; ')}`}`)
}

const count = (changes: readonly Change[]): string =>
  (['added', 'changed', 'removed'] as const)
    .map((action) => [changes.filter((change) => change.action === action).length, action] as const)
    .filter(([number]) => number > 0)
    .map(([number, action]) => `${number} ${action}`)
    .join(', ')
