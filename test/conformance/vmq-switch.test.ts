// VM queues and the extensible switch: what the virtualization stack asks for, what extensions may veto, and that packets of a queue still
// pass the switch and its policies.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AdapterOid } from '../../src/adapter/oids.ts'
import type { FilterParameters } from '../../src/adapter/payloads.ts'
import { QueueReader, QueueWriter } from '../../src/adapter/queues/queue-memory.ts'
import { QueueTable, queueTableBytes } from '../../src/adapter/queues/queue-table.ts'
import { OperationalState } from '../../src/adapter/queues/queue-words.ts'
import { VmQueues } from '../../src/adapter/queues/vm-queues.ts'
import type { AdapterRequest } from '../../src/adapter/requests.ts'
import type { OidRequest } from '../../src/ndis/oids.ts'
import { PortFlag, VlanMode } from '../../src/switch/port-table.ts'
import { MAC, wireFrame } from '../support/adapter-harness.ts'
import { DataPathHarness, mac } from '../support/data-path-harness.ts'
import { QueueHarness } from '../support/queue-harness.ts'
import { ControlUnderTest, memory, script } from './control-under-test.ts'
import { portConfig } from './switch-under-test.ts'

const MEMORY_BYTES = 1 << 18

test('a packet of a queue still goes through the extensible switch to its guest, and never into another VLAN (VQ-118, VQ-147)', () => {
  const tableBytes = 4096
  const switchBench = new DataPathHarness({ spareBytes: tableBytes + MEMORY_BYTES })
  const { buffer, pool, kernels } = switchBench
  const table = new QueueTable(buffer, switchBench.spare, 2)
  assert.ok(queueTableBytes(2) <= tableBytes)
  const address = switchBench.spare + tableBytes
  const entry = { state: OperationalState.running, alone: false, processor: 0, moderationUs: 0, handle: 1, port: 1 }
  table.set(1, { ...entry, address, bytes: MEMORY_BYTES })
  switchBench.connectPort(1, PortFlag.checkSource, 1, 5)
  switchBench.connectPort(2, PortFlag.external | PortFlag.learn)
  switchBench.ports.setVlan(1, { mode: VlanMode.access, primary: 5 })
  switchBench.macs.addStatic(mac(1), 6, 1) // even if the switch believes that the address is there
  const source = { buffer, pool, kernels, queues: table, sourcePort: 2 }
  const writer = new QueueWriter(source)
  const reader = new QueueReader(source, 1, 0)
  const frames = [
    wireFrame(mac(1), MAC.peer, 'in 5', 5),
    wireFrame(mac(1), MAC.peer, 'in 6', 6),
    wireFrame(mac(1), MAC.peer, 'in none'),
  ]
  for (const frame of frames) {
    switchBench.fill(0, 2, frame)
    kernels.parse(pool.base, 0, 1)
    assert.equal(writer.append(1, Uint16Array.from([0]), 0, 1), 1)
  }
  assert.equal(switchBench.dataPath.turn(reader, 2), 3)
  assert.deepEqual(
    [switchBench.got(1), switchBench.drops(2), switchBench.drops(1)],
    [['in 5'], { 'no-destination': 1 }, { 'vlan-not-allowed': 1 }],
  )
  assert.ok(table.isEmpty(1))
})

const wish = (address: string) => ({ vmName: 'vm', portId: 1, mac: address, vlan: 0, processors: [0] })

test('the stack allocates with the port of the switch, no lookahead, and filters that have a VLAN or are for untagged frames (VQ-045, VQ-047, VQ-093, VQ-098, VQ-236)', async () => {
  const asked: AdapterRequest[] = []
  const h = await QueueHarness.start()
  const stack = new VmQueues({
    request: (request) => {
      asked.push(request)
      return h.software.adapter.request(request, 'stack')
    },
  })
  const plain = await stack.assign({ ...wish(MAC.a), portId: 12 })
  const tagged = await stack.assign({ ...wish(MAC.b), vlan: 7 })
  const of = (oid: number) => asked.filter((request) => request.oid === oid).map(({ payload }) => payload)
  const allocations = of(AdapterOid.receiveFilterAllocateQueue) as { portId: number; lookaheadSize: number }[]
  assert.deepEqual(
    allocations.map(({ portId, lookaheadSize }) => [portId, lookaheadSize]),
    [
      [12, 0],
      [1, 0],
    ],
  )
  const [first, second] = of(AdapterOid.receiveFilterSetFilter) as FilterParameters[]
  assert.deepEqual(
    first!.fieldParameters.map(({ flags }) => flags),
    [1],
  )
  assert.deepEqual(
    second!.fieldParameters.map(({ flags, headerField }) => [flags, headerField]),
    [
      [0, 1],
      [0, 4],
    ],
  )
  asked.length = 0
  await stack.release(plain)
  await stack.release(tagged)
  assert.deepEqual(
    asked.map(({ oid }) => oid),
    [
      AdapterOid.receiveFilterClearFilter,
      AdapterOid.receiveFilterFreeQueue,
      AdapterOid.receiveFilterClearFilter,
      AdapterOid.receiveFilterFreeQueue,
    ],
  )
})

test('a forwarding extension vetoes a queue or its filter, and nothing that gives them back (VQ-234, VQ-235)', async (t) => {
  const h = await QueueHarness.start()
  const veto = { replies: { NIC_REQUEST: { status: 0xc000021b, times: 1 } } }
  const reached: number[] = []
  const cut = await ControlUnderTest.start(t, {
    extensions: [script('X1', veto)],
    edge: {
      adapterRequest: async (_port, _nic, { oid, type, payload }) => {
        reached.push(oid)
        const { status, output } = await h.software.adapter.request(
          { oid, type: type as AdapterRequest['type'], payload },
          'stack',
        )
        return output === undefined ? { status } : { status, output }
      },
    },
  })
  await cut.sut.switch.addPort(portConfig(2, { name: 'up', mac: null, learning: true, adapters: [memory] }))
  await cut.sut.until(() => cut.oids('X1', 'up').includes('NIC_CONNECT 2'), 'the adapter')
  const stack = new VmQueues({ request: (request) => cut.sut.switch.nicRequest(request as OidRequest, 'p1') })
  const vetoed = await stack.assign(wish(MAC.a))
  assert.deepEqual([vetoed.queueId, vetoed.reason], [0, 'no queue: NDIS_STATUS_DATA_NOT_ACCEPTED'])
  assert.deepEqual(reached, [])
  h.receive(0, wireFrame(MAC.a, MAC.peer, 'served all the same'))
  assert.deepEqual(h.texts(), { 0: ['served all the same'] })
  const vm = await stack.assign(wish(MAC.a))
  assert.equal(vm.reason, '')
  assert.equal(vm.queueId, 1)
  await stack.release(vm)
  assert.equal(await h.reported(1), undefined)
  const never = await ControlUnderTest.start(t, {
    extensions: [script('X1', { replies: { NIC_REQUEST: { status: 0xc000021b } } })],
    edge: { adapterRequest: () => ({ status: 0 }) },
  })
  await never.sut.switch.addPort(portConfig(2, { name: 'up', mac: null, learning: true, adapters: [memory] }))
  await never.sut.until(() => never.oids('X1', 'up').includes('NIC_CONNECT 2'), 'the adapter')
  for (const oid of [
    AdapterOid.receiveFilterClearFilter,
    AdapterOid.receiveFilterFreeQueue,
    AdapterOid.receiveFilterQueueAllocationComplete,
  ])
    assert.equal((await never.sut.switch.nicRequest({ oid, type: 'set', payload: {} }, 'p1')).status, 0)
  assert.equal(never.breaches('X1').length, 3)
})
