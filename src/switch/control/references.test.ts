import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NdisStatus } from '../../ndis/status.ts'
import { ModuleReferences, PORT_ITSELF, ReferenceTable, referenceTableBytes } from './references.ts'

const PORTS = 4
const table = (): ReferenceTable => new ReferenceTable(new SharedArrayBuffer(referenceTableBytes(PORTS)), 0, PORTS)

test('whatever modules take and give, the count is what they hold, and a closed gate lets nothing in (ES-140, ES-142, ES-213, ES-219)', () => {
  const step = fc.record({
    module: fc.nat(1),
    act: fc.constantFrom('take', 'give', 'open', 'close'),
    port: fc.integer({ min: 1, max: PORTS - 1 }),
    nic: fc.constantFrom(PORT_ITSELF, 0, 1, 32),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const references = table()
      const modules = [new ModuleReferences(references), new ModuleReferences(references)]
      for (const { module, act, port, nic } of steps) {
        const own = modules[module]!
        const before = own.held(port, nic)
        if (act === 'open') references.open(port, nic)
        else if (act === 'close') references.close(port, nic)
        else if (act === 'take') assert.equal(own.take(port, nic) === NdisStatus.success, references.isOpen(port, nic))
        else assert.equal(own.give(port, nic) === NdisStatus.success, before > 0)
        assert.equal(references.count(port, nic), modules[0]!.held(port, nic) + modules[1]!.held(port, nic))
      }
      for (const own of modules) own.releaseAll()
      for (let port = 1; port < PORTS; port++)
        for (const nic of [PORT_ITSELF, 0, 1, 32]) assert.equal(references.count(port, nic), 0)
    }),
  )
})

test('ids and indices that cannot exist are refused, and touch nothing', () => {
  const references = table()
  const own = new ModuleReferences(references)
  for (const port of [0, -1, PORTS, 1.5, Number.NaN, 2 ** 31]) assert.equal(own.take(port, 0), NdisStatus.invalidParameter)
  for (const nic of [-2, 33, 0.5, Number.NaN]) assert.equal(own.take(1, nic), NdisStatus.invalidParameter)
})

test('what is left on an object that goes is not counted against the next one of its id', () => {
  const references = table()
  const own = new ModuleReferences(references)
  references.open(1, 0)
  own.take(1, 0)
  references.remove(1, 0)
  references.open(1, 0)
  assert.equal(own.give(1, 0), NdisStatus.success)
  assert.equal(references.count(1, 0), 0)
})
