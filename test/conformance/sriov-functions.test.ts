// Scenarios SR-CS-51 to SR-CS-54 and SR-CS-57 to SR-CS-65 as the model knows them: bring-up and teardown in order, backchannel, configuration space,
// BARs, reset, power, surprise removal; and what a hostile VF tries.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setVf, showVf, VfWordsError } from '../../src/adapter/linux-words.ts'
import { AdapterOid } from '../../src/adapter/oids.ts'
import { type AssignedVf, VfAssignment, VfAssignmentError, type VfExposure } from '../../src/adapter/sequences.ts'
import type { SoftwarePfOptions } from '../../src/adapter/software-pf.ts'
import { vportDrops, vportStatistics } from '../../src/adapter/statistics.ts'
import type { VfDevice } from '../../src/adapter/vf-device.ts'
import { DROP_REASONS_MAX, dropReasonNames } from '../../src/ndis/drop-reasons.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { AdapterHarness, BROADCAST, MAC, overriding, wireFrame } from '../support/adapter-harness.ts'

const { success, failure, invalidParameter, invalidLength, notAccepted } = NdisStatus

const vmOf = (vmName: string, mac: string, vlan = 0) => ({ vmName, nicName: `${vmName}-nic`, mac, vlan, queuePairs: 1 })

/** A stack whose guests do as told, and its trace. */
function stackOf(harness: AdapterHarness, change: Partial<VfExposure> = {}, order: 'deferred' | 'strict' = 'deferred') {
  const exposure: VfExposure = {
    expose: async () => {},
    withdraw: async () => {},
    surprise: async () => {},
    ...change,
  }
  const { adapter } = harness.software
  let late: () => void = () => {}
  const wait = () => new Promise<void>((resolve) => (late = resolve))
  const stack = new VfAssignment({ order }, { adapter, exposure, wait, trace: (step) => harness.trace.push(step) })
  return { stack, timeout: () => late() }
}

const short = (trace: readonly string[]): string[] =>
  trace.map((step) => step.replace(/^OID_(NIC_SWITCH|RECEIVE_FILTER|SRIOV)_/, ''))

test('SR-CS-51, PD-10: bring-up in the documented order, and deferred to when the guest is ready (SR-240, SR-241, SR-242, SR-244)', async () => {
  for (const [order, wanted] of [
    ['strict', ['ALLOCATE_VF', 'CREATE_VPORT', 'MOVE_FILTER', 'expose']],
    ['deferred', ['ALLOCATE_VF', 'CREATE_VPORT', 'expose', 'MOVE_FILTER']],
  ] as const) {
    const harness = await AdapterHarness.start()
    const during: string[] = []
    const { stack } = stackOf(
      harness,
      {
        expose: async (vf) => {
          harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'meanwhile'))
          during.push(harness.got(0).length > 0 ? 'synthetic' : harness.got(vf.vportId).length > 0 ? 'vf' : 'lost')
        },
      },
      order,
    )
    await stack.synthetic(vmOf('A', MAC.a))
    harness.trace.length = 0
    const vf = await stack.assign(vmOf('A', MAC.a))
    assert.deepEqual(short(harness.trace), wanted)
    assert.deepEqual(during, [order === 'strict' ? 'vf' : 'synthetic'])
    harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'then'))
    assert.deepEqual([harness.got(vf.vportId), harness.got(0)], [['then'], []])
    assert.equal(vf.serialNumber, 1)
  }
})

test('SR-CS-52: removal in the documented order; frames go to the synthetic path (SR-245, SR-248, SR-249, SR-250, SR-252)', async () => {
  const harness = await AdapterHarness.start()
  const { stack } = stackOf(harness, { drain: async () => void harness.trace.push('drain') })
  await stack.synthetic(vmOf('A', MAC.a))
  const vf = await stack.assign(vmOf('A', MAC.a))
  harness.trace.length = 0
  await stack.remove(vf.vfId)
  assert.deepEqual(short(harness.trace), ['withdraw', 'MOVE_FILTER', 'drain', 'DELETE_VPORT', 'RESET_VF', 'FREE_VF'])
  harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'back'))
  assert.deepEqual([harness.got(0), harness.got(vf.vportId)], [['back'], []])
  await stack.unbind()
  await harness.software.adapter.halt()
})

test('SR-CS-53, PD-14: a guest that does not answer, or fails, loses its VF by surprise (SR-246)', async () => {
  for (const withdraw of [() => new Promise<void>(() => {}), () => Promise.reject(new Error('the guest crashed'))]) {
    const harness = await AdapterHarness.start()
    const surprised: number[] = []
    const { stack, timeout } = stackOf(harness, { withdraw, surprise: async (vf) => void surprised.push(vf.vfId) })
    const vf = await stack.assign(vmOf('A', MAC.a))
    const removal = stack.remove(vf.vfId)
    timeout()
    await removal
    assert.deepEqual(surprised, [vf.vfId])
    harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'x'))
    assert.deepEqual(harness.got(0), ['x'])
  }
})

test('SR-CS-19, SR-CS-54: with all VFs taken a VM stays synthetic; a VF is taken from one VM and given to another (SR-053, SR-253, SR-254)', async () => {
  const harness = await AdapterHarness.start()
  const { stack } = stackOf(harness)
  const macs = [1, 2, 3, 4, 5].map((n) => `02:00:00:00:0a:0${n}`)
  for (const mac of macs) await stack.synthetic(vmOf(mac, mac))
  const given: AssignedVf[] = []
  for (const mac of macs.slice(0, 4)) given.push(await stack.assign(vmOf(mac, mac)))
  await assert.rejects(
    stack.assign(vmOf('E', macs[4]!)),
    (error) => error instanceof VfAssignmentError && error.status === NdisStatus.resources,
  )
  harness.send(harness.wire, wireFrame(macs[4]!, MAC.peer, 'e'))
  assert.deepEqual(harness.got(0), ['e'])
  await stack.remove(given[0]!.vfId)
  const now = await stack.assign(vmOf('E', macs[4]!))
  harness.send(harness.wire, wireFrame(macs[0]!, MAC.peer, 'a'), wireFrame(macs[4]!, MAC.peer, 'e'))
  assert.deepEqual([harness.got(0), harness.got(now.vportId)], [['a'], ['e']])
})

test('SR-CS-57: what fails half way is undone, and the VM stays synthetic (SR-053)', async () => {
  const harness = await AdapterHarness.start({ wrap: (pf) => overriding(pf, { createVPort: () => NdisStatus.resources }) })
  const { stack } = stackOf(harness)
  await stack.synthetic(vmOf('A', MAC.a))
  await assert.rejects(stack.assign(vmOf('A', MAC.a)), VfAssignmentError)
  assert.equal(harness.software.adapter.nicSwitch!.vfs.size, 0)

  const refusing = await AdapterHarness.start()
  const { stack: second } = stackOf(refusing, { expose: () => Promise.reject(new Error('no slot')) }, 'strict')
  await second.synthetic(vmOf('A', MAC.a))
  await assert.rejects(second.assign(vmOf('A', MAC.a)), /no slot/)
  assert.equal(refusing.software.adapter.nicSwitch!.vports.list().length, 1)
  refusing.send(refusing.wire, wireFrame(MAC.a, MAC.peer, 'x'))
  assert.deepEqual(refusing.got(0), ['x'])
})

test('SR-CS-58: blocks are read and written over the backchannel; everything else is failure (SR-284, SR-285, SR-287, SR-288, SR-289)', async () => {
  const harness = await AdapterHarness.start()
  const { vf } = await harness.vm(MAC.a)
  const channel = harness.software.channel(vf)
  const { status, data } = await channel.read(0, 64)
  assert.equal(status, success)
  assert.deepEqual([...data!.subarray(0, 10)], [1, 0, 2, 0, 0, 0, 0, 0x0a, 0xdc, 0x05])
  assert.equal(data!.length, 64)
  assert.equal(await channel.write(2, new Uint8Array([1, 0])), success)
  assert.equal((await channel.read(77, 4)).status, failure)
  assert.equal((await channel.read(0, 129)).status, failure)
  assert.equal((await channel.read(0, 0)).status, failure)
  assert.equal(await channel.write(2, new Uint8Array(129)), failure)
  assert.equal(await channel.write(0, new Uint8Array(4)), failure)
  const direct = { vfId: vf, blockId: 0, length: 129, room: 200 }
  assert.equal(await harness.status(AdapterOid.sriovReadVfConfigBlock, 'method', direct), invalidParameter)
})

test('PD-16: a bad write of a block changes nothing', async () => {
  const harness = await AdapterHarness.start()
  const { vf, vport } = await harness.vm(MAC.a)
  const channel = harness.software.channel(vf)
  assert.equal(await channel.write(2, new Uint8Array([0, 1, 1, 0, 0x5e, 0, 0, 5])), success)
  const bad = [
    [],
    [0],
    [4, 0],
    [0, 1],
    [0, 2, 1, 0, 0x5e, 0, 0, 5],
    [0, 1, 2, 0, 0x5e, 0, 0, 5],
    [1, 1, 1, 0, 0x5e, 0, 0],
    [3, 0],
  ]
  for (const bytes of bad) assert.equal(await channel.write(2, new Uint8Array(bytes)), failure, bytes.join())
  harness.send(harness.wire, wireFrame('01:00:5e:00:00:05', MAC.peer, 'g'), wireFrame('01:00:5e:00:00:06', MAC.peer, 'h'))
  assert.deepEqual(harness.got(vport), ['g'])
})

test('a VF that floods its group list takes no other VF its groups', async () => {
  const harness = await AdapterHarness.start()
  const hostile = await harness.vm(MAC.a)
  const good = await harness.vm(MAC.b)
  const groups = (from: number, count: number) =>
    new Uint8Array([0, count, ...Array.from({ length: count }, (_, i) => [1, 0, 0x5e, 1, from >> 8, (from + i) & 255]).flat()])
  for (let round = 0; round < 300; round++) await harness.software.channel(hostile.vf).write(2, groups(round * 20, 21))
  assert.equal(await harness.software.channel(good.vf).write(2, groups(7000, 21)), success)
  assert.ok(harness.software.pf.vf(hostile.vf)!.groups.length <= 21)
})

test('SR-CS-59, SR-CS-60: masks are ORed until asked for, per VF (SR-291, SR-292, SR-294, SR-006)', async () => {
  const harness = await AdapterHarness.start()
  const a = await harness.vm(MAC.a)
  const b = await harness.vm(MAC.b)
  const { invalidations } = harness.software.pf
  let toldB = false
  harness.software
    .channel(b.vf)
    .invalidated()
    .then(() => {
      toldB = true
    })
  invalidations.invalidate(a.vf, 0x1n)
  invalidations.invalidate(a.vf, 0x6n)
  invalidations.invalidate(a.vf, 1n << 64n)
  assert.equal(await harness.software.channel(a.vf).invalidated(), 0x7n)
  let again = false
  harness.software
    .channel(a.vf)
    .invalidated()
    .then(() => {
      again = true
    })
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual([toldB, again], [false, false])
})

test('statistics of a VPort count what its guest sent, got and lost; the guest reads its own over the backchannel', async () => {
  const harness = await AdapterHarness.start()
  const a = await harness.vm(MAC.a)
  const b = await harness.vm(MAC.b)
  harness.send(a.vport, wireFrame(MAC.b, MAC.a, 'x'), wireFrame(MAC.b, MAC.c, 'forged'), wireFrame(BROADCAST, MAC.a, 'all'))
  harness.sink(a.vport).capacity = 1
  harness.send(b.vport, wireFrame(MAC.a, MAC.b, 'y'), wireFrame(MAC.a, MAC.b, 'too much'))
  const found = vportStatistics([harness.data.counters], a.vport)
  assert.deepEqual(found, {
    receivedFrames: 1,
    receivedBytes: 60,
    receiveDropped: 1,
    sentFrames: 3,
    sentBytes: 180,
    sentMulticast: 1,
    sendDropped: 1,
  })
  assert.deepEqual(
    [...vportDrops([harness.data.counters], a.vport, DROP_REASONS_MAX)].map(([reason, count]) => [
      dropReasonNames[reason],
      count,
    ]),
    [
      ['receive-ring-full', 1],
      ['mac-spoofing', 1],
    ],
  )
  const { data } = await harness.software.channel(a.vf).read(3, 48)
  const view = new DataView(data!.buffer)
  assert.deepEqual(
    [0, 8, 16, 24, 32, 40].map((at) => Number(view.getBigUint64(at, true))),
    [1, 60, 3, 180, 1, 1],
  )
})

test('a change of the link invalidates blocks 0 and 1 of the VFs that follow it', async () => {
  const harness = await AdapterHarness.start()
  const a = await harness.vm(MAC.a)
  const b = await harness.vm(MAC.b)
  harness.software.pf.configure(b.vf, { linkMode: 'enable' })
  harness.software.pf.setWire(true, false)
  const channel = harness.software.channel(a.vf)
  assert.equal(await channel.invalidated(), 3n)
  assert.deepEqual([...(await channel.read(1, 4)).data!], [0, 0, 0, 0])
  assert.deepEqual([...(await harness.software.channel(b.vf).read(1, 4)).data!], [1, 0, 0, 0])
})

test('SR-CS-61: configuration space goes through the PF, of allocated VFs, within its bounds (SR-265, SR-266, SR-267, SR-268, SR-269)', async () => {
  const harness = await AdapterHarness.start()
  const { vfId } = await harness.allocate(MAC.a)
  const read = (change: object) =>
    harness.request(AdapterOid.sriovReadVfConfigSpace, 'method', { vfId, offset: 0, length: 4, room: 4, ...change })
  assert.deepEqual([...((await read({})).output as Uint8Array)], [255, 255, 255, 255])
  assert.equal((await read({ vfId: 1 })).status, invalidParameter)
  assert.deepEqual([(await read({ length: 8 })).status, (await read({ length: 8 })).bytesNeeded], [invalidLength, 8])
  assert.equal((await read({ offset: 4094 })).status, invalidParameter)
  assert.equal((await read({ offset: 0xffffffff })).status, invalidParameter)
  const write = (change: object) =>
    harness.status(AdapterOid.sriovWriteVfConfigSpace, 'set', { vfId, offset: 4, data: new Uint8Array([0xff, 0xff]), ...change })
  assert.equal(await write({}), success)
  assert.deepEqual([...((await read({ offset: 4 })).output as Uint8Array)], [4, 0, 0, 0]) // bus master alone
  assert.equal(await write({ offset: 4095 }), invalidParameter)
  assert.equal(await write({ data: 'x' }), invalidParameter)
})

test('SR-CS-62: probed BARs and windows of VFs, for NDIS alone (SR-275, SR-276, SR-277, SR-278)', async () => {
  const identity = { vendorId: 0x1234, deviceId: 0x5678, barBytes: [4096, 0, 8192, 0, 16384, 0], barBase: 0xc0000000 }
  const harness = await AdapterHarness.start({ identity } satisfies Partial<SoftwarePfOptions>)
  await harness.allocate(MAC.a)
  const { vfId } = await harness.allocate(MAC.b)
  assert.deepEqual(
    await harness.output(AdapterOid.sriovProbedBars, 'query', undefined, 'ndis'),
    [0xfffff000, 0, 0xffffe000, 0, 0xffffc000, 0],
  )
  const bar = (barIndex: number) => harness.request(AdapterOid.sriovBarResources, 'method', { vfId, barIndex }, 'ndis')
  assert.deepEqual((await bar(0)).output, { type: 'memory', start: 0xc0001000, length: 4096 })
  assert.deepEqual((await bar(2)).output, { type: 'memory', start: 0xc0000000 + 8 * 4096 + 8192, length: 8192 })
  assert.equal((await bar(1)).status, invalidParameter)
  assert.equal((await bar(6)).status, invalidParameter)
  assert.equal(await harness.status(AdapterOid.sriovProbedBars, 'query'), NdisStatus.notSupported)
  assert.deepEqual(await harness.output(AdapterOid.sriovVfVendorDeviceId, 'method', { vfId }), {
    vfId,
    vendorId: 0x1234,
    deviceId: 0x5678,
  })
})

test('SR-CS-63: a reset is of one VF; a VF that resets in a loop disturbs nobody (SR-297)', async () => {
  const harness = await AdapterHarness.start()
  const a = await harness.vm(MAC.a)
  const b = await harness.vm(MAC.b)
  let resets = 0
  const device: VfDevice = {
    readConfig: (_offset, length) => new Uint8Array(length),
    writeConfig() {},
    reset: async () => void resets++,
    setPowerState() {},
  }
  harness.software.pf.attachDevice(a.vf, device)
  await harness.software.channel(a.vf).write(2, new Uint8Array([1, 0]))
  for (let i = 0; i < 50; i++) {
    assert.equal(await harness.status(AdapterOid.sriovResetVf, 'set', { vfId: a.vf }), success)
    harness.send(harness.wire, wireFrame(MAC.b, MAC.peer, String(i)))
  }
  assert.equal(resets, 50)
  assert.equal(harness.got(b.vport).length, 50)
  assert.equal(await harness.software.channel(a.vf).invalidated(), 1n)
  harness.send(harness.wire, wireFrame('01:00:5e:00:00:09', MAC.peer, 'g'), wireFrame(MAC.a, MAC.peer, 'still here'))
  assert.deepEqual(harness.got(a.vport), ['still here']) // what it asked for is forgotten, its filter is not
  assert.equal(await harness.status(AdapterOid.sriovResetVf, 'set', { vfId: 3 }), invalidParameter)
})

test('SR-CS-65: after surprise removal guests lose their VFs, and nothing is accepted (SR-307, SR-308)', async () => {
  const harness = await AdapterHarness.start()
  const { adapter } = harness.software
  const surprised: number[] = []
  const { stack } = stackOf(harness, { surprise: async (vf) => void surprised.push(vf.vfId) })
  for (const mac of [MAC.a, MAC.b]) await stack.assign(vmOf(mac, mac))
  await stack.synthetic(vmOf('C', MAC.c))
  const events: string[] = []
  adapter.notification().then((event) => events.push(event))
  adapter.surpriseRemove()
  adapter.surpriseRemove()
  await stack.surpriseRemoved()
  assert.deepEqual([events, surprised], [['surprise-remove'], [0, 1]])
  const clear = { queueId: 0, filterId: 1 }
  assert.equal(await harness.status(AdapterOid.receiveFilterClearFilter, 'set', clear), notAccepted)
  assert.equal(await harness.status(AdapterOid.sriovResetVf, 'set', { vfId: 0 }), failure)
  assert.equal(await harness.status(AdapterOid.nicSwitchFreeVf, 'set', { vfId: 0 }), notAccepted)
  await adapter.halt()
  assert.equal(adapter.state, 'halted')
})

test('Linux words set the same model: mac, vlan, qos, spoofchk, trust, rates, state', async () => {
  const harness = await AdapterHarness.start({ speedMbps: 1000 })
  const { adapter, pf } = harness.software
  const { vf, vport } = await harness.vm(MAC.a)
  await setVf(
    adapter,
    pf,
    vf,
    { vlan: 7, qos: 3, max_tx_rate: 500, min_tx_rate: 100, spoofchk: false, trust: true, state: 'enable' },
    'stack',
  )
  assert.deepEqual(showVf(adapter, pf, vf), {
    vf,
    mac: MAC.a,
    vlan: 7,
    qos: 3,
    spoofchk: false,
    trust: true,
    max_tx_rate: 500,
    min_tx_rate: 100,
    state: 'enable',
    allocated: true,
    link: true,
  })
  harness.send(vport, wireFrame(BROADCAST, MAC.a, 'x'))
  assert.equal(harness.sink(harness.wire).frames[0]?.bytes.readUInt32BE(12), 0x81006007)
  const bad = [
    { qos: 8 },
    { vlan: 4095 },
    { max_tx_rate: 50 },
    { min_tx_rate: 1001 },
    { max_tx_rate: -1 },
    { state: 'up' as never },
  ]
  for (const words of bad) await assert.rejects(setVf(adapter, pf, vf, words, 'stack'), VfWordsError, JSON.stringify(words))
  await assert.rejects(setVf(adapter, pf, 2, { vlan: 5 }, 'stack'), /has no VPort/)
  await assert.rejects(setVf(adapter, pf, 99, { qos: 1 }, 'stack'), /there is no VF 99/)
  assert.equal(showVf(adapter, pf, vf).vlan, 7)
  await setVf(adapter, pf, vf, { vlan: 0 }, 'stack')
  assert.equal(showVf(adapter, pf, vf).vlan, 0)
  await harness.filter(0, MAC.a, 9)
  await assert.rejects(setVf(adapter, pf, vf, { vlan: 9, qos: 1 }, 'stack'), /can't have VLAN 9/)
  assert.deepEqual([showVf(adapter, pf, vf).vlan, showVf(adapter, pf, vf).qos], [0, 3])
})

test('settings outlive an allocation; minimums are promises that must fit the link', async () => {
  const harness = await AdapterHarness.start({ speedMbps: 1000 })
  const { pf } = harness.software
  assert.equal(pf.configure(0, { minRateMbps: 600 }), undefined)
  assert.match(pf.configure(1, { minRateMbps: 500 }) ?? '', /add up to 1100/)
  const { vfId } = await harness.allocate(MAC.a)
  assert.equal(pf.vf(vfId)?.settings.minRateMbps, 600)
})

test('a VF over its rate waits in its own ring, and others go on', async () => {
  const harness = await AdapterHarness.start()
  const a = await harness.vm(MAC.a)
  const b = await harness.vm(MAC.b)
  harness.software.pf.configure(a.vf, { maxRateMbps: 8 }) // 1000 bytes per millisecond, and 64 KiB at once
  const frame = wireFrame(MAC.peer, MAC.a, 'x'.repeat(986))
  let sent = 0
  while (harness.send(a.vport, frame) > 0) sent++
  assert.equal(sent, 66)
  assert.equal(harness.send(b.vport, wireFrame(MAC.peer, MAC.b, 'free')), 1)
  assert.deepEqual(harness.drops(a.vport), {})
  harness.nowMs += 50
  let more = 0
  while (harness.send(a.vport, frame) > 0) more++
  assert.equal(more, 50)
})

test('requests with nonsense in them end in a documented status', async () => {
  const harness = await AdapterHarness.start()
  await harness.vm(MAC.a)
  const documented = new Set<number>([...Object.values(NdisStatus)])
  const values: unknown[] = [
    undefined,
    null,
    5,
    'x',
    {},
    [],
    { vfId: 0 },
    { vfId: -1, vPortId: 1e9 },
    { filterId: Number.NaN, queueId: 0 },
  ]
  for (const oid of [...Object.values(AdapterOid), 0xdead])
    for (const type of ['query', 'set', 'method'] as const)
      for (const payload of values)
        for (const driver of ['stack', 'ndis']) assert.ok(documented.has(await harness.status(oid, type, payload, driver)))
  assert.deepEqual(harness.reports, [])
  assert.equal(harness.software.adapter.nicSwitch!.vports.list().length, 2)
})
