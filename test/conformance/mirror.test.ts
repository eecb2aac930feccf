import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MonitorMode } from '../../src/switch/port-table.ts'
import { frame } from '../support/data-path-harness.ts'
import { destinationsOf, directTo, filtering, stackOf } from './handlers.ts'

function mirrored(...parts: Parameters<typeof stackOf>[1]) {
  const bench = stackOf(4, parts)
  bench.harness.ports.setMonitor(2, MonitorMode.source, 1)
  bench.harness.ports.setMonitor(3, MonitorMode.destination, 1)
  return bench
}

test('CS-63 what goes to a mirrored port goes to its mirror too, once, with a forwarding extension and without (ES-338, ES-339)', () => {
  for (const parts of [[directTo(2)], [directTo(2, 3)], [directTo(3, 2)], []]) {
    const { harness } = mirrored(...parts)
    harness.send(1, frame(2, 1, 'x'))
    assert.deepEqual(
      [2, 3, 4].map((port) => harness.got(port)),
      [['x'], ['x'], []],
    )
    harness.ports.setMonitor(2, MonitorMode.none)
    harness.send(1, frame(4, 1, 'y'))
    assert.equal(harness.got(4).length, parts.length === 0 ? 1 : 0)
  }
})

test('modules above see the mirror as a destination and may exclude it; what a mirrored port sends is mirrored as well (ES-338, ES-346)', () => {
  const seen: string[] = []
  const { harness } = mirrored(
    filtering({
      egress(batch) {
        seen.push(destinationsOf(batch, 0))
        if (batch.u8(0, 14) === 0x71) batch.exclude(0, 1, 'private')
      },
    }),
  )
  harness.send(1, frame(2, 1, 'q'))
  harness.send(2, frame(4, 2, 'z'))
  harness.send(4, frame(1, 4, 'unrelated'))
  assert.deepEqual(seen, ['2 3', '4 3', '1'])
  assert.deepEqual(harness.got(3), ['z'])
})
