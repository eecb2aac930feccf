// The command line's grammar for properties, feature status, save, restore and migration. program.ts has the rest.
import type { Command } from 'commander'
import { addAclCommands } from './acl-commands.ts'
import type { CommandContext } from './command-context.ts'
import type { MigrateOptions } from './commands/migrate.ts'
import type { PropertyWords } from './commands/property.ts'

type Asks = (parent: Command, usage: string, description: string) => Command
type Run = (command: Command, work: (context: CommandContext) => Promise<unknown>) => Promise<void>

export function addPolicyCommands(program: Command, asks: Asks, run: Run): void {
  addAclCommands(program, asks, run)
  const property = asks(program, 'property', 'show the properties of ports and of the switch')
    .option('--port <name>', 'of this port only')
    .action((options: PropertyWords, command: Command) => run(command, (context) => list(context, options.port)))
  const list = async (context: CommandContext, port: string | undefined) =>
    (await import('./commands/property.ts')).listProperties(context, port)
  asks(property, 'list', 'show them')
    .option('--port <name>', 'of this port only')
    .action((options: PropertyWords, command: Command) => run(command, (context) => list(context, options.port)))

  asks(property, 'definitions', 'show what extensions define, or what one consists of')
    .argument('[name]', 'name or GUID of a custom property')
    .action((name: string | undefined, _: object, command: Command) =>
      run(command, async (context) => (await import('./commands/property-definitions.ts')).propertyDefinitions(context, name)),
    )

  const words = (command: Command): Command =>
    command
      .argument(
        '<property>',
        'security, protection, acl, extended-acl, vlan, profile, isolation, routing-domain, bandwidth, or name or GUID of a custom property',
      )
      .option('--port <name>', 'of this port; without it, of the switch')
      .option('--instance <guid>', 'this instance, where there are several')
  for (const [usage, call, description] of [
    ['add', 'addProperty', 'add a property'],
    ['set', 'setProperty', 'change the value of a property'],
  ] as const)
    words(asks(property, usage, description))
      .argument('<value...>', 'JSON, or NAME=VALUE pairs: mode=access accessVlanId=10')
      .option('--property-version <version>', 'version of the property, such as 1.0')
      .action((name: string, value: string[], options: PropertyWords & { propertyVersion?: string }, command: Command) =>
        run(command, async (context) =>
          (await import('./commands/property.ts')).changeProperty(context, call, name, value, {
            ...options,
            version: options.propertyVersion,
          }),
        ),
      )
  words(asks(property, 'remove', 'remove a property')).action((name: string, options: PropertyWords, command: Command) =>
    run(command, async (context) => (await import('./commands/property.ts')).removeProperty(context, name, options)),
  )

  asks(program, 'feature-status', 'ask the extension that manages a feature for its status')
    .argument('<feature>', 'its GUID, or the name of an extension that has one of its own, such as dhcp-dns')
    .option('--port <name>', 'at this port; without it, of the switch')
    .option('--instance <guid>', 'this instance of it')
    .action((id: string, { port, instance }: PropertyWords, command: Command) =>
      run(command, async (context) => (await import('./commands/property.ts')).featureStatus(context, { id, port, instance })),
    )

  asks(program, 'save', 'save ports, with what belongs to them, to a file')
    .argument('<file>')
    .option('--port <name>', 'this port only')
    .action((file: string, { port }: PropertyWords, command: Command) =>
      run(command, async (context) => (await import('./commands/save.ts')).save(context, file, port)),
    )
  asks(program, 'restore', 'restore what was saved to a file')
    .argument('<file>')
    .action((file: string, _: unknown, command: Command) =>
      run(command, async (context) => (await import('./commands/save.ts')).restore(context, file)),
    )
  asks(program, 'migrate', 'move a port to another running switch, while its VMM migrates the guest')
    .argument('<port>')
    .option('--to <socket>', 'control socket of the other switch')
    .option('--to-host <host>', 'host of the network, https://HOST:PORT, or a name of the file of hosts, in place of --to')
    .option('--to-token-file <file>', 'file with the token for that host; default: $VMSWITCH_TOKEN_FILE')
    .option('--to-ca <file>', 'certificates of the authorities that host is trusted by, PEM; default: $VMSWITCH_CA')
    .option('--now', 'do not wait until the guest has stopped')
    .action((port: string, options: MigrateOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/migrate.ts')).migrate(context, port, options)),
    )
}
