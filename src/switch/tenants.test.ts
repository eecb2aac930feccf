import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { directTo, stackOf } from '../../test/conformance/handlers.ts'
import { DataPathHarness, frame, textOf } from '../../test/support/data-path-harness.ts'
import { MonitorMode } from './port-table.ts'

const textsAt = (harness: DataPathHarness, port: number): string[] => harness.sink(port).frames.splice(0).map(textOf)

// Ports 1 and 2 of one tenant, 3 of another, 4 everybody's.
function isolated(harness: DataPathHarness): DataPathHarness {
  for (const [port, group] of [1, 1, 2, 0].entries()) harness.ports.tenants[port + 1] = group
  harness.ports.changed()
  return harness
}

for (const shortCut of [false, true])
  describe(`isolation of tenants ${shortCut ? 'with' : 'without'} short cuts`, () => {
    const connected = (): DataPathHarness => isolated(new DataPathHarness({ shortCut }).connect(4))

    test('lets ports of one tenant exchange frames, and everybody with a port of no tenant', () => {
      const harness = connected()
      harness.send(1, frame(2, 1, 'own'), frame(4, 1, 'shared'))
      harness.send(4, frame(3, 4, 'back'))
      assert.deepEqual(
        [2, 3, 4].map((port) => textsAt(harness, port)),
        [['own'], ['back'], ['shared']],
      )
    })

    test('drops unicast frames for another tenant with a reason, and floods only to ports that may have it', () => {
      const harness = connected()
      harness.send(1, frame(3, 1, 'forbidden'))
      assert.deepEqual(harness.drops(1), { 'tenant-isolation': 1 })
      for (const to of [0xff, '01:00:5e:01:02:03', '33:33:00:00:00:01']) {
        harness.send(3, frame(to, 3, 'group'))
        assert.deepEqual(
          [1, 2, 4].map((port) => textsAt(harness, port)),
          [[], [], ['group']],
        )
      }
      assert.deepEqual(textsAt(harness, 3), [])
    })

    test('leaves mirroring alone: a monitor of another tenant gets copies, of what was delivered', () => {
      const harness = connected()
      harness.ports.setMonitor(1, MonitorMode.source)
      harness.ports.setMonitor(3, MonitorMode.destination)
      harness.send(1, frame(2, 1, 'seen'))
      harness.send(1, frame(3, 1, 'forbidden'))
      assert.deepEqual(textsAt(harness, 3), ['seen'])
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

    test('is off while no port has a group', () => {
      const harness = connected()
      harness.ports.tenants.fill(0)
      harness.ports.changed()
      harness.send(1, frame(3, 1, 'free'))
      assert.deepEqual(textsAt(harness, 3), ['free'])
    })
  })
