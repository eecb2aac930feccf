import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ExtensionHost } from '../../../test/support/extension-host.ts'
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

test('options are refused: there are none', () => {
  assert.throws(() => counters.parseOptions?.({ file: 'x' }), { code: 'bad-option' })
})
