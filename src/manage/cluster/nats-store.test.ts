import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect, usernamePasswordAuthenticator } from '@nats-io/transport-node'
import { natsServer, noNatsServer } from '../../../test/support/nats-server.ts'
import { bucketOf, NETWORK_KEY, subnetKey } from './keys.ts'
import { readCredential } from './nats-credential.ts'
import { natsAddress } from './nats-servers.ts'
import { NatsStore, type NatsStoreOptions } from './nats-store.ts'
import type { OwnPort } from './own-ports.ts'
import { ClusterSession } from './session.ts'

const skip = noNatsServer()
const WAIT_MS = 30_000
const SILENT_MS = 20_000

const port = (name: string, number: number): OwnPort => ({
  name,
  mac: `52:54:00:00:00:${number.toString(16).padStart(2, '0')}`,
  virtualSubnetId: 5001,
  customerAddresses: [`10.1.0.${number}`],
  vm: name,
  tenant: '',
  link: 'up',
  policies: [],
})

interface Member {
  readonly session: ClusterSession
  readonly store: NatsStore
  readonly codes: string[]
  readonly lookups: Map<string, string>
}

async function member(t: TestContext, options: NatsStoreOptions): Promise<Member> {
  const store = await NatsStore.open(options)
  const codes: string[] = []
  const lookups = new Map<string, string>()
  const session = new ClusterSession(
    { host: options.host, instance: `${Math.random()}`, providerAddresses: [`192.0.2.${options.host.length}`], software: '1' },
    {
      store,
      nowMs: () => performance.now(),
      tell: ({ code }) => codes.push(code),
      impose: async () => {},
      apply: async ({ set, removed }) => {
        for (const { mac } of removed) lookups.delete(mac)
        for (const { mac, providerAddress } of set) lookups.set(mac, providerAddress)
      },
    },
  )
  t.after(() => session.close())
  return { session, store, codes, lookups }
}

const eventually = async ({ session }: Member, what: string, condition: () => boolean): Promise<void> =>
  assert.ok(await session.until(condition, WAIT_MS), what)

test('two hosts find each other over a NATS server, and again after it was away', { skip }, async (t) => {
  const server = await natsServer(t)
  const options = { servers: [`127.0.0.1:${server.port}`], network: 'lab', tls: false }
  const a = await member(t, { ...options, host: 'a' })
  const b = await member(t, { ...options, host: 'bb' })
  assert.equal((await a.store.write(subnetKey(5001), JSON.stringify({ v: 1, virtualSubnetId: 5001 }), 0)).done, true)
  a.session.setPorts([port('x', 1)])
  b.session.setPorts([port('y', 2), port('late', 1)])
  await eventually(a, 'a hears of b', () => a.lookups.get('52:54:00:00:00:02') === '192.0.2.2')
  await eventually(b, 'b hears of a', () => b.session.reconciler.settled)
  const states = [a.session.reconciler.states.get('x')?.state, b.session.reconciler.states.get('late')?.state].sort()
  assert.deepEqual(states, ['held', 'refused'])

  await server.stop()
  await eventually(a, 'a says that the network is away', () => a.session.reconciler.standing === 'partitioned')
  a.session.setPorts([port('x', 1), port('z', 3)])
  assert.equal(a.lookups.size, 1, 'what was known stays')
  await server.start()
  await eventually(a, 'a is back', () => a.session.reconciler.standing === 'joined' && a.session.reconciler.settled)
  await eventually(b, 'b hears what was new', () => b.lookups.get('52:54:00:00:00:03') === '192.0.2.1')
  assert.ok(a.codes.includes('partitioned') && a.codes.includes('healed'))
  assert.ok(a.session.reconciler.lagMs !== null)

  assert.deepEqual(await a.session.leave(), [])
  await eventually(b, 'b hears that a left', () => b.codes.includes('host-left') && b.lookups.size === 0)
})

test('a write names the revision at which it stands, and nothing else is stored', { skip }, async (t) => {
  const server = await natsServer(t)
  const store = await NatsStore.open({ servers: [`127.0.0.1:${server.port}`], network: 'lab', host: 'a', tls: false })
  t.after(() => store.close())
  const revisionOf = (result: Awaited<ReturnType<NatsStore['write']>>): number => (result.done ? result.revision : 0)
  const first = revisionOf(await store.write('host.a.lease', 'one', 0))
  assert.ok(first > 0)
  assert.deepEqual(
    { ...(await store.write('host.a.lease', 'two', 0)), message: '' },
    { done: false, code: 'changed', message: '' },
  )
  const second = revisionOf(await store.write('host.a.lease', 'two', first))
  assert.ok(second > first)
  assert.equal((await store.write('host.a.lease', null, first)).done, false)
  assert.equal((await store.write('host.a.lease', null, second)).done, true)
  assert.equal((await store.write('host.a.lease', 'again', 0)).done, true, 'what was deleted can be made again')
})

test('a watch whose server forgot it is begun anew, though the connection stands', { skip }, async (t) => {
  const server = await natsServer(t)
  const options = { servers: [`127.0.0.1:${server.port}`], network: 'lab', tls: false }
  const a = await member(t, { ...options, host: 'a' })
  await eventually(a, 'a is in the network', () => a.session.reconciler.settled)
  const connection = await connect({ servers: options.servers })
  t.after(() => connection.close())
  const manager = await jetstreamManager(connection)
  const stream = `KV_${bucketOf('lab')}`
  for await (const { name } of manager.consumers.list(stream)) await manager.consumers.delete(stream, name)
  await a.store.write(subnetKey(5001), JSON.stringify({ v: 1, virtualSubnetId: 5001 }), 0)
  // The client library alone takes half a minute.
  assert.ok(await a.session.until(() => a.session.reconciler.view.subnets.has(5001), SILENT_MS), 'a hears again')
  await eventually(a, 'a is in the network again', () => a.session.reconciler.standing === 'joined')
})

test('a bucket that is made anew is heard as a whole, and what it does not have is made again', { skip }, async (t) => {
  const server = await natsServer(t)
  const options = { servers: [`127.0.0.1:${server.port}`], network: 'lab', tls: false }
  const a = await member(t, { ...options, host: 'a' })
  await eventually(a, 'a joins', () => a.session.reconciler.standing === 'joined')
  await a.store.write(subnetKey(5001), JSON.stringify({ v: 1, virtualSubnetId: 5001 }), 0)
  a.session.setPorts([port('x', 1)])
  await eventually(a, 'a has its port', () => a.session.reconciler.isPublished('x'))
  await server.stop()
  rmSync(join(server.directory, 'js'), { recursive: true })
  await eventually(a, 'a is cut off', () => a.session.reconciler.standing === 'partitioned')
  await server.start()
  const admin = await NatsStore.open({ ...options, host: 'admin' })
  t.after(() => admin.close())
  await admin.write(subnetKey(5001), JSON.stringify({ v: 1, virtualSubnetId: 5001 }), 0)
  await eventually(
    a,
    'a has its port again',
    () => a.session.reconciler.standing === 'joined' && a.session.reconciler.isPublished('x'),
  )
})

test('the NATS server keeps a host from writing what is not its own, and tells it so', { skip }, async (t) => {
  const bucket = bucketOf('lab')
  const api = [
    'INFO',
    `STREAM.INFO.KV_${bucket}`,
    `STREAM.MSG.GET.KV_${bucket}`,
    `CONSUMER.*.KV_${bucket}.>`,
    `CONSUMER.MSG.NEXT.KV_${bucket}.>`,
  ]
  const publish = [`$KV.${bucket}.host.h1.>`, ...api.map((one) => `$JS.API.${one}`)]
  const user = `{ user: h1, password: p, permissions: { publish: ${JSON.stringify(publish)}, subscribe: ["_INBOX_h1.>"] } }`
  const server = await natsServer(t, `accounts { NET: { jetstream: enabled, users: [ { user: admin, password: p }, ${user} ] } }`)
  const options = { servers: [`127.0.0.1:${server.port}`], network: 'lab', tls: false }
  const asUser = (name: string) => usernamePasswordAuthenticator(name, 'p')
  await assert.rejects(NatsStore.open({ ...options, host: 'h1', authenticator: asUser('h1') }), {
    code: /not-permitted|unreachable/,
  })
  await assert.rejects(NatsStore.open({ ...options, host: 'h1', authenticator: asUser('nobody') }), { code: 'not-permitted' })
  const admin = await NatsStore.open({ ...options, host: 'admin', authenticator: asUser('admin') })
  t.after(() => admin.close())
  await admin.write(NETWORK_KEY, JSON.stringify({ v: 1, name: 'lab', minimumVersion: 1 }), 0)
  await admin.write(subnetKey(5001), JSON.stringify({ v: 1, virtualSubnetId: 5001 }), 0)
  const h1 = await member(t, { ...options, host: 'h1', authenticator: asUser('h1') })
  h1.session.setPorts([port('x', 1)])
  await eventually(h1, 'with these rights alone a host is part of the network', () => h1.session.reconciler.isPublished('x'))
  const foreign = await h1.store.write('host.h2.lease', '{}', 0)
  assert.deepEqual([foreign.done, foreign.done || foreign.code], [false, 'not-permitted'])
  assert.equal((await h1.store.write(subnetKey(5002), '{}', 0)).done, false)
})

test('an address with a password, or one that anyone could overhear, is refused', () => {
  const none = { plaintext: false, tls: false }
  assert.deepEqual(natsAddress('nats://127.0.0.1,nats://localhost:5222', none), {
    servers: ['127.0.0.1:4222', 'localhost:5222'],
    tls: false,
  })
  assert.equal(natsAddress('tls://nats.example.net', none).tls, true)
  assert.throws(() => natsAddress('nats://u:p@127.0.0.1', none), /--credential/)
  assert.throws(() => natsAddress('nats://192.0.2.1', none), /without TLS/)
  assert.equal(natsAddress('nats://192.0.2.1', { ...none, plaintext: true }).tls, false)
  for (const text of ['', 'http://x', 'nats://', 'nats://x/path']) assert.throws(() => natsAddress(text, none), /NATS server/)
})

test('a credential is taken from a file that others can not read, in each of its forms', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-credential-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const file = join(directory, 'credential')
  const write = (text: string): string => {
    writeFileSync(file, text, { mode: 0o600 })
    return file
  }
  const answer = (text: string): Record<string, unknown> => ({ ...(readCredential(write(text))('nonce') as object) })
  assert.deepEqual(answer('h1:secret\n'), { user: 'h1', pass: 'secret' })
  assert.deepEqual(answer('token-of-mine'), { auth_token: 'token-of-mine' })
  assert.throws(() => readCredential(write('two words')), { code: 'credential-unusable' })
  assert.throws(() => readCredential(write('')), { code: 'credential-unusable' })
  assert.throws(() => readCredential(join(directory, 'none')), { code: 'credential-unusable' })
  write('h1:secret')
  chmodSync(file, 0o644)
  assert.throws(() => readCredential(file), { code: 'state-not-private' })
})
