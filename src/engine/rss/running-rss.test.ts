import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FlowRecord, numberedFrame, QueuePairLab, type QueuePairLabOptions } from '../../../test/support/queue-pair-lab.ts'
import { MemoryEndpoint } from '../../endpoints/memory/memory-endpoint.ts'

const A = '02:00:00:00:00:0a'
const B = '02:00:00:00:00:0b'
const C = '02:00:00:00:00:0c'
const PEER = '02:00:00:00:00:99'
const guests = { a: { mac: A }, b: { mac: B }, c: { mac: C, queuePairs: 4 } }
const FLOWS = 32

/** Frames that guest c has in its rings, or had. */
const delivered = (lab: QueuePairLab): number => lab.running.ports().find(({ name }) => name === 'c')!.counters.sentFrames

async function withLab(options: Partial<QueuePairLabOptions>, work: (lab: QueuePairLab) => Promise<void>): Promise<void> {
  const lab = await QueuePairLab.open({ guests, ...options })
  try {
    await work(lab)
  } finally {
    await lab.close()
  }
}

test('flows from guests on two processors are spread over four queue pairs, each on one, and nothing is lost (VQ-205, VQ-198)', async () => {
  await withLab({}, async (lab) => {
    const [a, b, c] = [await lab.guest('a'), await lab.guest('b'), await lab.guest('c', { queuePairs: 4 })]
    const got = new FlowRecord(c, 4)
    for (let number = 0; number < 20; number++) {
      for (let flow = 0; flow < FLOWS; flow++)
        (flow % 2 === 0 ? a : b).send(numberedFrame(flow % 2 === 0 ? A : B, C, flow, number))
      await lab.until(() => {
        got.take()
        return got.count === (number + 1) * FLOWS
      }, 'all frames')
    }
    assert.ok(
      got.byPair.every((frames) => frames > 0),
      `${got.byPair}`,
    )
    for (const [flow, pairs] of got.pairsOf) assert.equal(pairs.size, 1, `flow ${flow}`)
    const { queuePairs, receiving, indirectionTable, entryFrames, vmmqEnabled } = lab.rss('c')
    assert.deepEqual([receiving, indirectionTable.length, vmmqEnabled], [4, 128, true])
    assert.deepEqual(
      queuePairs.map(({ frames }) => frames),
      got.byPair,
    )
    assert.equal(
      entryFrames.reduce((sum, frames) => sum + frames),
      20 * FLOWS,
    )
    assert.deepEqual(new Set(queuePairs.map(({ processor }) => processor)), new Set([0, 1]), 'both processors poll')
  })
})

test('entries move to and fro while frames flow, and no flow is reordered, nothing lost (VQ-225, VQ-228)', async () => {
  await withLab({}, async (lab) => {
    const [a, b, c] = [await lab.guest('a'), await lab.guest('b'), await lab.guest('c', { queuePairs: 4 })]
    const got = new FlowRecord(c, 4)
    const { rss } = lab.running.adapters
    const rounds = 400
    for (let number = 0; number < rounds; number++) {
      for (let flow = 0; flow < FLOWS; flow++)
        (flow % 2 === 0 ? a : b).send(numberedFrame(flow % 2 === 0 ? A : B, C, flow, number))
      if (number % 6 === 4) {
        const from = (number / 6) & 3
        const entries = lab
          .rss('c')
          .indirectionTable.flatMap((pair, entry) => (pair === from && (entry + number) % 5 !== 0 ? [entry] : []))
        if (entries.length > 0) rss.move('c', { entries, from, to: (from + 1 + (number % 3)) & 3 })
      }
      // The guest looks rarely, and at its queue pairs in another order each time: what it has not taken yet could be overtaken.
      await lab.until(() => delivered(lab) === (number + 1) * FLOWS, 'delivery')
      const first = (number >> 2) & 3
      if (number % 4 === 3) got.take([first, first ^ 1, first ^ 2, first ^ 3])
    }
    await lab.until(() => {
      got.take()
      return got.count === rounds * FLOWS
    }, 'all frames')
    assert.ok(
      [...got.pairsOf.values()].some((pairs) => pairs.size > 1),
      'flows have changed their queue pair',
    )
    const { moves } = lab.rss('c')
    assert.ok(moves.done > 0)
    assert.equal(moves.forced, 0)
    assert.deepEqual(lab.running.drops(), [])
  })
})

test('an entry moves when the guest has taken what lies in the queue pair that it leaves, and waits until then', async () => {
  await withLab({}, async (lab) => {
    const [a, c] = [await lab.guest('a'), await lab.guest('c', { queuePairs: 4 })]
    const got = new FlowRecord(c, 4)
    const send = async (number: number): Promise<void> => {
      a.send(numberedFrame(A, C, 7, number))
      await lab.until(() => delivered(lab) === number + 1, `frame ${number}`)
    }
    await send(0)
    const { entryFrames, indirectionTable } = lab.rss('c')
    const entry = entryFrames.indexOf(1)
    const from = indirectionTable[entry]!
    const to = (from + 1) & 3
    lab.running.adapters.rss.move('c', { entries: [entry], from, to })
    await send(1)
    assert.deepEqual(lab.rss('c').moves, { done: 0, forced: 0, waiting: 1 })
    got.take([to, from])
    assert.equal(got.byPair[from], 2)
    await send(2)
    assert.deepEqual(lab.rss('c').moves, { done: 1, forced: 0, waiting: 0 })
    await lab.until(() => {
      got.take()
      return got.byPair[to] === 1
    }, 'the frame by the other queue pair')
  })
})

test("frames of the wire come by a receive queue and are spread over its guest's queue pairs, which its processors poll", async () => {
  const up = { name: 'up', mac: null, macSpoofing: 'off', learning: true, link: 'up' } as const
  const nic = { name: 'nic', mac: '02:00:00:00:00:f0', uplink: { kind: 'memory' }, vfs: 0, mtu: 1500, speedMbps: 0 } as const
  const queues = { mode: 'vmq', queues: 4, baseProcessor: 1, rebalanceSeconds: 0, order: 'deferred' } as const
  const options: Partial<QueuePairLabOptions> = {
    type: 'external',
    ports: [{ ...up, endpoint: { kind: 'adapter', adapter: 'nic' } }],
    adapters: [{ ...nic, ...queues }],
  }
  await withLab(options, async (lab) => {
    const c = await lab.guest('c', { queuePairs: 4 })
    const queueOf = () => lab.running.adapters.queues.list().find(({ port }) => port === 'c')
    await lab.until(() => queueOf()?.state === 'running', 'the queue')
    const uplink = lab.running.adapters.uplink('nic')
    assert.ok(uplink instanceof MemoryEndpoint)
    const wire = uplink.peer()
    const got = new FlowRecord(c, 4)
    for (let number = 0; number < 20; number++) {
      for (let flow = 0; flow < FLOWS; flow++) assert.ok(wire.send(numberedFrame(PEER, C, flow, number)))
      if (number === 10) lab.running.adapters.rss.move('c', { entries: [0, 4, 8, 12], from: 0, to: 1 })
      await lab.until(() => {
        got.take()
        return got.count === (number + 1) * FLOWS
      }, 'all frames')
    }
    wire.close()
    assert.ok(
      got.byPair.every((frames) => frames > 0),
      `${got.byPair}`,
    )
    assert.equal(queueOf()!.counters.receivedFrames, 20 * FLOWS)
    assert.deepEqual(
      lab.rss('c').queuePairs.map(({ processor }) => processor),
      [1, 1, 1, 1],
      'the one processor of the adapter',
    )
  })
})

test('a guest that enables fewer queue pairs than it has gets all its frames by those', async () => {
  await withLab({}, async (lab) => {
    const [a, c] = [await lab.guest('a'), await lab.guest('c', { queuePairs: 4 })]
    const got = new FlowRecord(c, 4)
    const round = async (number: number): Promise<void> => {
      for (let flow = 0; flow < FLOWS; flow++) a.send(numberedFrame(A, C, flow, number))
      await lab.until(() => {
        got.take()
        return got.count === (number + 1) * FLOWS
      }, `round ${number}`)
    }
    await round(0)
    for (const index of [4, 5, 6, 7]) await c.enable(index, false)
    await lab.until(() => lab.rss('c').receiving === 2, 'two queue pairs')
    const before = [...got.byPair]
    await round(1)
    assert.deepEqual(got.byPair.slice(2), before.slice(2))
    assert.ok(got.byPair[0]! > before[0]! && got.byPair[1]! > before[1]!)
    assert.deepEqual(new Set(lab.rss('c').indirectionTable), new Set([0, 1]))
    for (const index of [4, 5, 6, 7]) await c.enable(index, true)
    await lab.until(() => lab.rss('c').receiving === 4, 'four queue pairs')
    await round(2)
    assert.ok(got.byPair.slice(2).every((frames, i) => frames > before[i + 2]!))
  })
})

test('vmmqEnabled and vmmqQueuePairs say how many queue pairs are used, from the start and later (VQ-202, VQ-203, VQ-214)', async () => {
  await withLab({ guests: { ...guests, c: { ...guests.c, vmmqQueuePairs: 2 } } }, async (lab) => {
    const [a, c] = [await lab.guest('a'), await lab.guest('c', { queuePairs: 4 })]
    const got = new FlowRecord(c, 4)
    const round = async (number: number): Promise<number[]> => {
      const before = [...got.byPair]
      for (let flow = 0; flow < FLOWS; flow++) a.send(numberedFrame(A, C, flow, number))
      await lab.until(() => {
        got.take()
        return got.count === (number + 1) * FLOWS
      }, `round ${number}`)
      return got.byPair.flatMap((frames, pair) => (frames > before[pair]! ? [pair] : []))
    }
    const { rss } = lab.running.adapters
    assert.deepEqual(await round(0), [0, 1])
    await rss.set('c', { vmmqEnabled: false })
    assert.deepEqual(await round(1), [0])
    assert.throws(() => rss.move('c', { entries: [1], from: 1, to: 0 }), { code: 'NO_QUEUE_PAIRS' })
    await rss.set('c', { vmmqEnabled: true, vmmqQueuePairs: undefined })
    assert.deepEqual(await round(2), [0, 1, 2, 3])
  })
})

test('moves are made all or none, with an error that says what is wrong (VQ-221, VQ-222, VQ-224)', async () => {
  await withLab({}, async (lab) => {
    await lab.guest('c', { queuePairs: 4 })
    await lab.guest('a')
    const { rss } = lab.running.adapters
    const before = lab.rss('c').indirectionTable
    const move = (entries: number[], from: number, to: number) => () => rss.move('c', { entries, from, to })
    assert.throws(move([0, 1], 0, 2), { code: 'NOT_ACCEPTED', message: /entry 1 .* queue pair 1, not 0/ })
    assert.throws(move([0, 128], 0, 2), { code: 'BAD_ENTRY', message: /entries 0 to 127, and no 128/ })
    assert.throws(move([0], 0, 4), { code: 'NO_SUCH_QUEUE_PAIR', message: /queue pairs 0 to 3, and no 4/ })
    assert.throws(() => rss.move('a', { entries: [0], from: 0, to: 1 }), { code: 'NO_QUEUE_PAIRS' })
    assert.throws(() => rss.move('nobody', { entries: [0], from: 0, to: 1 }), { code: 'NO_SUCH_PORT' })
    assert.deepEqual(lab.rss('c').indirectionTable, before)
    assert.equal(move([0], 0, 2)().indirectionTable[0], 2)
  })
})

test('load that lies on one queue pair is levelled by moving entries, which is told', async () => {
  await withLab({}, async (lab) => {
    const [a, c] = [await lab.guest('a'), await lab.guest('c', { queuePairs: 4 })]
    const got = new FlowRecord(c, 4)
    const { rss } = lab.running.adapters
    for (const from of [1, 2, 3]) {
      const entries = lab.rss('c').indirectionTable.flatMap((pair, entry) => (pair === from ? [entry] : []))
      rss.move('c', { entries, from, to: 0 })
    }
    const rounds = async (first: number, end: number): Promise<void> => {
      for (let number = first; number < end; number++) {
        for (let flow = 0; flow < FLOWS; flow++) a.send(numberedFrame(A, C, flow, number))
        await lab.until(() => {
          got.take()
          return got.count === (number + 1) * FLOWS
        }, `round ${number}`)
      }
    }
    await rounds(0, 40)
    rss.rebalance()
    const moved = lab.rss('c').indirectionTable.filter((pair, entry) => entry % 4 !== 0 && pair !== 0)
    assert.deepEqual(moved, [], 'what an operator has just moved stays for a while')
    for (let look = 1; look <= 3; look++) {
      await rounds(40 * look, 40 * (look + 1))
      rss.rebalance()
    }
    assert.ok(lab.events.length > 0)
    assert.match(lab.events[0]!, /port c: rss-rebalanced: entries moved between queue pairs: \d+ from 0 to/)
    const before = [...got.byPair]
    await rounds(160, 200)
    const since = got.byPair.map((frames, pair) => frames - before[pair]!)
    const total = since.reduce((sum, frames) => sum + frames)
    assert.ok(Math.max(...since) / total < 0.5, `${since}`)
  })
})

test('a port that goes gives its table back, and one of its name starts anew', async () => {
  await withLab({}, async (lab) => {
    await lab.guest('c', { queuePairs: 4 })
    const before = lab.running.memory().controlBytesAvailable
    await lab.running.removePort('c')
    assert.deepEqual(lab.running.adapters.rss.list(), [])
    assert.ok(lab.running.memory().controlBytesAvailable > before)
  })
})
