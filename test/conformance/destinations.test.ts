import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NdisStatus, type PacketHandle, type SwitchHandle } from 'vmswitch/extension'
import { DESTINATIONS_MAX } from '../../src/ndis/destinations.ts'
import { HELD_SLOTS } from '../../src/ndis/pool.ts'
import { frame } from '../support/data-path-harness.ts'
import { destinationsOf, directTo, external, filtering, forwarding, stackOf } from './handlers.ts'

test('CS-42 a packet begins with one unused element; grow appends, update commits what was written from NumDestinations on, all are delivered (ES-413, ES-416, ES-418, ES-419, ES-422, ES-423)', () => {
  const counts: number[][] = []
  const { harness, broken } = stackOf(5, [
    forwarding({
      ingress(batch) {
        const note = (): number => counts.push([batch.destinationCount(0), batch.availableDestinations(0)])
        note()
        assert.equal(batch.growDestinations(0, 3), NdisStatus.success)
        note()
        for (let k = 0; k < 4; k++) assert.equal(batch.writeDestination(0, k, k + 2), true)
        assert.equal(batch.writeDestination(0, 4, 2), false, 'there is no fifth element')
        note()
        assert.equal(batch.updateDestinations(0, 4), NdisStatus.success)
        note()
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(counts, [
    [0, 1],
    [0, 4],
    [0, 4],
    [4, 0],
  ])
  for (const port of [2, 3, 4, 5]) assert.deepEqual(harness.got(port), ['x'])
  assert.deepEqual(broken(), [])
})

test('the one element that a packet begins with is written and committed without growing; adding more grows by itself (ES-411, ES-415, ES-419)', () => {
  const { harness } = stackOf(4, [
    forwarding({
      ingress(batch) {
        assert.equal(batch.writeDestination(0, 0, 2), true)
        assert.equal(batch.updateDestinations(0, 1), NdisStatus.success)
        assert.equal(batch.availableDestinations(0), 0)
        for (const port of [3, 4]) assert.equal(batch.addDestination(0, port), true)
        assert.equal(destinationsOf(batch, 0), '2 3 4')
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'x'))
  for (const port of [2, 3, 4]) assert.deepEqual(harness.got(port), ['x'])
})

test('what a slot held for an earlier packet is no destination and no room of the next (ES-303, ES-366)', () => {
  const { harness } = stackOf(5, [
    forwarding({
      ingress(batch) {
        for (let i = 0; i < batch.length; i++) {
          assert.deepEqual([batch.destinationCount(i), batch.availableDestinations(i)], [0, 1])
          if (batch.isBroadcast(i)) for (const port of [2, 3, 4, 5]) batch.addDestination(i, port)
          else batch.addDestination(i, 2)
        }
      },
    }),
  ])
  harness.send(1, frame(0xff, 1, 'a'), frame(0xff, 1, 'b'))
  harness.send(1, frame(2, 1, 'c'), frame(0xff, 1, 'd'))
  assert.deepEqual(harness.got(2), ['a', 'b', 'c', 'd'])
  assert.deepEqual(harness.got(5), ['a', 'b', 'd'])
})

test('CS-43 growing beyond what there is gives RESOURCES and leaves the packet as it was (ES-417)', () => {
  const { harness } = stackOf(3, [
    forwarding({
      ingress(batch) {
        batch.addDestination(0, 2)
        assert.equal(batch.growDestinations(0, DESTINATIONS_MAX), NdisStatus.resources)
        assert.deepEqual([batch.destinationCount(0), batch.availableDestinations(0)], [1, 0])
        // Together the packets of a turn find room for so many only.
        assert.equal(batch.growDestinations(1, 40000), NdisStatus.success)
        assert.equal(batch.growDestinations(0, 40000), NdisStatus.resources)
        assert.equal(batch.addDestination(1, 3), true)
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'x'), frame(3, 1, 'y'))
  assert.deepEqual([harness.got(2), harness.got(3)], [['x'], ['y']])
})

test('CS-41 a committed entry is frozen, written elements can change until they are committed, IsExcluded may be set (ES-368, ES-421)', () => {
  const { harness, broken } = stackOf(4, [
    filtering({
      egress(batch) {
        assert.equal(batch.setExcluded(0, 0), true)
        assert.equal(batch.updateDestinations(0, 0), NdisStatus.success)
        batch.report(0, batch.destinationPortId(0, 0), false, 'test')
      },
    }),
    forwarding({
      ingress(batch) {
        batch.growDestinations(0, 1)
        assert.equal(batch.writeDestination(0, 0, 4), true)
        assert.equal(batch.writeDestination(0, 0, 2, 0, true), true)
        assert.equal(batch.writeDestination(0, 1, 3), true)
        assert.equal(batch.updateDestinations(0, 2), NdisStatus.success)
        assert.equal(batch.writeDestination(0, 0, 4), false)
        assert.equal(batch.writeDestination(0, 1, 3, 0, true), false)
        assert.equal(batch.updateDestinations(0, 2), NdisStatus.invalidParameter, 'there are no new ones')
        assert.equal(destinationsOf(batch, 0), '2 3')
        assert.deepEqual([batch.preservesVlan(0, 0), batch.preservesVlan(0, 1)], [true, false])
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(
    [2, 3, 4].map((port) => harness.got(port)),
    [[], ['x'], []],
  )
  assert.deepEqual(broken(), ['ES-421'])
})

test('an update with an entry that is not connected, or more entries than there are, commits none (ES-320, ES-325, ES-430, ES-441)', () => {
  const { harness } = stackOf(3, [
    forwarding({
      ingress(batch) {
        batch.growDestinations(0, 2)
        batch.writeDestination(0, 0, 2)
        batch.writeDestination(0, 1, 9) // nobody there
        assert.equal(batch.updateDestinations(0, 2), NdisStatus.invalidParameter)
        assert.equal(batch.destinationCount(0), 0)
        for (const count of [4, -1, 1.5, Number.NaN])
          assert.equal(batch.updateDestinations(0, count), NdisStatus.invalidParameter)
        for (const [port, nic] of [
          [70000, 0],
          [-1, 0],
          [2, 300],
          [2.5, 0],
        ])
          assert.equal(batch.writeDestination(0, 0, port!, nic), false)
        assert.equal(batch.updateDestinations(0, 1), NdisStatus.success)
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(harness.got(2), ['x'])
})

test('CS-39 over several physical adapters a destination names the index of one that is connected, on other ports index 0 (ES-322, ES-324)', () => {
  const answers: boolean[] = []
  const { harness } = stackOf(2, [
    forwarding({
      ingress(batch) {
        for (const [port, nic] of [
          [3, 0],
          [2, 1],
          [3, 4],
          [3, 2],
        ])
          answers.push(batch.addDestination(0, port!, nic))
      },
    }),
  ])
  external(harness, 3, 1, 2)
  const [first, second] = [1, 2].map((nic) => {
    const [sink] = harness.spareSinks(1)
    harness.delivery.setQueues(3, [sink!], nic)
    return sink!
  })
  harness.send(1, frame(9, 1, 'out'))
  assert.deepEqual(answers, [false, false, false, true])
  assert.deepEqual([first!.frames.length, second!.frames.length], [0, 1])
})

test('CS-40 over one physical adapter indices 0 and 1 both leave through it (ES-323)', () => {
  const { harness } = stackOf(2, [
    forwarding({
      ingress(batch) {
        assert.equal(batch.addDestination(0, 3, 0), true)
        assert.equal(batch.addDestination(1, 3, 1), true)
        assert.equal(batch.addDestination(0, 3, 2), false)
      },
    }),
  ])
  external(harness, 3, 1)
  const [sink] = harness.spareSinks(1)
  harness.delivery.setQueues(3, [sink!], 1)
  harness.send(1, frame(9, 1, 'a'), frame(9, 1, 'b'))
  assert.equal(sink!.frames.length, 2)
})

test("without a choice of the extension the switch spreads flows over a team's adapters, and packets tell the adapter they came from (ES-300, ES-370)", () => {
  const sources: string[] = []
  const { harness } = stackOf(2, [
    filtering({ ingress: (batch) => void sources.push(`${batch.sourcePortId(0)}/${batch.sourceNicIndex(0)}`) }),
  ])
  external(harness, 3, 1, 2)
  const sinks = [1, 2].map((nic) => {
    const [sink] = harness.spareSinks(1)
    harness.delivery.setQueues(3, [sink!], nic)
    return sink!
  })
  for (let i = 0; i < 32; i++) harness.send(1, frame(`06:00:00:00:00:${i.toString(16).padStart(2, '0')}`, 1, `${i}`))
  assert.equal(sinks[0]!.frames.length + sinks[1]!.frames.length, 32)
  assert.ok(sinks.every((sink) => sink.frames.length > 4))
  sources.length = 0
  harness.sendThrough(3, 2, frame(2, '06:00:00:00:00:01', 'in'))
  assert.deepEqual(sources, ['3/2'])
})

test('CS-31 what a module holds on egress pins its source and its destinations until it completes; so do destinations of its own packets (ES-208, ES-420)', () => {
  let held: PacketHandle = 0
  const { harness, handles } = stackOf(4, [
    filtering({
      egress: (batch) => {
        held ||= batch.hold(0)
      },
    }),
    directTo(2, 3),
  ])
  const pins = (): number[] => [1, 2, 3, 4].map((port) => harness.ports.pins(port))
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(pins(), [1, 1, 1, 0])
  const [filter, director] = handles as [SwitchHandle, SwitchHandle]
  const own = director.originate(frame(4, 9, 'own'))
  assert.equal(director.addDestination(own, 4), true)
  assert.equal(director.setSource(own, 2), NdisStatus.success)
  assert.deepEqual(pins(), [1, 2, 1, 1])
  director.send(own)
  assert.deepEqual(pins(), [1, 2, 1, 1], 'until it is done')
  harness.dataPath.flushInjections()
  assert.deepEqual(pins(), [1, 1, 1, 0])
  filter.forward(held)
  harness.dataPath.flushInjections()
  assert.deepEqual(pins(), [0, 0, 0, 0])
  assert.deepEqual(harness.got(4), ['own'])
})

test('own packets with many destinations find room again when earlier ones are gone (ES-354, ES-382)', () => {
  const { harness, handles } = stackOf(3, [forwarding({})])
  const [sw] = handles as [SwitchHandle]
  for (let round = 0; round < 50; round++) {
    const packets = Array.from({ length: 20 }, () => {
      const packet = sw.originate(frame(2, 9, `${round}`))
      assert.equal(sw.growDestinations(packet, 2000), NdisStatus.success)
      assert.equal(sw.availableDestinations(packet), 2001)
      assert.equal(sw.addDestination(packet, 2), true)
      return packet
    })
    if (round % 2 === 0) sw.sendAll(packets, packets.length)
    else for (const packet of packets) sw.release(packet)
    harness.dataPath.flushInjections()
  }
  assert.equal(harness.got(2).length, 500)
  assert.equal(harness.pool.freeSlots, HELD_SLOTS)
})

test('an element that was never written is not committed, whatever an earlier packet left in its place (ES-418, ES-419)', () => {
  const answers: number[] = []
  const { harness } = stackOf(3, [
    forwarding({
      ingress(batch, sw) {
        if (batch.u8(0, 14) === 0x61) {
          for (const port of [2, 3]) batch.addDestination(0, port)
          const own = sw.originate(frame(2, 9, 'own'))
          for (const port of [2, 3]) sw.addDestination(own, port)
          sw.release(own)
          return
        }
        answers.push(batch.updateDestinations(0, 1))
        assert.equal(batch.growDestinations(0, 2), NdisStatus.success)
        answers.push(batch.updateDestinations(0, 1), batch.updateDestinations(0, 3))
        const own = sw.originate(frame(2, 9, 'own'))
        answers.push(sw.updateDestinations(own, 1))
        assert.equal(sw.growDestinations(own, 2), NdisStatus.success)
        answers.push(sw.updateDestinations(own, 2))
        assert.equal(sw.destinationCount(own), 0)
        sw.release(own)
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'a'))
  harness.send(1, frame(2, 1, 'b'))
  assert.deepEqual(answers, Array(5).fill(NdisStatus.invalidParameter))
  assert.deepEqual([harness.got(2), harness.got(3)], [['a'], ['a']])
})

test('destinations that a filtering extension copied to a packet of its own do not direct it on ingress (ES-190, ES-386)', () => {
  const { harness } = stackOf(3, [
    filtering({
      ingress: () => {},
      egress(batch, sw) {
        if (batch.u8(0, 14) !== 0x78) return
        const own = sw.originate(frame(2, 1, 'own'))
        assert.equal(batch.copyInfo(0, own, true), NdisStatus.success)
        assert.equal(sw.destinationCount(own), 1)
        assert.equal(harness.ports.pins(3), 1)
        assert.equal(sw.send(own), NdisStatus.success)
        assert.equal(harness.ports.pins(3), 0)
      },
    }),
  ])
  harness.send(1, frame(3, 1, 'x'))
  assert.deepEqual([harness.got(2), harness.got(3)], [['own'], ['x']])
})
