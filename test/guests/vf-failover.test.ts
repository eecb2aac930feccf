// Failover in a real guest: its own net_failover pairs our virtual function (igbvf) with our virtio card of the same address, and its
// traffic moves between the two while QEMU takes the function away and gives it back.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { createSwitch } from '../../src/engine/host.ts'
import { pairedCards } from '../../src/lab/paired-cards.ts'
import type { QemuGuest } from '../../src/lab/qemu.ts'
import { GuestBench } from '../support/qemu.ts'
import { until as waitUntil } from '../support/until.ts'
import { prepareVfGuests } from '../support/vf-guests.ts'

const MAC = '52:54:00:77:02:01'
const PEER_MAC = '52:54:00:77:02:02'
const ground = await prepareVfGuests()
const skip = 'skip' in ground ? ground.skip : false

test('net_failover uses the function, falls back to the virtio card without it, returns, and migrates to another QEMU', {
  skip,
  timeout: 240_000,
}, async (context) => {
  if ('skip' in ground) return
  const bench = await GuestBench.open(ground.tests)
  const at = (name: string): string => join(bench.directory, name)
  const vhost = (name: string) =>
    ({ kind: 'vhost-user', path: at(name), mode: 'server', queuePairs: 1, mtu: 1500, requireSeals: true }) as const
  const vf = (name: string, standby: string) =>
    ({ kind: 'vf', path: at(name), mac: MAC, mtu: 1500, trusted: false, requireSeals: true, standby }) as const
  const port = { mac: null, macSpoofing: 'off', learning: true, link: 'up' } as const
  const log: string[] = []
  const running = await createSwitch(
    {
      name: 'failover',
      type: 'private',
      processors: 1,
      directory: bench.directory,
      extensions: [],
      macTable: { entries: 1024, ageingSeconds: 300 },
      ports: [
        { ...port, name: 'function', endpoint: vf('f', 'standby') },
        { ...port, name: 'standby', endpoint: vhost('s') },
        { ...port, name: 'other', endpoint: vhost('o') },
        { ...port, name: 'function2', endpoint: vf('f2', 'standby2') },
        { ...port, name: 'standby2', endpoint: vhost('s2') },
      ],
    },
    { log: (event) => log.push(`${event.source}: ${event.code}: ${event.message}`) },
  )
  context.after(async () => {
    await bench.close()
    await running.close()
  })
  const { program } = ground
  const guest = bench.guest({ name: 'pair', nics: [], program, extraArguments: pairedCards(MAC, at('s'), at('f')) })
  const nic = { mac: PEER_MAC, address: '10.77.0.2/24', backend: { kind: 'vhost-user', path: at('o') } } as const
  const peer = bench.guest({ name: 'peer', nics: [nic], program })
  await Promise.all([guest, peer].map((each) => each.start()))
  await Promise.all([guest, peer].map((each) => each.ready()))

  const state = (): string => JSON.stringify({ ports: running.ports(), drops: running.drops(), log }, null, 1)
  const framesFrom = (index: number): number => running.ports()[index]!.counters.receivedFrames
  const waitFor = (what: string): Promise<string> =>
    guest.check(`for i in $(seq 300); do ${what} && exit 0; usleep 100000; done; dmesg | tail -20; ip link; exit 1`, {
      timeoutMs: 60_000,
    })
  const isActive = (index = 0): boolean => running.ports()[index]!.detail.active === true
  const until = (done: () => boolean, what: string): Promise<void> => waitUntil(done, what, state)
  const pings = async (from: QemuGuest): Promise<void> => {
    const { received } = await from.ping('10.77.0.2')
    assert.equal(received, 3, state())
  }

  await guest.check('ip address add 10.77.0.1/24 dev eth0 && ip link set eth0 up && modprobe igbvf')
  await waitFor('dmesg | grep -q "primary slave.*registered"')
  await until(() => isActive(), 'the function is up')
  await waitFor('[ "$(cat /sys/bus/pci/drivers/igbvf/*/net/*/carrier)" = 1 ]')
  const standbyBefore = framesFrom(1)
  await pings(guest)
  assert.ok(framesFrom(0) >= 3, state())
  assert.ok(framesFrom(1) - standbyBefore < 3, `the virtio card carried what belongs to the function\n${state()}`)

  // QEMU takes the primary away when it starts to migrate the guest, and gives it back when that is called off.
  await guest.qmp.execute('migrate-set-parameters', { 'max-bandwidth': 1000 })
  await guest.qmp.execute('migrate', { uri: 'exec:cat >/dev/null' })
  await until(() => !isActive(), 'the guest lets go of the function')
  const standbyAlone = framesFrom(1)
  await pings(guest)
  assert.ok(framesFrom(1) - standbyAlone >= 3, state())

  await guest.qmp.execute('migrate_cancel')
  await until(() => isActive(), 'the function is back')
  await waitFor('[ "$(cat /sys/bus/pci/drivers/igbvf/*/net/*/carrier)" = 1 ]')
  await pings(guest)
  assert.deepEqual(
    log.filter((line) => /failed|stopped/.test(line)),
    [],
    state(),
  )
})
