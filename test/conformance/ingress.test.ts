import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Batch } from 'vmswitch/extension'
import { frame } from '../support/data-path-harness.ts'
import { capturing, directTo, filtering, forwarding, stackOf } from './handlers.ts'

test('CS-38 what a forwarding extension gives no destination is completed and counted once (ES-316, ES-317, ES-362)', () => {
  const done: number[] = []
  const { harness } = stackOf(2, [
    filtering({ sendComplete: (batch) => void done.push(batch.length), returned: () => assert.fail('it was never on egress') }),
    forwarding({ ingress: () => {} }),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(harness.got(2), [])
  assert.deepEqual(done, [1])
  assert.deepEqual(harness.drops(1), { 'no-destination': 1 })
})

test('CS-32 a destination that is disconnected is refused; if it was the only one the packet is dropped (ES-204, ES-320, ES-321)', () => {
  const answers: boolean[] = []
  const { harness } = stackOf(2, [forwarding({ ingress: (batch) => void answers.push(batch.addDestination(0, 2)) })])
  harness.send(1, frame(2, 1, 'x'))
  harness.ports.clear(2)
  harness.send(1, frame(2, 1, 'y'))
  assert.deepEqual(answers, [true, false])
  assert.deepEqual(harness.got(2), ['x'])
  assert.deepEqual(harness.drops(1), { 'no-destination': 1 })
})

test('CS-35 filtering and capturing extensions add no destinations, by no way (ES-308, ES-315, ES-379, ES-412)', () => {
  for (const make of [filtering, capturing]) {
    const { harness, broken } = stackOf(3, [
      make({
        ingress(batch, sw) {
          assert.equal(batch.addDestination(0, 3), false)
          assert.notEqual(batch.growDestinations(0, 1), 0)
          assert.equal(batch.writeDestination(0, 0, 3), false)
          assert.notEqual(batch.updateDestinations(0, 1), 0)
          const own = sw.originate(frame(2, 9, 'own'))
          assert.equal(sw.addDestination(own, 3), false)
          sw.release(own)
        },
      }),
    ])
    harness.send(1, frame(2, 1, 'x'))
    assert.deepEqual([harness.got(2), harness.got(3)], [['x'], []])
    assert.deepEqual(broken(), ['ES-412', 'ES-379'])
  }
})

test('data made safe is judged whole and delivered as it was judged, whatever the guest writes meanwhile (ES-380, ES-399)', () => {
  let safe = 0
  const { harness } = stackOf(3, [
    capturing({
      ingress(batch) {
        assert.equal(batch.isDataSafe(0), false)
        assert.equal(batch.makeSafe(0), true)
        assert.equal(batch.makeSafe(7), false)
        safe += batch.isDataSafe(0) ? 1 : 0
        harness.scribble()
      },
    }),
    filtering({
      ingress(batch: Batch) {
        const target = new Uint8Array(batch.frameLength(0))
        batch.copyBytes(0, 0, target.length, target, 0)
        assert.ok(!Buffer.from(target).includes(0xee))
      },
    }),
    directTo(2, 3),
  ])
  const blocks = harness.pool.freeBlocks
  const text = 'much longer than the bytes of a header that are copied in any case '.repeat(150).trim()
  for (let i = 0; i < 3; i++) harness.send(1, { bytes: frame(2, 1, text), segments: 3 })
  assert.equal(safe, 3)
  assert.deepEqual(harness.got(2), [text, text, text])
  assert.deepEqual(harness.got(3), [text, text, text])
  assert.equal(harness.pool.freeBlocks, blocks)
})

test('a runt is dropped at its source with a reason and seen by nobody (ES-300)', () => {
  let seen = 0
  const { harness } = stackOf(2, [
    capturing({
      ingress: (batch) => {
        seen += batch.length
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'x').subarray(0, 13), frame(2, 1, 'y'))
  assert.equal(seen, 1)
  assert.deepEqual(harness.drops(1), { runt: 1 })
})

test('an extension that is not running sends nothing (ES-053, ES-055)', () => {
  const { harness, handles } = stackOf(2, [filtering({})])
  const [sw] = handles
  const packet = sw!.originate(frame(2, 9, 'x'))
  void harness.dataPath.stack.modules[0]!.pause()
  assert.equal(sw!.originate(frame(2, 9, 'y')), 0)
  assert.notEqual(sw!.send(packet), 0)
  void harness.dataPath.stack.modules[0]!.restart()
  assert.equal(sw!.send(packet), 0)
  harness.dataPath.flushInjections()
  assert.deepEqual(harness.got(2), ['x'])
})
