// The command line's grammar for tokens. program.ts has the rest.
import { type Command, Option } from 'commander'
import { type Role, roles } from '../manage/control/access.ts'
import type { CommandContext } from './command-context.ts'

type Run = (command: Command, work: (context: CommandContext) => Promise<unknown>) => Promise<void>

export function addTokenCommands(program: Command, run: Run): void {
  const token = program.command('token').description('tokens of those who may ask a service over the network')
  const about = (usage: string, description: string): Command =>
    token
      .command(usage)
      .description(description)
      .requiredOption('--file <file>', 'the token file of vmswitch serve --token-file')
      .addOption(new Option('--json', 'answer in JSON'))
  about('add', 'make a token and print it; the file gets its hash')
    .argument('<name>', 'whose token it is')
    .addOption(new Option('--role <role>', 'what they may do').choices(roles).default('reader'))
    .action((name: string, { role, file }: { role: Role; file: string }, command: Command) =>
      run(command, async (context) => (await import('./commands/token.ts')).addOne(context, name, role, file)),
    )
  about('list', 'show who has a token').action(({ file }: { file: string }, command: Command) =>
    run(command, async (context) => (await import('./commands/token.ts')).listTokens(context, file)),
  )
  about('remove', 'take a token back')
    .argument('<name>', 'whose token it is')
    .action((name: string, { file }: { file: string }, command: Command) =>
      run(command, async (context) => (await import('./commands/token.ts')).removeOne(context, name, file)),
    )
}
