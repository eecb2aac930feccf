// `vmswitch trace PORT`: what a running switch would do with a frame, step by step, and the hosts that its tunnels lead to. The frame is given
// in hexadecimal, taken from a capture, or made up.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type CaptureRecord, readRecords } from '../../endpoints/pcap/capture-file.ts'
import type { TraceReport, TraceStep, TraceTunnel } from '../../manage/diagnosis/diagnosis-calls.ts'
import { type FollowedTunnel, followTrace } from '../../manage/diagnosis/follow.ts'
import type { PortStatus } from '../../manage/host.ts'
import { summarizeFrame } from '../../packet/summary.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'
import type { Terminal } from '../terminal.ts'
import { type FollowWords, reachHosts } from './follow.ts'
import { synthesize } from './synthesize.ts'

export interface TraceWords extends FollowWords {
  readonly frame?: string
  readonly pcap?: string
  readonly synth?: string
}

/** `port`: undefined where the capture that holds the frame says it. */
export async function trace(context: CommandContext, given: string | undefined, words: TraceWords): Promise<void> {
  const { terminal, connect, cwd } = context
  if ([words.frame, words.pcap, words.synth].filter((word) => word !== undefined).length !== 1)
    throw wrong('one of --frame, --pcap and --synth is needed')
  const captured = words.pcap === undefined ? undefined : fromCapture(words.pcap, cwd, given)
  const port = given ?? captured?.port
  if (port === undefined) throw wrong('which port does the frame come from? only a capture of vmswitch says it by itself')
  const host = await connect()
  const frame = captured?.frame ?? frameOf(words, words.synth === undefined ? [] : await host.ports(), port)
  const answer = await host.trace({ port, frame: Buffer.from(frame).toString('hex') })
  const isFollowed = words.follow === true || words.toHost !== undefined
  const followed = isFollowed ? await followTrace(answer, await reachHosts(context, words)) : []
  if (terminal.json) return terminal.data(isFollowed ? { ...answer, followed } : answer)
  show(terminal, answer)
  if (isFollowed) for (const [i, way] of followed.entries()) showWay(terminal, way, `${i + 1}`)
  else for (const tunnel of answer.tunnels) terminal.line(tunnelLine(tunnel))
}

function show(terminal: Terminal, { summary, steps, delivered }: TraceReport): void {
  terminal.line(summary)
  for (const [i, step] of steps.entries()) {
    terminal.line(`${String(i + 1).padStart(3)}  ${lineOf(step)}`)
    if (step.why !== undefined) terminal.line(`${WHY_INDENT}${step.why}`)
  }
  const to = delivered.join(', ')
  terminal.line(to === '' ? 'It would not be delivered.' : `It would be delivered to ${to}.`)
}

// Below the text of a step.
const WHY_INDENT = ' '.repeat(35)

const which = (packet: number): string => (packet === 1 ? '' : `packet ${packet}: `)
const where = (provider: string, host: string | null): string => (host === null ? provider : `${provider}, host ${host}`)

function tunnelLine({ packet, provider, host, frame }: TraceTunnel): string {
  return `${which(packet)}through the tunnel to ${where(provider, host)}: ${summarizeFrame(Buffer.from(frame, 'hex'))}`
}

// `branch`: which way it is, "2.1" is the first one from where the second one led to.
function showWay(
  terminal: Terminal,
  { packet, provider, host, report, problem, followed }: FollowedTunnel,
  branch: string,
): void {
  terminal.line('')
  const way = `${branch}. ${which(packet)}through the tunnel to ${where(provider, host)}`
  if (problem !== null) terminal.line(`${way}: what becomes of it there is not known: ${problem.message} (${problem.code})`)
  if (report === null) return
  terminal.line(`${way}, where it comes in as`)
  show(terminal, report)
  for (const [i, next] of followed.entries()) showWay(terminal, next, `${branch}.${i + 1}`)
}

function lineOf({ stage, extension, packet, text }: TraceStep): string {
  const who = extension ?? 'switch'
  return `${stage.padEnd(10)}  ${who.padEnd(16)}  ${which(packet)}${text}`
}

const wrong = (message: string): CliError => new CliError('usage', message, 'see vmswitch help trace', ExitCode.usage)

function frameOf({ frame, synth }: TraceWords, ports: readonly PortStatus[], port: string): Uint8Array {
  if (synth !== undefined) {
    const macOf = (wanted: string): string | undefined => ports.find(({ name }) => name === wanted)?.mac ?? undefined
    return synthesize(synth, macOf(port), macOf)
  }
  const digits = frame!.replace(/[\s:.-]|^0x/g, '')
  if (!/^([0-9a-f]{2})+$/i.test(digits)) throw wrong('--frame is not hexadecimal: two digits for each byte')
  return Buffer.from(digits, 'hex')
}

// What captures of vmswitch call the places where frames are dropped: PORT dropped by NAME.
const DROP_PLACE = / dropped by .*$/

// A frame of a capture, and the port that it came in by where none is `given` and the capture says it.
function fromCapture(
  word: string,
  cwd: string,
  given?: string,
): { readonly frame: Uint8Array; readonly port: string | undefined } {
  const found = /^(.+):(\d+)$/.exec(word)
  if (!found) throw wrong('--pcap needs the number of a frame behind the file: --pcap lab.pcapng:3')
  const records = readRecords(readFileSync(resolve(cwd, found[1]!)))
  const asked = records[Number(found[2]) - 1]
  if (!asked) throw wrong(`${found[1]} has ${records.length} frames, and none with number ${found[2]}`)
  // Of a frame that went out its way in is traced, which has the same number of a packet.
  const isOut = given === undefined && asked.isOutbound
  const isWayIn = ({ packetId, isOutbound }: CaptureRecord): boolean => !isOutbound && packetId === asked.packetId
  const record = isOut ? records.slice(0, Number(found[2])).findLast(isWayIn) : asked
  if (!record)
    throw wrong(
      `frame ${found[2]} went out at ${asked.interfaceName}, and its way in was not captured: name the port that it came from`,
    )
  if (!record.whole) throw wrong(`frame ${found[2]} of ${found[1]} was cut when it was captured: capture whole ones`)
  const port = record.interfaceName.replace(DROP_PLACE, '')
  return { frame: record.data, port: given ?? (port === '' ? undefined : port) }
}
