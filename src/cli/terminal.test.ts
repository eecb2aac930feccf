import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { createTerminal } from './terminal.ts'

function output(tty: boolean, env: Record<string, string>): string {
  const stdout = Object.assign(new PassThrough(), { isTTY: tty, columns: 80 })
  const terminal = createTerminal({ json: false }, { stdout, stderr: new PassThrough(), env })
  terminal.table([{ title: 'PORT' }, { title: 'LINK' }], [['alpha', 'down']], 'none')
  return String(stdout.read())
}

const plain = 'PORT   LINK\nalpha  down\n'
const csi = '\u001b['

test('a terminal gets colour, a pipe does not', () => {
  assert.ok(output(true, {}).includes(`${csi}31mdown`))
  assert.equal(output(false, {}), plain)
})

test('NO_COLOR turns colour off everywhere, FORCE_COLOR turns it on where NO_COLOR is not set', () => {
  assert.equal(output(true, { NO_COLOR: '1' }), plain)
  assert.ok(output(false, { FORCE_COLOR: '1' }).includes(csi))
  assert.equal(output(false, { FORCE_COLOR: '0' }), plain)
  assert.equal(output(true, { NO_COLOR: '1', FORCE_COLOR: '1' }), plain)
})

test('a table without rows says so', () => {
  const stdout = new PassThrough()
  createTerminal({ json: false }, { stdout, stderr: new PassThrough(), env: {} }).table([{ title: 'PORT' }], [], 'no ports')
  assert.equal(String(stdout.read()), 'no ports\n')
})
