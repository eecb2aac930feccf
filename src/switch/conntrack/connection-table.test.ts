import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { extension, fragment, icmp, ipv4, ipv6 } from '../../../test/support/guard-frames.ts'
import {
  datagram,
  echo,
  type Family,
  LOCAL,
  packet,
  REMOTE,
  TEST_PORTS,
  TrackingHarness,
  tcp,
} from '../../../test/support/tracked-frames.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import { ConnectionCounter } from './connection-layout.ts'
import { listConnections } from './connection-records.ts'
import { POOL_FACTOR } from './connection-store.ts'
import { ConnectionTable, UNTRACKED } from './connection-table.ts'
import { ECHO_MS, UNREPLIED_MS } from './time-outs.ts'

const families: readonly Family[] = [4, 6]
const ICMP_OF = { 4: 1, 6: 58 } as const
const REQUEST = { 4: 8, 6: 128 } as const
const REPLY = { 4: 0, 6: 129 } as const
const UNREACHABLE = { 4: 3, 6: 1 } as const
const UDP = 17
const { connectionShare } = DropReason

const udpOut = (family: Family, from: number, to = 53): Buffer => packet(family, true, UDP, datagram(from, to))
const udpIn = (family: Family, from: number, to = 53): Buffer => packet(family, false, UDP, datagram(to, from))

for (const family of families) {
  test(`IPv${family}: a datagram's answer passes, anything else does not`, () => {
    const harness = new TrackingHarness()
    assert.equal(harness.find(udpIn(family, 1000), true), UNTRACKED)
    assert.equal(harness.open(udpOut(family, 1000), false), 0)
    assert.equal(harness.find(udpIn(family, 1000), true), 0)
    assert.equal(harness.find(udpIn(family, 1001), true), UNTRACKED)
    assert.equal(harness.find(udpIn(family, 1000, 54), true), UNTRACKED)
    assert.equal(harness.find(udpIn(family, 1000), true, 2), UNTRACKED) // of another port
    assert.equal(harness.find(packet(family, false, 132, datagram(53, 1000)), true), UNTRACKED)
  })

  test(`IPv${family}: unanswered datagrams are forgotten soon, answered ones when the rule says so`, () => {
    const harness = new TrackingHarness()
    harness.open(udpOut(family, 1), false, 100)
    harness.open(udpOut(family, 2), false, 100)
    harness.find(udpIn(family, 2), true)
    harness.nowMs += UNREPLIED_MS + 1
    assert.equal(harness.find(udpIn(family, 1), true), UNTRACKED)
    assert.equal(harness.find(udpIn(family, 2), true), 0)
    harness.nowMs += 100_001
    assert.equal(harness.find(udpIn(family, 2), true), UNTRACKED)
    harness.open(udpOut(family, 3), false, 1)
    harness.nowMs += 1001
    assert.equal(harness.find(udpIn(family, 3), true), UNTRACKED) // never longer than the rule says
  })

  test(`IPv${family}: an echo is answered under its identifier, and opens nothing for echoes from outside`, () => {
    const harness = new TrackingHarness()
    const out = (type: number, id: number): Buffer => packet(family, true, ICMP_OF[family], echo(type, id))
    const into = (type: number, id: number): Buffer => packet(family, false, ICMP_OF[family], echo(type, id))
    assert.equal(harness.open(out(REQUEST[family], 7), false), 0)
    assert.equal(harness.find(into(REPLY[family], 7), true), 0)
    assert.equal(harness.find(into(REPLY[family], 8), true), UNTRACKED)
    assert.equal(harness.find(into(REQUEST[family], 7), true), UNTRACKED)
    assert.equal(harness.open(into(REQUEST[family], 7), true), 0) // both at once are two connections
    assert.equal(harness.find(out(REPLY[family], 7), false), 0)
    harness.nowMs += ECHO_MS + 1
    assert.equal(harness.find(into(REPLY[family], 7), true), UNTRACKED)
    assert.equal(harness.open(out(REPLY[family], 9), false), 0) // a reply opens nothing
    assert.equal(harness.find(into(REQUEST[family], 9), true), UNTRACKED)
  })

  test(`IPv${family}: an error passes if it quotes a packet that was sent`, () => {
    const harness = new TrackingHarness()
    harness.open(udpOut(family, 1000), false)
    harness.open(packet(family, true, 6, tcp({ flags: 'S', seq: 5000 })), false)
    harness.open(packet(family, true, ICMP_OF[family], echo(REQUEST[family], 7)), false)
    const error = (quoted: Buffer, type: number = UNREACHABLE[family], cut = 60): Buffer =>
      packet(family, false, ICMP_OF[family], icmp(type, [0, 0, 0, 0, ...quoted.subarray(14, 14 + cut)]))
    assert.equal(harness.find(error(udpOut(family, 1000)), true), 0)
    assert.equal(harness.find(error(packet(family, true, 6, tcp({ flags: 'S', seq: 5000 }))), true), 0)
    assert.equal(harness.find(error(packet(family, true, ICMP_OF[family], echo(REQUEST[family], 7))), true), 0)
    assert.equal(harness.find(error(udpOut(family, 1001)), true), UNTRACKED)
    assert.equal(harness.find(error(udpIn(family, 1000)), true), UNTRACKED) // the port did not send that
    assert.equal(harness.find(error(packet(family, true, 6, tcp({ flags: 'S', seq: 9000 }))), true), UNTRACKED)
    assert.equal(harness.find(error(udpOut(family, 1000), UNREACHABLE[family], family === 4 ? 24 : 44), true), UNTRACKED)
    assert.equal(harness.find(error(udpOut(family, 1000), REQUEST[family]), true), UNTRACKED)
  })

  test(`IPv${family}: other protocols are followed by their addresses`, () => {
    const harness = new TrackingHarness()
    const gre = (outgoing: boolean): Buffer => packet(family, outgoing, 47, [0, 0, 8, 0, 1, 2, 3, 4])
    assert.equal(harness.find(gre(false), true), UNTRACKED)
    assert.equal(harness.open(gre(true), false), 0)
    assert.equal(harness.find(gre(false), true), 0)
  })
}

test('later fragments follow the first one, in its direction, while no other datagram does', () => {
  const harness = new TrackingHarness()
  harness.open(udpOut(4, 1000), false)
  const head = { source: REMOTE[4], destination: LOCAL[4] }
  const later = ipv4({ ...head, fragmentOffset: 1480 }, Array<number>(40).fill(1))
  assert.equal(harness.find(later, true), UNTRACKED)
  assert.equal(harness.find(ipv4({ ...head, moreFragments: true }, datagram(53, 1000)), true), 0)
  assert.equal(harness.find(later, true), 0)
  later[19] = 2 // the identification
  assert.equal(harness.find(later, true), UNTRACKED)

  harness.open(udpOut(6, 1000), false)
  const head6 = { source: REMOTE[6], destination: LOCAL[6] }
  const later6 = ipv6(head6, 0, [...extension(44), ...fragment(17, 1480), ...Array<number>(40).fill(1)])
  assert.equal(harness.find(later6, true), UNTRACKED)
  assert.equal(harness.find(ipv6(head6, 44, [...fragment(17), ...datagram(53, 1000)]), true), 0)
  assert.equal(harness.find(later6, true), 0)
})

test('a port that opens connections without end loses its own that were not answered, and nobody else loses any', () => {
  const harness = new TrackingHarness(1024)
  const { store } = harness.table
  for (let i = 0; i < 20; i++) {
    harness.open(udpOut(4, i), false, 255, 2)
    harness.find(udpIn(4, i), true, 2)
  }
  for (let i = 0; i < 50; i++) {
    harness.open(udpOut(4, i), false)
    harness.find(udpIn(4, i), true)
  }
  for (let i = 50; i < 5000; i++) assert.equal(harness.open(udpOut(4, i), false), 0, String(i))
  for (let i = 0; i < 50; i++) assert.equal(harness.find(udpIn(4, i), true), 0) // its own answered ones stay too
  for (let i = 0; i < 20; i++) assert.equal(harness.find(udpIn(4, i), true, 2), 0)
  assert.equal(harness.find(udpIn(4, 4999), true), 0)
  assert.equal(harness.find(udpIn(4, 60), true), UNTRACKED)
  assert.ok(store.counter(ConnectionCounter.evicted) > 3900)
  for (let i = 0; i < 60; i++) assert.equal(harness.open(udpOut(4, i), false, 255, 3), 0) // there is room for others
})

test('a port whose connections are all answered is refused more than its share, and others are not', () => {
  const harness = new TrackingHarness(1024)
  const { store } = harness.table
  let opened = 0
  while (harness.open(udpOut(4, opened), false) === 0) harness.find(udpIn(4, opened++), true)
  assert.equal(harness.found, UNTRACKED)
  assert.equal(harness.open(udpOut(4, opened), false), connectionShare)
  assert.equal(opened, store.reserve + Math.ceil((store.pool * POOL_FACTOR) / (POOL_FACTOR + 1)))
  let others = 0
  for (let port = 2; port < 16; port++)
    for (let i = 0; i < store.reserve; i++) {
      assert.equal(harness.open(udpOut(4, i), false, 255, port), 0, `${port} ${i}`)
      harness.find(udpIn(4, i), true, port)
      others++
    }
  assert.equal(store.counter(ConnectionCounter.opened), opened + others)
  assert.equal(store.counter(ConnectionCounter.refusedByShare), 2)
})

test('the table holds as many connections as it says, however they come and go', () => {
  const harness = new TrackingHarness(1024)
  const { store } = harness.table
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 900; i++) assert.equal(harness.open(udpOut(4, i, round), false, 1), 0, `${round} ${i}`)
    harness.nowMs += 2000
    for (let first = 0; first < 1024; first += 100) store.sweep(first, 100, harness.nowMs)
    assert.equal(store.used, 0)
  }
})

test('the table says what a map of its connections says, whatever packets come', () => {
  type Model = Map<string, { answered: boolean; fromRemote: boolean; last: number }>
  const step = fc.record({
    port: fc.integer({ min: 1, max: 3 }),
    local: fc.integer({ min: 1, max: 4 }),
    incoming: fc.boolean(),
    opens: fc.boolean(),
    family: fc.constantFrom<Family>(4, 6),
    passed: fc.constantFrom(0, 0, 10, 1000, 20_000, 40_000),
    sweeps: fc.boolean(),
  })
  const harness = new TrackingHarness(16)
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      harness.renew(16)
      const model: Model = new Map()
      const idle = 60_000
      for (const { port, local, incoming, opens, family, passed, sweeps } of steps) {
        harness.nowMs += passed
        if (sweeps) harness.table.store.sweep(0, 16, harness.nowMs)
        for (const [key, one] of model) if (harness.nowMs - one.last > (one.answered ? idle : UNREPLIED_MS)) model.delete(key)
        const key = `${port} ${local} ${family}`
        const known = model.get(key)
        const frame = incoming ? udpIn(family, local) : udpOut(family, local)
        if (!known && opens && model.size >= 12) continue // shares have tests of their own
        const said = opens ? harness.open(frame, incoming, idle / 1000, port) : harness.find(frame, incoming, port)
        assert.equal(said, known || opens ? 0 : UNTRACKED)
        if (known) {
          known.answered ||= known.fromRemote !== incoming
          known.last = harness.nowMs
        } else if (opens) model.set(key, { answered: false, fromRemote: incoming, last: harness.nowMs })
      }
    }),
    { numRuns: 300 },
  )
})

test('a dry look says what a packet would meet, and leaves everything as it is', () => {
  const harness = new TrackingHarness(1024)
  const real = harness.table
  harness.open(packet(4, true, 6, tcp({ flags: 'S', seq: 9 })), false)
  harness.find(packet(4, false, 6, tcp({ flags: 'SA', seq: 99, ack: 10, ports: [80, 1000] })), true)
  harness.table = new ConnectionTable(harness.memory, 0, { connections: 1024, ports: TEST_PORTS }, true)
  harness.nowMs += 100
  assert.equal(harness.find(packet(4, true, 6, tcp({ flags: 'A', seq: 10, ack: 100 })), false), 0)
  assert.ok(harness.find(packet(4, false, 6, tcp({ flags: 'R', seq: 0x70000000, ports: [80, 1000] })), true) > 0)
  assert.equal(harness.open(udpOut(4, 5), false), 0)
  assert.equal(harness.find(udpIn(4, 5), true), UNTRACKED)
  const [one] = listConnections(real.store, 1, harness.nowMs).connections
  assert.deepEqual([one?.state, one?.sentPackets, one?.receivedPackets, real.store.used], ['synReceived', 1, 1, 1])
})
