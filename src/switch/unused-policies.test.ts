// Policies that a port does not use: what other ports of the switch have must neither change the fate of its packets nor cost it anything.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DataPathHarness, frame, mac } from '../../test/support/data-path-harness.ts'
import { ANYWHERE } from '../ndis/batch.ts'
import { DROP_REASONS_MAX } from '../ndis/drop-reasons.ts'
import type { AclProperty, ExtendedAclProperty, ProtectionProperty } from '../ndis/standard-properties.ts'
import { arpRequestFrame, udpFrame } from '../packet/build.ts'
import { compileAcls } from './acl/acl-plan.ts'
import { portCounterNames } from './counters.ts'
import { parseStandardProperty } from './policies/standard-properties.ts'
import { MonitorDirection, MonitorMode, PortFlag, VlanMode } from './port-table.ts'

const PORTS = 6
const MONITOR = 6

/** A policy of one port. */
type Policy = (harness: DataPathHarness, port: number) => void

const acl =
  (direction: string): Policy =>
  ({ acls }, port) => {
    const value = { entries: [{ action: 'deny', direction, remoteIPAddress: '10.0.0.3' }] }
    acls.set(port, compileAcls(port, { acl: parseStandardProperty('acl', value) as AclProperty }, 1))
  }
const extendedAcl: Policy = ({ acls }, port) => {
  const rules = ['inbound', 'outbound'].map((direction, weight) => ({
    name: direction,
    action: 'deny',
    direction,
    protocol: 'udp',
    remotePort: 53,
    weight,
  }))
  const extended = parseStandardProperty('extended-acl', { rules }) as ExtendedAclProperty
  acls.set(port, compileAcls(port, { extendedAcl: extended }, 1))
}
const guard =
  (value: object): Policy =>
  ({ ports }, port) =>
    ports.setGuards(port, parseStandardProperty('protection', value) as ProtectionProperty)
const mirrored =
  (direction: number): Policy =>
  ({ ports }, port) => {
    ports.setMonitor(port, MonitorMode.source, 1, direction)
    ports.setMonitor(MONITOR, MonitorMode.destination, 1)
  }

const policies: Readonly<Record<string, Policy>> = {
  'access VLAN': ({ ports }, port) => ports.setVlan(port, { mode: VlanMode.access, primary: 7 }),
  trunk: ({ ports }, port) => ports.setVlan(port, { mode: VlanMode.trunk, primary: 0, set: [7, 8] }),
  'private VLAN': ({ ports }, port) => ports.setVlan(port, { mode: VlanMode.isolated, primary: 7, secondary: 8 }),
  'virtual subnet': ({ ports }, port) => ports.setSubnet(port, 5000),
  'address limit': ({ ports }, port) => ports.setIpLimit(port, 1),
  'no 802.1p': ({ ports }, port) => ports.setPriorityTag(port, false),
  'source guard': guard({ sourceGuard: ['10.0.0.1'] }),
  'storm limit': guard({ stormLimit: 2 }),
  'ACL inbound': acl('inbound'),
  'ACL outbound': acl('outbound'),
  'extended ACL': extendedAcl,
  mirroring: mirrored(MonitorDirection.both),
  'mirroring of what it gets': mirrored(MonitorDirection.received),
  'receive limit': ({ ports }, port) => ports.bandwidth.set(port, { maximumReceiveBandwidth: 1e6 }),
}

interface Scene {
  readonly policies: readonly (string | undefined)[]
  readonly learning: readonly boolean[]
  readonly bursts: readonly {
    readonly port: number
    readonly frames: readonly { readonly to: number; readonly kind: number }[]
  }[]
}

const scenes: fc.Arbitrary<Scene> = fc.record({
  policies: fc.array(fc.option(fc.constantFrom(...Object.keys(policies)), { nil: undefined }), { maxLength: PORTS }),
  learning: fc.array(fc.boolean(), { minLength: PORTS, maxLength: PORTS }),
  bursts: fc.array(
    fc.record({
      port: fc.integer({ min: 1, max: PORTS }),
      frames: fc.array(
        fc.record({ to: fc.oneof(fc.integer({ min: 1, max: PORTS + 1 }), fc.constant(0xff)), kind: fc.nat({ max: 3 }) }),
        { minLength: 1, maxLength: 20 },
      ),
    }),
    { maxLength: 10 },
  ),
})

function bytes(port: number, to: number, kind: number): Uint8Array {
  const ends = {
    sourceMac: mac(port),
    destinationMac: to === 0xff ? 'ff:ff:ff:ff:ff:ff' : mac(to),
    source: `10.0.0.${port}`,
    destination: `10.0.0.${to}`,
  }
  if (kind === 0) return udpFrame(ends, 1000, 53, new Uint8Array(20))
  if (kind === 1) return arpRequestFrame(mac(port), ends.source, ends.destination)
  const plain = frame(to, port, 'plain')
  return kind === 2 ? plain : Buffer.concat([plain.subarray(0, 12), Buffer.from([0x81, 0x00, 0x20, 7]), plain.subarray(12)])
}

/** Everything that can be seen from outside after the scene was played. `thorough`: every policy looks at every packet. */
function play({ policies: given, learning, bursts }: Scene, thorough: boolean): unknown {
  const harness = new DataPathHarness({ shortCut: !thorough })
  for (let port = 1; port <= PORTS; port++)
    harness.connectPort(port, learning[port - 1] ? PortFlag.learn | PortFlag.unknownUnicast : PortFlag.checkSource)
  for (const [i, name] of given.entries()) if (name !== undefined) policies[name]!(harness, i + 1)
  if (thorough) Object.defineProperty(harness.dataPath.batch, 'reached', { get: () => ANYWHERE, set: () => {} })
  for (const { port, frames } of bursts) {
    harness.dataPath.forwarding.nowSeconds++
    harness.nowMs += 100
    harness.send(port, ...frames.map(({ to, kind }) => bytes(port, to, kind)))
  }
  const ports = Array.from({ length: PORTS + 1 }, (_, port) => port)
  return {
    frames: ports.slice(1).map((port) => harness.sink(port).frames.map((sent) => sent.toString('hex'))),
    counters: ports.map((port) => portCounterNames.map((name) => [name, harness.portCounter(port, name)])),
    drops: ports.map((port) => Array.from({ length: DROP_REASONS_MAX }, (_, reason) => harness.counters.readDrop(port, reason))),
    learned: harness.macs.entries(100).sort((a, b) => `${a.mac}${a.vlan}`.localeCompare(`${b.mac}${b.vlan}`)),
    addresses: ports.slice(1).map((port) => harness.ports.ipAddresses(port)),
  }
}

test('policies that are left out for packets that they do not concern would not have changed anything', () => {
  fc.assert(
    fc.property(scenes, (scene) => assert.deepEqual(play(scene, false), play(scene, true))),
    { numRuns: 300 },
  )
})

for (const [name, policy] of Object.entries(policies))
  test(`packets between two ports are not looked at for what a third one has: ${name}`, () => {
    const harness = new DataPathHarness({ shortCut: true }).connect(PORTS)
    policy(harness, 3)
    const { dataPath } = harness
    dataPath.forwarding.forward = () => assert.fail('TypeScript was asked to forward')
    harness.send(1, bytes(1, 2, 0), bytes(1, 2, 2))
    assert.equal(harness.sink(2).frames.length, 2)
    assert.equal(dataPath.batch.reached, 1 << 2, 'it is known where they go, so nobody else asks')
  })
