import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { findPlace } from './find-place.ts'

const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'vmswitch-remote-'))
const tokens = join(directory, 'tokens')
const certificate = join(directory, 'state/tls-cert.pem')
/** Longer than a command takes to start on a busy machine. */
const STARTS_MS = 30_000
let child: ChildProcess | undefined
let url = ''
let told = ''
after(() => {
  child?.kill('SIGKILL')
  rmSync(directory, { recursive: true })
})

interface Ran {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}
const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Ran =>
  spawnSync(bin, args, { encoding: 'utf8', env: { ...process.env, ...env } })

/** A file with a new token of `name`. */
function tokenOf(name: string, role: string): string {
  const { status, stdout, stderr } = run(['token', 'add', name, '--role', role, '--file', tokens])
  assert.equal(status, 0, stderr)
  const path = join(directory, `${name}.token`)
  writeFileSync(path, stdout, { mode: 0o600 })
  return path
}

const as = (tokenFile: string, ...args: string[]): Ran =>
  run(args, { VMSWITCH_HOST: url, VMSWITCH_TOKEN_FILE: tokenFile, VMSWITCH_CA: certificate })

describe('a service on the network', () => {
  let alice = ''
  let bob = ''
  before(async () => {
    alice = tokenOf('alice', 'admin')
    bob = tokenOf('bob', 'reader')
    const config = join(directory, 'net.json')
    const ports = [{ name: 'a', endpoint: { kind: 'memory' } }]
    writeFileSync(config, JSON.stringify({ switch: { name: 'net', ports }, runtime: { directory: join(directory, 'run') } }))
    const state = ['--state', join(directory, 'state'), '--control', join(directory, 'c.sock'), '--apply', config]
    const listen = ['--listen', '127.0.0.1:0', '--tls-self-signed', '--token-file', tokens, '--json']
    child = spawn(bin, ['serve', ...state, ...listen], { stdio: ['ignore', 'pipe', 'pipe'] })
    await new Promise<void>((resolve, reject) => {
      child!.on('close', () => reject(new Error(told)))
      child!.stderr!.setEncoding('utf8').on('data', (text: string) => {
        told += text
      })
      child!.stdout!.setEncoding('utf8').on('data', (text: string) => {
        told += text
        const at = /"event":"ready".*"listen":"([^"]+)"/.exec(told)?.[1]
        if (at === undefined) return
        url = `https://${at}`
        resolve()
      })
    })
  })

  test('is asked from the command line, with a token and a certificate to trust', () => {
    const shown = as(bob, 'ports', '--json')
    assert.equal(shown.status, 0, shown.stderr)
    assert.deepEqual(
      (JSON.parse(shown.stdout) as { name: string }[]).map(({ name }) => name),
      ['a'],
    )
    assert.match(told, /clients trust .*tls-cert\.pem/)
  })

  test('lets readers look and admins change, and says so in its log', async () => {
    const refused = as(bob, 'port', 'set', 'a', '--link', 'down')
    assert.equal(refused.status, 1)
    assert.match(refused.stderr, /is for the role operator, and bob has the role reader/)
    assert.equal(as(alice, 'port', 'set', 'a', '--link', 'down').status, 0)
    while (told.split('"event":"audit"').length < 3) await new Promise((resolve) => setTimeout(resolve, 20))
    assert.match(told, /"event":"audit","caller":\{"name":"bob","role":"reader","from":"127\.0\.0\.1"\}.*"status":403/)
    assert.match(told, /"event":"audit","caller":\{"name":"alice","role":"admin","from":"127\.0\.0\.1"\}.*"status":200/)
  })

  test('is known by a name in hosts.yaml', () => {
    const home = join(directory, 'config')
    mkdirSync(join(home, 'vmswitch'), { recursive: true })
    const host = { host: url, tokenFile: bob, ca: certificate }
    writeFileSync(join(home, 'vmswitch/hosts.yaml'), JSON.stringify({ lab1: host }))
    const shown = run(['status', '--host', 'lab1'], { XDG_CONFIG_HOME: home })
    assert.equal(shown.status, 0, shown.stderr)
    assert.match(shown.stdout, /^switch +net /m)
    const unknown = run(['status', '--host', 'lab2'], { XDG_CONFIG_HOME: home })
    assert.equal(unknown.status, 2)
    assert.match(unknown.stderr, /hosts\.yaml has no host "lab2"/)
  })

  test('refuses a token that was taken back, and ends the events and the capture that it had open', async (t) => {
    const carol = tokenOf('carol', 'operator')
    await new Promise((resolve) => setTimeout(resolve, 1100))
    assert.equal(as(carol, 'ports').status, 0)
    const env = { ...process.env, VMSWITCH_HOST: url, VMSWITCH_TOKEN_FILE: carol, VMSWITCH_CA: certificate }
    const open = [
      ['events', '--after', '0'],
      ['capture', '--all'],
    ].map((words) => spawn(bin, words, { env, stdio: ['ignore', 'pipe', 'pipe'] }))
    t.after(() => {
      for (const one of open) one.kill()
    })
    const ended = Promise.all(open.map((one) => once(one, 'close', { signal: AbortSignal.timeout(2 * STARTS_MS) })))
    await Promise.all(open.map(({ stdout }) => once(stdout, 'data', { signal: AbortSignal.timeout(STARTS_MS) })))
    assert.equal(run(['token', 'remove', 'carol', '--file', tokens]).status, 0)
    await ended
    const refused = as(carol, 'ports')
    assert.equal(refused.status, 3)
    assert.match(refused.stderr, /no token, or a wrong one/)
    assert.match(run(['token', 'list', '--file', tokens]).stdout, /^alice +admin\nbob +reader$/m)
  })
})

test('the OpenAPI document can be had without a switch, and says which role an operation needs', () => {
  const { status, stdout } = run(['openapi'])
  assert.equal(status, 0)
  const { openapi, paths } = JSON.parse(stdout) as {
    openapi: string
    paths: Record<string, Record<string, Record<string, unknown>>>
  }
  assert.equal(openapi, '3.1.0')
  assert.equal(paths['/v1/apply']?.post?.['x-required-role'], 'admin')
})

test('a service that other machines could reach does not start without TLS', () => {
  tokenOf('dave', 'reader')
  const state = ['--state', join(directory, 'open'), '--control', join(directory, 'open.sock')]
  const { status, stderr } = run(['serve', ...state, '--listen', '0.0.0.0:0', '--token-file', tokens])
  assert.equal(status, 1)
  assert.match(stderr, /can be reached from other machines: serve it over TLS/)
})

test('a group may look through the control socket where its directory can be reached', (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root, to be another user')
  const place = mkdtempSync(join('/tmp', 'vmswitch-group-'))
  t.after(() => rmSync(place, { recursive: true }))
  chmodSync(place, 0o755)
  const socket = join(place, 'made/control.sock')
  const started = spawn(bin, ['serve', '--state', join(place, 'state'), '--control', socket, '--reader-group', '65534', '--json'])
  t.after(() => started.kill('SIGKILL'))
  return new Promise<void>((resolve, reject) => {
    started.on('close', () => reject(new Error('it ended')))
    started.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (!text.includes('"event":"ready"')) return
      const ask = `const { request } = require('node:http')
        for (const [method, path] of [['GET', '/v1/access'], ['POST', '/v1/apply']])
          request({ socketPath: '${socket}', method, path }, (answer) => answer.on('data', (data) => console.log(String(data)))).end()`
      const other = spawnSync(process.execPath, ['-e', ask], { uid: 65534, gid: 65534, encoding: 'utf8', cwd: '/' })
      started.removeAllListeners('close')
      started.kill('SIGTERM')
      try {
        assert.match(other.stdout, /"role":"reader","name":"uid 65534"/, other.stderr)
        assert.match(other.stdout, /"code":"role-needed"/)
        resolve()
      } catch (error) {
        reject(error)
      }
    })
  })
})

test('where a command leads is said once: a socket or a host, with a token for it', async () => {
  const components = { env: { HOME: directory }, cwd: directory }
  await assert.rejects(findPlace({ socket: 'x', host: 'https://h' }, components), { code: 'bad-arguments' })
  await assert.rejects(findPlace({ host: 'https://h:1' }, components), { code: 'no-token' })
  await assert.rejects(findPlace({ host: 'lab' }, components), { code: 'no-such-host' })
  const loose = join(directory, 'loose')
  writeFileSync(loose, 'x'.repeat(40), { mode: 0o644 })
  await assert.rejects(findPlace({ host: 'https://h:1', tokenFile: loose }, components), { code: 'state-not-private' })
  chmodSync(loose, 0o600)
  await assert.rejects(findPlace({ host: 'http://192.0.2.1', tokenFile: loose }, components), { code: 'bad-host' })
  assert.deepEqual(await findPlace({ host: 'https://h:1', tokenFile: loose }, components), {
    url: 'https://h:1',
    token: 'x'.repeat(40),
  })
  assert.equal(await findPlace({ socket: 'x' }, { ...components, env: { VMSWITCH_HOST: 'https://h:1' } }), join(directory, 'x'))
})
