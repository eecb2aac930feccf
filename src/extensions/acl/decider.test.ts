import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ExtensionHost } from '../../../test/support/extension-host.ts'
import { type Batch, defineExtension } from '../../extension.ts'
import { arpRequestFrame, echoFrame, ipFrame, tcpFrame, udpFrame } from '../../packet/build.ts'
import { put16 } from '../../packet/bytes.ts'
import acl from './index.ts'

const a = '02:00:00:00:00:01'
const b = '02:00:00:00:00:02'
const pair = { sourceMac: a, destinationMac: b, source: '10.0.0.1', destination: '10.0.0.2' }
const pair6 = { ...pair, source: 'fd00::1', destination: 'fd00::2' }
const elsewhere = { ...pair, source: '10.9.0.1' }
const near = { ...pair, source: '10.0.9.1' }
// Where an IPv4 header has its addresses, this one has those of `pair`.
const alike6 = { ...pair6, source: 'fd00:0:a00:1:a00:2:0:1' }
const toNear = { ...pair, destination: '10.0.7.2' }

const laterFragment = ipFrame(pair, 17, new Uint8Array(64))
put16(laterFragment, 14 + 6, 0x0010)

const frames: readonly Uint8Array[] = [
  tcpFrame(pair, 4000, 80),
  tcpFrame(pair, 4001, 80),
  tcpFrame(elsewhere, 4000, 80),
  tcpFrame(near, 4000, 80),
  tcpFrame(toNear, 4000, 80),
  tcpFrame(pair6, 4000, 80),
  tcpFrame(alike6, 4000, 80),
  tcpFrame(pair, 4000, 23),
  udpFrame(pair, 4000, 80),
  udpFrame(pair, 4000, 0),
  udpFrame(pair6, 4000, 53),
  echoFrame(pair, false, 1, 1),
  arpRequestFrame(a, '10.0.0.1', '10.0.0.2'),
  laterFragment,
  ipFrame(pair, 6, new Uint8Array(2)),
]

const optionsList: readonly object[] = [
  {
    rules: [
      { action: 'deny', sourcePrefix: '10.0.0.0/24' },
      { action: 'allow', destinationPorts: 80 },
    ],
  },
  {
    rules: [
      { action: 'deny', destinationPrefix: '10.0.7.0/24' },
      { action: 'allow', destinationPorts: 80 },
    ],
  },
  {
    rules: [
      { action: 'deny', sourcePrefix: '10.0.9.0/24' },
      { action: 'allow', destinationPorts: 80 },
    ],
  },
  {
    rules: [
      { action: 'deny', sourcePorts: 4001 },
      { action: 'allow', destinationPorts: 80 },
    ],
  },
  { rules: [{ action: 'deny', protocol: 'tcp', destinationPorts: 23 }] },
  { default: 'deny', rules: [{ action: 'allow', destinationPorts: 80 }] },
  {
    rules: [
      { action: 'deny', sourcePrefix: '10.9.0.0/16', protocol: 'tcp' },
      { action: 'allow', protocol: 'tcp' },
    ],
  },
  {
    default: 'deny',
    rules: [
      { action: 'allow', protocol: 'tcp', sourcePorts: 4000 },
      { action: 'allow', etherType: 'arp' },
    ],
  },
  {
    rules: [
      { action: 'deny', etherType: 'ipv6' },
      { action: 'allow', destinationPorts: 80 },
    ],
    fragments: 'pass',
  },
  {
    rules: [
      { action: 'deny', port: 'b', destinationPorts: 80 },
      { action: 'deny', destinationPorts: 53 },
    ],
  },
  { rules: [] },
]

// Tells the modules below that packet n of a burst came from port `sources[n]`.
let sources: readonly number[] = []
const mixer = defineExtension({
  id: '00000000-0000-0000-0000-000000000006',
  name: 'mixer',
  version: '1.0.0',
  class: 'capturing',
  attach: () => ({
    ingress(batch: Batch) {
      batch.oneSource = sources.every((port) => port === sources[0])
      for (let i = 0; i < batch.length; i++) batch.pool.sourcePort[batch.slots[i]!] = sources[i]!
    },
  }),
})

async function hostOf(options: object): Promise<ExtensionHost> {
  const host = new ExtensionHost([{ definition: mixer }, { definition: acl, options }])
  await host.addPorts('a', 'b', 'c')
  return host
}

interface Sent {
  readonly frame: number
  readonly port: number
}

function send(host: ExtensionHost, packets: readonly Sent[]): void {
  sources = packets.map(({ port }) => port)
  host.send('a', ...packets.map(({ frame }) => frames[frame]!))
}

const whole = (host: ExtensionHost): object => {
  const { counters, shared } = host.modules[1]!
  return { delivered: host.delivered('c'), counters: [...counters], hits: [...shared.get('hits')!] }
}

// Frames in runs, as traffic comes, from the ports 1 and 2 and from extensions (0, ES-341).
const run = fc.tuple(
  fc.record({ frame: fc.nat(frames.length - 1), port: fc.constantFrom(1, 1, 2, 0) }),
  fc.integer({ min: 1, max: 4 }),
)
const burst = fc
  .array(run, { minLength: 1, maxLength: 12 })
  .map((runs) => runs.flatMap(([sent, times]) => Array(times).fill(sent)))

test('a burst is decided and counted like its packets one by one', async () => {
  for (const options of optionsList) {
    const [together, apart] = [await hostOf(options), await hostOf(options)]
    fc.assert(
      fc.property(burst, (packets: readonly Sent[]) => {
        send(together, packets)
        for (const packet of packets) send(apart, [packet])
        assert.deepEqual(whole(together), whole(apart))
      }),
      { numRuns: 60 },
    )
    assert.deepEqual(together.reports, [])
  }
})
