// The command line's grammar for looking into a running switch. program.ts has the rest.
import { type Command, Option } from 'commander'
import type { CommandContext } from './command-context.ts'
import type { CaptureWords } from './commands/capture.ts'
import type { TraceWords } from './commands/trace.ts'
import type { WhyDroppedWords } from './commands/why-dropped.ts'
import { whole } from './grammar.ts'

type Asks = (parent: Command, usage: string, description: string) => Command
type Run = (command: Command, work: (context: CommandContext) => Promise<unknown>) => Promise<void>

const SNAP_MIN = 14
const SNAP_MAX = 65_562
const COUNT_MAX = Number.MAX_SAFE_INTEGER
const FILES_MAX = 99_999
const MEGABYTES_MAX = 1_000_000
const LAST_MAX = 100_000
const list = (text: string): string[] => text.split(',').map((one) => one.trim())

const LAST_DEFAULT = 20
const SECONDS_MAX = 31_536_000

export function addDiagnosisCommands(program: Command, asks: Asks, run: Run): void {
  asks(program, 'capture', 'record what passes ports, what is dropped there and why, as pcapng')
    .argument('[ports...]', 'ports to capture at')
    .option('--all', 'at all ports')
    .option('-f, --filter <filter>', "what to record, in tcpdump's words: 'tcp port 80 and not host 10.0.0.1'")
    .option('-s, --snap <bytes>', 'bytes kept of each frame; default: all', whole(SNAP_MIN, SNAP_MAX), SNAP_MAX)
    .option('-c, --count <number>', 'stop after so many records', whole(1, COUNT_MAX))
    .option('-C, --file-size <MB>', 'begin another file at this size, in millions of bytes', whole(1, MEGABYTES_MAX))
    .option('-G, --seconds <seconds>', 'begin another file after this time', whole(1, SECONDS_MAX))
    .option('-W, --files <number>', 'keep so many files, the newest', whole(1, FILES_MAX))
    .option('-w, --write <file>', 'file to write; - is standard output, for wireshark -k -i -', '-')
    .addOption(
      new Option('--direction <direction>', 'frames that enter the switch, or those that leave it').choices([
        'inbound',
        'outbound',
        'both',
      ]),
    )
    .option('--no-dropped', 'leave out the records of dropped frames')
    .action((ports: string[], words: CaptureWords, command: Command) =>
      run(command, async (context) => (await import('./commands/capture.ts')).capture(context, ports, words)),
    )
  asks(program, 'why-dropped', 'show the last frames that were dropped, why, and by whom')
    .argument('[port]', 'of this port only, as source or destination')
    .option('--last <number>', 'so many, the newest', whole(0, LAST_MAX), LAST_DEFAULT)
    .option('--reason <name>', 'of this reason only, or of this entry or rule of an ACL')
    .option('--extension <name>', 'only those that this extension dropped')
    .addOption(
      new Option('--direction <direction>', 'frames that entered the switch, or those that did not get out of it').choices([
        'inbound',
        'outbound',
      ]),
    )
    .option('--since <time>', 'not before: 30s, 5m or 2h ago, or a time like 2026-01-02T03:04:05Z')
    .option('-v, --verbose', 'each with its bytes, and the command that traces it')
    .option('--follow', 'go on with those that come, until Ctrl-C')
    .option('-c, --count <number>', 'with --follow: stop after so many', whole(1, COUNT_MAX))
    .action((port: string | undefined, words: WhyDroppedWords, command: Command) =>
      run(command, async (context) => (await import('./commands/why-dropped.ts')).whyDropped(context, port, words)),
    )
  asks(program, 'trace', 'say step by step what the switch would do with a frame, without sending it')
    .argument('[port]', 'port that it comes from; a capture of vmswitch says it by itself')
    .option('--frame <hex>', 'the frame, in hexadecimal')
    .option('--pcap <file:number>', 'frame of a capture, the first one has number 1')
    .option(
      '--synth <words>',
      "one that is made up: 'tcp,src=10.0.0.1,dst=10.0.0.2,dport=80,vlan=5'; see docs/troubleshooting.md",
    )
    .option('--follow', 'ask the hosts that its tunnels lead to what they would do with it')
    .option(
      '--to-host <hosts>',
      'hosts to ask besides those of the network, separated by commas: https://HOST:PORT, or names of the file of hosts',
      list,
    )
    .option('--to-token-file <file>', 'file with the token for those hosts; default: $VMSWITCH_TOKEN_FILE')
    .option('--to-ca <file>', 'certificates of the authorities they are trusted by, PEM; default: $VMSWITCH_CA')
    .action((port: string | undefined, words: TraceWords, command: Command) =>
      run(command, async (context) => (await import('./commands/trace.ts')).trace(context, port, words)),
    )
  const extcap = program
    .command('extcap')
    .description(
      "make the switch's ports interfaces of Wireshark's; without install or uninstall: what Wireshark asks of a capture program",
    )
    .argument('[words...]', 'words of its extcap interface')
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .action((words: string[], _: unknown, command: Command) =>
      run(command, async (context) => (await import('./commands/extcap.ts')).extcap(context, words)),
    )
  extcap
    .command('install')
    .description("write the program that Wireshark calls into this user's folders of Wireshark")
    .helpOption('-h, --help')
    .action((_: unknown, command: Command) =>
      run(command, async (context) => (await import('./commands/extcap-install.ts')).installExtcap(context)),
    )
  extcap
    .command('uninstall')
    .description('remove it')
    .helpOption('-h, --help')
    .action((_: unknown, command: Command) =>
      run(command, async (context) => (await import('./commands/extcap-install.ts')).uninstallExtcap(context)),
    )
}
