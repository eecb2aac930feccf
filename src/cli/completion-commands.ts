// The command line's grammar for shell completion and the man page. program.ts has the rest.
import { Argument, type Command } from 'commander'
import type { CommandContext } from './command-context.ts'
import { type NameKind, nameKinds } from './completion/command-tree.ts'
import { type Shell, shells } from './completion/shell-scripts.ts'

type Run = (command: Command, work: (context: CommandContext) => Promise<unknown>) => Promise<void>

export function addCompletionCommands(program: Command, run: Run): void {
  const commands = () => import('./commands/completion.ts')
  program
    .command('completion')
    .description("print a shell's completion script: source <(vmswitch completion bash)")
    .addArgument(new Argument('<shell>', 'shell that is to complete').choices(shells))
    .action((shell: Shell, _: unknown, command: Command) =>
      run(command, async (context) => (await commands()).printCompletion(context, program, shell)),
    )
  program
    .command('complete-names', { hidden: true })
    .addArgument(new Argument('<kind>').choices(nameKinds))
    .option('--socket <path>', 'control socket')
    .action((kind: NameKind, _: unknown, command: Command) =>
      run(command, async (context) => (await commands()).printNames(context, kind)),
    )
  program
    .command('man')
    .description('print the man page: vmswitch man | man -l -')
    .action((_: unknown, command: Command) =>
      run(command, async (context) => (await import('./commands/man.ts')).printManPage(context, program)),
    )
}
