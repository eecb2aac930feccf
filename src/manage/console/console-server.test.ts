import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { brotliDecompressSync } from 'node:zlib'
import { TicketDoor } from '../../endpoints/websocket/ticket.ts'
import { imageRevision } from '../../lab/browser-image.ts'
import type { EndpointConfig } from '../config/types.ts'
import type { Access } from '../control/access.ts'
import { ControlError } from '../control/control-errors.ts'
import { controlRoutes, startControlServer } from '../control/control-server.ts'
import { fakeHost } from '../control/fake-host.ts'
import type { SwitchHost } from '../host.ts'
import { type ConsoleServer, consoleAddress, startConsoleServer } from './console-server.ts'
import { foreignRequest } from './local-browser.ts'

const directory = mkdtempSync(join(tmpdir(), 'vmswitch-console-'))
mkdirSync(join(directory, 'console/assets'), { recursive: true })
writeFileSync(join(directory, 'console/index.html'), '<!doctype html><title>vmswitch</title>')
writeFileSync(join(directory, 'console/assets/a-1.js'), 'export {}')
writeFileSync(join(directory, 'console/secret.txt'), 'not to be served')
after(() => rmSync(directory, { recursive: true }))

const components = (access: Access = 'change') => ({
  host: fakeHost().host,
  log: () => {},
  console: join(directory, 'console'),
  access,
})
const websocket: Extract<EndpointConfig, { kind: 'websocket' }> = {
  kind: 'websocket',
  listen: '127.0.0.1:7801',
  tokenFile: '',
  origins: [],
  framesPerSecond: 1,
}
const servers: ConsoleServer[] = []
after(() => Promise.all(servers.map((server) => server.close())))
async function start(access?: Access): Promise<ConsoleServer> {
  const server = await startConsoleServer({ listen: '127.0.0.1:0' }, components(access))
  servers.push(server)
  return server
}

interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** Asks as a program does that may set any header. */
function ask(
  to: { readonly socketPath: string } | { readonly port: number },
  path: string,
  { method = 'GET', headers = {}, body }: Asked = {},
) {
  return new Promise<{ status: number; headers: Record<string, unknown>; body: Buffer }>((resolve, reject) => {
    const outgoing = request({ ...to, path, method, headers, agent: false }, (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks) }),
      )
    })
    outgoing.on('error', reject).end(body)
  })
}

describe('the console on a loopback address', () => {
  test('takes the token of its URL once and knows the browser by a cookie from then on', async () => {
    const server = await start()
    const url = new URL(server.url)
    const to = { port: Number(url.port) }
    const first = await ask(to, `${url.pathname}${url.search}`)
    assert.equal(first.status, 303)
    assert.equal(first.headers.location, '/console/')
    const [cookie = ''] = first.headers['set-cookie'] as string[]
    assert.match(cookie, /; Path=\/; HttpOnly; SameSite=Strict$/)
    const page = await ask(to, '/console/', { headers: { cookie: cookie.split(';')[0] ?? '' } })
    assert.equal(page.status, 200)
    assert.match(page.body.toString(), /<title>vmswitch/)
    const bearer = await ask(to, '/v1/live', { headers: { authorization: `Bearer ${server.token}` } })
    assert.equal((JSON.parse(bearer.body.toString()) as { ports: unknown[] }).ports.length, 2)
  })

  test('refuses who does not know the token, whatever is asked', async () => {
    const server = await start()
    const port = Number(new URL(server.url).port)
    const wrong = [{}, { authorization: 'Bearer x' }, { cookie: `vmswitch-${port}=x` }, { authorization: server.token }]
    for (const headers of wrong)
      for (const path of ['/console/', '/v1/live', '/metrics', '/'])
        assert.equal((await ask({ port }, path, { headers })).status, 401, `${path} ${JSON.stringify(headers)}`)
    assert.equal((await ask({ port }, '/v1/live?token=x')).status, 401)
  })

  test('refuses pages of other origins and names that were bent to this machine, even with the token', async () => {
    const server = await start()
    const port = Number(new URL(server.url).port)
    const authorization = `Bearer ${server.token}`
    const host = `127.0.0.1:${port}`
    const status = async (headers: Record<string, string>) =>
      (await ask({ port }, '/v1/live', { headers: { authorization, ...headers } })).status
    assert.equal(await status({ host, origin: `http://${host}` }), 200)
    assert.equal(await status({ host: `localhost:${port}`, 'sec-fetch-site': 'none' }), 200)
    assert.equal(await status({ host: `evil.example:${port}` }), 403)
    assert.equal(await status({ host: '127.0.0.1:1' }), 403)
    assert.equal(await status({ host, origin: 'http://evil.example' }), 403)
    assert.equal(await status({ host, origin: 'null' }), 403)
    assert.equal(await status({ host, origin: 'http://127.0.0.1:1' }), 403)
    assert.equal(await status({ host, 'sec-fetch-site': 'cross-site' }), 403)
  })

  test('listens nowhere but at this machine itself', async () => {
    for (const listen of ['0.0.0.0:7788', '192.0.2.1:7788', '[::]:7788', 'host.example:7788', '127.0.0.1.evil.example:1'])
      await assert.rejects(startConsoleServer({ listen }, components()), (error) => {
        assert.ok(error instanceof ControlError)
        assert.equal(error.code, 'console-not-local')
        assert.match(error.message, /ssh -L/)
        return true
      })
    assert.throws(() => consoleAddress('7788'), /HOST:PORT/)
    assert.deepEqual(consoleAddress('[::1]:0'), { host: '::1', port: 0 })
    assert.deepEqual(consoleAddress('localhost:1'), { host: '127.0.0.1', port: 1 })
  })

  test('takes another port where the usual one is taken, and only there', async () => {
    const first = await start()
    const listen = `127.0.0.1:${new URL(first.url).port}`
    await assert.rejects(startConsoleServer({ listen }, components()), /EADDRINUSE/)
    const second = await startConsoleServer({ listen, anyPort: true }, components())
    assert.notEqual(second.url.split('/')[2], first.url.split('/')[2])
    assert.notEqual(second.token, first.token)
    await second.close()
  })

  test('lets who may only look change nothing', async () => {
    const server = await start('read')
    const to = { port: Number(new URL(server.url).port) }
    const headers = { authorization: `Bearer ${server.token}`, 'content-type': 'application/json' }
    const status = async (method: string, path: string, body?: string) =>
      (await ask(to, path, { method, headers, ...(body === undefined ? {} : { body }) })).status
    assert.equal(JSON.parse((await ask(to, '/v1/access', { headers })).body.toString()).access, 'read')
    assert.equal(await status('PUT', '/v1/extensions', '{"names":["acl"]}'), 403)
    assert.equal(await status('PATCH', '/v1/ports/alpha', '{"link":"down"}'), 403)
    assert.equal(await status('DELETE', '/v1/ports/alpha'), 403)
    assert.equal(await status('POST', '/v1/fdb/flush', '{}'), 403)
    assert.equal(await status('POST', '/v1/vfs/assign', '{"port":"alpha"}'), 403)
    const trace = JSON.stringify({ port: 'alpha', frame: 'ff'.repeat(60) })
    assert.equal(await status('POST', '/v1/trace', trace), 200)
  })
})

describe('the files of the console', () => {
  const app = controlRoutes(components())

  test('come with rules that let the page reach its own origin only', async () => {
    const page = await app.request('/console/')
    const policy = page.headers.get('content-security-policy') ?? ''
    assert.match(policy, /^default-src 'none'; script-src 'self'; /)
    assert.match(policy, /connect-src 'self'; .*frame-ancestors 'none'$/)
    assert.doesNotMatch(policy, /unsafe|https?:|\*/)
    assert.equal(page.headers.get('x-content-type-options'), 'nosniff')
    assert.equal((await app.request('/')).headers.get('location'), '/console/')
  })

  test('are kept by the browser, compressed, and nothing else is served', async () => {
    const script = await app.request('/console/assets/a-1.js', { headers: { 'accept-encoding': 'gzip, br' } })
    assert.equal(script.headers.get('content-encoding'), 'br')
    assert.match(script.headers.get('cache-control') ?? '', /immutable/)
    assert.equal(brotliDecompressSync(Buffer.from(await script.arrayBuffer())).toString(), 'export {}')
    const etag = (await app.request('/console/')).headers.get('etag') ?? ''
    assert.equal((await app.request('/console/', { headers: { 'if-none-match': etag } })).status, 304)
    for (const path of ['/console/secret.txt', '/console/../package.json', '/console/%2e%2e/x', '/console/none.js'])
      assert.equal((await app.request(path)).status, 404, path)
  })

  test('say how they are made where they are missing', async () => {
    const answer = await controlRoutes({ ...components(), console: join(directory, 'nowhere') }).request('/console/')
    assert.equal(answer.status, 503)
    assert.match(await answer.text(), /build-console/)
  })
})

test('the control socket answers programs and pages of this machine, and no page of another origin', async () => {
  const path = join(directory, 'control.sock')
  const server = await startControlServer({ path }, components())
  const status = async (headers: Record<string, string>) => (await ask({ socketPath: path }, '/v1/live', { headers })).status
  assert.equal(await status({ host: 'vmswitch' }), 200)
  assert.equal(await status({ host: 'localhost:8080', origin: 'http://localhost:8080' }), 200)
  assert.equal(await status({ host: 'evil.example:8080' }), 403)
  assert.equal(await status({ host: 'localhost:8080', origin: 'http://evil.example' }), 403)
  await server.close()
})

test('a request without any host is no browser', () => {
  assert.equal(foreignRequest(new Headers()), null)
})

describe('the page of a guest in the browser', () => {
  const app = controlRoutes(components())
  mkdirSync(join(directory, 'console-guest/assets'), { recursive: true })
  writeFileSync(join(directory, 'console-guest/guest.html'), '<!doctype html><title>Guest</title>')
  writeFileSync(join(directory, 'console-guest/assets/v86-1.wasm'), 'wasm')

  test('may run WebAssembly and reach WebSocket ports of the switch, as no other page may', async () => {
    const host: SwitchHost = {
      ...fakeHost().host,
      ports: async () => [
        { ...(await fakeHost().host.ports())[0]!, endpoint: websocket, detail: { listensAt: '127.0.0.1:7801' } },
      ],
    }
    const headers = { host: 'switch.example:8443' }
    const page = await controlRoutes({ ...components(), host }).request('/console/guest/', { headers })
    assert.match(await page.text(), /<title>Guest/)
    const policy = page.headers.get('content-security-policy') ?? ''
    assert.match(policy, /script-src 'self' 'wasm-unsafe-eval';/)
    assert.match(policy, /connect-src 'self' ws:\/\/127\.0\.0\.1:7801 wss:\/\/switch\.example:\*; worker-src blob:;/)
    assert.doesNotMatch(policy, /unsafe-inline|'unsafe-eval'| \*/)
    const wasm = await app.request('/console/guest/assets/v86-1.wasm')
    assert.equal(wasm.headers.get('content-type'), 'application/wasm')
    assert.doesNotMatch(wasm.headers.get('content-security-policy') ?? '', /unsafe/)
  })

  test('says which command fetches what the guest boots, and serves nothing else of the cache', async () => {
    for (const name of ['image.json', 'vmlinuz']) {
      const answer = await app.request(`/console/guest/image/${name}`)
      assert.equal(answer.status, 404)
      assert.match(((await answer.json()) as { message: string }).message, /vmswitch browser-guest fetch/)
    }
    mkdirSync(join(directory, 'guest-browser'))
    writeFileSync(join(directory, 'guest-browser/image.json'), JSON.stringify({ revision: imageRevision }))
    writeFileSync(join(directory, 'guest-browser/vmlinuz'), 'kernel')
    writeFileSync(join(directory, 'guest-browser/other'), 'no')
    assert.equal(await (await app.request('/console/guest/image/vmlinuz')).text(), 'kernel')
    for (const path of ['other', '..%2fsecret.txt', '%2e%2e/console/secret.txt'])
      assert.equal((await app.request(`/console/guest/image/${path}`)).status, 404, path)
  })
})

describe('a ticket for a WebSocket port', () => {
  const tokenFile = join(directory, 'tab.token')
  const token = 't'.repeat(43)
  writeFileSync(tokenFile, `${token}\n`)
  const host: SwitchHost = {
    ...fakeHost().host,
    ports: async () => {
      const [first] = await fakeHost().host.ports()
      return [
        { ...first!, name: 'tab', endpoint: { ...websocket, tokenFile }, detail: { listensAt: '127.0.0.1:7801' } },
        { ...first!, name: 'alpha' },
      ]
    },
  }
  const asked = (port: string, access: Access = 'change', headers: Record<string, string> = { origin: 'http://127.0.0.1:1' }) =>
    controlRoutes({ ...components(access), host }).request(`/v1/ports/${port}/ticket`, { method: 'POST', headers })

  test('opens the port for the page that asks, and does not tell the token', async () => {
    const answer = await asked('tab')
    assert.equal(answer.status, 201)
    assert.equal(answer.headers.get('cache-control'), 'no-store')
    const text = await answer.text()
    assert.ok(!text.includes(token))
    const { url, protocols } = JSON.parse(text) as { url: string; protocols: string[] }
    assert.equal(url, 'ws://127.0.0.1:7801/')
    const door = new TicketDoor(token)
    assert.ok(door.opens(String(protocols[1]), 'http://127.0.0.1:1', Date.now()))
  })

  test('is refused to who may only look, to programs, and for ports of another kind', async () => {
    assert.equal((await asked('tab', 'read')).status, 403)
    assert.equal((await asked('tab', 'change', {})).status, 400)
    assert.equal((await asked('alpha')).status, 400)
    assert.equal((await asked('nobody')).status, 404)
  })
})
