// The command line's grammar for labs. program.ts has the rest.
import { type Command, Option } from 'commander'
import type { CommandContext } from './command-context.ts'
import type { FailoverArguments } from './commands/lab.ts'
import { whole } from './grammar.ts'

type Run = (command: Command, work: (context: CommandContext) => Promise<unknown>) => Promise<void>

const SECONDS_MAX = 3600

export function addLabCommands(program: Command, run: Run): void {
  const lab = program.command('lab').description('try things out on a switch that is started for it')
  lab
    .command('failover')
    .description('measure what it costs when virtual functions come and go under load')
    .argument('<file>', 'configuration with a failover section, such as examples/failover.yaml')
    .option('--plot <file>', 'write a plot of it, as SVG')
    .option('--seconds <number>', 'how long, in place of what the file says', whole(1, SECONDS_MAX))
    .addOption(new Option('--json', 'answer in JSON'))
    .action((file: string, given: FailoverArguments, command: Command) =>
      run(command, async (context) => (await import('./commands/lab.ts')).failoverLab(context, file, given)),
    )
}
