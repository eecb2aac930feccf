// What an adapter with RSS on VPorts of the PF (VMMQ) reports, and which keyword decides it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AdapterError, checkAttributes, pfAttributes } from '../../src/adapter/capabilities.ts'
import { SwitchCaps } from '../../src/adapter/identifiers.ts'
import { type Keyword, Registry, selectInterfaces } from '../../src/adapter/keywords.ts'
import { AdapterOid } from '../../src/adapter/oids.ts'
import type { NicSwitchCapabilities, SwitchInfo, SwitchParameters } from '../../src/adapter/payloads.ts'
import type { RssCapabilities } from '../../src/adapter/rss/rss-payloads.ts'
import { sriovKeywords } from '../../src/adapter/software-adapter.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { AdapterHarness, MAC, vportPayload } from '../support/adapter-harness.ts'
import { RssHarness, rssLimits } from '../support/rss-harness.ts'

const { success, invalidParameter, notSupported, resources } = NdisStatus
const RSS_ON_PF_VPORTS = 0x80
const ENTRY_MOVE = 0x40000000

test('an adapter with VMMQ reports revision 3: one pool, a table per VPort, hash function, type and key per VPort (VQ-177, VQ-180, VQ-181, VQ-182, VQ-183, VQ-184, VQ-187)', async () => {
  const h = await RssHarness.start()
  for (const oid of [AdapterOid.nicSwitchHardwareCapabilities, AdapterOid.nicSwitchCurrentCapabilities]) {
    const caps = await h.adapter.output<NicSwitchCapabilities>(oid, 'query')
    assert.equal(caps.nicSwitchCapabilities & 0xf90, 0xf90)
    assert.equal(caps.maxNumRssCapableNonDefaultPfVPorts, 4)
    assert.equal(caps.numberOfIndirectionTableEntriesForDefaultVPort, 32)
    assert.equal(caps.numberOfIndirectionTableEntriesPerNonDefaultPfVPort, 16)
    assert.equal(caps.maxNumQueuePairsForDefaultVPort, 8)
  }
  // It is on the default VPort, and on as many others as it says, all with tables of one size.
  assert.equal(await h.spread(0, [3]), success)
  for (let i = 0; i < 4; i++) {
    const vport = await h.vport([1, 2], 1, `02:00:00:00:01:0${i}`)
    assert.equal(await h.spread(vport, new Array(16).fill(1)), success)
    assert.equal(await h.spread(vport, new Array(32).fill(1)), invalidParameter)
  }
  const fifth = await h.vport([1, 2], 1, MAC.a)
  assert.equal(await h.spread(fifth, [1]), NdisStatus.noQueues)
})

test('a report that breaks the contract is refused with the rule (VQ-177, VQ-181, VQ-182, VQ-183, VQ-184)', () => {
  const selection = selectInterfaces(new Registry(sriovKeywords(4)))
  const good = pfAttributes(rssLimits, selection)
  checkAttributes(good)
  const broken = (rule: string, change: Partial<NicSwitchCapabilities>, flags = 0): void => {
    for (const which of ['hardwareNicSwitch', 'currentNicSwitch'] as const) {
      const caps = { ...good[which]!, nicSwitchCapabilities: good[which]!.nicSwitchCapabilities & ~flags, ...change }
      assert.throws(
        () => checkAttributes({ ...good, [which]: caps }),
        (error) => error instanceof AdapterError && error.rule === rule,
        rule,
      )
    }
  }
  broken('VQ-177', { maxNumRssCapableNonDefaultPfVPorts: 0 })
  broken('VQ-177', { maxNumQueuePairsForDefaultVPort: 6 })
  broken('VQ-197', { numberOfIndirectionTableEntriesForDefaultVPort: 24 })
  broken('VQ-197', { numberOfIndirectionTableEntriesPerNonDefaultPfVPort: 256 })
  broken('VQ-181', {}, SwitchCaps.singleVPortPool)
  broken('VQ-182', {}, SwitchCaps.rssPerVPortTable)
  broken('VQ-183', {}, SwitchCaps.rssOnPfVPorts)
  for (const flag of [SwitchCaps.rssPerVPortHashFunction, SwitchCaps.rssPerVPortHashType, SwitchCaps.rssPerVPortHashKey])
    broken('VQ-184', {}, flag)
  const none = SwitchCaps.rssPerVPortHashFunction | SwitchCaps.rssPerVPortHashType | SwitchCaps.rssPerVPortHashKey
  const without = { ...rssLimits, switchCaps: rssLimits.switchCaps & ~none }
  checkAttributes(pfAttributes(without, selection))
  for (const processors of [[], [64], [1, 1], [0.5]])
    assert.throws(() => pfAttributes({ ...rssLimits, rss: { ...rssLimits.rss, processors } }, selection), AdapterError)
})

test('*RssOnHostVPorts is read at start, is 1 where it is absent, and decides; the hardware report is complete all the same (VQ-179)', async () => {
  for (const value of [undefined, 1, 0]) {
    const keywords = { ...sriovKeywords(4), ...(value === undefined ? {} : { '*RssOnHostVPorts': value }) }
    const h = await RssHarness.start({ keywords })
    const { software } = h.adapter
    assert.ok(software.registry.reads.includes('*RssOnHostVPorts'))
    const on = value !== 0
    const { currentNicSwitch, hardwareNicSwitch } = software.adapter.attributes
    assert.equal((currentNicSwitch!.nicSwitchCapabilities & RSS_ON_PF_VPORTS) !== 0, on)
    assert.equal(currentNicSwitch!.maxNumRssCapableNonDefaultPfVPorts, on ? 4 : 0)
    assert.equal(currentNicSwitch!.maxNumQueuePairsForDefaultVPort, on ? 8 : 1)
    assert.notEqual(hardwareNicSwitch!.nicSwitchCapabilities & RSS_ON_PF_VPORTS, 0)
    assert.equal(await h.spread(await h.vport([1, 2], 2), [1, 2]), on ? success : notSupported)
    assert.equal((await h.adapter.request(AdapterOid.genReceiveScaleCapabilities, 'query')).status, on ? success : notSupported)
  }
})

test('the hardware report of RSS and of queues is complete whatever the keywords prefer (VQ-020)', () => {
  const limits = { ...rssLimits, switchCaps: rssLimits.switchCaps | SwitchCaps.nicSwitchWithoutIov }
  const all = pfAttributes(limits, selectInterfaces(new Registry(sriovKeywords(4))))
  for (const preferred of [0, 1])
    for (const queues of [0, 1])
      for (const on of [0, 1]) {
        const keywords = {
          '*SriovPreferred': preferred,
          '*RssOrVmqPreference': queues,
          '*RSS': on,
          '*VMQ': on,
          '*RssOnHostVPorts': on,
        }
        const { hardwareReceiveScale, hardwareReceiveFilter, hardwareNicSwitch } = pfAttributes(
          limits,
          selectInterfaces(new Registry(keywords)),
        )
        assert.equal(hardwareReceiveScale!.numberOfReceiveQueues, 8)
        assert.equal(hardwareReceiveFilter!.numQueues, 7)
        assert.deepEqual(
          [hardwareReceiveScale, hardwareReceiveFilter, hardwareNicSwitch],
          [all.hardwareReceiveScale, all.hardwareReceiveFilter, all.hardwareNicSwitch],
        )
      }
})

test('VMMQ is there only where a NIC switch can be made: SR-IOV is preferred, or queues are (VQ-178)', () => {
  const rows: [Partial<Record<Keyword, number>>, boolean][] = [
    [{ '*SriovPreferred': 1, '*SRIOV': 1 }, true],
    [{ '*SriovPreferred': 0, '*RssOrVmqPreference': 1, '*VMQ': 1 }, true],
    [{ '*SriovPreferred': 0, '*RssOrVmqPreference': 0, '*VMQ': 1, '*SRIOV': 1 }, false],
    [{ '*SriovPreferred': 1, '*RssOrVmqPreference': 0, '*SRIOV': 0, '*VMQ': 1 }, false],
  ]
  const limits = { ...rssLimits, switchCaps: rssLimits.switchCaps | SwitchCaps.nicSwitchWithoutIov }
  for (const [keywords, there] of rows) {
    const registry = new Registry(keywords)
    const { currentNicSwitch, receiveScale } = pfAttributes(limits, selectInterfaces(registry))
    assert.equal(currentNicSwitch !== undefined, there, JSON.stringify(keywords))
    assert.equal(receiveScale !== undefined, there)
    assert.equal(registry.reads.includes('*RssOnHostVPorts'), there)
    assert.equal(((currentNicSwitch?.nicSwitchCapabilities ?? 0) & RSS_ON_PF_VPORTS) !== 0, there)
  }
})

test('CREATE_SWITCH gives the default VPort its queue pairs: 1 where nothing is said, up to the maximum (VQ-180)', async () => {
  for (const [asked, has] of [
    [undefined, 1],
    [4, 4],
    [8, 8],
  ] as const) {
    const h = await RssHarness.withoutIov(asked)
    const [info] = await h.adapter.output<SwitchInfo[]>(AdapterOid.nicSwitchEnumSwitches, 'query')
    assert.equal(info!.numQueuePairsForDefaultVPort, has)
    assert.equal((await h.parametersV2(0)).numberOfQueues, has)
    assert.equal(await h.spread(0, [1, 2]), has === 1 ? NdisStatus.noQueues : success)
  }
  const h = await RssHarness.withoutIov()
  const create = (payload: Partial<SwitchParameters>) => {
    const all = { flags: 0, switchType: 1, switchId: 0, switchFriendlyName: 'x', numVFs: 0, ...payload }
    return h.adapter.status(AdapterOid.nicSwitchCreateSwitch, 'method', all, 'ndis')
  }
  const rename = { flags: 0x10000, switchType: 1, switchId: 0, switchFriendlyName: 'y', numVFs: 0 }
  assert.equal(
    await h.adapter.status(AdapterOid.nicSwitchParameters, 'set', { ...rename, numQueuePairsForDefaultVPort: 2 }),
    invalidParameter,
  )
  assert.equal(await h.adapter.status(AdapterOid.nicSwitchParameters, 'set', rename), success)
  assert.equal(await h.adapter.status(AdapterOid.nicSwitchDeleteSwitch, 'set', { switchId: 0 }, 'ndis'), success)
  for (const wrong of [0, 9, 1.5]) assert.equal(await create({ numQueuePairsForDefaultVPort: wrong }), invalidParameter)
  assert.equal(await create({ numQueuePairsForDefaultVPort: 2 }), success)
})

test('without the asymmetric flag all nondefault VPorts have one maximum, and VFs one count (VQ-188)', async () => {
  const h = await RssHarness.start()
  const { vfId } = await h.adapter.allocate(MAC.a)
  const vf = await h.adapter.vport(vfId, 'stack', 2)
  const counts = [1, 2, 3, 4]
  const vports: number[] = []
  for (const [i, count] of counts.entries()) vports.push(await h.vport([1, 2, 3, 4], count, `02:00:00:00:01:0${i}`))
  for (const vport of vports) {
    assert.equal(await h.queuePairs(vport, 5), invalidParameter)
    assert.equal(await h.queuePairs(vport, 4), success)
  }
  assert.equal(await h.queuePairs(vf, 4), invalidParameter) // queue pairs of a VF are fixed
  const other = await h.adapter.allocate(MAC.b)
  const payload = vportPayload(other.vfId, 1)
  assert.equal(await h.adapter.status(AdapterOid.nicSwitchCreateVPort, 'method', payload), invalidParameter)
  // The budget of the switch holds, 32 in all: 8 of the default VPort, 2 of the VF, five times 4.
  assert.equal(await h.queuePairs(0, 8), success)
  await h.vport([1], 4, '02:00:00:00:01:04')
  const last = await h.vport([1], 1, MAC.c)
  assert.equal(await h.queuePairs(last, 3), resources)
  assert.equal(await h.queuePairs(last, 2), success)
})

test('NDIS answers RSS capabilities, of an adapter and of a VPort; as many messages as processors, whatever keywords say (VQ-189, VQ-190, VQ-210)', async () => {
  const h = await RssHarness.start()
  const { software } = h.adapter
  const calls: string[] = []
  for (const name of ['set', 'move', 'replace'] as const) software.pf.rss![name] = () => calls.push(name) && 0
  const caps = await h.query<RssCapabilities>(AdapterOid.genReceiveScaleCapabilities, await h.vport([1]))
  assert.deepEqual(await h.adapter.output(AdapterOid.genReceiveScaleCapabilities, 'query'), caps)
  assert.deepEqual(calls, [])
  assert.equal(caps.numberOfInterruptMessages, 8)
  assert.equal(caps.capabilitiesFlags & 0xff, 1)
  assert.notEqual(caps.capabilitiesFlags & ENTRY_MOVE, 0)
  for (const keyword of ['*MaxRssProcessors', '*RssMaxProcNumber', '*NumRssQueues'])
    assert.ok(!software.registry.reads.some((read) => (read as string) === keyword))
  const old = await RssHarness.start({ rss: { independentEntryMove: false } })
  const oldCaps = await old.adapter.output<RssCapabilities>(AdapterOid.genReceiveScaleCapabilities, 'query')
  assert.equal(oldCaps.capabilitiesFlags & ENTRY_MOVE, 0)
})

test('an adapter that has no RSS on VPorts refuses its requests, and queue pairs stay as they are (VQ-179)', async () => {
  const harness = await AdapterHarness.start()
  const vport = await harness.vport()
  for (const oid of [AdapterOid.genReceiveScaleParameters, AdapterOid.genReceiveScaleParametersV2])
    assert.equal((await harness.software.adapter.request({ oid, type: 'query', vPortId: vport }, 'stack')).status, notSupported)
  const payload = { flags: 0, entries: [] }
  const request = { oid: AdapterOid.genRssSetIndirectionTableEntries, type: 'method', payload } as const
  assert.equal(harness.software.adapter.requestSynchronous(request, 'stack', 0).status, notSupported)
  const change = { ...vportPayload(0xffff, 2), vPortId: vport, flags: 0x00800000 }
  assert.equal(await harness.status(AdapterOid.nicSwitchVPortParameters, 'set', change), invalidParameter)
})
