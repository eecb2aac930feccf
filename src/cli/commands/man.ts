// `vmswitch man`: the man page.
import type { Command } from 'commander'
import { packageVersion } from '../../manage/switch-host.ts'
import type { CommandContext } from '../command-context.ts'
import { commandTree } from '../completion/command-tree.ts'
import { manPage } from '../completion/man-page.ts'
import { environment, exitStatus } from '../exit.ts'
import { cmdlets } from '../hyper-v/cmdlets.ts'

export function printManPage({ terminal }: CommandContext, program: Command): void {
  const entries = (of: Readonly<Record<string, string>>): string[] => Object.entries(of).map(([name, text]) => `${name}\t${text}`)
  const page = manPage({
    version: packageVersion(),
    program: commandTree(program),
    cmdlets,
    sections: { 'Exit status': entries(exitStatus), Environment: entries(environment) },
  })
  terminal.line(page.trimEnd())
}
