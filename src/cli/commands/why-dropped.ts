// `vmswitch why-dropped [PORT]`: the last frames that a running switch dropped, with reason, who dropped them, and the frame in words; what the
// reasons mean, and how to go on from there.
import { setTimeout as sleep } from 'node:timers/promises'
import type { DropRecord, LastDropsFilter, LastDropsReport } from '../../manage/diagnosis/diagnosis-calls.ts'
import type { RemoteSwitchHost } from '../../manage/host.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'
import type { Terminal } from '../terminal.ts'
import { count } from '../units.ts'

export interface WhyDroppedWords extends Omit<LastDropsFilter, 'port'> {
  readonly verbose?: boolean
  readonly follow?: boolean
  readonly count?: number
}

/** Between two looks of --follow; a processor keeps 512 drops, 16 a second of one port and reason. */
const LOOK_MS = 500
const LOOK_LAST = 100_000
const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const
const HEX_COLUMNS = 16
const TAG_AT = 24 // in digits: behind the two addresses
/** Source of what extensions and the switch itself send: no port that a frame could be traced from. */
const NO_PORT = 'extensions'

export async function whyDropped(context: CommandContext, port: string | undefined, words: WhyDroppedWords): Promise<void> {
  const { last, reason, extension, direction, since, verbose = false, follow = false, count: most } = words
  if (most !== undefined && !follow) throw new CliError('usage', '--count goes with --follow', 'add --follow', ExitCode.usage)
  const filter = { port, reason, extension, direction, since: since === undefined ? undefined : momentOf(since), last }
  const host = await context.connect()
  if (follow) return followDrops(context.terminal, host, filter, verbose, most)
  const answer = await host.lastDrops(filter)
  if (context.terminal.json) return context.terminal.data(answer)
  show(context.terminal, answer, filter, verbose)
}

// A time, or how long ago.
function momentOf(text: string): string {
  const ago = /^(\d{1,9})([smhd])$/.exec(text)
  if (ago) return new Date(Date.now() - Number(ago[1]) * SECONDS[ago[2] as keyof typeof SECONDS] * 1000).toISOString()
  if (Number.isNaN(Date.parse(text)))
    throw new CliError('usage', `--since ${text} is no time`, 'write 30s, 5m, 2h, 1d, or 2026-01-02T03:04:05Z', ExitCode.usage)
  return new Date(text).toISOString()
}

const where = ({ direction, port, sourcePort }: DropRecord): string =>
  direction === 'inbound' || port === sourcePort ? `from ${port}` : `${sourcePort} to ${port}`

const by = ({ rule, extension }: DropRecord): string => rule ?? extension ?? 'the switch'

function frames({ frames: of, unkept }: DropRecord): string {
  return unkept === 0 ? count(of) : `${count(of)} (+${count(unkept)})`
}

const clock = ({ time }: DropRecord): string => time.slice(11, 26)

function show(terminal: Terminal, answer: LastDropsReport, filter: LastDropsFilter, verbose: boolean): void {
  const { counted, meanings, kept, drops } = answer
  const total = Object.values(counted).reduce((sum, of) => sum + of, 0)
  if (verbose && drops.length > 0) for (const drop of drops) showOne(terminal, drop)
  else
    terminal.table(
      [
        { title: 'TIME (UTC)' },
        { title: 'WHERE', flexible: true },
        { title: 'REASON', flexible: true },
        { title: 'BY' },
        { title: 'FRAMES', align: 'right' },
        { title: 'FRAME', flexible: true },
      ],
      drops.map((drop) => [clock(drop), where(drop), drop.reason, by(drop), frames(drop), drop.summary]),
      total === 0 ? 'nothing was dropped' : `none of the ${count(kept)} drops that are kept is one of these`,
    )
  for (const reason of new Set(drops.map((drop) => drop.reason)))
    if (meanings[reason] !== undefined) terminal.line(`${reason}: ${meanings[reason]}`)
  const last = drops.at(-1)
  if (last !== undefined && !verbose && traceLine(last) !== '') terminal.line(`trace the last one: ${traceLine(last)}`)
  if (drops.length === 0 && filter.port !== undefined) goOn(terminal, filter.port)
  if (total === 0) return
  const reasons = Object.entries(counted).map(([reason, of]) => `${reason} ${count(of)}`)
  terminal.line(`dropped since the start: ${count(total)} frames (${reasons.join(', ')}); ${count(kept)} are kept`)
}

// Where a frame may be lost that was not dropped here.
function goOn(terminal: Terminal, port: string): void {
  terminal.line(`where else a frame of ${port} may be:`)
  terminal.line(`  vmswitch ports             is ${port} connected, and its link up?`)
  terminal.line(`  vmswitch counters          does anything come in there? if not, it is lost in the guest or on its way here`)
  terminal.line(`  vmswitch capture ${port}     what comes in, and what goes out to it`)
  terminal.line(`  vmswitch trace ${port} --synth 'tcp,src=ADDRESS,dst=ADDRESS,dport=80,to=PORT'`)
  terminal.line('  vmswitch vport             frames that a virtual function lost are counted there')
}

function showOne(terminal: Terminal, drop: DropRecord): void {
  const { time, reason, summary, header, length, processor, packetId } = drop
  const ids = packetId === null ? `processor ${processor}` : `processor ${processor}, packet ${packetId}`
  terminal.line(`${time}  ${where(drop)}: ${reason}, by ${by(drop)}; ${frames(drop)} frames; ${ids}`)
  terminal.line(`  ${summary}`)
  const bytes = header.match(/../g) ?? []
  for (let at = 0; at < bytes.length; at += HEX_COLUMNS)
    terminal.line(`  ${at.toString(16).padStart(4, '0')}  ${bytes.slice(at, at + HEX_COLUMNS).join(' ')}`)
  if (length !== null && length > bytes.length) terminal.line(`  … ${length - bytes.length} bytes more, which were not kept`)
  if (traceLine(drop) !== '') terminal.line(`  ${traceLine(drop)}`)
}

// The command that traces the same frame, as far as it was kept; '' where none is known.
function traceLine({ sourcePort, header, tag }: DropRecord): string {
  if (header === '' || sourcePort === NO_PORT) return ''
  const tagged = tag === null ? '' : `8100${tag.toString(16).padStart(4, '0')}`
  return `vmswitch trace ${sourcePort} --frame ${header.slice(0, TAG_AT)}${tagged}${header.slice(TAG_AT)}`
}

// Records have numbers on their processor: each is shown once.
async function followDrops(
  terminal: Terminal,
  host: RemoteSwitchHost,
  wanted: LastDropsFilter,
  verbose: boolean,
  most = Number.POSITIVE_INFINITY,
): Promise<void> {
  const seen = new Map<number, number>()
  const { last = 0, ...same } = wanted
  let filter: LastDropsFilter = { ...same, last, ...(last === 0 ? { since: new Date().toISOString(), last: LOOK_LAST } : {}) }
  for (let left = most; ; ) {
    const { drops } = await host.lastDrops(filter)
    for (const drop of drops) {
      if (drop.number <= (seen.get(drop.processor) ?? -1)) continue
      seen.set(drop.processor, drop.number)
      if (terminal.json) terminal.line(JSON.stringify(drop))
      else if (verbose) showOne(terminal, drop)
      else terminal.line(`${clock(drop)}  ${where(drop)}  ${drop.reason}  ${by(drop)}  ${frames(drop)}  ${drop.summary}`)
      if (--left === 0) return
    }
    filter = { ...same, since: drops.at(-1)?.time ?? filter.since, last: LOOK_LAST }
    await sleep(LOOK_MS)
  }
}
