// `vmswitch top`: what passes each port, now, the busiest first; a new picture every second until Ctrl-C.
//
// The rule it must not break: a terminal is left as it was found.
import { setTimeout as pause } from 'node:timers/promises'
import type { CommandContext } from '../command-context.ts'
import { ExitCode } from '../exit.ts'
import { type Rates, ratesOf } from '../rates.ts'
import { formatTable } from '../table.ts'
import { count, nanoseconds } from '../units.ts'

export interface TopOptions {
  /** Seconds between two pictures. */
  readonly every: number
  /** Pictures; without it until Ctrl-C. */
  readonly times?: number
}

const HEAD_LINES = 4
const OTHER_SCREEN = '\x1b[?1049h\x1b[?25l'
const OLD_SCREEN = '\x1b[?25h\x1b[?1049l'
const HOME = '\x1b[H\x1b[J'

export async function top(
  { terminal, connect }: CommandContext,
  { every, times = Number.POSITIVE_INFINITY }: TopOptions,
): Promise<number> {
  const host = await connect()
  const { name } = await host.status()
  const stop = new AbortController()
  const interrupt = (): void => stop.abort()
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  const { stdout } = process
  const live = stdout.isTTY === true && !terminal.json
  if (live) stdout.write(OTHER_SCREEN)
  try {
    let before = await host.counters()
    for (let picture = 0; picture < times; picture++) {
      await pause(every * 1000, undefined, { signal: stop.signal })
      const after = await host.counters()
      const rates = ratesOf(before, after)
      before = after
      if (terminal.json) terminal.line(JSON.stringify({ takenAt: after.takenAt, ...rates }))
      else {
        const latency = after.processors.map(({ latencyNs }) => nanoseconds(latencyNs.p99)).join(', ')
        const rows = live ? Math.max(1, (stdout.rows ?? 24) - HEAD_LINES) : rates.ports.length
        const lines = pictureOf({ name, latency, rates, rows, width: stdout.columns })
        if (live) stdout.write(`${HOME}${lines.join('\n')}`)
        else for (const line of lines) terminal.line(line)
      }
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error
  } finally {
    if (live) stdout.write(OLD_SCREEN)
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
  }
  return ExitCode.ok
}

interface Picture {
  readonly name: string
  readonly latency: string
  readonly rates: Rates
  readonly rows: number
  readonly width: number | undefined
}

/** Lines of one picture: a head, and at most `rows` ports. */
export function pictureOf({ name, latency, rates, rows, width }: Picture): string[] {
  const busy = rates.busy.map((share) => `${Math.round(share * 100)} %`).join(', ')
  const table = formatTable(
    [
      { title: 'PORT', flexible: true },
      { title: 'IN FRAMES/S', align: 'right' },
      { title: 'IN BIT/S', align: 'right' },
      { title: 'OUT FRAMES/S', align: 'right' },
      { title: 'OUT BIT/S', align: 'right' },
      { title: 'DROPS/S', align: 'right' },
    ],
    rates.ports
      .slice(0, rows)
      .map((port) => [
        port.name,
        count(port.receivedFrames),
        count(port.receivedBits),
        count(port.sentFrames),
        count(port.sentBits),
        count(port.dropped),
      ]),
    width,
  )
  return [
    `${name}: ${count(rates.receivedFrames)} frames/s in, ${count(rates.sentFrames)} out, ${count(rates.dropped)} dropped; ${rates.ports.length} ports`,
    `processors: busy ${busy}; 99 % of bursts within ${latency}`,
    '',
    ...table,
  ]
}
