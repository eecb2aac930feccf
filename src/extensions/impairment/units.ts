// Times, rates and percentages as people write them, in the words of tc-netem.
import type { OptionReader } from '../../extension.ts'

const TIME_UNITS: Readonly<Record<string, number>> = { us: 0.001, usec: 0.001, ms: 1, msec: 1, s: 1000, sec: 1000 }
const RATE_UNITS: Readonly<Record<string, number>> = { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9 }
const QUANTITY = /^(\d+(?:\.\d+)?) ?([a-z%]*)$/

function read(
  reader: OptionReader,
  name: string,
  units: Readonly<Record<string, number>>,
  range: { readonly min: number; readonly max: number },
  example: string,
): number | undefined {
  const raw = reader.value(name)
  if (raw === undefined) return undefined
  const parts = typeof raw === 'string' ? QUANTITY.exec(raw.trim().toLowerCase()) : null
  const scale = parts === null ? undefined : parts[2] === '' ? 1 : units[parts[2]!]
  const value = typeof raw === 'number' ? raw : parts !== null && scale !== undefined ? Number(parts[1]) * scale : Number.NaN
  if (value >= range.min && value <= range.max) return value
  throw reader.error(name, `${JSON.stringify(raw)} is not ${example}`)
}

/** Milliseconds: a number of them, or one with a unit. */
export const readTime = (reader: OptionReader, name: string, max: number, min = 0): number | undefined =>
  read(reader, name, TIME_UNITS, { min, max }, `a time of ${min} to ${max} ms: write for example 20ms, 250us or 1s`)

/** Bits per second: a number of them, or one with a unit. */
export const readRate = (reader: OptionReader, name: string, min: number, max: number): number | undefined =>
  read(
    reader,
    name,
    RATE_UNITS,
    { min, max },
    `a rate of ${min} bit/s to ${max / 1e9} Gbit/s: write for example 10mbit or 500kbit`,
  )

/** A part of 1, written in percent with or without the sign. */
export function readPercent(reader: OptionReader, name: string): number | undefined {
  const value = read(reader, name, { '%': 1 }, { min: 0, max: 100 }, 'a percentage of 0 to 100: write for example 1.5%')
  return value === undefined ? undefined : value / 100
}
