// The reference of the command line for docs/cli.md, from the command tree and the table of cmdlets.
import type { Cmdlet } from '../hyper-v/cmdlet.ts'
import { absentCmdlets } from '../hyper-v/cmdlets.ts'
import { allNodes, type CommandNode } from './command-tree.ts'

/** Where the written part of docs/cli.md ends. */
export const REFERENCE_MARK = '<!-- What follows is written by scripts/write-cli-docs.mjs. -->'

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
const code = (text: string): string => `\`${cell(text)}\``
const common = new Set(['--json', '--socket', '--host', '--token-file', '--ca', '--help'])

function commandRow({ path, arguments: args, options, description, names }: CommandNode): string {
  const words = args.map(({ name, required, variadic }) => {
    const word = `${name}${variadic ? '...' : ''}`
    return required ? `<${word}>` : `[${word}]`
  })
  const own = options.filter((option) => !option.words.some((word) => common.has(word)))
  const also = names.length > 1 ? ` Also: ${names.slice(1).map(code).join(', ')}.` : ''
  const listed = own.length === 0 ? '' : ` ${own.map(({ flags }) => code(flags)).join(' ')}`
  return `| ${code([path, ...words].join(' '))} | ${cell(description)}.${also}${listed} |`
}

/** Tables of commands and cmdlets, and of the cmdlets that are not there. */
export function cliReference(program: CommandNode, cmdlets: readonly Cmdlet[]): string {
  const commands = allNodes(program).filter(
    ({ path, children, options }) => path !== '' && !(children.length > 0 && options.length <= 1),
  )
  return [
    '## Commands',
    '',
    '| command | what it does |',
    '|---|---|',
    ...commands.map(commandRow),
    '',
    '## Cmdlets',
    '',
    '| cmdlet | stands for | parameters |',
    '|---|---|---|',
    ...cmdlets.map(({ name, native, parameters }) => {
      const names = parameters.map((one) => `${one.name}${one.own ? '*' : ''}`).join(', ')
      return `| \`${name}\` | ${code(native)} | ${names} |`
    }),
    '',
    'Parameters with * are not of Hyper-V. Cmdlets that are refused, and what to do instead:',
    '',
    '| cmdlet | instead |',
    '|---|---|',
    ...Object.entries(absentCmdlets).map(([name, advice]) => `| \`${name}\` | ${cell(advice)} |`),
    '',
  ].join('\n')
}
