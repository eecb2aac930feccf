// `vmswitch serve` and `vmswitch apply` as processes with the real switch in them.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { closeFd } from '../linux/files.ts'
import { bindPath, FdReceiver, openSocket, SocketType } from '../linux/sockets.ts'
import { connectControl } from '../manage/control/control-client.ts'
import { ControlError } from '../manage/control/control-errors.ts'
import { connectService } from '../manage/service/service-client.ts'

const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'vmswitch-serve-'))
const children: ChildProcess[] = []
after(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(directory, { recursive: true })
})

interface Service {
  readonly child: ChildProcess
  readonly ready: Promise<Record<string, unknown>>
  readonly ended: Promise<{ code: number | null; text: string }>
}

/** A service of the state directory `name`. */
function serve(name: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Service {
  const all = ['serve', '--state', join(directory, name), '--control', control(name), '--json', ...args]
  const child = spawn(bin, all, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  children.push(child)
  let text = ''
  const ready = Promise.withResolvers<Record<string, unknown>>()
  ready.promise.catch(() => {})
  const read = (chunk: string): void => {
    text += chunk
    for (const line of text.split('\n').slice(0, -1))
      if (line.startsWith('{"event":"ready"')) ready.resolve(JSON.parse(line) as Record<string, unknown>)
  }
  child.stdout.setEncoding('utf8').on('data', read)
  child.stderr.setEncoding('utf8').on('data', read)
  const ended = new Promise<{ code: number | null; text: string }>((resolve) =>
    child.on('close', (code) => {
      ready.reject(new Error(`vmswitch serve ended with ${code}: ${text}`))
      resolve({ code, text })
    }),
  )
  return { child, ready: ready.promise, ended }
}

const control = (name: string): string => join(directory, `${name}.sock`)

/** A configuration file of the switch `name`. */
function configure(name: string, rest: Record<string, unknown>, more: Record<string, unknown> = {}): string {
  const file = join(directory, `${name}.json`)
  const runtime = { directory: join(directory, `${name}-run`) }
  writeFileSync(file, JSON.stringify({ switch: { name, ...rest }, runtime, ...more }))
  return file
}

const apply = (name: string, file: string, ...args: string[]) =>
  spawnSync(bin, ['apply', file, '--socket', control(name), ...args], { encoding: 'utf8' })

const refused =
  (code: string, words = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof ControlError, String(error))
    assert.equal(error.code, code, error.message)
    assert.match(error.message, words)
    return true
  }

async function stop({ child, ended }: Service): Promise<void> {
  child.kill('SIGTERM')
  assert.equal((await ended).code, 0)
}

const port = (name: string, rest: Record<string, unknown> = {}) => ({ name, endpoint: { kind: 'memory' }, ...rest })

describe('a service', () => {
  test('starts empty, takes a configuration, keeps it and what changes later, and tells its manager', async () => {
    const socket = join(directory, 'notify.sock')
    const fd = openSocket(SocketType.datagram)
    bindPath(fd, socket, SocketType.datagram)
    const told = (): string => new FdReceiver(256).receive(fd, 256)?.bytes.toString() ?? ''
    const first = serve('keep', [], { NOTIFY_SOCKET: socket })
    assert.equal((await first.ready).switch, null)
    assert.equal(statSync(control('keep')).mode & 0o777, 0o600)
    const host = connectControl(control('keep'))
    await assert.rejects(host.ports(), refused('no-switch', /vmswitch apply FILE/))

    const extensions = [{ use: 'counters' }, { use: 'acl', options: { default: 'allow' } }]
    const file = configure('keep', { extensions, ports: [port('a', { vlan: 10 }), port('b'), port('c')] })
    const applied = apply('keep', file)
    assert.equal(applied.status, 0, applied.stderr)
    assert.match(applied.stdout, /^\+ port a {2}endpoint: memory$/m)
    assert.equal(apply('keep', file).stdout, 'nothing differs\n')

    await host.setLink('a', false)
    await host.setPort('b', { friendlyName: 'Front desk', mtu: 1400 })
    await host.removePort('c')
    await host.addPort({ name: 'd', mac: '52:54:00:00:00:0d', endpoint: { kind: 'stream', path: 'd.sock' } })
    await host.setProperty({ port: 'a', type: 'vlan', value: { mode: 'access', accessVlanId: 20 } })
    await host.addProperty({ port: 'b', type: 'security', value: { allowMacSpoofing: true } })
    await host.setExtension({ name: 'acl', enabled: false })
    await assert.rejects(host.addPort({ name: 'd', endpoint: { kind: 'memory' } }), refused('port-exists'))
    const facts = async () => ({
      ports: (await host.ports()).map(({ name, link, friendlyName, mtu, mac }) => ({ name, link, friendlyName, mtu, mac })),
      properties: (await host.properties({})).map(({ port: of, type, value, instance }) => ({ of, type, value, instance })),
      extensions: (await host.extensions()).map(({ name, enabled }) => ({ name, enabled })),
    })
    const before = await facts()
    const stored = await connectService(control('keep')).configuration()
    assert.match(told(), /^READY=1\n/)
    await stop(first)
    assert.equal(told(), 'STOPPING=1')
    closeFd(fd)
    assert.ok(!existsSync(control('keep')))

    const second = serve('keep')
    assert.equal((await second.ready).switch, 'keep')
    assert.deepEqual(await facts(), before)
    assert.deepEqual(await connectService(control('keep')).configuration(), stored)
    assert.equal(before.ports.find(({ name }) => name === 'a')?.link, 'down')
    const dry = apply('keep', file, '--dry-run', '--json')
    const report = JSON.parse(dry.stdout) as { applied: boolean; changes: { action: string; kind: string; name: string }[] }
    assert.equal(report.applied, false)
    assert.deepEqual(
      report.changes.map(({ action, kind, name }) => `${action} ${kind} ${name}`),
      ['changed extension acl', 'removed port d', 'changed port a', 'changed port b', 'added port c'],
    )
    assert.deepEqual(await facts(), before)
    await stop(second)
  })

  test('refuses a second one on its state directory, by name, and goes on', async () => {
    const first = serve('lone')
    await first.ready
    const second = spawnSync(bin, ['serve', '--state', join(directory, 'lone'), '--control', join(directory, 'x.sock')], {
      encoding: 'utf8',
    })
    assert.equal(second.status, 1)
    assert.match(second.stderr, new RegExp(`the service of process ${first.child.pid} uses ${join(directory, 'lone')}: stop it`))
    assert.equal((await connectService(control('lone')).service()).switch, null)
    await stop(first)
  })

  test('applies all of a configuration or nothing, and says what needs a restart', async () => {
    const service = serve('whole')
    await service.ready
    const host = connectControl(control('whole'))
    const extensions = [{ use: 'counters' }, { use: 'acl', options: { default: 'allow' } }]
    const ports = [port('a', { vlan: 10, mtu: 1400 }), port('b', { endpoint: { kind: 'stream', path: 'b.sock' } })]
    assert.equal(apply('whole', configure('whole', { extensions, ports })).status, 0)
    const state = async () => [
      await connectService(control('whole')).configuration(),
      (await connectService(control('whole')).service()).revision,
      (await host.ports())
        .map(({ name, link, mtu, endpoint }) => ({ name, link, mtu, endpoint }))
        .sort((x, y) => (x.name < y.name ? -1 : 1)),
      (await host.extensions()).map(({ name, enabled }) => ({ name, enabled })),
      (await host.properties({})).map(({ port: of, type, value, instance }) => ({ of, type, value, instance })),
    ]
    const before = await state()

    // Its last step fails: a file stands where a socket is to be.
    writeFileSync(join(directory, 'whole-run', 'taken.sock'), 'precious')
    const failing = configure('whole', {
      extensions: [{ use: 'mac-guard' }, { use: 'counters' }].toReversed(),
      ports: [
        port('a', { vlan: 20, mtu: 1300, link: 'down' }),
        port('n'),
        port('z', { endpoint: { kind: 'stream', path: 'taken.sock' } }),
      ],
    })
    const failed = apply('whole', failing)
    assert.equal(failed.status, 1)
    assert.match(failed.stderr, /nothing was applied: port z is added: .*taken\.sock/)
    assert.deepEqual(await state(), before)

    const bigger = configure('whole', { extensions, ports, processors: 2 })
    const asked = apply('whole', bigger)
    assert.equal(asked.status, 1)
    assert.match(asked.stderr, /processors: 1 → 2.*--restart/)
    assert.deepEqual(await state(), before)
    assert.equal(apply('whole', bigger, '--restart').status, 0)
    assert.equal((await host.status()).processors.length, 2)

    // A restart that fails leaves the switch that ran before.
    const now = await state()
    const worse = configure('whole', { processors: 1, ports: [port('z', { endpoint: { kind: 'stream', path: 'taken.sock' } })] })
    assert.match(apply('whole', worse, '--restart').stderr, /nothing was applied: .*taken\.sock/)
    assert.deepEqual(await state(), now)
    await stop(service)
  })

  test('that is killed in the middle of changes has lost nothing it acknowledged, and has nothing half done', async () => {
    const file = configure('crash', { ports: [] })
    let expected = new Map<string, { vlan: number; link: string }>()
    let pending: { name: string; after: { vlan: number; link: string } | undefined } = { name: '', after: undefined }
    for (let round = 0; round < 4; round++) {
      const service = serve('crash', round === 0 ? ['--apply', file] : [])
      await service.ready
      const host = connectControl(control('crash'))
      const links = new Map((await host.ports()).map(({ name, link }) => [name, link]))
      const vlans = new Map(
        (await host.properties({})).map(({ port: of, value }) => [of, (value as { accessVlanId: number }).accessVlanId]),
      )
      const found = new Map([...links].map(([name, link]) => [name, { vlan: vlans.get(name) ?? -1, link }]))
      // The change that was under way may have been stored before it was acknowledged: it is there whole or not at all.
      if (round > 0) {
        for (const [name, facts] of found) {
          if (name !== pending.name) assert.deepEqual(facts, expected.get(name), name)
          else
            assert.ok(
              [pending.after, expected.get(name)].some((one) => JSON.stringify(one) === JSON.stringify(facts)),
              name,
            )
        }
        for (const name of expected.keys())
          assert.ok(found.has(name) || (name === pending.name && pending.after === undefined), name)
      }
      expected = found
      const kill = setTimeout(() => service.child.kill('SIGKILL'), 120 + 90 * round)
      let number = 0
      try {
        for (;;) {
          const name = `p${round}-${number}`
          pending = { name, after: { vlan: number + 1, link: 'up' } }
          await host.addPort({ name, vlan: number + 1, endpoint: { kind: 'memory' } })
          expected.set(name, { vlan: number + 1, link: 'up' })
          pending = { name, after: { vlan: number + 1, link: 'down' } }
          await host.setLink(name, false)
          expected.set(name, { vlan: number + 1, link: 'down' })
          if (number % 3 === 2) {
            const old = `p${round}-${number - 1}`
            pending = { name: old, after: undefined }
            await host.removePort(old)
            expected.delete(old)
          }
          number++
        }
      } catch (error) {
        assert.ok(error instanceof ControlError && error.status === 0, String(error))
      }
      clearTimeout(kill)
      await service.ended
    }
    assert.ok(expected.size > 0)
  })

  test('that is killed while it applies configurations has one of them, whole', async () => {
    const numbers = Array.from({ length: 20 }, (_, i) => i)
    const file = (vlan: number): string =>
      configure('either', { ports: numbers.map((i) => port(`p${i}`, { vlan, link: vlan === 10 ? 'up' : 'down' })) })
    const config = (vlan: number): unknown => JSON.parse(readFileSync(file(vlan), 'utf8'))
    for (let round = 0; round < 2; round++) {
      const service = serve('either', round === 0 ? ['--apply', file(10)] : [])
      await service.ready
      const client = connectService(control('either'))
      setTimeout(() => service.child.kill('SIGKILL'), 60 + 50 * round)
      await assert.rejects(async () => {
        for (let i = 0; ; i++) await client.apply({ config: config(i % 2 === 0 ? 20 : 10), file: join(directory, 'either.json') })
      }, ControlError)
      await service.ended
    }
    const service = serve('either')
    await service.ready
    const host = connectControl(control('either'))
    const links = new Set((await host.ports()).map(({ link }) => link))
    const vlans = new Set((await host.properties({})).map(({ value }) => (value as { accessVlanId: number }).accessVlanId))
    assert.equal((await host.ports()).length, numbers.length)
    assert.deepEqual([links.size, vlans.size], [1, 1])
    assert.equal(links.has('up'), vlans.has(10))
    await stop(service)
  })

  test('serves the network only over TLS and to those who know the token, which others may not read', async (t) => {
    const key = join(directory, 'key.pem')
    const cert = join(directory, 'cert.pem')
    const words = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-subj',
      '/CN=localhost',
    ]
    if (spawnSync('openssl', [...words, '-keyout', key, '-out', cert]).status !== 0)
      return t.skip('there is no openssl to make a certificate')
    const token = 'correct horse battery staple'
    const tokenFile = join(directory, 'token')
    writeFileSync(tokenFile, `${token}\n`, { mode: 0o644 })
    const listen = ['--listen', '127.0.0.1:0', '--tls-cert', cert, '--tls-key', key, '--token-file', tokenFile]
    assert.match((await serve('net', listen).ended).text, /token has mode 644, others could use it: chmod 600/)
    assert.match((await serve('net', listen.slice(0, 2)).ended).text, /--listen needs --token-file/)
    rmSync(tokenFile)
    writeFileSync(tokenFile, `${token}\n`, { mode: 0o600 })
    const service = serve('net', listen)
    const { listen: at } = (await service.ready) as { listen: string }
    const ask = (authorization: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const outgoing = request(
          `https://${at}/v1/service`,
          { rejectUnauthorized: false, headers: { authorization }, agent: false },
          (answer) => {
            answer.resume()
            resolve(answer.statusCode ?? 0)
          },
        )
        outgoing.on('error', reject).end()
      })
    assert.equal(await ask(`Bearer ${token}`), 200)
    assert.equal(await ask('Bearer wrong'), 401)
    assert.equal(await ask(''), 401)
    await stop(service)
  })
})
