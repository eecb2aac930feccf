import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Flow, FlowTable, KEY_WORDS, KindBit } from './flow-table.ts'

const keyOf = (n: number, isIpv6: boolean): Int32Array => {
  const key = new Int32Array(KEY_WORDS)
  key.set([1 << 16, 17 | (isIpv6 ? KindBit.ipv6 : 0), n & 3, 7, 8, 9, n, 0, 0, 0, 5, 0, 0, isIpv6 ? n >> 2 : 0])
  return key
}

test('the table does what a map does, whatever comes and goes', () => {
  const action = fc.record({ n: fc.nat(40), isIpv6: fc.boolean(), remove: fc.boolean(), ms: fc.nat(1000) })
  fc.assert(
    fc.property(fc.array(action, { maxLength: 300 }), fc.integer(), (actions, seed) => {
      const table = new FlowTable(16, seed)
      const model = new Map<string, { packets: number; octets: number; dropped: number }>()
      for (const { n, isIpv6, remove, ms } of actions) {
        const key = keyOf(n, isIpv6)
        const name = key.join()
        const hash = table.hash(key)
        let entry = table.find(key, hash)
        assert.equal(entry >= 0, model.has(name))
        for (let other = 0; other < 16; other++) assert.equal(table.isFlow(other, key), other === entry)
        if (remove) {
          if (entry >= 0) table.remove(entry)
          model.delete(name)
        } else {
          if (entry < 0) entry = table.add(key, hash, ms)
          assert.equal(entry < 0, !model.has(name) && model.size === 16, 'a full table takes no more')
          if (entry < 0) continue
          table.countPacket(entry, ms, 2, 100, 128, n % 2 === 0)
          const flow = model.get(name) ?? { packets: 0, octets: 0, dropped: 0 }
          const dropped = flow.dropped + (n % 2 === 0 ? 2 : 0)
          model.set(name, { packets: flow.packets + 2, octets: flow.octets + 100, dropped })
        }
        assert.equal(table.count, model.size)
      }
      const used = Array.from({ length: 16 }, (_, entry) => entry).filter((entry) => table.isUsed(entry))
      assert.equal(used.length, model.size)
      for (const [name, { packets, octets, dropped }] of model) {
        const key = Int32Array.from(name.split(',').map(Number))
        const entry = table.find(key, table.hash(key))
        assert.deepEqual(
          [table.number(entry, Flow.packets), table.number(entry, Flow.octets), table.number(entry, Flow.droppedPackets)],
          [packets, octets, dropped],
        )
      }
    }),
    { numRuns: 300 },
  )
})

test('keys that differ in one word anywhere are different flows', () => {
  for (const isIpv6 of [false, true]) {
    const table = new FlowTable(64, 1)
    const words = isIpv6 ? Array.from({ length: KEY_WORDS }, (_, i) => i) : [0, 1, 2, 3, 4, 5, 6, 10]
    for (const word of words) {
      const key = keyOf(0, isIpv6)
      key[word] = key[word]! ^ (1 << 8)
      assert.equal(table.find(key, table.hash(key)), -1, `word ${word}`)
      table.countPacket(table.add(key, table.hash(key), 0), 0, 1, 1, 1, false)
    }
    assert.equal(table.count, words.length)
  }
})

test('what is taken out of a full table is older than most, and only what is there', () => {
  const table = new FlowTable(64, 1)
  for (let n = 0; n < 64; n++) {
    const key = keyOf(n, false)
    table.countPacket(table.add(key, table.hash(key), n), n, 1, 1, 1, false)
  }
  for (let n = 0; n < 8; n++) {
    const victim = table.victim()
    assert.ok(table.isUsed(victim))
    assert.equal(table.number(victim, Flow.endMs) % 8, 0, 'the oldest of eight')
    table.remove(victim)
  }
})
