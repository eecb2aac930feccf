import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DataPathHarness, frame, mac, type TestSink, textOf } from '../../../test/support/data-path-harness.ts'
import { ipv4, udp } from '../../../test/support/guard-frames.ts'
import { macKey } from '../mac-table.ts'
import { PortFlag } from '../port-table.ts'
import { MOVE_SECONDS, SETTLE_SECONDS } from './team-receiver.ts'
import { FLOWLET_PAUSE_MS } from './team-sender.ts'
import { LoadBalancing, TeamCounter } from './team-table.ts'

const UPLINK = 9
const OUTSIDE = '02:00:00:00:00:99'
const OWN = (nicIndex: number): string => `02:00:00:00:01:0${nicIndex}`

class TeamBench {
  readonly harness: DataPathHarness
  readonly members: readonly TestSink[]

  /** Guests at ports 1…4, which spoof nothing; a team of `count` members. */
  constructor(
    count: number,
    options: { mode?: number; standby?: number[]; shortCut?: boolean; dataPath?: DataPathHarness } = {},
  ) {
    this.harness = new DataPathHarness({ shortCut: options.shortCut ?? false }).connect(4)
    const { harness } = this
    harness.connectPort(UPLINK, PortFlag.external | PortFlag.learn | PortFlag.unknownUnicast)
    this.members = harness.spareSinks(count)
    const indices = this.members.map((_, i) => i + 1)
    for (const nicIndex of indices) harness.delivery.setQueues(UPLINK, [this.members[nicIndex - 1]!], nicIndex)
    harness.ports.setAdapters(UPLINK, indices)
    const { mode = LoadBalancing.hyperVPort, standby = [] } = options
    harness.ports.uplinks.set({ port: UPLINK, loadBalancing: mode, members: indices, standby })
    for (const nicIndex of indices) this.link(nicIndex, true)
    harness.dataPath.placement.team.processor = 0
    this.later(SETTLE_SECONDS + 1)
  }

  link(nicIndex: number, up: boolean, megabits = 0): void {
    const { low, high } = macKey(OWN(nicIndex))
    this.harness.ports.uplinks.setLink(nicIndex, up, low, high, megabits)
    this.harness.ports.changed()
  }

  later(seconds: number): void {
    this.harness.dataPath.placement.team.refresh()
    this.harness.nowMs += seconds * 1000
    this.harness.dataPath.forwarding.nowSeconds = Math.floor(this.harness.nowMs / 1000)
  }

  /** What each member got since, as texts. */
  out(): string[][] {
    return this.members.map((sink) => sink.frames.splice(0).map(textOf))
  }

  got(port: number): string[] {
    return this.harness.sink(port).frames.splice(0).map(textOf)
  }

  drops(): Record<string, number> {
    return this.harness.drops(UPLINK)
  }
}

const sourceOf = (bytes: Buffer): string => bytes.subarray(6, 12).toString('hex')

for (const shortCut of [false, true])
  describe(`a team of uplinks ${shortCut ? 'with' : 'without'} short cuts`, () => {
    test('sends what a port sends by one member, spreads ports, and sends each frame once', () => {
      const bench = new TeamBench(2, { shortCut })
      for (const port of [1, 2, 3, 4])
        for (const text of ['a', 'b'])
          bench.harness.send(port, frame(OUTSIDE, port, `${port}${text}`), frame(0xff, port, `${port}${text} all`))
      const [first, second] = bench.out()
      const of = (...ports: number[]): string[] => ports.flatMap((p) => [`${p}a`, `${p}a all`, `${p}b`, `${p}b all`])
      assert.deepEqual([first, second], [of(2, 4), of(1, 3)])
    })

    test('moves the ports of a member that goes to the others and leaves theirs alone, and brings them back', () => {
      const bench = new TeamBench(3, { shortCut })
      const places = (): number[] => {
        for (const port of [1, 2, 3, 4]) bench.harness.send(port, frame(OUTSIDE, port, String(port)))
        const out = bench.out()
        return [1, 2, 3, 4].map((port) => out.findIndex((texts) => texts.includes(String(port))) + 1)
      }
      const before = places()
      bench.link(before[0]!, false)
      const without = places()
      for (const [i, member] of before.entries())
        if (member === before[0]) assert.ok(without[i] !== member && without[i]! > 0)
        else assert.equal(without[i], member)
      bench.link(before[0]!, true)
      assert.deepEqual(places(), before)
      for (const nicIndex of [1, 2, 3]) bench.link(nicIndex, false)
      bench.harness.send(1, frame(OUTSIDE, 1, 'lost'))
      assert.deepEqual(bench.out(), [[], [], []])
      assert.equal(bench.drops()['destination-not-connected'], 1)
    })

    test('uses a standby member only while no active one is up', () => {
      const bench = new TeamBench(3, { standby: [1], shortCut })
      const used = (): number[] => {
        for (const port of [1, 2, 3, 4]) bench.harness.send(port, frame(OUTSIDE, port, 'x'))
        return bench.out().map((texts) => texts.length)
      }
      assert.deepEqual(used(), [0, 2, 2])
      bench.link(2, false)
      assert.deepEqual(used(), [0, 0, 4])
      bench.link(3, false)
      assert.deepEqual(used(), [4, 0, 0])
    })

    test('takes broadcast, multicast and unknown frames from one member, and frames for a guest from its own', () => {
      const bench = new TeamBench(2, { shortCut })
      const { harness } = bench
      for (const nicIndex of [1, 2]) {
        harness.sendThrough(UPLINK, nicIndex, frame(0xff, OUTSIDE, `all ${nicIndex}`))
        harness.sendThrough(UPLINK, nicIndex, frame('01:00:5e:01:02:03', OUTSIDE, `group ${nicIndex}`))
        harness.sendThrough(UPLINK, nicIndex, frame(1, OUTSIDE, `to 1 by ${nicIndex}`))
        harness.sendThrough(UPLINK, nicIndex, frame(2, OUTSIDE, `to 2 by ${nicIndex}`))
      }
      assert.deepEqual(bench.got(1), ['all 1', 'group 1', 'to 1 by 2'])
      assert.deepEqual(bench.got(2), ['all 1', 'group 1', 'to 2 by 1'])
      assert.deepEqual(bench.drops(), { 'team-duplicate': 4 })
      const counted = (nicIndex: number) => harness.ports.uplinks.counted(nicIndex, TeamCounter.duplicates)
      assert.deepEqual([counted(1), counted(2)], [1, 3])
    })

    test('takes frames for a guest from any member for a while after the members changed', () => {
      const bench = new TeamBench(2, { shortCut })
      const { harness } = bench
      bench.link(1, false)
      harness.send(2, frame(OUTSIDE, 2, 'x'))
      bench.link(1, true)
      harness.sendThrough(UPLINK, 2, frame(2, OUTSIDE, 'where the network has it yet'))
      assert.deepEqual(bench.got(2), ['where the network has it yet'])
      bench.later(SETTLE_SECONDS + 1)
      harness.sendThrough(UPLINK, 2, frame(2, OUTSIDE, 'late'))
      assert.deepEqual(bench.got(2), [])
    })

    test('drops what it sent itself and comes back, and does not take the address for moved', () => {
      const bench = new TeamBench(2, { shortCut })
      const { harness } = bench
      harness.connectPort(5, PortFlag.learn | PortFlag.unknownUnicast)
      harness.send(1, frame(0xff, 1, 'x'))
      harness.send(5, frame(0xff, '02:00:00:00:00:55', 'y'))
      for (const port of [1, 2, 5]) bench.got(port)
      for (const nicIndex of [1, 2]) {
        harness.sendThrough(UPLINK, nicIndex, frame(0xff, 1, 'x'))
        harness.sendThrough(UPLINK, nicIndex, frame(0xff, '02:00:00:00:00:55', 'y'))
      }
      assert.deepEqual(
        [1, 2, 5].map((port) => bench.got(port)),
        [[], [], []],
      )
      assert.equal(bench.drops()['team-reflection'], 4)
      assert.equal(harness.macs.entries(0).find((entry) => entry.mac === '02:00:00:00:00:55')?.port, 5)
    })

    test('believes a guest that announces itself elsewhere, unless it has just sent here', () => {
      const bench = new TeamBench(2, { shortCut })
      const { harness } = bench
      const moved = '02:00:00:00:00:55'
      harness.connectPort(5, PortFlag.learn | PortFlag.unknownUnicast)
      harness.send(5, frame(0xff, moved, 'y'))
      const place = (): number | undefined => harness.macs.entries(0).find((entry) => entry.mac === moved)?.port
      harness.sendThrough(UPLINK, 1, frame(0xff, moved, 'rarp', 0x8035))
      assert.equal(place(), 5)
      bench.later(MOVE_SECONDS)
      harness.sendThrough(UPLINK, 1, frame(0xff, moved, 'no announcement'))
      assert.equal(place(), 5)
      harness.sendThrough(UPLINK, 1, frame(0xff, moved, 'rarp', 0x8035))
      assert.equal(place(), UPLINK)
    })
  })

test('all 32 members of a team carry traffic, each that of its own ports', () => {
  const harness = new DataPathHarness().connect(8)
  harness.connectPort(UPLINK, PortFlag.external | PortFlag.learn | PortFlag.unknownUnicast)
  const members = harness.spareSinks(32)
  const indices = members.map((_, i) => i + 1)
  for (const nicIndex of indices) harness.delivery.setQueues(UPLINK, [members[nicIndex - 1]!], nicIndex)
  harness.ports.setAdapters(UPLINK, indices)
  const settings = { port: UPLINK, loadBalancing: LoadBalancing.hyperVPort, standby: indices.slice(0, 24) }
  harness.ports.uplinks.set({ ...settings, members: indices })
  for (const nicIndex of indices) harness.ports.uplinks.setLink(nicIndex, true, 0, 0)
  harness.ports.changed()
  for (let port = 1; port <= 8; port++) harness.send(port, frame(OUTSIDE, port, String(port)))
  const out = members.map(({ frames }) => frames.map(textOf).join())
  assert.deepEqual(out.slice(24), ['8', '1', '2', '3', '4', '5', '6', '7'])
})

describe('dynamic load balancing', () => {
  const flow = (port: number, number: number): Buffer => {
    const bytes = Buffer.from(ipv4({}, udp(1000 + number, 2000, 1)))
    bytes.set(Buffer.from(OUTSIDE.replaceAll(':', ''), 'hex'), 0)
    bytes.set(Buffer.from(mac(port).replaceAll(':', ''), 'hex'), 6)
    return bytes
  }

  test('spreads the flows of one port, with the address of the member by which they leave', () => {
    const bench = new TeamBench(2, { mode: LoadBalancing.dynamic })
    const { harness } = bench
    for (let i = 0; i < 200; i++) harness.send(1, Buffer.concat([flow(1, i), Buffer.alloc(1000)]))
    const [first, second] = bench.members.map(({ frames }) => frames)
    assert.ok(first!.length > 20 && second!.length > 20, `${first!.length} and ${second!.length}`)
    const addresses = [first!, second!].map((frames) => [...new Set(frames.map(sourceOf))])
    assert.deepEqual(addresses, [['020000000101'], ['020000000001']], "the port's own member has the guest's address")
    harness.send(1, frame(0xff, 1, 'all'))
    harness.send(1, frame(OUTSIDE, 1, 'not IP'))
    assert.deepEqual(second!.slice(-2).map(sourceOf), ['020000000001', '020000000001'])
  })

  test('gives each member as much as its speed asks for, and all alike where one speed is not known', () => {
    const shares = [
      [10_000, 2500],
      [10_000, 0],
    ].map((speeds) => {
      const bench = new TeamBench(2, { mode: LoadBalancing.dynamic })
      for (const [i, megabits] of speeds.entries()) bench.link(i + 1, true, megabits)
      for (let i = 0; i < 250; i++) bench.harness.send(1, Buffer.concat([flow(1, i), Buffer.alloc(1000)]))
      return bench.members[0]!.frames.length / 250
    })
    assert.ok(Math.abs(shares[0]! - 0.8) < 0.08, `${shares[0]} of 0.8`)
    assert.ok(Math.abs(shares[1]! - 0.5) < 0.08, `${shares[1]} of 0.5`)
  })

  test('keeps a flow on its member while it does not pause, and moves it then if another one has less to do', () => {
    const bench = new TeamBench(2, { mode: LoadBalancing.dynamic })
    const { harness, members } = bench
    const big = Buffer.concat([flow(1, 0), Buffer.alloc(1400)])
    harness.send(1, big)
    const at = members.findIndex(({ frames }) => frames.length === 1)
    for (let i = 0; i < 500; i++) {
      harness.nowMs += 0.01
      harness.send(1, big)
    }
    assert.equal(members[at]!.frames.length, 501)
    harness.nowMs += FLOWLET_PAUSE_MS + 1
    harness.send(1, big)
    assert.equal(members[1 - at]!.frames.length, 1, 'the other member had nothing to do')
    bench.link(2 - at, false)
    harness.send(1, big)
    assert.equal(members[at]!.frames.length, 502, 'its member is gone')
  })

  test('gives copies for other ports the address that the guest sent', () => {
    const bench = new TeamBench(2, { mode: LoadBalancing.dynamic })
    const { harness } = bench
    harness.ports.setMonitor(1, 2)
    harness.ports.setMonitor(2, 1)
    for (let i = 0; i < 100; i++) harness.send(1, Buffer.concat([flow(1, i), Buffer.alloc(1000)]))
    assert.deepEqual([...new Set(harness.sink(2).frames.map(sourceOf))], ['020000000001'])
    assert.equal(harness.sink(2).frames.length, 100)
  })
})
