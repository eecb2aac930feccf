// What goes up from VPorts of the PF and comes down to them: the VPort's id beside the frames, on the processor of its affinity; and the
// link of a VF as its guest sees it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PF_FUNCTION_ID } from '../../src/adapter/identifiers.ts'
import { setVf } from '../../src/adapter/linux-words.ts'
import { AdapterOid } from '../../src/adapter/oids.ts'
import { type FilteringInfo, type Indicate, PfReceive } from '../../src/adapter/pf-receive.ts'
import { filterParameters } from '../../src/adapter/receive-filters.ts'
import { DropReason } from '../../src/ndis/drop-reasons.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { MacTable, macTableBytes } from '../../src/switch/mac-table.ts'
import { AdapterHarness, MAC, vportPayload, wireFrame } from '../support/adapter-harness.ts'
import { GuestFunction } from '../support/guest-function.ts'

const PF = PF_FUNCTION_ID

interface Indicated {
  readonly info: FilteringInfo
  readonly processor: number
  readonly frames: number
}

/** A started adapter, VPort 1 of the PF for C, and the host's stack on four processors; the wire is served by processor 0. */
async function host(affinity: readonly number[]) {
  const harness = await AdapterHarness.start()
  const payload = { ...vportPayload(PF), processorAffinity: affinity }
  const { vPortId } = await harness.output<{ vPortId: number }>(AdapterOid.nicSwitchCreateVPort, 'method', payload)
  await harness.filter(vPortId, MAC.c)
  await harness.activate(vPortId)
  const indicated: Indicated[] = []
  const vports = harness.software.adapter.nicSwitch!.vports
  const processors: PfReceive[] = [0, 1, 2, 3].map(
    (processor) =>
      new PfReceive(
        { processor },
        {
          processorOf: (id) => vports.get(id)?.parameters.processorAffinity[0],
          handOver: (to, info, list, count) => processors[to]!.indicate(info, list, count),
          offloads: 0xff,
          refusal: DropReason.receiveBufferFull,
        },
      ),
  )
  for (const [processor, receive] of processors.entries())
    for (const vport of [0, vPortId])
      receive.bind(vport, (info, _list, frames) => {
        indicated.push({ info, processor, frames })
        return frames
      })
  for (const vport of [0, vPortId]) harness.data.delivery.setQueues(vport, [processors[0]!.sink(vport)])
  return { harness, vport: vPortId, indicated, processors }
}

test('SR-CS-49: frames go up with the id of their VPort, queue 0 and no filter id, one VPort to an indication (SR-227, SR-232, SR-233)', async () => {
  const { harness, vport, indicated } = await host([0])
  harness.send(harness.wire, wireFrame(MAC.c, MAC.peer, '1'), wireFrame(MAC.pf, MAC.peer, '2'), wireFrame(MAC.c, MAC.peer, '3'))
  assert.deepEqual(
    indicated.map(({ info, frames }) => [info, frames]),
    [
      [{ vPortId: vport, queueId: 0, filterId: 0 }, 2],
      [{ vPortId: 0, queueId: 0, filterId: 0 }, 1],
    ],
  )
  // Nobody gets filter ids into the out-of-band data by asking for bits there.
  const wanted = { ...filterParameters(MAC.b, 0, vport), requestedFilterIdBitCount: 4 }
  assert.equal(await harness.status(AdapterOid.receiveFilterSetFilter, 'method', wanted), NdisStatus.invalidParameter)
})

test('SR-CS-32: frames of a VPort of the PF come up on the processor of its affinity, from the change on (SR-234)', async () => {
  const { harness, vport, indicated } = await host([1])
  const at = () => indicated.splice(0).map(({ processor, info }) => [processor, info.vPortId])
  harness.send(harness.wire, wireFrame(MAC.c, MAC.peer, 'x'), wireFrame(MAC.pf, MAC.peer, 'y'))
  assert.deepEqual(at(), [
    [1, vport],
    [0, 0],
  ])
  const change = { ...vportPayload(PF), vPortId: vport, flags: 0x100000, processorAffinity: [3], vPortName: 'unflagged' }
  assert.equal(await harness.status(AdapterOid.nicSwitchVPortParameters, 'set', change), NdisStatus.success)
  harness.send(harness.wire, wireFrame(MAC.c, MAC.peer, 'x'))
  assert.deepEqual(at(), [[3, vport]])
})

test('SR-CS-50: the VM of a VPort of the PF is found by its id: no address is looked up for its frames (SR-235)', async () => {
  const { harness, vport, processors } = await host([0])
  // The host's stack: C's port hangs on VPort 1; the default VPort's frames are looked up.
  const buffer = new SharedArrayBuffer(macTableBytes(16, 4))
  const macs = new MacTable(buffer, 0, 16, 4)
  let lookUps = 0
  const delivered: number[] = []
  const direct: Indicate = (_info, _list, count) => {
    delivered.push(count)
    return count
  }
  processors[0]!.bind(vport, direct)
  processors[0]!.bind(0, (_info, list, count) => {
    for (const slot of new Uint16Array(harness.data.buffer, list, count)) {
      lookUps++
      macs.lookup(harness.data.bytesOf(slot).readUInt32BE(2), harness.data.bytesOf(slot).readUInt16BE(0), 0)
    }
    return count
  })
  for (let i = 0; i < 1000; i += 50)
    harness.send(harness.wire, ...Array.from({ length: 50 }, (_, n) => wireFrame(MAC.c, MAC.peer, `frame ${i + n}`)))
  assert.deepEqual([delivered.reduce((sum, count) => sum + count, 0), lookUps], [1000, 0])
  harness.send(harness.wire, wireFrame(MAC.pf, MAC.peer, 'to the host'))
  assert.equal(lookUps, 1)
})

test('a VPort that is gone indicates nothing on any processor (SR-190)', async () => {
  const { harness, vport, indicated, processors } = await host([2])
  for (const receive of processors) receive.unbind(vport)
  harness.send(harness.wire, wireFrame(MAC.c, MAC.peer, 'late'))
  assert.deepEqual(indicated, [])
  assert.equal(harness.drops(vport)['receive-ring-full'], 1)
})

test('SR-CS-49: what the host sends names its VPort, and is checked and counted there (SR-228)', async () => {
  const { harness, vport } = await host([0])
  const { vport: a } = await harness.vm(MAC.a)
  const queue = (text: string) => ({
    receive: () => {
      harness.data.fill(0, 0, wireFrame(MAC.a, MAC.c, text))
      harness.data.kernels.parse(harness.data.pool.base, 0, 1)
      return 1
    },
    complete() {},
  })
  harness.path.turnOfPf(queue('of C'), vport)
  harness.path.turnOfPf(queue('of the host'), 0)
  assert.deepEqual(harness.got(a), ['of C', 'of the host'])
  assert.deepEqual(
    [vport, 0].map((id) => harness.data.portCounter(id, 'receivedFrames')),
    [1, 1],
  )
})

test('SR-CS-44: what a VF sends goes by its VPort, whatever stands in the out-of-band data; the PF has no part in it (SR-231)', async () => {
  const harness = await AdapterHarness.start()
  const a = await harness.vm(MAC.a)
  const { pool } = harness.data
  for (let i = 0; i < 20; i++) {
    pool.destination.fill(0)
    pool.destinationCount.fill(1)
    pool.sourcePort.fill(0)
    pool.sourceNic.fill(7)
    harness.send(a.vport, wireFrame(MAC.peer, MAC.a, `out ${i}`))
    harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, `in ${i}`))
  }
  assert.deepEqual([harness.got(harness.wire).length, harness.got(a.vport).length, harness.got(0)], [20, 20, []])
  assert.deepEqual(
    [0, a.vport].map((vport) => harness.data.portCounter(vport, 'receivedFrames')),
    [0, 20],
  )
})

test("a VF's link state reaches its guest: as the host says, or as the wire is", async () => {
  const harness = await AdapterHarness.start()
  const { vf } = await harness.vm(MAC.a)
  const { adapter, pf } = harness.software
  await setVf(adapter, pf, vf, { state: 'disable' }, 'stack')
  const guest = new GuestFunction(harness, vf)
  await guest.up()
  assert.equal(guest.linkUp, false)
  guest.signals.length = 0
  await setVf(adapter, pf, vf, { state: 'auto' }, 'stack')
  assert.deepEqual([guest.linkUp, guest.signals], [true, [12]])
  pf.setWire(true, false)
  assert.equal(guest.linkUp, false)
  await setVf(adapter, pf, vf, { state: 'enable' }, 'stack')
  assert.equal(guest.linkUp, true)
  await harness.request(AdapterOid.sriovResetVf, 'set', { vfId: vf })
  assert.equal(guest.linkUp, true, 'a reset leaves it')
})

test('a VPort of the PF may stand for a VM, with filters of its own (SR-161)', async () => {
  const harness = await AdapterHarness.start()
  const vport = await harness.vport(PF_FUNCTION_ID)
  await harness.filter(vport, MAC.c)
  await harness.activate(vport)
  const { vport: a } = await harness.vm(MAC.a)
  harness.send(a, wireFrame(MAC.c, MAC.a, 'to c'))
  harness.send(vport, wireFrame(MAC.a, MAC.c, 'to a'))
  assert.deepEqual([harness.got(vport), harness.got(a), harness.got(0)], [['to c'], ['to a'], []])
})
