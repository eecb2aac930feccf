// Who an SR-IOV adapter consists of and who may do what: one PF, its VFs, one physical port; and what a guest can't reach from its VF.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AdapterError, checkPartition, pfAttributes, vfAttributes } from '../../src/adapter/capabilities.ts'
import { DEFAULT_VPORT_ID, PartitionType, PF_FUNCTION_ID } from '../../src/adapter/identifiers.ts'
import { CONFIG_BYTES } from '../../src/adapter/igbvf/config-space.ts'
import * as r from '../../src/adapter/igbvf/registers.ts'
import { Registry, selectInterfaces } from '../../src/adapter/keywords.ts'
import { AdapterOid } from '../../src/adapter/oids.ts'
import type { SwitchInfo, VPortInfo } from '../../src/adapter/payloads.ts'
import { pfOids, requestRules } from '../../src/adapter/requests.ts'
import { adapterTablesBytes, SoftwareAdapter, sriovKeywords } from '../../src/adapter/software-adapter.ts'
import type { VfDevice } from '../../src/adapter/vf-device.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { AdapterHarness, BROADCAST, fixtureLimits, MAC, vfPayload, vportPayload, wireFrame } from '../support/adapter-harness.ts'
import { GuestFunction } from '../support/guest-function.ts'

const { success, failure, invalidParameter, notSupported } = NdisStatus
const UNKNOWN = '02:00:00:00:00:77'

const device = (): VfDevice => ({
  readConfig: (_offset, length) => new Uint8Array(length),
  writeConfig() {},
  reset() {},
  setPowerState() {},
})

test('there is one PF from start to halt, with VPorts of its own, whatever becomes of VFs (SR-001, SR-004)', async () => {
  const harness = await AdapterHarness.start()
  const { adapter, capability } = harness.software
  const ofPf = async () => {
    const payload = { flags: 1, switchId: 0, attachedFunctionId: PF_FUNCTION_ID }
    return (await harness.output<VPortInfo[]>(AdapterOid.nicSwitchEnumVPorts, 'method', payload)).map(({ vPortId }) => vPortId)
  }
  const { pf } = harness.software
  const { pfRid } = capability
  const { vf, vport, filter } = await harness.vm(MAC.a)
  assert.deepEqual(await ofPf(), [DEFAULT_VPORT_ID])
  await assert.rejects(adapter.start(), (error) => error instanceof AdapterError && error.code === 'already-started')
  await harness.request(AdapterOid.receiveFilterClearFilter, 'set', { queueId: 0, filterId: filter })
  await harness.request(AdapterOid.nicSwitchDeleteVPort, 'set', { vPortId: vport })
  await harness.request(AdapterOid.nicSwitchFreeVf, 'set', { vfId: vf })
  assert.deepEqual([await ofPf(), harness.software.pf === pf, capability.pfRid], [[DEFAULT_VPORT_ID], true, pfRid])
  harness.send(harness.wire, wireFrame(MAC.pf, MAC.peer, 'to the host'))
  assert.deepEqual(harness.got(DEFAULT_VPORT_ID), ['to the host'])
})

test('the PF is driven in the parent partition, a VF in a child: neither starts elsewhere (SR-004, SR-020)', async () => {
  const limits = fixtureLimits
  for (const partition of [PartitionType.child, PartitionType.unknown]) {
    const software = new SoftwareAdapter(
      { limits, mac: MAC.pf },
      {
        buffer: new SharedArrayBuffer(adapterTablesBytes(limits)),
        at: 0,
        registry: new Registry(sriovKeywords(4)),
        nowMs: () => 0,
        statistics: () => ({}) as never,
        partition,
      },
    )
    await assert.rejects(software.adapter.start(), (error) => error instanceof AdapterError && error.rule === 'SR-024')
    assert.equal(software.capability.vfEnable, false)
  }
  for (const partition of [PartitionType.parent, PartitionType.unknown])
    assert.throws(
      () => checkPartition('vf', partition),
      (error) => error instanceof AdapterError && error.rule === 'SR-025',
    )
  checkPartition('vf', PartitionType.child)
})

test('VFs of two adapters each leave by the physical port of their own (SR-002)', async () => {
  const [one, two] = [await AdapterHarness.start(), await AdapterHarness.start({ location: { segment: 0, bus: 7, device: 0 } })]
  const vms = [await one.vm(MAC.a), await two.vm(MAC.b)]
  one.send(vms[0]!.vport, wireFrame(UNKNOWN, MAC.a, 'one'))
  two.send(vms[1]!.vport, wireFrame(UNKNOWN, MAC.b, 'two'))
  assert.deepEqual([one.got(one.wire), two.got(two.wire)], [['one'], ['two']])
  const rids = [one, two].map(({ software }) => software.capability.vfRid(0))
  assert.notEqual(rids[0], rids[1])
  assert.equal(await one.status(AdapterOid.nicSwitchVfParameters, 'method', { vfId: 1 }), invalidParameter)
})

test('a VF belongs to one guest: a second one is not given it (SR-005)', async () => {
  const harness = await AdapterHarness.start()
  const { pf } = harness.software
  const { vfId } = await harness.allocate(MAC.a)
  const first = device()
  pf.attachDevice(vfId, first)
  pf.attachDevice(vfId, first)
  assert.throws(
    () => pf.attachDevice(vfId, device()),
    (error) => error instanceof AdapterError && error.code === 'attached',
  )
  assert.equal(pf.vf(vfId)?.device, first)
  pf.attachDevice(vfId, undefined)
  pf.attachDevice(vfId, device())
  assert.equal(await harness.status(AdapterOid.nicSwitchAllocateVf, 'method', { ...vfPayload(MAC.b), vfId }), invalidParameter)
})

test('before the PF miniport runs nothing of a VF can be had (SR-007, SR-136)', async () => {
  const harness = new AdapterHarness()
  const { adapter, capability } = harness.software
  assert.equal(await harness.status(AdapterOid.nicSwitchAllocateVf, 'method', vfPayload(MAC.a)), failure)
  assert.equal(capability.vfEnable, false)
  assert.throws(() => harness.software.pf)
  await adapter.start()
  // The hardware of all VFs comes with the switch; allocating one takes nothing of it.
  const before = [capability.numVFs, capability.vfEnable, harness.software.pf.bus.read(3, 0, new Uint8Array(4))]
  assert.deepEqual(before, [4, true, 4])
  await harness.allocate(MAC.a)
  assert.deepEqual([capability.numVFs, capability.vfEnable], [4, true])
})

test('a VF that is not allocated does nothing: no OID, no VPort, no block (SR-137)', async () => {
  const harness = await AdapterHarness.start()
  const vfId = 0
  const asked: [number, 'set' | 'method', object][] = [
    [AdapterOid.sriovResetVf, 'set', { vfId }],
    [AdapterOid.sriovSetVfPowerState, 'set', { vfId, powerState: 1, wakeEnable: false }],
    [AdapterOid.sriovVfVendorDeviceId, 'method', { vfId }],
    [AdapterOid.sriovReadVfConfigSpace, 'method', { vfId, offset: 0, length: 4, room: 4 }],
    [AdapterOid.sriovWriteVfConfigBlock, 'set', { vfId, blockId: 2, data: new Uint8Array([0, 0]) }],
    [AdapterOid.nicSwitchCreateVPort, 'method', vportPayload(vfId)],
  ]
  for (const [oid, type, payload] of asked) assert.equal(await harness.status(oid, type, payload), invalidParameter)
  const channel = harness.software.channel(vfId)
  assert.deepEqual(await channel.read(0, 24), { status: failure })
  assert.equal(await channel.write(2, new Uint8Array([1, 0])), failure)
  await harness.allocate(MAC.a)
  assert.equal((await channel.read(0, 24)).status, success)
  assert.equal(await channel.write(2, new Uint8Array([1, 0])), failure, 'without a VPort it receives nothing')
})

test('the NIC switch forwards between its one physical port and its VPorts, and there is no second one (SR-010, SR-011)', async () => {
  const harness = await AdapterHarness.start()
  const a = await harness.vm(MAC.a)
  const b = await harness.vm(MAC.b)
  harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'in'))
  harness.send(a.vport, wireFrame(UNKNOWN, MAC.a, 'out'), wireFrame(MAC.b, MAC.a, 'across'))
  assert.deepEqual([harness.got(a.vport), harness.got(harness.wire), harness.got(b.vport)], [['in'], ['out'], ['across']])
  const [info, ...more] = await harness.output<SwitchInfo[]>(AdapterOid.nicSwitchEnumSwitches, 'query')
  assert.deepEqual([more, info?.switchType], [[], 1])
  // With every VPort there can be, a frame for nobody still leaves once, and no VPort is the wire.
  for (let id = 3; id < fixtureLimits.maxNumVPorts; id++) await harness.vport()
  assert.equal(
    await harness.status(AdapterOid.nicSwitchCreateVPort, 'method', vportPayload(PF_FUNCTION_ID)),
    NdisStatus.resources,
  )
  harness.send(a.vport, wireFrame(UNKNOWN, MAC.a, 'once'), wireFrame(BROADCAST, MAC.a, 'all'))
  assert.deepEqual(harness.got(harness.wire), ['once', 'all'])
  assert.ok(harness.software.adapter.nicSwitch!.vports.list().every(({ id }) => id !== harness.wire))
})

test('whatever a guest writes to its function, the adapter is as the host made it (SR-009, SR-109, SR-286, SR-290)', async () => {
  const harness = await AdapterHarness.start()
  const a = await harness.vm(MAC.a)
  const b = await harness.vm(MAC.b)
  const { adapter, capability, pf } = harness.software
  const guest = new GuestFunction(harness, a.vf)
  await guest.hello()
  const state = () => {
    const { vfs, vports, filters } = adapter.nicSwitch!
    return JSON.stringify([
      capability.numVFs,
      capability.vfEnable,
      vfs.list(),
      vports.list(),
      filters.list(),
      pf.vf(b.vf)?.groups,
      harness.trace.filter((step) => !step.includes('CONFIG_BLOCK')),
    ])
  }
  let toldB = false
  void harness.software
    .channel(b.vf)
    .invalidated()
    .then(() => {
      toldB = true
    })
  const before = state()
  for (let type = 0; type < 0x200; type++) {
    if (type === r.VF_RESET) continue
    await guest.mail(type, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff)
    await guest.mail(type, b.vf, 4, 1)
  }
  for (let offset = 0; offset < CONFIG_BYTES; offset += 4)
    guest.function.writeConfig(offset, Uint8Array.of(0xff, 0x7f, 0xff, 0x7f))
  assert.equal(state(), before)
  assert.equal(toldB, false)
  // The function shows no SR-IOV capability: there is nothing to enable virtualization with.
  const word = (offset: number): number => {
    const bytes = new Uint8Array(4)
    guest.function.readConfig(offset, bytes)
    return new DataView(bytes.buffer).getUint32(0, true)
  }
  const found: number[] = []
  for (let at = 0x100; at !== 0; at = word(at) >>> 20) found.push(word(at) & 0xffff)
  assert.deepEqual(found, [0x0001, 0x000e])
  // The PF has no channel of its own: blocks are read for a VF.
  assert.deepEqual(await harness.software.channel(PF_FUNCTION_ID).read(0, 24), { status: failure })
})

test('who drives the PF is asked what NDIS does not know itself, and every request of the list is known (SR-027, SR-076)', async () => {
  const P = [
    ...[
      'nicSwitchCreateSwitch',
      'nicSwitchParameters',
      'nicSwitchDeleteSwitch',
      'nicSwitchCreateVPort',
      'nicSwitchVPortParameters',
    ],
    ...['nicSwitchDeleteVPort', 'nicSwitchAllocateVf', 'nicSwitchFreeVf', 'sriovReadVfConfigSpace', 'sriovWriteVfConfigSpace'],
    ...['sriovReadVfConfigBlock', 'sriovWriteVfConfigBlock', 'sriovResetVf', 'sriovSetVfPowerState', 'sriovVfVendorDeviceId'],
    ...['sriovProbedBars', 'sriovBarResources', 'receiveFilterSetFilter', 'receiveFilterClearFilter', 'receiveFilterMoveFilter'],
  ] as const
  for (const name of P) assert.ok(pfOids.includes(AdapterOid[name]), name)
  for (const name of ['sriovPfLuid', 'nicSwitchEnumVPorts', 'nicSwitchVfParameters', 'receiveFilterEnumFilters'] as const)
    assert.ok(!pfOids.includes(AdapterOid[name]), name)
  const harness = await AdapterHarness.start()
  for (const name of P) {
    const oid = AdapterOid[name]
    const rule = requestRules.get(oid)!
    const asked = rule.kinds.filter((kind) => !rule.cached?.includes(kind))
    for (const type of asked) assert.notEqual(await harness.status(oid, type, {}, 'ndis'), notSupported, name)
  }
  const { registry } = harness.software
  assert.equal(pfAttributes(fixtureLimits, selectInterfaces(registry)).currentSriov?.sriovCapabilities, 0x3)
  assert.equal(vfAttributes().currentSriov?.sriovCapabilities, 0x5)
})
