// The man page, from the command tree: roff with the man macros.
//
// The rule it must not break: no text of the definition is taken for a request of roff.
import { type Cmdlet, parametersOf } from '../hyper-v/cmdlet.ts'
import { syntaxOf } from '../hyper-v/parameters.ts'
import { allNodes, type CommandNode, type OptionNode } from './command-tree.ts'

/** Text as roff has it: backslashes and dashes are letters, and no line begins as a request. */
export const roff = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('…', '...')
    .replaceAll("'", '\\(aq')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replace(/^(?=[.])/gm, '\\&')

const bold = (text: string): string => `\\fB${roff(text)}\\fP`
const section = (title: string): string => `.SH ${title.toUpperCase()}`

/** The options of a command that only asks: those that all others have too. */
const commonOptions = (program: CommandNode): readonly OptionNode[] =>
  allNodes(program).find(({ path }) => path === 'ports')?.options ?? []

function commandLines(node: CommandNode, common: readonly OptionNode[]): string[] {
  const args = node.arguments.map(({ name, required, variadic }) => {
    const word = `${name}${variadic ? '...' : ''}`
    return required ? `<${word}>` : `[${word}]`
  })
  const options = node.options.filter(({ flags }) => !common.some((one) => one.flags === flags))
  const usage = [...(options.length > 0 ? ['[options]'] : []), ...args].join(' ')
  return [
    '.TP',
    `${bold(`vmswitch ${node.path}`)}${usage === '' ? '' : ` ${roff(usage)}`}`,
    roff(`${node.description.replace(/^./, (letter) => letter.toUpperCase())}.`),
    ...(node.names.length > 1 ? [roff(`Also called ${node.names.slice(1).join(', ')}.`)] : []),
    ...options.flatMap(({ flags, description }) => ['.RS', '.TP', bold(flags), roff(description), '.RE']),
  ]
}

const cmdletLines = (cmdlet: Cmdlet): string[] => [
  '.TP',
  `${bold(cmdlet.name)} ${roff(parametersOf(cmdlet).map(syntaxOf).join(' '))}`,
  roff(`${cmdlet.synopsis} Stands for: ${cmdlet.native}.`),
]

export interface ManPage {
  readonly version: string
  readonly program: CommandNode
  readonly cmdlets: readonly Cmdlet[]
  /** Further sections: a title, and lines of text. */
  readonly sections: Readonly<Record<string, readonly string[]>>
}

/** The text of vmswitch.1. */
export function manPage({ version, program, cmdlets, sections }: ManPage): string {
  const common = commonOptions(program)
  const commands = allNodes(program).filter(({ path, children, arguments: args, options }) => {
    const isGroup = children.length > 0 && args.length === 0 && options.length <= 1
    return path !== '' && path !== 'help' && !isGroup
  })
  return [
    `.TH VMSWITCH 1 "" "vmswitch ${roff(version)}" "User Commands"`,
    section('Name'),
    `vmswitch \\- ${roff(program.description.replace(/^./, (letter) => letter.toLowerCase()))}`,
    section('Synopsis'),
    `${bold('vmswitch')} ${roff('<command> [options] [arguments]')}`,
    '.br',
    `${bold('vmswitch')} ${roff('<Verb-Noun> [-Parameter value] ...')}`,
    section('Common options'),
    ...common.flatMap(({ flags, description }) => ['.TP', bold(flags), roff(description)]),
    section('Commands'),
    ...commands.flatMap((node) => commandLines(node, common)),
    section('Cmdlets'),
    roff('Names and parameters are those of Hyper-V. They are read as PowerShell reads them: in any case, and cut short.'),
    ...cmdlets.flatMap(cmdletLines),
    ...Object.entries(sections).flatMap(([title, lines]) => [
      section(title),
      ...lines.flatMap((line) => {
        const [word, ...text] = line.split('\t')
        return text.length === 0 ? [roff(line)] : ['.TP', bold(word!), roff(text.join(' '))]
      }),
    ]),
    '',
  ].join('\n')
}
