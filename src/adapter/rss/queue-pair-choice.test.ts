import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness } from '../../../test/support/data-path-harness.ts'
import { etherFrame, tcpFrame, udpFrame } from '../../packet/build.ts'
import type { SinkQueue } from '../../switch/delivery.ts'
import { HASH_FUNCTION_TOEPLITZ, HASH_TYPES_ALL, PUBLISHED_HASH_KEY, UdpHashType } from './hash-types.ts'
import { MOVE_WAIT_MS, QueuePairChoice } from './queue-pair-choice.ts'
import { RSS_COUNTER_BYTES, RSS_ENTRIES, RssCounters } from './queue-pair-counters.ts'
import { RssTable, rssTableBytes } from './rss-table.ts'
import type { RssState } from './vport-rss.ts'

const macs = { sourceMac: '02:00:00:00:00:01', destinationMac: '02:00:00:00:00:02' }
const ip = { ...macs, source: '10.0.0.1', destination: '10.0.0.2' }
const udp = UdpHashType.udpIpv4 | UdpHashType.udpIpv6

/** A guest with four queue pairs whose rings are drained or not as the test has it. */
class Guest {
  readonly harness = new DataPathHarness()
  readonly drained = [true, true, true, true]
  readonly table = new RssTable(new ArrayBuffer(rssTableBytes(1)), 0, 1)
  readonly counters = new RssCounters(new ArrayBuffer(RSS_COUNTER_BYTES), 0)
  nowMs = 5
  readonly choice = new QueuePairChoice({
    pool: this.harness.pool,
    table: this.table,
    counters: this.counters,
    nowMs: () => this.nowMs,
  })
  state: RssState = {
    enabled: true,
    hashInformation: HASH_FUNCTION_TOEPLITZ | HASH_TYPES_ALL | udp,
    hashSecretKey: PUBLISHED_HASH_KEY,
    queues: 4,
    primary: 0,
    default: 0,
    table: Array.from({ length: RSS_ENTRIES }, (_, i) => i % 4),
  }

  constructor() {
    this.set({})
  }

  set(change: Partial<RssState>): void {
    this.state = { ...this.state, ...change }
    this.table.set(0, this.state)
  }

  /** Queue pairs of a burst. */
  choose(...frames: Uint8Array[]): number[] {
    const { harness, drained } = this
    for (const [slot, frame] of frames.entries()) harness.fill(slot, 1, frame)
    harness.kernels.parse(harness.pool.base, 0, frames.length)
    const chosen = new Uint8Array(64)
    const queues: SinkQueue[] = drained.map((_, pair) => ({
      offloads: 0,
      refusal: 0,
      deliver: (_list, count) => count,
      drained: () => drained[pair]!,
    }))
    this.choice.choose(
      Uint16Array.from(frames, (_, slot) => slot),
      0,
      frames.length,
      queues,
      chosen,
    )
    return [...chosen.subarray(0, frames.length)]
  }
}

const flow = (port: number) => tcpFrame(ip, port, 80)

test('flows are spread over all queue pairs, each on one; frames without a hash come by the default one (VQ-205, VQ-208)', () => {
  const guest = new Guest()
  const flows = Array.from({ length: 32 }, (_, i) => flow(1000 + i))
  const first = guest.choose(...flows)
  assert.deepEqual(new Set(first), new Set([0, 1, 2, 3]))
  assert.deepEqual(guest.choose(...flows), first)
  guest.set({ default: 3 })
  assert.deepEqual(guest.choose(etherFrame(macs.destinationMac, macs.sourceMac, 0x88b5, new Uint8Array(46))), [3])
  assert.equal(guest.counters.ofEntry(RSS_ENTRIES), 1)
  assert.equal(
    [0, 1, 2, 3].reduce((sum, pair) => sum + guest.counters.ofPair(pair), 0),
    65,
  )
})

test('the published hash chooses the entry (VQ-205)', () => {
  const guest = new Guest()
  guest.choose(tcpFrame({ ...macs, source: '66.9.149.187', destination: '161.142.100.80' }, 2794, 1766))
  assert.equal(guest.counters.ofEntry(0x51ccc178 % RSS_ENTRIES), 1)
})

test('datagrams are told from each other by their ports, fragments by their addresses', () => {
  const guest = new Guest()
  const datagrams = Array.from({ length: 16 }, (_, i) => udpFrame(ip, 1000 + i, 53))
  assert.equal(new Set(guest.choose(...datagrams)).size, 4)
  const fragments = datagrams.map((frame) => Uint8Array.from(frame))
  for (const frame of fragments) frame[20]! |= 0x20 // more fragments
  assert.equal(new Set(guest.choose(...fragments)).size, 1)
})

test('with RSS off all come by the primary queue pair (VQ-214)', () => {
  const guest = new Guest()
  guest.set({ enabled: false, primary: 2 })
  assert.deepEqual(new Set(guest.choose(...Array.from({ length: 16 }, (_, i) => flow(i)))), new Set([2]))
})

test('an entry leaves its queue pair only when the guest has taken what lies there, and not within a burst', () => {
  const guest = new Guest()
  const [pair] = guest.choose(flow(7))
  const entry = Array.from({ length: RSS_ENTRIES }, (_, i) => i).find((i) => guest.counters.ofEntry(i) === 1)!
  const to = (pair! + 1) % 4
  guest.drained[pair!] = false
  guest.set({ table: guest.state.table.with(entry, to) })
  assert.deepEqual(guest.choose(flow(7), flow(7)), [pair, pair])
  assert.deepEqual([guest.counters.moves, guest.counters.movesWaiting], [0, 1])
  guest.nowMs += MOVE_WAIT_MS - 1
  assert.deepEqual(guest.choose(flow(7)), [pair])
  guest.drained[pair!] = true
  assert.deepEqual(guest.choose(flow(7), flow(7)), [to, to])
  assert.deepEqual([guest.counters.moves, guest.counters.movesWaiting, guest.counters.movesForced], [1, 0, 0])
})

test('an entry whose queue pair is never empty moves after a while, which is counted; of one that is gone, at once', () => {
  const guest = new Guest()
  guest.choose(flow(7))
  guest.drained.fill(false)
  guest.set({ table: guest.state.table.map((pair) => (pair + 1) % 4) })
  guest.choose(flow(7))
  assert.equal(guest.counters.movesWaiting, RSS_ENTRIES)
  guest.nowMs += MOVE_WAIT_MS
  guest.choose(flow(7))
  assert.deepEqual([guest.counters.movesForced, guest.counters.movesWaiting], [RSS_ENTRIES, 0])
  guest.drained.length = 2
  guest.set({ table: guest.state.table.map((pair) => pair % 2), queues: 2 })
  guest.choose(flow(7))
  assert.equal(guest.counters.movesWaiting, 0)
  assert.equal(guest.counters.movesForced, RSS_ENTRIES)
})

test('a move that is taken back while it waits leaves the entry where it was', () => {
  const guest = new Guest()
  const [pair] = guest.choose(flow(7))
  guest.drained.fill(false)
  const before = guest.state.table
  guest.set({ table: before.map((each) => (each + 1) % 4) })
  guest.choose(flow(7))
  guest.set({ table: before })
  assert.deepEqual(guest.choose(flow(7)), [pair])
  assert.deepEqual([guest.counters.moves, guest.counters.movesWaiting], [0, 0])
})
