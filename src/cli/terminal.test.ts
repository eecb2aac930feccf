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

test('work that lasts is shown on a terminal, with its seconds, and wiped away; short work and pipes see nothing', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  const show = async (tty: boolean, ms: number): Promise<string> => {
    const stderr = Object.assign(new PassThrough(), { isTTY: tty })
    const terminal = createTerminal({ json: false }, { stdout: new PassThrough(), stderr, env: {} })
    const { promise, resolve } = Promise.withResolvers<number>()
    const shown = terminal.progress('applying', promise)
    t.mock.timers.tick(ms)
    resolve(7)
    assert.equal(await shown, 7)
    t.mock.timers.tick(10_000)
    return String(stderr.read() ?? '')
  }
  assert.equal(await show(true, 300), '')
  assert.equal(await show(false, 5000), '')
  assert.equal(await show(true, 1000), `\r${csi}Kapplying…\r${csi}Kapplying… 1 s\r${csi}K`)
})
