// The command line's grammar: commands, arguments, options. What a command does is in commands/, loaded when it is called.
import { Argument, Command, CommanderError, Option } from 'commander'
import { addAdapterCommands } from './adapter-commands.ts'
import { addBrowserGuestCommands } from './browser-guest-commands.ts'
import { type CommandContext, type CommonOptions, processContext } from './command-context.ts'
import type { UpOptions } from './commands/up.ts'
import type { VerifyArguments } from './commands/verify.ts'
import { addCompletionCommands } from './completion-commands.ts'
import { addDiagnosisCommands } from './diagnosis-commands.ts'
import { environment, exitStatus } from './exit.ts'
import { consoleOption, networkOptions, whole } from './grammar.ts'
import { addHyperVCommands } from './hyper-v-commands.ts'
import { addInstallCommands } from './install-commands.ts'
import { addLabCommands } from './lab-commands.ts'
import { addMdbCommands } from './mdb-commands.ts'
import { addNetworkCommands } from './network-commands.ts'
import { addNounCommands } from './noun-commands.ts'
import { addOverlayCommands } from './overlay-commands.ts'
import { addPolicyCommands } from './policy-commands.ts'
import { addPortCommands } from './port-commands.ts'
import { addServiceCommands } from './service-commands.ts'
import { addTokenCommands } from './token-commands.ts'

const vmmNames = ['qemu', 'cloud-hypervisor', 'crosvm', 'firecracker', 'libkrun'] as const
const MEMORY_MIB_MAX = 1_048_576
const VLAN_MAX = 4094
const SEED_MAX = 0xffff_ffff
const VERIFY_SECONDS_MAX = 3600
const VERIFY_STEPS_MAX = 1_000_000

export { CommanderError }

const exitCodes = `
Exit codes: ${Object.entries(exitStatus)
  .map(([code, text]) => `${code} ${text}`)
  .join('; ')}.
Environment: ${Object.entries(environment)
  .map(([name, text]) => `${name} ${text}`)
  .join('; ')}.`

/** What a command returns: an exit code, or nothing for 0. */
type Work = (context: CommandContext) => Promise<unknown>

/** The whole grammar. `finish` gets the exit code of the command that ran. */
export function createProgram(version: string, finish: (exitCode: number) => void): Command {
  const program = new Command('vmswitch')
    .description('An extensible switch for virtual machines, in user space')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this')
    .helpCommand('help [command]', 'print the help of a command')
    .addHelpText('after', exitCodes)
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .exitOverride()

  const json = (): Option => new Option('--json', 'answer in JSON')
  const socket = (): Option =>
    new Option('--socket <path>', 'control socket; default: $VMSWITCH_CONTROL, else the switch started last')
  const run = async (command: Command, work: Work): Promise<void> => {
    const exitCode = await work(processContext(command.optsWithGlobals<CommonOptions>()))
    finish(typeof exitCode === 'number' ? exitCode : 0)
  }
  /** A command that asks a running switch. */
  const asks = (parent: Command, usage: string, description: string): Command =>
    networkOptions(parent.command(usage).description(description).addOption(json()).addOption(socket())).enablePositionalOptions()

  program
    .command('up')
    .description('start a switch, and the guests of its lab')
    .argument('<file>', 'configuration, YAML or TypeScript')
    .option('--once', 'stop when the guests have shown that they reach each other')
    .option('--no-guests', 'start the switch only')
    .addOption(consoleOption())
    .option('--console-read-only', 'who opens the console at --console may look, and change nothing')
    .addOption(json())
    .action(async (file: string, options: Partial<UpOptions> & { guests: boolean }, command: Command) =>
      run(command, async (context) =>
        (await import('./commands/up.ts')).up(context, file, { ...options, once: options.once === true }),
      ),
    )

  asks(program, 'status', 'show a running switch').action((_: unknown, command: Command) =>
    run(command, async (context) => (await import('./commands/status.ts')).status(context)),
  )
  asks(program, 'ports', 'show the ports').action((_: unknown, command: Command) =>
    run(command, async (context) => (await import('./commands/ports.ts')).ports(context)),
  )

  const filters = (command: Command): Command =>
    command.option('--vlan <id>', 'of this VLAN only', whole(0, VLAN_MAX)).option('--port <name>', 'of this port only')
  type Filters = { vlan?: number; port?: string }
  const fdb = filters(asks(program, 'fdb', 'show which address is behind which port')).action(
    (options: Filters, command: Command) =>
      run(command, async (context) =>
        (await import('./commands/fdb.ts')).fdb(context, { vlan: options.vlan, port: options.port }),
      ),
  )
  filters(asks(fdb, 'list', 'show them')).action((options: Filters, command: Command) =>
    run(command, async (context) => (await import('./commands/fdb.ts')).fdb(context, { vlan: options.vlan, port: options.port })),
  )
  filters(asks(fdb, 'flush', 'forget learned addresses')).action((options: Filters, command: Command) =>
    run(command, async (context) =>
      (await import('./commands/fdb.ts')).flushFdb(context, { vlan: options.vlan, port: options.port }),
    ),
  )

  addMdbCommands(program, asks, run)
  addOverlayCommands(program, asks, run)
  asks(program, 'team', 'show the team of uplinks').action((_: unknown, command: Command) =>
    run(command, async (context) => (await import('./commands/team.ts')).team(context)),
  )

  const listExtensions = (_: unknown, command: Command): Promise<void> =>
    run(command, async (context) => (await import('./commands/ext.ts')).listExtensions(context))
  const ext = asks(program, 'ext', 'show the extension stack').alias('extension').action(listExtensions)
  asks(ext, 'list', 'show it').action(listExtensions)
  addInstallCommands(ext, asks, run)
  for (const enabled of [true, false])
    asks(ext, enabled ? 'enable' : 'disable', `${enabled ? 'enable' : 'disable'} an extension`)
      .argument('<name>')
      .action((name: string, _: unknown, command: Command) =>
        run(command, async (context) => (await import('./commands/ext.ts')).setExtension(context, name, enabled)),
      )
  for (const paused of [true, false])
    asks(
      ext,
      paused ? 'pause' : 'restart',
      paused ? 'stop an extension at its place: packets that come to it are dropped' : 'let a paused extension go on',
    )
      .argument('<name>')
      .action((name: string, _: unknown, command: Command) =>
        run(command, async (context) => (await import('./commands/ext.ts')).pauseExtension(context, name, paused)),
      )
  asks(ext, 'reorder', 'put the extensions into another order, each class in itself')
    .argument('<names...>', 'all extensions in their new order')
    .action((names: string[], _: unknown, command: Command) =>
      run(command, async (context) => (await import('./commands/ext.ts')).reorderExtensions(context, names)),
    )
  asks(ext, 'reload', 'load an extension anew from its file, while traffic flows')
    .argument('<name>')
    .action((name: string, _: unknown, command: Command) =>
      run(command, async (context) => (await import('./commands/ext.ts')).reloadExtension(context, name)),
    )

  asks(program, 'counters', 'show what passed').action((_: unknown, command: Command) =>
    run(command, async (context) => (await import('./commands/counters.ts')).counters(context)),
  )
  asks(program, 'drops', 'show what was dropped, and why').action((_: unknown, command: Command) =>
    run(command, async (context) => (await import('./commands/counters.ts')).drops(context)),
  )

  addNounCommands(program, asks, run)
  addHyperVCommands(program, run)
  addCompletionCommands(program, run)
  addPortCommands(program, asks, run)
  addPolicyCommands(program, asks, run)
  addAdapterCommands(program, asks, run)
  addDiagnosisCommands(program, asks, run)
  addServiceCommands(program, asks, run)
  addNetworkCommands(program, asks, run)
  addTokenCommands(program, run)
  addBrowserGuestCommands(program, asks, run)
  addLabCommands(program, run)

  type VmmOptions = { vmm: (typeof vmmNames)[number]; memory: number; config?: string }
  asks(program, 'qemu-args', 'print what to give a VMM to attach its guest to a port')
    .argument('<port>')
    .addOption(new Option('--vmm <name>', 'the VMM').choices(vmmNames).default('qemu'))
    .option('--memory <MiB>', 'memory of the guest, in MiB', whole(1, MEMORY_MIB_MAX), 512)
    .option('--config <file>', 'take the port from a configuration instead of from a running switch')
    .action((port: string, { vmm, memory, config }: VmmOptions, command: Command) =>
      run(command, async (context) =>
        (await import('./commands/qemu-args.ts')).vmmArguments(context, port, { vmm, memoryMiB: memory, config }),
      ),
    )

  program
    .command('check')
    .description('say whether a configuration can be used')
    .addArgument(new Argument('<file>', 'configuration, YAML or TypeScript'))
    .addOption(json())
    .action((file: string, _: unknown, command: Command) =>
      run(command, async (context) => (await import('./commands/check.ts')).check(context, file)),
    )
  program
    .command('verify')
    .description('say whether an extension keeps the contract: runs it in a switch that makes trouble on purpose')
    .addArgument(new Argument('<file>', "the extension's module, TypeScript"))
    .option('--seed <number>', 'repeat the run of this seed; default: another one each time', whole(0, SEED_MAX))
    .option('--seconds <number>', 'how long; default: 10', whole(1, VERIFY_SECONDS_MAX))
    .option('--steps <number>', 'how many steps, instead of how long', whole(1, VERIFY_STEPS_MAX))
    .option('--options <json>', "the extension's options")
    .addOption(json())
    .action((file: string, given: VerifyArguments, command: Command) =>
      run(command, async (context) => (await import('./commands/verify.ts')).verify(context, file, given)),
    )
  program
    .command('schema')
    .description('print the JSON Schema of configurations')
    .addOption(json())
    .action((_: unknown, command: Command) =>
      run(command, async (context) => (await import('./commands/check.ts')).schema(context)),
    )
  return program
}
