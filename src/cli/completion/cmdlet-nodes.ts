// Cmdlets as commands of the tree, so that the shell completes them too.
import { type Cmdlet, parametersOf } from '../hyper-v/cmdlet.ts'
import { cmdlets } from '../hyper-v/cmdlets.ts'
import type { CommandNode, Values } from './command-tree.ts'

function valuesOf(cmdlet: Cmdlet, name: string): Values {
  if (name === 'VMName' || cmdlet.name === 'Measure-VM') return { kind: 'names', of: 'vms' }
  if (name === 'VMNetworkAdapterName') return { kind: 'names', of: 'ports' }
  if (name !== 'Name') return { kind: 'any' }
  if (cmdlet.name.endsWith('VMSwitchExtension')) return { kind: 'names', of: 'extensions' }
  if (cmdlet.name.includes('-NetAdapter')) return { kind: 'names', of: 'adapters' }
  return cmdlet.name.endsWith('VMNetworkAdapter') ? { kind: 'names', of: 'ports' } : { kind: 'any' }
}

/** One node for each cmdlet; its parameters are the options. */
export const cmdletNodes = (): CommandNode[] =>
  cmdlets.map((cmdlet) => ({
    path: cmdlet.name,
    names: [cmdlet.name],
    description: cmdlet.synopsis,
    usage: '',
    arguments: [],
    children: [],
    options: [
      ...parametersOf(cmdlet).map(({ name, help, type, values }) => ({
        flags: `-${name}`,
        words: [`-${name}`],
        description: help,
        values:
          type === 'switch'
            ? null
            : values !== undefined
              ? { kind: 'words' as const, words: values }
              : type === 'bool'
                ? { kind: 'words' as const, words: ['true', 'false'] }
                : valuesOf(cmdlet, name),
      })),
      { flags: '--json', words: ['--json'], description: 'answer in JSON', values: null },
      { flags: '--list', words: ['--list'], description: 'show all properties', values: null },
      { flags: '--socket <path>', words: ['--socket'], description: 'control socket', values: { kind: 'files' } as const },
    ],
  }))
