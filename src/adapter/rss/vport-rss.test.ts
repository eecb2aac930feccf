import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NdisStatus } from '../../ndis/status.ts'
import { HASH_FUNCTION_TOEPLITZ, HashType, PUBLISHED_HASH_KEY } from './hash-types.ts'
import { DEFAULT_PROCESSOR_INDEX, PRIMARY_PROCESSOR_INDEX, RssV2Flag, VPortRss } from './vport-rss.ts'

const processors = new Set([0, 1, 2, 3, 4, 5])
const hashInformation = HASH_FUNCTION_TOEPLITZ | HashType.ipv4 | HashType.tcpIpv4

const vport = (affinity: readonly number[] = [2, 3, 4], queues = 4): VPortRss =>
  new VPortRss({ affinity, queues, queuesMax: 16, processors })

const set = (rss: VPortRss, flags: number, more: object = {}): NdisStatus =>
  rss.set({
    flags,
    hashInformation,
    hashSecretKey: PUBLISHED_HASH_KEY,
    numberOfQueues: 0,
    numberOfIndirectionTableEntries: 0,
    ...more,
  })

const { enableRss, hashInfoChanged, hashKeyChanged, numberOfQueuesChanged, numberOfEntriesChanged } = RssV2Flag
const on = enableRss | hashInfoChanged | hashKeyChanged

// RSS on, `table` as given.
function spreading(table: readonly number[], queues = 4, affinity: readonly number[] = [2]): VPortRss {
  const rss = vport(affinity, queues)
  assert.equal(set(rss, on), NdisStatus.success)
  assert.equal(rss.replace(table, affinity[0]!), NdisStatus.success)
  return rss
}

test('a new VPort is served by the lowest processor of its affinity; primary, default and the one entry point there (VQ-193, VQ-217)', () => {
  const { state, steer } = { state: vport([4, 2, 3]).state, steer: (hash?: number) => vport([4, 2, 3]).steer(hash) }
  assert.deepEqual([state.primary, state.default, state.table, state.enabled], [2, 2, [2], false])
  assert.deepEqual([steer(), steer(7)], [2, 2])
})

test('with RSS on the table steers by hash and the default processor without one; with it off the primary alone (VQ-205, VQ-208, VQ-214)', () => {
  const rss = spreading([1, 3, 1, 3])
  assert.deepEqual(
    [0, 1, 2, 3, 0xffffffff].map((hash) => rss.steer(hash)),
    [1, 3, 1, 3, 3],
  )
  assert.equal(rss.steer(undefined), 2)
  assert.deepEqual([...rss.steering()].sort(), [1, 2, 3])
  assert.equal(set(rss, 0), NdisStatus.success)
  assert.deepEqual(
    [0, 1, undefined].map((hash) => rss.steer(hash)),
    [2, 2, 2],
  )
  assert.deepEqual([...rss.steering()], [2])
})

test('moving the primary processor changes neither the default processor nor the table (VQ-218)', () => {
  const rss = vport()
  assert.equal(rss.move([{ index: PRIMARY_PROCESSOR_INDEX, target: 4 }], 2), NdisStatus.success)
  assert.deepEqual([rss.state.primary, rss.state.default, rss.state.table], [4, 2, [2]])
  assert.equal(rss.steer(1), 4)
})

test('what is not active is kept and takes effect when it becomes active; then it must be sound (VQ-215, VQ-216)', () => {
  const rss = vport([2], 4)
  assert.equal(rss.move([{ index: DEFAULT_PROCESSOR_INDEX, target: 5 }], 2), NdisStatus.success)
  assert.equal(rss.steer(undefined), 2)
  assert.equal(set(rss, on), NdisStatus.success)
  assert.equal(rss.steer(undefined), 5)
  const wrong = vport([2], 4)
  assert.equal(wrong.move([{ index: 0, target: 99 }], 2), NdisStatus.success)
  assert.equal(set(wrong, on), NdisStatus.invalidData)
  assert.equal(wrong.state.enabled, false)
})

test('a move needs the right actor, a target among the RSS processors and an entry that exists (VQ-221, VQ-222, VQ-223)', () => {
  const rss = spreading([3, 1, 3, 1])
  const move = (index: number, target: number, actor: number) => rss.move([{ index, target }], actor)
  assert.equal(move(0, 2, 1), NdisStatus.notAccepted)
  assert.equal(move(1, 99, 1), NdisStatus.invalidData)
  for (const index of [4, 500, -1, 0.5, 0xfffd]) assert.equal(move(index, 2, 1), NdisStatus.invalidParameter)
  assert.deepEqual(rss.state.table, [3, 1, 3, 1])
  assert.equal(move(1, 1, 1), NdisStatus.success) // VQ-232
  assert.equal(move(1, 2, 1), NdisStatus.success)
  assert.equal(move(1, 4, 2), NdisStatus.success) // VQ-228: at once, on the new processor
  assert.deepEqual(rss.state.table, [3, 4, 3, 1])
})

test('a group of moves is made whole or not at all; too many processors are NO_QUEUES (VQ-224, VQ-225)', () => {
  const rss = spreading([1, 1, 1, 1], 2)
  const to = (index: number, target: number) => ({ index, target })
  assert.equal(rss.move([to(0, 2), to(1, 3)], 1), NdisStatus.noQueues) // 1, 2 and 3
  assert.deepEqual(rss.state.table, [1, 1, 1, 1])
  assert.equal(rss.move([to(0, 2), to(1, 3), to(2, 2), to(3, 3)], 1), NdisStatus.success) // in between there were three
  assert.deepEqual(rss.state.table, [2, 3, 2, 3])
})

test('queues below the processors of the table are NO_QUEUES, then the table first, then the queues (VQ-202, VQ-203, VQ-229)', () => {
  const rss = spreading([1, 2, 3, 4])
  const queues = (numberOfQueues: number) => set(rss, enableRss | numberOfQueuesChanged, { numberOfQueues })
  assert.equal(queues(2), NdisStatus.noQueues)
  assert.equal(rss.state.queues, 4)
  assert.equal(rss.replace([1, 2, 1, 2], 2), NdisStatus.success)
  assert.equal(queues(2), NdisStatus.success)
  assert.equal(rss.replace([1, 2, 3, 4], 2), NdisStatus.noQueues)
  assert.equal(queues(4), NdisStatus.success)
  assert.equal(rss.replace([1, 2, 3, 4], 2), NdisStatus.success)
  for (const bad of [0, 17, 1.5]) assert.equal(queues(bad), NdisStatus.invalidParameter)
})

test('a table grows by repeating itself and shrinks by leaving repetitions out; its length is a power of two (VQ-197, VQ-229, VQ-231)', () => {
  const rss = spreading([1, 2])
  const entries = (numberOfIndirectionTableEntries: number) =>
    set(rss, enableRss | numberOfEntriesChanged, { numberOfIndirectionTableEntries })
  assert.equal(entries(8), NdisStatus.success)
  assert.deepEqual(rss.state.table, [1, 2, 1, 2, 1, 2, 1, 2])
  assert.equal(entries(1), NdisStatus.invalidData)
  assert.equal(entries(2), NdisStatus.success)
  for (const bad of [0, 3, 256, 1.5]) assert.equal(entries(bad), NdisStatus.invalidParameter)
  for (const table of [[], [1, 2, 1]]) assert.equal(rss.replace(table, 2), NdisStatus.invalidParameter)
  assert.deepEqual(rss.state.table, [1, 2])
})

test('with RSS off counts are taken, hash information and key are not; in use they stay for good (VQ-196, VQ-233)', () => {
  const rss = vport([2], 1)
  const counts = hashInfoChanged | hashKeyChanged | numberOfQueuesChanged | numberOfEntriesChanged
  const wanted = {
    hashInformation: 0xdead,
    hashSecretKey: new Uint8Array(3),
    numberOfQueues: 4,
    numberOfIndirectionTableEntries: 4,
  }
  assert.equal(set(rss, counts, wanted), NdisStatus.success)
  assert.deepEqual([rss.state.queues, rss.state.table.length, rss.state.hashInformation], [4, 4, 0])
  assert.equal(set(rss, enableRss), NdisStatus.invalidParameter) // no hash was ever given
  assert.equal(set(rss, on, { hashSecretKey: new Uint8Array(3) }), NdisStatus.invalidParameter)
  assert.equal(set(rss, on, { hashInformation: HASH_FUNCTION_TOEPLITZ }), NdisStatus.invalidParameter)
  assert.equal(set(rss, on), NdisStatus.success)
  assert.equal(set(rss, on), NdisStatus.success) // the same again
  assert.equal(set(rss, on, { hashInformation: HASH_FUNCTION_TOEPLITZ | HashType.ipv4 }), NdisStatus.invalidParameter)
  assert.equal(set(rss, on, { hashSecretKey: new Uint8Array(40) }), NdisStatus.invalidParameter)
  assert.equal(set(rss, 0x100), NdisStatus.invalidParameter)
  assert.equal(rss.state.hashInformation, hashInformation)
})

test('whatever is asked, a table that steers names RSS processors alone, and no more of them than there are queues', () => {
  const index = fc.oneof(fc.nat(9), fc.constantFrom(DEFAULT_PROCESSOR_INDEX, PRIMARY_PROCESSOR_INDEX))
  const step = fc.oneof(
    fc.record({ moves: fc.array(fc.record({ index, target: fc.nat(8) }), { maxLength: 4 }), actor: fc.nat(6) }),
    fc.record({ flags: fc.nat(31), queues: fc.nat(6), entries: fc.constantFrom(1, 2, 3, 4, 8) }),
    fc.record({ table: fc.array(fc.nat(8), { maxLength: 8 }), processor: fc.nat(8) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const rss = vport([2], 2)
      for (const one of steps) {
        const before = rss.state
        const status =
          'moves' in one
            ? rss.move(one.moves, one.actor)
            : 'table' in one
              ? rss.replace(one.table, one.processor)
              : set(rss, one.flags, { numberOfQueues: one.queues, numberOfIndirectionTableEntries: one.entries })
        if (status !== NdisStatus.success) assert.equal(rss.state, before)
        const { table, queues } = rss.state
        assert.ok(new Set(table).size <= queues)
        assert.equal(Math.log2(table.length) % 1, 0)
        assert.ok([...rss.steering()].every((processor) => processors.has(processor)))
      }
    }),
  )
})
