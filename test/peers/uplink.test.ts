// External switches end to end: an uplink to another host (a network namespace behind a veth pair) and the host's own adapter, with
// the kernel's TCP on both sides. Needs root.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSwitch, type PortConfig, type RunningSwitch } from '../../src/engine/host.ts'
import { whyNoTap } from '../support/machine.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'
import { ip, Namespace, VethPair, whyNoVeth } from '../support/veth.ts'

const skip = whyNoTap() ?? whyNoVeth()
const BYTES = 32 * 1024 * 1024

const port = (name: string, endpoint: PortConfig['endpoint'], more: Partial<PortConfig> = {}): PortConfig => ({
  name,
  mac: null,
  macSpoofing: 'off',
  learning: true,
  link: 'up',
  endpoint,
  ...more,
})

interface World {
  readonly vmswitch: RunningSwitch
  /** Behind the uplink, 198.51.100.1. */
  readonly outside: Namespace
  /** Where the host's adapter is, 198.51.100.2. */
  readonly host: Namespace
}

async function externalSwitch(t: TestContext, processors: number, mtu = 1500): Promise<World> {
  const veth = new VethPair(mtu)
  const outside = new Namespace()
  const host = new Namespace()
  const tap = `vt${process.pid % 100000}`
  const uplink = {
    kind: 'uplink',
    interface: veth.near,
    via: 'packet',
    queues: processors,
    promiscuous: true,
    qdiscBypass: false,
  } as const
  const vmswitch = await createSwitch(
    {
      name: 'external',
      type: 'external',
      processors,
      extensions: [],
      ports: [
        port('uplink', uplink),
        port('management-os', { kind: 'tap', interface: tap, mtu: 1500, queues: 1 }, { managementOS: true }),
      ],
      macTable: { entries: 256, ageingSeconds: 0 },
      directory: temporaryDirectory(),
    },
    { log: () => {} },
  )
  t.after(async () => {
    await vmswitch.close()
    for (const each of [outside, host, veth]) each.delete()
  })
  outside.take(veth.far, '198.51.100.1/24')
  host.take(tap, '198.51.100.2/24')
  for (let i = 0; i < 3000 && !vmswitch.ports().every(({ connected }) => connected); i++) await sleep(10)
  return { vmswitch, outside, host }
}

/** Sends BYTES from one namespace to another over TCP. Returns the receiver's digest and what it should be. */
async function transfer(from: Namespace, to: Namespace, address: string): Promise<{ digest: string; expected: string }> {
  const expected = `const { createHash } = require('node:crypto'); const { createServer, connect } = require('node:net')
    const piece = (i) => createHash('sha256').update(String(i)).digest().toString('hex').repeat(1024)`
  const receiver = spawn(
    'ip',
    [
      'netns',
      'exec',
      to.name,
      process.execPath,
      '-e',
      `${expected}
      createServer((socket) => { const hash = createHash('sha256'); socket.on('data', (data) => hash.update(data)).on('end', () => { console.log(hash.digest('hex')); process.exit() }) })
        .listen(5001, () => console.log('ready'))`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let said = ''
  receiver.stdout.on('data', (data) => {
    said += data
  })
  while (!said.includes('ready')) await sleep(5)
  const sender = spawn(
    'ip',
    [
      'netns',
      'exec',
      from.name,
      process.execPath,
      '-e',
      `${expected}
      const hash = createHash('sha256'); const socket = connect(5001, '${address}')
      const pieces = ${BYTES} / 65536; let i = 0
      const more = () => { for (; i < pieces; i++) { const data = piece(i); hash.update(data); if (!socket.write(data)) { i++; socket.once('drain', more); return } } socket.end(); console.log(hash.digest('hex')) }
      socket.on('connect', more)`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let sent = ''
  sender.stdout.on('data', (data) => {
    sent += data
  })
  await Promise.all([receiver, sender].map((child) => new Promise((resolve) => child.on('close', resolve))))
  return { digest: said.replace('ready', '').trim(), expected: sent.trim() }
}

describe('external switch', { skip: skip ?? false }, () => {
  test('ES-193: the MTU of the external connection is that of the interface, and follows it', async (t) => {
    const { vmswitch } = await externalSwitch(t, 1, 2000)
    const uplink = () => vmswitch.ports().find(({ name }) => name === 'uplink')!
    assert.equal(uplink().mtu, 2000)
    ip('link', 'set', String(uplink().detail.interface), 'mtu', '9000')
    for (let i = 0; i < 3000 && uplink().mtu !== 9000; i++) await sleep(10)
    assert.equal(uplink().mtu, 9000)
    assert.equal(uplink().connected, true)
  })

  for (const processors of [1, 2])
    test(`TCP passes between the host's adapter and the network both ways, in segments left uncut, with ${processors} processors`, async (t) => {
      const { vmswitch, outside, host } = await externalSwitch(t, processors)
      for (const [from, to, address] of [
        [outside, host, '198.51.100.2'],
        [host, outside, '198.51.100.1'],
      ] as const) {
        const { digest, expected } = await transfer(from, to, address)
        assert.match(digest, /^[0-9a-f]{64}$/)
        assert.equal(digest, expected)
      }
      const frames = vmswitch.ports().map(({ counters }) => counters.receivedBytes / counters.receivedFrames)
      assert.ok(Math.max(...frames) > 3000, `frames were cut: ${frames.map(Math.round)} bytes on average`)
      const [uplink] = vmswitch.ports()
      assert.deepEqual([uplink!.kind, uplink!.detail.via, uplink!.detail.carrier], ['uplink', 'packet', true])
    })
})
