// The command line's grammar for what has Hyper-V's names. The cmdlets themselves are no commands: their arguments are PowerShell's.
import { type Command, Option } from 'commander'
import type { CommandContext } from './command-context.ts'

type Run = (command: Command, work: (context: CommandContext) => Promise<unknown>) => Promise<void>

export function addHyperVCommands(program: Command, run: Run): void {
  program
    .command('cmdlets')
    .description("list the cmdlets that vmswitch has under Hyper-V's names: vmswitch Get-VMSwitch -Name lab")
    .addOption(new Option('--json', 'answer in JSON'))
    .action((_: unknown, command: Command) =>
      run(command, async (context) => (await import('./hyper-v/run-cmdlet.ts')).listCmdlets(context)),
    )
  program
    .command('powershell-module')
    .description('write a PowerShell module with these cmdlets')
    .option('-o, --output <dir>', 'directory to write it to', 'vmswitch')
    .addOption(new Option('--json', 'answer in JSON'))
    .action(({ output }: { output: string }, command: Command) =>
      run(command, async (context) => (await import('./commands/powershell-module.ts')).writePowershellModule(context, output)),
    )
}
