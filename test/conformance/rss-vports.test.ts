// RSS parameters of VPorts of the PF: what a VPort begins with, how it is spread, how its queue pairs and its table change.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PfMiniport } from '../../src/adapter/miniport.ts'
import { AdapterOid } from '../../src/adapter/oids.ts'
import type { NicSwitchCapabilities, VPortParameters } from '../../src/adapter/payloads.ts'
import { planMoves } from '../../src/adapter/rss/entry-moves.ts'
import { PUBLISHED_HASH_KEY } from '../../src/adapter/rss/hash-types.ts'
import type { RssMiniport } from '../../src/adapter/rss/rss-miniport.ts'
import { RssFlag } from '../../src/adapter/rss/rss-payloads.ts'
import { VmmqError, type VmmqWish } from '../../src/adapter/rss/vmmq.ts'
import { type RssState, RssV2Flag } from '../../src/adapter/rss/vport-rss.ts'
import { sriovKeywords } from '../../src/adapter/software-adapter.ts'
import type { SoftwarePf } from '../../src/adapter/software-pf.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { MAC, overriding, vportPayload } from '../support/adapter-harness.ts'
import { flowFrame, HASH_INFORMATION, RssHarness } from '../support/rss-harness.ts'

const { success, invalidParameter, invalidData, invalidLength, noQueues, notSupported } = NdisStatus
const { enableRss, hashInfoChanged, hashKeyChanged, numberOfQueuesChanged, numberOfEntriesChanged } = RssV2Flag
const SET = AdapterOid.genReceiveScaleParameters
const wish: VmmqWish = { name: 'c', mac: MAC.c, vlan: 0, processors: [4, 5, 6, 7], queues: 4 }

/** An adapter whose PF miniport tells which RSS acts were asked of it. */
async function watched(options: Parameters<typeof RssHarness.start>[0] = {}) {
  const acts: string[] = []
  const wrap = (pf: SoftwarePf): PfMiniport => {
    const { rss } = pf
    const told: RssMiniport | undefined = rss && {
      state: (id) => rss.state(id),
      set: (id, parameters) => {
        acts.push(`set ${parameters.flags}`)
        return rss.set(id, parameters)
      },
      move: (id, moves, actor) => {
        acts.push(`move ${moves.length} on ${actor}`)
        return rss.move(id, moves, actor)
      },
      replace: (id, ...rest) => {
        acts.push('replace')
        return rss.replace(id, ...rest)
      },
      setEncapsulation: (on) => rss.setEncapsulation(on),
    }
    return overriding(pf, told ? { rss: told } : {})
  }
  const h = await RssHarness.start({ ...options, wrap })
  return { h, acts }
}

test('a VPort of the PF is made with its queue pairs and its candidate processors, which are RSS processors (VQ-191, VQ-192)', async () => {
  const h = await RssHarness.start()
  const stack = await h.stack()
  const vport = await stack.give({ ...wish, processors: [4, 5, 6, 7, 1], queues: 3 })
  const made = await h.adapter.output<VPortParameters>(AdapterOid.nicSwitchVPortParameters, 'method', {
    flags: 0,
    vPortId: vport.id,
  })
  assert.deepEqual([made.attachedFunctionId, made.numQueuePairs, made.processorAffinity], [0xffff, 3, [4, 5, 6, 7, 1]])
  const foreign = { ...vportPayload(0xffff), processorAffinity: [1, 8] }
  assert.equal(await h.adapter.status(AdapterOid.nicSwitchCreateVPort, 'method', foreign), invalidParameter)
  const change = { ...vportPayload(0xffff), vPortId: vport.id, flags: 0x100000, processorAffinity: [9] }
  assert.equal(await h.adapter.status(AdapterOid.nicSwitchVPortParameters, 'set', change), invalidParameter)
  // Without VMMQ it has one queue pair, whatever is wished, and nothing is spread.
  const off = await RssHarness.start({ keywords: { ...sriovKeywords(4), '*RssOnHostVPorts': 0 } })
  const one = await (await off.stack()).give(wish)
  assert.deepEqual([one.queues, one.table], [1, []])
  const payload = { flags: 0, vPortId: one.id }
  assert.equal(
    (await off.adapter.output<VPortParameters>(AdapterOid.nicSwitchVPortParameters, 'method', payload)).numQueuePairs,
    1,
  )
})

test('a new VPort points to the lowest processor of its affinity with everything, and is off (VQ-217, VQ-193)', async () => {
  const h = await RssHarness.start()
  const vport = await h.vport([4, 2, 3], 4)
  const { indirectionTable, defaultProcessorNumber, flags } = await h.parameters(vport)
  assert.deepEqual([indirectionTable, defaultProcessorNumber, flags], [[2], 2, RssFlag.disableRss])
  assert.deepEqual(h.moves(2, [vport, 0xfffe, 2], [vport, 0xffff, 2], [vport, 0, 2]), [success, success, success])
  h.receive(flowFrame(1), flowFrame(2))
  assert.deepEqual(h.on(), [2])
})

test('RSS of a VPort is set by a request that is aimed at it, with base processor 0 (VQ-195)', async () => {
  const h = await RssHarness.start()
  const vport = await h.vport([1], 2)
  const { vfId } = await h.adapter.allocate(MAC.a)
  const ofVf = await h.adapter.vport(vfId, 'stack', 2)
  assert.equal(await h.spread(vport, [1, 2], { baseCpuNumber: 1 }), invalidParameter)
  assert.equal(await h.spread(ofVf, [1, 2]), invalidParameter)
  assert.equal(await h.spread(99, [1, 2]), invalidParameter)
  assert.equal(await h.adapter.status(SET, 'set', { flags: RssFlag.disableRss }), notSupported) // the adapter itself has none beside SR-IOV
  assert.equal(await h.aimed(SET, vport, undefined), invalidLength)
  for (const wrong of [
    { flags: -1 },
    { hashInformation: 'x' },
    { indirectionTable: 7 },
    { hashSecretKey: [] },
    { indirectionTable: ['x'] },
  ])
    assert.equal(await h.spread(vport, [1, 2], wrong as never), invalidParameter, JSON.stringify(wrong))
  const mine = { flags: RssFlag.disableRss, baseCpuNumber: 0, hashInformation: 0, defaultProcessorNumber: 0 }
  const payload = { ...mine, indirectionTable: [], hashSecretKey: new Uint8Array(40) }
  assert.equal(await h.aimed(SET, vport, payload, 'somebody else'), invalidParameter)
  assert.equal((await h.parameters(vport)).flags, RssFlag.disableRss)
  assert.equal(await h.spread(vport, [1, 2]), success)
  const now = await h.parameters(vport)
  assert.deepEqual([now.flags, now.indirectionTable, now.hashInformation], [0, [1, 2], HASH_INFORMATION])
  assert.deepEqual(now.hashSecretKey, PUBLISHED_HASH_KEY)
})

test('hash function, types and key of a VPort stay for its life; the stack makes it anew for others (VQ-196)', async () => {
  const h = await RssHarness.start()
  const stack = await h.stack()
  const vport = await stack.give(wish)
  const key = Uint8Array.from({ length: 40 }, (_, i) => i)
  const types = 0x101
  assert.equal(await h.spread(vport.id, [4, 5], { hashSecretKey: key }), invalidParameter)
  assert.equal(await h.spread(vport.id, [4, 5], { hashInformation: types }), invalidParameter)
  assert.equal(await h.v2(vport.id, { flags: enableRss | hashKeyChanged, hashSecretKey: key }), invalidParameter)
  assert.equal(await h.v2(vport.id, { flags: enableRss | hashInfoChanged, hashInformation: types }), invalidParameter)
  assert.deepEqual((await h.parameters(vport.id)).hashSecretKey, PUBLISHED_HASH_KEY)
  const again = await stack.changeHash(vport, types, key)
  const now = await h.parameters(again.id)
  assert.deepEqual([now.hashInformation, now.hashSecretKey, now.flags], [types, key, 0])
  h.receive(flowFrame(1))
  assert.equal(h.got()[0]!.hashInfo, types)
})

test('tables have a power of two of entries, and name no more processors than there are queue pairs (VQ-197, VQ-198)', async () => {
  const h = await RssHarness.start()
  const vport = await h.vport([1], 2)
  for (const table of [[], [1, 2, 1], new Array(17).fill(1), new Array(32).fill(1)])
    assert.equal(await h.spread(vport, table, { defaultProcessorNumber: 1 }), invalidParameter, `${table.length}`)
  assert.equal(await h.spread(vport, [1, 2, 3, 1]), noQueues)
  assert.equal(await h.v2(vport, { flags: numberOfEntriesChanged, numberOfIndirectionTableEntries: 3 }), invalidParameter)
  assert.deepEqual(await h.table(vport), [1])
  assert.equal(await h.spread(vport, [1, 2, 2, 1]), success)
  // What the stack makes is sound for every count.
  const stack = await h.stack()
  for (const queues of [1, 2, 3, 4]) {
    const made = await stack.give({ ...wish, mac: MAC.a, queues })
    const table = await h.table(made.id)
    assert.equal(Math.log2(table.length) % 1, 0)
    assert.equal(new Set(table).size, queues)
    await stack.take(made)
  }
})

test('VPorts may share processors, and the default processor need not be in the table (VQ-199, VQ-200)', async () => {
  const h = await RssHarness.start()
  const one = await h.vport([1], 2, MAC.a)
  const two = await h.vport([1], 2, MAC.b)
  assert.equal(await h.spread(one, [1, 2]), success)
  assert.equal(await h.spread(two, [2, 1], { defaultProcessorNumber: 6 }), success)
  const flows = Array.from({ length: 32 }, (_, i) => i)
  h.receive(...flows.map((flow) => flowFrame(flow, 0, MAC.a)))
  assert.deepEqual(h.on(), [1, 2])
  h.receive(...flows.map((flow) => flowFrame(flow, 0, MAC.b)))
  assert.deepEqual(h.on(), [1, 2])
  const noHash = Buffer.from(flowFrame(1, 0, MAC.b))
  noHash.writeUInt16BE(0x88b5, 12)
  h.receive(noHash)
  assert.deepEqual(h.on(), [6])
})

test('with RSS off again packets come up on the processor of the creation (VQ-201, VQ-214)', async () => {
  const h = await RssHarness.start()
  const vport = await h.vport([3, 2, 4], 4)
  const flows = Array.from({ length: 32 }, (_, i) => flowFrame(i))
  assert.equal(await h.spread(vport, [5, 6, 7, 5]), success)
  h.receive(...flows)
  assert.deepEqual(h.on(), [5, 6, 7])
  assert.equal(await h.spread(vport, [], { flags: RssFlag.disableRss }), success)
  h.receive(...flows)
  assert.deepEqual(h.on(), [2])
  // On again: what was set before is there.
  assert.equal(await h.v2(vport, { flags: enableRss }), success)
  h.receive(...flows)
  assert.deepEqual(h.on(), [5, 6, 7])
  assert.equal(await h.spread(vport, [], { hashInformation: 0 }), success) // function 0 is off as well
  h.receive(...flows)
  assert.deepEqual(h.on(), [2])
})

test('SR-CS-82: queues go away after the table has left them, and come before a table uses them (VQ-194, VQ-202, VQ-203, VQ-229)', async () => {
  const h = await RssHarness.start()
  const vport = await h.vport([1, 2, 3, 4], 4)
  const two = { flags: enableRss | numberOfQueuesChanged, numberOfQueues: 2 }
  assert.equal(await h.spread(vport, [1, 2, 3, 4]), success)
  assert.equal(await h.v2(vport, two), noQueues)
  assert.equal(await h.queuePairs(vport, 2), noQueues)
  assert.deepEqual([await h.table(vport), (await h.parametersV2(vport)).numberOfQueues], [[1, 2, 3, 4], 4])
  assert.equal(await h.spread(vport, [1, 2, 1, 2]), success)
  assert.equal(await h.v2(vport, two), success)
  const payload = { flags: 0, vPortId: vport }
  const pairs = async () =>
    (await h.adapter.output<VPortParameters>(AdapterOid.nicSwitchVPortParameters, 'method', payload)).numQueuePairs
  assert.equal(await pairs(), 2) // NumberOfQueues is another name of the queue pairs
  assert.equal(await h.spread(vport, [1, 2, 3, 4]), noQueues)
  assert.equal(await h.queuePairs(vport, 4), success)
  assert.equal((await h.parametersV2(vport)).numberOfQueues, 4)
  assert.equal(await h.spread(vport, [1, 2, 3, 4]), success)
  assert.equal(await h.queuePairs(0, 2), success) // the default VPort's too
  for (const wrong of [0, 5, 99]) assert.equal(await h.v2(vport, { ...two, numberOfQueues: wrong }), invalidParameter)
})

test('the stack takes queues away and adds them in that order, while packets flow (VQ-194, VQ-202, VQ-203, VQ-209)', async () => {
  const h = await RssHarness.start()
  const steps: number[] = []
  const stack = await h.stack(steps)
  let vport = await stack.give(wish)
  const flows = Array.from({ length: 32 }, (_, i) => i)
  const sent = async (on: number[]) => {
    h.receive(...flows.map((flow) => flowFrame(flow)))
    const got = h.got()
    assert.equal(got.length, flows.length)
    assert.deepEqual([...new Set(got.map(({ processor }) => processor))].sort(), on)
  }
  await sent([4, 5, 6, 7])
  steps.length = 0
  vport = await stack.setQueues(vport, 2)
  const { genReceiveScaleParameters: scale, nicSwitchVPortParameters: parameters } = AdapterOid
  assert.deepEqual(steps.splice(0), [scale, parameters, scale])
  await sent([4, 5])
  vport = await stack.setQueues(vport, 3)
  assert.deepEqual(steps.splice(0), [parameters, scale])
  await sent([4, 5, 6])
  assert.equal(await stack.setQueues(vport, 3), vport)
  assert.deepEqual(steps, [])
  await assert.rejects(stack.setQueues(vport, 9), (error) => error instanceof VmmqError && error.status === invalidParameter)
  await sent([4, 5, 6])
})

test('where the size of tables is restricted it follows the queues, and the adapter repeats the table when they grow (VQ-186, VQ-204)', async () => {
  const h = await RssHarness.start({ caps: 0x1000 })
  const stack = await h.stack()
  let vport = await stack.give({ ...wish, queues: 2 })
  assert.deepEqual(await h.table(vport.id), [4, 5])
  assert.equal(await h.spread(vport.id, [4, 5, 4, 5]), invalidParameter)
  assert.equal(await h.queuePairs(vport.id, 3), success)
  assert.deepEqual(await h.table(vport.id), [4, 5, 4, 5])
  assert.equal(await h.queuePairs(vport.id, 2), success)
  vport = await stack.setQueues(vport, 4)
  assert.deepEqual(await h.table(vport.id), [4, 5, 6, 7])
  vport = await stack.setQueues(vport, 3)
  assert.deepEqual(await h.table(vport.id), [4, 5, 6, 4])
  vport = await stack.setQueues(vport, 1)
  assert.deepEqual(await h.table(vport.id), [4])
})

test('a miniport with RSSv2 gets what RSSv1 sets mean as parameters and moves; its table is never set as a whole (VQ-212, VQ-213)', async () => {
  const { h, acts } = await watched()
  const vport = await h.vport([1], 2)
  assert.equal(await h.spread(vport, [3, 4, 3, 4], { defaultProcessorNumber: 5 }), success)
  assert.deepEqual(acts.splice(0), [`set ${numberOfEntriesChanged}`, 'move 4 on 1', 'move 1 on 1', 'set 7'])
  assert.deepEqual(await h.table(vport), [3, 4, 3, 4])
  // From two processors to two others there is a way that never takes a third.
  assert.equal(await h.spread(vport, [5, 6, 6, 5], { defaultProcessorNumber: 5 }), success)
  assert.deepEqual(await h.table(vport), [5, 6, 6, 5])
  acts.length = 0
  assert.equal(await h.spread(vport, [5, 6], { flags: RssFlag.hashInfoUnchanged | RssFlag.hashKeyUnchanged }), success)
  assert.deepEqual(await h.table(vport), [5, 6])
  assert.ok(acts.length > 0 && acts.every((act) => act !== 'replace'))
  acts.length = 0
  assert.equal(await h.spread(vport, [1, 1], { flags: RssFlag.itableUnchanged | RssFlag.defaultProcessorUnchanged }), success)
  assert.deepEqual([await h.table(vport), acts], [[5, 6], ['set 7']])
})

test('an RSSv1 set that fails on its way leaves nothing behind (VQ-213, VQ-216)', async () => {
  const { h } = await watched()
  const vport = await h.vport([1], 4)
  const before = await h.parameters(vport)
  assert.equal(await h.spread(vport, [1, 99, 1, 2]), invalidData)
  assert.deepEqual(await h.parameters(vport), before)
  assert.equal(await h.spread(vport, [2, 3]), success)
  const spread = await h.parameters(vport)
  assert.equal(await h.spread(vport, [4, 5, 6, 99]), invalidData)
  assert.equal(await h.spread(vport, [5, 4, 5, 4], { hashInformation: 0x101 }), invalidParameter)
  assert.equal(await h.spread(vport, [5], { defaultProcessorNumber: 77 }), invalidData)
  assert.deepEqual(await h.parameters(vport), spread)
})

test('a miniport without RSSv2 takes its table whole, and its VPorts are spread statically (VQ-211, VQ-212)', async () => {
  const { h, acts } = await watched({ rss: { independentEntryMove: false } })
  const stack = await h.stack()
  assert.equal(stack.isDynamic, false)
  const vport = await stack.give(wish)
  assert.deepEqual(acts, ['replace'])
  const table = await h.table(vport.id)
  assert.equal(stack.move(vport, [{ index: 0, target: 7 }], 4), notSupported)
  assert.equal(await h.v2(vport.id, { flags: 0 }), notSupported)
  assert.equal(h.batch(4, [[vport.id, 0, 7]]).status, notSupported)
  assert.deepEqual(await h.table(vport.id), table)
  assert.equal(await h.spread(vport.id, [4, 99]), invalidData)
  assert.equal(await h.spread(vport.id, [4, 5], { hashInformation: 0x101 }), invalidParameter)
  assert.deepEqual(await h.table(vport.id), table)
  h.receive(...Array.from({ length: 32 }, (_, i) => flowFrame(i)))
  assert.deepEqual(h.on(), [4, 5, 6, 7])
})

test('with RSS off counts are still taken, hash information and key are not (VQ-233)', async () => {
  const h = await RssHarness.start()
  const vport = await h.vport([1], 1)
  const nonsense = {
    hashInformation: 0xdead,
    hashSecretKey: new Uint8Array(3),
    numberOfQueues: 4,
    numberOfIndirectionTableEntries: 8,
  }
  const flags = hashInfoChanged | hashKeyChanged | numberOfQueuesChanged | numberOfEntriesChanged
  assert.equal(await h.v2(vport, { flags, ...nonsense }), success)
  const now = await h.parametersV2(vport)
  assert.deepEqual([now.numberOfQueues, now.numberOfIndirectionTableEntries, now.hashInformation], [4, 8, 0])
  assert.deepEqual(now.hashSecretKey, PUBLISHED_HASH_KEY)
  assert.equal(await h.v2(vport, { flags: enableRss | flags, ...nonsense }), invalidParameter)
  assert.equal(await h.aimed(AdapterOid.genReceiveScaleParametersV2, vport, { flags: 0 }), invalidParameter)
  assert.equal(await h.aimed(AdapterOid.genReceiveScaleParametersV2, vport, undefined), invalidLength)
})

test('a table grows by repeating itself, and shrinks only where it repeats (VQ-229, VQ-231)', async () => {
  const h = await RssHarness.start()
  const vport = await h.vport([1], 4)
  const entries = (n: number) => h.v2(vport, { flags: enableRss | numberOfEntriesChanged, numberOfIndirectionTableEntries: n })
  assert.equal(await h.spread(vport, [1, 2]), success)
  assert.equal(await entries(8), success)
  assert.deepEqual(await h.table(vport), [1, 2, 1, 2, 1, 2, 1, 2])
  assert.equal(await entries(1), invalidData)
  assert.deepEqual(h.moves(1, [vport, 6, 3]), [success])
  assert.equal(await entries(2), invalidData)
  assert.equal((await h.table(vport)).length, 8)
  assert.deepEqual(h.moves(3, [vport, 6, 1]), [success])
  assert.equal(await entries(2), success)
  assert.deepEqual(await h.table(vport), [1, 2])
})

test('what is not active is kept, and must be sound when it becomes active (VQ-215, VQ-216)', async () => {
  const h = await RssHarness.start()
  const vport = await h.vport([1], 4)
  const on = { flags: enableRss | hashInfoChanged | hashKeyChanged }
  const off = { flags: 0 }
  assert.deepEqual(h.moves(1, [vport, 0, 6], [vport, 0xffff, 5]), [success, success])
  h.receive(flowFrame(1))
  assert.deepEqual(h.on(), [1])
  assert.equal(await h.v2(vport, on), success)
  h.receive(flowFrame(1))
  assert.deepEqual(h.on(), [6])
  assert.deepEqual(h.moves(1, [vport, 0xfffe, 99]), [success]) // the primary processor is not active now
  assert.equal(await h.v2(vport, off), invalidData)
  assert.deepEqual(h.moves(99, [vport, 0xfffe, 7]), [success])
  assert.equal(await h.v2(vport, off), success)
  h.receive(flowFrame(1))
  assert.deepEqual(h.on(), [7])
  assert.deepEqual(h.moves(6, [vport, 0, 99]), [success])
  assert.equal(await h.v2(vport, on), invalidData)
  h.receive(flowFrame(1))
  assert.deepEqual(h.on(), [7])
})

test('a VPort is deleted with RSS on, and one made after it begins anew (VQ-230)', async () => {
  const h = await RssHarness.start()
  const stack = await h.stack()
  const vport = await stack.give(wish)
  h.receive(flowFrame(1))
  assert.equal(h.got().length, 1)
  await stack.take(vport)
  assert.equal(
    (await h.adapter.software.adapter.request({ oid: SET, type: 'query', vPortId: vport.id }, 'stack')).status,
    invalidParameter,
  )
  assert.equal(h.moves(4, [vport.id, 0, 5])[0], invalidParameter)
  const again = await h.vport([3])
  assert.equal(again, vport.id)
  assert.deepEqual(await h.table(again), [3])
  h.receive(flowFrame(1))
  const [packet] = h.got()
  assert.deepEqual([packet!.processor, packet!.hashInfo], [3, 0])
})

test('a VM that is refused leaves nothing behind', async () => {
  const h = await RssHarness.start()
  const stack = await h.stack()
  const before = (await h.adapter.output<unknown[]>(AdapterOid.nicSwitchEnumVPorts, 'query')).length
  for (const wrong of [{ processors: [99] }, { queues: 9 }, { hashSecretKey: new Uint8Array(3) }, { vlan: 9999 }])
    await assert.rejects(stack.give({ ...wish, ...wrong }), VmmqError)
  assert.equal((await h.adapter.output<unknown[]>(AdapterOid.nicSwitchEnumVPorts, 'query')).length, before)
  await stack.give(wish)
  const caps = await h.adapter.output<NicSwitchCapabilities>(AdapterOid.nicSwitchCurrentCapabilities, 'query')
  assert.equal((await h.table(1)).length, caps.numberOfIndirectionTableEntriesPerNonDefaultPfVPort)
})

test('whatever two tables are, the way between them never names too many processors', () => {
  for (let seed = 1; seed < 400; seed++) {
    let state = seed
    const next = (below: number): number => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0
      return (state >>> 16) % below
    }
    const queues = 1 + next(4)
    const length = 2 ** next(4)
    const some = () => Array.from({ length: queues }, () => next(6))
    const [a, b] = [some(), some()]
    const from = { table: Array.from({ length }, () => a[next(queues)]!), default: next(6) }
    const to = { table: Array.from({ length }, () => b[next(queues)]!), default: next(6) }
    const now: Pick<RssState, 'default'> & { table: number[] } = { table: [...from.table], default: from.default }
    for (const { actor, moves } of planMoves(from, to, queues)) {
      for (const { index, target } of moves) {
        assert.equal(index === 0xffff ? now.default : now.table[index], actor)
        if (index === 0xffff) Object.assign(now, { default: target })
        else now.table[index] = target
      }
      assert.ok(new Set(now.table).size <= queues)
    }
    assert.deepEqual(now, to)
  }
})
