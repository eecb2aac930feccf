import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NdisStatus, type PacketHandle, ReceiveFlag, type SwitchHandle } from 'vmswitch/extension'
import { frame } from '../support/data-path-harness.ts'
import { capturing, destinationsOf, directTo, filtering, forwarding, stackOf } from './handlers.ts'

const BANG = Uint8Array.of(0x21)

test('CS-52 for one destination a packet is changed by excluding it and sending a changed clone down from there (ES-385, ES-386, ES-388, ES-395, ES-398)', () => {
  const seen: string[] = []
  const watch = (name: string) =>
    filtering({
      name,
      ingress: (batch) => void seen.push(`${name} down ${batch.sourcePortId(0)}`),
      egress: (batch) => void seen.push(`${name} up ${destinationsOf(batch, 0)}`),
    })
  const { harness, broken } = stackOf(3, [
    watch('top'),
    filtering({
      egress(batch, sw) {
        if (batch.u8(0, 14) !== 0x78) return
        batch.exclude(0, 1, 'encapsulated')
        const clone = batch.clone(0)
        assert.equal(sw.destinationCount(clone), 0)
        assert.equal(sw.write(clone, 14, BANG), NdisStatus.success)
        assert.equal(sw.send(clone), NdisStatus.success)
      },
    }),
    watch('bottom'),
    forwarding({
      ingress(batch) {
        if (batch.u8(0, 14) === 0x21) batch.addDestination(0, 3)
        else for (const port of [2, 3]) batch.addDestination(0, port)
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'xyz'))
  assert.deepEqual([harness.got(2), harness.got(3)], [['xyz'], ['!yz']])
  assert.deepEqual(seen, [
    'top down 1',
    'bottom down 1',
    'bottom up 2 3',
    'top up 2 -3',
    'bottom down 1',
    'bottom up 3',
    'top up 3',
  ])
  assert.deepEqual(broken(), [])
})

test('CS-53 an unchanged clone with its destinations goes on above the module that held the packet, and comes back to it alone (ES-062, ES-387, ES-392, ES-394)', () => {
  const returned: string[] = []
  const note = (name: string) => filtering({ name, returned: (batch) => void returned.push(`${name} ${batch.length}`) })
  const { harness, broken } = stackOf(3, [
    note('top'),
    filtering({
      name: 'F',
      egress(batch, sw) {
        const clone = batch.clone(0, true)
        assert.equal(sw.destinationCount(clone), 2)
        batch.drop(0, 'replaced')
        assert.equal(sw.indicate(clone, ReceiveFlag.resources), NdisStatus.success) // ES-356: comes back all the same
      },
      returned: (batch) => void returned.push(`F ${batch.isOriginated(0) ? 'its own' : 'another'}`),
    }),
    note('bottom'),
    directTo(2, 3),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual([harness.got(2), harness.got(3)], [['x'], ['x']])
  assert.deepEqual(returned, ['bottom 1', 'top 1', 'F its own'])
  assert.deepEqual(broken(), ['ES-355'])
})

test('CS-54 a clone whose data or source was changed, or without its destinations, is refused on egress (ES-349, ES-391)', () => {
  const answers: number[] = []
  const { harness, broken } = stackOf(3, [
    filtering({
      egress(batch, sw) {
        if (batch.isOriginated(0)) return
        const changed = batch.clone(0, true)
        sw.write(changed, 14, BANG)
        const moved = batch.clone(0, true)
        sw.setSource(moved, 3)
        const bare = batch.clone(0)
        for (const packet of [changed, moved, bare]) {
          answers.push(sw.indicate(packet))
          answers.push(sw.release(packet))
        }
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(
    answers.map((status) => status === NdisStatus.success),
    [false, true, false, true, false, true],
  )
  assert.deepEqual(harness.got(2), ['x'])
  assert.deepEqual(broken(), ['ES-391'])
})

test('CS-49 a packet of its own cannot be indicated on egress by any class, and can be sent on ingress (ES-311, ES-349, ES-375)', () => {
  for (const make of [capturing, filtering, forwarding]) {
    const { harness, handles, broken } = stackOf(2, [make({})])
    const [sw] = handles as [SwitchHandle]
    const packet = sw.originate(frame(2, 9, 'own'))
    assert.notEqual(sw.indicate(packet), NdisStatus.success)
    if (make === forwarding) sw.addDestination(packet, 2)
    assert.equal(sw.send(packet), NdisStatus.success)
    harness.dataPath.flushInjections()
    assert.deepEqual(harness.got(2), ['own'])
    assert.deepEqual(broken(), ['ES-349'])
  }
})

test('CS-55 a clone names its original and shares nothing with it: the original may be done before (ES-396, ES-397, ES-403)', () => {
  let clone: PacketHandle = 0
  let original = 0
  const parents: [number, boolean][] = []
  const { harness, handles, broken } = stackOf(2, [
    filtering({
      ingress(batch) {
        if (batch.u8(0, 14) !== 0x63) return
        original = batch.packetId(0)
        clone = batch.clone(0)
        batch.drop(0, 'replaced')
      },
    }),
    filtering({
      ingress: (batch) => {
        if (batch.isOriginated(0)) parents.push([batch.parentPacketId(0), batch.isDataSafe(0)])
        else assert.equal(batch.parentPacketId(0), 0)
      },
    }),
  ])
  const text = 'clone, long enough to reach beyond the bytes that are copied '.repeat(5).trim()
  harness.send(1, frame(2, 1, text))
  for (let i = 0; i < 20; i++) harness.send(1, ...Array.from({ length: 64 }, () => frame(2, 1, '?'.repeat(text.length)))) // memory is used again
  harness.sink(2).frames.length = 0
  handles[0]!.send(clone)
  harness.dataPath.flushInjections()
  assert.deepEqual(parents, [[original, true]])
  assert.deepEqual(harness.got(2), [text])
  assert.deepEqual(broken(), [])
})

test('a forwarding extension adds the destinations of what it clones or originates before it sends; others cannot (ES-315, ES-378, ES-379, ES-389)', () => {
  const { harness, broken } = stackOf(3, [
    filtering({
      ingress(batch, sw) {
        const clone = batch.clone(0)
        assert.equal(sw.addDestination(clone, 3), false)
        assert.notEqual(sw.growDestinations(clone, 1), NdisStatus.success)
        sw.release(clone)
      },
    }),
    forwarding({
      ingress(batch, sw) {
        batch.addDestination(0, 2)
        const clone = batch.clone(0)
        assert.equal(sw.growDestinations(clone, 1), NdisStatus.success)
        assert.equal(sw.writeDestination(clone, 0, 2), true)
        assert.equal(sw.writeDestination(clone, 1, 3), true)
        assert.equal(sw.updateDestinations(clone, 2), NdisStatus.success)
        assert.equal(sw.write(clone, 14, BANG), NdisStatus.success)
        assert.equal(sw.send(clone), NdisStatus.success)
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual([harness.got(2), harness.got(3)], [['x', '!'], ['!']])
  assert.deepEqual(broken(), ['ES-379'])
})

test('CopyNetBufferListInfo gives a packet source and out-of-band data of another, and its destinations only when told (ES-384, ES-402, ES-426, ES-427, ES-428)', () => {
  const { harness, handles, broken } = stackOf(3, [
    forwarding({
      ingress(batch, sw) {
        batch.addDestination(0, 2)
        batch.addDestination(0, 3)
        const without = sw.originate(frame(2, 9, 'without'))
        assert.equal(batch.copyInfo(0, without), NdisStatus.success)
        assert.deepEqual([sw.destinationCount(without), sw.availableDestinations(without)], [0, 1])
        const withThem = sw.originate(frame(2, 9, 'with'))
        assert.equal(batch.copyInfo(0, withThem, true), NdisStatus.success)
        assert.deepEqual([sw.destinationCount(withThem), sw.availableDestinations(withThem)], [2, 0])
        assert.equal(batch.copyInfo(0, withThem, true), NdisStatus.invalidParameter, 'it has destinations: they are frozen')
        const second = sw.originate(frame(2, 9, 'second'))
        assert.equal(sw.copyInfo(second, withThem, true), NdisStatus.success)
        const bare = sw.allocatePacket(frame(2, 9, 'bare'))
        assert.equal(batch.copyInfo(0, bare), NdisStatus.invalidParameter)
        assert.equal(sw.copyInfo(second, bare), NdisStatus.invalidParameter)
        for (const packet of [without, withThem, second]) assert.equal(sw.send(packet), NdisStatus.success)
        sw.freePacket(bare)
      },
      egress: (batch) => {
        for (let i = 0; i < batch.length; i++) assert.equal(batch.sourcePortId(i), 1)
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(
    [harness.got(2), harness.got(3)],
    [
      ['x', 'with', 'second'],
      ['x', 'with', 'second'],
    ],
  )
  assert.deepEqual(harness.drops(1), { 'no-destination': 1 })
  assert.deepEqual(broken(), ['ES-428'])
  assert.equal(handles.length, 1)
})

test('CS-50 a packet needs a forwarding context, once, and it is freed before the packet (ES-376, ES-377, ES-382, ES-408, ES-409, ES-414, ES-425, ES-443)', () => {
  const { harness, handles, broken } = stackOf(2, [forwarding({})])
  const [sw] = handles as [SwitchHandle]
  const free = harness.pool.freeSlots
  const packet = sw.allocatePacket(frame(2, 9, 'x'))
  assert.notEqual(sw.send(packet), NdisStatus.success)
  assert.deepEqual(broken(), ['ES-443'])
  assert.equal(sw.destinationCount(packet), -1)
  assert.equal(sw.addDestination(packet, 2), false)
  assert.notEqual(sw.setSource(packet, 1), NdisStatus.success)
  assert.deepEqual(broken(), ['ES-443', 'ES-414'])
  assert.equal(sw.allocateForwardingContext(packet), NdisStatus.success)
  assert.equal(sw.destinationCount(packet), 0)
  assert.notEqual(sw.allocateForwardingContext(packet), NdisStatus.success)
  assert.deepEqual(broken(), ['ES-443', 'ES-414', 'ES-408'])
  assert.equal(sw.addDestination(packet, 2), true)
  assert.equal(harness.ports.pins(2), 1)
  assert.equal(sw.freeForwardingContext(packet), NdisStatus.success)
  assert.equal(harness.ports.pins(2), 0)
  assert.equal(sw.freePacket(packet), NdisStatus.success)
  const leaky = sw.originate(frame(2, 9, 'y'))
  assert.equal(sw.freePacket(leaky), NdisStatus.success)
  assert.deepEqual(broken(), ['ES-443', 'ES-414', 'ES-408', 'ES-382'])
  assert.notEqual(sw.freeForwardingContext(leaky), NdisStatus.success)
  assert.ok(broken().includes('ES-409'))
  assert.equal(harness.pool.freeSlots, free)
})

test('CS-51 a source that is not connected is refused and the source stays (ES-429, ES-440)', () => {
  const sources: number[] = []
  const { harness, handles } = stackOf(2, [
    capturing({}),
    filtering({ ingress: (batch) => void sources.push(batch.sourcePortId(0)) }),
  ])
  const [sw] = handles as [SwitchHandle]
  const packet = sw.originate(frame(2, 1, 'x'))
  assert.equal(sw.setSource(packet, 1), NdisStatus.success)
  assert.notEqual(sw.setSource(packet, 7), NdisStatus.success)
  assert.notEqual(sw.setSource(packet, 1, 1), NdisStatus.success)
  sw.send(packet)
  harness.dataPath.flushInjections()
  assert.deepEqual(sources, [1])
})

test('CS-48 CS-57 an originated packet is trusted unless it is given a source, and comes back to its maker alone (ES-061, ES-341, ES-372, ES-373, ES-380)', () => {
  const done: string[] = []
  const note = (name: string) =>
    filtering({ name, sendComplete: (batch) => void done.push(`${name} ${batch.length} ${batch.isDataSafe(0)}`) })
  const { harness, handles } = stackOf(3, [note('top'), note('F'), note('bottom')])
  harness.dataPath.setHooks(
    {
      placement: 'before-forwarding',
      ingress: (batch, i) => (batch.sourcePortId(i) === 1 ? harness.reasons.number('acl') : 0),
      egress: () => 0,
    },
    undefined,
  )
  const sw = handles[1]!
  const trusted = sw.originate(frame(2, 1, 'trusted'))
  const judged = sw.originate(frame(2, 1, 'judged'))
  sw.setSource(judged, 1)
  sw.send(trusted)
  harness.dataPath.flushInjections()
  assert.deepEqual(done, ['bottom 1 true', 'F 1 true'])
  sw.send(judged)
  harness.dataPath.flushInjections()
  assert.deepEqual(harness.got(2), ['trusted'])
  assert.deepEqual(harness.drops(1), { acl: 1 })
})
