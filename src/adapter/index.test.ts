import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  AdapterOid,
  adapterTablesBytes,
  Block,
  GuestNdis,
  limitsFor,
  PartitionType,
  Registry,
  rssLimitsFor,
  SoftwareAdapter,
  SoftwareVfDriver,
  sriovKeywords,
  VfAssignment,
  VMMQ_CAPS,
  Vmmq,
} from 'vmswitch/adapter'

test('an adapter, a VF and its driver in a guest take what the package gives and no more', async () => {
  const limits = limitsFor(2)
  const software = new SoftwareAdapter(
    { limits, mac: '02:00:00:00:00:01' },
    {
      buffer: new SharedArrayBuffer(adapterTablesBytes(limits)),
      at: 0,
      registry: new Registry(sriovKeywords(2)),
      nowMs: () => 0,
      statistics: () => ({
        receivedFrames: 0,
        receivedBytes: 0,
        sentFrames: 0,
        sentBytes: 0,
        sentMulticast: 0,
        receiveDropped: 0,
        sendDropped: 0,
      }),
    },
  )
  await software.adapter.start()
  const driver = new SoftwareVfDriver()
  const stack = new VfAssignment(
    {},
    {
      adapter: software.adapter,
      exposure: {
        expose: async ({ vfId, serialNumber }) => {
          const options = { partition: PartitionType.child, serialNumber }
          await new GuestNdis(options, { channel: software.channel(vfId), driver }).start()
        },
        withdraw: async () => {},
        surprise: async () => {},
      },
      wait: () => new Promise(() => {}),
    },
  )
  await stack.assign({ vmName: 'a', nicName: 'a', mac: '02:00:00:00:00:0a', vlan: 0, queuePairs: 1 })
  const identity = await driver.block(Block.identity, 24)
  assert.equal(Buffer.from(identity.subarray(2, 8)).toString('hex'), '02000000000a')
  const found = await software.adapter.request({ oid: AdapterOid.nicSwitchEnumVfs, type: 'query' }, 'application')
  assert.equal((found.output as unknown[]).length, 1)
})

test('a VPort over several processors takes what the package gives and no more', async () => {
  const switchLimits = limitsFor(8)
  const limits = { ...switchLimits, switchCaps: switchLimits.switchCaps | VMMQ_CAPS, rss: rssLimitsFor([0, 1, 2, 3], 8) }
  const { adapter, tables } = new SoftwareAdapter(
    { limits, mac: '02:00:00:00:00:01' },
    {
      buffer: new SharedArrayBuffer(adapterTablesBytes(limits)),
      at: 0,
      registry: new Registry(sriovKeywords(8)),
      nowMs: () => 0,
      statistics: () => assert.fail('nobody asks for statistics'),
    },
  )
  await adapter.start()
  const stack = await Vmmq.open({
    request: (request) => adapter.request(request, 'stack'),
    requestSynchronous: (request, processor) => adapter.requestSynchronous(request, 'stack', processor),
  })
  let vport = await stack.give({ name: 'a', mac: '02:00:00:00:00:0a', vlan: 0, processors: [1, 2, 3], queues: 2 })
  vport = await stack.setQueues(vport, 3)
  const status = stack.move(vport, [{ index: 0, target: 3 }], 1)
  assert.equal(status, 0)
  assert.deepEqual(
    [0, 1, 2, 3, 64].map((hash) => tables.rss.entry(vport.id, hash)),
    [3, 2, 3, 1, 3],
  )
})
