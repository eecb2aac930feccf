// Completion scripts of bash, zsh and fish: tables made from the command tree, and a short walk over the words of the line.
//
// The rule it must not break: nothing is printed and nothing waits for long while somebody types; names of a running switch are asked for
// only where they are completed, and their absence is no error.
import type { CommandNode, Values } from './command-tree.ts'

export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

/** The values of a place as one word list: @ports asks a running switch, @files is for the shell, ? is anything. */
function spec(values: Values): string {
  switch (values.kind) {
    case 'words':
      return values.words.join(' ')
    case 'names':
      return `@${values.of}`
    case 'files':
      return '@files'
    case 'any':
      return '?'
  }
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

interface Placed {
  readonly node: CommandNode
  /** What may be typed to come to it: aliases are other names of the same command. */
  readonly paths: readonly string[]
}

/** The commands of a tree with all their paths. */
const placed = (node: CommandNode, paths: readonly string[] = ['']): Placed[] => [
  { node, paths },
  ...node.children.flatMap((child) =>
    placed(
      child,
      paths.flatMap((path) => child.names.map((name) => `${path} ${name}`.trim())),
    ),
  ),
]
interface Tables {
  readonly children: readonly string[]
  readonly flags: readonly string[]
  readonly options: readonly string[]
  readonly arguments: readonly string[]
}

// Lines of `case`: what is found for a path, a path with an option, a path with the number of an argument.
function tables(nodes: readonly Placed[]): Tables {
  const line = (patterns: readonly string[], value: string): string =>
    `    ${patterns.map(quoted).join('|')}) REPLY=${quoted(value)} ;;`
  return {
    children: nodes
      .filter(({ node }) => node.children.length > 0)
      .map(({ node, paths }) => line(paths, node.children.flatMap(({ names }) => names).join(' '))),
    flags: nodes.map(({ node, paths }) => line(paths, node.options.flatMap(({ words }) => words).join(' '))),
    options: nodes.flatMap(({ node, paths }) =>
      node.options.flatMap(({ words, values }) =>
        values === null
          ? []
          : [
              line(
                paths.flatMap((path) => words.map((word) => `${path} ${word}`.trim())),
                spec(values),
              ),
            ],
      ),
    ),
    arguments: nodes.flatMap(({ node, paths }) =>
      node.arguments.map(({ values, variadic }, i) => {
        const patterns = paths.map((path) => (variadic ? `${quoted(path)}' '*` : quoted(`${path} ${i}`)))
        return `    ${patterns.join('|')}) REPLY=${quoted(spec(values))} ;;`
      }),
    ),
  }
}

const table = (name: string, lines: readonly string[]): string[] => [
  `_vmswitch_${name}() {`,
  "  REPLY=''",
  '  case "$1" in',
  ...lines,
  '  esac',
  '}',
  '',
]

/** The walk over `words`, an array; `last` is the number of the word that is completed. */
const walk = (words: string, first: number, last: string): string[] => [
  "  local REPLY='' command='' word='' want='' cur i arguments=0",
  `  for ((i = ${first}; i < ${last}; i++)); do`,
  `    word="\${${words}[i]}"`,
  '    if [[ -n $want ]]; then',
  "      want=''",
  '    elif [[ $word == -* ]]; then',
  `      _vmswitch_option "\${command:+$command }$word"`,
  '      [[ $word == *=* ]] || want=$REPLY',
  '    else',
  '      _vmswitch_children "$command"',
  '      if [[ " $REPLY " == *" $word "* ]]; then',
  `        command="\${command:+$command }$word"`,
  '      else',
  '        arguments=$((arguments + 1))',
  '      fi',
  '    fi',
  '  done',
  `  cur="\${${words}[${last}]}"`,
  '  if [[ -n $want ]]; then',
  '    REPLY=$want',
  '  elif [[ $cur == -* ]]; then',
  '    _vmswitch_flags "$command"',
  '  else',
  '    _vmswitch_children "$command"',
  '    if [[ -z $REPLY || $arguments -gt 0 ]]; then',
  '      _vmswitch_argument "$command $arguments"',
  '    fi',
  '  fi',
]

const names = ['_vmswitch_names() {', `  "\${VMSWITCH_PROGRAM:-vmswitch}" complete-names "$1" 2>/dev/null`, '}', '']

function bash(nodes: readonly Placed[]): string[] {
  const { children, flags, options, arguments: args } = tables(nodes)
  return [
    '# bash completion of vmswitch; made by: vmswitch completion bash',
    ...table('children', children),
    ...table('flags', flags),
    ...table('option', options),
    ...table('argument', args),
    ...names,
    '_vmswitch() {',
    ...walk('COMP_WORDS', 1, 'COMP_CWORD'),
    '  COMPREPLY=()',
    '  case $REPLY in',
    "    '' | '?') return 0 ;;",
    '    @files)',
    '      compopt -o filenames 2>/dev/null',
    '      mapfile -t COMPREPLY < <(compgen -f -- "$cur")',
    '      return 0',
    '      ;;',
    `    @*) REPLY=$(_vmswitch_names "\${REPLY#@}") ;;`,
    '  esac',
    '  for word in $REPLY; do',
    `    [[ \${word,,} == "\${cur,,}"* ]] && COMPREPLY+=("$word")`,
    '  done',
    '  return 0',
    '}',
    'complete -F _vmswitch vmswitch',
    '',
  ]
}

function zsh(nodes: readonly Placed[]): string[] {
  const { children, flags, options, arguments: args } = tables(nodes)
  return [
    '#compdef vmswitch',
    '# zsh completion of vmswitch; made by: vmswitch completion zsh',
    ...table('children', children),
    ...table('flags', flags),
    ...table('option', options),
    ...table('argument', args),
    ...names,
    '_vmswitch() {',
    '  emulate -L zsh',
    ...walk('words', 2, 'CURRENT'),
    '  case $REPLY in',
    "    '' | '?') return 0 ;;",
    '    @files) _files; return ;;',
    `    @*) REPLY=$(_vmswitch_names "\${REPLY#@}") ;;`,
    '  esac',
    `  compadd -M 'm:{a-zA-Z}={A-Za-z}' -- \${=REPLY}`,
    '}',
    'compdef _vmswitch vmswitch',
    '',
  ]
}

const fishQuoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

const fishValues = (values: Values): string => {
  switch (values.kind) {
    case 'words':
      return `-x -a ${fishQuoted(values.words.join(' '))}`
    case 'names':
      return `-x -a '(__vmswitch_names ${values.of})'`
    case 'files':
      return '-r -F'
    case 'any':
      return '-x'
  }
}

function fish(nodes: readonly Placed[]): string[] {
  const known = nodes.flatMap(({ paths }) => paths).filter((path) => path !== '')
  const lines = nodes.flatMap(({ node, paths }) =>
    paths.flatMap((path) => {
      const here = `complete -c vmswitch -n ${fishQuoted(`__vmswitch_at "${path}"`)}`
      return [
        ...node.children.flatMap((child) =>
          child.names.map((name) => `${here} -f -a ${fishQuoted(name)} -d ${fishQuoted(child.description)}`),
        ),
        ...node.options.map(({ words, description, values }) => {
          const flag = (word: string): string =>
            word.startsWith('--') ? `-l ${word.slice(2)}` : word.length === 2 ? `-s ${word.slice(1)}` : `-o ${word.slice(1)}`
          return `${here} ${words.map(flag).join(' ')} ${values === null ? '-f' : fishValues(values)} -d ${fishQuoted(description)}`
        }),
        ...node.arguments.map(({ values }) => `${here} ${values.kind === 'any' ? '-f' : fishValues(values)}`),
      ]
    }),
  )
  return [
    '# fish completion of vmswitch; made by: vmswitch completion fish',
    `set -g __vmswitch_paths ${known.map(fishQuoted).join(' ')}`,
    'function __vmswitch_names',
    '    set -q VMSWITCH_PROGRAM; and set -l program $VMSWITCH_PROGRAM; or set -l program vmswitch',
    '    $program complete-names $argv[1] 2>/dev/null',
    'end',
    'function __vmswitch_at',
    "    set -l command ''",
    '    for word in (commandline -opc)[2..-1]',
    '        set -l next (string trim -- "$command $word")',
    '        contains -- "$next" $__vmswitch_paths; and set command $next',
    '    end',
    '    test "$command" = "$argv[1]"',
    'end',
    'complete -c vmswitch -f',
    ...lines,
    '',
  ]
}

/** The script of a shell; `cmdlets`: further commands of the program. */
export function completionScript(shell: Shell, program: CommandNode, cmdlets: readonly CommandNode[]): string {
  const nodes = placed({ ...program, children: [...program.children, ...cmdlets] })
  return { bash, zsh, fish }[shell](nodes).join('\n')
}
