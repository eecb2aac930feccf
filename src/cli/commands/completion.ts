// `vmswitch completion SHELL`, and `complete-names`, which its scripts call.
import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { cmdletNodes } from '../completion/cmdlet-nodes.ts'
import { commandTree, type NameKind } from '../completion/command-tree.ts'
import { completionScript, type Shell } from '../completion/shell-scripts.ts'

/** Somebody waits at the keyboard. */
const TIMEOUT_MS = 700

export function printCompletion({ terminal }: CommandContext, program: Command, shell: Shell): void {
  terminal.line(completionScript(shell, commandTree(program), cmdletNodes()).trimEnd())
}

/** Prints names of the running switch, one a line; nothing where there is none. */
export async function printNames({ terminal, control }: CommandContext, kind: NameKind): Promise<void> {
  try {
    const { connectControl } = await import('../../manage/control/control-client.ts')
    const host = connectControl(await control(), TIMEOUT_MS)
    const names = {
      ports: async () => (await host.ports()).map(({ name }) => name),
      vms: async () => (await host.ports()).map(({ vm }) => vm),
      extensions: async () => (await host.extensions()).map(({ name }) => name),
      adapters: async () => (await host.adapters()).map(({ name }) => name),
    }
    for (const name of new Set(await names[kind]())) terminal.line(name)
  } catch {
    // Completion is silent: what is wrong is said by the command that is being typed.
  }
}
