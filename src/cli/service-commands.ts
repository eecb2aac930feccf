// The command line's grammar for services. program.ts has the rest.
import { type Command, Option } from 'commander'
import type { CommandContext } from './command-context.ts'
import type { ApplyOptions } from './commands/apply.ts'
import type { EventsOptions } from './commands/events.ts'
import type { ServeOptions } from './commands/serve.ts'
import type { TopOptions } from './commands/top.ts'
import { consoleOption, whole } from './grammar.ts'

type Asks = (parent: Command, usage: string, description: string) => Command
type Run = (command: Command, work: (context: CommandContext) => Promise<unknown>) => Promise<void>

const TOP_SECONDS_MAX = 3600

export function addServiceCommands(program: Command, asks: Asks, run: Run): void {
  program
    .command('serve')
    .description('run a switch as a service, which keeps what it is told')
    .option('--state <dir>', 'state directory; default: $STATE_DIRECTORY, $XDG_STATE_HOME/vmswitch or /var/lib/vmswitch')
    .option('--control <path>', 'control socket; default: service/control.sock in the runtime directory')
    .option('--apply <file>', 'start with this configuration in place of the stored one')
    .option('--reader-group <group>', 'members of this group may look through the control socket, and change nothing')
    .option('--listen <host:port>', 'serve the API on the network as well, with TLS and tokens')
    .option('--tls-cert <file>', 'certificate, PEM')
    .option('--tls-key <file>', 'its key, PEM, readable by its owner only')
    .option('--tls-self-signed', 'a certificate of its own, made once: tls-cert.pem in the state directory')
    .option('--token-file <file>', 'tokens that clients have to know (vmswitch token add), readable by its owner only')
    .addOption(consoleOption())
    .option('--console-read-only', 'who opens the console at --console may look, and change nothing')
    .addOption(new Option('--json', 'one JSON object per line'))
    .action((options: ServeOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/serve.ts')).serve(context, options)),
    )
  asks(program, 'apply', 'make the switch of a service what a configuration says: all of it, or nothing')
    .argument('<file>', 'configuration, YAML or TypeScript')
    .option('--dry-run', 'print what would change, and change nothing')
    .option('--restart', 'allow what needs the whole switch to start anew')
    .action((file: string, options: ApplyOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/apply.ts')).apply(context, file, options)),
    )
  program
    .command('openapi')
    .description('print the OpenAPI 3.1 document of the control API')
    .action((_: unknown, command: Command) =>
      run(command, async (context) => (await import('./commands/openapi.ts')).printOpenApi(context)),
    )
  asks(program, 'events', 'show what happens, as it happens')
    .option('--after <number>', 'kept events with larger numbers first', whole(0, Number.MAX_SAFE_INTEGER))
    .option('--kinds <kinds>', 'of these kinds only, separated by commas')
    .action((options: EventsOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/events.ts')).events(context, options)),
    )
  asks(program, 'top', 'show what passes each port, the busiest first, anew every second')
    .option('--every <seconds>', 'seconds between two pictures', whole(1, TOP_SECONDS_MAX), 1)
    .option('--times <number>', 'how many pictures; default: until Ctrl-C', whole(1, Number.MAX_SAFE_INTEGER))
    .action((options: TopOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/top.ts')).top(context, options)),
    )
}
