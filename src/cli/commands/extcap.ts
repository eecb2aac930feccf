// `vmswitch extcap`: the running switch as a set of capture interfaces of Wireshark, one per port. The words are those of its extcap
// interface; extcap-install.ts writes the script that Wireshark calls.
import { createWriteStream } from 'node:fs'
import { faultOf } from '../check-filter.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'

const PREFIX = 'vmswitch-'
const ALL_PORTS = 'vmswitch'
const VERSION = '1.0'
const SNAP_MAX = 65_562

/** Answers one call of Wireshark's. */
export async function extcap({ terminal, connect }: CommandContext, words: readonly string[]): Promise<void> {
  const asked = (name: string): boolean => words.includes(`--${name}`)
  if (asked('extcap-interfaces')) {
    terminal.line(`extcap {version=${VERSION}}{display=vmswitch}`)
    terminal.line(`interface {value=${ALL_PORTS}}{display=vmswitch: all ports}`)
    // Wireshark asks at every start: a machine without a running switch has no ports, which is no error.
    const ports = await connect()
      .then((host) => host.ports())
      .catch(() => [])
    for (const { name, endpoint } of ports)
      terminal.line(`interface {value=${PREFIX}${name}}{display=vmswitch: port ${name} (${endpoint.kind})}`)
  } else if (asked('extcap-dlts')) terminal.line('dlt {number=1}{name=EN10MB}{display=Ethernet}')
  else if (asked('extcap-config')) {
    terminal.line(
      'arg {number=0}{call=--direction}{display=Direction}{type=selector}{tooltip=Frames that enter or leave the switch}',
    )
    for (const value of ['both', 'inbound', 'outbound'])
      terminal.line(`value {arg=0}{value=${value}}{display=${value}}{default=${value === 'both'}}`)
    terminal.line(
      `arg {number=1}{call=--snap}{display=Bytes per frame}{type=unsigned}{range=14,${SNAP_MAX}}{default=${SNAP_MAX}}`,
    )
    terminal.line('arg {number=2}{call=--no-dropped}{display=Leave out dropped frames}{type=boolflag}{default=false}')
  } else if (asked('capture')) await record({ connect }, words)
  // So Wireshark checks a filter while it is typed: what is said here is wrong with it.
  else if (words.some((word) => word.startsWith('--extcap-capture-filter'))) {
    const fault = faultOf(wordAfter(words, 'extcap-capture-filter') ?? '')
    if (fault !== undefined) terminal.line(fault)
  } else if (asked('extcap-version')) terminal.line(`extcap {version=${VERSION}}{display=vmswitch}`)
  else
    throw new CliError(
      'usage',
      words.length === 0 ? 'extcap is asked by Wireshark' : `Wireshark asks nothing such as "${words.join(' ')}"`,
      'vmswitch extcap install makes it known to Wireshark',
      ExitCode.usage,
    )
}

// `--name value` or `--name=value`.
function wordAfter(words: readonly string[], name: string): string | undefined {
  const at = words.indexOf(`--${name}`)
  return at >= 0 ? words[at + 1] : words.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3)
}

async function record({ connect }: Pick<CommandContext, 'connect'>, words: readonly string[]): Promise<void> {
  const named = wordAfter(words, 'extcap-interface')
  const fifo = wordAfter(words, 'fifo')
  if (named === undefined || fifo === undefined)
    throw new CliError('usage', 'extcap --capture needs --extcap-interface and --fifo', '', ExitCode.usage)
  const direction = wordAfter(words, 'direction')
  const filter = wordAfter(words, 'extcap-capture-filter')
  const running = await (await connect()).capture({
    ...(named === ALL_PORTS ? {} : { ports: [named.slice(PREFIX.length)] }),
    ...(filter === undefined || filter === '' ? {} : { filter }),
    ...(direction === 'inbound' || direction === 'outbound' ? { direction } : {}),
    snapBytes: Number(wordAfter(words, 'snap') ?? SNAP_MAX),
    dropped: !words.includes('--no-dropped'),
  })
  const end = (): void => void running.stop().catch(() => undefined)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end)
  const out = createWriteStream(fifo)
  out.on('error', end) // Wireshark has closed its end
  for await (const chunk of running.chunks)
    if (!out.write(chunk)) await new Promise<void>((resolve) => out.once('drain', resolve).once('error', () => resolve()))
  await new Promise<void>((resolve) => out.end(() => resolve()))
}
