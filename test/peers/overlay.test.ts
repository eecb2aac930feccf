// Tunnels of the switch with those of others: the Linux kernel's vxlan, geneve and gretap devices, and Open vSwitch in user space. Guest and
// other host are network namespaces; what passes between them is real. Needs root.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import {
  addresses,
  GUEST_MAC,
  guestAddresses,
  type OverlayInput,
  type OverlayWorld,
  overlayWorld,
  peerAddresses,
  plugIn,
  providers,
  reaches,
  SUBNET,
  transfers,
  within,
} from '../support/overlay-world.ts'
import { whyNoOvs } from '../support/ovs-dummy.ts'
import { ovsEnd } from '../support/ovs-tunnels.ts'
import { whyNoWorld } from '../support/tap-world.ts'
import { until } from '../support/until.ts'
import { ip, whyNoVeth } from '../support/veth.ts'

const skip = whyNoWorld() || (whyNoVeth() ?? false)
const TIMEOUT_MS = 300_000
const TRANSFER_BYTES = 2 * 1024 * 1024
const NVGRE_KEY = SUBNET * 256
const PEER_MAC = '02:00:00:00:50:02'

/** Why the kernel has no such tunnel; false if it has. */
function whyNoDevice(type: string): string | false {
  if (skip !== false) return skip
  const name = `vmsq${process.pid % 10000}`
  const made = spawnSync('ip', ['link', 'add', name, 'type', type, 'external'], { encoding: 'utf8' })
  if (made.status !== 0) return `this kernel has no ${type} device`
  ip('link', 'delete', name)
  return false
}

const whyNoTshark = (): string | false =>
  skip !== false ? skip : spawnSync('tshark', ['--version']).status === 0 ? false : 'this machine has no tshark'

const flooding = (kind: OverlayInput['kind'], family: 4 | 6): Omit<OverlayInput, 'providerAddresses'> => ({
  kind,
  subnets: [{ vsid: SUBNET, peers: [providers[family].peer] }],
  learning: true,
})

/** The kernel's own end of the tunnel, on the other host. */
function kernelEnd(world: OverlayWorld, family: 4 | 6, kind: 'vxlan' | 'geneve', mtu: number): void {
  const { outside } = world
  plugIn(world, family)
  const { own, peer } = providers[family]
  const device = ['link', 'add', 'tun0', 'address', PEER_MAC, 'type', kind, 'id', String(SUBNET), 'remote', own]
  if (family === 6) device.push('udp6zerocsumrx') // the switch sends no UDP checksum (RFC 6936)
  outside.ip(...device, ...(kind === 'vxlan' ? ['local', peer, 'dstport', '4789'] : ['dstport', '6081']))
  outside.ip('link', 'set', 'tun0', 'mtu', String(mtu))
  addresses(outside, 'tun0', peerAddresses)
  outside.ip('link', 'set', 'tun0', 'up')
}

async function talkAndTransfer(world: OverlayWorld): Promise<void> {
  const { guest, outside } = world
  for (const address of peerAddresses) await reaches(guest, address)
  for (const address of guestAddresses) await reaches(outside, address, 1200)
  const [v4, v6] = [peerAddresses[0], guestAddresses[1]]
  assert.ok(await transfers(world, { from: guest, to: outside, address: v4, bytes: TRANSFER_BYTES }), 'to the other host')
  assert.ok(await transfers(world, { from: outside, to: guest, address: v6, bytes: TRANSFER_BYTES }), 'to the guest')
}

async function withOvs(t: TestContext, kind: OverlayInput['kind']): Promise<void> {
  const world = await overlayWorld(t, 4, flooding(kind, 4), { completed: true })
  const { own, peer, length } = providers[4]
  const type = kind === 'nvgre' ? 'gre' : kind
  const tunnel = kind === 'nvgre' ? { type, key: NVGRE_KEY, anyKey: true, remote: own } : { type, key: SUBNET, remote: own }
  const end = await ovsEnd(world.outside, world.cable, {
    local: `${peer}/${length}`,
    address: `${peerAddresses[0]}/24`,
    tunnel: tunnel as Parameters<typeof ovsEnd>[2]['tunnel'],
  })
  t.after(() => end.stop())
  world.outside.ip('addr', 'add', `${peerAddresses[1]}/64`, 'dev', end.device, 'nodad')
  world.outside.ip('link', 'set', end.device, 'mtu', '1400')
  await talkAndTransfer(world)
}

// Each has a switch, namespaces and a cable of its own: most of their time they wait.
describe('tunnels with others', { concurrency: 3 }, () => {
  for (const kind of ['vxlan', 'geneve'] as const)
    for (const family of [4, 6] as const)
      test(`guests talk with the kernel's ${kind} device over IPv${family}: ping, and TCP with large segments both ways`, {
        skip: whyNoDevice(kind),
        timeout: TIMEOUT_MS,
      }, async (t) => {
        const world = await overlayWorld(t, family, flooding(kind, family))
        kernelEnd(world, family, kind, 1500)
        await talkAndTransfer(world)
      })

  for (const kind of ['vxlan', 'geneve', 'nvgre'] as const)
    test(
      `guests talk with Open vSwitch's ${kind === 'nvgre' ? 'GRE' : kind} tunnel as ${kind}: ping, and TCP both ways`,
      {
        skip: skip || (whyNoOvs() ?? false),
        timeout: TIMEOUT_MS,
      },
      (t) => withOvs(t, kind),
    )

  test('checksums of what the switch sends through a tunnel are right, as tshark sees it', {
    skip: whyNoTshark() || whyNoDevice('vxlan'),
    timeout: TIMEOUT_MS,
  }, async (t) => {
    const world = await overlayWorld(t, 4, flooding('vxlan', 4), { completed: true })
    kernelEnd(world, 4, 'vxlan', 1500)
    const { guest, outside, cable, directory } = world
    await reaches(guest, peerAddresses[0])
    const file = join(directory, 'seen.pcapng')
    const capture = spawn('ip', ['netns', 'exec', outside.name, 'tshark', '-q', '-i', cable, '-f', 'udp port 4789', '-w', file])
    const ended = new Promise((resolve) => capture.once('exit', resolve))
    let said = ''
    capture.stderr.on('data', (data) => {
      said += String(data)
    })
    try {
      await until(() => said.includes('Capturing on'), 'a capture')
      await transfers(world, { from: guest, to: outside, address: peerAddresses[0], bytes: TRANSFER_BYTES / 2 })
      await transfers(world, { from: guest, to: outside, address: peerAddresses[1], bytes: TRANSFER_BYTES / 2 })
    } finally {
      capture.kill('SIGINT')
      await ended
    }
    const checks = ['ip', 'udp', 'tcp'].flatMap((protocol) => ['-o', `${protocol}.check_checksum:TRUE`])
    const count = (filter: string): number => {
      const done = spawnSync('tshark', ['-r', file, ...checks, '-Y', `ip.src == ${providers[4].own} && (${filter})`], {
        encoding: 'utf8',
      })
      assert.equal(done.status, 0, done.stderr)
      return done.stdout.split('\n').filter((line) => line !== '').length
    }
    assert.ok(count('tcp.len > 0') > 100, 'segments were seen')
    assert.equal(count('ip.checksum.status == "Bad" || udp.checksum.status == "Bad" || tcp.checksum.status == "Bad"'), 0)
    assert.equal(count('tcp.len > 1460'), 0, 'large segments were cut before the tunnel')
  })

  test('a guest is told by ICMP what fits into the tunnel, and its TCP goes on with that', {
    skip: whyNoDevice('vxlan'),
    timeout: TIMEOUT_MS,
  }, async (t) => {
    const world = await overlayWorld(t, 4, { ...flooding('vxlan', 4), clampMss: false }, { underlayMtu: 1500 })
    kernelEnd(world, 4, 'vxlan', 1500) // it offers segments that do not fit
    const { guest, outside } = world
    for (const address of peerAddresses) {
      await reaches(guest, address)
      assert.ok(await transfers(world, { from: guest, to: outside, address, bytes: TRANSFER_BYTES / 4 }))
      assert.match((await within(guest, 'ip', 'route', 'get', address)).output, /mtu 1450\b/)
    }
  })

  test('with MSS clamping, no segment is too long and nobody has to be told', {
    skip: whyNoDevice('vxlan'),
    timeout: TIMEOUT_MS,
  }, async (t) => {
    const world = await overlayWorld(t, 4, flooding('vxlan', 4), { underlayMtu: 1500 })
    kernelEnd(world, 4, 'vxlan', 1500)
    const { guest, outside } = world
    for (const address of peerAddresses) {
      await reaches(guest, address)
      assert.ok(await transfers(world, { from: guest, to: outside, address, bytes: TRANSFER_BYTES / 4 }))
      assert.doesNotMatch((await within(guest, 'ip', 'route', 'get', address)).output, /mtu/)
    }
  })

  test('with a record, ARP and neighbour discovery are answered by the switch: the other host is never asked', {
    skip: whyNoDevice('vxlan'),
    timeout: TIMEOUT_MS,
  }, async (t) => {
    const record = { vsid: SUBNET, mac: PEER_MAC, addresses: [...peerAddresses], provider: providers[4].peer }
    const world = await overlayWorld(t, 4, { kind: 'vxlan', subnets: [{ vsid: SUBNET }], records: [record] })
    kernelEnd(world, 4, 'vxlan', 1500)
    const { guest, outside } = world
    outside.ip('link', 'set', 'tun0', 'arp', 'off') // neither asks nor answers
    for (const address of guestAddresses) outside.ip('neigh', 'replace', address, 'lladdr', GUEST_MAC, 'dev', 'tun0')
    for (const address of peerAddresses) await reaches(guest, address)
  })

  test('records come and go while the switch runs, and are counted by the host that they lead to', {
    skip: whyNoDevice('vxlan'),
    timeout: TIMEOUT_MS,
  }, async (t) => {
    const world = await overlayWorld(t, 4, { kind: 'vxlan', subnets: [{ vsid: SUBNET }], unknownUnicast: 'drop' })
    kernelEnd(world, 4, 'vxlan', 1500)
    const { vmswitch, guest } = world
    const tunnel = async () => (await vmswitch.overlay())?.tunnels.find(({ provider }) => provider === providers[4].peer)
    const record = { vsid: SUBNET, mac: PEER_MAC, addresses: [...peerAddresses], provider: providers[4].peer }
    await vmswitch.setOverlayRecord(record)
    await reaches(guest, peerAddresses[0])
    await until(async () => {
      const counters = (await tunnel())?.counters
      return counters !== undefined && counters.sentFrames > 0 && counters.receivedFrames > 0
    }, 'counters')
    await vmswitch.removeOverlayRecord({ vsid: SUBNET, mac: PEER_MAC })
    assert.deepEqual(await vmswitch.overlayRecords({}), [])
    assert.notEqual((await within(guest, '/bin/busybox', 'ping', '-c', '1', '-W', '1', peerAddresses[0])).status, 0)
    await assert.rejects(vmswitch.removeOverlayRecord({ vsid: SUBNET, mac: PEER_MAC }), { code: 'no-such-record' })
    await assert.rejects(vmswitch.setOverlayRecord({ ...record, vsid: 7 }), { code: 'no-such-subnet' })
  })
})
