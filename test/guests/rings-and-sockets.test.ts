// Real guests on the switch: two Linux guests in QEMU, their stock virtio-net driver on our vhost-user rings (split, packed, without
// mergeable buffers), and on sockets, where the switch has to do checksums and segmentation in software.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { EndpointConfig } from '../../src/engine/endpoint-factory.ts'
import { createSwitch, type RunningSwitch } from '../../src/engine/host.ts'
import type { QemuGuest } from '../../src/lab/qemu.ts'
import type { NicBackend, NicOptions } from '../../src/lab/qemu-arguments.ts'
import { GuestBench, prepareGuestTests } from '../support/qemu.ts'

const tests = await prepareGuestTests()
const options = { skip: tests.skip, timeout: 180_000 }
const PAYLOAD_KIB = 4096

type Kind = 'vhost-user' | 'stream' | 'dgram'

interface Side {
  readonly kind?: Kind
  readonly properties?: readonly string[]
  readonly queues?: number
  readonly memoryMiB?: number
}

interface Network {
  readonly vmswitch: RunningSwitch
  readonly guests: [QemuGuest, QemuGuest]
  readonly log: string[]
}

function endpointOf(kind: Kind, path: string, queues: number): { endpoint: EndpointConfig; backend: NicBackend } {
  switch (kind) {
    case 'vhost-user':
      return {
        endpoint: { kind, path, mode: 'server', queuePairs: queues, mtu: 1500, requireSeals: true },
        backend: { kind, path },
      }
    case 'stream':
      return { endpoint: { kind, path, mode: 'server' }, backend: { kind, path } }
    case 'dgram':
      return {
        endpoint: { kind, local: path, remote: `${path}.q` },
        backend: { kind, localPath: `${path}.q`, remotePath: path },
      }
  }
}

/** A switch with two ports and a guest on each, ready. */
async function network(context: TestContext, alpha: Side = {}, beta: Side = {}): Promise<Network> {
  const bench = await GuestBench.open(tests)
  const log: string[] = []
  const sides = [alpha, beta].map((side, i) => {
    const name = i === 0 ? 'alpha' : 'beta'
    const { endpoint, backend } = endpointOf(side.kind ?? 'vhost-user', join(bench.directory, name), side.queues ?? 1)
    return { side, name, mac: `52:54:00:77:00:0${i + 1}`, address: `10.77.0.${i + 1}/24`, endpoint, backend }
  })
  const vmswitch = await createSwitch(
    {
      name: 'test',
      type: 'private',
      processors: 1,
      directory: bench.directory,
      extensions: [],
      macTable: { entries: 1024, ageingSeconds: 300 },
      ports: sides.map(({ name, mac, endpoint }) => ({ name, mac, macSpoofing: 'off', learning: false, link: 'up', endpoint })),
    },
    { log: (event) => log.push(`${event.source}: ${event.code}: ${event.message}`) },
  )
  context.after(async () => {
    await bench.close()
    await vmswitch.close()
  })
  const guests = sides.map(({ side, name, mac, address, backend }) => {
    const nic: NicOptions = {
      mac,
      address,
      backend,
      ...(side.queues === undefined ? {} : { queues: side.queues }),
      ...(side.properties === undefined ? {} : { properties: side.properties }),
    }
    return bench.guest({
      name,
      nics: [nic],
      ...(side.queues === undefined ? {} : { processors: side.queues }),
      ...(side.memoryMiB === undefined ? {} : { memoryMiB: side.memoryMiB }),
    })
  }) as [QemuGuest, QemuGuest]
  await Promise.all(guests.map((guest) => guest.start()))
  await Promise.all(guests.map((guest) => guest.ready()))
  return { vmswitch, guests, log }
}

async function exchange({ vmswitch, guests, log }: Network): Promise<void> {
  const [alpha, beta] = guests
  const state = (): string => JSON.stringify({ ports: vmswitch.ports(), drops: vmswitch.drops(), log }, null, 1)
  const ping = await alpha.ping('10.77.0.2')
  assert.equal(ping.received, 3, state())
  await alpha.check(`dd if=/dev/urandom of=/tmp/payload bs=1024 count=${PAYLOAD_KIB} 2>/dev/null`)
  const sent = (await alpha.check('sha256sum </tmp/payload')).split(' ')[0]
  for (const [from, to] of [
    [alpha, '10.77.0.2'],
    [beta, '10.77.0.1'],
  ] as const) {
    if (from === beta) await beta.check(`dd if=/dev/urandom of=/tmp/payload bs=1024 count=${PAYLOAD_KIB} 2>/dev/null`)
    const expected = from === alpha ? sent : (await beta.check('sha256sum </tmp/payload')).split(' ')[0]
    const [bytes, , received] = (await from.check(`nc ${to} 5001 </tmp/payload`, { timeoutMs: 60_000 })).split(' ')
    assert.equal(bytes, String(PAYLOAD_KIB * 1024), state())
    assert.equal(received, expected, state())
  }
  const unexpected = vmswitch
    .drops()
    .flatMap(({ reasons }) => Object.keys(reasons).filter((reason) => reason.startsWith('bad-') || reason === 'oversize'))
  assert.deepEqual(unexpected, [], state())
}

const variants: readonly [string, Side, Side][] = [
  ['split rings', {}, {}],
  ['packed rings', { properties: ['packed=on'] }, { properties: ['packed=on'] }],
  ['a packed ring and a split one without mergeable buffers', { properties: ['packed=on'] }, { properties: ['mrg_rxbuf=off'] }],
  [
    'a guest with all offloads and one with none',
    {},
    { properties: ['csum=off', 'gso=off', 'guest_csum=off', 'guest_tso4=off', 'guest_tso6=off', 'mrg_rxbuf=off'] },
  ],
  ['a vhost-user guest and one on a stream socket', {}, { kind: 'stream' }],
  ['a vhost-user guest and one on datagram sockets', {}, { kind: 'dgram' }],
]

for (const [name, alpha, beta] of variants)
  test(`guests ping and pass files whole over ${name}`, options, async (context) => {
    await exchange(await network(context, alpha, beta))
  })

test('a guest of 5 GiB is served by the TypeScript engine, and status says so', options, async (context) => {
  const net = await network(context, { memoryMiB: 5120 }, {})
  const [large, small] = net.vmswitch.ports()
  assert.equal(large?.detail.engine, 'typescript')
  assert.equal(small?.detail.engine, 'wasm')
  await exchange(net)
})
