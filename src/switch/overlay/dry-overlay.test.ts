import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { frame } from '../../../test/support/data-path-harness.ts'
import {
  type OverlayHarness,
  OWN_ADDRESS,
  overlayHarness,
  PEER_ADDRESS,
  PEER_IPV6,
  PEER_MAC,
  SUBNET,
  UPLINK,
  VSID,
} from '../../../test/support/overlay-harness.ts'
import { tunnelled } from '../../../test/support/tunnelled.ts'
import { parseMac, parsePrefix } from '../../packet/addresses.ts'
import { arpRequestFrame, ipBytes, udpFrame } from '../../packet/build.ts'
import { DATA_PATH_LIST_BYTES } from '../data-path.ts'
import { deliveryListBytes } from '../delivery.ts'
import { dryRun } from '../dry-run.ts'
import type { TraceStep } from '../dry-run-steps.ts'
import { macKey } from '../mac-table.ts'
import { KnownAs } from './address-answers.ts'
import { Flooding, type OverlayPlan } from './plan.ts'
import { ROUTER_MAC_TEXT } from './routing.ts'

const REMOTE = '02:00:00:00:00:21'
const PLACES = 16
const LIST = 4096
const scratchBytes = LIST + deliveryListBytes(PLACES) + DATA_PATH_LIST_BYTES

const to = (destinationMac: string, sourceMac = '02:00:00:00:00:01') => ({
  sourceMac,
  destinationMac,
  source: '10.0.0.1',
  destination: '10.0.0.2',
})

function world(plan: Partial<OverlayPlan> = {}, shortCut = false): OverlayHarness {
  return overlayHarness(3, plan, shortCut, scratchBytes)
}

const OTHER_VSID = 5002

/** Port 3 is in another virtual subnet of the routing domain; REMOTE's other self, :31, is there too, at peer 0. */
function routed(overlay: OverlayHarness): OverlayHarness {
  const [other, domain] = [8, 1]
  const { harness, customers, path } = overlay
  harness.ports.setSubnet(3, OTHER_VSID)
  customers.addStatic('02:00:00:00:00:03', other, 3)
  customers.addStatic('02:00:00:00:00:31', other, PLACES)
  for (const subnet of [SUBNET, other]) customers.addStatic(ROUTER_MAC_TEXT, subnet, 0)
  const at = (vsid: number, address: string, mac: string, kind: number) => ({
    ...{ vsid, kind, gone: false },
    address: ipBytes(address),
    mac: parseMac(mac),
  })
  const prefix = parsePrefix('10.2.0.0/24')
  path.change({
    peers: [],
    subnets: [{ subnet: other, vsid: OTHER_VSID, peers: [0] }],
    addresses: [
      at(VSID, '10.0.0.254', ROUTER_MAC_TEXT, KnownAs.router),
      at(OTHER_VSID, '10.2.0.3', '02:00:00:00:00:03', KnownAs.local),
      at(OTHER_VSID, '10.2.0.31', '02:00:00:00:00:31', KnownAs.station),
    ],
    routing: {
      domains: [
        { subnet: SUBNET, domain },
        { subnet: other, domain },
      ],
      gateways: [{ subnet: SUBNET, isIpv4: true, address: ipBytes('10.0.0.254') }],
      routes: [
        { domain, prefix: prefix.bytes, length: prefix.length, subnet: other, vsid: OTHER_VSID, nextHop: undefined, gone: false },
      ],
    },
  })
  return overlay
}

const toRouter = (destination: string) => ({ ...to(ROUTER_MAC_TEXT), destination })

function stepsOf({ harness, scratch }: OverlayHarness, port: number, bytes: Uint8Array): readonly TraceStep[] {
  const { buffer, dataPath, delivery, pool, kernels, ports, acls, macs, injections, reasons } = harness
  const steps = dryRun(
    { port, nicIndex: port === UPLINK ? 1 : 0, frame: bytes, list: scratch, deliveryList: scratch + LIST },
    {
      ...{ buffer, dataPath, delivery, pool, kernels, ports, acls, macs, injections, reasons },
      nowMs: () => harness.nowMs,
      portName: (id) => (id === UPLINK ? 'wire' : `p${id}`),
    },
  )
  return steps!
}

const trace = (overlay: OverlayHarness, port: number, bytes: Uint8Array): string[] =>
  stepsOf(overlay, port, bytes).map(({ packet, stage, text }) => `${packet} ${stage}: ${text}`)

test('a trace shows the record that was found, the host that it leads to, and the tunnel; nothing is sent or counted', () => {
  const overlay = world()
  const { harness, path } = overlay
  const free = harness.pool.freeSlots
  assert.deepEqual(trace(overlay, 1, udpFrame(to(REMOTE), 1, 2, new Uint8Array(100))), [
    '1 arrival: comes in at port p1',
    `1 overlay: the record of ${REMOTE} in virtual subnet ${VSID} leads to provider ${PEER_ADDRESS}`,
    `1 overlay: wraps it in VXLAN to provider ${PEER_ADDRESS} by ${PEER_MAC}: virtual subnet ${VSID}, 192 bytes`,
    '1 overlay: sends it to wire',
    '1 delivery: would be delivered to wire: 192 bytes',
  ])
  assert.deepEqual(harness.sink(UPLINK).frames, [])
  assert.equal(harness.pool.freeSlots, free)
  assert.ok(new Float64Array(harness.buffer, path.tables.plan.counters, 4).every((value) => value === 0))
  harness.send(1, udpFrame(to(REMOTE), 1, 2, new Uint8Array(100)))
  assert.equal(harness.sink(UPLINK).frames[0]!.length, 192)
})

test('a traced frame between guests of one switch stays here', () => {
  const overlay = world()
  assert.deepEqual(trace(overlay, 1, frame(2, 1, 'near')).slice(1), [
    `1 overlay: 02:00:00:00:00:02 is behind p2 in virtual subnet ${VSID}`,
    '1 overlay: sends it to p2',
    '1 delivery: would be delivered to p2: 60 bytes',
  ])
})

test('a trace of a flood shows each host that gets a copy', () => {
  const overlay = world()
  assert.deepEqual(trace(overlay, 1, frame(0xff, 1, 'all')).sort(), [
    '1 arrival: comes in at port p1',
    '1 delivery: would be delivered to p2: 60 bytes',
    '1 delivery: would be delivered to p3: 60 bytes',
    `1 overlay: is for everybody in virtual subnet ${VSID}`,
    '1 overlay: sends it to p2, p3',
    '2 delivery: would be delivered to wire: 110 bytes',
    `2 overlay: wraps it in VXLAN to provider ${PEER_ADDRESS} by ${PEER_MAC}: virtual subnet ${VSID}, 110 bytes`,
    '3 delivery: would be delivered to wire: 130 bytes',
    `3 overlay: wraps it in VXLAN to provider ${PEER_IPV6} by ${PEER_MAC}: virtual subnet ${VSID}, 130 bytes`,
  ])
  const dropping = world({ unknownUnicast: Flooding.drop })
  assert.match(trace(dropping, 1, frame('02:00:00:00:00:99', 1)).join('\n'), /5001 has no record of 02:00:00:00:00:99/)
})

test('a trace says why a frame does not go into a tunnel: too long, no way to the host, a forged address', () => {
  const overlay = world()
  const long = trace(overlay, 1, udpFrame(to(REMOTE), 1, 2, new Uint8Array(1440)))
  assert.deepEqual(long.slice(1), [
    `1 overlay: the record of ${REMOTE} in virtual subnet ${VSID} leads to provider ${PEER_ADDRESS}`,
    '1 overlay: its IP packet is too long for the tunnel: at most 1450 bytes fit over IPv4, 1430 over IPv6',
    '1 overlay: drops it: overlay-too-big',
    '2 delivery: would be delivered to p1: 156 bytes',
  ])
  overlay.customers.addStatic('02:00:00:00:00:23', SUBNET, PLACES + 2)
  assert.deepEqual(trace(overlay, 1, frame('02:00:00:00:00:23', 1)).slice(1), [
    `1 overlay: the record of 02:00:00:00:00:23 in virtual subnet ${VSID} leads to provider 192.0.2.3`,
    '1 overlay: nobody has answered for that provider, or for the gateway to it',
    '1 overlay: drops it: overlay-no-next-hop',
  ])
  assert.deepEqual(trace(overlay, 1, frame(REMOTE, 9)).slice(1), ['1 overlay: drops it: mac-spoofing'])
  assert.deepEqual(overlay.harness.drops(1), {})
})

test('a traced question that a record answers shows the answer', () => {
  const overlay = world()
  const address = ipBytes('10.0.0.2')
  overlay.path.change({ peers: [], subnets: [], addresses: [{ vsid: VSID, address, mac: parseMac(REMOTE), gone: false }] })
  const asked = trace(overlay, 1, arpRequestFrame('02:00:00:00:00:01', '10.0.0.1', '10.0.0.2'))
  assert.deepEqual(asked.slice(1), [
    `1 overlay: is a question about an address that a record of virtual subnet ${VSID} has: the switch answers it`,
    '2 delivery: would be delivered to p1: 42 bytes',
  ])
})

test('a tunnel packet is traced out of its tunnel; what it would teach is told, and not learned', () => {
  const overlay = world({ learning: true })
  const stranger = '02:00:00:00:00:42'
  assert.deepEqual(trace(overlay, UPLINK, tunnelled(udpFrame(to('02:00:00:00:00:02', stranger), 1, 2))).slice(1), [
    `1 overlay: comes through VXLAN of provider ${PEER_ADDRESS}, virtual subnet ${VSID}`,
    '1 overlay: takes it out of the tunnel: 42 bytes',
    '1 overlay: sends it to p2',
    `1 learning: would learn that ${stranger} is at provider ${PEER_ADDRESS}`,
    '1 delivery: would be delivered to p2: 42 bytes',
  ])
  const { low, high } = macKey(stranger)
  assert.equal(overlay.customers.lookup(low, high, SUBNET), -1)
  const known = trace(overlay, UPLINK, tunnelled(frame(2, REMOTE)))
  assert.ok(known.every((step) => !step.includes('learn')))
})

test('a trace says why nothing comes out of a tunnel, and what the switch keeps for itself', () => {
  const overlay = world()
  assert.deepEqual(trace(overlay, UPLINK, tunnelled(frame(2, REMOTE), { from: '192.0.2.99' })).slice(1), [
    `1 overlay: comes through VXLAN of provider 192.0.2.99, virtual subnet ${VSID}`,
    '1 overlay: drops it: overlay-unknown-provider',
  ])
  assert.deepEqual(trace(overlay, UPLINK, tunnelled(frame(2, REMOTE), { vsid: 77 })).slice(-1), [
    '1 overlay: drops it: overlay-unknown-subnet',
  ])
  assert.deepEqual(trace(overlay, UPLINK, arpRequestFrame(PEER_MAC, PEER_ADDRESS, OWN_ADDRESS)).slice(1), [
    '1 overlay: is for the provider address itself: the switch takes it, and answers where an answer is due',
  ])
  assert.deepEqual(overlay.heard, [])
})

test('what a trace says of a frame that learns: behind which port, at which provider, and what was learned before', () => {
  const overlay = world({ learning: true })
  const { harness } = overlay
  const stranger = '02:00:00:00:00:42'
  harness.sendThrough(UPLINK, 1, tunnelled(udpFrame(to('02:00:00:00:00:02', stranger), 1, 2)))
  assert.equal(
    trace(overlay, 1, frame(stranger, 1))[1],
    `1 overlay: ${stranger} in virtual subnet ${VSID} was learned to be at provider ${PEER_ADDRESS}`,
  )
  harness.connectPort(4, 0)
  harness.ports.setSubnet(4, VSID)
  assert.equal(trace(overlay, 4, frame(2, stranger)).at(-2), `1 learning: would learn that ${stranger} is behind p4`)
})

test('the packet that leaves through a tunnel is shown as the uplink would send it', () => {
  const overlay = world()
  const bytes = udpFrame(to(REMOTE), 1, 2, new Uint8Array(1000).fill(7))
  const told = stepsOf(overlay, 1, bytes).filter(({ tunnel }) => tunnel !== undefined)
  overlay.harness.send(1, bytes)
  assert.deepEqual(
    told.map(({ port, tunnel }) => [port, tunnel!.provider, Buffer.from(tunnel!.frame)]),
    [['wire', PEER_ADDRESS, overlay.harness.sink(UPLINK).frames[0]]],
  )
})

test('a frame that the router has is traced to the other virtual subnet, here and through the tunnel, or to why it goes nowhere', () => {
  const overlay = routed(world())
  const told = (destination: string) => trace(overlay, 1, udpFrame(toRouter(destination), 1, 2)).slice(1)
  const isForRouter = `1 overlay: is for the router of virtual subnet ${VSID}`
  assert.deepEqual(told('10.2.0.3'), [
    isForRouter,
    `1 overlay: the router passes it on to virtual subnet ${OTHER_VSID}, to 02:00:00:00:00:03, one hop less`,
    '1 overlay: sends it to p3',
    '1 delivery: would be delivered to p3: 42 bytes',
  ])
  assert.deepEqual(told('10.2.0.31'), [
    isForRouter,
    `1 overlay: the router passes it on to virtual subnet ${OTHER_VSID}, to 02:00:00:00:00:31, one hop less`,
    `1 overlay: wraps it in VXLAN to provider ${PEER_ADDRESS} by ${PEER_MAC}: virtual subnet ${OTHER_VSID}, 92 bytes`,
    '1 overlay: sends it to wire',
    '1 delivery: would be delivered to wire: 92 bytes',
  ])
  assert.deepEqual(told('10.7.0.1'), [
    isForRouter,
    '1 overlay: no subnet or route of the routing domain has its destination',
    '1 overlay: drops it: overlay-no-route',
    '2 delivery: would be delivered to p1: 70 bytes',
  ])
  assert.match(told('10.2.0.99').join(), /has no record in the virtual subnet,1 overlay: drops it: overlay-no-neighbour/)
})

/** Ports that get a frame with its length or, through a tunnel, its bytes, and drops by port and reason. */
function fate({ harness }: OverlayHarness, work: () => void): string[] {
  const ports = [1, 2, 3, UPLINK]
  const sent = ports.map((port) => harness.sink(port).frames.length)
  const dropped = ports.map((port) => harness.drops(port))
  work()
  return [
    ...ports.flatMap((port, i) =>
      harness
        .sink(port)
        .frames.slice(sent[i])
        .map((bytes) => (port === UPLINK ? `wire ${bytes.toString('hex')}` : `p${port} ${bytes.length}`)),
    ),
    ...ports.flatMap((port, i) =>
      Object.entries(harness.drops(port)).flatMap(([reason, count]) =>
        Array.from({ length: count - (dropped[i]![reason] ?? 0) }, () => `drop ${port} ${reason}`),
      ),
    ),
  ].sort()
}

const told = (steps: readonly TraceStep[]): string[] =>
  steps
    .flatMap(({ stage, port, text, dropped, tunnel }) => {
      if (dropped !== undefined) return [`drop ${port === 'wire' ? UPLINK : port!.slice(1)} ${dropped}`]
      if (stage !== 'delivery') return []
      const length = / (\d+) bytes/.exec(text)![1]
      return [
        port === 'wire'
          ? `wire ${tunnel === undefined ? length : Buffer.from(tunnel.frame).toString('hex')}`
          : `${port} ${length}`,
      ]
    })
    .sort()

const macs = fc.constantFrom(1, 2, 3, '02:00:00:00:00:21', '02:00:00:00:00:22', '02:00:00:00:00:23', '02:00:00:00:00:99', 0xff)
const inner = fc.oneof(
  fc
    .record({ to: macs, from: fc.constantFrom(1, 2, '02:00:00:00:00:77'), length: fc.nat(1600) })
    .map(({ to: target, from, length }) => frame(target, from, 'x'.repeat(length))),
  fc.record({ to: macs, length: fc.nat(1500) }).map(({ to: target, length }) => {
    const bytes = udpFrame(to(REMOTE), 5, 6, new Uint8Array(length))
    bytes.set(frame(target, 1).subarray(0, 6))
    return bytes
  }),
  fc
    .constantFrom('10.2.0.3', '10.2.0.31', '10.2.0.99', '10.7.0.1', '10.0.0.254')
    .map((destination) => udpFrame(toRouter(destination), 7, 8, new Uint8Array(30))),
  fc.constantFrom('10.0.0.2', '10.0.0.9', '10.0.0.254').map((asked) => arpRequestFrame('02:00:00:00:00:01', '10.0.0.1', asked)),
)
const outer = fc
  .record({
    inner,
    from: fc.constantFrom(PEER_ADDRESS, '192.0.2.3', '192.0.2.99'),
    vsid: fc.constantFrom(VSID, 77),
    broken: fc.option(fc.record({ at: fc.nat(60), value: fc.nat(255) })),
    cut: fc.option(fc.integer({ min: 14, max: 100 })),
  })
  .map(({ inner: bytes, from, vsid, broken, cut }) => {
    const packet = tunnelled(bytes, { from, vsid })
    if (broken !== null) packet[Math.min(broken.at, packet.length - 1)] = broken.value
    return cut === null ? packet : packet.subarray(0, Math.min(cut, packet.length))
  })
const sendings = fc.array(
  fc.oneof(
    inner.map((bytes) => ({ port: 1, bytes })),
    outer.map((bytes) => ({ port: UPLINK, bytes })),
  ),
  { minLength: 1, maxLength: 6 },
)

for (const [learning, shortCut] of [
  [false, false],
  [false, true],
  [true, true],
])
  test(`what a trace tells of random frames, ${learning ? 'with' : 'without'} learning, is what becomes of them ${shortCut ? 'by kernels' : 'in TypeScript'}`, () => {
    fc.assert(
      fc.property(sendings, fc.constantFrom(Flooding.drop, Flooding.replicate), (frames, unknownUnicast) => {
        const overlay = routed(world({ learning: learning!, unknownUnicast }, shortCut))
        const { harness, customers } = overlay
        customers.addStatic('02:00:00:00:00:23', SUBNET, PLACES + 2)
        const address = ipBytes('10.0.0.2')
        overlay.path.change({ peers: [], subnets: [], addresses: [{ vsid: VSID, address, mac: parseMac(REMOTE), gone: false }] })
        for (const { port, bytes } of frames) {
          const [free, heard, table] = [harness.pool.freeSlots, overlay.heard.length, customers.words.slice()]
          let steps: readonly TraceStep[] = []
          assert.deepEqual(
            fate(overlay, () => (steps = stepsOf(overlay, port, bytes))),
            [],
          )
          assert.deepEqual([harness.pool.freeSlots, overlay.heard.length], [free, heard])
          assert.deepEqual(customers.words, table)
          const really = fate(overlay, () =>
            port === UPLINK ? harness.sendThrough(UPLINK, 1, bytes) : harness.send(port, bytes),
          )
          assert.deepEqual(told(steps), really)
        }
      }),
      { numRuns: 60 },
    )
  })
