import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DataPathHarness, frame, textOf } from '../../test/support/data-path-harness.ts'
import { MonitorDirection, MonitorMode, PortFlag, VlanMode } from './port-table.ts'

const { both, received, sent } = MonitorDirection
const { all, destination, none, source } = MonitorMode

const textsAt = (harness: DataPathHarness, port: number): string[] => harness.sink(port).frames.splice(0).map(textOf)
const tagsAt = (harness: DataPathHarness, port: number): number[] =>
  harness
    .sink(port)
    .frames.splice(0)
    .map((bytes) => (bytes.readUInt16BE(12) === 0x8100 ? bytes.readUInt16BE(14) : -1))

function tagged(to: number, from: number, tci: number): Buffer {
  const plain = frame(to, from, 'tagged')
  return Buffer.concat([plain.subarray(0, 12), Buffer.from([0x81, 0x00, tci >> 8, tci & 255]), plain.subarray(12)])
}

for (const shortCut of [false, true])
  describe(`mirroring ${shortCut ? 'with' : 'without'} short cuts`, () => {
    const connected = (ports: number): DataPathHarness => new DataPathHarness({ shortCut }).connect(ports)

    test('copies what a source sends, what it gets, or both, as its direction says', () => {
      for (const [direction, expected] of [
        [both, ['from', 'to']],
        [sent, ['from']],
        [received, ['to']],
      ] as const) {
        const harness = connected(3)
        harness.ports.setMonitor(1, source, 4, direction)
        harness.ports.setMonitor(3, destination, 4)
        harness.send(1, frame(2, 1, 'from'))
        harness.send(2, frame(1, 2, 'to'))
        assert.deepEqual(textsAt(harness, 3), expected)
        assert.deepEqual([textsAt(harness, 1), textsAt(harness, 2)], [['to'], ['from']])
      }
    })

    test('has several sources and several destinations in a session, and keeps sessions apart', () => {
      const harness = connected(8)
      for (const [port, session] of [
        [1, 1],
        [2, 1],
        [3, 255],
      ] as const)
        harness.ports.setMonitor(port, source, session)
      for (const [port, session] of [
        [5, 1],
        [6, 255],
        [7, 1],
      ] as const)
        harness.ports.setMonitor(port, destination, session)
      harness.send(1, frame(4, 1, 'a'))
      harness.send(2, frame(1, 2, 'once, though both are mirrored'))
      harness.send(3, frame(4, 3, 'c'))
      harness.send(4, frame(8, 4, 'unseen'))
      const session1 = ['a', 'once, though both are mirrored']
      assert.deepEqual(
        [5, 6, 7].map((port) => textsAt(harness, port)),
        [session1, ['c'], session1],
      )
      harness.ports.setMonitor(7, none)
      harness.send(1, frame(4, 1, 'later'))
      assert.deepEqual([textsAt(harness, 5), textsAt(harness, 7)], [['later'], []])
    })

    test('gives a port of mode all everything that passes the switch, but not what it sends itself', () => {
      const harness = connected(4)
      harness.ports.setMonitor(4, all)
      harness.send(1, frame(2, 1, 'a'))
      harness.send(2, frame(0xff, 2, 'to all'))
      harness.send(4, frame(1, 4, 'own'))
      assert.deepEqual(textsAt(harness, 4), ['a', 'to all'])
      assert.deepEqual(textsAt(harness, 1), ['to all', 'own'])
    })

    test('copies what a port sends though nobody gets it, and drops it where no copy is wanted', () => {
      const harness = connected(3)
      harness.ports.setMonitor(1, source)
      harness.ports.setMonitor(3, destination)
      harness.send(1, frame('02:00:00:00:00:99', 1, 'to nobody'))
      harness.send(1, frame(1, 1, 'to itself'))
      harness.ports.clear(2)
      harness.send(1, frame(2, 1, 'to one who is gone'))
      assert.deepEqual(textsAt(harness, 3), ['to nobody', 'to itself', 'to one who is gone'])
      assert.deepEqual(harness.drops(1), {})
      harness.send(3, frame('02:00:00:00:00:99', 3, 'of the monitor'))
      assert.deepEqual(harness.drops(3), { 'no-destination': 1 })
      harness.ports.setMonitor(3, all)
      harness.send(3, frame('02:00:00:00:00:99', 3, 'of the monitor'))
      assert.deepEqual(harness.drops(3), { 'no-destination': 2 }, 'it gets no copy of its own')
      harness.send(1, frame('02:00:00:00:00:99', 1, 'to nobody'))
      assert.deepEqual(textsAt(harness, 3), ['to nobody'])
    })

    test('never gives a destination back what it sent to a mirrored port', () => {
      const harness = connected(3)
      harness.ports.setMonitor(1, source)
      harness.ports.setMonitor(3, destination)
      harness.send(3, frame(1, 3, 'from the monitor'))
      harness.send(3, frame(0xff, 3, 'to all'))
      assert.deepEqual([textsAt(harness, 1), textsAt(harness, 3)], [['from the monitor', 'to all'], []])
    })

    test('learns nothing of copies: frames to the mirrored address go on to its own port', () => {
      const harness = connected(3)
      harness.connectPort(1, PortFlag.learn | PortFlag.unknownUnicast)
      harness.ports.setMonitor(1, source)
      harness.ports.setMonitor(3, destination)
      harness.send(1, frame(2, '02:00:00:00:00:77', 'x'))
      const entry = harness.macs.entries(0).find(({ mac }) => mac === '02:00:00:00:00:77')
      assert.equal(entry?.port, 1)
    })

    test('does not copy what a guard or the source policy drops', () => {
      const harness = connected(3)
      harness.ports.setGuards(1, {
        dhcpGuard: false,
        routerGuard: false,
        stormLimit: [{ classes: ['broadcast'], packetsPerSecond: 1 }],
      })
      harness.ports.setMonitor(1, source)
      harness.ports.setMonitor(3, destination)
      for (let i = 0; i < 100; i++) harness.send(1, frame(0xff, 1, 'storm'))
      const passed = textsAt(harness, 2).length
      assert.ok(passed < 100)
      assert.equal(textsAt(harness, 3).length, passed)
      harness.send(1, frame(2, '02:00:00:00:00:99', 'forged'))
      assert.deepEqual([textsAt(harness, 2), textsAt(harness, 3)], [[], []])
      assert.equal(harness.drops(1)['mac-spoofing'], 1)
    })

    test('copies across VLANs, private ones too, and shows the VLAN in the copy', () => {
      const harness = connected(4)
      harness.ports.setVlan(1, { mode: VlanMode.isolated, primary: 10, secondary: 11 })
      harness.ports.setVlan(2, { mode: VlanMode.promiscuous, primary: 10, set: [11] })
      harness.ports.setVlan(3, { mode: VlanMode.isolated, primary: 10, secondary: 11 })
      harness.ports.setMonitor(1, source)
      harness.ports.setMonitor(4, destination)
      harness.send(1, frame(0xff, 1, 'x'))
      assert.deepEqual(
        [2, 3, 4].map((port) => tagsAt(harness, port)),
        [[-1], [], [11]],
      )
    })

    test('tags copies with the VLAN of their destination in place of their own, and keeps their priority', () => {
      const harness = connected(4)
      harness.ports.setMonitor(1, source)
      harness.ports.setMonitor(4, destination, 0, both, 900)
      harness.send(1, frame(2, 1, 'untagged'))
      harness.send(1, tagged(2, 1, 0xa005))
      assert.deepEqual(tagsAt(harness, 2), [-1, 0xa005])
      assert.deepEqual(tagsAt(harness, 4), [900, 0xa000 | 900])
      harness.send(2, frame(4, 2, 'its own'))
      assert.deepEqual(tagsAt(harness, 4), [-1])
    })
  })
