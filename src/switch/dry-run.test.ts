import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness, frame } from '../../test/support/data-path-harness.ts'
import { IPV6, ipv4, ipv6, udp } from '../../test/support/guard-frames.ts'
import { OptionReader } from '../ndis/module-options.ts'
import { compileAcls } from './acl/acl-plan.ts'
import { parseExtendedAcl } from './acl/extended-acl-options.ts'
import { DATA_PATH_LIST_BYTES } from './data-path.ts'
import { deliveryListBytes } from './delivery.ts'
import { dryRun } from './dry-run.ts'
import type { TraceStep } from './dry-run-steps.ts'

const PORTS = 16
const LIST = 4096
const spareBytes = LIST + deliveryListBytes(PORTS) + DATA_PATH_LIST_BYTES

const trace = (harness: DataPathHarness, port: number, bytes: Uint8Array): string[] =>
  traced(harness, port, bytes).map((step) => `${step.packet} ${step.stage} ${step.module || '-'}: ${step.text}`)

function traced(harness: DataPathHarness, port: number, bytes: Uint8Array): readonly TraceStep[] {
  const { buffer, dataPath, delivery, pool, kernels, ports, acls, macs, injections, reasons, spare } = harness
  const steps = dryRun(
    { port, nicIndex: 0, frame: bytes, list: spare, deliveryList: spare + LIST },
    {
      buffer,
      dataPath,
      delivery,
      pool,
      kernels,
      ports,
      acls,
      macs,
      injections,
      reasons,
      nowMs: () => 0,
      portName: (id) => `p${id}`,
    },
  )
  return steps!
}

function world(shortCut = false): DataPathHarness {
  return new DataPathHarness({ shortCut, spareBytes }).connect(4)
}

test('a frame is followed to its port, and neither delivered nor counted', () => {
  for (const shortCut of [false, true]) {
    const harness = world(shortCut)
    harness.send(1, frame(2, 1, 'before'))
    const [values, generation] = [harness.counters.values.slice(), harness.pool.freeSlots]
    assert.deepEqual(trace(harness, 1, frame(2, 1, 'x')), [
      '1 arrival -: comes in at port p1',
      '1 forwarding -: sends it to p2',
      '1 delivery -: would be delivered to p2: 60 bytes',
    ])
    assert.deepEqual(harness.got(2), ['before'])
    assert.deepEqual(harness.counters.values, values)
    assert.equal(harness.pool.freeSlots, generation)
    harness.send(1, frame(2, 1, 'after'))
    assert.deepEqual(harness.got(2), ['before', 'after'])
  }
})

test('what modules do is told by module: bytes, tags, exclusions, drops with their reason', () => {
  const harness = world()
  const looked: string[] = []
  harness.install(
    [{ name: 'look', class: 'capturing' }, () => ({ ingress: (batch) => void looked.push(`${batch.length}`) })],
    [
      { name: 'edit', class: 'filtering' },
      () => ({
        ingress(batch) {
          if (batch.u8(0, 14) === 0x64) batch.drop(0, 'starts-with-d')
          else if (batch.u8(0, 14) === 0x65) {
            batch.setU8(0, 15, 0x21)
            batch.setVlan(0, 7, 3)
          }
        },
        egress(batch) {
          if (batch.u8(0, 14) === 0x65) batch.exclude(0, 1, 'not-there')
        },
      }),
    ],
  )
  assert.deepEqual(trace(harness, 1, frame(0xff, 1, 'd')), [
    '1 arrival -: comes in at port p1',
    '1 ingress look: only looks (capturing): not called',
    '1 ingress edit: drops it: starts-with-d',
  ])
  assert.deepEqual(trace(harness, 1, frame(0xff, 1, 'ef')).slice(2), [
    '1 ingress edit: changes bytes (15: 66 → 21)',
    '1 ingress edit: tags it with VLAN 7, priority 3',
    '1 forwarding -: sends it to p2, p3, p4',
    '1 egress edit: does not let it go to p3: not-there',
    '1 egress edit: excludes p3',
    '1 delivery -: would be delivered to p2: 64 bytes, tagged with VLAN 7',
    '1 delivery -: would be delivered to p4: 64 bytes, tagged with VLAN 7',
  ])
  assert.deepEqual(looked, [])
  assert.deepEqual(harness.drops(1), {})
})

test('a spoofed address is dropped by the switch itself, and an address is not learned', () => {
  const harness = world()
  assert.deepEqual(trace(harness, 1, frame(2, 9)).slice(1), ['1 forwarding -: drops it: mac-spoofing'])
  harness.connectPort(5, 2)
  const text = trace(harness, 5, frame(2, 9))
  assert.equal(text.at(-1), '1 learning -: would learn that 02:00:00:00:00:09 is behind p5')
  assert.equal(harness.macs.lookup(0x09000000, 0x0002, 0), -1)
  assert.deepEqual(trace(harness, 5, frame(2, 9)), text)
})

test('packets that a module holds or sends because of it are followed, and never sent for real', () => {
  const harness = world()
  const held: number[] = []
  harness.install([
    { name: 'keeper', class: 'filtering' },
    (sw) => ({
      ingress(batch) {
        const letter = batch.u8(0, 14)
        if (letter === 0x68) held.push(batch.hold(0))
        if (letter === 0x63) sw.send(batch.clone(0))
      },
      pause() {
        for (const packet of held) sw.forward(packet)
      },
    }),
  ])
  assert.deepEqual(trace(harness, 1, frame(2, 1, 'hold')).slice(1), ['1 ingress keeper: holds it back: it would go on later'])
  const free = harness.pool.freeSlots
  harness.dataPath.stack.modules[0]!.handlers.pause?.()
  harness.dataPath.flushInjections()
  assert.deepEqual(harness.got(2), [])
  assert.equal(harness.pool.freeSlots, free + 1)
  assert.deepEqual(trace(harness, 1, frame(2, 1, 'clone')).slice(1), [
    '1 ingress keeper: lets it pass as it is',
    '1 forwarding -: sends it to p2',
    '1 delivery -: would be delivered to p2: 60 bytes',
    '2 forwarding -: sends it to p2',
    '2 delivery -: would be delivered to p2: 60 bytes',
  ])
  assert.deepEqual(harness.got(2), [])
})

test('guards learn nothing of it, and no limit is used up by it', () => {
  const harness = world()
  const sourceGuard = { prefixes: [], learned: true }
  const stormLimit = [{ classes: ['broadcast'] as const, packetsPerSecond: 1 }]
  harness.ports.setGuards(1, { dhcpGuard: false, routerGuard: false, stormLimit, sourceGuard })
  harness.ports.setIpLimit(1, 1)
  for (let times = 0; times < 3; times++)
    for (const bytes of [ipv4({ source: '10.0.0.9' }, udp(1, 2, 3)), ipv6({ source: 'fd00::9' }, IPV6.udp, udp(1, 2, 3))])
      assert.ok(trace(harness, 1, bytes).at(-1)!.includes('would be delivered'))
  assert.deepEqual([harness.ports.ipAddresses(1), harness.ports.ipv6Addresses(1)], [[], []])
  harness.send(1, ipv4({ source: '10.0.0.1' }, udp(1, 2, 3)))
  assert.equal(harness.sink(2).frames.length, 1)
  const foreign = trace(harness, 1, ipv4({ source: '10.0.0.9' }, udp(1, 2, 3))).join()
  assert.ok(foreign.includes('source-guard'), foreign)
})

test('a later fragment meets what the first one met, and a first one that is traced leaves nothing', () => {
  const harness = world()
  const rules = [
    { name: 'dns', action: 'allow', direction: 'outbound', protocol: 'udp', remotePort: 53, weight: 2 },
    { name: 'rest', action: 'deny', direction: 'outbound', weight: 1 },
  ]
  harness.acls.set(1, compileAcls(1, { extendedAcl: parseExtendedAcl(new OptionReader({ rules })) }, 1))
  const first = ipv4({ moreFragments: true }, udp(1000, 53, 1, 24))
  const later = ipv4({ fragmentOffset: 32 }, Array<number>(32).fill(0))
  const isRefused = (): boolean => trace(harness, 1, later).some((step) => step.includes('drops it: extended-acl'))
  assert.equal(
    trace(harness, 1, first).some((step) => step.includes('drops it: extended-acl')),
    false,
  )
  assert.equal(isRefused(), true)
  harness.send(1, first)
  assert.equal(isRefused(), false)
})

test('a module that answers without end is followed for a while, and none of it is sent', () => {
  const harness = world()
  harness.install([
    { name: 'echo', class: 'filtering' },
    (sw) => ({
      egress(batch) {
        sw.send(batch.clone(0))
      },
    }),
  ])
  const free = harness.pool.freeSlots
  assert.ok(trace(harness, 1, frame(2, 1, 'x')).length > 50)
  assert.equal(harness.injections.pending, 0)
  assert.equal(harness.pool.freeSlots, free)
  harness.dataPath.flushInjections()
  assert.deepEqual(harness.got(2), [])
})

test('a module that fails in a dry run goes on with what guests send', () => {
  const harness = world()
  const [module] = harness.install([
    { name: 'fragile', class: 'filtering', onFailure: 'closed' },
    () => ({
      ingress(batch) {
        if (batch.u8(0, 14) === 0x62) throw new Error('a b')
      },
    }),
  ])
  const told = trace(harness, 1, frame(2, 1, 'b'))
  assert.ok(told.includes('1 ingress fragile: fails: a b'), told.join('\n'))
  assert.ok(told.includes('1 ingress fragile: drops it: extension-failed'), told.join('\n'))
  assert.deepEqual([module!.state, module!.faults], ['running', 0])
  harness.send(1, frame(2, 1, 'good'))
  assert.deepEqual(harness.got(2), ['good'])
})

test('what a module says of a traced packet stands at its step, and of others nothing comes of it', () => {
  const harness = world()
  harness.install([
    { name: 'teller', class: 'filtering' },
    () => ({
      ingress(batch) {
        batch.explain(0, 'rule 7')
        if (batch.u8(0, 14) === 0x64) batch.drop(0, 'no')
        batch.explain(0, 'twice')
      },
    }),
  ])
  const why = (text: string): (string | undefined)[] =>
    traced(harness, 1, frame(2, 1, text)).flatMap((step) => (step.module === 'teller' ? [step.text, step.why] : []))
  assert.deepEqual(why('x'), ['lets it pass as it is', 'rule 7; twice'])
  assert.deepEqual(why('d'), ['drops it: no', 'rule 7; twice'])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(harness.got(2), ['x'])
})
