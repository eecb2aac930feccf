import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DataPathHarness, frame, mac } from '../../test/support/data-path-harness.ts'
import { DROP_REASONS_MAX } from '../ndis/drop-reasons.ts'
import { portCounterNames } from './counters.ts'
import { MonitorMode, NO_VLAN, PortFlag, type VlanEntry, VlanMode } from './port-table.ts'

const PORTS = 5
const LEARNING = PortFlag.learn | PortFlag.unknownUnicast

interface Scene {
  readonly flags: readonly number[]
  readonly vlans: readonly number[]
  readonly bursts: readonly {
    readonly port: number
    readonly frames: readonly { to: number; from: number; tag: number; inner: boolean; length: number }[]
  }[]
  readonly egress: boolean
  /** Ports whose addresses the configuration knows. */
  readonly known: readonly number[]
  /** VLAN properties by port, and the port whose traffic is mirrored to the last one; 0 = none. */
  readonly properties: readonly (VlanEntry | undefined)[]
  readonly mirrored: number
}

// Addresses 1…PORTS are the ports' own, the next few nobody's, 0xff is broadcast, 0x80… are groups.
const addresses = fc.oneof(fc.integer({ min: 1, max: PORTS + 3 }), fc.constantFrom(0xff, 0x80, 0x81))

const scenes: fc.Arbitrary<Scene> = fc.record({
  flags: fc.array(
    fc.constantFrom(
      PortFlag.checkSource,
      PortFlag.checkSource,
      LEARNING,
      LEARNING,
      LEARNING | PortFlag.linkDown,
      LEARNING | PortFlag.external,
      0,
    ),
    {
      minLength: PORTS,
      maxLength: PORTS,
    },
  ),
  vlans: fc.array(fc.constantFrom(0, 0, 0, 7), { minLength: PORTS, maxLength: PORTS }),
  bursts: fc.array(
    fc.record({
      port: fc.integer({ min: 1, max: PORTS }),
      frames: fc.array(
        fc.record({
          to: addresses,
          from: fc.oneof(
            { weight: 15, arbitrary: fc.integer({ min: 1, max: PORTS + 3 }) },
            { weight: 1, arbitrary: fc.constant(0x81) },
          ),
          tag: fc.constantFrom(-1, -1, 0, 7, 9),
          inner: fc.constantFrom(false, false, false, true),
          length: fc.constantFrom(10, 60, 200),
        }),
        { minLength: 1, maxLength: 64 },
      ),
    }),
    { maxLength: 12 },
  ),
  egress: fc.boolean(),
  known: fc.subarray([1, 2, 3, 4, 5]),
  properties: fc.oneof(
    fc.constant([]),
    fc.array(
      fc.constantFrom<VlanEntry | undefined>(
        undefined,
        { mode: VlanMode.access, primary: 7 },
        { mode: VlanMode.access, primary: 9 },
        { mode: VlanMode.trunk, primary: 7, set: [9] },
        { mode: VlanMode.trunk, primary: NO_VLAN, set: [7, 9] },
        { mode: VlanMode.trunk, primary: 0, set: [7] },
        { mode: VlanMode.isolated, primary: 7, secondary: 9 },
        { mode: VlanMode.community, primary: 7, secondary: 9 },
        { mode: VlanMode.promiscuous, primary: 7, set: [9] },
      ),
      { maxLength: PORTS },
    ),
  ),
  mirrored: fc.constantFrom(0, 0, 1, 2),
})

const text = (of: number): string =>
  of === 0x80 ? '01:80:c2:00:00:02' : of === 0x81 ? '01:00:5e:00:00:fb' : of === 0xff ? 'ff:ff:ff:ff:ff:ff' : mac(of)

function bytes({ to, from, tag, inner, length }: Scene['bursts'][number]['frames'][number], number: number): Buffer {
  const whole = frame(text(to), text(from), `n${number}`, 0x88b5)
  const tags = [0x81, 0x00, 0x20, tag, ...(inner ? [0x81, 0x00, 0x00, 9] : [])]
  const tagged = tag < 0 ? whole : Buffer.concat([whole.subarray(0, 12), Buffer.from(tags), whole.subarray(12)])
  return length < tagged.length
    ? length < 14
      ? tagged.subarray(0, length)
      : tagged
    : Buffer.concat([tagged, Buffer.alloc(length - tagged.length, 3)])
}

/** Everything that can be seen from outside after the scene was played. */
function play(scene: Scene, shortCut: boolean): unknown {
  const harness = new DataPathHarness({ shortCut })
  scene.flags.forEach((flags, i) => {
    harness.connectPort(i + 1, flags, 1, scene.vlans[i])
  })
  for (const port of scene.known) harness.macs.addStatic(mac(port), 0, port)
  for (const [i, entry] of scene.properties.entries()) harness.ports.setVlan(i + 1, entry)
  if (scene.mirrored !== 0) {
    harness.ports.setMonitor(scene.mirrored, MonitorMode.source)
    harness.ports.setMonitor(PORTS, MonitorMode.destination)
  }
  if (scene.egress)
    harness.install(() => ({
      egress(batch) {
        for (let i = 0; i < batch.length; i++) if (batch.frameLength(i) === 200) batch.exclude(i, 0, 'long')
      },
    }))
  let number = 0
  for (const { port, frames } of scene.bursts) {
    harness.dataPath.forwarding.nowSeconds++
    harness.send(port, ...frames.map((one) => bytes(one, number++)))
  }
  const ports = Array.from({ length: PORTS + 1 }, (_, port) => port)
  return {
    frames: ports.slice(1).map((port) => harness.sink(port).frames.map((sent) => sent.toString('hex'))),
    counters: ports.map((port) => portCounterNames.map((name) => [name, harness.portCounter(port, name)])),
    drops: ports.map((port) => Array.from({ length: DROP_REASONS_MAX }, (_, reason) => harness.counters.readDrop(port, reason))),
    learned: harness.macs.entries(100).sort((a, b) => `${a.mac}${a.vlan}`.localeCompare(`${b.mac}${b.vlan}`)),
    nextPacketId: harness.pool.nextPacketId,
  }
}

test('every packet has the same fate with and without the wasm short cuts', () => {
  fc.assert(
    fc.property(scenes, (scene) => {
      assert.deepEqual(play(scene, true), play(scene, false))
    }),
    { numRuns: 400 },
  )
})

test('the short cuts decide frames without tags of access ports to others of their VLAN and to trunks, whose VLAN extensions and monitors see', () => {
  const harness = new DataPathHarness({ shortCut: true }).connect(4)
  for (const port of [1, 2]) harness.ports.setVlan(port, { mode: VlanMode.access, primary: 7 })
  harness.ports.setVlan(3, { mode: VlanMode.access, primary: 9 })
  const seen: number[] = []
  harness.install(() => ({
    egress(batch) {
      for (let i = 0; i < batch.length; i++) seen.push(batch.vlanId(i))
    },
  }))
  const { forward } = harness.dataPath.forwarding
  harness.dataPath.forwarding.forward = () => assert.fail('TypeScript was asked to forward')
  harness.send(1, frame(2, 1, 'known'), frame(2, 1, 'again'))
  assert.deepEqual(
    [harness.got(2), seen],
    [
      ['known', 'again'],
      [7, 7],
    ],
  )
  assert.equal(harness.sink(2).frames[0]!.readUInt16BE(12), 0x88b5, 'without a tag')
  harness.ports.setMonitor(1, MonitorMode.source)
  harness.ports.setMonitor(4, MonitorMode.destination)
  harness.send(1, frame(2, 1, 'mirrored'))
  assert.deepEqual(
    [2, 4].map((port) => harness.sink(port).frames.at(-1)!.readUInt32BE(12)),
    [0x88b56d69, 0x81000007],
  )
  harness.ports.setVlan(3, { mode: VlanMode.trunk, primary: 1, set: [7] })
  harness.send(1, frame(3, 1, 'to a trunk'))
  assert.equal(harness.sink(3).frames[0]!.readUInt32BE(12), 0x81000007, 'with a tag')
  harness.sink(3).frames.length = 0
  harness.ports.setVlan(3, { mode: VlanMode.access, primary: 9 })
  harness.dataPath.forwarding.forward = forward
  harness.send(1, frame(3, 1, 'another VLAN'))
  assert.deepEqual([harness.got(3), harness.drops(3)], [[], { 'vlan-not-allowed': 1 }])
})

test('the short cuts decide frames with tags from uplinks and trunks, those of private VLANs, and unknown addresses that one port of the VLAN takes', () => {
  const harness = new DataPathHarness({ shortCut: true })
  harness.connectPort(1, LEARNING | PortFlag.external)
  for (const port of [2, 3, 4, 5]) harness.connectPort(port, PortFlag.checkSource)
  for (let port = 1; port <= PORTS; port++) harness.macs.addStatic(mac(port), 0, port)
  for (const vlan of [0, 7, 9]) harness.macs.learn(0x0a000000, 0x0002, vlan, 1, 0)
  harness.ports.setVlan(2, { mode: VlanMode.access, primary: 7 })
  harness.ports.setVlan(3, { mode: VlanMode.trunk, primary: 9, set: [7] })
  harness.ports.setVlan(4, { mode: VlanMode.isolated, primary: 7, secondary: 9 })
  harness.ports.setVlan(5, { mode: VlanMode.promiscuous, primary: 7, set: [9] })
  harness.dataPath.forwarding.forward = () => assert.fail('TypeScript was asked to forward')
  const send = (from: number, to: number, tag: number): string => {
    const number = from * 10 + to
    harness.send(from, bytes({ to, from: from === 1 ? 10 : from, tag, inner: false, length: 60 }, number))
    const ports = to > PORTS ? [1] : [to]
    return ports
      .map((port) =>
        harness
          .sink(port)
          .frames.splice(0)
          .map((sent) => sent.toString('hex', 12, 18)),
      )
      .join()
  }
  const untagged = Buffer.from([0x88, 0xb5]).toString('hex')
  const tagged = (vlan: number, priority = 0x20): string => Buffer.from([0x81, 0, priority, vlan, 0x88, 0xb5]).toString('hex')
  assert.equal(send(1, 2, 7), tagged(0), 'from the uplink to an access port, with the priority')
  assert.equal(send(1, 3, 7), tagged(7), 'from the uplink to a trunk')
  assert.equal(send(3, 2, 7), tagged(0), 'from a trunk to an access port')
  assert.equal(send(2, 3, 7), tagged(7), 'an access port may use the tag of its VLAN')
  assert.equal(send(3, 5, -1).slice(0, 4), untagged, 'from the native VLAN of a trunk to a promiscuous port')
  assert.equal(send(4, 5, -1).slice(0, 4), untagged, 'from an isolated port to a promiscuous one')
  assert.equal(send(2, 9, -1), tagged(7, 0), 'an address that nobody knows, to the uplink')
})

test('the short cuts decide simple frames themselves: known addresses, and floods that have one way to go', () => {
  const harness = new DataPathHarness({ shortCut: true })
  harness.connectPort(1, LEARNING)
  harness.connectPort(2, LEARNING)
  harness.dataPath.forwarding.forward = () => assert.fail('TypeScript was asked to forward')
  harness.macs.addStatic(mac(1), 0, 1)
  harness.send(1, frame(9, 1, 'unknown'), frame(0xff, 1, 'broadcast'))
  harness.send(2, ...[])
  assert.deepEqual(harness.got(2), ['unknown', 'broadcast'])
})
