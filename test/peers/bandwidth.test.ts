// The bandwidth of ports against a real TCP (iperf3), from one network namespace to another. Needs root.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RunningSwitch } from '../../src/engine/host.ts'
import { whyNoTap } from '../support/machine.ts'
import { type Guest, type TapWorld, tapWorld } from '../support/tap-world.ts'
import { Namespace, VethPair } from '../support/veth.ts'

const MBIT = 1e6
/** Bytes that a bucket holds at these rates, and those of the longest frame. */
const DEPTH = 20e-3
const FRAME = 65_562
/** Bytes after which a flow is under way: what a bucket held is used up. */
const UNDER_WAY = 2_000_000

const whyNoIperf = (): string | undefined =>
  spawnSync('iperf3', ['--version']).status === 0 ? undefined : 'this machine has no iperf3'
const skip = whyNoTap() ?? whyNoIperf() ?? false

const guests = { p1: '02:00:00:00:79:01', p2: '02:00:00:00:79:02' } as const

async function twoGuests(t: TestContext): Promise<TapWorld> {
  const world = await tapWorld(t, [], guests)
  for (const [i, guest] of [world.guests.p1!, world.guests.p2!].entries())
    guest.ip('address', 'add', `10.79.0.${i + 1}/24`, 'dev', guest.device)
  return world
}

async function iperf(t: TestContext, { guests: { p1, p2 }, in: inside }: TapWorld, ...words: string[]): Promise<void> {
  const start = (side: Guest, ...rest: string[]): ChildProcess => {
    const child = spawn('ip', ['netns', 'exec', side.name, 'iperf3', ...rest], { stdio: 'ignore' })
    t.after(() => child.kill('SIGKILL'))
    return child
  }
  start(p2!, '-s', '-1')
  const listens = (): boolean => inside('p2', 'ss', '-Htln').output.includes(':5201')
  for (let tries = 0; tries < 200 && !listens(); tries++) await sleep(100)
  start(p1!, '-c', '10.79.0.2', '-t', '60', ...words)
}

const paced = (vmswitch: RunningSwitch): number => vmswitch.ports()[0]!.bandwidth.pacedBytes

// Waits until bytes flow, then counts them over a time that is measured.
async function count(vmswitch: RunningSwitch, ms: number): Promise<{ bytes: number; seconds: number }> {
  const first = paced(vmswitch)
  for (let i = 0; i < 3000 && paced(vmswitch) - first < UNDER_WAY; i++) await sleep(10)
  const began = performance.now()
  const before = paced(vmswitch)
  await sleep(ms)
  return { bytes: paced(vmswitch) - before, seconds: (performance.now() - began) / 1000 }
}

test("a sender's TCP gets the maximum of its port, and another one from the moment on at which it is set", {
  skip,
  timeout: 60_000,
}, async (t) => {
  const one = await twoGuests(t)
  const { vmswitch } = one
  const id = vmswitch.portId('p1')
  await vmswitch.policies.add(id, { type: 'bandwidth', value: { maximumBandwidth: '200mbit' } })
  await iperf(t, one)
  for (const rate of [200 * MBIT, 50 * MBIT]) {
    await vmswitch.policies.update(id, { type: 'bandwidth', value: { maximumBandwidth: rate } })
    const { bytes, seconds } = await count(vmswitch, 1500)
    const inflow = (rate / 8) * seconds
    // However busy the machine is, no more than what flowed in and what had been saved up; how much less, it says itself.
    assert.ok(bytes <= inflow + (rate / 8) * DEPTH + 3 * FRAME, `${bytes} bytes in ${seconds} s`)
    assert.ok(bytes >= inflow * 0.5, `${bytes} of ${inflow} bytes`)
  }
  const { bandwidth } = vmswitch.ports()[0]!
  assert.equal(bandwidth.maximum, 50 * MBIT)
  assert.ok(bandwidth.waitedSeconds > 0.5)
  const reasons = vmswitch.drops().flatMap((drops) => Object.keys(drops.reasons))
  for (const lost of ['bandwidth-limit', 'receive-ring-full', 'receive-buffer-full']) assert.ok(!reasons.includes(lost), lost)
})

test('frames beyond what a receiver may get are dropped and counted', { skip, timeout: 60_000 }, async (t) => {
  const one = await twoGuests(t)
  const { vmswitch } = one
  await vmswitch.policies.add(vmswitch.portId('p2'), { type: 'bandwidth', value: { maximumReceiveBandwidth: '20mbit' } })
  await iperf(t, one, '-u', '-b', '60M')
  const dropped = (): number => vmswitch.drops().find(({ port }) => port === 'p2')?.reasons['bandwidth-limit'] ?? 0
  for (let i = 0; i < 3000 && dropped() === 0; i++) await sleep(10)
  const [before, began] = [vmswitch.ports()[1]!.counters.sentBytes, performance.now()]
  await sleep(1000)
  const seconds = (performance.now() - began) / 1000
  const bytes = vmswitch.ports()[1]!.counters.sentBytes - before
  assert.ok(bytes <= (20 * MBIT * seconds) / 8 + 4 * FRAME, `${bytes} bytes in ${seconds} s`)
  assert.ok(dropped() > 0)
})

test('ports share an uplink by their weights, and what one leaves the other has', { skip, timeout: 90_000 }, async (t) => {
  const veth = new VethPair()
  const outside = new Namespace()
  t.after(() => {
    outside.delete()
    veth.delete()
  })
  const endpoint = {
    kind: 'uplink',
    interface: veth.near,
    via: 'packet',
    queues: 1,
    promiscuous: true,
    qdiscBypass: false,
  } as const
  const uplink = { name: 'uplink', mac: null, macSpoofing: 'off', learning: true, link: 'up', endpoint } as const
  const { vmswitch, guests: sides } = await tapWorld(t, [], guests, { others: [uplink], config: { type: 'external' } })
  outside.take(veth.far, '10.79.0.9/24')
  await vmswitch.policies.add(undefined, { type: 'bandwidth', value: { capacity: '16mbit' } })
  for (const [i, [name, weight]] of [['p1', 30] as const, ['p2', 10] as const].entries()) {
    sides[name]!.ip('address', 'add', `10.79.0.${i + 1}/24`, 'dev', sides[name]!.device)
    const id = vmswitch.portId(name)
    await vmswitch.policies.add(id, { type: 'bandwidth', value: { minimumBandwidthWeight: weight } })
  }
  // Datagrams without end, more than the uplink takes from either: no program has to answer them.
  const flood = (side: Namespace): ChildProcess => {
    const program = `const s = require('node:dgram').createSocket('udp4'); const m = Buffer.alloc(1200)
      s.bind(() => setInterval(() => { for (let i = 0; i < 60; i++) s.send(m, 9, '10.79.0.9', () => {}) }, 5)); s.on('error', () => {})`
    const child = spawn('ip', ['netns', 'exec', side.name, process.execPath, '-e', program], { stdio: 'ignore' })
    t.after(() => child.kill('SIGKILL'))
    return child
  }
  const sent = (): number[] => [0, 1].map((i) => vmswitch.ports()[i]!.bandwidth.uplinkBytes)
  // A window in which the machine kept a sender from sending is measured again: what is wrong stays wrong.
  const measured = async (isRight: (bytes: readonly number[]) => boolean): Promise<void> => {
    let bytes: number[] = []
    for (let window = 0; window < 8; window++) {
      const before = sent()
      await sleep(1500)
      bytes = sent().map((now, i) => now - before[i]!)
      if (isRight(bytes)) return
    }
    assert.fail(`${bytes.join(' and ')} bytes`)
  }
  const until = async (done: () => boolean, what: string): Promise<void> => {
    for (let tries = 0; tries < 2000 && !done(); tries++) await sleep(10)
    assert.ok(done(), what)
  }
  const first = flood(sides.p1!)
  flood(sides.p2!)
  await until(() => vmswitch.ports().every(({ bandwidth }, i) => i === 2 || bandwidth.waitedSeconds > 0), 'both to wait')
  await measured(([heavy, light]) => heavy! > 2 * light! && heavy! < 4 * light!)
  first.kill('SIGKILL')
  await until(() => first.signalCode !== null, 'the end of one')
  await measured(([heavy, light]) => light! > 10 * heavy!)
})
