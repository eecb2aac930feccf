import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { frame, mac, type TestFrame } from '../../../test/support/data-path-harness.ts'
import {
  type OverlayHarness,
  OWN_ADDRESS,
  OWN_IPV6,
  OWN_MAC,
  overlayHarness,
  PEER_ADDRESS,
  PEER_IPV6,
  PEER_MAC,
  SUBNET,
  UPLINK,
  VSID,
} from '../../../test/support/overlay-harness.ts'
import { tunnelled } from '../../../test/support/tunnelled.ts'
import { HEADER_STRIDE, OFFLOAD_CHECKSUM, OFFLOAD_TSO4, VNET_NEEDS_CSUM } from '../../kernels/layout.ts'
import { DROP_REASONS_MAX } from '../../ndis/drop-reasons.ts'
import { parseMac } from '../../packet/addresses.ts'
import { arpRequestFrame, echoFrame, type FrameAddresses, ipBytes, ipFrame, tcpFrame, udpFrame } from '../../packet/build.ts'
import { put16 } from '../../packet/bytes.ts'
import { internetChecksum } from '../../packet/checksum.ts'
import { TunnelFormat, TunnelTemplate } from '../../packet/tunnel.ts'
import { portCounterNames } from '../counters.ts'
import { PortFlag } from '../port-table.ts'
import { KnownAs } from './address-answers.ts'
import { Flooding, type OverlayPlan } from './plan.ts'
import { ROUTER_MAC, ROUTER_MAC_TEXT } from './routing.ts'

const PORTS = 4
const OTHER_SUBNET = SUBNET + 1
const OTHER_VSID = VSID + 1
/** Behind the peers in the table of customers. */
const NOWHERE = 16 + 1024 + 5
const address = (number: number): string => `02:00:00:00:00:${number.toString().padStart(2, '0')}`

/** What a frame is made of; the numbers choose among the values below. */
interface Recipe {
  readonly to: string
  readonly from: string
  readonly kind: 'udp' | 'tcp' | 'syn' | 'udp6' | 'tcp6' | 'arp' | 'ask' | 'echo6' | 'ask6' | 'raw'
  readonly bytes: number
  readonly flow: number
  readonly trafficClass: number
  readonly tag: boolean
  readonly offload: 'none' | 'checksum' | 'segments'
  readonly segments: number
  /** Octets that are changed: where, and by what. */
  readonly flips: readonly (readonly [at: number, by: number])[]
  /** Of those that come by a tunnel. */
  readonly outer: {
    readonly from: string
    readonly vsid: number
    readonly trafficClass: number
    /** Bytes added to the end, or taken from it. */
    readonly more: number
    readonly is: 'tunnel' | 'plain'
    /** Whether the checksum that is left open, if one is, is one of the outer headers. */
    readonly isOpen: boolean
    readonly isFragment: boolean
    readonly flips: readonly (readonly [at: number, by: number])[]
  }
}

interface Scene {
  readonly plan: Partial<OverlayPlan>
  readonly flags: readonly number[]
  readonly records: boolean
  /** An extension that sees the packets, if there is one. */
  readonly watched: 'filtering' | 'forwarding' | undefined
  /** The last port is in no virtual subnet. */
  readonly outside: boolean
  readonly bursts: readonly { readonly port: number; readonly frames: readonly Recipe[] }[]
}

const flips = (most: number): fc.Arbitrary<readonly (readonly [number, number])[]> =>
  fc.oneof(
    { weight: 5, arbitrary: fc.constant([]) },
    {
      weight: 1,
      arbitrary: fc.array(fc.tuple(fc.integer({ min: 0, max: most }), fc.integer({ min: 1, max: 255 })), { maxLength: 2 }),
    },
  )

const recipes: fc.Arbitrary<Recipe> = fc.record({
  to: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(address(21), address(22), address(1), address(2), address(4)) },
    {
      weight: 2,
      arbitrary: fc.constantFrom(
        address(3),
        address(23),
        address(24),
        address(25),
        address(77),
        'ff:ff:ff:ff:ff:ff',
        '01:80:c2:00:00:02',
        ROUTER_MAC_TEXT,
        OWN_MAC,
      ),
    },
  ),
  from: fc.oneof(
    { weight: 8, arbitrary: fc.constant('') },
    { weight: 1, arbitrary: fc.constantFrom(address(21), address(2), address(78), '03:00:00:00:00:01', ROUTER_MAC_TEXT) },
  ),
  kind: fc.constantFrom('udp', 'udp', 'tcp', 'syn', 'udp6', 'tcp6', 'arp', 'ask', 'echo6', 'ask6', 'raw'),
  bytes: fc.oneof(fc.integer({ min: 0, max: 100 }), fc.constantFrom(300, 1396, 1400, 1426, 1440, 2000)),
  flow: fc.integer({ min: 0, max: 3 }),
  trafficClass: fc.constantFrom(0, 0, 0, 1, 2, 3, 0xb9),
  tag: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  offload: fc.constantFrom('none', 'none', 'none', 'checksum', 'segments'),
  segments: fc.constantFrom(1, 1, 2),
  flips: flips(90),
  outer: fc.record({
    from: fc.constantFrom(PEER_ADDRESS, PEER_ADDRESS, PEER_IPV6, PEER_IPV6, '192.0.2.3', '192.0.2.9', '2001:db8::9'),
    vsid: fc.constantFrom(VSID, VSID, VSID, OTHER_VSID, 6000),
    trafficClass: fc.constantFrom(0, 0, 1, 2, 3, 0xb8),
    more: fc.constantFrom(0, 0, 0, 0, 0, 4, -3),
    is: fc.constantFrom('tunnel', 'tunnel', 'tunnel', 'tunnel', 'tunnel', 'plain'),
    isOpen: fc.constantFrom(false, false, false, true),
    isFragment: fc.constantFrom(false, false, false, false, false, false, false, true),
    flips: flips(80),
  }),
})

const scenes: fc.Arbitrary<Scene> = fc.record({
  plan: fc.record({
    format: fc.constantFrom(TunnelFormat.nvgre, TunnelFormat.vxlan, TunnelFormat.vxlan, TunnelFormat.geneve),
    learning: fc.boolean(),
    clampMss: fc.boolean(),
    mtu: fc.constantFrom(1500, 1450),
    unknownUnicast: fc.constantFrom(Flooding.drop, Flooding.replicate),
    addresses: fc.constantFrom([ipBytes(OWN_ADDRESS), ipBytes(OWN_IPV6)], [ipBytes(OWN_ADDRESS)], [ipBytes(OWN_IPV6)]),
  }),
  flags: fc.array(fc.constantFrom(PortFlag.checkSource, PortFlag.learn | PortFlag.unknownUnicast), {
    minLength: PORTS,
    maxLength: PORTS,
  }),
  records: fc.boolean(),
  watched: fc.constantFrom(undefined, 'filtering' as const, 'forwarding' as const),
  outside: fc.boolean(),
  bursts: fc.array(
    fc.record({
      port: fc.constantFrom(1, 1, 2, 3, 4, UPLINK, UPLINK, UPLINK),
      frames: fc.array(recipes, { minLength: 1, maxLength: 24 }),
    }),
    { minLength: 1, maxLength: 6 },
  ),
})

function change(bytes: Uint8Array, by: Recipe['flips']): void {
  for (const [at, value] of by) if (at < bytes.length) bytes[at] = bytes[at]! ^ value
}

// Who has the router's address? In a frame to one station.
function question(ends: FrameAddresses): Uint8Array {
  const payload = new Uint8Array(32)
  payload[0] = 135
  payload.set(ipBytes('fd00::fe'), 8)
  payload.set([1, 1, ...parseMac(ends.sourceMac)], 24)
  return ipFrame({ ...ends, destination: 'fd00::fe', hops: 255 }, 58, payload, 2)
}

function guestFrame(recipe: Recipe, sender: string): Buffer {
  const { kind, flow, trafficClass, tag, to } = recipe
  const is6 = kind.endsWith('6')
  const ends = {
    destinationMac: to,
    sourceMac: recipe.from === '' ? sender : recipe.from,
    source: is6 ? 'fd00::1' : '10.0.0.1',
    destination: is6 ? 'fd00::2' : '10.0.0.2',
    ...(tag ? { tags: [{ protocol: 0x8100, priority: 1, dropEligible: false, id: 7 }] } : {}),
  }
  const data = new Uint8Array(recipe.bytes).fill(flow + 1)
  const made = {
    udp: () => udpFrame(ends, 1000 + flow, 9, data),
    tcp: () => tcpFrame(ends, 1000 + flow, 9, { flags: 0x10, data }),
    syn: () => tcpFrame(ends, 1000 + flow, 9, { flags: 0x02, data }),
    udp6: () => udpFrame(ends, 1000 + flow, 9, data),
    tcp6: () => tcpFrame(ends, 1000 + flow, 9, { flags: 0x12, data }),
    ask6: () => question(ends),
    ask: () => Buffer.concat([parseMac(to), arpRequestFrame(ends.sourceMac, '10.0.0.1', '10.0.0.254').subarray(6)]),
    echo6: () => echoFrame(ends, false, 1, flow, data),
    arp: () => arpRequestFrame(ends.sourceMac, '10.0.0.1', '10.0.0.2'),
    raw: () => frame(to, ends.sourceMac, `raw ${flow}`, 0x88b5),
  }[kind]()
  const bytes = Buffer.from(made)
  const ip = tag ? 18 : 14
  if (bytes[ip]! >> 4 === 4 && kind !== 'arp' && kind !== 'ask' && kind !== 'raw') {
    bytes[ip + 1] = trafficClass
    put16(bytes, ip + 10, 0)
    put16(bytes, ip + 10, internetChecksum(bytes, ip, ip + 20))
  } else if (is6) bytes[ip + 1] = (bytes[ip + 1]! & 15) | ((trafficClass & 15) << 4)
  change(bytes, recipe.flips)
  return bytes
}

// `headers`: bytes of a tunnel's headers before the frame.
function offloads({ offload, kind }: Recipe, headers = 0): Pick<TestFrame, 'needs' | 'vnet'> {
  if (offload === 'none' || (kind !== 'tcp' && kind !== 'udp6')) return {}
  const vnet = new Uint8Array(16)
  vnet[0] = VNET_NEEDS_CSUM
  const view = new DataView(vnet.buffer)
  view.setUint16(6, headers + (kind === 'tcp' ? 34 : 54), true)
  view.setUint16(8, kind === 'tcp' ? 16 : 6, true)
  if (offload === 'checksum' || kind !== 'tcp') return { needs: OFFLOAD_CHECKSUM, vnet }
  vnet[1] = 1
  view.setUint16(4, 500, true)
  return { needs: OFFLOAD_CHECKSUM | OFFLOAD_TSO4, vnet }
}

function arriving(recipe: Recipe, format: TunnelFormat): TestFrame {
  const { from, vsid, trafficClass, more, is, isOpen, isFragment } = recipe.outer
  const inner = guestFrame(recipe, address(31))
  const { segments } = recipe
  if (is === 'plain') return { bytes: inner, segments, ...offloads(recipe) }
  const template = new TunnelTemplate({
    format,
    source: ipBytes(from),
    destination: ipBytes(from.includes(':') ? OWN_IPV6 : OWN_ADDRESS),
    sourceMac: parseMac(PEER_MAC),
    destinationMac: parseMac(OWN_MAC),
    udpPort: 4789,
    ttl: 64,
  })
  const whole = Buffer.alloc(template.length + inner.length + Math.max(0, more))
  template.write(whole, 0, inner.length, vsid, recipe.flow, trafficClass)
  whole.set(inner, template.length)
  if (isFragment && template.isIpv4) {
    whole[20] = 0x20
    put16(whole, 24, 0)
    put16(whole, 24, internetChecksum(whole, 14, 34))
  }
  change(whole, recipe.outer.flips)
  return {
    bytes: whole.subarray(0, whole.length + Math.min(0, more)),
    segments,
    ...offloads(recipe, isOpen ? 0 : template.length),
  }
}

function setUp({ plan, flags, records, outside }: Scene, shortCut: boolean): OverlayHarness {
  const overlay = overlayHarness(PORTS, plan, shortCut)
  const { harness, path, customers } = overlay
  for (const [i, policy] of flags.entries()) harness.connectPort(i + 1, policy)
  for (let port = 1; port < PORTS; port++) harness.ports.setSubnet(port, port === 3 ? OTHER_VSID : VSID)
  harness.ports.setSubnet(PORTS, outside ? 0 : VSID)
  customers.addStatic(mac(3), OTHER_SUBNET, 3)
  customers.addStatic(address(23), SUBNET, 18)
  customers.addStatic(address(24), SUBNET, NOWHERE)
  customers.addStatic(address(25), SUBNET, 3)
  const record = { vsid: VSID, gone: false }
  path.change({
    peers: [],
    subnets: [{ subnet: OTHER_SUBNET, vsid: OTHER_VSID, peers: [0] }],
    addresses: records
      ? [
          { ...record, address: ipBytes('10.0.0.2'), mac: parseMac(address(21)) },
          { ...record, address: ipBytes('10.0.0.254'), mac: ROUTER_MAC, kind: KnownAs.router },
          { ...record, address: ipBytes('fd00::fe'), mac: ROUTER_MAC, kind: KnownAs.router },
        ]
      : [],
    routing: {
      domains: [SUBNET, OTHER_SUBNET].map((subnet) => ({ subnet, domain: 1 })),
      gateways: [{ subnet: SUBNET, isIpv4: true, address: ipBytes('10.0.0.254') }],
      routes: [
        { domain: 1, prefix: ipBytes('10.0.0.0'), length: 24, subnet: SUBNET, vsid: VSID, nextHop: undefined, gone: false },
      ],
    },
  })
  for (const subnet of [SUBNET, OTHER_SUBNET]) customers.addStatic(ROUTER_MAC_TEXT, subnet, 0)
  return overlay
}

/** Everything that can be seen from outside after the scene was played. */
function play(scene: Scene, shortCut: boolean): unknown {
  const { harness, path, customers, heard } = setUp(scene, shortCut)
  const { pool } = harness
  const seen: unknown[] = []
  if (scene.watched !== undefined)
    harness.install([
      { class: scene.watched },
      () => ({
        ingress(batch) {
          if (scene.watched === 'filtering') return
          for (let i = 0; i < batch.length; i++) {
            seen.push(batch.isNativeForwardingRequired(i))
            if (!batch.isNativeForwardingRequired(i))
              for (const port of [UPLINK, 4, 1].slice(i % 3)) batch.addDestination(i, port)
          }
        },
        egress(batch) {
          for (let i = 0; i < batch.length; i++) {
            const slot = batch.slots[i]!
            const at = slot * HEADER_STRIDE + pool.headerOffset[slot]!
            const { length, flags, etherType, vlan, l3, l4, protocol, sourceL4, destinationL4, vsid, needs, headerLength } = pool
            const fields = [length, flags, etherType, vlan, l3, l4, protocol, sourceL4, destinationL4, vsid, needs, headerLength]
            seen.push([
              ...fields.map((field) => field[slot]),
              Buffer.from(pool.header8.slice(at, at + pool.headerLength[slot]!)).toString('hex'),
              pool.vnet.slice(slot * 16, slot * 16 + 16).join(),
              Array.from({ length: batch.destinationCount(i) }, (_, k) => batch.destinationPortId(i, k)),
            ])
          }
        },
      }),
    ])
  const { format } = path.tables.plan
  for (const { port, frames } of scene.bursts) {
    harness.nowMs += 700
    harness.dataPath.forwarding.nowSeconds++
    const given = frames.map((recipe): TestFrame | Uint8Array => {
      if (port === UPLINK) return arriving(recipe, format)
      return { bytes: guestFrame(recipe, mac(port)), segments: recipe.segments, ...offloads(recipe) }
    })
    harness.send(port, ...given)
  }
  const ports = Array.from({ length: UPLINK + 1 }, (_, port) => port)
  return {
    frames: [1, 2, 3, 4, UPLINK].map((port) => harness.sink(port).frames.map((sent) => sent.toString('hex'))),
    counters: ports.map((port) => portCounterNames.map((name) => [name, harness.portCounter(port, name)])),
    drops: ports.map((port) => Array.from({ length: DROP_REASONS_MAX }, (_, reason) => harness.counters.readDrop(port, reason))),
    peers: [...new Float64Array(harness.buffer, path.tables.plan.counters, 4 * 4)],
    learned: customers.entries(100).sort((a, b) => `${a.mac}${a.vlan}`.localeCompare(`${b.mac}${b.vlan}`)),
    heard: heard.map((bytes) => Buffer.from(bytes).toString('hex')),
    seen,
    freeSlots: pool.freeSlots,
    nextPacketId: pool.nextPacketId,
  }
}

test('every packet has the same fate in tunnels with and without the wasm short cuts', () => {
  fc.assert(
    fc.property(scenes, (scene) => {
      assert.deepEqual(play(scene, true), play(scene, false))
    }),
    { numRuns: Number(process.env.TUNNEL_RUNS ?? 250) },
  )
})

test('the short cuts decide simple frames of both directions themselves (ES-565, ES-569, ES-570)', () => {
  const { harness, path } = overlayHarness(2, { learning: true }, true)
  const ends = { sourceMac: mac(1), destinationMac: address(21), source: '10.0.0.1', destination: '10.0.0.2' }
  const out = udpFrame(ends, 1, 2, new Uint8Array(200))
  const back = udpFrame({ ...ends, sourceMac: address(21), destinationMac: mac(1) }, 2, 1, new Uint8Array(200))
  harness.send(1, out)
  path.forward = () => assert.fail('TypeScript was asked to forward')
  path.claims = () => assert.fail('TypeScript was asked who forwards')
  path.separate = () => assert.fail('there is nothing to be kept apart')
  harness.dataPath.forwarding.forward = () => assert.fail('what a tunnel takes is not forwarded again')
  harness.send(1, out, out, tcpFrame(ends, 3, 4, { flags: 0x10 }), frame(2, 1, 'near'))
  assert.equal(harness.sink(UPLINK).frames.length, 4)
  assert.deepEqual(harness.got(2), ['near'])
  const packet = tunnelled(back)
  harness.send(UPLINK, packet, packet)
  assert.deepEqual(harness.sink(1).frames, [Buffer.from(back), Buffer.from(back)])
  assert.deepEqual(
    [...new Float64Array(harness.buffer, path.tables.plan.counters, 4)],
    [4, 3 * out.length + 54, 2, 2 * back.length],
  )
})

test('what the kernels know follows changes of peers and subnets before the next burst', () => {
  const { harness, path } = overlayHarness(2, {}, true)
  const out = udpFrame(
    { sourceMac: mac(1), destinationMac: address(21), source: '10.0.0.1', destination: '10.0.0.2' },
    1,
    2,
    new Uint8Array(20),
  )
  harness.send(1, out)
  path.change({
    peers: [{ peer: 0, address: ipBytes('192.0.2.7'), nextHop: parseMac('02:50:00:00:00:07') }],
    subnets: [],
    addresses: [],
  })
  harness.send(1, out)
  path.change({ peers: [{ peer: 0, address: ipBytes('192.0.2.7'), nextHop: undefined }], subnets: [], addresses: [] })
  harness.send(1, out)
  path.change({ peers: [], subnets: [{ subnet: SUBNET, vsid: VSID, peers: undefined }], addresses: [] })
  harness.send(1, out)
  assert.deepEqual(
    harness.sink(UPLINK).frames.map((packet) => packet.subarray(0, 6).toString('hex')),
    ['025000000002', '025000000007'],
  )
  assert.deepEqual(harness.drops(1), { 'overlay-no-next-hop': 1, 'virtual-subnet': 1 }, 'not as it is, without its subnet')
})
