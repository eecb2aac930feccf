import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatTable } from './table.ts'

const columns = [{ title: 'PORT', flexible: true }, { title: 'FRAMES', align: 'right' as const }, { title: 'KIND' }]

test('a table has columns as wide as their contents and no trailing spaces', () => {
  assert.deepEqual(
    formatTable(columns, [
      ['alpha', '1', 'tap'],
      ['b', '1 234 567', ''],
    ]),
    ['PORT      FRAMES  KIND', 'alpha          1  tap', 'b      1 234 567'],
  )
})

test('a table is narrowed to the terminal by cutting flexible columns only', () => {
  const lines = formatTable(columns, [['a-rather-long-name', '12', 'vhost-user']], 32)
  assert.deepEqual(lines, ['PORT          FRAMES  KIND', 'a-rather-lo…      12  vhost-user'])
  assert.ok(lines.every((line) => line.length <= 32))
})

test('a table that can not be narrowed enough stays whole', () => {
  assert.deepEqual(formatTable(columns, [['abcdefgh', '123', 'memory']], 10)[1], 'abcdefgh     123  memory')
})

test('colour does not move columns', () => {
  const paint = (text: string, row: number) => (row === 0 ? `<${text}>` : text)
  assert.deepEqual(
    formatTable(
      columns,
      [
        ['a', '1', 'x'],
        ['b', '2', 'y'],
      ],
      undefined,
      paint,
    ),
    ['PORT  FRAMES  KIND', '<a>          <1>  <x>', 'b          2  y'],
  )
})
