// What a line would do to a frame, in words, for traces.
import type { LineSettings } from './options.ts'

const PERCENT = 100
const RATE_UNITS = [
  [1e9, 'Gbit/s'],
  [1e6, 'Mbit/s'],
  [1e3, 'kbit/s'],
] as const

const percent = (part: number): string => `${Number((part * PERCENT).toPrecision(3))} %`
const time = (ms: number): string => (ms < 1 ? `${Number((ms * 1000).toPrecision(3))} µs` : `${Number(ms.toPrecision(6))} ms`)

function rateWords(bits: number): string {
  for (const [scale, unit] of RATE_UNITS) if (bits >= scale) return `${Number((bits / scale).toPrecision(6))} ${unit}`
  return `${bits} bit/s`
}

/** What settings do to a frame, chance told as such; `waiting`: frames that the line holds before it. */
export function wordsOf(settings: LineSettings, waiting: number): string {
  const { up, delay, jitter, rate, loss, gemodel, duplicate, corrupt, reorder, gap } = settings
  if (!up) return 'its link is down'
  const said: string[] = []
  if (delay > 0) said.push(`would wait ${time(delay)}${jitter > 0 ? `, ${time(jitter)} more or less` : ''}`)
  if (rate > 0) said.push(`would leave at ${rateWords(rate)}${waiting > 0 ? `, behind ${waiting} frames` : ''}`)
  if (gemodel !== undefined)
    said.push(
      `would be lost by chance in bursts: ${percent(gemodel.badLoss)} of frames then, ${percent(gemodel.goodLoss)} otherwise; ${percent(gemodel.p)} begin one, ${percent(gemodel.r)} end it`,
    )
  else if (loss > 0) said.push(`would be lost by chance: ${percent(loss)} of frames are`)
  if (duplicate > 0) said.push(`would come twice by chance: ${percent(duplicate)}`)
  if (corrupt > 0) said.push(`would be corrupted by chance: ${percent(corrupt)}`)
  if (reorder > 0) said.push(`would overtake others by chance: ${percent(reorder)}${gap > 1 ? ` of each ${gap}th` : ''}`)
  return said.length === 0 ? 'its line does nothing to frames now' : said.join('; ')
}
