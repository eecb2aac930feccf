// Scenarios SR-CS-17 to SR-CS-43 without traffic: VFs, VPorts and receive filters as objects.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FILTER_PACKET_ENCAPSULATION, PF_FUNCTION_ID, SwitchCaps } from '../../src/adapter/identifiers.ts'
import { AdapterOid } from '../../src/adapter/oids.ts'
import type { FilterInfo, FilterParameters, VfParameters, VPortInfo, VPortParameters } from '../../src/adapter/payloads.ts'
import { filterParameters } from '../../src/adapter/receive-filters.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { AdapterHarness, ANY_VLAN, fixtureLimits, MAC, vfPayload, vportPayload } from '../support/adapter-harness.ts'

const { success, invalidParameter, fileNotFound, resources } = NdisStatus

test('SR-CS-17: an allocated VF has an id, a requester id, no VPort (SR-132, SR-138, SR-139, SR-140, SR-150, SR-151)', async () => {
  const harness = await AdapterHarness.start()
  const vf = await harness.allocate(MAC.a)
  assert.equal(vf.vfId, 0)
  assert.equal(vf.requestorId, harness.software.capability.vfRid(0))
  assert.deepEqual(await harness.output(AdapterOid.nicSwitchEnumVfs, 'query'), [vf])
  assert.deepEqual(await harness.output(AdapterOid.nicSwitchEnumVfs, 'method', { flags: 1, switchId: 0 }), [vf])
  assert.deepEqual(await harness.output(AdapterOid.nicSwitchEnumVfs, 'method', { flags: 1, switchId: 3 }), [])
  assert.deepEqual(await harness.output(AdapterOid.nicSwitchVfParameters, 'method', { vfId: 0 }), vf)
  assert.equal(await harness.status(AdapterOid.nicSwitchVfParameters, 'method', { vfId: 1 }), invalidParameter)
  assert.equal(harness.software.pf.vf(0)?.vport, -1)
})

test('SR-CS-18, SR-CS-19: ids are unique; a fifth VF is refused (SR-003)', async () => {
  const harness = await AdapterHarness.start()
  const vfs: VfParameters[] = []
  for (let i = 0; i < 4; i++) vfs.push(await harness.allocate(`02:00:00:00:01:0${i}`))
  const rids = new Set([harness.software.capability.pfRid, ...vfs.map(({ requestorId }) => requestorId)])
  assert.equal(rids.size, 5)
  assert.equal(new Set(vfs.map(({ vfId }) => vfId)).size, 4)
  assert.equal(await harness.status(AdapterOid.nicSwitchAllocateVf, 'method', vfPayload(MAC.c)), resources)
})

test('SR-CS-20: a wrong allocation does not reach the miniport (SR-135, SR-132)', async () => {
  const harness = await AdapterHarness.start()
  const bad: object[] = [
    { switchId: 7 },
    { vfId: 0 },
    { requestorId: 0 },
    { currentMacAddress: '01:00:5e:00:00:01' },
    { permanentMacAddress: 'nonsense' },
    { vmName: 5 },
    { vfId: -1 },
  ]
  for (const change of bad)
    assert.equal(
      await harness.status(AdapterOid.nicSwitchAllocateVf, 'method', { ...vfPayload(MAC.a), ...change }),
      invalidParameter,
    )
  assert.equal(harness.software.pf.vf(0), undefined)
})

test('SR-CS-21, SR-CS-22: a VF is freed by its allocator once its VPort is gone (SR-131, SR-143, SR-144, SR-145, SR-146, SR-147, SR-148, SR-149)', async () => {
  const harness = await AdapterHarness.start()
  const { vf, vport, filter } = await harness.vm(MAC.a)
  const free = (vfId: number, driver = 'stack') => harness.status(AdapterOid.nicSwitchFreeVf, 'set', { vfId }, driver)
  assert.equal(await free(vf), fileNotFound)
  assert.equal(harness.software.pf.freeVf(vf), invalidParameter)
  assert.equal(await free(3), fileNotFound)
  assert.equal(harness.software.pf.freeVf(3), invalidParameter)
  await harness.request(AdapterOid.receiveFilterClearFilter, 'set', { queueId: 0, filterId: filter })
  assert.equal(await harness.status(AdapterOid.nicSwitchDeleteVPort, 'set', { vPortId: vport }, 'other'), invalidParameter) // SR-184
  assert.equal(await harness.status(AdapterOid.nicSwitchDeleteVPort, 'set', { vPortId: vport }), success)
  assert.equal(await free(vf, 'other'), invalidParameter)
  assert.equal(await free(vf), success)
  assert.equal((await harness.allocate(MAC.b)).vfId, vf) // PD-09
})

test('SR-CS-23, SR-CS-24: a VF has one VPort, Activated from the start (SR-158, SR-160, SR-163, SR-166)', async () => {
  const harness = await AdapterHarness.start()
  const { vfId } = await harness.allocate(MAC.a)
  const made = await harness.output<VPortParameters>(AdapterOid.nicSwitchCreateVPort, 'method', vportPayload(vfId))
  assert.ok(made.vPortId >= 1 && made.vPortId <= 11)
  assert.equal(made.vPortState, 1)
  const create = (payload: object) => harness.status(AdapterOid.nicSwitchCreateVPort, 'method', payload)
  assert.equal(await create(vportPayload(vfId)), invalidParameter)
  assert.equal(await create(vportPayload(3)), invalidParameter) // not allocated
  assert.equal(await create({ ...vportPayload(PF_FUNCTION_ID), vPortId: 5 }), invalidParameter) // SR-157
  assert.equal(await create({ ...vportPayload(PF_FUNCTION_ID), switchId: 1 }), invalidParameter)
  assert.equal(await create({ ...vportPayload(PF_FUNCTION_ID), processorAffinity: [] }), invalidParameter) // SR-179
})

test('SR-CS-26, SR-CS-29: states go one way; the default VPort is protected (SR-118, SR-154, SR-167, SR-168, SR-169, SR-186)', async () => {
  const harness = await AdapterHarness.start()
  const vport = await harness.vport()
  const set = (vPortId: number, vPortState: number) =>
    harness.status(AdapterOid.nicSwitchVPortParameters, 'set', {
      ...vportPayload(PF_FUNCTION_ID),
      vPortId,
      vPortState,
      flags: 0x80000,
    })
  const read = async () =>
    (await harness.output<VPortParameters>(AdapterOid.nicSwitchVPortParameters, 'method', { flags: 0, vPortId: vport }))
      .vPortState
  assert.equal(await read(), 2)
  assert.equal(await set(vport, 1), success)
  assert.equal(await set(vport, 2), invalidParameter)
  assert.equal(await read(), 1)
  assert.equal(await set(0, 1), invalidParameter)
  assert.equal(await harness.status(AdapterOid.nicSwitchDeleteVPort, 'set', { vPortId: 0 }), invalidParameter)
  assert.equal(await harness.status(AdapterOid.nicSwitchDeleteVPort, 'set', { vPortId: 9 }), invalidParameter)
})

test('SR-CS-27: without the asymmetric flag all nondefault VPorts have as many queue pairs (SR-049, SR-050)', async () => {
  const symmetric = await AdapterHarness.start()
  await symmetric.vport(PF_FUNCTION_ID, 'stack', 2)
  const four = vportPayload(PF_FUNCTION_ID, 4)
  assert.equal(await symmetric.status(AdapterOid.nicSwitchCreateVPort, 'method', four), invalidParameter)
  const asymmetric = await AdapterHarness.start({
    limits: { ...fixtureLimits, switchCaps: fixtureLimits.switchCaps | SwitchCaps.asymmetricQueuePairs },
  })
  await asymmetric.vport(PF_FUNCTION_ID, 'stack', 2)
  assert.equal(await asymmetric.status(AdapterOid.nicSwitchCreateVPort, 'method', four), success)
})

test('SR-CS-28: queue pairs and VPorts are a budget (SR-043, SR-055, SR-162)', async () => {
  const limits = { ...fixtureLimits, maxNumVPorts: 8, maxNumVFs: 4, maxNumQueuePairs: 8, maxNumMacAddresses: 24 }
  const harness = await AdapterHarness.start({ limits })
  const create = (pairs: number) => harness.status(AdapterOid.nicSwitchCreateVPort, 'method', vportPayload(PF_FUNCTION_ID, pairs))
  assert.equal(await create(5), invalidParameter)
  assert.equal(await create(4), success)
  assert.equal(await create(4), resources)
  const many = await AdapterHarness.start()
  for (let i = 1; i < fixtureLimits.maxNumVPorts; i++) assert.equal(await many.vport(), i)
  await many.allocate(MAC.a)
  assert.equal(await many.status(AdapterOid.nicSwitchCreateVPort, 'method', vportPayload(0)), resources) // SR-053
})

test('without a single pool one VPort is kept for every VF (SR-052, SR-054)', async () => {
  const limits = { ...fixtureLimits, switchCaps: SwitchCaps.vlanSupported }
  const harness = await AdapterHarness.start({ limits })
  for (let i = 0; i < 3; i++) await harness.vport()
  assert.equal(await harness.status(AdapterOid.nicSwitchCreateVPort, 'method', vportPayload(PF_FUNCTION_ID)), resources)
  const { vfId } = await harness.allocate(MAC.a)
  assert.equal(await harness.vport(vfId), 4)
})

test('SR-CS-30: deletion of a VPort completes when the data path has let go of it; nothing passes meanwhile (SR-190, SR-191)', async () => {
  let release: () => void = () => {}
  const harness = await AdapterHarness.start({
    vportGone: () =>
      new Promise<void>((resolve) => {
        release = resolve
      }),
  })
  const vport = await harness.vport()
  let completed = false
  const deletion = harness.status(AdapterOid.nicSwitchDeleteVPort, 'set', { vPortId: vport }).then((status) => {
    completed = true
    return status
  })
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(completed, false)
  assert.equal(harness.software.tables.vports.flags(vport), 0)
  release()
  assert.equal(await deletion, success)
  assert.equal(await harness.vport(), vport) // PD-09: given again after completion
})

test('SR-CS-31: enumeration by function and switch (SR-161, SR-182, SR-183, SR-226)', async () => {
  const harness = await AdapterHarness.start()
  const { vfId } = await harness.allocate(MAC.a)
  await harness.vport(vfId)
  await harness.vport()
  await harness.filter(1, MAC.a)
  const ids = async (payload?: object) =>
    (await harness.output<VPortInfo[]>(AdapterOid.nicSwitchEnumVPorts, payload ? 'method' : 'query', payload)).map(
      (v) => v.vPortId,
    )
  assert.deepEqual(await ids(), [0, 1, 2])
  assert.deepEqual(await ids({ flags: 1, switchId: 0, attachedFunctionId: PF_FUNCTION_ID }), [0, 2])
  assert.deepEqual(await ids({ flags: 1, switchId: 0, attachedFunctionId: vfId }), [1])
  assert.deepEqual(await ids({ flags: 2, switchId: 1, attachedFunctionId: 0 }), [])
  assert.equal(
    await harness.status(AdapterOid.nicSwitchEnumVPorts, 'method', { flags: 3, switchId: 0, attachedFunctionId: 0 }),
    invalidParameter,
  )
  const all = await harness.output<VPortInfo[]>(AdapterOid.nicSwitchEnumVPorts, 'query')
  assert.deepEqual(
    all.map(({ numFilters }) => numFilters),
    [0, 1, 0],
  )
})

test('SR-CS-32: a set changes flagged members only (SR-174, SR-176, SR-177, SR-178, SR-180, SR-181, SR-236)', async () => {
  const harness = await AdapterHarness.start()
  const vport = await harness.vport()
  const set = (vPortId: number, change: object) =>
    harness.status(AdapterOid.nicSwitchVPortParameters, 'set', { ...vportPayload(PF_FUNCTION_ID), vPortId, ...change })
  const read = (vPortId: number) =>
    harness.output<VPortParameters>(AdapterOid.nicSwitchVPortParameters, 'method', { flags: 0, vPortId })
  assert.equal(await set(vport, { flags: 0x100000, processorAffinity: [3], vPortName: 'other' }), success)
  assert.deepEqual([(await read(vport)).processorAffinity, (await read(vport)).vPortName], [[3], 'port'])
  assert.equal(await set(vport, { flags: 0x40000, interruptModeration: 300 }), success)
  assert.equal((await read(vport)).interruptModeration, 300)
  assert.equal(await set(vport, { flags: 0x40000, interruptModeration: 7 }), invalidParameter)
  assert.equal(await set(vport, { flags: 0x800000, numQueuePairs: 4 }), invalidParameter) // SR-174
  assert.equal(await set(0, { flags: 0x20000, vPortName: 'host' }), success)
  assert.equal((await read(0)).vPortName, 'host')
  const { vfId } = await harness.allocate(MAC.a)
  const ofVf = await harness.vport(vfId)
  assert.equal(await set(ofVf, { flags: 0x100000, processorAffinity: [1] }), invalidParameter)
})

test('SR-CS-33, SR-CS-36: filters get ids; what is no filter of SR-IOV is refused (SR-197, SR-198, SR-199, SR-200, SR-202, SR-210, SR-212, SR-233, PD-08, PD-09)', async () => {
  const harness = await AdapterHarness.start()
  const { vfId } = await harness.allocate(MAC.a)
  await harness.vport(vfId)
  await harness.vport()
  assert.deepEqual([await harness.filter(1, MAC.a), await harness.filter(2, MAC.b, 5)], [1, 2])
  const good = filterParameters(MAC.c, 7, 1)
  const set = (change: Partial<FilterParameters>) =>
    harness.status(AdapterOid.receiveFilterSetFilter, 'method', { ...good, ...change })
  const [mac, vlan] = good.fieldParameters
  const bad: Partial<FilterParameters>[] = [
    { filterType: 2 },
    { queueId: 1 },
    { filterId: 3 },
    { vPortId: 9 },
    { fieldParameters: [] },
    { fieldParameters: [vlan!] },
    { fieldParameters: [mac!, mac!] },
    { fieldParameters: [{ ...mac!, flags: 1 }, vlan!] }, // SR-CS-36
    { fieldParameters: [{ ...mac!, receiveFilterTest: 3 }] },
    { fieldParameters: [{ ...mac!, frameHeader: 3 }] },
    { fieldParameters: [{ ...mac!, headerField: 2 }] },
    { fieldParameters: [{ ...mac!, fieldValue: [1, 2, 3] }] },
    { fieldParameters: [{ ...mac!, fieldValue: [1, 0, 0x5e, 0, 0, 1] }] }, // a group
    { fieldParameters: [mac!, { ...vlan!, fieldValue: [0x0f, 0xff] }] },
    { fieldParameters: 'none' as never },
    { fieldParameters: filterParameters(MAC.a, 0, 2).fieldParameters }, // held by filter 1
  ]
  for (const change of bad) assert.equal(await set(change), invalidParameter, JSON.stringify(change))
  assert.equal(await set({}), success)
  assert.equal(await set({ flags: FILTER_PACKET_ENCAPSULATION }), success) // the inner address is another key
})

test('SR-CS-39, SR-CS-40: filters are cleared by id; NDIS knows which are set (SR-217, SR-218, SR-220, SR-224, SR-225)', async () => {
  const harness = await AdapterHarness.start()
  const vport = await harness.vport()
  const first = await harness.filter(vport, MAC.a)
  await harness.filter(0, MAC.b)
  const clear = (filterId: number, driver = 'stack', queueId = 0) =>
    harness.status(AdapterOid.receiveFilterClearFilter, 'set', { queueId, filterId }, driver)
  assert.equal(await clear(999), fileNotFound)
  assert.equal(await clear(first, 'stack', 1), fileNotFound)
  const list = (payload: object) => harness.output<FilterInfo[]>(AdapterOid.receiveFilterEnumFilters, 'method', payload)
  assert.equal((await list({ flags: 0, queueId: 0, vPortId: 0 })).length, 2)
  assert.deepEqual(await list({ flags: 1, queueId: 0, vPortId: vport }), [{ filterId: first, filterType: 1 }])
  const read = (filterId: number) => harness.request(AdapterOid.receiveFilterParameters, 'method', { filterId })
  assert.equal(((await read(first)).output as FilterParameters).vPortId, vport)
  assert.equal((await read(0)).status, invalidParameter)
  assert.equal((await read(77)).status, invalidParameter)
  assert.equal(await clear(first), success)
  assert.equal((await read(first)).status, invalidParameter)
})

test('SR-CS-41: filters and VPorts belong to who made them; the default VPort is for all (SR-195, SR-196, SR-217)', async () => {
  const harness = await AdapterHarness.start()
  const vport = await harness.vport(PF_FUNCTION_ID, 'x')
  const filter = await harness.filter(vport, MAC.a, 0, 'x')
  const clear = { queueId: 0, filterId: filter }
  assert.equal(await harness.status(AdapterOid.receiveFilterClearFilter, 'set', clear, 'y'), invalidParameter)
  await assert.rejects(harness.filter(vport, MAC.b, 0, 'y'))
  assert.ok((await harness.filter(0, MAC.b, 0, 'y')) > 0)
})

test('SR-CS-43: a move names where the filter is; a wrong one changes nothing (SR-221, SR-222, SR-223)', async () => {
  const harness = await AdapterHarness.start()
  for (let i = 0; i < 2; i++) {
    await harness.vport()
    await harness.activate(i + 1)
  }
  const filterId = await harness.filter(1, MAC.a)
  const move = (change: object) =>
    harness.status(AdapterOid.receiveFilterMoveFilter, 'set', {
      filterId,
      sourceQueueId: 0,
      sourceVPortId: 1,
      destQueueId: 0,
      destVPortId: 2,
      ...change,
    })
  for (const change of [{ sourceVPortId: 2 }, { sourceQueueId: 1 }, { destQueueId: 1 }, { destVPortId: 9 }, { filterId: 9 }])
    assert.equal(await move(change), invalidParameter)
  assert.equal(harness.software.adapter.nicSwitch!.filters.get(filterId)!.vport, 1)
  assert.equal(await move({}), success)
  assert.equal(harness.software.adapter.nicSwitch!.filters.get(filterId)!.vport, 2)
  assert.equal(await harness.status(AdapterOid.nicSwitchDeleteVPort, 'set', { vPortId: 2 }), invalidParameter) // SR-185
})

test('filters are a budget, and a full one harms nobody (SR-044)', async () => {
  const harness = await AdapterHarness.start()
  for (let i = 0; i < fixtureLimits.maxNumMacAddresses; i++) await harness.filter(0, `02:00:00:00:02:${(i + 16).toString(16)}`)
  const payload = filterParameters(MAC.a, ANY_VLAN, 0)
  assert.equal(await harness.status(AdapterOid.receiveFilterSetFilter, 'method', payload), resources)
  await harness.request(AdapterOid.receiveFilterClearFilter, 'set', { queueId: 0, filterId: 5 })
  assert.equal(await harness.filter(0, MAC.a), 5)
})
