// A report as text for a person.
import type { BenchReport, Floor } from '../benchmark.ts'

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join('  '),
  )
}

const show = (value: number | string): string =>
  typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(2) : String(value)

const limitOf = ({ atLeast, atMost }: Floor): string => (atLeast === undefined ? `at most ${atMost}` : `at least ${atLeast}`)

/** The report as lines of text. */
export function describeReport(report: BenchReport): string {
  const { machine } = report
  const columns = [...new Set(report.results.flatMap((result) => Object.keys(result)))]
  const floors = new Map((report.floors ?? []).map((floor) => [floor.ratio, floor]))
  const ratios = Object.entries(report.ratios).map(([name, value]) => {
    const floor = floors.get(name)
    const verdict = floor === undefined || floor.met === null ? '' : floor.met ? 'reached' : 'missed'
    return [name, value === null ? 'not measured' : value.toFixed(2), floor === undefined ? '' : limitOf(floor), verdict]
  })
  const missing = Object.entries(report.missing ?? {}).filter(([name]) => !(name in report.ratios))
  return [
    `${report.bench} on ${machine.cpu}, ${machine.processors} processors, ${machine.memoryGiB} GiB, Linux ${machine.kernel}, Node ${machine.node}, load ${machine.loadBefore}`,
    '',
    ...table([columns, ...report.results.map((result) => columns.map((column) => show(result[column] ?? '')))]),
    ...(ratios.length === 0 ? [] : ['', ...table([['ratio', 'value', '', ''], ...ratios])]),
    ...(missing.length === 0 ? [] : ['', ...missing.map(([name, reason]) => `not measured: ${name}: ${reason}`)]),
    ...(report.notes === undefined ? [] : ['', ...report.notes]),
  ]
    .map((line) => line.trimEnd())
    .join('\n')
}
