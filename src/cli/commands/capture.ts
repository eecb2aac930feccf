// `vmswitch capture`: what passes a running switch, in pcapng, to a file or to another program. The switch need not be prepared for it:
// the capture begins with the command and ends with it.
import { once } from 'node:events'
import { resolve } from 'node:path'
import type { RunningCapture } from '../../manage/diagnosis/diagnosis-calls.ts'
import { isPacketBlock, PcapngBlocks } from '../../packet/pcapng-merge.ts'
import { checkFilter } from '../check-filter.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'
import { count } from '../units.ts'
import { CaptureFiles } from './capture-files.ts'

const MEGABYTE = 1_000_000

/** The command's options, under tcpdump's letters where it has one. */
export interface CaptureWords {
  readonly all?: boolean
  readonly filter?: string
  readonly snap?: number
  readonly count?: number
  readonly fileSize?: number
  readonly seconds?: number
  readonly files?: number
  readonly write: string
  readonly direction?: 'inbound' | 'outbound' | 'both'
  readonly dropped: boolean
}

/** Where blocks go. */
interface Target {
  write(block: Uint8Array): void | Promise<void>
  close(): void
  readonly names: readonly string[]
}

export async function capture(context: CommandContext, ports: readonly string[], words: CaptureWords): Promise<number> {
  const { terminal, cwd } = context
  if ((ports.length === 0) !== (words.all === true))
    throw new CliError('usage', 'name the ports to capture at, or --all', 'see vmswitch help capture', ExitCode.usage)
  const toStdout = words.write === '-'
  const rotates = words.fileSize !== undefined || words.seconds !== undefined
  if (toStdout && (rotates || terminal.json))
    throw new CliError('usage', '-C, -G and --json need a file to write to', 'give one with -w FILE', ExitCode.usage)
  if (words.files !== undefined && !rotates)
    throw new CliError(
      'usage',
      '-W keeps the newest of several files',
      'say when another one begins: -C MB or -G SECONDS',
      ExitCode.usage,
    )
  if (toStdout && process.stdout.isTTY)
    throw new CliError(
      'usage',
      'a capture is nothing to read on a terminal',
      'write it to a file with -w FILE, or pipe it: vmswitch capture … | tshark -r -',
      ExitCode.usage,
    )
  checkFilter(words.filter)
  const host = await context.connect()
  const running = await host.capture({
    ...(ports.length === 0 ? {} : { ports }),
    filter: words.filter,
    snapBytes: words.snap,
    direction: words.direction,
    dropped: words.dropped,
  })
  const target = await opened(running, () => (toStdout ? standardOutput() : filesOf(resolve(cwd, words.write), words)))
  const summary = await copy(running, target, words.count)
  if (terminal.json) terminal.data({ ...summary, files: target.names })
  else {
    const into = target.names.length > 0 ? ` in ${target.names.join(', ')}` : ''
    terminal.note(`${count(summary.records)} records${into}, ${count(summary.lost)} lost`)
  }
  return ExitCode.ok
}

// A file that can't be opened ends the capture: one that nobody reads would keep this process, and itself on the switch, for ever.
async function opened(running: RunningCapture, open: () => Target): Promise<Target> {
  try {
    return open()
  } catch (error) {
    await running.stop()
    for await (const _ of running.chunks);
    throw error
  }
}

const filesOf = (file: string, { fileSize, seconds, files }: CaptureWords): Target =>
  new CaptureFiles({ file, maxBytes: fileSize === undefined ? undefined : fileSize * MEGABYTE, maxSeconds: seconds, files }, () =>
    performance.now(),
  )

function standardOutput(): Target {
  const { stdout } = process
  return {
    names: [],
    write: async (block) => {
      if (!stdout.write(block)) await once(stdout, 'drain')
    },
    close: () => {},
  }
}

// Until the capture ends, `most` packets are there, or somebody interrupts: then what the switch still has is waited for.
async function copy(
  running: RunningCapture,
  target: Target,
  most: number | undefined,
): Promise<{ records: number; lost: number }> {
  const stop = { asked: undefined as ReturnType<RunningCapture['stop']> | undefined }
  const end = (): void => {
    stop.asked ??= running.stop()
    stop.asked.catch(() => undefined)
  }
  const signals = ['SIGINT', 'SIGTERM'] as const
  for (const signal of signals) process.once(signal, end)
  const blocks = new PcapngBlocks()
  let records = 0
  try {
    for await (const chunk of running.chunks)
      for (const block of blocks.push(chunk)) {
        const isPacket = isPacketBlock(block)
        if (isPacket && most !== undefined && records >= most) continue
        await target.write(block)
        if (isPacket && ++records === most) end()
      }
  } finally {
    for (const signal of signals) process.removeListener(signal, end)
    target.close()
  }
  // A switch that ended by itself can't say any more what was lost.
  const lost = await (stop.asked?.then((summary) => summary.lost) ?? Promise.resolve(0)).catch(() => 0)
  return { records, lost }
}
