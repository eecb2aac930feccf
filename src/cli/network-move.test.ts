// A port moves between two services of one network: what each of them is told, and what the network sees.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type CliService, startCliService } from '../../test/support/cli-service.ts'
import { natsServer, noNatsServer } from '../../test/support/nats-server.ts'
import type { NetworkStatus } from '../manage/cluster/cluster-calls.ts'
import { connectCluster } from '../manage/cluster/cluster-client.ts'
import { connectControl } from '../manage/control/control-client.ts'
import { migratePort } from '../manage/migrate.ts'
import { reachableUrl } from './network-listener.ts'

const skip = noNatsServer()
const WAIT_MS = 40_000
const MOVES = 10

test('a listener at all addresses is told of by the name of its machine', () => {
  assert.equal(reachableUrl('https://0.0.0.0:8443', 'h1'), 'https://h1:8443')
  assert.equal(reachableUrl('https://[::]:8443', 'h1'), 'https://h1:8443')
  assert.equal(reachableUrl('https://192.0.2.1:8443', 'h1'), 'https://192.0.2.1:8443')
})

const web = {
  name: 'web',
  mac: '52:54:00:00:00:01',
  customerAddresses: ['10.1.0.1'],
  endpoint: { kind: 'memory' },
  properties: [{ type: 'security', value: { virtualSubnetId: 5001 } }],
}

async function host(t: TestContext, ports: readonly object[], listen: readonly string[] = []): Promise<CliService> {
  const service = await startCliService(listen)
  t.after(() => service.close())
  const file = join(service.directory, 'lab.yaml')
  const runtime = { directory: join(service.directory, 'run') }
  writeFileSync(file, JSON.stringify({ switch: { name: 'lab', ports }, runtime }))
  const { code, stderr } = await service.run(['apply', file])
  assert.equal(code, 0, stderr)
  return service
}

const places = ({ ports }: NetworkStatus): string[] => ports.map(({ name, host: at, state }) => `${name} ${at} ${state}`)

async function until(service: CliService, what: string, condition: (seen: NetworkStatus) => boolean): Promise<void> {
  const cluster = connectCluster(service.socket)
  const end = Date.now() + WAIT_MS
  for (;;) {
    const seen = await cluster.network()
    if (condition(seen)) return
    if (Date.now() > end) assert.fail(`${what}: ${JSON.stringify(seen)}`)
    await delay(20)
  }
}

const isAt = (place: string) => (seen: NetworkStatus) => places(seen).join() === place

test('a port moves to a host of its network, over TLS with a token, and back over sockets, and all of it stays in the network', {
  skip,
}, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-move-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const server = await natsServer(t)
  const one = await host(t, [web])
  const tokens = join(directory, 'tokens')
  const token = join(directory, 'token')
  const made = await one.run(['token', 'add', 'mover', '--role', 'admin', '--file', tokens])
  writeFileSync(token, made.stdout, { mode: 0o600 })
  const two = await host(t, [], ['--listen', '127.0.0.1:0', '--tls-self-signed', '--token-file', tokens])
  for (const [service, name, number] of [
    [one, 'one', 1],
    [two, 'two', 2],
  ] as const) {
    const joined = await service.run(['join', server.url, '--network', 'lab', '--name', name, '--provider', `192.0.2.${number}`])
    assert.equal(joined.code, 0, joined.stderr)
  }
  await one.run(['network', 'subnet', 'set', '5001', '--prefixes', '10.1.0.0/24'])
  await until(two, 'two sees web at one', isAt('web one held'))

  assert.match((await one.run(['migrate', 'web', '--now'])).stderr, /one of --to and --to-host/)
  assert.match((await two.run(['migrate', 'web', '--now', '--to-host', 'one'])).stderr, /serves its control API on no network/)
  const words = ['--to-token-file', token, '--to-ca', join(two.directory, 'state/tls-cert.pem')]
  const moved = await one.run(['migrate', 'web', '--now', '--to-host', 'two', ...words])
  assert.equal(moved.code, 0, moved.stderr)
  await until(one, 'one sees web at two', isAt('web two held'))
  const [property] = await connectControl(two.socket).properties({ port: 'web' })
  assert.deepEqual((property?.value as { virtualSubnetId: number }).virtualSubnetId, 5001, 'its policies went along')
  assert.deepEqual(await connectControl(one.socket).ports(), [])

  // Back, where the port's name is taken: nothing changes, for anyone.
  await connectControl(one.socket).addPort({ name: 'web', mac: '52:54:00:00:00:09', endpoint: { kind: 'memory' } })
  const refused = await two.run(['migrate', 'web', '--now', '--to', one.socket])
  assert.match(refused.stderr, /already has a port "web"/)
  assert.equal((await connectControl(two.socket).ports()).length, 1)
  await connectControl(one.socket).removePort('web')
  await until(two, 'web is at two still', isAt('web two held'))

  const figures: number[] = []
  const rounds = [
    [two, 'two', one, 'one'],
    [one, 'one', two, 'two'],
  ] as const
  for (let k = 0; k < MOVES; k++) {
    const [from, name, to, at] = rounds[k % 2]!
    const cluster = connectCluster(to.socket)
    let letGo = 0
    const awaitPort: typeof cluster.awaitPort = async (port, timeoutMs) => {
      letGo = performance.now()
      const answer = await cluster.awaitPort(port, timeoutMs)
      figures.push(performance.now() - letGo)
      assert.equal(answer.state, 'held')
      return answer
    }
    await migratePort(
      connectControl(from.socket),
      connectControl(to.socket),
      'web',
      { waitForStop: false, network: { from: name, target: { ...cluster, awaitPort } } },
      { ready: () => {}, cancelled: () => false },
    )
    await until(from, `web is at ${at}`, isAt(`web ${at} held`))
  }
  figures.sort((a, b) => a - b)
  t.diagnostic(
    `${MOVES} moves: the network knew the new place ${figures[MOVES / 2]!.toFixed(1)} ms after the port was let go (median; at most ${figures.at(-1)!.toFixed(1)} ms)`,
  )

  // A target that stops in the midst: the source has the port again, in the network too.
  const cluster = connectCluster(one.socket)
  const source = rounds[MOVES % 2]![0]
  assert.equal(source, two)
  const broken = { ...connectControl(one.socket), takeOver: () => Promise.reject(new Error('the target broke')) }
  await assert.rejects(
    migratePort(
      connectControl(two.socket),
      broken,
      'web',
      { waitForStop: false, network: { from: 'two', target: cluster } },
      { ready: () => {}, cancelled: () => false },
    ),
    /the target broke/,
  )
  await until(one, 'web is at two again', isAt('web two held'))
  await until(two, 'two says so too', isAt('web two held'))
  assert.deepEqual(await connectControl(one.socket).ports(), [])
})
