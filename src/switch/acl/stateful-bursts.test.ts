import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DataPathHarness, mac } from '../../../test/support/data-path-harness.ts'
import { fragment, icmp, ipv4, ipv6 } from '../../../test/support/guard-frames.ts'
import { datagram, echo, type Family, type TcpParts, tcp } from '../../../test/support/tracked-frames.ts'
import type { ExtendedAclRule } from '../../ndis/standard-properties.ts'
import { connectionTableBytes } from '../conntrack/connection-layout.ts'
import { listConnections, saveConnections } from '../conntrack/connection-records.ts'
import type { ConnectionTable } from '../conntrack/connection-table.ts'
import { type AclPlan, compileAcls } from './acl-plan.ts'

const TENANT = 1
const OTHER = 2
const UDP = 17
const TCP = 6
const GRE = 47
const WEB = 80
const DNS = 53
const address = { 4: ['10.0.0.1', '10.0.0.2'], 6: ['fd00::1', 'fd00::2'] } as const
const families: readonly Family[] = [4, 6]
const base = { stateful: true, idleSessionTimeoutSeconds: 60, action: 'allow' } as const
const rules: readonly ExtendedAclRule[] = [
  { ...base, name: 'out', direction: 'outbound', weight: 1 },
  { ...base, name: 'web', direction: 'inbound', weight: 9, localPorts: [WEB, WEB] },
  { ...base, name: 'ping', direction: 'inbound', weight: 8, protocol: 1 },
  { ...base, name: 'no dns', direction: 'outbound', weight: 9, action: 'deny', stateful: false, remotePorts: [DNS, DNS] },
  { ...base, name: 'nothing in', direction: 'inbound', weight: 0, action: 'deny', stateful: false },
]
const options = { connections: 1024, ports: 16 }
const TABLE_BYTES = connectionTableBytes(options.connections, options.ports)

/** A switch of two ports, one with stateful rules. */
class Switch {
  readonly harness: DataPathHarness
  readonly #plan: AclPlan
  /** Packets that the table was asked about one by one. */
  asked = 0

  /** `kernel`: connections of a burst are followed together, in linear memory. */
  constructor(kernel: boolean) {
    this.harness = new DataPathHarness({ shortCut: kernel, spareBytes: TABLE_BYTES }).connect(2)
    const { buffer, spare: at } = this.harness
    const memory = kernel ? { buffer, at, ...options } : { buffer: new SharedArrayBuffer(TABLE_BYTES), at: 0, ...options }
    this.#plan = compileAcls(TENANT, { extendedAcl: { rules } }, 1, () => memory, this.harness.place)!
    this.harness.acls.set(TENANT, this.#plan)
    const { table } = this
    const find = table.find.bind(table)
    table.find = (...packet) => {
      this.asked++
      return find(...packet)
    }
  }

  get table(): ConnectionTable {
    return this.harness.acls.connections!
  }

  /** All that can be seen of it. */
  state(): unknown {
    const { harness, table } = this
    return {
      totals: harness.totals(),
      drops: [TENANT, OTHER].map((port) => harness.drops(port)),
      counters: [...new Float64Array(this.#plan.counters)],
      connections: listConnections(table.store, TENANT, harness.nowMs).connections,
      saved: Buffer.from(saveConnections(table.store, TENANT, harness.nowMs)).toString('hex'),
    }
  }
}

interface Packet {
  readonly out: boolean
  readonly family: Family
  readonly flow: number
  readonly kind: number
  readonly step: number
  readonly tags: readonly number[]
}

// Packets of few flows, so that one burst has several of each.
const packets: fc.Arbitrary<Packet> = fc.record({
  out: fc.boolean(),
  family: fc.constantFrom(...families),
  flow: fc.nat(2),
  kind: fc.oneof(
    { weight: 30, arbitrary: fc.constantFrom(2, 3, 4, 12, 13, 17, 18, 20, 21, 22, 23) },
    { weight: 1, arbitrary: fc.nat(23) },
  ),
  step: fc.nat(2),
  tags: fc.constantFrom<readonly number[]>([], [], [], [], [], [5]),
})

function frameOf({ out, family, flow, kind, step, tags }: Packet): Buffer {
  const [from, to] = out ? [TENANT, OTHER] : [OTHER, TENANT]
  const [local, remote] = [1000 + flow, flow === 2 ? DNS : WEB]
  const ports = out ? ([local, remote] as const) : ([remote, local] as const)
  const ends = { from, to: mac(to), tags, source: address[family][from - 1]!, destination: address[family][to - 1]! }
  const of = (protocol: number, payload: readonly number[]): Buffer =>
    family === 4 ? ipv4({ ...ends, protocol }, payload) : ipv6(ends, protocol, payload)
  const first = (protocol: number, payload: readonly number[]): Buffer =>
    family === 4 ? ipv4({ ...ends, protocol, moreFragments: true }, payload) : ipv6(ends, 44, [...fragment(protocol), ...payload])
  const later = (): Buffer =>
    family === 4
      ? ipv4({ ...ends, protocol: UDP, fragmentOffset: 64 }, datagram(1, 2))
      : ipv6(ends, 44, [...fragment(UDP, 64), 1, 2])
  // Both sides stand near the numbers where they began.
  const [own, others] = out ? [1000, 5000] : [5000, 1000]
  const segment = (parts: Partial<TcpParts>): number[] =>
    tcp({ flags: 'A', seq: own + 1 + step * 100, ack: others + 1 + (step % 2) * 100, bytes: 100, window: 4000, ports, ...parts })
  const error = (): Buffer => {
    const quoted =
      family === 4
        ? ipv4({ source: ends.destination, destination: ends.source, protocol: UDP }, datagram(ports[1], ports[0]))
        : ipv6({ source: ends.destination, destination: ends.source }, UDP, datagram(ports[1], ports[0]))
    return of(family === 4 ? 1 : 58, icmp(family === 4 ? 3 : 1, [0, 0, 0, 0, ...quoted.subarray(14, 74)]))
  }
  const request = family === 4 ? 8 : 128
  const reply = family === 4 ? 0 : 129
  const makers = [
    () => of(TCP, tcp({ flags: 'S', seq: own, ports, scale: step })),
    () => of(TCP, tcp({ flags: 'SA', seq: own, ack: others + 1, ports, scale: 2 })),
    () => of(TCP, segment({ flags: 'A', bytes: 0 })),
    () => of(TCP, segment({ flags: 'PA' })),
    () => of(TCP, segment({})),
    () => of(TCP, segment({ flags: 'FA' })),
    () => of(TCP, segment({ flags: 'R', bytes: 0 })),
    () => of(TCP, segment({ seq: own + 0x4000_0000 })),
    () => of(TCP, segment({ ack: others - 0x4000_0000 })),
    () => of(TCP, segment({ flags: 'P' })),
    () => of(TCP, segment({}).slice(0, 16)),
    () => first(TCP, segment({ flags: 'FA' })),
    () => of(UDP, datagram(...ports)),
    () => of(UDP, datagram(ports[0], ports[1], 60)),
    () => first(UDP, datagram(...ports)),
    later,
    error,
    () => of(family === 4 ? 1 : 58, echo(request, flow)),
    () => of(family === 4 ? 1 : 58, echo(reply, flow)),
    () => of(family === 4 ? 1 : 58, icmp(family === 4 ? 13 : 134)),
    () => of(GRE, [0, 0, 8, 0, flow]),
    () => of(TCP, segment({ flags: 'PA', bytes: step })),
    () => of(UDP, datagram(ports[0], ports[1], 5)),
    () => of(TCP, segment({ flags: 'A', bytes: 0, window: 0 })),
  ]
  return makers[kind]!()
}

test('connections of a burst are followed as though each packet came alone, whatever comes between', () => {
  const bursts = fc.array(
    fc.record({
      out: fc.boolean(),
      wait: fc.constantFrom(0, 0, 0, 0, 1, 1, 1, 500, 6000, 29_000, 61_000),
      packets: fc.array(packets, { minLength: 10, maxLength: 40 }),
    }),
    { minLength: 3, maxLength: 30 },
  )
  let together = 0
  let alone = 0
  fc.assert(
    fc.property(bursts, (all) => {
      const [one, other] = [new Switch(true), new Switch(false)]
      // All flows stand already: most that comes goes on with them.
      const opening = families.flatMap((family) =>
        [0, 1].flatMap((flow) => {
          const of = { family, flow, step: 0, tags: [] }
          return [
            { ...of, out: true, kind: 0 },
            { ...of, out: false, kind: 1 },
            { ...of, out: true, kind: 2 },
            { ...of, out: true, kind: 12 },
            { ...of, out: true, kind: 3 },
            { ...of, out: false, kind: 3 },
          ]
        }),
      )
      const open = (): void => {
        for (const packet of opening)
          for (const { harness } of [one, other]) harness.send(packet.out ? TENANT : OTHER, frameOf(packet))
      }
      open()
      for (const { out, wait, packets } of all) {
        const frames = packets.map((packet) => frameOf({ ...packet, out }))
        const from = out ? TENANT : OTHER
        for (const { harness } of [one, other]) harness.nowMs += wait
        if (wait >= 29_000) open()
        one.harness.send(from, ...frames)
        for (const frame of frames) other.harness.send(from, frame)
        assert.deepEqual(one.state(), other.state())
      }
      together += one.asked
      alone += other.asked
    }),
    { numRuns: 60 },
  )
  console.log(together, alone)
  assert.ok(together < alone * 0.9, `${together} of ${alone} packets were asked about one by one`)
})

for (const family of families)
  test(`packets of an established connection are not asked about one by one, both ways (IPv${family})`, () => {
    const one = new Switch(true)
    const of = { family, flow: 1, step: 0, tags: [] }
    const send = (out: boolean, kinds: readonly number[]): void =>
      one.harness.send(out ? TENANT : OTHER, ...kinds.map((kind) => frameOf({ ...of, out, kind })))
    send(true, [0, 12, 17])
    send(false, [1, 12, 18])
    send(true, [2])
    one.asked = 0
    for (const out of [true, false])
      send(
        out,
        Array.from({ length: 60 }, (_, i) => [3, 4, 12, 13, out ? 17 : 18][i % 5]!),
      )
    assert.equal(one.asked, 0)
    assert.equal(one.harness.sink(OTHER).frames.length, 64)
    assert.equal(one.harness.sink(TENANT).frames.length, 63)
    // What ends the connection is left, and so is what comes behind it in the same burst; other connections go on.
    send(true, [3, 5, 4, 12, 4])
    assert.equal(one.asked, 3)
  })

for (const family of families)
  test(`later fragments pass behind the first one of a connection in the same burst, and none without it (IPv${family})`, () => {
    const one = new Switch(true)
    const of = { family, flow: 1, step: 0, tags: [] }
    const send = (out: boolean, ...kinds: readonly number[]): number => {
      const sink = one.harness.sink(out ? OTHER : TENANT)
      const before = sink.frames.length
      one.harness.send(out ? TENANT : OTHER, ...kinds.map((kind) => frameOf({ ...of, out, kind })))
      return sink.frames.length - before
    }
    send(true, 12)
    send(false, 12)
    assert.equal(send(false, 12, 15, 12), 2)
    assert.equal(send(false, 12, 14, 15, 12), 4)
  })

test('a flood of new connections between packets of an established one leaves that to the kernel', () => {
  const one = new Switch(true)
  const known = { family: 4, flow: 1, step: 0, tags: [], kind: 12 } as const
  one.harness.send(TENANT, frameOf({ ...known, out: true }))
  one.harness.send(OTHER, frameOf({ ...known, out: false }))
  one.asked = 0
  const flood = Array.from({ length: 30 }, (_, i) =>
    ipv4({ from: TENANT, to: mac(OTHER), source: '10.0.0.1', destination: '10.0.0.9', protocol: UDP }, datagram(2000 + i, 99)),
  )
  one.harness.send(TENANT, ...flood.flatMap((frame) => [frame, frameOf({ ...known, out: true })]))
  assert.equal(one.asked, flood.length)
})
