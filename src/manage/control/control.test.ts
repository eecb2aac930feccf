import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { SwitchEvent } from '../host.ts'
import { connectControl } from './control-client.ts'
import { ControlError } from './control-errors.ts'
import { startControlServer } from './control-server.ts'
import { fakeHost } from './fake-host.ts'

const directory = mkdtempSync(join(tmpdir(), 'vmswitch-control-'))
after(() => rmSync(directory, { recursive: true }))

let next = 0
async function serve() {
  const path = join(directory, `run${++next}`, 'control.sock')
  const fake = fakeHost()
  const events: SwitchEvent[] = []
  const server = await startControlServer({ path }, { host: fake.host, log: (event) => events.push(event) })
  return { path, server, events, ...fake, client: connectControl(path) }
}

const refused = (code: string, message?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ControlError, String(error))
  assert.equal(error.code, code)
  if (message) assert.match(error.message, message)
  return true
}

/** A request as no client of ours would make it. */
const raw = (path: string, method: string, route: string, body = ''): Promise<{ status: number; text: string }> =>
  new Promise((resolve, reject) => {
    const outgoing = request({ socketPath: path, method, path: route, agent: false }, (incoming) => {
      let text = ''
      incoming.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, text }))
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })

describe('the control API', () => {
  test('answers each question of a client as the host does', async () => {
    const { client, host, server } = await serve()
    assert.deepEqual(await client.status(), await host.status())
    assert.deepEqual(await client.ports(), await host.ports())
    assert.deepEqual(await client.fdb({}), await host.fdb({}))
    assert.deepEqual(await client.extensions(), await host.extensions())
    assert.deepEqual(await client.counters(), await host.counters())
    assert.deepEqual(await client.drops(), await host.drops())
    await server.close()
  })

  test('passes each change on with its arguments', async () => {
    const { client, calls, server } = await serve()
    await client.fdb({ vlan: 7, port: 'a b/ü' })
    assert.equal(await client.flushFdb({ port: 'beta' }), 1)
    assert.equal((await client.setExtension({ name: 'acl', enabled: false })).enabled, false)
    assert.equal((await client.setLink('alpha', false)).link, 'down')
    await client.removePort('alpha')
    await client.addPort({ name: 'gamma', endpoint: { kind: 'memory' } })
    await server.close()
    assert.deepEqual(calls, [
      'fdb {"vlan":7,"port":"a b/ü"}',
      'flushFdb {"port":"beta"}',
      'setExtension {"name":"acl","enabled":false}',
      'setLink {"name":"alpha","up":false}',
      'removePort "alpha"',
      'addPort {"name":"gamma","macSpoofing":"off","link":"up","endpoint":{"kind":"memory"}}',
    ])
  })

  test('gives an error of the host its code, message and HTTP status', async () => {
    const { client, path, server, events } = await serve()
    await assert.rejects(client.setLink('nobody', true), refused('no-such-port', /^switch "lab0" has no port "nobody"$/))
    await assert.rejects(client.reorderExtensions(['acl', 'capture']), refused('refused'))
    assert.equal((await raw(path, 'DELETE', '/v1/ports/nobody')).status, 404)
    assert.equal((await raw(path, 'PUT', '/v1/extensions', '{"names":[]}')).status, 409)
    assert.equal(events.length, 0)
    await assert.rejects(client.replaceExtension('acl'), refused('internal', /a defect/))
    assert.match(events[0]?.message ?? '', /^POST \/v1\/extensions\/acl\/reload: TypeError: a defect/)
    await server.close()
  })

  test('refuses what is no JSON, of the wrong shape, too large, or not there, and says why', async () => {
    const { path, server, calls } = await serve()
    const answer = async (method: string, route: string, body?: string) => {
      const { status, text } = await raw(path, method, route, body)
      return { status, ...(JSON.parse(text) as { code: string; message: string }) }
    }
    assert.deepEqual(await answer('POST', '/v1/fdb/flush', '{'), {
      status: 400,
      code: 'bad-request',
      message: 'the body of the request is not JSON',
    })
    assert.deepEqual(await answer('PATCH', '/v1/ports/alpha', '{"link":"upp"}'), {
      status: 400,
      code: 'bad-request',
      message: 'link: expected "up" or "down", got "upp"; did you mean "up"?',
    })
    assert.equal(
      (await answer('POST', '/v1/ports', '{"name":"x","endpoint":{"kind":"memory"},"mack":1}')).message,
      'unknown key "mack"; did you mean "mac"?',
    )
    assert.equal((await answer('GET', '/v1/fdb?vlan=x')).code, 'bad-request')
    assert.equal((await answer('GET', '/v1/fdb?vlan=4095')).code, 'bad-request')
    assert.equal((await answer('POST', '/v1/ports', ' '.repeat(1024 * 1024 + 1))).status, 413)
    assert.deepEqual(await answer('GET', '/v2'), { status: 404, code: 'no-such-route', message: 'there is no GET /v2' })
    assert.deepEqual(calls, [])
    await server.close()
  })
})

describe('the control socket', () => {
  test('is open to its owner only, and gone after close', async () => {
    const { path, server } = await serve()
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.equal(statSync(join(path, '..')).mode & 0o777, 0o700)
    await server.close()
    assert.equal(existsSync(path), false)
  })

  test('leaves the process its file mode mask', async () => {
    const before = process.umask()
    const { server } = await serve()
    assert.equal(process.umask(), before)
    await server.close()
  })

  test('of a switch that runs is not taken over', async () => {
    const { path, server, client } = await serve()
    const { host } = fakeHost()
    await assert.rejects(
      startControlServer({ path }, { host, log: () => {} }),
      refused('socket-in-use', /a switch already runs at /),
    )
    assert.equal((await client.status()).name, 'lab0')
    await server.close()
  })

  test('that a killed process left behind is replaced', async () => {
    const path = join(directory, 'stale.sock')
    // Closing a server removes its file, so that a file without a listener is made by renaming one away first.
    const dead = createServer().listen(`${path}.live`)
    await new Promise((resolve) => dead.once('listening', resolve))
    const { renameSync } = await import('node:fs')
    renameSync(`${path}.live`, path)
    await new Promise((resolve) => dead.close(resolve))
    assert.ok(existsSync(path))
    const server = await startControlServer({ path }, { host: fakeHost().host, log: () => {} })
    assert.equal((await connectControl(path).status()).name, 'lab0')
    await server.close()
  })

  test('does not replace a file that is no socket, and takes no path that is too long', async () => {
    const path = join(directory, 'file')
    writeFileSync(path, 'precious')
    const { host } = fakeHost()
    await assert.rejects(startControlServer({ path }, { host, log: () => {} }), refused('socket-blocked', /is no socket/))
    const long = join(directory, 'x'.repeat(108))
    await assert.rejects(startControlServer({ path: long }, { host, log: () => {} }), refused('socket-path-too-long'))
  })

  test('closes although a client keeps its connection open', async () => {
    const { path, server } = await serve()
    const { createConnection } = await import('node:net')
    const idle = createConnection(path)
    await new Promise((resolve) => idle.once('connect', resolve))
    idle.on('error', () => {})
    await server.close()
    idle.destroy()
  })
})

describe('a control client', () => {
  test('says so where no switch runs', async () => {
    await assert.rejects(connectControl(join(directory, 'none.sock')).status(), refused('not-running', /^no switch runs at /))
  })

  test('says so where something else answers, or nothing does', async () => {
    const path = join(directory, 'other.sock')
    const sockets = new Set<{ destroy(): void }>()
    const other = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
    }).listen(path)
    await new Promise((resolve) => other.once('listening', resolve))
    await assert.rejects(connectControl(path, 50).status(), refused('no-answer', /did not answer within 50 ms$/))
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => other.close(resolve))
  })
})
