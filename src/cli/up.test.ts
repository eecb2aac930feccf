// `vmswitch up` as a process with the real switch in it: sockets only, no guests.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { connectControl } from '../manage/control/control-client.ts'
import { ControlError } from '../manage/control/control-errors.ts'

const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'vmswitch-up-'))
const children: ChildProcess[] = []
after(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(directory, { recursive: true })
})

const file = join(directory, 'lab.yaml')
const run = join(directory, 'run')
writeFileSync(
  file,
  `switch:
  name: up-test
  extensions:
    - use: counters
    - { use: acl, onFailure: open, options: { default: allow } }
  ports:
    - { name: one, mac: "52:54:00:00:00:01", endpoint: { kind: stream, path: one.sock } }
    - { name: two, endpoint: { kind: vhost-user, path: two.sock } }
runtime: { directory: ${run} }
`,
)

interface Up {
  readonly child: ChildProcess
  /** The first object with this event; ends the test if the process ends before. */
  event(name: string): Promise<Record<string, unknown>>
  readonly ended: Promise<{ code: number | null; stderr: string }>
}

function up(...args: string[]): Up {
  const child = spawn(bin, ['up', file, '--json', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
  })
  const ended = new Promise<{ code: number | null; stderr: string }>((resolve) =>
    child.on('close', (code) => resolve({ code, stderr: stderr + stdout })),
  )
  const event = (name: string): Promise<Record<string, unknown>> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        for (const line of stdout.split('\n').slice(0, -1)) {
          const data = JSON.parse(line) as Record<string, unknown>
          if (data.event === name) resolve(data)
        }
      }
      look()
      child.stdout.on('data', look)
      void ended.then(({ code, stderr: text }) => reject(new Error(`vmswitch up ended with ${code}: ${text}`)))
    })
  return { child, event, ended }
}

const refused = (code: string) => (error: unknown) => {
  assert.ok(error instanceof ControlError, String(error))
  assert.equal(error.code, code, error.message)
  return true
}

test('a started switch is managed over its control socket, refuses a second start, and leaves nothing behind', async () => {
  const first = up()
  const ready = await first.event('ready')
  assert.equal(ready.control, join(run, 'control.sock'))
  assert.equal(statSync(join(run, 'control.sock')).mode & 0o777, 0o600)
  const control = connectControl(join(run, 'control.sock'))

  const status = await control.status()
  assert.deepEqual([status.name, status.type, status.file, status.pid], ['up-test', 'private', file, first.child.pid])
  assert.deepEqual(status.extensions, { total: 2, enabled: 2, failed: 0 })
  const ports = await control.ports()
  assert.deepEqual(
    ports.map(({ name, id, mac, learning, link, connected }) => ({ name, id, mac, learning, link, connected })),
    [
      { name: 'one', id: 1, mac: '52:54:00:00:00:01', learning: false, link: 'up', connected: false },
      { name: 'two', id: 2, mac: null, learning: true, link: 'up', connected: false },
    ],
  )
  assert.deepEqual(await control.fdb({}), [{ vlan: 0, mac: '52:54:00:00:00:01', port: 'one', kind: 'static', ageSeconds: null }])
  assert.equal(await control.flushFdb({}), 0)

  assert.equal((await control.setLink('one', false)).link, 'down')
  assert.equal((await control.addPort({ name: 'three', endpoint: { kind: 'stream', path: 'three.sock' } })).learning, true)
  assert.ok(existsSync(join(run, 'three.sock')))
  await assert.rejects(control.addPort({ name: 'three', endpoint: { kind: 'memory' } }), refused('port-exists'))
  await assert.rejects(control.addPort({ name: 'x', endpoint: { kind: 'stream', path: 'one.sock' } }), refused('bad-request'))
  await assert.rejects(
    control.addPort({ name: 'x', mac: '01:00:00:00:00:00', endpoint: { kind: 'memory' } }),
    refused('bad-request'),
  )
  await control.removePort('three')
  assert.ok(!existsSync(join(run, 'three.sock')))
  await assert.rejects(control.removePort('three'), refused('no-such-port'))
  await assert.rejects(control.fdb({ port: 'three' }), refused('no-such-port'))

  assert.equal((await control.setExtension({ name: 'acl', enabled: false })).enabled, false)
  assert.equal((await control.setExtension({ name: 'acl', enabled: true })).state, 'running')
  assert.equal((await control.replaceExtension('counters')).state, 'running')
  await assert.rejects(control.reorderExtensions(['acl', 'counters']), refused('refused'))
  await assert.rejects(control.replaceExtension('nothing'), refused('no-such-extension'))
  assert.deepEqual(await control.drops(), [])
  assert.equal((await control.counters()).ports.length, 2)

  const second = await up().ended
  assert.equal(second.code, 1)
  assert.match(second.stderr, /"code":"socket-in-use"/)
  assert.equal((await control.status()).name, 'up-test')

  first.child.kill('SIGINT')
  assert.equal((await first.ended).code, 0)
  for (const name of ['control.sock', 'one.sock', 'two.sock']) assert.ok(!existsSync(join(run, name)), name)
})

test('with --once and no guests, a switch starts, stops and ends with 0', async () => {
  const once = up('--once')
  await once.event('ready')
  assert.equal((await once.ended).code, 0)
  assert.ok(!existsSync(join(run, 'control.sock')))
})

test('a socket path that is taken by a file ends the start with the reason, and frees everything', async () => {
  writeFileSync(join(run, 'two.sock'), 'precious')
  const { code, stderr } = await up().ended
  assert.equal(code, 1)
  assert.match(stderr, /two\.sock/)
  assert.ok(existsSync(join(run, 'two.sock')))
  assert.ok(!existsSync(join(run, 'one.sock')))
  rmSync(join(run, 'two.sock'))
})
