import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NdisStatus, ReceiveFlag, SendFlag, type SwitchHandle } from 'vmswitch/extension'
import { frame } from '../support/data-path-harness.ts'
import { directTo, filtering, forwarding, stackOf } from './handlers.ts'

const { switchSingleSource, switchDestinationGroup } = SendFlag

test("CS-58 SINGLE_SOURCE is true of a port's burst and seen for injected lists; saying so of several sources is a breach (ES-381, ES-445, ES-446, ES-447, ES-448, ES-450)", () => {
  const seen: string[] = []
  const { harness, handles, broken } = stackOf(3, [
    filtering({}),
    filtering({
      ingress: (batch) => {
        seen.push(`down ${batch.length} ${batch.singleSource}`)
        if (batch.singleSource) batch.passFlags(switchSingleSource)
      },
      egress: (batch) => void seen.push(`up ${batch.length} ${batch.singleSource}`),
    }),
  ])
  harness.send(1, frame(2, 1, 'a'), frame(3, 1, 'b'))
  const [sw] = handles as [SwitchHandle]
  const make = (source: number): number => {
    const packet = sw.originate(frame(3, source, `${source}`))
    sw.setSource(packet, source)
    return packet
  }
  assert.equal(sw.sendAll([make(1), make(1)], 2, switchSingleSource), NdisStatus.success)
  harness.dataPath.flushInjections()
  assert.deepEqual(broken(), [])
  assert.equal(sw.sendAll([make(1), make(2)], 2), NdisStatus.success)
  harness.dataPath.flushInjections()
  assert.deepEqual(broken(), [])
  assert.equal(sw.sendAll([make(1), make(2)], 2, switchSingleSource), NdisStatus.success)
  harness.dataPath.flushInjections()
  assert.deepEqual(broken(), ['ES-448'])
  assert.deepEqual(seen, [
    'down 2 true',
    'up 2 true',
    'down 2 true',
    'up 2 true',
    'down 2 false',
    'up 2 false',
    'down 2 false',
    'up 2 false',
  ])
  assert.deepEqual(harness.got(3), ['b', '1', '1', '1', '2', '1', '2'])
})

test('CS-59 DESTINATION_GROUP on a send is for forwarding extensions and one equal destination; the miniport edge clears it (ES-330, ES-342, ES-452, ES-453, ES-454)', () => {
  const of = (to: (i: number) => number[]) => {
    const seen: boolean[] = []
    const bench = stackOf(3, [
      filtering({ egress: (batch) => void seen.push(batch.destinationGroup) }),
      forwarding({
        ingress(batch) {
          for (let i = 0; i < batch.length; i++) for (const port of to(i)) batch.addDestination(i, port)
          batch.passFlags(switchDestinationGroup)
          assert.equal(batch.destinationGroup, false, 'never on ingress')
        },
      }),
    ])
    bench.harness.send(1, frame(2, 1, 'a'), frame(3, 1, 'b'))
    return [bench.broken(), seen, [bench.harness.got(2), bench.harness.got(3)].map((frames) => frames.length)]
  }
  assert.deepEqual(
    of(() => [2]),
    [[], [true], [2, 0]],
  )
  assert.deepEqual(
    of((i) => [i + 2]),
    [['ES-453'], [false], [1, 1]],
  )
  assert.deepEqual(
    of(() => [2, 3]),
    [['ES-454'], [true], [2, 2]],
  )

  const filter = stackOf(2, [filtering({ ingress: (batch) => batch.passFlags(switchDestinationGroup) })])
  filter.harness.send(1, frame(2, 1, 'a'))
  assert.deepEqual(filter.broken(), ['ES-452'])
})

test('lists that a module sends are held to the same rules (ES-381, ES-452, ES-453, ES-454)', () => {
  const broken = (make: typeof forwarding, ...to: number[][]): string[] => {
    const bench = stackOf(3, [make({})])
    const [sw] = bench.handles as [SwitchHandle]
    const packets = to.map((ports) => {
      const packet = sw.originate(frame(2, 9, 'x'))
      if (make === forwarding) for (const port of ports) sw.addDestination(packet, port)
      return packet
    })
    assert.equal(sw.sendAll(packets, packets.length, switchDestinationGroup), NdisStatus.success)
    bench.harness.dataPath.flushInjections()
    return bench.broken()
  }
  assert.deepEqual(broken(forwarding, [2], [2]), [])
  assert.deepEqual(broken(forwarding, [2], [3]), ['ES-453'])
  assert.deepEqual(broken(forwarding, [2, 3], [2, 3]), ['ES-454'])
  assert.deepEqual(broken(filtering, [], []), ['ES-452'])
})

test('CS-60 on egress RESOURCES has no effect, and a group whose exclusions differ is none any more (ES-355, ES-356, ES-455, ES-456, ES-457)', () => {
  const groups: boolean[] = []
  const { harness, broken } = stackOf(3, [
    filtering({
      egress: (batch) => {
        groups.push(batch.destinationGroup)
        batch.passFlags(ReceiveFlag.switchDestinationGroup)
      },
    }),
    filtering({
      egress: (batch) => {
        groups.push(batch.destinationGroup)
        batch.exclude(0, 1, 'one only')
        batch.passFlags(ReceiveFlag.resources)
      },
    }),
    directTo(2, 3),
  ])
  harness.send(1, frame(2, 1, 'a'), frame(2, 1, 'b'))
  assert.deepEqual(groups, [true, false])
  assert.deepEqual(broken(), ['ES-355', 'ES-457'])
  assert.deepEqual([harness.got(2), harness.got(3)], [['a', 'b'], ['b']])
})

test('packets of one completion come back as a list of one source where they are one (ES-449, ES-451)', () => {
  const seen: boolean[] = []
  const { harness } = stackOf(2, [
    filtering({
      sendComplete: (batch) => void seen.push(batch.singleSource),
      returned: (batch) => void seen.push(batch.singleSource),
    }),
  ])
  harness.send(1, frame(2, 1, 'a'), frame(2, 1, 'b'))
  assert.deepEqual(seen, [true, true])
})

test('a list is sent whole or not at all, in the order given (ES-065)', () => {
  const { harness, handles } = stackOf(2, [filtering({})])
  const [sw] = handles as [SwitchHandle]
  const packets = Array.from({ length: 100 }, (_, i) => sw.originate(frame(2, 9, `${i}`)))
  assert.notEqual(sw.sendAll([packets[0]!, packets[1]!, packets[0]!], 3), NdisStatus.success)
  assert.notEqual(sw.sendAll([packets[0]!, 77], 2), NdisStatus.success)
  assert.equal(sw.sendAll(packets, 100), NdisStatus.success)
  harness.dataPath.flushInjections()
  assert.deepEqual(
    harness.got(2),
    Array.from({ length: 100 }, (_, i) => `${i}`),
  )
})
