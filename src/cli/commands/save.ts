// `vmswitch save` and `restore`: the state of ports in a file.
//
// The rule it must not break: a file that was there is replaced by a whole one or not at all.
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { RestoreReport } from '../../manage/host.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'
import type { Terminal } from '../terminal.ts'

const FILE_MODE = 0o600

export async function save({ terminal, connect, cwd }: CommandContext, file: string, port: string | undefined): Promise<void> {
  const saved = await terminal.progress('saving', (await connect()).save({ port }))
  const path = resolve(cwd, file)
  const fresh = `${path}.${process.pid}.new`
  try {
    writeFileSync(fresh, `${saved}\n`, { mode: FILE_MODE })
    renameSync(fresh, path)
  } catch (error) {
    rmSync(fresh, { force: true })
    throw new CliError('not-written', `${file} can't be written: ${(error as Error).message}`)
  }
  if (terminal.json) return terminal.data({ file: path, bytes: saved.length })
  terminal.line(`saved to ${file}`)
}

export async function restore({ terminal, connect, cwd }: CommandContext, file: string): Promise<void> {
  let text: string
  try {
    text = readFileSync(resolve(cwd, file), 'utf8')
  } catch (error) {
    throw new CliError('no-such-file', `${file} can't be read: ${(error as Error).message}`, '', ExitCode.usage)
  }
  const host = await connect()
  report(terminal, await terminal.progress(`restoring ${file}`, host.restore(text)))
}

/** Shows what became of ports that were restored or moved. */
export function report(terminal: Terminal, answer: RestoreReport): void {
  if (terminal.json) {
    terminal.data(answer)
    return
  }
  for (const { withoutVf } of answer.ports)
    if (withoutVf !== null) terminal.note(`${withoutVf}: its guest goes on with its synthetic card`)
  const words = { restored: 'restored', waiting: 'when its peer connects', none: '-' }
  terminal.table(
    [
      { title: 'PORT', flexible: true },
      { title: 'CREATED' },
      { title: "EXTENSIONS' DATA" },
      { title: 'ORPHANS', align: 'right' },
    ],
    answer.ports.map(({ name, created, data, orphans }) => [name, created ? 'yes' : 'no', words[data], String(orphans)]),
    'there were no ports to restore',
  )
}
