import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Batch, NdisStatus, type PacketHandle } from 'vmswitch/extension'
import { frame } from '../support/data-path-harness.ts'
import { capturing, destinationsOf, directTo, filtering, stackOf } from './handlers.ts'

test('CS-44 one of two destinations is excluded in three steps: set, committed, reported; the other is served (ES-346, ES-359, ES-360, ES-361, ES-362, ES-363, ES-365, ES-367)', () => {
  const { harness, broken } = stackOf(3, [
    filtering({
      egress(batch) {
        assert.equal(batch.setExcluded(0, 1), true)
        assert.equal(batch.isExcluded(0, 1), false, 'not before it is committed')
        assert.equal(batch.updateDestinations(0, 0), NdisStatus.success)
        assert.equal(batch.isExcluded(0, 1), true)
        assert.equal(batch.report(0, 3, false, 'policy'), true)
      },
    }),
    directTo(2, 3),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual([harness.got(2), harness.got(3)], [['x'], []])
  assert.deepEqual([harness.drops(1), harness.drops(2), harness.drops(3)], [{}, {}, { policy: 1 }])
  assert.equal(harness.portCounter(3, 'sendDropped'), 1)
  assert.deepEqual(broken(), [])
})

test('an exclusion that is not committed has no effect, and both are breaches: leaving out the commit, and passing on what has none left (ES-358, ES-359)', () => {
  const { harness, broken } = stackOf(3, [
    filtering({
      egress(batch) {
        for (let i = 0; i < batch.length; i++) {
          batch.setExcluded(i, 0)
          if (batch.u8(i, 14) === 0x61) continue
          batch.updateDestinations(i, 0)
          batch.report(i, 2, false, 'policy')
        }
      },
    }),
    directTo(2),
  ])
  harness.send(1, frame(2, 1, 'a'))
  assert.deepEqual(broken(), ['ES-359'])
  harness.send(1, frame(2, 1, 'b'))
  assert.deepEqual(harness.got(2), ['a'])
  assert.deepEqual(broken(), ['ES-359', 'ES-358'])
  assert.deepEqual(harness.drops(2), { policy: 1 })
})

test('CS-45 a packet of which all destinations are excluded is dropped, whatever the module does (ES-358)', () => {
  for (const drops of [true, false]) {
    const { harness, broken } = stackOf(2, [
      filtering({
        egress(batch) {
          batch.setExcluded(0, 0)
          batch.updateDestinations(0, 0)
          batch.report(0, 2, false, 'policy')
          if (drops) batch.complete(0)
        },
      }),
    ])
    harness.send(1, frame(2, 1, 'x'))
    assert.deepEqual(harness.got(2), [])
    assert.deepEqual(harness.drops(2), { policy: 1 })
    assert.deepEqual(broken(), drops ? [] : ['ES-358'])
  }
})

test('CS-46 what was excluded below stays excluded (ES-357)', () => {
  const { harness, broken } = stackOf(3, [
    filtering({ egress: (batch) => assert.equal(batch.setExcluded(0, 0, false), false) }),
    filtering({ egress: (batch) => batch.exclude(0, 0, 'policy') }),
    directTo(2, 3),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual([harness.got(2), harness.got(3)], [[], ['x']])
  assert.deepEqual(broken(), ['ES-357'])
})

test('CS-34 a capturing extension changes, excludes, completes and reports nothing (ES-306, ES-309)', () => {
  const { harness, broken } = stackOf(2, [
    capturing({
      egress(batch) {
        assert.equal(batch.setExcluded(0, 0), false)
        assert.notEqual(batch.updateDestinations(0, 0), NdisStatus.success)
        batch.complete(0)
        assert.equal(batch.report(0, 2, false, 'x'), false)
        assert.equal(batch.setVlan(0, 1, 1), false)
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(harness.got(2), ['x'])
  assert.deepEqual(broken(), ['ES-309', 'ES-306', 'ES-347'])
  assert.deepEqual(harness.drops(2), {})
})

test('CS-61 a report names the source with incoming, a destination without; the inverse is refused and not counted (ES-364, ES-365, ES-444)', () => {
  const { harness, broken } = stackOf(3, [
    filtering({
      ingress(batch) {
        if (batch.u8(0, 14) !== 0x69) return
        assert.equal(batch.report(0, 1, false, 'wrong'), false)
        assert.equal(batch.report(0, 2, true, 'wrong'), false)
        for (const port of [0, -1, 9, 70000, 1.5]) assert.equal(batch.report(0, port, false, 'wrong'), false)
        assert.equal(batch.report(0, 1, true, 'source'), true)
        batch.complete(0)
      },
      egress(batch) {
        assert.equal(batch.report(0, 2, true, 'wrong'), false)
        assert.equal(batch.report(0, 3, false, 'wrong'), false, 'it does not go there')
        assert.equal(batch.report(0, 2, false, 'destination'), true)
        batch.complete(0)
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'i'))
  harness.send(1, frame(2, 1, 'e'))
  assert.deepEqual([harness.drops(1), harness.drops(2), harness.drops(3)], [{ source: 1 }, { destination: 1 }, {}])
  assert.deepEqual(broken(), ['ES-444'])
})

test('a packet completed without a report is a breach, and the switch reports it where it belongs (ES-360)', () => {
  for (const direction of ['ingress', 'egress'] as const) {
    const { harness, broken } = stackOf(2, [filtering({ [direction]: (batch: Batch) => batch.complete(0) })])
    harness.send(1, frame(2, 1, 'x'))
    assert.deepEqual(harness.got(2), [])
    assert.deepEqual(harness.drops(direction === 'ingress' ? 1 : 2), { 'not-reported-by-extension': 1 })
    assert.deepEqual(broken(), ['ES-360'])
  }
})

test('CS-56 completion goes down the modules that a packet passed on egress, then up those that it passed on ingress (ES-353, ES-354)', () => {
  const done: string[] = []
  const note = (name: string) => ({
    name,
    returned: (batch: Batch) => {
      done.push(`return ${name}`)
      assert.equal(batch.ingress, false)
    },
    sendComplete: (batch: Batch) => {
      done.push(`complete ${name}`)
      assert.equal(batch.ingress, true)
    },
  })
  const { harness } = stackOf(2, [capturing(note('C')), filtering(note('F')), { ...directTo(2), ...note('X') }])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(done, ['return C', 'return F', 'return X', 'complete X', 'complete F', 'complete C'])
})

test('a packet dropped on the way completes to those that it passed and to nobody else (ES-305, ES-344, ES-353)', () => {
  const done: string[] = []
  const note = (name: string) => ({
    name,
    returned: (batch: Batch) => void done.push(`return ${name} ${batch.length}`),
    sendComplete: (batch: Batch) => void done.push(`complete ${name} ${batch.length}`),
  })
  const drop = (direction: 'ingress' | 'egress', letter: number) => ({
    [direction](batch: Batch) {
      for (let i = 0; i < batch.length; i++) if (batch.u8(i, 14) === letter) batch.drop(i, 'policy')
    },
  })
  const { harness } = stackOf(2, [
    filtering(note('A')),
    filtering({ ...note('B'), ...drop('ingress', 0x69), ...drop('egress', 0x65) }),
    filtering({ ...note('C'), ...drop('ingress', 0x6a) }),
  ])
  const run = (text: string): string[] => {
    harness.send(1, frame(2, 1, text))
    return done.splice(0)
  }
  assert.deepEqual(run('i'), ['complete A 1'])
  assert.deepEqual(run('e'), ['return C 1', 'complete C 1', 'complete B 1', 'complete A 1'])
  harness.send(1, frame(2, 1, 'i'), frame(2, 1, 'x'))
  assert.deepEqual(done.splice(0), ['return A 1', 'return B 1', 'return C 1', 'complete C 1', 'complete B 1', 'complete A 2'])
})

test('a held packet completes when it is done, not when it is taken (ES-351, ES-353)', () => {
  const done: string[] = []
  let held: PacketHandle = 0
  const { harness, handles } = stackOf(2, [
    filtering({ sendComplete: (batch) => void done.push(`top ${batch.length}`) }),
    filtering({
      egress: (batch) => {
        held = batch.hold(0)
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(done, [])
  handles[1]!.forward(held)
  harness.dataPath.flushInjections()
  assert.deepEqual(done, ['top 1'])
})

test('a packet held on egress and given up is lost by its destinations (ES-351, ES-365)', () => {
  const { harness } = stackOf(3, [filtering({ egress: (batch, sw) => void sw.release(batch.hold(0), 'late') }), directTo(2, 3)])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual([harness.drops(1), harness.drops(2), harness.drops(3)], [{}, { late: 1 }, { late: 1 }])
  assert.deepEqual(
    [1, 2, 3].map((port) => harness.ports.pins(port)),
    [0, 0, 0],
  )
})

test('destinations are readable on egress by all, with source (ES-345, ES-350)', () => {
  const seen: string[] = []
  const { harness } = stackOf(3, [
    capturing({ egress: (batch) => void seen.push(`${batch.sourcePortId(0)} to ${destinationsOf(batch, 0)}`) }),
    directTo(2, 3),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(seen, ['1 to 2 3'])
})

test('a frame longer than the destination takes is dropped there with a reason; super-frames are cut, and others get it (ES-352)', () => {
  const { harness } = stackOf(3, [directTo(2, 3)])
  harness.ports.setMtu(2, 100)
  harness.send(1, frame(2, 1, 'a'.repeat(100)), frame(2, 1, 'b'.repeat(101)))
  assert.deepEqual([harness.got(2).length, harness.got(3).length], [1, 2])
  assert.deepEqual(harness.drops(2), { 'mtu-exceeded': 1 })
})
