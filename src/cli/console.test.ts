// Where the console is served, as the command line has it.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'vmswitch-console-'))
const children: ChildProcess[] = []
after(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(directory, { recursive: true })
})

/** What the process tells when it is ready. */
function ready(...words: string[]): Promise<{ readonly console?: string }> {
  const child = spawn(bin, [...words, '--json'], { stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  let text = ''
  return new Promise((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      const line = text.split('\n').find((one) => one.startsWith('{"event":"ready"') && one.endsWith('}'))
      if (line !== undefined) resolve(JSON.parse(line))
    })
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    child.on('close', () => reject(new Error(text)))
  })
}

/** A configuration of one port. */
function configuration(name: string, runtime: Readonly<Record<string, unknown>> = {}): string {
  const file = join(directory, `${name}.json`)
  const ports = [{ name: 'a', endpoint: { kind: 'memory' } }]
  writeFileSync(file, JSON.stringify({ switch: { name, ports }, runtime: { directory: join(directory, name), ...runtime } }))
  return file
}

test('serve and up print a URL with a token where a console is asked for, and listen nowhere where none is', async () => {
  const state = ['serve', '--state', join(directory, 'state'), '--control', join(directory, 'serve.sock')]
  const [served, started, configured, silent] = await Promise.all([
    ready(...state, '--console', '127.0.0.1:0'),
    ready('up', configuration('asked'), '--console', '127.0.0.1:0', '--console-read-only'),
    ready('up', configuration('configured', { console: '127.0.0.1:0' })),
    ready('up', configuration('silent')),
  ])
  for (const { console: url } of [served, started, configured]) {
    assert.match(String(url), /^http:\/\/127\.0\.0\.1:\d+\/console\/\?token=[\w-]{32}$/)
    const token = new URL(String(url)).searchParams.get('token')
    const access = await fetch(new URL('/v1/access', String(url)), { headers: { authorization: `Bearer ${token}` } })
    assert.equal(((await access.json()) as { access: string }).access, url === started.console ? 'read' : 'change')
  }
  assert.equal(silent.console, undefined)
})

test('an address that others reach is refused before anything starts', () => {
  const file = configuration('open')
  for (const words of [
    ['up', file],
    ['serve', '--state', join(directory, 'other')],
  ]) {
    const { status, stderr } = spawnSync(bin, [...words, '--console', '0.0.0.0:7788'], { encoding: 'utf8' })
    assert.notEqual(status, 0)
    assert.match(stderr, /the console has no TLS and is served to this machine only/)
  }
  const { stderr } = spawnSync(bin, ['check', configuration('wrong', { console: '192.0.2.1:80' })], { encoding: 'utf8' })
  assert.match(stderr, /a loopback address with its port, such as 127\.0\.0\.1:7788/)
})
