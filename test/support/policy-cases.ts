// A case for every policy of the switch: what sets it, and a frame that it concerns. For tests that go through all of them.
//
// The rule it must not break: a guard, or a VLAN mode, without a case does not compile.

import { OptionReader } from '../../src/ndis/module-options.ts'
import type { ProtectionProperty } from '../../src/ndis/standard-properties.ts'
import { ipv4Bytes } from '../../src/packet/addresses.ts'
import { tcpFrame } from '../../src/packet/build.ts'
import { parseAcl } from '../../src/switch/acl/acl-options.ts'
import { compileAcls } from '../../src/switch/acl/acl-plan.ts'
import { parseExtendedAcl } from '../../src/switch/acl/extended-acl-options.ts'
import { DeliveryLimits } from '../../src/switch/bandwidth/delivery-limits.ts'
import { connectionTableBytes } from '../../src/switch/conntrack/connection-layout.ts'
import { ConnectionTable } from '../../src/switch/conntrack/connection-table.ts'
import type { GuardBit } from '../../src/switch/guards/guard-table.ts'
import { MonitorMode, PortFlag, VlanMode } from '../../src/switch/port-table.ts'
import { GroupTable, groupTableBytes } from '../../src/switch/snooping/group-table.ts'
import { QUERIER_TABLE_BYTES, QuerierTable } from '../../src/switch/snooping/querier-table.ts'
import { Snooping } from '../../src/switch/snooping/snooping.ts'
import { LoadBalancing } from '../../src/switch/team/team-table.ts'
import { DataPathHarness, frame, mac } from './data-path-harness.ts'
import { igmpFrame, stream } from './group-frames.ts'
import { IPV6, ipv4, ipv6, udp } from './guard-frames.ts'

const PORTS = 16
export const UPLINK = 9
const CONNECTIONS = { connections: 64, ports: PORTS }
const TAG = 0x8100

/** Guests at ports 1 to 4, an uplink. */
export function policyWorld(options: { spareBytes?: number; shortCut?: boolean } = {}): DataPathHarness {
  const harness = new DataPathHarness(options).connect(4)
  harness.connectPort(UPLINK, PortFlag.external | PortFlag.learn | PortFlag.unknownUnicast)
  harness.delivery.limits = new DeliveryLimits(harness.ports.bandwidth, harness.pool, () => harness.nowMs)
  return harness
}

/** Sets guards of a port. */
export const guards = (harness: DataPathHarness, port: number, some: Partial<ProtectionProperty>): void =>
  harness.ports.setGuards(port, { dhcpGuard: false, routerGuard: false, ...some } as ProtectionProperty)

const tagged = (vlan: number, priority: number, to: number, from: number): Uint8Array => {
  const bytes = Buffer.from(frame(to, from, '', TAG))
  bytes.writeUInt16BE((priority << 13) | vlan, 14)
  bytes.writeUInt16BE(0x88b5, 16)
  return bytes
}

function acls(harness: DataPathHarness, port: number, entries: object[], rules: object[]): void {
  const buffer = new SharedArrayBuffer(connectionTableBytes(CONNECTIONS.connections, CONNECTIONS.ports))
  new ConnectionTable(buffer, 0, CONNECTIONS).store.seed(1)
  const acl = entries.length === 0 ? undefined : parseAcl(new OptionReader({ entries }))
  const extendedAcl = rules.length === 0 ? undefined : parseExtendedAcl(new OptionReader({ rules }))
  harness.acls.set(
    port,
    compileAcls(port, { acl, extendedAcl }, 1, () => ({ buffer, at: 0, ...CONNECTIONS })),
  )
}

/** A policy: what sets it, a frame from `port` that meets it, and what the trace says then. */
export interface PolicyCase {
  readonly set: (harness: DataPathHarness) => void
  readonly port: number
  readonly bytes: Uint8Array
  readonly says: RegExp
}

const own = { address: [...ipv4Bytes(0x0a000001)], bits: 32 }
export const address = { from: 1, to: mac(2) }
const SYN = 2
export const ACK = 16
const pair = { sourceMac: mac(1), destinationMac: mac(2), source: '10.0.0.1', destination: '10.0.0.2' }
export const web = (port: number, flags = SYN): Uint8Array => tcpFrame(pair, 40000, port, { flags })

const ofGuards: Readonly<Record<keyof typeof GuardBit, PolicyCase>> = {
  dhcp: {
    set: (harness) => guards(harness, 1, { dhcpGuard: true }),
    port: 1,
    bytes: ipv4({}, udp(67, 68, 2)),
    says: /ingress: drops it: dhcp-guard \| UDP from port 67 to 68/,
  },
  router: {
    set: (harness) => guards(harness, 1, { routerGuard: true }),
    port: 1,
    bytes: ipv6({ source: 'fe80::1' }, IPV6.icmp, [134, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    says: /ingress: drops it: router-guard \| ICMPv6 of type 134 from fe80::1/,
  },
  storm: {
    set: (harness) => {
      guards(harness, 1, { stormLimit: [{ classes: ['broadcast'], packetsPerSecond: 1 }] })
      harness.send(1, frame(0xff, 1))
    },
    port: 1,
    bytes: frame(0xff, 1),
    says: /ingress: drops it: storm-limit \| broadcast: at most 1 frames a second, 0 left now/,
  },
  source: {
    set: (harness) => guards(harness, 1, { sourceGuard: { prefixes: [own], learned: false } }),
    port: 1,
    bytes: ipv4({ ...address, source: '10.0.0.9' }, udp(1, 2, 3)),
    says: /ingress: drops it: source-guard \| it speaks for 10\.0\.0\.9; p1 may for 10\.0\.0\.1 \|/,
  },
}

const vlan =
  (...entries: readonly (readonly [port: number, mode: number, primary: number, secondary?: number, set?: number[]])[]) =>
  (harness: DataPathHarness): void => {
    for (const [port, mode, primary, secondary = 0, set = []] of entries)
      harness.ports.setVlan(port, { mode, primary, secondary, set })
  }

const ofVlans: Readonly<Record<keyof typeof VlanMode, PolicyCase>> = {
  none: {
    set: vlan([2, VlanMode.access, 10]),
    port: 1,
    bytes: frame(2, 1),
    says: /vlan-not-allowed \| it has no VLAN; p1 is without a VLAN, p2 is access VLAN 10/,
  },
  access: {
    set: vlan([1, VlanMode.access, 10], [2, VlanMode.access, 10]),
    port: 1,
    bytes: tagged(20, 0, 2, 1),
    says: /vlan-not-allowed \| it is of VLAN 20; p1 is access VLAN 10, p2 is access VLAN 10/,
  },
  trunk: {
    set: vlan([1, VlanMode.trunk, 1, 0, [5, 6]], [2, VlanMode.access, 7]),
    port: 1,
    bytes: tagged(7, 0, 2, 1),
    says: /vlan-not-allowed \| it is of VLAN 7; p1 is a trunk of VLANs 5, 6, native 1, p2 is access VLAN 7/,
  },
  isolated: {
    set: vlan([1, VlanMode.isolated, 10, 11], [2, VlanMode.isolated, 10, 11]),
    port: 1,
    bytes: frame(2, 1),
    says: /vlan-not-allowed \| .*p1 is isolated in private VLAN 10\/11, p2 is isolated in private VLAN 10\/11/,
  },
  community: {
    set: vlan([1, VlanMode.community, 10, 12], [2, VlanMode.isolated, 10, 11]),
    port: 1,
    bytes: frame(2, 1),
    says: /vlan-not-allowed \| .*p1 is of community 12 of private VLAN 10, p2 is isolated/,
  },
  promiscuous: {
    set: vlan([1, VlanMode.access, 9], [2, VlanMode.promiscuous, 10, 0, [11]]),
    port: 1,
    bytes: frame(2, 1),
    says: /vlan-not-allowed \| .*p2 is promiscuous in private VLAN 10, with VLANs 11/,
  },
}

const rule = { name: 'web', action: 'allow', direction: 'outbound', protocol: 'tcp', localPort: 'any', remotePort: 80, weight: 7 }
const plain = (direction: string, action: string): object => ({ direction, action, remoteIPAddress: '10.0.0.0/8' })
// The frame with the address of a port as its source.
function ofPort(port: number, bytes: Uint8Array): Uint8Array {
  const own = Buffer.from(bytes)
  own[11] = port
  return own
}

const GROUP = '239.1.2.3'

// Snooping of IGMP with a querier of the switch's own.
function snoop({ dataPath, pool, ports }: DataPathHarness): void {
  const size = { ports: ports.ports, groups: 64 }
  const timers = { robustness: 2, intervalSeconds: 125, responseTenths: 100, lastMemberTenths: 10 }
  const groups = new SharedArrayBuffer(groupTableBytes(size))
  const queriers = new SharedArrayBuffer(QUERIER_TABLE_BYTES)
  new GroupTable(groups, size).divide(PORTS)
  new QuerierTable(queriers, timers).setOwn(0, true, 1)
  dataPath.forwarding.nowSeconds = 100
  dataPath.forwarding.snooping = new Snooping(
    { groups, queriers, size, timers, igmp: true, mld: true, floodUnregistered: false },
    { pool, ports, copy: (slot, from, length, target) => dataPath.copyBytes(slot, from, length, target) },
  )
}

const wanted: Readonly<Record<string, PolicyCase>> = {
  'snooping that chooses': {
    set: (harness) => {
      snoop(harness)
      harness.send(2, ofPort(2, igmpFrame(0x16, GROUP)))
    },
    port: 1,
    bytes: ofPort(1, stream(GROUP)),
    says: /forwarding: sends it to p2 \| multicast: to members of 239\.1\.2\.3 and to routers, by snooping/,
  },
  'snooping without members': {
    set: snoop,
    port: 1,
    bytes: ofPort(1, stream(GROUP)),
    says: /forwarding: drops it: no-group-member \| the group is 239\.1\.2\.3/,
  },
  'MAC address': {
    set: () => undefined,
    port: 1,
    bytes: frame(2, 3),
    says: /drops it: mac-spoofing \| its source is 02:00:00:00:00:03, and the address of p1 is 02:00:00:00:00:01/,
  },
  'guards that let it pass': {
    set: (harness) => guards(harness, 1, { dhcpGuard: true, stormLimit: [{ classes: ['broadcast'], packetsPerSecond: 5 }] }),
    port: 1,
    bytes: frame(0xff, 1),
    says: /ingress: passes the guards of its port: dhcpGuard, stormLimit \(broadcast: at most 5 frames a second, 5 left now\)/,
  },
  'ACL that denies': {
    set: (harness) => acls(harness, 1, [plain('outbound', 'deny')], []),
    port: 1,
    bytes: web(80),
    says: /ingress: drops it: port-acl \| acl: remote 10\.0\.0\.0\/8: deny \| acl: remote 10\.0\.0\.0\/8/,
  },
  'ACL that allows': {
    set: (harness) => acls(harness, 1, [plain('outbound', 'allow')], []),
    port: 1,
    bytes: web(80),
    says: /ingress: acl: remote 10\.0\.0\.0\/8 of p1 lets it pass \(allow\) \| {2}\| acl: remote 10\.0\.0\.0\/8/,
  },
  'ACL that meters': {
    set: (harness) => acls(harness, 2, [plain('inbound', 'meter')], []),
    port: 1,
    bytes: web(80),
    says: /egress: acl: remote 10\.0\.0\.0\/8 of p2 counts it \(meter\)/,
  },
  'extended ACL that allows': {
    set: (harness) => acls(harness, 1, [], [rule]),
    port: 1,
    bytes: web(80),
    says: /ingress: extended-acl: web of p1 lets it pass \(allow, weight 7\)/,
  },
  'extended ACL that denies': {
    set: (harness) => acls(harness, 2, [], [{ ...rule, remotePort: undefined, direction: 'inbound', action: 'deny' }]),
    port: 1,
    bytes: web(80),
    says: /egress: does not let it go to p2: extended-acl \| extended-acl: web: deny, weight 7 \| extended-acl: web/,
  },
  'stateful rule that opens': {
    set: (harness) => acls(harness, 1, [], [{ ...rule, stateful: true }]),
    port: 1,
    bytes: web(80),
    says: /ingress: extended-acl: web of p1 lets it pass \(allow, weight 7, stateful\).*\ningress: would open a connection/,
  },
  'connection that lives': {
    set: (harness) => {
      acls(harness, 1, [], [{ ...rule, stateful: true }])
      harness.send(1, web(80))
    },
    port: 1,
    bytes: web(80),
    says: /ingress: is of a connection: synSent, opened by its port/,
  },
  'configured address': {
    set: () => undefined,
    port: 1,
    bytes: frame(2, 1),
    says: /forwarding: sends it to p2 \| 02:00:00:00:00:02 is behind p2, by the configuration/,
  },
  'learned address': {
    set: (harness) => {
      harness.send(UPLINK, frame(1, 0x42))
      harness.dataPath.forwarding.nowSeconds += 30
    },
    port: 1,
    bytes: frame(0x42, 1),
    says: /forwarding: sends it to p9 \| 02:00:00:00:00:42 is behind p9, learned, last seen 30 s ago/,
  },
  'unknown address': {
    set: () => undefined,
    port: 1,
    bytes: frame(0x77, 1),
    says: /forwarding: sends it to p9 \| nobody is known to have 02:00:00:00:00:77: to uplinks and ports that learn/,
  },
  hairpin: {
    set: () => undefined,
    port: 1,
    bytes: frame(1, 1),
    says: /drops it: hairpin \| 02:00:00:00:00:01 is behind p1 itself/,
  },
  'address of a link': {
    set: () => undefined,
    port: 1,
    bytes: frame('01:80:c2:00:00:02', 1),
    says: /drops it: reserved-multicast \| its address is 01:80:c2:00:00:02/,
  },
  tenants: {
    set: ({ ports }) => {
      for (const [port, group] of [1, 2, 1, 1].entries()) ports.tenants[port + 1] = group
      ports.changed()
    },
    port: 1,
    bytes: frame(0xff, 1),
    says: /forwarding: does not let it go to p2 \| it is another tenant's/,
  },
  'virtual subnets': {
    set: ({ ports }) => {
      ports.setSubnet(1, 5001)
      ports.setSubnet(2, 5002)
    },
    port: 1,
    bytes: frame(2, 1),
    says: /drops it: virtual-subnet \| the virtual subnet of p1 is 5001, that of p2 is 5002/,
  },
  mirrors: {
    set: ({ ports }) => {
      ports.setMonitor(1, MonitorMode.source, 3)
      ports.setMonitor(4, MonitorMode.destination, 3, 0, 99)
    },
    port: 1,
    bytes: frame(2, 1),
    says: /mirroring: copies it to p4 \| what p1 sends is mirrored in session 3, tagged with VLAN 99/,
  },
  'mirrors behind a policy': {
    set: (harness) => {
      guards(harness, 1, { dhcpGuard: true })
      harness.ports.setMonitor(2, MonitorMode.source, 3)
      harness.ports.setMonitor(4, MonitorMode.destination, 3)
    },
    port: 1,
    bytes: frame(2, 1),
    says: /mirroring: copies it to p4 \| what a port gets is mirrored in session 3 \|/,
  },
  priority: {
    set: ({ ports }) => ports.setPriorityTag(2, false),
    port: 1,
    bytes: tagged(0, 5, 2, 1),
    says: /delivery: would be delivered to p2: .* \| priority 5 is taken off \(allowIeeePriorityTag is off\)/,
  },
  'maximum of a receiver': {
    set: ({ ports }) => ports.bandwidth.set(2, { maximumReceiveBandwidth: 1_000_000 }),
    port: 1,
    bytes: frame(2, 1),
    says: /delivery: would be delivered to p2: .* \| it may get 1 Mbit\/s, \d+ bytes are left now/,
  },
  'maximum of a receiver, reached': {
    set: (harness) => {
      harness.ports.bandwidth.set(2, { maximumReceiveBandwidth: 1_000_000 })
      for (let i = 0; i < 100; i++) harness.send(1, Buffer.concat([frame(2, 1), Buffer.alloc(1440)]))
    },
    port: 1,
    bytes: frame(2, 1),
    says: /delivery: does not let it go to p2: bandwidth-limit \| it may get 1 Mbit\/s, -?\d+ bytes are left now/,
  },
  'maximum of a sender': {
    set: ({ ports }) => ports.bandwidth.set(1, { maximumBandwidth: 20_000_000 }),
    port: 1,
    bytes: frame(2, 1),
    says: /arrival: comes in at port p1 \| it may send 20 Mbit\/s: frames beyond wait in its ring/,
  },
  MTU: {
    set: ({ ports }) => ports.setMtu(2, 100),
    port: 1,
    bytes: Buffer.concat([frame(2, 1), Buffer.alloc(200)]),
    says: /delivery: does not let it go to p2: mtu-exceeded \| it has 260 bytes, and p2 takes an MTU of 100/,
  },
  team: {
    set: ({ ports }) => {
      ports.setAdapters(UPLINK, [1, 2])
      ports.uplinks.set({ port: UPLINK, loadBalancing: LoadBalancing.hyperVPort, members: [1, 2], standby: [] })
      for (const nicIndex of [1, 2]) ports.uplinks.setLink(nicIndex, true, nicIndex, 2)
      ports.changed()
    },
    port: 1,
    bytes: frame(0x77, 1),
    says: /delivery: would be delivered to p9: .* \| by member 2 of the team, that of p1 \(HyperVPort\)/,
  },
}

/** All of them, by name. */
export const policyCases = Object.entries({ ...ofGuards, ...ofVlans, ...wanted })
