// What an adapter registers and tells those above it, which keywords it reads when, static and dynamic switches, and switches without
// SR-IOV.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AdapterError, checkAttributes, limitsFor, pfAttributes, vfAttributes } from '../../src/adapter/capabilities.ts'
import { ExtendedCapability } from '../../src/adapter/extended-capability.ts'
import { SwitchCaps } from '../../src/adapter/identifiers.ts'
import { Keyword, Registry, selectInterfaces } from '../../src/adapter/keywords.ts'
import { AdapterOid } from '../../src/adapter/oids.ts'
import type { NicSwitchCapabilities } from '../../src/adapter/payloads.ts'
import { sriovKeywords } from '../../src/adapter/software-adapter.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { AdapterHarness, ANY_VLAN, fixtureLimits, MAC, vfPayload, wireFrame } from '../support/adapter-harness.ts'

const { success, failure, invalidParameter, notSupported } = NdisStatus
const parameters = (numVFs: number) => ({
  flags: 0,
  switchType: 1,
  switchId: 0,
  switchFriendlyName: 'Default Switch',
  numVFs,
})
const create = (harness: AdapterHarness, numVFs: number) =>
  harness.status(AdapterOid.nicSwitchCreateSwitch, 'method', parameters(numVFs), 'ndis')
const remove = (harness: AdapterHarness) => harness.status(AdapterOid.nicSwitchDeleteSwitch, 'set', { switchId: 0 }, 'ndis')

test('an adapter that was added but not initialized has touched neither memory nor keywords (SR-021, SR-022, SR-026)', async () => {
  const harness = new AdapterHarness()
  const { software } = harness
  assert.deepEqual(software.registry.reads, [])
  assert.deepEqual(software.adapter.attributes, {})
  assert.equal(software.capability.vfEnable, false)
  const { vports } = software.tables
  for (let vport = 0; vport <= harness.wire; vport++) assert.equal(vports.flags(vport), 0)
  await software.adapter.start()
  assert.ok(software.adapter.attributes.currentSriov && software.adapter.attributes.currentNicSwitch)
  assert.ok(software.registry.reads.length > 0)
})

test('a PF reports what it is, and the switch capabilities of revision 2 without the members of revision 1 (SR-027, SR-040, SR-046)', async () => {
  const harness = await AdapterHarness.start()
  const sriov = { oid: AdapterOid.sriovCurrentCapabilities, type: 'query' } as const
  assert.deepEqual(await harness.output(sriov.oid, 'query'), { sriovCapabilities: 0x3 })
  const caps = await harness.output<NicSwitchCapabilities>(AdapterOid.nicSwitchHardwareCapabilities, 'query')
  const short = await harness.software.adapter.request(
    { oid: AdapterOid.nicSwitchHardwareCapabilities, type: 'query', outputRoom: 32 },
    'app',
  )
  assert.ok(short.bytesNeeded! >= 116, 'a buffer of revision 1 is too short')
  for (const name of ['maxNumSwitches', 'maxNumVPorts', 'maxNumVFs', 'maxNumQueuePairs', 'maxNumMacAddresses'] as const)
    assert.ok(caps[name] > 0, name)
  for (const name of ['numTotalMacAddresses', 'numMacAddressesPerPort', 'numVlansPerPort'])
    assert.equal((caps as unknown as Record<string, unknown>)[name] ?? 0, 0, name)
})

test('a VF may advertise more than SR-IOV; the queue pairs of its VPort may serve RSS in the guest (SR-039, SR-051)', async () => {
  checkAttributes({ ...vfAttributes() })
  const limits = limitsFor(4)
  assert.notEqual(limits.switchCaps & SwitchCaps.vfRss, 0)
  const harness = await AdapterHarness.start({ limits })
  const { vfId } = await harness.allocate(MAC.a)
  const vport = await harness.vport(vfId, 'stack', 4)
  await harness.filter(vport, MAC.a)
  const { data } = await harness.software.channel(vfId).read(5, 4)
  assert.notEqual(new DataView(data!.buffer).getUint32(0, true), 0, 'offloads')
  // A flow stays on one of the queues, and flows use more than one.
  const queues = Array.from({ length: 4 }, () => [] as string[])
  harness.data.delivery.setQueues(
    vport,
    queues.map((got) => ({
      offloads: 0xff,
      refusal: 1,
      deliver: (list: number, count: number) => {
        for (const slot of new Uint16Array(harness.data.buffer, list, count))
          got.push(harness.data.bytesOf(slot).subarray(34, 36).toString('hex'))
        return count
      },
    })),
  )
  const udp = (source: number): Buffer => {
    const frame = wireFrame(MAC.a, MAC.peer, 'x'.repeat(60))
    frame.writeUInt16BE(0x0800, 12)
    frame.set([0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], 14)
    frame.writeUInt16BE(source, 34)
    frame.writeUInt16BE(53, 36)
    return frame
  }
  for (let round = 0; round < 2; round++) harness.send(harness.wire, ...Array.from({ length: 32 }, (_, i) => udp(1000 + i)))
  assert.ok(queues.filter((got) => got.length > 0).length > 1)
  assert.equal(queues.flat().length, 64)
  const owners = new Map<string, number>()
  for (const [queue, got] of queues.entries())
    for (const flow of got) {
      assert.equal(owners.get(flow) ?? queue, queue)
      owners.set(flow, queue)
    }
})

test('hardware that is short of VFs has fewer than the keyword asks for (SR-047)', async () => {
  const harness = await AdapterHarness.start({ limits: { ...fixtureLimits, maxNumVFs: 2 } })
  assert.equal(harness.software.registry.number(Keyword.numVFs), 4)
  assert.deepEqual([harness.software.capability.numVFs, harness.software.adapter.nicSwitch?.parameters.numVFs], [2, 2])
})

test('without VLAN tests the address alone decides, and every tag goes up out of band (SR-068)', async () => {
  const harness = await AdapterHarness.start({ keywords: { ...sriovKeywords(4), '*VMQVlanFiltering': 0 } })
  const vport = await harness.vport()
  await harness.filter(vport, MAC.c)
  await harness.activate(vport)
  const of = (text: string, ...tags: number[]) => wireFrame(MAC.c, MAC.peer, text, ...tags)
  harness.send(harness.wire, of('none'), of('zero', 0x6000), of('five', 0xa005))
  assert.deepEqual(
    harness.sink(vport).frames.map(({ text, tag, bytes }) => [text, tag, bytes.readUInt16BE(12)]),
    [
      ['none', 0, 0x88b5],
      ['zero', 0x6000, 0x88b5],
      ['five', 0xa005, 0x88b5],
    ],
  )
  await assert.rejects(harness.filter(0, MAC.c, ANY_VLAN), 'the address is held')
  assert.equal(harness.software.adapter.nicSwitch!.filters.find(MAC.c, 0)?.vport, vport)
})

test('who binds is told what is enabled and which switches there are (SR-070, SR-122)', async () => {
  const harness = await AdapterHarness.start()
  const { adapter } = harness.software
  const { attributes } = adapter
  const told = adapter.bind('protocol')
  assert.deepEqual(
    [told.sriovCapabilities, told.nicSwitchCapabilities, told.receiveFilterCapabilities],
    [attributes.currentSriov, attributes.currentNicSwitch, attributes.currentReceiveFilter],
  )
  assert.deepEqual(told.nicSwitchArray, await harness.output(AdapterOid.nicSwitchEnumSwitches, 'query'))
  assert.throws(() => adapter.bind('protocol'), /bound already/)
  const off = await AdapterHarness.start({ keywords: { ...sriovKeywords(4), '*SRIOV': 0 } })
  const without = off.software.adapter.bind('protocol')
  assert.deepEqual([without.sriovCapabilities, without.nicSwitchCapabilities, without.nicSwitchArray], [undefined, undefined, []])
})

test('a driver goes when it has cleared its filters, deleted its VPorts and freed its VFs (SR-142, SR-193, SR-194, SR-219, SR-302)', async () => {
  const harness = await AdapterHarness.start()
  const { adapter } = harness.software
  for (const driver of ['protocol', 'filter']) {
    adapter.bind(driver)
    const { vfId } = await harness.allocate(MAC.a, driver)
    const vport = await harness.vport(vfId, driver)
    const filters = [await harness.filter(vport, MAC.a, 0, driver), await harness.filter(0, MAC.b, 0, driver)]
    const refused = (left: RegExp) =>
      assert.throws(
        () => adapter.unbind(driver),
        (error) => error instanceof AdapterError && error.code === 'in-use' && left.test(error.message),
      )
    refused(/filter 1, filter 2, VPort 1, VF 0$/)
    await assert.rejects(adapter.halt(), (error) => error instanceof AdapterError && error.code === 'in-use')
    for (const filterId of filters)
      assert.equal(await harness.status(AdapterOid.receiveFilterClearFilter, 'set', { queueId: 0, filterId }, driver), success)
    refused(/: VPort 1, VF 0$/)
    assert.equal(await harness.status(AdapterOid.nicSwitchDeleteVPort, 'set', { vPortId: vport }, driver), success)
    refused(/: VF 0$/)
    assert.equal(await harness.status(AdapterOid.nicSwitchFreeVf, 'set', { vfId }, driver), success)
    await assert.rejects(adapter.halt(), /bound or attached/)
    adapter.unbind(driver)
  }
  await adapter.halt()
})

test('native RSS is off while SR-IOV or VMQ is on (SR-085)', () => {
  const choices = [
    { '*SriovPreferred': 1, '*SRIOV': 1 },
    { '*RssOrVmqPreference': 1, '*VMQ': 1 },
    { '*SriovPreferred': 1, '*RssOrVmqPreference': 1, '*SRIOV': 0, '*VMQ': 1 },
  ]
  for (const keywords of choices) assert.equal(selectInterfaces(new Registry({ ...keywords, '*RSS': 1 })).rss, false)
  assert.equal(selectInterfaces(new Registry({ '*RSS': 1 })).rss, true)
})

test('the keywords of the default switch, and when a change of keywords is in force (SR-088, SR-089)', async () => {
  const registry = new Registry()
  const defaults = [Keyword.switchFlags, Keyword.switchType, Keyword.switchId, Keyword.numVFs].map((name) =>
    registry.number(name),
  )
  assert.deepEqual([...defaults, registry.text(Keyword.switchName)], [0, 1, 0, 0, 'Default Switch'])
  const harness = await AdapterHarness.start()
  const { adapter, capability } = harness.software
  const before = harness.software.pf
  await harness.software.changeKeywords({ [Keyword.numVFs]: 6 })
  assert.deepEqual([capability.numVFs, adapter.state, harness.software.pf === before], [6, 'running', false])
  await harness.allocate(MAC.a)
  await assert.rejects(harness.software.changeKeywords({ [Keyword.numVFs]: 2 }), /left/)
  assert.deepEqual([capability.numVFs, harness.software.registry.number(Keyword.numVFs)], [6, 6], 'nothing was changed')
})

test('a static switch is made of keywords that were checked first, and outlives DELETE_SWITCH until the halt (SR-094, SR-115, SR-117, SR-305)', async () => {
  const wrong = new AdapterHarness({ staticSwitch: true, keywords: sriovKeywords(9) })
  await assert.rejects(wrong.software.adapter.start(), RangeError)
  assert.deepEqual([wrong.software.capability.vfEnable, wrong.software.capability.numVFs], [false, 0])
  const harness = await AdapterHarness.start({ staticSwitch: true })
  const { adapter, capability, tables } = harness.software
  const waiting = harness.software.channel((await harness.allocate(MAC.a)).vfId).invalidated()
  await harness.request(AdapterOid.nicSwitchFreeVf, 'set', { vfId: 0 })
  assert.equal(await remove(harness), success)
  assert.deepEqual([capability.vfEnable, capability.numVFs, tables.vports.flags(0), adapter.nicSwitch], [true, 4, 0, undefined])
  await adapter.halt()
  assert.deepEqual([capability.vfEnable, capability.numVFs], [false, 0])
  assert.equal(await waiting, 0n)
})

test('a dynamic switch goes with its hardware when it is deleted (SR-116)', async () => {
  const harness = await AdapterHarness.start()
  const { capability, tables } = harness.software
  assert.equal(await remove(harness), success)
  assert.deepEqual([capability.vfEnable, capability.numVFs, tables.vports.flags(0)], [false, 0, 0])
  assert.equal(await create(harness, 2), success)
  assert.equal(capability.numVFs, 2)
})

test('virtualization is enabled without migration of VFs, whoever asks for it (SR-110)', () => {
  const capability = new ExtendedCapability(8, { segment: 0, bus: 1, device: 0 })
  assert.equal(capability.enableVirtualization(4, true, true), invalidParameter)
  assert.equal(capability.vfEnable, false)
  assert.equal(capability.enableVirtualization(4, true), success)
})

test('a switch without SR-IOV is advertised beside VMQ, and has VPorts of the PF alone (SR-128)', async () => {
  const limits = { ...fixtureLimits, switchCaps: fixtureLimits.switchCaps | SwitchCaps.nicSwitchWithoutIov }
  const keywords = { '*RssOrVmqPreference': 1, '*VMQ': 1 }
  const attributes = pfAttributes(limits, selectInterfaces(new Registry(keywords)))
  assert.equal(attributes.currentSriov, undefined)
  assert.notEqual(attributes.currentNicSwitch!.nicSwitchCapabilities & SwitchCaps.nicSwitchWithoutIov, 0)
  assert.ok(attributes.currentReceiveFilter!.numQueues > 0)
  assert.equal(pfAttributes(fixtureLimits, selectInterfaces(new Registry(keywords))).currentNicSwitch, undefined)
  const harness = await AdapterHarness.start({ limits, keywords })
  assert.equal(await create(harness, 1), invalidParameter)
  assert.equal(await create(harness, 0), success)
  assert.equal(harness.software.capability.vfEnable, false)
  assert.equal(await harness.status(AdapterOid.nicSwitchAllocateVf, 'method', vfPayload(MAC.a)), notSupported)
  const vport = await harness.vport()
  await harness.filter(vport, MAC.c)
  await harness.activate(vport)
  harness.send(harness.wire, wireFrame(MAC.c, MAC.peer, 'to c'))
  assert.deepEqual(harness.got(vport), ['to c'])
})

test('the LUID of a PF is there before its miniport initializes, until it has halted, and is its own (SR-279)', async () => {
  const during: number[] = []
  const harness: AdapterHarness = new AdapterHarness({
    wrap: (pf) => {
      during.push(harness.software.adapter.luid)
      return pf
    },
  })
  const { adapter } = harness.software
  assert.equal(adapter.luid, 0)
  await adapter.start()
  assert.deepEqual(await harness.output(AdapterOid.sriovPfLuid, 'query'), { luid: during[0] })
  assert.ok(during[0]! > 0)
  const other = await AdapterHarness.start()
  assert.notEqual(other.software.adapter.luid, during[0])
  await adapter.halt()
  assert.equal(adapter.luid, 0)
  assert.equal(await harness.status(AdapterOid.sriovPfLuid, 'query'), failure)
})
