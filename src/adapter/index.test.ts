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
  SoftwareAdapter,
  SoftwareVfDriver,
  sriovKeywords,
  VfAssignment,
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
