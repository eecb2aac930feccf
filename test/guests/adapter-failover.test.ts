// A VM on a VF of an SR-IOV adapter, in a real guest: its own net_failover pairs the Intel function that igbvf drives with the virtio card
// on the extensible switch. Its TCP connection goes on, with every byte, while the VF is taken away and given back.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { createSwitch } from '../../src/engine/host.ts'
import { pairedCards } from '../../src/lab/paired-cards.ts'
import type { QemuGuest } from '../../src/lab/qemu.ts'
import { GuestBench } from '../support/qemu.ts'
import { until as waitUntil } from '../support/until.ts'
import { prepareVfGuests } from '../support/vf-guests.ts'

const MAC = '52:54:00:77:03:01'
const PEER_MAC = '52:54:00:77:03:02'
const BLOCKS = 50
const BLOCK_BYTES = 65_536
/** More than any run needs, and less than the guest has memory for. */
const BLOCKS_SENT_MAX = 600
const STREAM_MS = 150_000
/** More than what is no part of the connection: ARP, neighbour discovery. */
const STEADY_FRAMES = 20
const WAIT_MS = 60_000
const ground = await prepareVfGuests()
const skip = 'skip' in ground ? ground.skip : false

test('a TCP connection of a guest goes on, with every byte, while its VF is taken away and given back (SR-251, SR-252, SR-CS-52)', {
  skip,
  timeout: 180_000,
}, async (context) => {
  if ('skip' in ground) return
  const bench = await GuestBench.open(ground.tests)
  const at = (name: string): string => join(bench.directory, name)
  const vhost = (name: string) =>
    ({ kind: 'vhost-user', path: at(name), mode: 'server', queuePairs: 1, mtu: 1500, requireSeals: true }) as const
  const plain = { macSpoofing: 'off', learning: false, link: 'up' } as const
  const log: string[] = []
  let guest: QemuGuest | undefined
  // The guest's own way of unplugging: it works with every QEMU.
  const bind = async (how: 'bind' | 'unbind'): Promise<void> => {
    await guest?.check(`cd /sys/bus/pci/drivers/igbvf && basename "$(ls -d /sys/bus/pci/devices/*/ | while read d; do
      [ "$(cat $d/device)" = 0x10ca ] && echo $d; done)" >${how}`)
  }
  const running = await createSwitch(
    {
      name: 'sriov',
      type: 'external',
      processors: 1,
      directory: bench.directory,
      extensions: [],
      macTable: { entries: 1024, ageingSeconds: 300 },
      ports: [
        { ...plain, name: 'up', mac: null, learning: true, endpoint: { kind: 'adapter', adapter: 'nic' } },
        {
          ...plain,
          name: 'pair',
          mac: MAC,
          endpoint: vhost('s'),
          iov: {
            weight: 1,
            form: 'vfio-user',
            path: at('f'),
            queuePairs: 1,
            trusted: false,
            requireSeals: true,
            qmp: 'of the guest',
          },
        },
        { ...plain, name: 'peer', mac: PEER_MAC, endpoint: vhost('o') },
      ],
      adapters: [{ name: 'nic', mac: '52:54:00:77:03:f0', uplink: null, vfs: 2, mtu: 1500, speedMbps: 0, order: 'deferred' }],
    },
    {
      log: (event) => log.push(`${event.source}: ${event.code}: ${event.message}`),
      plug: { plug: () => bind('bind'), unplug: () => bind('unbind') },
    },
  )
  context.after(async () => {
    await bench.close()
    await running.close()
  })
  const { program } = ground
  const pair = bench.guest({ name: 'pair', nics: [], program, extraArguments: pairedCards(MAC, at('s'), at('f')) })
  const nic = { mac: PEER_MAC, address: '10.77.0.2/24', backend: { kind: 'vhost-user', path: at('o') } } as const
  const peer = bench.guest({ name: 'peer', nics: [nic], program })
  await Promise.all([pair, peer].map((each) => each.start()))
  await Promise.all([pair, peer].map((each) => each.ready()))

  const { adapters } = running
  const state = (): string =>
    JSON.stringify({ adapters: adapters.list(), ports: running.ports(), drops: running.drops(), log }, null, 1)
  const vfState = (): string | undefined => adapters.list()[0]!.assigned[0]?.state
  const until = (done: () => boolean, what: string): Promise<void> => waitUntil(done, what, state)
  const onVf = async (): Promise<void> => {
    await until(() => vfState() === 'active', 'the VF is in use')
    await pair.check(
      'for i in $(seq 300); do [ "$(cat /sys/bus/pci/drivers/igbvf/*/net/*/carrier)" = 1 ] && exit 0; usleep 100000; done; exit 1',
      {
        timeoutMs: WAIT_MS,
      },
    )
  }
  const framesOf = (vport: number): number =>
    adapters.list()[0]!.vports.find(({ id }) => id === vport)?.counters.receivedFrames ?? 0
  const framesOfPort = (): number => running.ports().find(({ name }) => name === 'pair')!.counters.receivedFrames

  await pair.check('ip address add 10.77.0.1/24 dev eth0 && ip link set eth0 up && modprobe igbvf')
  guest = pair
  await onVf()
  assert.equal((await peer.ping('10.77.0.1')).received, 3, state())
  assert.ok(framesOf(1) >= 3, state())

  await peer.check(`dd if=/dev/urandom of=/tmp/payload bs=${BLOCK_BYTES} count=${BLOCKS} 2>/dev/null`)
  const echoed = peer.check(
    `(i=0; while [ ! -e /tmp/enough ] && [ $i -lt ${BLOCKS_SENT_MAX} ]; do dd if=/tmp/payload bs=${BLOCK_BYTES} skip=$((i%${BLOCKS})) count=1 2>/dev/null; usleep 200000; i=$((i+1)); done) | tee /tmp/sent | nc 10.77.0.1 7 >/tmp/back; sha256sum </tmp/sent; sha256sum </tmp/back`,
    { timeoutMs: STREAM_MS },
  )
  const start = framesOf(1)
  await until(() => framesOf(1) - start >= STEADY_FRAMES, 'the connection uses the VF')
  const before = framesOfPort()
  await adapters.remove('pair')
  assert.equal(vfState(), undefined)
  await until(() => framesOfPort() - before >= STEADY_FRAMES, 'the connection goes on over the port')
  const given = await adapters.assign('pair')
  assert.equal(given.serialNumber, 2)
  await onVf()
  const over = framesOf(given.vport)
  await until(() => framesOf(given.vport) - over >= STEADY_FRAMES, 'the connection goes on over the VF')
  await peer.check('touch /tmp/enough')
  const [sent, received] = (await echoed).split('\n')
  assert.equal(received, sent, state())
  assert.deepEqual(
    log.filter((line) => /failed|stopped/.test(line)),
    [],
    state(),
  )
})
