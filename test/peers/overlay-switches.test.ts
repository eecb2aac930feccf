// Two switches joined by tunnels over a veth pair: guests on both, in network namespaces, whose kernels' protocols are real.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { PortConfig } from '../../src/engine/host.ts'
import type { OverlayOptions, TunnelKind } from '../../src/switch/overlay/options.ts'
import { BUSYBOX, eventually, type TapWorld, tapWorld, whyNoWorld } from '../support/tap-world.ts'
import { VethPair, whyNoVeth } from '../support/veth.ts'

const skip = whyNoWorld() || (whyNoVeth() ?? false)
const VSID = 5001
const BYTES = 2_000_000
const MAC = { a: '02:00:00:00:00:0a', b: '02:00:00:00:00:0b', other: '02:00:00:00:00:0c' }
const CUSTOMER = { a: '10.81.0.1', b: '10.81.0.2', other: '10.81.0.3' }
const subnet = (virtualSubnetId: number): Partial<PortConfig> => ({
  properties: [{ type: 'security', value: { virtualSubnetId } }],
})

interface Side {
  readonly interface: string
  readonly own: string
  readonly peer: string
}

// Programs of guests: one sends back what it gets, the other sends a file and tells the digest of what comes back.
const SERVER = `require('node:net').createServer({ allowHalfOpen: true }, (s) => s.pipe(s)).listen(8080, process.argv[1])`
const CLIENT = `const hash = require('node:crypto').createHash('sha256')
  const socket = require('node:net').connect(8080, process.argv[1])
  socket.setTimeout(10000, () => process.exit(1))
  socket.on('error', () => process.exit(1)).on('data', (bytes) => hash.update(bytes))
  socket.on('end', () => process.stdout.write(hash.digest('hex')))
  require('node:fs').createReadStream(process.argv[2]).pipe(socket)`

const overlayOf = (kind: TunnelKind, { own, peer }: Side, more: Partial<OverlayOptions>): OverlayOptions => ({
  kind,
  providerAddresses: [{ address: `${own}${own.includes(':') ? '/64' : '/24'}` }],
  subnets: [
    { vsid: VSID, peers: [peer] },
    { vsid: VSID + 1, peers: [peer] },
  ],
  ...more,
})

const uplinkOf = (device: string): PortConfig => ({
  name: 'uplink',
  mac: null,
  macSpoofing: 'on',
  learning: true,
  link: 'up',
  endpoint: { kind: 'uplink', interface: device, via: 'packet', queues: 1, promiscuous: true, qdiscBypass: false },
})

for (const [kind, first, second, learning] of [
  ['vxlan', '192.0.2.1', '192.0.2.2', false],
  ['nvgre', '192.0.2.1', '192.0.2.2', false],
  ['geneve', '2001:db8::1', '2001:db8::2', true],
] as const)
  test(`guests of two switches talk through ${kind} over ${first}${learning ? ', which learns' : ''}; another virtual subnet hears nothing`, {
    skip,
    timeout: 120_000,
  }, async (t) => {
    const cable = new VethPair()
    t.after(() => cable.delete())
    const record = (mac: string, address: string, provider: string) => ({ vsid: VSID, mac, addresses: [address], provider })
    const near = await tapWorld(
      t,
      [],
      { a: MAC.a },
      {
        ports: { a: subnet(VSID) },
        others: [uplinkOf(cable.near)],
        config: {
          type: 'external',
          overlay: overlayOf(
            kind,
            { interface: cable.near, own: first, peer: second },
            {
              learning,
              records: learning ? [] : [record(MAC.b, CUSTOMER.b, second)],
            },
          ),
        },
      },
    )
    const far = await tapWorld(
      t,
      [],
      { b: MAC.b, other: MAC.other },
      {
        ports: { b: subnet(VSID), other: subnet(VSID + 1) },
        others: [uplinkOf(cable.far)],
        config: {
          type: 'external',
          overlay: overlayOf(
            kind,
            { interface: cable.far, own: second, peer: first },
            {
              learning,
              records: learning ? [] : [record(MAC.a, CUSTOMER.a, first)],
            },
          ),
        },
      },
    )
    for (const [world, name] of [
      [near, 'a'],
      [far, 'b'],
      [far, 'other'],
    ] as const)
      world.guests[name]!.ip('address', 'add', `${CUSTOMER[name]}/24`, 'dev', world.guests[name]!.device)
    const pings = (world: TapWorld, from: string, to: string): boolean =>
      world.in(from, BUSYBOX, 'ping', '-c', '1', '-W', '1', to).status === 0
    await eventually(() => pings(near, 'a', CUSTOMER.b), 'an answer through the tunnel')
    assert.equal(pings(near, 'a', CUSTOMER.other), false)
    assert.equal(pings(far, 'b', CUSTOMER.other), false)

    // Data both ways, in super-frames, over a connection that agrees on what fits.
    const server = spawn('ip', ['netns', 'exec', far.guests.b!.name, process.execPath, '-e', SERVER, CUSTOMER.b], {
      stdio: 'ignore',
    })
    t.after(() => server.kill())
    const data = randomBytes(BYTES)
    writeFileSync(join(near.directory, 'data'), data)
    const send = () => near.in('a', process.execPath, '-e', CLIENT, CUSTOMER.b, join(near.directory, 'data'))
    const echoed = await eventually(() => {
      const { status, output } = send()
      return status === 0 && output
    }, 'the data')
    assert.equal(echoed, createHash('sha256').update(data).digest('hex'))

    const status = near.vmswitch.overlay()!.status()
    assert.equal(status.tunnels.length, 1)
    assert.equal(status.tunnels[0]!.provider, second)
    assert.ok(status.counters.receivedBytes > BYTES)
    assert.ok(status.counters.sentFrames > 10)
    const learned = near.vmswitch
      .overlay()!
      .records({ vsid: VSID })
      .map(({ kind: how, mac }) => `${how} ${mac}`)
    assert.deepEqual(learned, [`${learning ? 'learned' : 'static'} ${MAC.b}`])
  })

test('guests of two virtual subnets of one routing domain reach each other through the router, on both hosts; another domain is apart', {
  skip,
  timeout: 120_000,
}, async (t) => {
  const cable = new VethPair()
  t.after(() => cable.delete())
  const [first, second] = ['192.0.2.1', '192.0.2.2']
  // Guest a is in the first subnet, b in the second one of the same domain, the other in one of another domain with the same prefix.
  const address = { a: '10.81.0.1', b: '10.82.0.2', other: '10.82.0.3' }
  const address6 = { a: 'fd81::1', b: 'fd82::2', other: 'fd82::3' }
  const net = (vsid: number, routingDomain: string, octet: number, peer: string) => ({
    vsid,
    routingDomain,
    prefixes: [`10.${octet}.0.0/24`, `fd${octet}::/64`],
    gateways: [`10.${octet}.0.254`, `fd${octet}::fe`],
    peers: [peer],
  })
  const routed = (own: string, peer: string, records: OverlayOptions['records']): OverlayOptions => ({
    kind: 'vxlan',
    providerAddresses: [{ address: `${own}/24` }],
    subnets: [net(VSID, 'blue', 81, peer), net(VSID + 1, 'blue', 82, peer), net(VSID + 2, 'red', 82, peer)],
    records,
  })
  const port = (name: keyof typeof address, virtualSubnetId: number): Partial<PortConfig> => ({
    ...subnet(virtualSubnetId),
    customerAddresses: [address[name], address6[name]],
  })
  const record = (name: keyof typeof address, vsid: number, provider: string) => ({
    vsid,
    mac: MAC[name],
    addresses: [address[name], address6[name]],
    provider,
  })
  const near = await tapWorld(
    t,
    [],
    { a: MAC.a },
    {
      ports: { a: port('a', VSID) },
      others: [uplinkOf(cable.near)],
      config: {
        type: 'external',
        overlay: routed(first, second, [record('b', VSID + 1, second), record('other', VSID + 2, second)]),
      },
    },
  )
  const far = await tapWorld(
    t,
    [],
    { b: MAC.b, other: MAC.other },
    {
      ports: { b: port('b', VSID + 1), other: port('other', VSID + 2) },
      others: [uplinkOf(cable.far)],
      config: { type: 'external', overlay: routed(second, first, [record('a', VSID, first)]) },
    },
  )
  for (const [world, name, octet] of [
    [near, 'a', 81],
    [far, 'b', 82],
    [far, 'other', 82],
  ] as const) {
    const { device } = world.guests[name]!
    const run = (...words: string[]): void => void world.guests[name]!.ip(...words)
    run('address', 'add', `${address[name]}/24`, 'dev', device)
    run('address', 'add', `${address6[name]}/64`, 'dev', device, 'nodad')
    run('route', 'add', 'default', 'via', `10.${octet}.0.254`)
    run('-6', 'route', 'add', 'default', 'via', `fd${octet}::fe`)
  }
  const pings = (world: TapWorld, from: string, to: string): boolean =>
    world.in(from, BUSYBOX, 'ping', ...(to.includes(':') ? ['-6'] : []), '-c', '1', '-W', '1', to).status === 0
  for (const to of ['10.81.0.254', 'fd81::fe', '10.82.0.254', address.b, address6.b])
    await eventually(() => pings(near, 'a', to), `an answer of ${to}`)
  assert.equal(pings(near, 'a', address.other), false)
  assert.equal(pings(far, 'other', address.b), false)
  const hops = near.in('a', BUSYBOX, 'traceroute', '-n', '-q', '1', '-w', '2', '-m', '4', address.b).output
  assert.match(hops, / 1 {2}10\.81\.0\.254 [\s\S]* 2 {2}10\.82\.0\.2 /)
  assert.match(near.in('a', BUSYBOX, 'ping', '-c', '1', '-W', '1', '10.99.0.1').output, /100% packet loss/)

  // A connection in super-frames both ways, over the router of both hosts.
  const server = spawn('ip', ['netns', 'exec', far.guests.b!.name, process.execPath, '-e', SERVER, address.b], {
    stdio: 'ignore',
  })
  t.after(() => server.kill())
  const data = randomBytes(BYTES)
  writeFileSync(join(near.directory, 'data'), data)
  const echoed = await eventually(() => {
    const { status, output } = near.in('a', process.execPath, '-e', CLIENT, address.b, join(near.directory, 'data'))
    return status === 0 && output
  }, 'the data')
  assert.equal(echoed, createHash('sha256').update(data).digest('hex'))
  const drops = new Map(
    near.vmswitch
      .overlay()!
      .status()
      .drops.map(({ reason, frames }) => [reason, frames]),
  )
  assert.ok(drops.get('overlay-no-route')! >= 1)
  assert.ok(drops.get('overlay-hops-used-up')! >= 1)

  // A guest that gets another address is found by that.
  await far.vmswitch.setPort('b', { customerAddresses: [address.b, '10.82.0.9'] })
  far.guests.b!.ip('address', 'add', '10.82.0.9/24', 'dev', far.guests.b!.device)
  await near.vmswitch.overlay()!.set([{ ...record('b', VSID + 1, second), addresses: [address.b, '10.82.0.9'] }])
  await eventually(() => pings(near, 'a', '10.82.0.9'), 'an answer of the new address')
})
