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
