// What docs/policies.md says about how long connections live, and what a port may hold of them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fragment, icmp, ipv4, ipv6 } from '../../../test/support/guard-frames.ts'
import {
  datagram,
  type Family,
  LOCAL,
  packet,
  REMOTE,
  type TcpParts,
  TrackingHarness,
  tcp,
} from '../../../test/support/tracked-frames.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import { listConnections } from './connection-records.ts'
import { UNTRACKED } from './connection-table.ts'

const families: readonly Family[] = [4, 6]
const UDP = 17
const SCTP = 132
const SECOND = 1000
const IDLE_SECONDS = 100
const { connectionShare, connectionsFull } = DropReason

const segment = (family: Family, out: boolean, parts: TcpParts): Buffer =>
  packet(family, out, 6, tcp({ ports: out ? [1000, 80] : [80, 1000], ...parts }))

/** A TCP connection of port 1: with its SYN, answered, established, then ended by both sides. */
class Talk extends TrackingHarness {
  readonly family: Family

  constructor(family: Family) {
    super()
    this.family = family
  }

  out(parts: TcpParts): number {
    return this.open(segment(this.family, true, parts), false, IDLE_SECONDS)
  }

  in(parts: TcpParts): number {
    return this.find(segment(this.family, false, parts), true)
  }

  begun(): this {
    assert.equal(this.out({ flags: 'S', seq: 10 }), 0)
    return this
  }

  answered(): this {
    this.begun()
    assert.equal(this.in({ flags: 'SA', seq: 500, ack: 11 }), 0)
    return this
  }

  established(): this {
    this.answered()
    assert.equal(this.out({ flags: 'A', seq: 11, ack: 501 }), 0)
    return this
  }

  ended(): this {
    this.established()
    assert.equal(this.out({ flags: 'FA', seq: 11, ack: 501 }), 0)
    assert.equal(this.in({ flags: 'FA', seq: 501, ack: 12 }), 0)
    return this
  }

  reset(): this {
    this.established()
    assert.equal(this.out({ flags: 'R', seq: 11 }), 0)
    return this
  }

  /** Connections that live. */
  get alive(): number {
    return listConnections(this.table.store, 1, this.nowMs).connections.length
  }
}

for (const family of families) {
  for (const [stage, seconds] of [
    ['begun', 30],
    ['answered', 30],
    ['established', IDLE_SECONDS],
    ['ended', 30],
    ['reset', 5],
  ] as const)
    test(`a TCP connection that is ${stage} may be idle for ${seconds} s (IPv${family})`, () => {
      const talk = new Talk(family)[stage]()
      talk.nowMs += seconds * SECOND
      assert.equal(talk.alive, 1)
      talk.nowMs += 1
      assert.equal(talk.alive, 0)
    })

  test(`SCTP is followed by addresses and ports (IPv${family})`, () => {
    const harness = new TrackingHarness()
    const chunk = (from: number, to: number): number[] => [...datagram(from, to).slice(0, 4), 0, 0, 0, 0, 0, 0, 0, 0]
    assert.equal(harness.open(packet(family, true, SCTP, chunk(1000, 36412)), false), 0)
    assert.equal(harness.find(packet(family, false, SCTP, chunk(36412, 1000)), true), 0)
    assert.equal(harness.find(packet(family, false, SCTP, chunk(36412, 1001)), true), UNTRACKED)
    assert.equal(harness.find(packet(family, false, UDP, datagram(36412, 1000)), true), UNTRACKED)
  })

  test(`errors keep nothing alive (IPv${family})`, () => {
    const harness = new TrackingHarness()
    const sent = packet(family, true, UDP, datagram(1000, 53))
    const error = packet(family, false, family === 4 ? 1 : 58, icmp(family === 4 ? 3 : 1, [0, 0, 0, 0, ...sent.subarray(14, 74)]))
    harness.open(sent, false)
    harness.nowMs += 29 * SECOND
    assert.equal(harness.find(error, true), 0)
    harness.nowMs += 2 * SECOND
    assert.equal(harness.find(error, true), UNTRACKED)
    assert.equal(harness.find(packet(family, false, UDP, datagram(53, 1000)), true), UNTRACKED)
  })

  test(`later fragments of a datagram may come for 30 s (IPv${family})`, () => {
    const harness = new TrackingHarness()
    const ends = { source: REMOTE[family], destination: LOCAL[family] }
    const payload = datagram(53, 1000)
    const first = family === 4 ? ipv4({ ...ends, moreFragments: true }, payload) : ipv6(ends, 44, [...fragment(UDP), ...payload])
    const later =
      family === 4 ? ipv4({ ...ends, fragmentOffset: 64 }, payload) : ipv6(ends, 44, [...fragment(UDP, 64, false), ...payload])
    harness.open(packet(family, true, UDP, datagram(1000, 53)), false)
    harness.find(first, true)
    harness.nowMs += 30 * SECOND
    assert.equal(harness.find(later, true), 0)
    harness.nowMs += 1
    assert.equal(harness.find(later, true), UNTRACKED)
  })
}

/** Opens UDP connections of `port`, answered ones, until it is refused: how many those were. */
function fill(harness: TrackingHarness, port: number, from = 0): number {
  let count = 0
  while (harness.open(packet(4, true, UDP, datagram(from + count, 53)), false, 255, port) === 0) {
    harness.find(packet(4, false, UDP, datagram(53, from + count)), true, port)
    count++
  }
  return count
}

test('every port has a reserve of 16, and of the rest one port gets eight ninths, two that ask in turn eight seventeenths each', () => {
  const one = new TrackingHarness(4096)
  assert.equal(one.table.store.reserve, 16)
  assert.ok(Math.abs(fill(one, 1) - 16 - (one.table.store.pool * 8) / 9) <= 1)
  for (let port = 2; port < 16; port++)
    for (let flow = 0; flow < 16; flow++)
      assert.equal(one.open(packet(4, true, UDP, datagram(flow, 53)), false, 255, port), 0, `flow ${flow} of port ${port}`)

  const two = new TrackingHarness(4096)
  const held = [0, 0]
  for (let flow = 0, refused = 0; refused < 2; flow++) {
    refused = 0
    for (const port of [1, 2]) {
      if (two.open(packet(4, true, UDP, datagram(flow, 53)), false, 255, port) !== 0) {
        refused++
        continue
      }
      two.find(packet(4, false, UDP, datagram(53, flow)), true, port)
      held[port - 1]!++
    }
  }
  for (const count of held) assert.ok(Math.abs(count - 16 - (two.table.store.pool * 8) / 17) <= 2, `${count} connections`)
})

test('at its share a port loses the oldest of its own that are over or were not answered, then it is refused', () => {
  const harness = new TrackingHarness(1024)
  const isKnown = (flow: number): boolean => harness.find(packet(4, true, UDP, datagram(flow, 99)), false) === 0
  for (const flow of [1, 2]) harness.open(packet(4, true, UDP, datagram(flow, 99)), false)
  harness.open(segment(4, true, { flags: 'S', seq: 10 }), false)
  harness.find(segment(4, false, { flags: 'SA', seq: 500, ack: 11 }), true)
  harness.open(segment(4, true, { flags: 'A', seq: 11, ack: 501 }), false)
  harness.find(segment(4, false, { flags: 'R', seq: 501 }), true)
  const filled = fill(harness, 1, 1000)
  // The two that were not answered and the one that was reset have made room.
  assert.deepEqual([isKnown(1), isKnown(2)], [false, false])
  assert.equal(harness.find(segment(4, true, { flags: 'A', seq: 11, ack: 501 }), false), UNTRACKED)
  assert.equal(harness.open(packet(4, true, UDP, datagram(5, 99)), false), connectionShare)
  for (let flow = 1000; flow < 1000 + filled; flow++)
    assert.equal(harness.find(packet(4, false, UDP, datagram(53, flow)), true), 0, 'answered ones stay')
})

test('a connection that finds no place in the index is refused for that, and those that stand there stay', () => {
  const harness = new TrackingHarness(1024)
  const filled = fill(harness, 1)
  const words = harness.table.store.words.subarray(harness.table.store.indexBytes / 4, harness.table.store.indexBytes / 4 + 2048)
  const before = words.slice()
  for (const [i, word] of words.entries()) if (word === 0) words[i] = 0x7fffff // as though others stood there
  assert.equal(harness.open(packet(4, true, UDP, datagram(60_000, 53)), false, 255, 2), connectionsFull)
  words.set(before)
  for (let flow = 0; flow < filled; flow++) assert.equal(harness.find(packet(4, false, UDP, datagram(53, flow)), true), 0)
  assert.equal(harness.open(packet(4, true, UDP, datagram(60_000, 53)), false, 255, 2), 0)
})
