import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { after, describe, test } from 'node:test'
import { ATTEMPTS_MAX } from '../../endpoints/attempts.ts'
import { auditText } from '../control/access.ts'
import { connectControl } from '../control/control-client.ts'
import { ControlError } from '../control/control-errors.ts'
import { checkUrl } from '../control/control-place.ts'
import { fakeHost } from '../control/fake-host.ts'
import { EventBus } from '../events/event-bus.ts'
import { streamEvents } from '../events/event-client.ts'
import { listenAddress, type NetworkServer, startNetworkServer } from './network-server.ts'
import { fingerprint, makeCertificate, ownCertificate } from './self-signed.ts'
import { addToken, removeToken } from './tokens.ts'

const directory = mkdtempSync(join(tmpdir(), 'vmswitch-network-'))
const servers: NetworkServer[] = []
after(async () => {
  await Promise.all(servers.map((server) => server.close()))
  rmSync(directory, { recursive: true })
})
const tokenFile = join(directory, 'tokens')
const tokens = {
  admin: addToken(tokenFile, { name: 'alice', role: 'admin' }),
  operator: addToken(tokenFile, { name: 'olga', role: 'operator' }),
  reader: addToken(tokenFile, { name: 'bob', role: 'reader' }),
}
const pair = ownCertificate(directory, ['localhost', '127.0.0.1', '::1'], Date.now())
const ca = readFileSync(pair.certificate, 'utf8')

async function serve(tls = true, tokens = tokenFile) {
  const { host, calls } = fakeHost()
  const events = new EventBus()
  const told: string[] = []
  const server = await startNetworkServer(
    { listen: '127.0.0.1:0', pair: tls ? pair : null, tokens },
    { host, log: ({ code }) => told.push(code), events, audit: (record) => told.push(auditText(record)) },
  )
  servers.push(server)
  return { server, calls, events, told }
}

const code =
  (expected: string, words = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof ControlError, String(error))
    assert.equal(error.code, expected, error.message)
    assert.match(error.message, words)
    return true
  }

describe('the control API on the network', () => {
  test('answers over TLS to who has a token, in the role of the token, and says who changed what', async () => {
    const { server, calls, told } = await serve()
    assert.match(server.url, /^https:\/\/127\.0\.0\.1:\d+$/)
    const as = (token: string) => connectControl({ url: server.url, token, ca })
    assert.equal((await as(tokens.reader).ports()).length, 2)
    await assert.rejects(
      as(tokens.reader).setLink('alpha', false),
      code('role-needed', /role operator, and bob has the role reader/),
    )
    await as(tokens.operator).setLink('alpha', false)
    await assert.rejects(as(tokens.operator).removePort('alpha'), code('role-needed'))
    await as(tokens.admin).removePort('alpha')
    assert.deepEqual(
      calls.filter((call) => /^(setLink|removePort)/.test(call)),
      ['setLink {"name":"alpha","up":false}', 'removePort "alpha"'],
    )
    assert.deepEqual(told, [
      'bob (reader, 127.0.0.1): PATCH /v1/ports/alpha: 403',
      'olga (operator, 127.0.0.1): PATCH /v1/ports/alpha: 200',
      'olga (operator, 127.0.0.1): DELETE /v1/ports/alpha: 403',
      'alice (admin, 127.0.0.1): DELETE /v1/ports/alpha: 200',
    ])
  })

  test('is not asked by a client that does not trust its certificate', async () => {
    const { server } = await serve()
    await assert.rejects(connectControl({ url: server.url, token: tokens.admin }).status(), code('not-trusted', /--ca FILE/))
    const other = makeCertificate(['127.0.0.1'], Date.now()).certificate
    await assert.rejects(connectControl({ url: server.url, token: tokens.admin, ca: other }).status(), code('not-trusted'))
  })

  test('streams events and captures', async () => {
    const { server, events } = await serve()
    const place = { url: server.url, token: tokens.reader, ca }
    const stream = streamEvents(place, { after: 0 })
    events.publish({ source: 'port alpha', code: 'link-down', message: 'x' })
    assert.equal((await stream.next()).value?.code, 'link-down')
    await stream.return(undefined)
    const capture = await connectControl(place).capture({})
    for await (const chunk of capture.chunks) {
      assert.ok(chunk.length > 0)
      break
    }
  })

  test('ends the event streams and captures of a token that is taken back or gets another role, and of no other', async () => {
    const own = join(directory, 'changing')
    const as = { alice: addToken(own, { name: 'alice', role: 'admin' }), bob: addToken(own, { name: 'bob', role: 'reader' }) }
    const carol = addToken(own, { name: 'carol', role: 'operator' })
    const { server, events, told } = await serve(true, own)
    const place = (token: string) => ({ url: server.url, token, ca })
    const streams = [as.alice, as.bob, carol].map((token) => streamEvents(place(token), { after: 0 }))
    events.publish({ source: 'port alpha', code: 'link-down', message: 'x' })
    for (const stream of streams) assert.equal((await stream.next()).value?.code, 'link-down')
    const capture = await connectControl(place(as.bob)).capture({})
    const headers = { authorization: `Bearer ${as.bob}` }
    const raw = await new Promise<IncomingMessage>((resolve) => get(`${server.url}/v1/events`, { ca, headers }, resolve))
    raw.resume()
    const [alices, bobs, carols] = streams.map((stream) => stream.next())
    removeToken(own, 'bob')
    writeFileSync(own, readFileSync(own, 'utf8').replace('alice admin', 'alice reader'))
    assert.equal((await alices)?.done, true)
    assert.equal((await bobs)?.done, true)
    await assert.rejects(async () => {
      for await (const chunk of capture.chunks) assert.ok(chunk.length > 0)
    })
    await finished(raw)
    assert.ok(raw.complete, 'a stream of events ends in good order: browsers would tell of an error')
    assert.deepEqual(told, ['token-changed', 'token-changed', 'token-changed', 'token-changed'])
    events.publish({ source: 'port alpha', code: 'link-up', message: 'y' })
    assert.equal((await carols)?.value?.code, 'link-up')
    await streams[2]?.return(undefined)
  })

  test('does not hear an address that came with too many wrong tokens, not even with a right one', async () => {
    const { server, told } = await serve()
    const as = (token: string) => connectControl({ url: server.url, token, ca })
    for (let i = 0; i < ATTEMPTS_MAX; i++) await assert.rejects(as(`wrong${i}`).status(), code('not-permitted'))
    await assert.rejects(as(tokens.admin).status(), code('too-many-attempts', /in \d+ s/))
    assert.deepEqual(told, ['too-many-attempts'])
  })

  test('without TLS listens nowhere but at this machine, and wants a token there too', async () => {
    const open = { pair: null, tokens: tokenFile }
    for (const listen of ['0.0.0.0:0', '192.0.2.1:0', '[::]:0', 'example.com:0'])
      await assert.rejects(startNetworkServer({ ...open, listen }, { host: fakeHost().host, log: () => {} }), code('needs-tls'))
    const { server } = await serve(false)
    assert.equal((await connectControl({ url: server.url, token: tokens.reader }).ports()).length, 2)
    const status = await new Promise((resolve, reject) =>
      request(`${server.url}/v1/ports`, { agent: false }, (incoming) => {
        incoming.resume()
        resolve(incoming.statusCode)
      })
        .on('error', reject)
        .end(),
    )
    assert.equal(status, 401)
  })

  test('refuses addresses, certificates and token files that can not be used', async () => {
    const components = { host: fakeHost().host, log: () => {} }
    const start = (more: object) => startNetworkServer({ listen: '127.0.0.1:0', pair, tokens: tokenFile, ...more }, components)
    await assert.rejects(start({ listen: 'nowhere' }), code('bad-listen'))
    await assert.rejects(start({ listen: '127.0.0.1:70000' }), code('bad-listen'))
    await assert.rejects(start({ pair: { ...pair, certificate: pair.key } }), code('bad-certificate'))
    const loose = join(directory, 'loose')
    writeFileSync(loose, readFileSync(tokenFile), { mode: 0o640 })
    await assert.rejects(start({ tokens: loose }), { code: 'state-not-private' })
    await assert.rejects(start({ pair: { ...pair, key: loose } }), { code: 'state-not-private' })
    assert.deepEqual(listenAddress('[::1]:8443'), { host: '::1', port: 8443 })
  })
})

test('a token is sent over TLS, or within this machine', () => {
  for (const url of [
    'https://192.0.2.1:8443',
    'https://switch.example/',
    'http://127.0.0.1:80',
    'http://[::1]:8080',
    'http://localhost',
  ])
    checkUrl(url)
  for (const url of [
    'http://192.0.2.1',
    'http://localhost.example',
    'http://127.0.0.1.example',
    'ftp://x',
    'https://a@b',
    'https://x/y',
  ])
    assert.throws(() => checkUrl(url), { code: 'bad-host' }, url)
})

test('a certificate of our own is for the names it was made for, and is made once', () => {
  const own = ownCertificate(directory, ['other'], Date.now())
  assert.deepEqual(own, pair)
  assert.equal(statSync(own.key).mode & 0o777, 0o600)
  const read = new X509Certificate(ca)
  assert.ok(read.verify(read.publicKey))
  assert.ok(read.ca)
  assert.equal(read.checkHost('localhost'), 'localhost')
  assert.equal(read.checkIP('::1'), '::1')
  assert.equal(read.checkHost('other'), undefined)
  assert.equal(read.fingerprint256, fingerprint(ca))
  const named = new X509Certificate(
    makeCertificate(['2001:db8::17:5', 'h.example', ...Array.from({ length: 20 }, (_, i) => `h${i}.example`)], 0).certificate,
  )
  assert.equal(named.checkIP('2001:db8::17:5'), '2001:db8::17:5')
  assert.equal(named.checkHost('h19.example'), 'h19.example')
  assert.equal(named.validFromDate.getTime(), -86_400_000)
})
