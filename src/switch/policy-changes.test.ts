// A policy that changes while frames flow is in force from the next frame on, with the wasm short cuts too, which may have taken the frames
// before it; and what other ports send is left alone.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DataPathHarness, frame, mac } from '../../test/support/data-path-harness.ts'
import { IPV6, icmp, ipv4, ipv6, ipv6Bytes, udp } from '../../test/support/guard-frames.ts'
import { NicState, PortState } from '../ndis/oids.ts'
import type { ProtectionProperty } from '../ndis/standard-properties.ts'
import { PortFlag, type PortTable, VlanMode } from './port-table.ts'

const off: ProtectionProperty = { dhcpGuard: false, routerGuard: false, stormLimit: [] }
const guarding = (more: Partial<ProtectionProperty>) => (ports: PortTable, on: boolean) =>
  ports.setGuards(1, on ? { ...off, ...more } : undefined)
const access = (primary: number) => ({ mode: VlanMode.access, primary })
const to = mac(2)
const tagged = ipv4({ to, tags: [10] }, udp(1, 2, 3))

interface Change {
  /** From port 1 to port 2. */
  readonly frames: readonly Buffer[]
  /** Why they do not arrive while it is on, and the port at which that is counted. */
  readonly reason: string
  readonly at?: number
  readonly set: (ports: PortTable, on: boolean) => void
  /** As it is before. */
  readonly flags?: number
}

const changes: Record<string, Change> = {
  'allowMacSpoofing (ES-525, ES-526)': {
    frames: [frame(2, 7, 'x')],
    reason: 'mac-spoofing',
    flags: PortFlag.learn,
    set: (ports, on) =>
      ports.set(1, {
        portState: PortState.created,
        nicState: NicState.connected,
        flags: on ? PortFlag.checkSource : PortFlag.learn,
        mac: mac(1),
        vlan: 0,
      }),
  },
  'allowTeaming (ES-527)': {
    frames: [frame(2, 3, 'x')],
    reason: 'mac-spoofing',
    set: (ports, on) => {
      for (const port of [1, 3]) ports.setTeam(port, 7, mac(port), !on)
      ports.changed()
    },
  },
  dhcpGuard: {
    frames: [ipv4({ to }, udp(67, 68, 2)), ipv6({ to }, IPV6.udp, udp(547, 546, 2))],
    reason: 'dhcp-guard',
    set: guarding({ dhcpGuard: true }),
  },
  routerGuard: {
    frames: [ipv4({ to, protocol: 1 }, icmp(5)), ipv6({ to }, IPV6.icmp, icmp(134))],
    reason: 'router-guard',
    set: guarding({ routerGuard: true }),
  },
  sourceGuard: {
    frames: [
      ipv4({ to }, udp(1, 2, 3)),
      ipv6({ to }, IPV6.udp, udp(1, 2, 3)),
      ipv6({ to }, IPV6.icmp, icmp(136, [0, 0, 0, 0, ...ipv6Bytes('fd00::9')])),
    ],
    reason: 'source-guard',
    set: guarding({ sourceGuard: { prefixes: [], learned: false } }),
  },
  'an access VLAN, of the sender (ES-531)': {
    frames: [tagged],
    reason: 'vlan-not-allowed',
    set: (ports, on) => ports.setVlan(1, on ? access(20) : undefined),
  },
  'an access VLAN, of the receiver (ES-531)': {
    frames: [frame(2, 1, 'x'), tagged],
    reason: 'vlan-not-allowed',
    at: 2,
    set: (ports, on) => ports.setVlan(2, on ? access(20) : undefined),
  },
  'the list of a trunk (ES-534)': {
    frames: [tagged],
    reason: 'vlan-not-allowed',
    set: (ports, on) => {
      for (const port of [1, 2])
        ports.setVlan(port, { mode: VlanMode.trunk, primary: 0, set: on && port === 1 ? [20] : [10, 20] })
    },
  },
  'isolation in a private VLAN (ES-537)': {
    frames: [frame(2, 1, 'x')],
    reason: 'vlan-not-allowed',
    at: 2,
    set: (ports, on) => {
      const mode = on ? VlanMode.isolated : VlanMode.community
      for (const port of [1, 2]) ports.setVlan(port, { mode, primary: 100, secondary: 101 })
    },
  },
  'a virtual subnet (ES-529)': {
    frames: [frame(2, 1, 'x'), tagged],
    reason: 'virtual-subnet',
    set: (ports, on) => ports.setSubnet(1, on ? 5001 : 0, false),
  },
  tenants: {
    frames: [frame(2, 1, 'x'), tagged],
    reason: 'tenant-isolation',
    set: (ports, on) => {
      ports.tenants[1] = on ? 1 : 0
      ports.tenants[2] = on ? 2 : 0
      ports.changed()
    },
  },
}

for (const shortCut of [true, false])
  describe(`${shortCut ? 'with' : 'without'} short cuts`, () => {
    for (const [what, { frames, reason, at = 1, set, flags }] of Object.entries(changes))
      test(`a change of ${what} holds from the next frame on, back and forth, and for no other port`, () => {
        const harness = new DataPathHarness({ shortCut }).connect(5)
        if (flags !== undefined) harness.connectPort(1, flags)
        let refused = 0
        for (const on of [false, true, false, true]) {
          set(harness.ports, on)
          harness.send(1, ...frames)
          const got = harness.sink(2).frames.splice(0).length
          if (on) refused += frames.length
          assert.deepEqual([got, harness.drops(at)], [on ? 0 : frames.length, refused === 0 ? {} : { [reason]: refused }])
          harness.send(4, frame(5, 4, 'others'))
          assert.deepEqual(harness.sink(5).frames.splice(0).length, 1)
        }
      })

    test('a change of allowIeeePriorityTag holds from the next frame on (ES-528)', () => {
      const harness = new DataPathHarness({ shortCut }).connect(2)
      const sent = ipv4({ to, tags: [0xa00a] }, udp(1, 2, 3))
      for (const allowed of [true, false, true]) {
        harness.ports.setPriorityTag(2, allowed)
        harness.send(1, sent)
        assert.equal(harness.sink(2).frames.pop()!.readUInt16BE(14), allowed ? 0xa00a : 10)
      }
    })

    test('a change of a storm limit holds from the next frame on', () => {
      const harness = new DataPathHarness({ shortCut }).connect(2)
      const limit = { ...off, stormLimit: [{ classes: ['broadcast' as const], packetsPerSecond: 1 }] }
      for (const [guards, got] of [
        [undefined, 3],
        [limit, 1],
        [undefined, 3],
      ] as const) {
        harness.ports.setGuards(1, guards)
        harness.send(1, ...Array.from({ length: 3 }, () => frame(0xff, 1, 'x')))
        assert.equal(harness.sink(2).frames.splice(0).length, got)
      }
      assert.deepEqual(harness.drops(1), { 'storm-limit': 2 })
    })
  })
