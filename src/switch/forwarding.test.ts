import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness, frame, mac } from '../../test/support/data-path-harness.ts'
import { NicState, PortState } from '../ndis/oids.ts'
import { macKey } from './mac-table.ts'
import { PortFlag } from './port-table.ts'

const LEARNING = PortFlag.learn | PortFlag.unknownUnicast

// What ports 1…n got, as texts.
const all = (harness: DataPathHarness, count: number): string[][] => Array.from({ length: count }, (_, i) => harness.got(i + 1))

function tagged(to: number | string, from: number | string, vlan: number, text: string): Buffer {
  const plain = frame(to, from, text)
  const tag = Buffer.alloc(4)
  tag.writeUInt16BE(0x8100, 0)
  tag.writeUInt16BE(vlan, 2)
  return Buffer.concat([plain.subarray(0, 12), tag, plain.subarray(12)])
}

const taggedTexts = (harness: DataPathHarness, port: number): string[] =>
  harness.sink(port).frames.map((bytes) => bytes.subarray(18).toString('latin1').replace(/\0+$/, ''))

test('known unicast goes to its port only, and never back to the source (ES-331)', () => {
  const harness = new DataPathHarness().connect(3)
  harness.send(1, frame(2, 1, 'to 2'), frame(3, 1, 'to 3'), frame(1, 1, 'to itself'))
  assert.deepEqual(all(harness, 3), [[], ['to 2'], ['to 3']])
  assert.deepEqual(harness.drops(1), { hairpin: 1 })
})

test('broadcast and multicast go to every connected port but the source', () => {
  const harness = new DataPathHarness().connect(4)
  harness.send(2, frame(0xff, 2, 'broadcast'), frame('33:33:00:00:00:01', 2, 'multicast'))
  const both = ['broadcast', 'multicast']
  assert.deepEqual(all(harness, 4), [both, [], both, both])
  assert.equal(harness.portCounter(2, 'receivedMulticast'), 2)
  assert.equal(harness.portCounter(2, 'floodedFrames'), 2)
})

test('with one or two ports connected a broadcast finds the other one, or is dropped', () => {
  const one = new DataPathHarness().connect(1)
  one.send(1, frame(0xff, 1, 'x'))
  assert.deepEqual(one.drops(1), { 'no-destination': 1 })
  const two = new DataPathHarness().connect(2)
  two.send(2, frame(0xff, 2, 'x'))
  assert.deepEqual(all(two, 2), [['x'], []])
})

test('unknown unicast goes to learning ports and uplinks only, not to other guests', () => {
  const harness = new DataPathHarness().connect(3)
  harness.send(1, frame(99, 1, 'nowhere'))
  assert.deepEqual(harness.drops(1), { 'no-destination': 1 })
  harness.connectPort(4, LEARNING)
  harness.connectPort(5, LEARNING | PortFlag.external)
  harness.send(1, frame(99, 1, 'somewhere'))
  assert.deepEqual(all(harness, 5), [[], [], [], ['somewhere'], ['somewhere']])
  harness.send(4, frame(98, 4, 'from one of them'))
  assert.deepEqual(harness.got(5), ['somewhere', 'from one of them'])
})

test("a learning port's address is learned, is moved with its host, and is not flooded any more", () => {
  const harness = new DataPathHarness().connect(1)
  for (const port of [2, 3, 4]) harness.connectPort(port, LEARNING)
  harness.send(2, frame(1, 50, 'hello'))
  harness.send(1, frame(50, 1, 'first'))
  assert.deepEqual(all(harness, 4), [['hello'], ['first'], [], []])
  harness.send(3, frame(1, 50, 'moved'))
  harness.send(1, frame(50, 1, 'second'))
  assert.deepEqual(all(harness, 4), [['hello', 'moved'], ['first'], ['second'], []])
  assert.equal(harness.macs.statistics().moves, 1)
})

test('group addresses and the ports of guarded guests are never learned', () => {
  const harness = new DataPathHarness().connect(2)
  harness.connectPort(3, LEARNING)
  harness.send(3, frame(1, '01:00:5e:00:00:01', 'x'))
  harness.send(1, frame(2, 1, 'y'))
  assert.equal(harness.macs.entries(0).filter((entry) => !entry.static).length, 0)
})

test("a learning port can't take over a configured address", () => {
  const harness = new DataPathHarness().connect(2)
  harness.connectPort(3, LEARNING)
  harness.send(3, frame(1, 2, 'I am 2'))
  harness.send(1, frame(2, 1, 'for 2'))
  assert.deepEqual(harness.got(2), ['for 2'])
  assert.deepEqual(harness.got(3), [])
})

test('a guarded port sends from its own address only; the forged frame is dropped and counted there (ES-332)', () => {
  const harness = new DataPathHarness().connect(3)
  harness.send(
    1,
    frame(2, 3, 'forged'),
    frame(2, '02:00:00:00:00:ff', 'forged'),
    frame(2, '03:00:00:00:00:01', 'forged'),
    frame(2, 1, 'true'),
  )
  assert.deepEqual(harness.got(2), ['true'])
  assert.deepEqual(harness.drops(1), { 'mac-spoofing': 3 })
})

test('reserved multicast addresses 01-80-C2-00-00-00…0F never cross the switch', () => {
  const harness = new DataPathHarness().connect(2)
  for (const last of ['00', '0e', '0f', '10', '21']) harness.send(1, frame(`01:80:c2:00:00:${last}`, 1, last))
  harness.send(1, frame('01:80:c2:00:01:00', 1, 'next'))
  assert.deepEqual(harness.got(2), ['10', '21', 'next'])
  assert.deepEqual(harness.drops(1), { 'reserved-multicast': 3 })
})

test('a tagged frame is forwarded by the address as learned in its VLAN', () => {
  const harness = new DataPathHarness()
  for (const port of [1, 2, 3]) harness.connectPort(port, LEARNING)
  harness.send(2, tagged(99, 50, 10, 'a'))
  harness.send(3, tagged(99, 50, 20, 'b')) // the same address in another VLAN is another host
  for (const port of [1, 2, 3]) harness.sink(port).frames.length = 0
  harness.send(1, tagged(50, 1, 10, 'to vlan 10'), tagged(50, 1, 20, 'to vlan 20'), tagged(50, 1, 30, 'unknown'))
  assert.deepEqual(taggedTexts(harness, 2), ['to vlan 10', 'unknown'])
  assert.deepEqual(taggedTexts(harness, 3), ['to vlan 20', 'unknown'])
})

test("an access port's frames belong to its VLAN", () => {
  const harness = new DataPathHarness()
  harness.connectPort(1, LEARNING, 1, 10)
  harness.connectPort(2, LEARNING, 1, 10)
  harness.send(2, frame(99, 50, 'x'))
  const { low, high } = macKey(mac(50))
  assert.equal(harness.macs.lookup(low, high, 10), 2)
  assert.equal(harness.macs.lookup(low, high, 0), -1)
})

test('a port whose link is down neither sends nor receives (ES-321)', () => {
  const harness = new DataPathHarness().connect(3)
  const down = { portState: PortState.created, nicState: NicState.connected, mac: mac(2), vlan: 0 }
  harness.ports.set(2, { ...down, flags: PortFlag.checkSource | PortFlag.linkDown })
  harness.send(1, frame(2, 1, 'x'), frame(0xff, 1, 'all'))
  harness.send(2, frame(1, 2, 'y'))
  assert.deepEqual(all(harness, 3), [[], [], ['all']])
  assert.deepEqual(harness.drops(2), { 'destination-not-connected': 1, 'source-not-connected': 1 })
  harness.ports.set(2, { ...down, flags: PortFlag.checkSource })
  harness.send(1, frame(2, 1, 'again'))
  assert.deepEqual(harness.got(2), ['again'])
})

test('a frame whose header stands at an odd place is forwarded and delivered all the same', () => {
  const harness = new DataPathHarness().connect(3)
  harness.install(() => ({
    ingress(batch) {
      const { pool } = batch
      const slot = batch.slots[0]!
      const from = slot * 256 + pool.headerOffset[slot]!
      pool.header8.copyWithin(from - 3, from, from + pool.headerLength[slot]!)
      pool.headerOffset[slot] = pool.headerOffset[slot]! - 3
    },
  }))
  harness.send(1, frame(3, 1, 'moved'))
  assert.deepEqual(all(harness, 3), [[], [], ['moved']])
})

test('a tagged frame reaches an address of the configuration, which is known without a VLAN', () => {
  for (const shortCut of [false, true]) {
    const harness = new DataPathHarness({ shortCut }).connect(3)
    const plain = frame(2, 1, 'tagged')
    harness.send(1, Buffer.concat([plain.subarray(0, 12), Buffer.from([0x81, 0x00, 0x00, 0x07]), plain.subarray(12)]))
    assert.equal(harness.sink(2).frames.length, 1)
    assert.equal(harness.sink(3).frames.length, 0)
    assert.deepEqual(harness.drops(1), {})
  }
})
