import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { macKey } from '../../switch/mac-table.ts'
import { ANY_VLAN, type FilterKey } from '../filter-table.ts'
import { QueueFilterTable, queueFilterTableBytes } from './queue-filter-table.ts'

// The contract in words: queues in order of their ids, each filter; the default queue last.
function expected(filters: Map<string, { key: FilterKey; queue: number }>, mac: string, vlan: number, inner: boolean): number {
  const matching = [...filters.values()].filter(
    ({ key }) => key.mac === mac && key.inner === inner && (key.vlan === ANY_VLAN || key.vlan === vlan),
  )
  if (matching.length === 0) return -1
  const others = matching.map(({ queue }) => queue).filter((queue) => queue > 0)
  return others.length > 0 ? Math.min(...others) : 0
}

test('the table answers as trying every filter of every queue in order does, whatever is set, moved and cleared', () => {
  const macs = ['02:00:00:00:00:01', '02:00:00:00:00:02', 'fe:ff:ff:ff:ff:fe']
  const step = fc.record({
    act: fc.constantFrom('set', 'set', 'clear'),
    mac: fc.constantFrom(...macs),
    vlan: fc.constantFrom(ANY_VLAN, 0, 1, 4094),
    inner: fc.boolean(),
    queue: fc.integer({ min: 0, max: 5 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const table = new QueueFilterTable(new SharedArrayBuffer(queueFilterTableBytes(24)), 0, 24)
      const filters = new Map<string, { key: FilterKey; queue: number }>()
      for (const { act, mac, vlan, inner, queue } of steps) {
        const key = { mac, vlan, inner }
        const name = JSON.stringify(key)
        if (act === 'set') {
          assert.ok(table.set(key, queue))
          filters.set(name, { key, queue })
        } else assert.equal(table.clear(key), filters.delete(name))
      }
      for (const mac of macs)
        for (const vlan of [0, 1, 2, 4094])
          for (const inner of [false, true]) {
            const { low, high } = macKey(mac)
            assert.equal(table.match(low, high, vlan, inner), expected(filters, mac, vlan, inner))
          }
    }),
  )
})
