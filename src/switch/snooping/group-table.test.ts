import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { GroupCounter, GroupTable, groupMeta, groupTableBytes, Joined } from './group-table.ts'

const PORTS = 40
const GROUPS = 64

function table(ports = 8): GroupTable {
  const size = { ports: PORTS, groups: GROUPS }
  const made = new GroupTable(new SharedArrayBuffer(groupTableBytes(size)), size)
  made.seed(12345)
  made.divide(ports)
  return made
}

const meta = groupMeta(10, true)

// What the table must hold, as a person would write it down.
class Model {
  readonly ends = new Map<string, number>()
  now = 1

  membersOf(group: number): number[] {
    return [...this.ends]
      .filter(([key, ends]) => key.startsWith(`${group}/`) && ends > this.now)
      .map(([key]) => Number(key.split('/')[1]))
      .sort((a, b) => a - b)
  }

  held(port: number): number {
    return [...this.ends.keys()].filter((key) => key.endsWith(`/${port}`)).length
  }

  sweep(): void {
    for (const [key, ends] of this.ends) if (ends <= this.now) this.ends.delete(key)
  }
}

const group = fc.integer({ min: 1, max: 20 })
const port = fc.integer({ min: 1, max: 12 })
const step = fc.oneof(
  fc.record({ kind: fc.constant('join' as const), group, port, ticks: fc.integer({ min: 1, max: 300 }) }),
  fc.record({ kind: fc.constant('leave' as const), group, port }),
  fc.record({ kind: fc.constant('lower' as const), group, port, ticks: fc.integer({ min: 1, max: 20 }) }),
  fc.record({ kind: fc.constant('pass' as const), ticks: fc.integer({ min: 1, max: 100 }) }),
)

test('memberships come, are renewed, end and leave as a model of them does', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const sut = table()
      const model = new Model()
      for (const one of steps) {
        if (one.kind === 'pass') {
          model.now += one.ticks
          model.sweep()
          sut.sweep(model.now, () => false)
          continue
        }
        const key = `${one.group}/${one.port}`
        const slot = sut.find(meta, one.group, 0, 0, 0)
        if (one.kind === 'join') {
          const isFull = !model.ends.has(key) && model.held(one.port) >= sut.share
          const outcome = sut.join(meta, one.group, 0, 0, 0, one.port, model.now + one.ticks)
          assert.equal(outcome === Joined.refused, isFull)
          if (!isFull) model.ends.set(key, model.now + one.ticks)
        } else if (slot >= 0 && one.kind === 'leave') {
          sut.leave(slot, one.port)
          model.ends.delete(key)
        } else if (slot >= 0 && one.kind === 'lower') {
          sut.lower(slot, one.port, model.now + one.ticks)
          const ends = model.ends.get(key)
          if (ends !== undefined) model.ends.set(key, Math.min(ends, model.now + one.ticks))
        }
        const found = new Map(sut.entries().map(({ address, members }) => [address[0], members.map((member) => member.port)]))
        for (let of = 1; of <= 20; of++) assert.deepEqual(found.get(of) ?? [], model.membersOf(of))
        assert.equal(sut.used, found.size)
        for (let of = 1; of <= 12; of++) assert.equal(sut.held(of), model.held(of))
      }
    }),
    { numRuns: 60 },
  )
})

test('a port that holds more than its share, since ports came, is not renewed', () => {
  const sut = table(8)
  for (let i = 0; i < sut.share; i++) sut.join(meta, i + 1, 0, 0, 0, 1, 100)
  sut.divide(32)
  assert.equal(sut.join(meta, 1, 0, 0, 0, 1, 900), Joined.refused)
  sut.sweep(100, () => false)
  assert.equal(sut.held(1), 0)
  assert.equal(sut.join(meta, 1, 0, 0, 0, 1, 900), Joined.joined)
  assert.equal(sut.counted(GroupCounter.refusedByShare), 1)
})

test('a group of an address is not one of another VLAN or family', () => {
  const sut = table()
  sut.join(meta, 7, 0, 0, 0, 1, 100)
  assert.ok(sut.find(meta, 7, 0, 0, 0) >= 0)
  for (const other of [groupMeta(11, true), groupMeta(10, false)]) assert.equal(sut.find(other, 7, 0, 0, 0), -1)
  assert.equal(sut.find(meta, 7, 0, 0, 1), -1)
})
