// The command line as data, from the program's own definition: what completion, the man page and the reference are made from.
import type { Argument, Command, Option } from 'commander'

/** What may stand at a place: some words, names that a running switch has, a file, or anything. */
export type Values =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'names'; readonly of: NameKind }
  | { readonly kind: 'files' }
  | { readonly kind: 'any' }

export const nameKinds = ['ports', 'extensions', 'vms', 'adapters'] as const
export type NameKind = (typeof nameKinds)[number]

export interface OptionNode {
  /** `-s, --snap <bytes>` */
  readonly flags: string
  /** `-s` and `--snap` */
  readonly words: readonly string[]
  readonly description: string
  /** Null: it takes no value. */
  readonly values: Values | null
}

export interface ArgumentNode {
  readonly name: string
  readonly description: string
  readonly required: boolean
  readonly variadic: boolean
  readonly values: Values
}

export interface CommandNode {
  /** Words behind the program's name: `port set`; '' for the program. */
  readonly path: string
  readonly names: readonly string[]
  readonly description: string
  readonly usage: string
  readonly arguments: readonly ArgumentNode[]
  readonly options: readonly OptionNode[]
  readonly children: readonly CommandNode[]
}

const named = (of: NameKind): Values => ({ kind: 'names', of })
const any: Values = { kind: 'any' }
const files: Values = { kind: 'files' }
const byWord: Readonly<Record<string, Values>> = {
  port: named('ports'),
  ports: named('ports'),
  vm: named('vms'),
  adapter: named('adapters'),
  file: files,
  dir: files,
  path: files,
  socket: files,
}

/** What a name in brackets stands for, where its command does not say. */
function valuesOf(word: string, choices: readonly string[] | undefined, path: string): Values {
  if (choices !== undefined) return { kind: 'words', words: choices }
  if (/^(ext|extension) (enable|disable|pause|restart|reorder|reload|uninstall)$/.test(path)) return named('extensions')
  return byWord[word] ?? any
}

const bracketed = /[<[]([a-z0-9-]+)/i

function optionNode(option: Option, path: string): OptionNode {
  const takes = option.required || option.optional
  const word = bracketed.exec(option.flags)?.[1] ?? ''
  const own = option.long === '--port' ? named('ports') : option.long === '--vm' ? named('vms') : undefined
  return {
    flags: option.flags,
    words: [option.short, option.long].filter((one) => one !== undefined),
    description: option.description,
    values: takes ? (own ?? valuesOf(word, option.argChoices, path)) : null,
  }
}

function argumentNode(argument: Argument, path: string): ArgumentNode {
  const name = argument.name()
  const isNew = /^(port|switch) (add|create)$/.test(path)
  return {
    name,
    description: argument.description,
    required: argument.required,
    variadic: argument.variadic,
    values: isNew ? any : valuesOf(name, argument.argChoices, path),
  }
}

const help: OptionNode = { flags: '-h, --help', words: ['-h', '--help'], description: 'print this', values: null }

/** The tree of `command` and what is below it; hidden commands are left out. */
export function commandTree(command: Command, path = ''): CommandNode {
  const helper = command.createHelp()
  const children = helper
    .visibleCommands(command)
    .filter((one) => one.name() !== 'help' || path === '')
    .map((one) => commandTree(one, `${path} ${one.name()}`.trim()))
  return {
    path,
    names: [command.name(), ...command.aliases()],
    description: command.description(),
    usage: command.usage(),
    arguments: command.registeredArguments.map((argument) => argumentNode(argument, path)),
    options: [...command.options.filter(({ hidden }) => !hidden).map((option) => optionNode(option, path)), help],
    children,
  }
}

/** The commands of a tree, parents first. */
export const allNodes = (node: CommandNode): CommandNode[] => [node, ...node.children.flatMap(allNodes)]
