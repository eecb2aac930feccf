// Tables for a terminal: columns as wide as their contents, narrowed where the terminal is narrower, never wrapped.

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
  /** May be cut, with "…", where the table is wider than the terminal. */
  readonly flexible?: boolean
}

const GAP = '  '
const FLEXIBLE_MIN = 8

/**
 * Lines of a table, the titles first, without trailing spaces. `width` is in characters; a table that can't be narrowed enough
 * is wider. `paint` gives cells their colour after they are laid out: row -1 is the titles.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width = Number.POSITIVE_INFINITY,
  paint: (text: string, row: number, column: number) => string = (text) => text,
): string[] {
  const widths = columns.map(({ title }, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)))
  narrow(columns, widths, width)
  const line = (cells: readonly string[], row: number): string =>
    columns
      .map(({ align }, i) => {
        const text = cut(cells[i] ?? '', widths[i]!)
        const space = ' '.repeat(widths[i]! - text.length)
        const painted = text === '' ? '' : paint(text, row, i)
        if (align === 'right') return space + painted
        return i === columns.length - 1 ? painted : painted + space
      })
      .join(GAP)
      .trimEnd()
  return [
    line(
      columns.map(({ title }) => title),
      -1,
    ),
    ...rows.map(line),
  ]
}

/** Takes what is too wide from the widest flexible column, again and again. */
function narrow(columns: readonly Column[], widths: number[], width: number): void {
  const total = (): number => widths.reduce((sum, one) => sum + one, 0) + GAP.length * (widths.length - 1)
  while (total() > width) {
    let widest = -1
    for (const [i, { flexible }] of columns.entries())
      if (flexible === true && widths[i]! > FLEXIBLE_MIN && (widest < 0 || widths[i]! > widths[widest]!)) widest = i
    if (widest < 0) return
    widths[widest]!--
  }
}

const cut = (text: string, width: number): string => (text.length <= width ? text : `${text.slice(0, width - 1)}…`)
