import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { directTo, stackOf } from '../../test/conformance/handlers.ts'
import { DataPathHarness, frame, textOf } from '../../test/support/data-path-harness.ts'

const textsAt = (harness: DataPathHarness, port: number): string[] => harness.sink(port).frames.splice(0).map(textOf)

// Ports 1 and 2 in one virtual subnet, 3 in another, 4 in none.
function isolated(harness: DataPathHarness): DataPathHarness {
  for (const [i, id] of [5001, 5001, 5002, 0].entries()) harness.ports.setSubnet(i + 1, id)
  return harness
}

for (const shortCut of [false, true])
  describe(`isolation by virtual subnet without an overlay, ${shortCut ? 'with' : 'without'} short cuts`, () => {
    const connected = (): DataPathHarness => isolated(new DataPathHarness({ shortCut }).connect(4))

    test('lets ports of one virtual subnet exchange frames, and drops all others with a reason (ES-529, ES-542)', () => {
      const harness = connected()
      harness.send(1, frame(2, 1, 'own'), frame(3, 1, 'other'), frame(4, 1, 'none'))
      harness.send(4, frame(3, 4, 'in'))
      assert.deepEqual(
        [2, 3, 4].map((port) => textsAt(harness, port)),
        [['own'], [], []],
      )
      assert.deepEqual(harness.drops(1), { 'virtual-subnet': 2 })
      assert.deepEqual(harness.drops(4), { 'virtual-subnet': 1 })
    })

    test('floods within the virtual subnet', () => {
      const harness = connected()
      harness.send(1, frame(0xff, 1, 'all'))
      assert.deepEqual(
        [2, 3, 4].map((port) => textsAt(harness, port)),
        [['all'], [], []],
      )
    })

    test('holds when an extension chooses the destinations', () => {
      const { harness } = stackOf(4, [directTo(2, 3)], shortCut)
      isolated(harness)
      harness.send(1, frame(9, 1, 'x'))
      assert.deepEqual(
        [2, 3].map((port) => textsAt(harness, port)),
        [['x'], []],
      )
    })

    test('leaves virtual subnets to the extension that isolates them (ES-572)', () => {
      const harness = new DataPathHarness({ shortCut }).connect(2)
      for (const [i, id] of [5001, 5002].entries()) harness.ports.setSubnet(i + 1, id, true)
      harness.send(1, frame(2, 1, 'x'))
      assert.deepEqual(textsAt(harness, 2), ['x'])
    })

    test('ends with the last port in a virtual subnet', () => {
      const harness = connected()
      for (const port of [1, 2, 3]) harness.ports.setSubnet(port, 0)
      harness.send(1, frame(3, 1, 'free'))
      assert.deepEqual(textsAt(harness, 3), ['free'])
    })
  })
