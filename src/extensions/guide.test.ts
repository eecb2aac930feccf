// Code that the author's guide shows and no example has: it runs here.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ExtensionHost } from '../../test/support/extension-host.ts'
import { defineExtension, NdisStatus, type NicParameters, Oid } from '../extension.ts'
import { tcpFrame, udpFrame } from '../packet/build.ts'

const addresses = {
  sourceMac: '02:00:00:00:00:01',
  destinationMac: '02:00:00:00:00:02',
  source: '10.0.0.1',
  destination: '10.0.0.2',
}

const lateUdp = defineExtension({
  id: '5d1f0a3e-6b0c-4f57-8a54-3c1b7e9d2f15',
  name: 'late-udp',
  version: '1.0.0',
  class: 'filtering',
  attach(sw) {
    const late: number[] = []
    sw.every(10, () => {
      while (late.length > 0) sw.forward(late.shift()!)
    })
    return {
      egress(batch) {
        for (let i = 0; i < batch.length; i++) {
          if (!batch.isUdp(i)) continue
          const handle = batch.hold(i)
          if (handle !== 0) late.push(handle)
        }
      },
    }
  },
})

test('held packets go on when their module lets them, in order', async () => {
  const host = new ExtensionHost([{ definition: lateUdp }])
  await host.addPorts('a', { name: 'b', mac: addresses.destinationMac })
  host.send('a', udpFrame(addresses, 1, 9), tcpFrame(addresses, 2, 9), udpFrame(addresses, 3, 9))
  const ports = (): number[] => host.delivered('b').map((frame) => frame[35]!)
  assert.deepEqual(ports(), [2])
  host.advance(10)
  assert.deepEqual(ports(), [1, 3])
})

const localOnly = defineExtension({
  id: '5d1f0a3e-6b0c-4f57-8a54-3c1b7e9d2f16',
  name: 'local-only',
  version: '1.0.0',
  class: 'filtering',
  attach: () => ({
    oid({ oid, payload }) {
      if (oid !== Oid.nicCreate) return undefined
      const nic = payload as NicParameters
      return nic.currentMacAddress.startsWith('02:') ? undefined : { status: NdisStatus.dataNotAccepted }
    },
  }),
})

test('a connection that a module vetoes does not come about (ES-248)', async () => {
  const host = new ExtensionHost([{ definition: localOnly }])
  await host.addPorts({ name: 'a', mac: '02:00:00:00:00:01' })
  await assert.rejects(host.addPorts({ name: 'b', mac: '00:15:5d:00:00:01' }))
})
