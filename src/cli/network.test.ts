import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type CliService, startCliService } from '../../test/support/cli-service.ts'
import { natsServer, noNatsServer } from '../../test/support/nats-server.ts'
import type { NetworkStatus } from '../manage/cluster/cluster-calls.ts'
import { connectCluster } from '../manage/cluster/cluster-client.ts'

const skip = noNatsServer()
const WAIT_MS = 40_000

interface Wish {
  readonly name: string
  readonly mac: string
  readonly address: string
}

async function host(t: TestContext, ports: readonly Wish[]): Promise<CliService> {
  const service = await startCliService()
  t.after(() => service.close())
  await apply(service, ports)
  return service
}

async function apply(service: CliService, ports: readonly Wish[]): Promise<void> {
  const config = {
    switch: {
      name: 'lab',
      ports: ports.map(({ name, mac, address }) => ({
        name,
        mac,
        customerAddresses: [address],
        endpoint: { kind: 'memory' },
        properties: [{ type: 'security', value: { virtualSubnetId: 5001 } }],
      })),
    },
    runtime: { directory: join(service.directory, 'run') },
  }
  const file = join(service.directory, 'lab.yaml')
  writeFileSync(file, JSON.stringify(config))
  const { code, stderr } = await service.run(['apply', file])
  assert.equal(code, 0, stderr)
}

const status = async (service: CliService): Promise<NetworkStatus> =>
  JSON.parse((await service.run(['network', '--json'])).stdout) as NetworkStatus

async function until(service: CliService, what: string, condition: (seen: NetworkStatus) => boolean): Promise<NetworkStatus> {
  const end = Date.now() + WAIT_MS
  for (;;) {
    const seen = await status(service)
    if (condition(seen)) return seen
    if (Date.now() > end) assert.fail(`${what}: ${JSON.stringify(seen)}`)
    await delay(100)
  }
}

const place = ({ ports }: NetworkStatus): string[] => ports.map(({ name, host: at, state }) => `${name} ${at} ${state}`)

test('two services join a network, see where each port is, outlive its server, come back to it and leave', {
  skip,
}, async (t) => {
  const server = await natsServer(t)
  const one = await host(t, [{ name: 'web', mac: '52:54:00:00:00:01', address: '10.1.0.1' }])
  const two = await host(t, [
    { name: 'db', mac: '52:54:00:00:00:02', address: '10.1.0.2' },
    { name: 'copy', mac: '52:54:00:00:00:03', address: '10.1.0.1' },
  ])
  assert.match((await one.run(['network'])).stdout, /in no network/)
  const words = (name: string, number: number) => [
    'join',
    server.url,
    '--network',
    'lab',
    '--name',
    name,
    '--provider',
    `192.0.2.${number}`,
  ]
  const first = await one.run(words('one', 1))
  assert.match(first.stdout, /host one is in network lab, with 0 other hosts/, first.stderr)
  assert.match(first.stdout, /port web stays out of it: the network has no virtual subnet 5001/)
  const made = await one.run(['network', 'subnet', 'set', '5001', '--prefixes', '10.1.0.0/24', '--label', 'blue'])
  assert.match(made.stdout, /5001 +blue/, made.stderr)
  await until(one, 'web is in the network', ({ ports }) => ports[0]?.state === 'held')
  assert.match((await one.run(words('one', 1))).stderr, /already|leave it first/)

  assert.equal((await two.run(words('two', 2))).code, 0)
  const seen = await until(one, 'one sees what two has', ({ ports }) => ports.some(({ name }) => name === 'db'))
  assert.deepEqual(place(seen), ['db two held', 'web one held'])
  assert.deepEqual(seen.subnets[0]?.peers, ['192.0.2.2'])
  assert.deepEqual(place(await status(two)), ['copy two refused', 'db two held', 'web one held'])
  assert.match((await two.run(['network'])).stdout, /copy .*refused.*the address 10\.1\.0\.1 .*claimed by host one/)

  await server.stop()
  await until(two, 'two says that the network is away', ({ state }) => state === 'partitioned')
  assert.match((await two.run(['network'])).stdout, /partitioned since 2/)
  const asked = Array.from({ length: 50 }, async () => (await connectCluster(two.socket).network()).since)
  assert.equal(new Set(await Promise.all(asked)).size, 1, 'since when is the same whenever it is asked for')
  await apply(two, [{ name: 'new', mac: '52:54:00:00:00:04', address: '10.1.0.4' }])
  await two.restart()
  await until(two, 'two is not in it, and says why', ({ state, message }) => state === 'joining' && message !== null)
  await server.start()
  await until(
    one,
    'one sees what changed meanwhile',
    ({ ports }) => place({ ports } as NetworkStatus).join() === 'new two held,web one held',
  )

  assert.match((await two.run(['leave'])).stdout, /in no network any more/)
  await until(one, 'one sees that two left', ({ hosts, ports }) => hosts.length === 1 && ports.length === 1)
  assert.equal((await status(two)).state, 'alone')
  const left = JSON.parse((await two.run(['ports', '--json'])).stdout) as { name: string }[]
  assert.deepEqual(
    left.map(({ name }) => name),
    ['new'],
    'the switch goes on',
  )
})

test('a network that can not be joined is refused with the reason, and nothing is stored', { skip }, async (t) => {
  const service = await startCliService()
  t.after(() => service.close())
  const code = async (...words: readonly string[]): Promise<string> => {
    const { stdout } = await service.run(['join', ...words, '--json'])
    return (JSON.parse(stdout) as { error: { code: string } }).error.code
  }
  assert.equal(await code('nats://127.0.0.1:9', '--network', 'lab', '--name', 'one'), 'unreachable')
  assert.equal(await code('nats://192.0.2.1', '--network', 'lab', '--name', 'one'), 'bad-request')
  assert.equal(await code('nats://127.0.0.1:9', '--network', 'no.name', '--name', 'one'), 'bad-request')
  assert.equal(await code('nats://127.0.0.1:9', '--network', 'lab', '--name', 'o.n.e'), 'bad-request')
  assert.equal(
    await code('nats://127.0.0.1:9', '--network', 'lab', '--name', 'one', '--credential', 'none'),
    'credential-unusable',
  )
  assert.equal((await service.run(['leave'])).code, 1)
  assert.equal((await status(service)).state, 'alone')
})
