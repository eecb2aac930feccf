// A frame is traced from a port of one host to a port of another: two services of one network, joined by tunnels over a veth pair.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { NetworkPort, NetworkStatus } from '../../src/manage/cluster/cluster-calls.ts'
import { connectControl } from '../../src/manage/control/control-client.ts'
import type { TraceReport } from '../../src/manage/diagnosis/diagnosis-calls.ts'
import type { FollowedTunnel } from '../../src/manage/diagnosis/follow.ts'
import { type CliService, startCliService } from '../support/cli-service.ts'
import { natsServer, noNatsServer } from '../support/nats-server.ts'
import { VethPair, whyNoVeth } from '../support/veth.ts'

const skip = whyNoVeth() ?? noNatsServer()
const WAIT_MS = 60_000
const SUBNET = 5001
const FRAME = 'udp,to=web,src=10.1.0.1,dst=10.1.0.2,dport=53,dmac=52:54:00:00:00:02'

interface Side {
  readonly name: string
  readonly number: number
  readonly device: string
  readonly port: string
}

async function apply(service: CliService, { name, number, device, port }: Side): Promise<void> {
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
        endpoint: { kind: 'memory' },
      },
    ],
  }
  writeFileSync(file, JSON.stringify({ switch: lab, runtime: { directory: join(service.directory, 'run') } }))
  const { code, stderr } = await service.run(['apply', file])
  assert.equal(code, 0, stderr)
}

/** A reader's token, which is enough for a trace; in a file. */
async function token(service: CliService, directory: string): Promise<string> {
  const made = await service.run(['token', 'add', 'tracer', '--role', 'reader', '--file', join(directory, 'tokens')])
  const file = join(directory, 'reader')
  writeFileSync(file, made.stdout, { mode: 0o600 })
  return file
}

/** Until the host at `socket` has a record of the other's guest, and the way to it. */
async function knowsTheWay({ socket }: CliService): Promise<void> {
  const host = connectControl(socket)
  const end = Date.now() + WAIT_MS
  for (;;) {
    const status = await host.overlay()
    if (status?.records === 1 && status.tunnels.every(({ nextHop }) => nextHop !== null)) return
    if (Date.now() > end) assert.fail(JSON.stringify(status))
    await delay(50)
  }
}

test('a frame is followed into the tunnel, to the other host and its port; what may not be asked there is said; tunnels show their rates', {
  skip,
}, async (t: TestContext) => {
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-follow-'))
  const cable = new VethPair(1600)
  t.after(() => {
    cable.delete()
    rmSync(directory, { recursive: true })
  })
  const server = await natsServer(t)
  const one = await startCliService()
  t.after(() => one.close())
  const reader = await token(one, directory)
  const stranger = join(directory, 'stranger')
  writeFileSync(stranger, 'vmsw_nobody', { mode: 0o600 })
  const two = await startCliService(['--listen', '127.0.0.1:0', '--tls-self-signed', '--token-file', join(directory, 'tokens')])
  let isOpen = true
  const close = async (): Promise<void> => {
    if (isOpen) await two.close()
    isOpen = false
  }
  t.after(close)
  const sides = [
    { service: one, side: { name: 'one', number: 1, device: cable.near, port: 'web' } },
    { service: two, side: { name: 'two', number: 2, device: cable.far, port: 'db' } },
  ]
  await Promise.all(sides.map(({ service, side }) => apply(service, side)))
  for (const { service, side } of sides) {
    const joined = await service.run(['join', server.url, '--network', 'lab', '--name', side.name])
    assert.equal(joined.code, 0, joined.stderr)
  }
  await one.run(['network', 'subnet', 'set', String(SUBNET), '--prefixes', '10.1.0.0/24'])
  await Promise.all([knowsTheWay(one), knowsTheWay(two)])
  const ca = join(two.directory, 'state/tls-cert.pem')
  const trace = async (words: readonly string[], env = {}): Promise<string> => {
    const { stdout, stderr } = await one.run(['trace', 'web', '--synth', FRAME, ...words], env)
    assert.equal(stderr, '')
    return stdout
  }

  const alone = await trace([])
  assert.match(alone, /overlay +switch +the record of 52:54:00:00:00:02 in virtual subnet 5001 leads to provider 192\.0\.2\.2/)
  assert.match(
    alone,
    /\nIt would be delivered to wire-one\.\nthrough the tunnel to 192\.0\.2\.2, host two: .* UDP 192\.0\.2\.1\.\d+ > 192\.0\.2\.2\.4789/,
  )

  const followed = await trace(['--follow', '--to-token-file', reader, '--to-ca', ca])
  assert.match(followed, /\nthrough the tunnel to 192\.0\.2\.2, host two, where it comes in as\n/)
  assert.match(followed, /1 +arrival +switch +comes in at port wire-two\n/)
  assert.match(followed, /overlay +switch +comes through VXLAN of provider 192\.0\.2\.1, virtual subnet 5001\n/)
  assert.match(followed, /\nIt would be delivered to db\.\n$/)

  const json = JSON.parse(await trace(['--follow', '--to-token-file', reader, '--to-ca', ca, '--json'])) as TraceReport & {
    followed: readonly FollowedTunnel[]
  }
  assert.equal(json.tunnels[0]!.host, 'two')
  assert.deepEqual(
    json.followed.map(({ host, provider, report }) => [host, provider, report?.delivered]),
    [['two', '192.0.2.2', ['db']]],
  )
  assert.equal(json.followed[0]!.report!.steps.at(-1)!.stage, 'delivery')

  // What goes through the tunnel, and where a MAC address is.
  const seen = (await one.run(['network'])).stdout
  assert.match(seen, /TUNNEL TO .*\n192\.0\.2\.2 +two +02:50:c0:00:02:02 +\d+ +\d+ B\/s +\d+ +\d+ B\/s\n/)
  const { tunnels } = JSON.parse((await one.run(['network', '--json'])).stdout) as NetworkStatus
  assert.deepEqual(
    tunnels.map(({ host, rate }) => [host, typeof rate?.sentFrames]),
    [['two', 'number']],
  )
  const places = JSON.parse((await one.run(['network', 'ports', '52:54:00:00:00:02', '--json'])).stdout) as NetworkPort[]
  assert.deepEqual(
    places.map(({ name, host }) => [name, host]),
    [['db', 'two']],
  )
  assert.match((await one.run(['network', 'ports', 'two', 'web'])).stdout, /^no port fits\n$/)

  // By the file of hosts, whose own token counts for this host.
  mkdirSync(join(directory, 'vmswitch'))
  const api = (JSON.parse((await one.run(['network', 'hosts', '--json'])).stdout) as { name: string; api: string }[])[1]!.api
  writeFileSync(join(directory, 'vmswitch/hosts.yaml'), JSON.stringify({ two: { host: api, tokenFile: reader, ca } }))
  assert.match(await trace(['--follow'], { XDG_CONFIG_HOME: directory }), /delivered to db\.\n$/)

  assert.match(await trace(['--follow', '--to-token-file', stranger, '--to-ca', ca]), /not known: .*token.*\(not-permitted\)/)
  assert.match(await trace(['--follow']), /not known: .* wants a token \(no-token\)/)
  assert.match(await trace(['--follow', '--to-token-file', reader]), /not known: .*\(not-trusted\)/)
  await close()
  assert.match(
    await trace(['--follow', '--to-token-file', reader, '--to-ca', ca]),
    /host two: what becomes of it there is not known: /,
  )
})
