// What a failover lab found out, for a person and for a program.

import type { FailoverResult } from './run-failover.ts'
import type { Account, StreamTransition, Transition } from './transitions.ts'

/** Titles of the table; all but the first four are numbers. Times are microseconds. */
export const transitionColumns = [
  'at ms',
  'action',
  'stream',
  'to',
  'last old µs',
  'first new µs',
  'blackout µs',
  'silence µs',
  'lost',
  'dup',
  'reord',
  'in rings',
] as const
export const TEXT_COLUMNS: ReadonlySet<string> = new Set(['action', 'stream', 'to'])

const whole = (value: number | null): string => (value === null ? '' : String(Math.round(value)))

/** A row for each stream of each transition. */
export function transitionRows({ account: { transitions }, beganUs }: Pick<FailoverResult, 'account' | 'beganUs'>): string[][] {
  return transitions.flatMap((transition) => rowsOf(transition, beganUs))
}

function rowsOf({ action, target, beganUs, streams, inRings }: Transition, originUs: number): string[][] {
  return streams.map((stream, i) => [
    i === 0 ? whole((beganUs - originUs) / 1000) : '',
    i === 0 ? `${action} ${target}` : '',
    stream.stream,
    stream.to ?? '',
    whole(stream.lastOldUs),
    whole(stream.firstNewUs),
    whole(stream.blackoutUs),
    whole(stream.silenceUs),
    String(stream.lost),
    String(stream.duplicated),
    String(stream.reordered),
    i === 0 ? String(inRings) : '',
  ])
}

/** Sums over all of a run. */
export function totalsOf({ start, transitions }: Account) {
  const streams = [...start, ...transitions.flatMap((transition) => transition.streams)]
  const sum = (of: (one: StreamTransition) => number): number => streams.reduce((total, one) => total + of(one), 0)
  return {
    sent: sum((one) => one.sent),
    lost: sum((one) => one.lost),
    duplicated: sum((one) => one.duplicated),
    reordered: sum((one) => one.reordered),
    inRings: transitions.reduce((total, { inRings }) => total + inRings, 0),
    switchovers: streams.filter(({ moved }) => moved).length,
    longestBlackoutUs: Math.max(0, ...streams.map(({ blackoutUs }) => blackoutUs ?? 0)),
  }
}

/** Lines below the table. */
export function summaryLines(result: FailoverResult): string[] {
  const { sent, lost, duplicated, reordered, inRings, longestBlackoutUs } = totalsOf(result.account)
  const lines: string[] = []
  const [what, held] =
    result.guests === 'software' ? ['UDP', ` (${inRings} were in rings that were torn out)`] : ['echo requests', '']
  if (sent > 0)
    lines.push(
      `${what}: ${sent} frames sent, ${lost} lost${held}, ${duplicated} duplicated, ${reordered} reordered; longest blackout ${Math.round(longestBlackoutUs)} µs`,
    )
  const { tcp } = result
  if (tcp !== null)
    lines.push(
      tcp.intact
        ? `TCP: ${tcp.receivedBytes} bytes arrived as they were sent, over ${result.account.transitions.length} actions`
        : `TCP: broken: ${tcp.error}`,
    )
  for (const problem of result.problems) lines.push(`problem: ${problem}`)
  if (result.problems.length > 0)
    for (const [place, frames] of Object.entries(result.drops)) lines.push(`dropped: ${frames} at ${place}`)
  return lines
}

/** For a program; the frames themselves are left out. */
export function resultJson(result: FailoverResult) {
  const { records: _, account, ...rest } = result
  return { ...rest, totals: totalsOf(account), ...account }
}
