// The command line's grammar for guests in browsers. program.ts has the rest.
import { type Command, Option } from 'commander'
import type { CommandContext } from './command-context.ts'

type Asks = (parent: Command, usage: string, description: string) => Command
type Run = (command: Command, work: (context: CommandContext) => Promise<unknown>) => Promise<void>

export function addBrowserGuestCommands(program: Command, asks: Asks, run: Run): void {
  const guest = program.command('browser-guest').description('guests that run in a browser tab, on ports of kind websocket')
  guest
    .command('fetch')
    .description('get what they boot from Debian packages: a 32-bit kernel, busybox and SeaBIOS')
    .addOption(new Option('--json', 'answer in JSON'))
    .action((_: unknown, command: Command) =>
      run(command, async (context) => (await import('./commands/browser-guest.ts')).fetchImage(context)),
    )
  asks(guest, 'url', 'print the URL of a port with its token, as v86 takes it for relay_url')
    .argument('<port>')
    .action((port: string, _: unknown, command: Command) =>
      run(command, async (context) => (await import('./commands/browser-guest.ts')).printUrl(context, port)),
    )
}
