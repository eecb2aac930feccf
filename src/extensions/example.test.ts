// The examples that authors copy, in the real data path. The author's guide shows parts of this file too.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import blockTelnet from '../../examples/extensions/block-telnet.ts'
import learningSwitch from '../../examples/extensions/learning-switch.ts'
import limiter from '../../examples/extensions/limiter.ts'
import { ExtensionHost } from '../../test/support/extension-host.ts'
import { NdisStatus, type NicSaveBlock, Oid, PortPropertyType } from '../extension.ts'
import { BROADCAST_MAC, etherFrame, tcpFrame, udpFrame } from '../packet/build.ts'

const addresses = {
  sourceMac: '02:00:00:00:00:01',
  destinationMac: '02:00:00:00:00:02',
  source: '10.0.0.1',
  destination: '10.0.0.2',
}
const mac = (n: number): string => `02:00:00:00:00:0${n}`
const frame = (source: number, destination: number): Uint8Array =>
  etherFrame(destination === 0 ? BROADCAST_MAC : mac(destination), mac(source), 0x88b5, new Uint8Array(46))

test('the first example drops TCP to port 23 and nothing else', async () => {
  const host = new ExtensionHost([{ definition: blockTelnet }])
  await host.addPorts('a', { name: 'b', mac: '02:00:00:00:00:02' })
  host.send('a', tcpFrame(addresses, 4000, 23), tcpFrame(addresses, 4000, 80))
  assert.equal(host.delivered('b').length, 1)
  assert.equal(host.dropped('a', 'telnet'), 1)
  host.send('a', tcpFrame(addresses, 23, 4000), udpFrame(addresses, 4000, 23))
  assert.equal(host.delivered('b').length, 2)
})

async function learning() {
  const host = new ExtensionHost([{ definition: learningSwitch }])
  await host.addPorts('a', 'b', 'c')
  const reached = (): string => ['a', 'b', 'c'].filter((port) => host.delivered(port).length > 0).join('')
  const sends = (port: string, ...frames: Uint8Array[]): string => {
    host.send(port, ...frames)
    return reached()
  }
  return { host, sends }
}

test('the learning switch sends to where an address was last seen, and all else to all but the source (ES-316, ES-317)', async () => {
  const { host, sends } = await learning()
  assert.equal(sends('a', frame(1, 2)), 'bc')
  assert.equal(sends('b', frame(2, 1)), 'a')
  assert.equal(sends('a', frame(1, 2)), 'b')
  assert.equal(sends('c', frame(2, 0)), 'ab', 'it has moved')
  assert.equal(sends('a', frame(1, 2)), 'c')
  assert.equal(sends('a', frame(1, 1)), '', 'to where it came from')
  assert.equal(host.dropped('a', 'learning-switch: nobody to send to'), 1)
  assert.deepEqual(host.reports, [])
})

test('the learning switch uses no connection that is gone, and one that comes again (ES-320)', async () => {
  const { host, sends } = await learning()
  sends('b', frame(2, 0))
  await host.control.disconnect(host.id('b'))
  assert.equal(sends('a', frame(1, 2)), 'c')
  await host.control.connect(host.id('b'))
  assert.equal(sends('a', frame(1, 2)), 'b')
  assert.equal(host.modules[0]!.module.breaches, 0)
})

test('the learning switch promises nothing that it does not keep (ES-499)', async () => {
  const { host } = await learning()
  const answer = { complete: () => {}, forward: () => {} }
  const add = (propertyType: number) =>
    host.modules[0]!.module.handlers.oid?.(
      { oid: Oid.portPropertyAdd, type: 'set', payload: { portId: 1, propertyType } },
      answer,
    )
  assert.deepEqual(add(PortPropertyType.vlan), { status: NdisStatus.dataNotAccepted })
  assert.deepEqual(add(PortPropertyType.security), { status: NdisStatus.notSupported })
  assert.equal(add(PortPropertyType.custom), undefined)
})

const [rateLimit] = Object.keys(limiter.properties!)
const answer = { complete: () => {}, forward: () => {} }

async function limited(property: object | undefined) {
  const host = new ExtensionHost([{ definition: limiter }])
  await host.addPorts('a', { name: 'b', mac: mac(2) })
  const { handlers } = host.modules[0]!.module
  const change = (oid: number, status: number = NdisStatus.success): void =>
    handlers.oidComplete?.({ oid, type: 'set', payload: { portId: host.id('a'), propertyId: rateLimit, property } }, { status })
  const sends = (frames: number): number => {
    for (let n = 0; n < frames; n++) host.send('a', frame(1, 2))
    return host.delivered('b').length
  }
  return { host, handlers, change, sends }
}

test('the limiter lets as many frames a second pass as the property says, and all without it', async () => {
  const { host, change, sends } = await limited({ perSecond: 10, over: 'drop' })
  assert.equal(sends(30), 30)
  change(Oid.portPropertyAdd, NdisStatus.dataNotAccepted)
  assert.equal(sends(30), 30, 'one that was refused does not count')
  change(Oid.portPropertyAdd)
  assert.equal(sends(30), 10)
  assert.equal(host.dropped('a', 'limiter: over the limit'), 20)
  host.advance(500)
  assert.equal(sends(30), 5)
  change(Oid.portPropertyDelete)
  assert.equal(sends(30), 30)
})

test('what the limiter counted goes along with a port that moves (ES-463, ES-469, ES-482, ES-483)', async () => {
  const { host, handlers, change, sends } = await limited({ perSecond: 1, over: 'count' })
  change(Oid.portPropertyAdd)
  assert.equal(sends(5), 5)
  const asked = (saveDataSize: number) =>
    handlers.oid?.({ oid: Oid.nicSave, type: 'method', payload: { portId: host.id('a'), saveDataSize } }, answer)
  assert.deepEqual((asked(3) as { status: number }).status, NdisStatus.bufferTooShort)
  const block = (asked(100) as { output: NicSaveBlock }).output
  assert.deepEqual([...block.saveData], [0, 0, 0, 4])
  assert.equal(asked(100), undefined)
  const other = await limited(undefined)
  const restore = (extensionId: string, saveData: Uint8Array) =>
    other.handlers.oid?.({ oid: Oid.nicRestore, type: 'set', payload: { portId: 2, extensionId, saveData } }, answer)
  assert.equal(restore(learningSwitch.id, block.saveData), undefined)
  assert.deepEqual(restore(block.extensionId, Uint8Array.of(1)), { status: NdisStatus.invalidData })
  assert.deepEqual(restore(block.extensionId, block.saveData), { status: NdisStatus.success })
  assert.equal(other.host.modules[0]!.shared.get('ports')![5], 4)
})
