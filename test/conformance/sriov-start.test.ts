// Scenarios SR-CS-01 to SR-CS-16: start, capabilities, selection of interfaces, life of the NIC switch.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  AdapterError,
  checkAttributes,
  checkPartition,
  type HardwareAssist,
  pfAttributes,
  vfAttributes,
} from '../../src/adapter/capabilities.ts'
import { ExtendedCapability } from '../../src/adapter/extended-capability.ts'
import { FilterCaps, PartitionType } from '../../src/adapter/identifiers.ts'
import { Keyword, Registry, selectInterfaces } from '../../src/adapter/keywords.ts'
import { AdapterOid, AdapterStatus } from '../../src/adapter/oids.ts'
import type { SwitchInfo, SwitchParameters } from '../../src/adapter/payloads.ts'
import { requestRules } from '../../src/adapter/requests.ts'
import { sriovKeywords } from '../../src/adapter/software-adapter.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { AdapterHarness, fixtureLimits, MAC, overriding } from '../support/adapter-harness.ts'

const parameters = (numVFs: number): SwitchParameters => ({
  flags: 0,
  switchType: 1,
  switchId: 0,
  switchFriendlyName: 'Default Switch',
  numVFs,
})
const create = (harness: AdapterHarness, payload: SwitchParameters) =>
  harness.status(AdapterOid.nicSwitchCreateSwitch, 'method', payload, 'ndis')

/** An adapter without a switch: it was started and its switch deleted. */
async function withoutSwitch(): Promise<AdapterHarness> {
  const harness = await AdapterHarness.start()
  assert.equal(await harness.status(AdapterOid.nicSwitchDeleteSwitch, 'set', { switchId: 0 }, 'ndis'), NdisStatus.success)
  return harness
}

test('SR-CS-01: the preference table decides what is current; the hardware capabilities are complete in every row (SR-031, SR-032, SR-033, SR-034, SR-035, SR-056, SR-057, SR-078, SR-083, SR-086)', () => {
  const rows: [Partial<Record<Keyword, number>>, boolean, boolean, boolean][] = [
    [{ '*SriovPreferred': 1, '*RssOrVmqPreference': 1, '*SRIOV': 1, '*VMQ': 1 }, true, true, true],
    [{ '*SriovPreferred': 1, '*RssOrVmqPreference': 1, '*SRIOV': 0, '*VMQ': 1 }, false, false, true],
    [{ '*SriovPreferred': 1, '*SRIOV': 0, '*VMQ': 0 }, false, false, false],
    [{ '*RssOrVmqPreference': 1, '*VMQ': 1 }, false, false, true],
    [{ '*RssOrVmqPreference': 1, '*VMQ': 0 }, false, false, false],
    [{ '*RSS': 1 }, false, false, false],
    [{ '*RSS': 0 }, false, false, false],
    [{ '*SriovPreferred': 1, '*SRIOV': 1, '*VMQ': 0 }, true, true, true], // section 11, 42
    [{ '*SriovPreferred': 1, '*SRIOV': 0, '*VMQ': 1 }, false, false, false],
  ]
  for (const [keywords, sriov, nicSwitch, receiveFilter] of rows) {
    const attributes = pfAttributes(fixtureLimits, selectInterfaces(new Registry(keywords)))
    checkAttributes(attributes)
    const current = [attributes.currentSriov, attributes.currentNicSwitch, attributes.currentReceiveFilter]
    assert.deepEqual(
      current.map((given) => given !== undefined),
      [sriov, nicSwitch, receiveFilter],
      JSON.stringify(keywords),
    )
    assert.equal(attributes.hardwareSriov?.sriovCapabilities, 0x3) // SR-027
    assert.ok(attributes.hardwareNicSwitch && attributes.hardwareReceiveFilter)
  }
})

test('SR-CS-02: keywords of an interface that is not preferred are not read (SR-082, SR-081, SR-079)', () => {
  const rss = new Registry({})
  selectInterfaces(rss)
  assert.deepEqual(rss.reads, [Keyword.sriovPreferred, Keyword.rssOrVmqPreference, Keyword.rss])
  const vmq = new Registry({ '*RssOrVmqPreference': 1 })
  selectInterfaces(vmq)
  assert.ok(!vmq.reads.includes(Keyword.sriov) && !vmq.reads.includes(Keyword.rss))
  const sriov = new Registry({ '*SriovPreferred': 1 })
  assert.equal(selectInterfaces(sriov).rss, false) // SR-085
  assert.ok(sriov.reads.includes(Keyword.vmqVlanFiltering) && !sriov.reads.includes(Keyword.rss))
})

test('SR-CS-03: *VMQVlanFiltering 0 takes VLAN tests out of the current capabilities only (SR-080, SR-048)', async () => {
  const harness = await AdapterHarness.start({ keywords: { ...sriovKeywords(4), '*VMQVlanFiltering': 0 } })
  const { currentReceiveFilter, hardwareReceiveFilter } = harness.software.adapter.attributes
  assert.equal(currentReceiveFilter!.supportedMacHeaderFields & FilterCaps.vlanId, 0)
  assert.notEqual(hardwareReceiveFilter!.supportedMacHeaderFields & FilterCaps.vlanId, 0)
  await assert.rejects(harness.filter(0, MAC.a, 5))
})

test('SR-CS-04: with SR-IOV on there are no VM queues (SR-058, SR-059, SR-060, SR-061, SR-062, SR-063, SR-064, SR-065, SR-066, SR-067, SR-084, SR-239)', async () => {
  const harness = await AdapterHarness.start()
  const caps = harness.software.adapter.attributes.currentReceiveFilter!
  assert.equal(caps.numQueues, 0)
  assert.equal(caps.enabledQueueTypes, 0)
  assert.equal(caps.enabledFilterTypes, FilterCaps.vmqFiltersEnabled)
  assert.equal(caps.supportedQueueProperties & 0x1b, 0x1b)
  assert.equal(caps.supportedQueueProperties & 0xc0, 0)
  assert.equal(caps.supportedFilterTests, FilterCaps.testEqual)
})

test('SR-CS-05: inconsistent capabilities are refused by rule (SR-041, SR-042, SR-043, SR-044, SR-045, SR-069)', () => {
  const good = pfAttributes(fixtureLimits, { sriov: true, vmq: true, rss: false, vlanFiltering: true })
  const broken = (rule: string, change: Partial<HardwareAssist['hardwareNicSwitch']>): void => {
    const attributes = { ...good, hardwareNicSwitch: { ...good.hardwareNicSwitch!, ...change } }
    assert.throws(
      () => checkAttributes(attributes),
      (error) => error instanceof AdapterError && error.rule === rule,
    )
  }
  broken('SR-041', { maxNumSwitches: 2 })
  broken('SR-042', { maxNumVPorts: 8, maxNumVFs: 8 })
  broken('SR-043', { maxNumQueuePairs: 11 })
  broken('SR-044', { maxNumMacAddresses: 11 })
  broken('SR-045', { maxNumQueuePairsPerNonDefaultVPort: 3 })
  assert.throws(
    () => checkAttributes({ hardwareSriov: good.hardwareSriov! }),
    (error) => error instanceof AdapterError && error.rule === 'SR-069',
  )
})

test('SR-CS-06: a driver starts in its own partition only, and a VF registers SR-IOV alone (SR-024, SR-025, SR-028, SR-029, SR-036, SR-037, SR-038)', async () => {
  assert.throws(() => checkPartition('vf', PartitionType.parent), AdapterError)
  assert.throws(() => checkPartition('pf', PartitionType.child), AdapterError)
  checkPartition('vf', PartitionType.child)
  const vf = vfAttributes()
  checkAttributes(vf)
  assert.deepEqual(Object.keys(vf).sort(), ['currentSriov', 'hardwareSriov'])
  assert.equal(vf.currentSriov?.sriovCapabilities, 0x5)
})

test('SR-CS-07: NDIS answers capability queries itself; a short buffer is told how long it must be (SR-071, SR-072, SR-106)', async () => {
  let asked = 0
  const harness = await AdapterHarness.start({
    wrap: (pf) =>
      new Proxy(pf, {
        get(target, name) {
          const member = Reflect.get(target, name)
          return typeof member !== 'function'
            ? member
            : (...given: unknown[]) => {
                if (name !== 'createSwitch') asked++
                return member.apply(target, given)
              }
        },
      }),
  })
  const capabilityOids = [...requestRules].filter(([, rule]) => rule.needs === undefined).map(([oid]) => oid)
  assert.equal(capabilityOids.length, 8)
  for (const oid of capabilityOids) {
    assert.equal(await harness.status(oid, 'query'), NdisStatus.success)
    const short = await harness.software.adapter.request({ oid, type: 'query', outputRoom: 4 }, 'app')
    assert.equal(short.status, NdisStatus.invalidLength)
    assert.equal(short.bytesNeeded, requestRules.get(oid)!.outputBytes)
    assert.equal(await harness.status(oid, 'set', {}), NdisStatus.notSupported)
  }
  const noInput = await harness.request(AdapterOid.nicSwitchAllocateVf, 'method')
  assert.deepEqual([noInput.status, noInput.bytesNeeded], [NdisStatus.invalidLength, 1632])
  assert.equal(asked, 0)
})

test('changed capabilities are indicated and answered from then on (SR-073, SR-074, SR-075)', async () => {
  const harness = await AdapterHarness.start()
  const { adapter } = harness.software
  const nicSwitch = { ...adapter.attributes.currentNicSwitch!, maxNumVFs: 6 }
  adapter.currentCapabilitiesChanged({ nicSwitch, receiveFilter: adapter.attributes.currentReceiveFilter! })
  adapter.hardwareCapabilitiesChanged({ nicSwitch, receiveFilter: adapter.attributes.hardwareReceiveFilter! })
  assert.deepEqual(
    harness.indications.map(({ code }) => code),
    [
      AdapterStatus.nicSwitchCurrentCapabilities,
      AdapterStatus.receiveFilterCurrentCapabilities,
      AdapterStatus.nicSwitchHardwareCapabilities,
      AdapterStatus.receiveFilterHardwareCapabilities,
    ],
  )
  assert.deepEqual(await harness.output(AdapterOid.nicSwitchCurrentCapabilities, 'query'), nicSwitch)
})

test('SR-CS-08: the switch is created at start with its default VPort and its VFs (SR-098, SR-099, SR-101, SR-102, SR-111, SR-121, SR-153, SR-154, SR-175)', async () => {
  const harness = await AdapterHarness.start()
  const { capability, adapter } = harness.software
  assert.deepEqual([capability.vfEnable, capability.numVFs], [true, 4])
  const [found, ...more] = await harness.output<SwitchInfo[]>(AdapterOid.nicSwitchEnumSwitches, 'query')
  assert.equal(more.length, 0)
  assert.deepEqual([found?.switchId, found?.numVFs, found?.numActiveVPorts, found?.numQueuePairsForDefaultVPort], [0, 4, 1, 1])
  const vport = adapter.nicSwitch!.vports.get(0)!.parameters
  assert.deepEqual([vport.vPortState, vport.attachedFunctionId], [1, 0xffff])
})

test('SR-CS-09: bad parameters create nothing; a second switch is refused; only NDIS asks (SR-012, SR-013, SR-017, SR-100, SR-105)', async () => {
  const harness = await withoutSwitch()
  const { capability } = harness.software
  assert.equal(await create(harness, { ...parameters(4), switchId: 1 }), NdisStatus.invalidParameter)
  assert.equal(await create(harness, { ...parameters(4), switchType: 0 }), NdisStatus.invalidParameter)
  assert.equal(await create(harness, parameters(9)), NdisStatus.invalidParameter)
  assert.equal(capability.vfEnable, false)
  assert.equal(await harness.status(AdapterOid.nicSwitchCreateSwitch, 'method', parameters(4)), NdisStatus.notSupported)
  assert.equal(await create(harness, parameters(4)), NdisStatus.success)
  assert.equal(await create(harness, parameters(4)), NdisStatus.invalidParameter)
})

test('SR-CS-10: a static switch that differs is not usable (SR-093, SR-095, SR-096, SR-097)', async () => {
  const harness = new AdapterHarness({ staticSwitch: true })
  await harness.software.adapter.start()
  const { capability } = harness.software
  assert.equal(capability.numVFs, 4)
  const deleted = { switchId: 0 }
  assert.equal(await harness.status(AdapterOid.nicSwitchDeleteSwitch, 'set', deleted, 'ndis'), NdisStatus.success)
  assert.deepEqual([capability.vfEnable, capability.numVFs], [true, 4]) // SR-115: until MiniportHaltEx
  assert.equal(await create(harness, parameters(6)), NdisStatus.invalidParameter)
  assert.equal(harness.software.adapter.nicSwitch, undefined)
  assert.equal(await create(harness, parameters(4)), NdisStatus.success)
  await harness.software.adapter.halt()
  assert.equal(capability.vfEnable, false) // SR-117, SR-305
})

test('SR-CS-11: with *SRIOV 0 nothing of it is supported (SR-104, SR-103)', async () => {
  const harness = await AdapterHarness.start({ keywords: { ...sriovKeywords(4), '*SRIOV': 0 } })
  for (const oid of [AdapterOid.nicSwitchAllocateVf, AdapterOid.nicSwitchCreateVPort])
    assert.equal(await harness.status(oid, 'method', {}), NdisStatus.notSupported)
  assert.equal(await create(harness, parameters(4)), NdisStatus.notSupported)
  assert.equal(await harness.status(AdapterOid.sriovCurrentCapabilities, 'query'), NdisStatus.notSupported)
  assert.equal(await harness.status(AdapterOid.sriovHardwareCapabilities, 'query'), NdisStatus.success)
})

test('SR-CS-11: without a switch no VF is allocated and no VPort created (SR-103, SR-156, SR-120)', async () => {
  const harness = await withoutSwitch()
  await assert.rejects(harness.allocate(MAC.a))
  await assert.rejects(harness.vport())
  assert.deepEqual(await harness.output(AdapterOid.nicSwitchEnumSwitches, 'query'), [])
  assert.equal(await harness.status(AdapterOid.nicSwitchDeleteSwitch, 'set', { switchId: 0 }, 'ndis'), NdisStatus.fileNotFound)
})

test('SR-CS-12: a set changes the name of the switch and nothing else (SR-123, SR-124, SR-125, SR-127)', async () => {
  const harness = await AdapterHarness.start()
  const set = (change: Partial<SwitchParameters>) =>
    harness.status(AdapterOid.nicSwitchParameters, 'set', { ...parameters(4), flags: 0x10000, ...change })
  assert.equal(await set({ switchFriendlyName: 'uplink' }), NdisStatus.success)
  assert.equal(await set({ switchFriendlyName: 'more', numVFs: 5 }), NdisStatus.invalidParameter)
  assert.equal(await set({ switchFriendlyName: 'more', flags: 0 }), NdisStatus.invalidParameter)
  assert.equal(harness.software.registry.text(Keyword.switchName), 'uplink')
  const read = await harness.output<SwitchParameters>(AdapterOid.nicSwitchParameters, 'method', { switchId: 0 })
  assert.equal(read.switchFriendlyName, 'uplink')
})

test('SR-CS-13: a name that takes a restart is in force after it (SR-125, SR-126)', async () => {
  const harness = await AdapterHarness.start({
    wrap: (pf) => overriding(pf, { setSwitchParameters: () => NdisStatus.reinitRequired }),
  })
  const payload = { ...parameters(4), flags: 0x10000, switchFriendlyName: 'later' }
  assert.equal(await harness.status(AdapterOid.nicSwitchParameters, 'set', payload), NdisStatus.reinitRequired)
  const { adapter, registry } = harness.software
  assert.equal(registry.text(Keyword.switchName), 'later')
  assert.equal(adapter.nicSwitch!.parameters.switchFriendlyName, 'Default Switch')
  await adapter.halt()
  await adapter.start()
  assert.equal(adapter.nicSwitch!.parameters.switchFriendlyName, 'later')
})

test('SR-CS-14: virtualization is enabled once, and disabled with no VFs (SR-016, SR-107, SR-108, SR-111, SR-017)', () => {
  const capability = new ExtendedCapability(8, { segment: 0, bus: 1, device: 0 })
  assert.equal(capability.enableVirtualization(9, true), NdisStatus.failure)
  assert.equal(capability.enableVirtualization(4, true), NdisStatus.success)
  assert.equal(capability.enableVirtualization(4, true), NdisStatus.failure)
  assert.equal(capability.enableVirtualization(2, false), NdisStatus.invalidParameter)
  assert.equal(capability.enableVirtualization(0, false), NdisStatus.success)
  assert.deepEqual([capability.vfEnable, capability.numVFs], [false, 0])
})

test('SR-CS-15: an adapter in use is not halted; unbinding frees in order, then switch and miniport go (SR-008, SR-112, SR-113, SR-114, SR-302, SR-303, SR-304)', async () => {
  const harness = await AdapterHarness.start()
  const { adapter } = harness.software
  const { vf, vport, filter } = await harness.vm(MAC.a)
  await assert.rejects(adapter.halt(), (error) => error instanceof AdapterError && error.code === 'in-use')
  harness.trace.length = 0
  await harness.request(AdapterOid.receiveFilterClearFilter, 'set', { queueId: 0, filterId: filter })
  await harness.request(AdapterOid.nicSwitchDeleteVPort, 'set', { vPortId: vport })
  await harness.request(AdapterOid.nicSwitchFreeVf, 'set', { vfId: vf })
  await adapter.halt()
  assert.deepEqual(harness.trace, [
    'OID_RECEIVE_FILTER_CLEAR_FILTER',
    'OID_NIC_SWITCH_DELETE_VPORT',
    'OID_NIC_SWITCH_FREE_VF',
    'OID_NIC_SWITCH_DELETE_SWITCH',
    'MiniportHaltEx',
  ])
  assert.equal(await harness.status(AdapterOid.sriovHardwareCapabilities, 'query'), NdisStatus.failure)
})

test('SR-CS-16: a pending delete ends in success; a miniport that fails it is in breach (SR-119)', async () => {
  let settle: (status: number) => void = () => {}
  const harness = await AdapterHarness.start({
    wrap: (pf) => overriding(pf, { deleteSwitch: () => new Promise<number>((resolve) => (settle = resolve)) }),
  })
  const first = harness.status(AdapterOid.nicSwitchDeleteSwitch, 'set', { switchId: 0 }, 'ndis')
  await new Promise((resolve) => setImmediate(resolve))
  settle(NdisStatus.success)
  assert.equal(await first, NdisStatus.success)
  assert.deepEqual(harness.reports, [])

  const failing = await AdapterHarness.start({
    wrap: (pf) => overriding(pf, { deleteSwitch: () => NdisStatus.failure }),
  })
  await failing.request(AdapterOid.nicSwitchDeleteSwitch, 'set', { switchId: 0 }, 'ndis')
  assert.match(failing.reports.join(), /failed-what-can-not-fail/)
  assert.equal(failing.software.adapter.nicSwitch, undefined)
})

test('PD-20: an adapter that resets accepts nothing; NDIS still answers from what it keeps', async () => {
  const harness = await AdapterHarness.start()
  harness.software.adapter.beginReset()
  await assert.rejects(harness.allocate(MAC.a))
  assert.equal(await harness.status(AdapterOid.nicSwitchAllocateVf, 'method', {}), NdisStatus.notAccepted)
  assert.equal(await harness.status(AdapterOid.nicSwitchEnumVfs, 'query'), NdisStatus.success)
  harness.software.adapter.resetDone()
  assert.equal((await harness.allocate(MAC.a)).vfId, 0)
})
