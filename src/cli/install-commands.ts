// The command line's grammar for extensions that come and go while the switch runs. program.ts has the rest of `ext`.
import { type Command, Option } from 'commander'
import type { CommandContext } from './command-context.ts'
import type { InstallWords } from './commands/install.ts'

type Asks = (parent: Command, usage: string, description: string) => Command
type Run = (command: Command, work: (context: CommandContext) => Promise<unknown>) => Promise<void>

export function addInstallCommands(ext: Command, asks: Asks, run: Run): void {
  const commands = () => import('./commands/install.ts')
  asks(ext, 'install', 'install an extension, at the top of its class and disabled')
    .argument('<extension>', 'name of one in the box, or path of a module: ./block-telnet.ts')
    .option('--enable', 'and let it take part')
    .addOption(new Option('--on-failure <how>', 'what happens to packets when it fails').choices(['open', 'closed']))
    .option('--options <json>', 'its options')
    .action((use: string, words: InstallWords, command: Command) =>
      run(command, async (context) => (await commands()).installExtension(context, use, words)),
    )
  asks(ext, 'uninstall', 'take an extension off the switch')
    .argument('<name>')
    .action((name: string, _: unknown, command: Command) =>
      run(command, async (context) => (await commands()).uninstallExtension(context, name)),
    )
}
