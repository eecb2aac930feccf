import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ExtensionHost } from '../../../test/support/extension-host.ts'
import { defineExtension, PACKET_VNET_STRIDE } from '../../extension.ts'
import { arpRequestFrame, BROADCAST_MAC, etherFrame, tcpFrame, udpFrame } from '../../packet/build.ts'
import counters, { counterIndex } from './index.ts'

const a = '02:00:00:00:00:01'
const b = '02:00:00:00:00:02'
const pair = { sourceMac: a, destinationMac: b, source: '10.0.0.1', destination: '10.0.0.2' }
const pair6 = { ...pair, source: 'fd00::1', destination: 'fd00::2' }

test('frames and bytes are counted by protocol, once per direction however many ports they go to', async () => {
  const host = new ExtensionHost([{ definition: counters }])
  await host.addPorts({ name: 'a', mac: a }, { name: 'b', mac: b }, 'c')
  const arp = arpRequestFrame(a, '10.0.0.1', '10.0.0.2')
  host.send('a', tcpFrame(pair, 1, 2), udpFrame(pair, 1, 2), udpFrame(pair6, 1, 2, new Uint8Array(100)), arp)
  host.send(
    'a',
    etherFrame(BROADCAST_MAC, a, 0x88b5, new Uint8Array(46), [{ protocol: 0x8100, priority: 0, dropEligible: false, id: 7 }]),
  )
  assert.equal(host.delivered('b').length, 5)
  assert.equal(host.delivered('c').length, 2)
  const { counters: values } = host.modules[0]!
  for (const direction of ['ingress', 'egress'] as const) {
    const of = (name: Parameters<typeof counterIndex>[1]): number[] => {
      const at = counterIndex(direction, name)
      return [values[at]!, values[at + 1]!]
    }
    assert.deepEqual(of('tcp4'), [1, 54])
    assert.deepEqual(of('udp4'), [1, 42])
    assert.deepEqual(of('udp6'), [1, 162])
    assert.deepEqual(of('arp'), [1, 42])
    assert.deepEqual(of('other'), [1, 64])
    assert.deepEqual(of('broadcast'), [2, 106])
    assert.deepEqual(of('tagged'), [1, 64])
    assert.deepEqual(of('other4'), [0, 0])
  }
})

test('runs of different kinds in one burst are kept apart', async () => {
  const host = new ExtensionHost([{ definition: counters }])
  await host.addPorts({ name: 'a', mac: a }, { name: 'b', mac: b })
  const tcp = tcpFrame(pair, 1, 2)
  const udp = udpFrame(pair, 1, 2)
  const udp6 = udpFrame(pair6, 1, 2)
  const arp = arpRequestFrame(a, '10.0.0.1', '10.0.0.2')
  const group = etherFrame('01:00:5e:00:00:01', a, 0x88b5, new Uint8Array(46))
  const unknown = etherFrame(b, a, 0x88b5, new Uint8Array(46))
  const lldp = etherFrame(b, a, 0x88cc, new Uint8Array(46))
  host.send('a', tcp, tcp, udp, udp, udp, udp6, arp, arp, group, group, unknown, lldp, tcp, unknown)
  const { counters: values } = host.modules[0]!
  const of = (name: Parameters<typeof counterIndex>[1]): number[] => {
    const at = counterIndex('ingress', name)
    return [values[at]!, values[at + 1]!]
  }
  assert.deepEqual(of('tcp4'), [3, 3 * tcp.length])
  assert.deepEqual(of('udp4'), [3, 3 * udp.length])
  assert.deepEqual(of('udp6'), [1, udp6.length])
  assert.deepEqual(of('arp'), [2, 2 * arp.length])
  assert.deepEqual(of('other'), [4, 4 * 60])
  assert.deepEqual(of('lldp'), [1, 60])
  assert.deepEqual(of('broadcast'), [2, 2 * arp.length])
  assert.deepEqual(of('multicast'), [2, 2 * 60])
  assert.deepEqual(of('super-frames'), [0, 0])
})

test('super-frames are counted one by one among others of their kind', async () => {
  const marker = defineExtension({
    id: '00000000-0000-0000-0000-000000000008',
    name: 'marker',
    version: '1.0.0',
    class: 'capturing',
    attach: () => ({
      ingress({ pool, slots }) {
        // What a guest's virtio-net header says of TCP segmentation with 1448 bytes each; position 3 asks for none: size 0.
        for (const i of [1, 3]) pool.vnet[slots[i]! * PACKET_VNET_STRIDE + 1] = 1
        pool.vnet.set([1448 & 0xff, 1448 >> 8], slots[1]! * PACKET_VNET_STRIDE + 4)
      },
    }),
  })
  const host = new ExtensionHost([{ definition: marker }, { definition: counters }])
  await host.addPorts({ name: 'a', mac: a }, { name: 'b', mac: b })
  const tcp = tcpFrame(pair, 1, 2, { data: new Uint8Array(3000) })
  host.send('a', tcp, tcp, tcp, tcp)
  const { counters: values } = host.modules[1]!
  const at = counterIndex('ingress', 'super-frames')
  assert.deepEqual([values[at], values[at + 1]], [1, tcp.length])
})

test('options are refused: there are none', () => {
  assert.throws(() => counters.parseOptions?.({ file: 'x' }), { code: 'bad-option' })
})
