// What a VF and a VPort are given and keep, who may take them away, and what stops when one goes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_VPORT_ID, PF_FUNCTION_ID } from '../../src/adapter/identifiers.ts'
import { AdapterOid } from '../../src/adapter/oids.ts'
import type { VfParameters, VPortInfo, VPortParameters } from '../../src/adapter/payloads.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import {
  AdapterHarness,
  BROADCAST,
  fixtureLimits,
  MAC,
  overriding,
  vfPayload,
  vportPayload,
  wireFrame,
} from '../support/adapter-harness.ts'
import { GuestFunction } from '../support/guest-function.ts'

const { success, invalidParameter, resources } = NdisStatus
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const createVPort = (harness: AdapterHarness, payload: object) =>
  harness.request(AdapterOid.nicSwitchCreateVPort, 'method', { ...vportPayload(PF_FUNCTION_ID), ...payload })
const setVPort = (harness: AdapterHarness, vPortId: number, change: object) =>
  harness.status(AdapterOid.nicSwitchVPortParameters, 'set', { ...vportPayload(PF_FUNCTION_ID), vPortId, ...change })
const readVPort = (harness: AdapterHarness, vPortId: number) =>
  harness.output<VPortParameters>(AdapterOid.nicSwitchVPortParameters, 'method', { flags: 0, vPortId })
const deleteVPort = (harness: AdapterHarness, vPortId: number, driver = 'stack') =>
  harness.status(AdapterOid.nicSwitchDeleteVPort, 'set', { vPortId }, driver)
const clearFilter = (harness: AdapterHarness, filterId: number) =>
  harness.status(AdapterOid.receiveFilterClearFilter, 'set', { queueId: 0, filterId })

test('the address of ALLOCATE_VF is what the guest is shown; names are for people (SR-133, SR-134)', async () => {
  const harness = await AdapterHarness.start()
  const payload = { ...vfPayload(MAC.a), permanentMacAddress: MAC.c, vmName: '', vmFriendlyName: 'x'.repeat(256), nicName: '💻' }
  const vf = await harness.output<VfParameters>(AdapterOid.nicSwitchAllocateVf, 'method', payload)
  assert.deepEqual([vf.permanentMacAddress, vf.currentMacAddress], [MAC.c, MAC.a])
  const guest = new GuestFunction(harness, vf.vfId)
  assert.equal(await guest.hello(), MAC.a)
  const { data } = await harness.software.channel(vf.vfId).read(0, 8)
  assert.equal(Buffer.from(data!.subarray(2, 8)).toString('hex'), MAC.a.replaceAll(':', ''))
  // The same names once more, and none of it matters.
  const again = await harness.output<VfParameters>(AdapterOid.nicSwitchAllocateVf, 'method', {
    ...payload,
    currentMacAddress: MAC.b,
  })
  assert.deepEqual([again.vfId, again.nicName], [1, '💻'])
})

test('what an allocated VF was given does not change, not even through what NDIS hands out (SR-141, SR-152)', async () => {
  const harness = await AdapterHarness.start()
  const { vfId } = await harness.allocate(MAC.a)
  // An application learns of VFs by enumeration, and asks for those.
  const [found, ...more] = await harness.output<VfParameters[]>(AdapterOid.nicSwitchEnumVfs, 'query', undefined, 'application')
  assert.deepEqual([found?.vfId, more], [vfId, []])
  const ask = (id: number) => harness.request(AdapterOid.nicSwitchVfParameters, 'method', { vfId: id }, 'application')
  assert.deepEqual((await ask(found!.vfId)).output, found)
  for (const id of [1, 3, 0xffff]) assert.equal((await ask(id)).status, invalidParameter)
  assert.throws(() => Object.assign(found!, { currentMacAddress: MAC.b }), TypeError)
  assert.equal(
    await harness.status(AdapterOid.nicSwitchVfParameters, 'set', { ...found, currentMacAddress: MAC.b }),
    NdisStatus.notSupported,
  )
  assert.equal(harness.software.adapter.nicSwitch!.vfs.get(vfId)!.parameters.currentMacAddress, MAC.a)
  const vport = await harness.vport(vfId)
  assert.throws(
    () => Object.assign(harness.software.adapter.nicSwitch!.vports.get(vport)!.parameters, { numQueuePairs: 9 }),
    TypeError,
  )
})

test('a VPort is made for switch 0 without an id of its own, and never as the default one (SR-155, SR-157)', async () => {
  const harness = await AdapterHarness.start()
  const { vfId } = await harness.allocate(MAC.a)
  for (const wrong of [{ switchId: 1 }, { vPortId: 5 }, { vPortId: 0xffffffff }])
    assert.equal((await createVPort(harness, wrong)).status, invalidParameter, JSON.stringify(wrong))
  const made = (await createVPort(harness, { attachedFunctionId: vfId, processorAffinity: [] })).output as VPortParameters
  assert.ok(made.vPortId >= 1)
  assert.equal((await readVPort(harness, DEFAULT_VPORT_ID)).attachedFunctionId, PF_FUNCTION_ID)
  assert.equal(await setVPort(harness, DEFAULT_VPORT_ID, { flags: 0x20000, vPortName: 'x', attachedFunctionId: vfId }), success)
  assert.equal((await readVPort(harness, DEFAULT_VPORT_ID)).attachedFunctionId, PF_FUNCTION_ID)
})

test('the function and the queue pairs of a VPort stay as they were made (SR-159, SR-174)', async () => {
  const harness = await AdapterHarness.start()
  const { vfId } = await harness.allocate(MAC.a)
  const vport = await harness.vport()
  const change = { attachedFunctionId: vfId, numQueuePairs: 2, switchId: 1 }
  assert.equal(await setVPort(harness, vport, { ...change, flags: 0x20000, vPortName: 'named' }), success)
  assert.equal(await setVPort(harness, vport, { ...change, flags: 0x800000 }), invalidParameter)
  const now = await readVPort(harness, vport)
  assert.deepEqual([now.vPortName, now.attachedFunctionId, now.numQueuePairs, now.switchId], ['named', PF_FUNCTION_ID, 1, 0])
  assert.equal(harness.software.pf.vf(vfId)?.vport, -1)
})

test('the miniport is told the ids that NDIS gave, and the same ones later (SR-164, SR-201)', async () => {
  const seen: string[] = []
  const told = <T>(text: string, act: () => T): T => {
    seen.push(text)
    return act()
  }
  const harness = await AdapterHarness.start({
    wrap: (pf) =>
      overriding(pf, {
        createVPort: (p) => told(`create ${p.vPortId}`, () => pf.createVPort(p)),
        setVPortParameters: (p) => told(`set ${p.vPortId}`, () => pf.setVPortParameters(p)),
        deleteVPort: (id) => told(`delete ${id}`, () => pf.deleteVPort(id)),
        setFilter: (f) => told(`filter ${f.id} on ${f.vport}`, () => pf.setFilter(f)),
        moveFilter: (f, to) => told(`move ${f.id} to ${to}`, () => pf.moveFilter(f, to)),
        clearFilter: (f) => told(`clear ${f.id}`, () => pf.clearFilter(f)),
      }),
  })
  await harness.filter(0, MAC.b)
  await harness.vport()
  const vport = await harness.vport()
  const filter = await harness.filter(vport, MAC.c)
  await harness.activate(vport)
  const move = { filterId: filter, sourceQueueId: 0, sourceVPortId: vport, destQueueId: 0, destVPortId: 0 }
  assert.equal(await harness.status(AdapterOid.receiveFilterMoveFilter, 'set', move), success)
  assert.equal(await clearFilter(harness, filter), success)
  assert.equal(await deleteVPort(harness, vport), success)
  assert.deepEqual(seen, [
    'filter 1 on 0',
    'create 1',
    'create 2',
    'filter 2 on 2',
    'set 2',
    'move 2 to 0',
    'clear 2',
    'delete 2',
  ])
})

test('CREATE_VPORT succeeds when the miniport has everything the VPort needs, and not before (SR-165)', async () => {
  let settle: (status: NdisStatus) => void = () => {}
  const harness = await AdapterHarness.start({
    wrap: (pf) => overriding(pf, { createVPort: () => new Promise<NdisStatus>((resolve) => (settle = resolve)) }),
  })
  let completed = 0
  for (const answer of [resources, success]) {
    const made = createVPort(harness, {}).then((completion) => {
      completed++
      return completion
    })
    await turn()
    const before = completed
    settle(answer)
    assert.equal((await made).status, answer)
    assert.equal(completed, before + 1)
    assert.equal(harness.software.adapter.nicSwitch!.vports.list().length, answer === success ? 2 : 1)
  }
})

test('the queue pair of the default VPort serves no other (SR-173)', async () => {
  const harness = await AdapterHarness.start()
  const { vport: a } = await harness.vm(MAC.a)
  const c = await harness.vport()
  await harness.filter(c, MAC.c)
  await harness.activate(c)
  const to = [MAC.a, MAC.c, MAC.pf, MAC.a, MAC.c]
  harness.send(harness.wire, ...to.map((mac, i) => wireFrame(mac, MAC.peer, `${mac} ${i}`)))
  assert.deepEqual(
    [0, a, c].map((vport) => harness.got(vport)),
    [[`${MAC.pf} 2`], [`${MAC.a} 0`, `${MAC.a} 3`], [`${MAC.c} 1`, `${MAC.c} 4`]],
  )
  const [info] = await harness.output<{ numQueuePairsForDefaultVPort: number; numQueuePairsForNonDefaultVPorts: number }[]>(
    AdapterOid.nicSwitchEnumSwitches,
    'query',
  )
  assert.deepEqual([info?.numQueuePairsForDefaultVPort, info?.numQueuePairsForNonDefaultVPorts], [1, 2])
})

test('a VPort of the PF has at least one processor (SR-179)', async () => {
  const harness = await AdapterHarness.start()
  for (const processorAffinity of [[], 'all', [-1], [1.5]])
    assert.equal((await createVPort(harness, { processorAffinity })).status, invalidParameter, JSON.stringify(processorAffinity))
  assert.equal((await createVPort(harness, { processorAffinity: [3] })).status, success)
  assert.deepEqual((await readVPort(harness, 1)).processorAffinity, [3])
  assert.equal(await setVPort(harness, 1, { flags: 0x100000, processorAffinity: [] }), invalidParameter)
})

test('a VPort is deleted by who made it, once its filters are gone, and gives back what it had (SR-184, SR-185, SR-187)', async () => {
  const harness = await AdapterHarness.start()
  const { vf, vport, filter } = await harness.vm(MAC.a)
  assert.equal(await deleteVPort(harness, vport), invalidParameter, 'a filter is left')
  assert.equal(await clearFilter(harness, filter), success)
  assert.equal(await deleteVPort(harness, vport, 'other'), invalidParameter)
  assert.equal(harness.software.pf.vf(vf)?.vport, vport)
  assert.equal(await deleteVPort(harness, vport), success)
  assert.equal(harness.software.pf.vf(vf)?.vport, -1)
  assert.deepEqual(
    (await harness.output<VPortInfo[]>(AdapterOid.nicSwitchEnumVPorts, 'query')).map(({ vPortId }) => vPortId),
    [0],
  )
  // Its place, its queue pairs and its function can be had again, all of them.
  for (let i = 1; i < fixtureLimits.maxNumVPorts; i++) assert.equal(await harness.vport(i === 1 ? vf : PF_FUNCTION_ID), i)
})

test('DELETE_VPORT stops what goes to the VPort first, then lets go, then completes; what was on its way is cancelled (SR-189, SR-190, SR-192)', async () => {
  const order: string[] = []
  let release: () => void = () => {}
  const harness: AdapterHarness = await AdapterHarness.start({
    vportGone: (vport) => {
      harness.send(harness.wire, wireFrame(MAC.c, MAC.peer, 'late'), wireFrame(BROADCAST, MAC.peer, 'all'))
      harness.send(vport, wireFrame(MAC.peer, MAC.c, 'from the grave'))
      const closed = harness.software.tables.vports.flags(vport) === 0 ? 'closed' : 'open'
      order.push(`${closed}: ${harness.got(vport).length} in, ${harness.got(harness.wire).length} out`)
      return new Promise<void>((resolve) => (release = resolve))
    },
  })
  const vport = await harness.vport()
  const filter = await harness.filter(vport, MAC.c)
  await harness.activate(vport)
  harness.send(harness.wire, wireFrame(MAC.c, MAC.peer, 'before'))
  assert.deepEqual(harness.got(vport), ['before'])
  await clearFilter(harness, filter)
  const deletion = deleteVPort(harness, vport).then((status) => {
    order.push('completed')
    return status
  })
  await turn()
  order.push('released')
  release()
  assert.equal(await deletion, success)
  assert.deepEqual(order, ['closed: 0 in, 0 out', 'released', 'completed'])
  assert.deepEqual(harness.drops(vport), { 'vport-not-active': 1 })
})

test('frames may come on a VPort from the request for its filter on, which succeeds then (SR-215)', async () => {
  let settle: () => void = () => {}
  const harness = await AdapterHarness.start({
    wrap: (pf) =>
      overriding(pf, {
        setFilter: async (filter) => {
          const status = await pf.setFilter(filter)
          await new Promise<void>((resolve) => (settle = resolve))
          return status
        },
      }),
  })
  const { vfId } = await harness.allocate(MAC.a)
  const vport = await harness.vport(vfId)
  harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'too early'))
  const setting = harness.filter(vport, MAC.a)
  await turn()
  harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'meanwhile'))
  assert.deepEqual(harness.got(vport), ['meanwhile'])
  settle()
  assert.equal(harness.software.adapter.nicSwitch!.filters.get(await setting)?.vport, vport)
  harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'then'))
  assert.deepEqual(harness.got(vport), ['then'])
})
