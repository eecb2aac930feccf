// Moves of single entries of an indirection table (RSSv2): synchronous, issued on the processor that the entry points to, in groups.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AdapterOid, AdapterStatus } from '../../src/adapter/oids.ts'
import type { IndirectionEntries } from '../../src/adapter/rss/rss-payloads.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { MAC } from '../support/adapter-harness.ts'
import { flowFrame, flowOf, RssHarness, sequenceOf } from '../support/rss-harness.ts'

const { success, invalidParameter, invalidData, notAccepted, noQueues, notSupported, pending, failure, invalidLength } =
  NdisStatus
const OID = AdapterOid.genRssSetIndirectionTableEntries

/** VPort 1 with this table, and VPort 2 with one entry on processor 1. */
async function spreading(table: readonly number[], queues: number) {
  const h = await RssHarness.start()
  const one = await h.vport([table[0]!], queues)
  const two = await h.vport([1], 2, MAC.b)
  assert.equal(await h.spread(one, table), success)
  assert.equal(await h.spread(two, [1]), success)
  return { h, one, two }
}

test('SR-CS-83: consecutive moves of one VPort are one group, made whole or not at all; groups stand for themselves (VQ-219, VQ-224, VQ-225, VQ-226)', async () => {
  const { h, one, two } = await spreading([1, 1, 1, 1], 2)
  assert.deepEqual(h.moves(1, [one, 0, 2], [one, 1, 3], [two, 0, 2]), [noQueues, noQueues, success])
  assert.deepEqual([await h.table(one), await h.table(two)], [[1, 1, 1, 1], [2]])
  // Alone the two would leave a third processor behind; with all entries moved there are two again.
  assert.deepEqual(h.moves(1, [one, 0, 2], [one, 1, 3], [one, 2, 2], [one, 3, 3]), [success, success, success, success])
  assert.deepEqual(await h.table(one), [2, 3, 2, 3])
  // A third entry breaks the limit for the whole group.
  assert.deepEqual(h.moves(2, [two, 0, 3], [one, 0, 4], [one, 2, 2], [two, 0, 3]), [success, noQueues, noQueues, notAccepted])
  assert.deepEqual([await h.table(one), await h.table(two)], [[2, 3, 2, 3], [3]])
  // A VPort that comes twice, with another between, is two groups.
  assert.deepEqual(h.moves(3, [one, 1, 2], [two, 0, 1], [one, 3, 99]), [success, success, invalidData])
  assert.deepEqual([await h.table(one), await h.table(two)], [[2, 2, 2, 3], [1]])
})

test('SR-CS-84: a move needs the processor that the entry points to, a target in the RSS set, and an entry that exists (VQ-221, VQ-222, VQ-223)', async () => {
  const { h, one } = await spreading([3, 1, 3, 1], 4)
  assert.deepEqual(h.moves(1, [one, 0, 2]), [notAccepted])
  assert.deepEqual(h.moves(1, [one, 1, 99]), [invalidData])
  for (const index of [4, 500, 0xfffd]) assert.deepEqual(h.moves(1, [one, index, 2]), [invalidParameter])
  assert.deepEqual(await h.table(one), [3, 1, 3, 1])
  assert.deepEqual(h.moves(3, [one, 0xffff, 6], [one, 0xfffe, 5]), [success, success])
  const noHash = Buffer.from(flowFrame(1))
  noHash.writeUInt16BE(0x88b5, 12)
  h.receive(noHash)
  assert.deepEqual(h.on(), [6])
})

test('a move to where the entry is already succeeds (VQ-232)', async () => {
  const { h, one } = await spreading([1, 2], 2)
  assert.deepEqual(h.moves(1, [one, 0, 1]), [success])
  assert.deepEqual(h.moves(2, [one, 1, 2]), [success])
  assert.deepEqual(await h.table(one), [1, 2])
})

test('the primary processor moves alone: default processor and table stay (VQ-218)', async () => {
  const h = await RssHarness.start()
  const vport = await h.vport([1], 2)
  assert.deepEqual(h.moves(1, [vport, 0xfffe, 4]), [success])
  const { indirectionTable, defaultProcessorNumber } = await h.parameters(vport)
  assert.deepEqual([indirectionTable, defaultProcessorNumber], [[1], 1])
  h.receive(flowFrame(1))
  assert.deepEqual(h.on(), [4])
  assert.equal(await h.v2(vport, { flags: 0x7 }), success)
  h.receive(flowFrame(1))
  assert.deepEqual(h.on(), [1])
})

test('a batch is answered at once, even while another request waits, and never with PENDING (VQ-219)', async () => {
  const { h, one } = await spreading([1, 1], 2)
  const { adapter, pf } = h.adapter.software
  const { createVPort } = pf
  let go = (): void => {}
  pf.createVPort = (parameters) => new Promise((resolve) => (go = () => resolve(createVPort.call(pf, parameters))))
  const waiting = h.vport([1], 1, MAC.a)
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(h.moves(1, [one, 0, 2]), [success])
  pf.createVPort = createVPort
  go()
  await waiting
  // A miniport that answers so is reported, and the group failed.
  const { move } = pf.rss!
  pf.rss!.move = () => pending
  assert.deepEqual(h.moves(1, [one, 1, 2]), [failure])
  assert.equal(h.adapter.reports.length, 1)
  pf.rss!.move = () => {
    throw new Error('trouble')
  }
  assert.equal(h.batch(1, [[one, 1, 2]]).status, failure)
  pf.rss!.move = move
  // It is no request of the other kind.
  const payload = { flags: 0, entries: [] }
  assert.equal((await adapter.request({ oid: OID, type: 'method', payload }, 'stack')).status, notSupported)
  assert.equal(adapter.requestSynchronous({ oid: AdapterOid.sriovPfLuid, type: 'query' }, 'stack', 0).status, notSupported)
  adapter.beginReset()
  assert.equal(h.batch(1, [[one, 1, 2]]).status, notAccepted)
  adapter.resetDone()
  adapter.surpriseRemove()
  assert.equal(h.batch(1, [[one, 1, 2]]).status, failure)
})

test('each move names its own switch and VPort, and the request none (VQ-220)', async () => {
  const { h, one } = await spreading([1, 1], 2)
  const { adapter } = h.adapter.software
  const entry = { switchId: 0, vPortId: one, flags: 0, indirectionTableIndex: 0, targetProcessorNumber: 2 }
  const ask = (payload: unknown, more: object = {}) =>
    adapter.requestSynchronous({ oid: OID, type: 'method', payload, ...more }, 'stack', 1)
  assert.equal(ask({ flags: 0, entries: [entry] }, { vPortId: one }).status, invalidParameter)
  assert.equal(ask(undefined).status, invalidLength)
  for (const wrong of [
    { entries: 5 },
    { entries: [7] },
    { entries: [{ ...entry, vPortId: -1 }] },
    { flags: 1, entries: [entry] },
  ])
    assert.equal(ask({ flags: 0, ...wrong }).status, invalidParameter)
  assert.deepEqual(await h.table(one), [1, 1])
  const statuses = (entries: readonly object[], driver = 'stack') =>
    (
      adapter.requestSynchronous({ oid: OID, type: 'method', payload: { flags: 0, entries } }, driver, 1)
        .output as IndirectionEntries
    ).entries.map(({ entryStatus }) => entryStatus)
  assert.deepEqual(
    statuses([
      { ...entry, switchId: 1 },
      { ...entry, vPortId: 9 },
    ]),
    [invalidParameter, invalidParameter],
  )
  assert.deepEqual(statuses([entry], 'somebody else'), [invalidParameter])
  assert.deepEqual(statuses([]), [])
  assert.deepEqual(statuses([entry]), [success])
  // The stack's moves have that form.
  const stack = await h.stack()
  const vport = await stack.give({ name: 'a', mac: MAC.a, vlan: 0, processors: [1, 2], queues: 2 })
  assert.equal(stack.move(vport, [{ index: 0, target: 2 }], 1), success)
  assert.equal(stack.move(vport, [{ index: 0, target: 1 }], 1), notAccepted)
})

test('nothing is indicated from within a move (VQ-227)', async () => {
  const { h, one } = await spreading([1, 1], 2)
  h.receive(flowFrame(1), flowFrame(2))
  const indicated = h.indicated.length
  const before = h.adapter.indications.length
  h.moves(1, [one, 0, 2], [one, 1, 2])
  assert.deepEqual([h.indicated.length, h.adapter.indications.length], [indicated, before])
  assert.deepEqual(h.adapter.reports, [])
  // A miniport that does is reported.
  const { adapter, pf } = h.adapter.software
  const { move } = pf.rss!
  pf.rss!.move = (...rest) => {
    adapter.currentCapabilitiesChanged({ nicSwitch: adapter.attributes.currentNicSwitch! })
    return move.apply(pf.rss, rest)
  }
  h.moves(2, [one, 0, 1])
  assert.equal(h.adapter.reports.length, 1)
  assert.equal(h.adapter.indications.at(-1)!.code, AdapterStatus.nicSwitchCurrentCapabilities)
})

test('after a move the entry moves on from its new processor at once, and packets follow (VQ-228, VQ-209)', async () => {
  const { h, one } = await spreading([1, 1, 1, 1], 2)
  const flows = Array.from({ length: 16 }, (_, i) => i)
  let sent = 0
  for (const [from, to] of [
    [1, 2],
    [2, 5],
    [5, 7],
    [7, 1],
  ] as const) {
    h.receive(...flows.map((flow) => flowFrame(flow, sent)))
    assert.deepEqual(h.on(), [from])
    sent++
    const all = [0, 1, 2, 3].map((index) => [one, index, to] as const)
    assert.deepEqual(h.moves(from, ...all), [success, success, success, success])
  }
  // Packets of a flow that come and go on between moves keep their order where each processor serves before the next takes over.
  const seen = new Map<number, number>()
  for (let round = 0; round < 50; round++) {
    h.receive(...flows.map((flow) => flowFrame(flow, round)))
    for (const { bytes } of h.got()) {
      assert.equal(sequenceOf(bytes), (seen.get(flowOf(bytes)) ?? -1) + 1)
      seen.set(flowOf(bytes), sequenceOf(bytes))
    }
    const table = await h.table(one)
    const target = table[0] === 1 ? 2 : 1
    for (const [index, processor] of table.entries()) if (round % 4 === index) h.moves(processor, [one, index, target])
  }
  assert.deepEqual(
    [...seen.values()],
    flows.map(() => 49),
  )
})
