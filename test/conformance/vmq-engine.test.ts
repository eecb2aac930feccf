// Receive queues of an adapter in a running switch: what extensions may refuse, what becomes of a VLAN, and requests at the wrong time.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ANY_VLAN } from '../../src/adapter/filter-table.ts'
import { AdapterOid } from '../../src/adapter/oids.ts'
import { filterParameters } from '../../src/adapter/receive-filters.ts'
import type { ExtensionEntry } from '../../src/engine/extension-manager.ts'
import type { QueueStatus } from '../../src/engine/queue-config.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { wireFrame } from '../support/adapter-harness.ts'
import { AdapterLab, type LabOptions } from '../support/adapter-lab.ts'
import { queuePayload } from '../support/queue-harness.ts'
import { script } from './control-under-test.ts'

const A = '02:00:00:00:00:0a'
const B = '02:00:00:00:00:0b'
const PEER = '02:00:00:00:00:99'
const vmq = { mode: 'vmq', vfs: 0, queues: 4, rebalanceSeconds: 0 } as const

async function inVmqMode(options: Omit<LabOptions, 'adapter'>, work: (lab: AdapterLab) => Promise<void>): Promise<void> {
  const lab = await AdapterLab.open({ adapter: vmq, ...options })
  try {
    await lab.until(() => lab.running.ports().every(({ connected }) => connected), 'all connected')
    await work(lab)
  } finally {
    await lab.close()
  }
}

const queueOf = (lab: AdapterLab, port: string | null): QueueStatus | undefined =>
  lab.running.adapters.queues.list().find((queue) => queue.port === port)

/** A forwarding extension that refuses requests for queues: `times` of them behind the first `after`; without `times` all. */
const refusing = (after: number, times?: number): ExtensionEntry =>
  script('X1', { replies: { NIC_REQUEST: { status: NdisStatus.failure, after, ...(times === undefined ? {} : { times }) } } })

const enumerated = async (lab: AdapterLab): Promise<number> => {
  const { output } = await lab.running.adapters.request('nic', { oid: AdapterOid.receiveFilterEnumQueues, type: 'statistics' })
  return (output as unknown[]).length
}

for (const [after, what] of ['no queue', 'no filter'].entries())
  test(`an extension refuses ${what === 'no queue' ? 'ALLOCATE_QUEUE' : 'SET_FILTER'}: the default queue serves the VM, which is told why (VQ-234)`, async () => {
    await inVmqMode({ vms: [{ name: 'a', mac: A }], extensions: [refusing(after, 1)] }, async (lab) => {
      assert.equal(queueOf(lab, 'a'), undefined)
      const [served] = queueOf(lab, null)!.serves
      assert.equal(served?.port, 'a')
      assert.ok(served.reason.startsWith(`${what}: NDIS_STATUS_FAILURE`), served.reason)
      assert.equal(await enumerated(lab), 1, 'nothing half made stays behind')
    })
  })

test('an extension can not keep a queue from being completed, cleared and freed (VQ-235)', async () => {
  await inVmqMode({ vms: [{ name: 'a', mac: A }], extensions: [refusing(2)] }, async (lab) => {
    assert.equal(queueOf(lab, 'a')?.state, 'running')
    await lab.running.removePort('a')
    assert.equal(queueOf(lab, 'a'), undefined)
    assert.equal(await enumerated(lab), 1)
    assert.ok(
      lab.events.some((event) => /extension X1: ES-/.test(event)),
      'it is told that it may not',
    )
  })
})

test('the filter of a port in access mode tests its VLAN, whose frames come by the queue without their tag (VQ-093)', async () => {
  const vlan = (id: number) => [{ type: 'vlan' as const, value: { mode: 'access', accessVlanId: id } }]
  const vms = [
    { name: 'a', mac: A, properties: vlan(10) },
    { name: 'b', mac: B },
  ]
  await inVmqMode({ vms }, async (lab) => {
    assert.equal(queueOf(lab, 'a')!.filter!.vlan, 10)
    assert.equal(queueOf(lab, 'b')!.filter!.vlan, null)
    const [a, wire] = [lab.synthetic('a'), lab.wire()]
    wire.send(wireFrame(A, PEER, 'of another VLAN', 11))
    wire.send(wireFrame(A, PEER, 'of none'))
    for (let i = 0; i < 20; i++) wire.send(wireFrame(A, PEER, `${i}`, 10))
    assert.deepEqual(
      await lab.texts(a, 20),
      Array.from({ length: 20 }, (_, i) => `${i}`),
    )
    assert.equal(queueOf(lab, 'a')!.counters.receivedFrames, 20)
    assert.equal(queueOf(lab, null)!.counters.receivedFrames, 2)
  })
})

test('a queue is not freed while it has a filter, nor by somebody else, and goes when it has none (VQ-062, VQ-124, VQ-132)', async () => {
  await inVmqMode({ vms: [{ name: 'a', mac: A }] }, async (lab) => {
    const { adapters } = lab.running
    const ask = (oid: number, type: 'method' | 'set', payload: unknown) => adapters.request('nic', { oid, type, payload })
    const free = async (queueId: number) => (await ask(AdapterOid.receiveFilterFreeQueue, 'set', { queueId })).status
    assert.equal(await free(queueOf(lab, 'a')!.queue), NdisStatus.invalidParameter, "the VM's, which is not the operator's")
    assert.equal(await free(0), NdisStatus.invalidParameter, 'the default queue')
    const made = await ask(AdapterOid.receiveFilterAllocateQueue, 'method', queuePayload())
    const { queueId } = made.output as { queueId: number }
    const filter = { ...filterParameters(B, ANY_VLAN, 0), queueId }
    const set = await ask(AdapterOid.receiveFilterSetFilter, 'method', filter)
    assert.equal(await free(queueId), NdisStatus.invalidParameter, 'it has a filter')
    const { filterId } = set.output as { filterId: number }
    assert.equal((await ask(AdapterOid.receiveFilterClearFilter, 'set', { queueId, filterId })).status, NdisStatus.success)
    assert.equal(await free(queueId), NdisStatus.success)
    assert.equal(await free(queueId), NdisStatus.invalidParameter, 'it is gone')
    assert.equal(queueOf(lab, 'a')!.state, 'running')
  })
})
