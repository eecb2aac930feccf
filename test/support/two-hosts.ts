// A network of two hosts on one machine: a NATS server, two services whose overlays are joined by a veth pair, a guest's port at each, whose other
// end is a peer of the test. The second one serves its API and console over TLS, to who has the token.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { connectCluster } from '../../src/manage/cluster/cluster-client.ts'
import { connectControl } from '../../src/manage/control/control-client.ts'
import type { RemoteSwitchHost } from '../../src/manage/host.ts'
import { type CliService, startCliService } from './cli-service.ts'
import { natsServer } from './nats-server.ts'
import { StreamPeer } from './socket-peers.ts'
import { until } from './until.ts'
import { VethPair } from './veth.ts'

export const SUBNET = 5001
const MTU = 1600

export interface NetworkedHost {
  readonly service: CliService
  readonly control: RemoteSwitchHost
  /** The guest's end of its port. */
  readonly guest: StreamPeer
}

export interface TwoHosts {
  readonly directory: string
  /** Port `web`, 52:54:00:00:00:01, 10.1.0.1, at provider 192.0.2.1. */
  readonly one: NetworkedHost
  /** Port `db`, 52:54:00:00:00:02, 10.1.0.2, at provider 192.0.2.2; it listens. */
  readonly two: NetworkedHost
  /** File with a reader's token for the second one, and its certificate. */
  readonly token: string
  readonly ca: string
  /** Where the second one listens: https://HOST:PORT. */
  readonly url: string
  /** Stops the second one. */
  closeTwo(): Promise<void>
}

interface Side {
  readonly name: string
  readonly number: number
  readonly device: string
  readonly port: string
}

async function run(service: CliService, ...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await service.run(words)
  if (code !== 0) throw new Error(`vmswitch ${words[0]}: ${stderr}${stdout}`)
  return stdout
}

async function applied(service: CliService, { name, number, device, port }: Side): Promise<NetworkedHost> {
  const file = join(service.directory, 'lab.yaml')
  const lab = {
    name,
    type: 'external',
    overlay: { kind: 'vxlan', providerAddresses: [{ address: `192.0.2.${number}/24` }], subnets: [{ vsid: SUBNET }] },
    ports: [
      { name: `wire-${name}`, endpoint: { kind: 'uplink', interface: device } },
      {
        name: port,
        mac: `52:54:00:00:00:0${number}`,
        customerAddresses: [`10.1.0.${number}`],
        security: { virtualSubnetId: SUBNET },
        endpoint: { kind: 'stream', path: 'guest.sock' },
      },
    ],
  }
  writeFileSync(file, JSON.stringify({ switch: lab, runtime: { directory: join(service.directory, 'run') } }))
  await run(service, 'apply', file)
  const guest = StreamPeer.connect(join(service.directory, 'run', 'guest.sock'))
  return { service, control: connectControl(service.socket), guest }
}

/** Made for one test, and gone after it. Needs root, veth interfaces and nats-server. */
export async function twoHosts(t: Pick<TestContext, 'after'>): Promise<TwoHosts> {
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-two-'))
  const cable = new VethPair(MTU)
  t.after(() => {
    cable.delete()
    rmSync(directory, { recursive: true })
  })
  const server = await natsServer(t as TestContext)
  const first = await startCliService()
  t.after(() => first.close())
  const [tokens, token] = [join(directory, 'tokens'), join(directory, 'token')]
  writeFileSync(token, await run(first, 'token', 'add', 'looker', '--role', 'reader', '--file', tokens), { mode: 0o600 })
  const second = await startCliService(['--listen', '127.0.0.1:0', '--tls-self-signed', '--token-file', tokens])
  let isOpen = true
  const closeTwo = async (): Promise<void> => {
    if (isOpen) await second.close()
    isOpen = false
  }
  t.after(closeTwo)
  const [one, two] = await Promise.all([
    applied(first, { name: 'one', number: 1, device: cable.near, port: 'web' }),
    applied(second, { name: 'two', number: 2, device: cable.far, port: 'db' }),
  ])
  t.after(() => {
    one.guest.vanish()
    two.guest.vanish()
  })
  for (const [service, name] of [
    [first, 'one'],
    [second, 'two'],
  ] as const)
    await run(service, 'join', server.url, '--network', 'lab', '--name', name)
  await run(first, 'network', 'subnet', 'set', String(SUBNET), '--prefixes', '10.1.0.0/24')
  for (const { control } of [one, two])
    await until(async () => {
      const status = await control.overlay()
      return status?.records === 1 && status.tunnels.every(({ nextHop }) => nextHop !== null)
    }, 'the way to the other guest')
  const { host, hosts } = await connectCluster(second.socket).network()
  const url = hosts.find(({ name }) => name === host)!.api!
  const ca = join(second.directory, 'state/tls-cert.pem')
  return { directory, one, two, token, ca, url, closeTwo }
}
