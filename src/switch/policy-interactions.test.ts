// What policies of a port mean for each other: each is tried alone beside its source.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DataPathHarness, frame, textOf } from '../../test/support/data-path-harness.ts'
import { ipv4, udp } from '../../test/support/guard-frames.ts'
import { OptionReader } from '../ndis/module-options.ts'
import { compileAcls } from './acl/acl-plan.ts'
import { parseExtendedAcl } from './acl/extended-acl-options.ts'
import { BandwidthCounter } from './bandwidth/bandwidth-table.ts'
import { DeliveryLimits } from './bandwidth/delivery-limits.ts'
import { MonitorMode, PortFlag, VlanMode } from './port-table.ts'
import { LoadBalancing } from './team/team-table.ts'

const UPLINK = 9
const OFFER = ipv4({ from: 1 }, udp(67, 68, 2))
const guards = { dhcpGuard: true, routerGuard: false, stormLimit: [] }
const tagOf = (bytes: Buffer): number => (bytes.readUInt16BE(12) === 0x8100 ? bytes.readUInt16BE(14) & 0xfff : 0)
const from = (bytes: Buffer, source: string): Buffer => {
  const copy = Buffer.from(bytes)
  copy.write(source.replaceAll(':', ''), 6, 'hex')
  return copy
}

for (const shortCut of [false, true])
  describe(`policies together ${shortCut ? 'with' : 'without'} short cuts`, () => {
    const connected = (ports: number): DataPathHarness => new DataPathHarness({ shortCut }).connect(ports)
    const textsAt = (harness: DataPathHarness, port: number): string[] => harness.sink(port).frames.splice(0).map(textOf)

    test('a guard holds on a port that may use any address, from all of its addresses', () => {
      const harness = connected(3)
      harness.connectPort(1, PortFlag.learn | PortFlag.unknownUnicast)
      harness.ports.setGuards(1, guards)
      for (const source of ['02:00:00:00:00:01', '02:00:00:00:00:77']) harness.send(1, from(OFFER, source))
      assert.deepEqual(harness.drops(1), { 'dhcp-guard': 2 })
      assert.equal(harness.sink(2).frames.length, 0)
      assert.equal(
        harness.macs.entries(0).some(({ mac }) => mac.endsWith('77')),
        false,
        'nothing is learned of it',
      )
    })

    test('a guarded frame in a VLAN is dropped before it is mirrored, an honest one is mirrored with its VLAN', () => {
      const harness = connected(4)
      for (const port of [1, 2]) harness.ports.setVlan(port, { mode: VlanMode.access, primary: 7 })
      harness.ports.setGuards(1, guards)
      harness.ports.setMonitor(1, MonitorMode.source)
      harness.ports.setMonitor(4, MonitorMode.destination)
      harness.send(1, OFFER)
      assert.equal(harness.sink(4).frames.length, 0)
      harness.send(1, ipv4({ from: 1 }, udp(68, 67, 1)))
      assert.deepEqual(
        [2, 3, 4].map((port) => harness.sink(port).frames.map(tagOf)),
        [[0], [], [7]],
      )
    })

    test('a trunk takes copies for its guest in any VLAN, and gets other frames of its own VLANs only', () => {
      const harness = connected(4)
      harness.ports.setVlan(1, { mode: VlanMode.access, primary: 7 })
      harness.ports.setVlan(2, { mode: VlanMode.access, primary: 7 })
      harness.ports.setVlan(4, { mode: VlanMode.trunk, primary: 0, set: [8, 9] })
      harness.send(1, frame(0xff, 1, 'not mirrored'))
      assert.deepEqual(textsAt(harness, 4), [])
      harness.ports.setMonitor(1, MonitorMode.source)
      harness.ports.setMonitor(4, MonitorMode.destination)
      harness.send(1, frame(0xff, 1, 'mirrored'))
      assert.deepEqual(harness.sink(4).frames.map(tagOf), [7])
    })

    test('tenants are apart within one VLAN, and VLANs within one tenant', () => {
      const harness = connected(4)
      for (const port of [1, 2, 3]) harness.ports.setVlan(port, { mode: VlanMode.access, primary: 7 })
      harness.ports.setVlan(4, { mode: VlanMode.access, primary: 8 })
      for (const [port, group] of [1, 1, 2, 1].entries()) harness.ports.tenants[port + 1] = group
      harness.ports.changed()
      harness.send(1, frame(0xff, 1, 'all'))
      assert.deepEqual(
        [2, 3, 4].map((port) => textsAt(harness, port)),
        [['all'], [], []],
      )
    })

    test('an isolated port of a private VLAN reaches the promiscuous one of its tenant only', () => {
      const harness = connected(3)
      harness.ports.setVlan(1, { mode: VlanMode.isolated, primary: 10, secondary: 11 })
      for (const port of [2, 3]) harness.ports.setVlan(port, { mode: VlanMode.promiscuous, primary: 10, set: [11] })
      for (const [port, group] of [1, 1, 2].entries()) harness.ports.tenants[port + 1] = group
      harness.ports.changed()
      harness.send(1, frame(0xff, 1, 'x'))
      assert.deepEqual(
        [2, 3].map((port) => textsAt(harness, port)),
        [['x'], []],
      )
    })

    test('addresses are learned up to the limit of a port that is mirrored, and none of its monitor', () => {
      const harness = connected(3)
      harness.ports.setIpLimit(1, 1)
      harness.ports.setIpLimit(3, 4)
      harness.ports.setMonitor(1, MonitorMode.source)
      harness.ports.setMonitor(3, MonitorMode.destination)
      const arp = (last: number): Buffer => {
        const bytes = frame(0xff, 1, '', 0x0806)
        bytes.set([0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, last, 0, 0, 0, 0, 0, 0, 10, 0, 0, 9], 14)
        return bytes
      }
      harness.send(1, arp(1), arp(2))
      assert.deepEqual([harness.ports.ipAddresses(1).length, harness.ports.ipAddresses(3).length], [1, 0])
      assert.equal(harness.sink(3).frames.length, 2)
    })

    const denying = (harness: DataPathHarness, port: number, direction: string, isolationId?: number): void => {
      const rules = [{ name: 'none', action: 'deny', direction, ...(isolationId === undefined ? {} : { isolationId }) }]
      harness.acls.set(port, compileAcls(port, { extendedAcl: parseExtendedAcl(new OptionReader({ rules })) }, port))
    }
    const mirrored = (): DataPathHarness => {
      const harness = connected(4)
      harness.ports.setMonitor(1, MonitorMode.source)
      harness.ports.setMonitor(4, MonitorMode.destination)
      return harness
    }
    const packet = (to: number, tags: readonly number[] = []): Buffer =>
      ipv4({ from: 1, to: `02:00:00:00:00:0${to}`, tags }, udp(1, 2, 3))

    test('what a rule keeps from its receiver is mirrored, what one does not let out is not (ES-337, ES-338)', () => {
      const harness = mirrored()
      denying(harness, 2, 'inbound')
      harness.send(1, packet(2))
      assert.deepEqual(
        [2, 4].map((port) => harness.sink(port).frames.length),
        [0, 1],
      )
      denying(harness, 1, 'outbound')
      harness.send(1, packet(2))
      assert.equal(harness.sink(4).frames.length, 1)
      assert.deepEqual([harness.drops(1), harness.drops(2)], [{ 'extended-acl': 1 }, { 'extended-acl': 1 }])
    })

    test('a frame that an extension drops is counted once, at its port, and not mirrored', () => {
      const harness = mirrored()
      harness.install(() => ({
        ingress(batch) {
          for (let i = 0; i < batch.length; i++) batch.drop(i, 'not today')
        },
      }))
      harness.send(1, packet(2), packet(3))
      assert.deepEqual(harness.drops(1), { 'not today': 2 })
      assert.deepEqual(
        [2, 3, 4].map((port) => [harness.sink(port).frames.length, Object.keys(harness.drops(port)).length]),
        [
          [0, 0],
          [0, 0],
          [0, 0],
        ],
      )
    })

    test('a rule of one VLAN of a trunk holds in both directions, and for that VLAN alone', () => {
      const harness = mirrored()
      harness.ports.setMonitor(1, MonitorMode.none)
      harness.ports.setVlan(1, { mode: VlanMode.trunk, primary: 0, set: [7, 8] })
      harness.ports.setVlan(2, { mode: VlanMode.access, primary: 7 })
      harness.ports.setVlan(3, { mode: VlanMode.access, primary: 8 })
      denying(harness, 1, 'outbound', 7)
      harness.send(1, packet(2, [7]), packet(3, [8]))
      assert.deepEqual(
        [2, 3].map((port) => harness.sink(port).frames.map(tagOf)),
        [[], [0]],
      )
      denying(harness, 1, 'inbound', 7)
      const back = (source: number): Buffer => ipv4({ from: source, to: '02:00:00:00:00:01' }, udp(1, 2, 3))
      harness.send(2, back(2))
      harness.send(3, back(3))
      assert.deepEqual(harness.sink(1).frames.map(tagOf), [8])
    })

    test('a rule, a mirror, a limit of its monitor, the share of an uplink and a team each take their part in the same frames', () => {
      const harness = connected(4)
      const members = harness.spareSinks(2)
      harness.connectPort(UPLINK, PortFlag.external | PortFlag.learn | PortFlag.unknownUnicast)
      for (const [i, member] of members.entries()) harness.delivery.setQueues(UPLINK, [member], i + 1)
      harness.ports.setAdapters(UPLINK, [1, 2])
      harness.ports.uplinks.set({ port: UPLINK, loadBalancing: LoadBalancing.hyperVPort, members: [1, 2], standby: [] })
      const link = (nicIndex: number, up: boolean): void => {
        harness.ports.uplinks.setLink(nicIndex, up, 0, 0)
        harness.ports.changed()
      }
      for (const nicIndex of [1, 2]) link(nicIndex, true)
      harness.delivery.limits = new DeliveryLimits(harness.ports.bandwidth, harness.pool, () => harness.nowMs)
      harness.ports.bandwidth.setUplink(UPLINK, 0)
      harness.ports.bandwidth.set(UPLINK, { maximumBandwidth: 1_000_000_000 })
      harness.ports.bandwidth.set(4, { maximumReceiveBandwidth: 64_000 })
      harness.ports.setMonitor(1, MonitorMode.source)
      harness.ports.setMonitor(4, MonitorMode.destination)
      const rules = [{ name: 'no dns', action: 'deny', direction: 'outbound', protocol: 'udp', remotePort: 53 }]
      harness.acls.set(1, compileAcls(1, { extendedAcl: parseExtendedAcl(new OptionReader({ rules })) }, 1))

      const outside = '02:00:00:00:00:99'
      const long = Buffer.concat([ipv4({ from: 1, to: outside }, udp(1, 2, 3)), Buffer.alloc(1400)])
      const question = ipv4({ from: 1, to: outside }, udp(1, 53, 3))
      const FRAMES = 120
      for (let i = 0; i < FRAMES; i++) harness.send(1, long, question)
      const carried = members.map((member) => member.frames.length)
      assert.deepEqual(carried.toSorted(), [0, FRAMES], 'by one member')
      const copies = harness.sink(4).frames.length
      assert.ok(copies > 0 && copies < FRAMES)
      assert.deepEqual(harness.drops(4), { 'bandwidth-limit': FRAMES - copies }, 'what the monitor may not get is counted at it')
      assert.deepEqual([harness.drops(1), harness.drops(UPLINK)], [{ 'extended-acl': FRAMES }, {}])
      const charged = harness.ports.bandwidth.counted(1, BandwidthCounter.uplink)
      assert.equal(charged, FRAMES * long.length, 'what left the switch, and nothing else')

      link(carried[0] === 0 ? 2 : 1, false)
      harness.send(1, long, question)
      const now = members.map((member) => member.frames.length)
      assert.deepEqual(now.toSorted(), [1, FRAMES], 'by the other one')
      harness.sendThrough(UPLINK, carried[0] === 0 ? 1 : 2, ipv4({ from: 9, to: '02:00:00:00:00:01' }, udp(53, 1, 3)))
      assert.equal(harness.sink(1).frames.length, 1, 'what comes in is no business of a rule for what goes out')
      assert.deepEqual(
        [2, 3].map((port) => harness.sink(port).frames.length),
        [0, 0],
      )
    })

    test('the guard speaks first where a rule would drop too, and a packet is counted under one reason', () => {
      const harness = mirrored()
      harness.ports.setGuards(1, guards)
      denying(harness, 1, 'outbound')
      harness.send(1, OFFER, packet(2))
      assert.deepEqual(harness.drops(1), { 'dhcp-guard': 1, 'extended-acl': 1 })
      assert.equal(harness.portCounter(1, 'receivedDropped'), 2)
    })
  })
