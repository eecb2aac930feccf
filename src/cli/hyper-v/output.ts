// Answers of cmdlets as PowerShell shows them: a table of the properties that matter, or all of them, one a line.
import { formatTable } from '../table.ts'
import type { Output } from './cmdlet.ts'

/** A property's value in one line: True, {a, b}, nothing for null. */
export function propertyText(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (Array.isArray(value)) return `{${value.map(propertyText).join(', ')}}`
  if (typeof value === 'object')
    return `@{${Object.entries(value)
      .map(([name, member]) => `${name}=${propertyText(member)}`)
      .join('; ')}}`
  return String(value)
}

/** Lines of a table with these properties as columns. */
export function tableLines(columns: readonly string[], rows: readonly Output[], width?: number): string[] {
  const isNumber = (name: string): boolean => rows.length > 0 && rows.every((row) => typeof row[name] === 'number')
  const titles = columns.map((title) => ({ title, flexible: true, ...(isNumber(title) ? { align: 'right' as const } : {}) }))
  const cells = rows.map((row) => columns.map((name) => propertyText(row[name])))
  return formatTable(titles, [columns.map((name) => '-'.repeat(name.length)), ...cells], width)
}

/** Lines of a list: all properties of each object, an empty line between two. */
export function listLines(rows: readonly Output[]): string[] {
  return rows.flatMap((row, i) => {
    const names = Object.keys(row)
    const width = Math.max(...names.map((name) => name.length))
    return [...(i === 0 ? [] : ['']), ...names.map((name) => `${name.padEnd(width)} : ${propertyText(row[name])}`.trimEnd())]
  })
}
