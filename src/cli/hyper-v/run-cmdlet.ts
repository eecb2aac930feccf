// Runs a cmdlet of the command line: `vmswitch Get-VMSwitch -Name lab [--json] [--list] [--socket PATH]`.
//
// The rule it must not break: --json answers a list of objects with Hyper-V's property names, also where there is one or none.
import type { CommandContext, CommonOptions } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'
import { type Cmdlet, parametersOf } from './cmdlet.ts'
import { cmdletOf, cmdlets } from './cmdlets.ts'
import { listLines, tableLines } from './output.ts'
import { readParameters, syntaxLine } from './parameters.ts'

export interface CmdletWords {
  readonly cmdlet: string
  readonly words: readonly string[]
  readonly json: boolean
  readonly list: boolean
  readonly help: boolean
  /** Where the switch is. */
  readonly place: Pick<CommonOptions, 'socket' | 'host' | 'tokenFile' | 'ca'>
}

const places = { '--socket': 'socket', '--host': 'host', '--token-file': 'tokenFile', '--ca': 'ca' } as const

/** Parts what belongs to the command line from what belongs to the cmdlet. Throws CliError `usage`. */
export function splitWords([cmdlet = '', ...rest]: readonly string[]): CmdletWords {
  const words: string[] = []
  const own = { json: false, list: false, help: false }
  const place: { -readonly [Key in keyof CmdletWords['place']]: string } = {}
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at]!
    if (word === '--json') own.json = true
    else if (word === '--list') own.list = true
    else if (word === '--help' || word === '-h' || word === '-?') own.help = true
    else if (word.startsWith('--')) {
      const [option = '', ...attached] = word.split('=')
      const key = places[option as keyof typeof places]
      if (key === undefined)
        throw new CliError(
          'usage',
          `${cmdlet}: there is no option ${option}`,
          `--json, --list and ${Object.keys(places).join(', ')} go with cmdlets`,
          ExitCode.usage,
        )
      const value = attached.length > 0 ? attached.join('=') : rest[++at]
      if (value === undefined) throw new CliError('usage', `${option} needs a value`, '', ExitCode.usage)
      place[key] = value
    } else words.push(word)
  }
  return { cmdlet, words, place, ...own }
}

/** Runs it, and returns the exit code. */
export async function runCmdlet(context: CommandContext, { cmdlet: word, words, list, help }: CmdletWords): Promise<number> {
  const { terminal } = context
  const cmdlet = cmdletOf(word)
  if (help) {
    for (const line of helpLines(cmdlet)) terminal.line(line)
    return ExitCode.ok
  }
  const given = readParameters(cmdlet, words)
  const outputs = await cmdlet.run({
    given,
    host: () => context.connect(),
    control: () => context.control(),
    should: (operation, target) => {
      if (!given.flag('WhatIf')) return true
      terminal.note(`What if: Performing the operation "${operation}" on target "${target}".`)
      return false
    },
    warn: (text) => terminal.note(`# ${text}`),
  })
  const answer = cmdlet.passthru && !given.flag('Passthru') ? [] : outputs
  if (terminal.json) terminal.data(answer)
  else if (answer.length > 0) {
    const asTable = cmdlet.columns !== undefined && !list
    const lines = asTable ? tableLines(cmdlet.columns, answer, process.stdout.columns) : listLines(answer)
    for (const line of lines) terminal.line(line)
  }
  return ExitCode.ok
}

/** What -? prints. */
export function helpLines(cmdlet: Cmdlet): string[] {
  const all = parametersOf(cmdlet)
  const width = Math.max(0, ...all.map(({ name }) => name.length)) + 1
  return [
    cmdlet.synopsis,
    `Stands for: ${cmdlet.native}`,
    '',
    syntaxLine(cmdlet),
    '',
    ...all.map(({ name, help, own }) => `  ${`-${name}`.padEnd(width)}  ${help}${own ? ' (not of Hyper-V)' : ''}`),
    ...(cmdlet.example === undefined ? [] : ['', `Example: vmswitch ${cmdlet.example}`]),
    '',
    'With any cmdlet: --json answers in JSON, --list shows all properties, --socket PATH chooses the switch.',
  ]
}

/** `vmswitch cmdlets`: all of them, with what they stand for. */
export function listCmdlets({ terminal }: CommandContext): void {
  if (terminal.json) {
    const parameters = (cmdlet: Cmdlet): unknown =>
      parametersOf(cmdlet).map(({ name, type, list = false }) => ({ name, type, list }))
    terminal.data(
      cmdlets.map((one) => ({ name: one.name, synopsis: one.synopsis, native: one.native, parameters: parameters(one) })),
    )
    return
  }
  terminal.table(
    [{ title: 'CMDLET' }, { title: 'STANDS FOR', flexible: true }, { title: 'WHAT IT DOES', flexible: true }],
    cmdlets.map(({ name, native, synopsis }) => [name, native, synopsis]),
    '',
  )
}
