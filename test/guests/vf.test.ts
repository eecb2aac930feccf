// Virtual functions in real guests: two Linux guests whose stock igbvf driver drives our PCI function over vfio-user, on one switch.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createSwitch, type RunningSwitch } from '../../src/engine/host.ts'
import type { QemuGuest } from '../../src/lab/qemu.ts'
import { GuestBench } from '../support/qemu.ts'
import { prepareVfGuests } from '../support/vf-guests.ts'

const macs = ['52:54:00:77:01:01', '52:54:00:77:01:02'] as const
const COMMAND_MS = 60_000

const ground = await prepareVfGuests()
const skip = 'skip' in ground ? ground.skip : false

const device = (path: string): string[] => [
  '-device',
  JSON.stringify({ driver: 'vfio-user-pci', socket: { type: 'unix', path }, id: 'vf' }),
]

describe('two guests with virtual functions', { skip, timeout: 240_000 }, () => {
  let bench: GuestBench
  let running: RunningSwitch
  let guests: [QemuGuest, QemuGuest]
  const log: string[] = []

  before(async () => {
    if ('skip' in ground) return
    bench = await GuestBench.open(ground.tests)
    const paths = macs.map((_, i) => join(bench.directory, `v${i}`))
    running = await createSwitch(
      {
        name: 'vf',
        type: 'private',
        processors: 2,
        directory: bench.directory,
        extensions: [],
        macTable: { entries: 1024, ageingSeconds: 300 },
        // Learning ports: an address is known in each VLAN that it was seen in.
        ports: macs.map((mac, i) => ({
          name: `p${i}`,
          mac: null,
          macSpoofing: 'off',
          learning: true,
          link: 'up',
          endpoint: { kind: 'vf', path: paths[i]!, mac, mtu: 9000, trusted: i === 0, requireSeals: true },
        })),
      },
      { log: (event) => log.push(`${event.source}: ${event.code}: ${event.message}`) },
    )
    guests = macs.map((_, i) =>
      bench.guest({ name: `g${i}`, nics: [], program: ground.program, extraArguments: device(paths[i]!) }),
    ) as [QemuGuest, QemuGuest]
    await Promise.all(guests.map((guest) => guest.start()))
    await Promise.all(guests.map((guest) => guest.ready()))
  })

  after(async () => {
    await bench?.close()
    await running?.close()
  })

  const state = (): string => JSON.stringify({ ports: running.ports(), drops: running.drops(), log }, null, 1)
  const counters = (port: number): Record<string, number> => running.ports()[port]!.detail.counters as Record<string, number>

  async function bringUp(guest: QemuGuest, index: number): Promise<void> {
    await guest.check(`ip address replace 10.77.0.${index + 1}/24 dev eth0 && ip link set eth0 up`)
    await guest.check(
      'for i in $(seq 100); do [ "$(cat /sys/class/net/eth0/carrier 2>/dev/null)" = 1 ] && exit 0; usleep 100000; done; exit 1',
      {
        timeoutMs: COMMAND_MS,
      },
    )
  }

  async function pings(from: QemuGuest, address = '10.77.0.2'): Promise<void> {
    const { received } = await from.ping(address)
    assert.equal(received, 3, state())
  }

  /** Sends a file and compares both sides' hashes. */
  async function passes(from: QemuGuest, address: string, kib: number): Promise<void> {
    await from.check(`dd if=/dev/urandom of=/tmp/payload bs=1024 count=${kib} 2>/dev/null`)
    const sent = (await from.check('sha256sum </tmp/payload')).split(' ')[0]
    const answer = (await from.check(`nc ${address} 5001 </tmp/payload`, { timeoutMs: COMMAND_MS })).split(' ')
    assert.equal(answer[0], String(kib * 1024), state())
    assert.equal(answer[2], sent, state())
  }

  test('the stock driver probes the function, takes its address and brings the link up', async () => {
    for (const [i, guest] of guests.entries()) {
      await guest.check('modprobe igbvf')
      assert.equal(await guest.check('cat /sys/class/net/eth0/address'), macs[i], state())
      assert.match(await guest.check('readlink /sys/class/net/eth0/device/driver'), /igbvf$/)
      await bringUp(guest, i)
    }
  })

  test('guests ping each other', () => pings(guests[0]))

  test('TCP passes files whole in both directions, with segmentation done by us', async () => {
    await passes(guests[0], '10.77.0.2', 8192)
    await passes(guests[1], '10.77.0.1', 8192)
    assert.ok(counters(0).superFrames! > 0, state())
    assert.equal(counters(0).transmitDropped, 0, state())
  })

  test('many frames share an interrupt and a register access', async () => {
    const messages = (port: number): number => {
      const { reads, writes } = running.ports()[port]!.detail.messages as { reads: number; writes: number }
      return reads + writes
    }
    const before = [0, 1].map((port) => [messages(port), counters(port).framesOut!, counters(port).interrupts!] as const)
    await passes(guests[0], '10.77.0.2', 16384)
    // The receiver gets a frame per segment; the sender hands over super-frames.
    const frames = counters(1).framesOut! - before[1]![1]
    const accesses = [0, 1].map((port) => messages(port) - before[port]![0])
    const interrupts = counters(1).interrupts! - before[1]![2]
    process.stderr.write(
      `vf: ${frames} frames received, ${accesses.join(' and ')} register accesses (sender, receiver), ${interrupts} interrupts\n`,
    )
    assert.ok(interrupts < frames / 2, state())
    assert.ok(accesses[0]! + accesses[1]! < frames, state())
  })

  test('tagged frames pass on a VLAN interface, with tags inserted and stripped by us', async () => {
    for (const [i, guest] of guests.entries()) {
      await guest.check('modprobe 8021q')
      await guest.check('ip link add link eth0 name eth0.7 type vlan id 7 && ip link set eth0.7 up')
      await guest.check(`ip address add 10.78.0.${i + 1}/24 dev eth0.7`)
    }
    await pings(guests[0], '10.78.0.2')
    await passes(guests[0], '10.78.0.2', 512)
    const { vlans } = running.ports()[0]!.detail.filters as { vlans: number[] }
    assert.ok(vlans.includes(7), state())
  })

  test('a larger MTU is granted and carries jumbo frames with split headers', async () => {
    for (const guest of guests) await guest.check('ip link set eth0 mtu 9000', { timeoutMs: COMMAND_MS })
    for (const [i, guest] of guests.entries()) await bringUp(guest, i)
    const { output } = await guests[0].run('ping -c 3 -s 8000 10.77.0.2')
    assert.match(output, /3 packets received/, state())
    await passes(guests[0], '10.77.0.2', 4096)
  })

  test('a guest that is not trusted can not take another address', async () => {
    const change = 'ip link set eth0 down; ip link set eth0 address 52:54:00:77:01:77; cat /sys/class/net/eth0/address'
    assert.equal((await guests[1].run(change)).output.trim().split('\n').at(-1), macs[1], state())
    await bringUp(guests[1], 1)
    await pings(guests[0])
  })

  test('a function-level reset leaves a function that works on', async () => {
    await guests[1].check('echo 1 >/sys/class/net/eth0/device/reset; ip link set eth0 down', { timeoutMs: COMMAND_MS })
    await bringUp(guests[1], 1)
    await pings(guests[0])
    assert.equal(running.ports()[1]!.detail.lastReset, 'driver', state())
  })

  test('the driver can be unloaded and loaded again', async () => {
    await guests[0].check('rmmod igbvf && modprobe igbvf', { timeoutMs: COMMAND_MS })
    await bringUp(guests[0], 0)
    await pings(guests[0])
    await passes(guests[1], '10.77.0.1', 1024)
  })

  test('a guest that is killed leaves a function that serves the next one', async () => {
    await guests[0].stop()
    await guests[0].start()
    await guests[0].ready()
    await guests[0].check('modprobe igbvf')
    await bringUp(guests[0], 0)
    await pings(guests[0])
    assert.deepEqual(
      log.filter((line) => /failed|stopped|refused/.test(line)),
      [],
      state(),
    )
  })
})
