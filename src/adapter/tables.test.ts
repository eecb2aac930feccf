import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { macKey } from '../switch/mac-table.ts'
import { ANY_VLAN, FilterTable, filterTableBytes } from './filter-table.ts'
import { GroupTable, groupTableBytes } from './group-table.ts'
import { RateLimits, rateLimitsBytes } from './rate-limits.ts'
import { VPORTS_MAX, VPortTable, vportTableBytes } from './vport-table.ts'

const ENTRIES = 1024
const filterTable = (): FilterTable => new FilterTable(new SharedArrayBuffer(filterTableBytes(ENTRIES)), 0, ENTRIES)
const stations = fc.integer({ min: 0, max: 5 }).map((n) => `02:00:00:00:00:0${n}`)
const vlans = fc.constantFrom(ANY_VLAN, 0, 1, 2, 4094)

test('the filter table answers as a list of filters does, whatever is set, moved and cleared (SR-203, SR-204, SR-205)', () => {
  const step = fc.record({
    act: fc.constantFrom('set', 'clear'),
    mac: stations,
    vlan: vlans,
    inner: fc.boolean(),
    vport: fc.nat(11),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const table = filterTable()
      const model = new Map<string, number>()
      const key = (mac: string, vlan: number, inner: boolean): string => `${mac} ${vlan} ${inner}`
      for (const { act, mac, vlan, inner, vport } of steps)
        if (act === 'set') {
          assert.ok(table.set({ mac, vlan, inner }, vport))
          model.set(key(mac, vlan, inner), vport)
        } else assert.equal(table.clear({ mac, vlan, inner }), model.delete(key(mac, vlan, inner)))
      for (let n = 0; n <= 5; n++)
        for (const vlan of [0, 1, 2, 3, 4094]) {
          const mac = `02:00:00:00:00:0${n}`
          const { low, high } = macKey(mac)
          const wanted = (inner: boolean) => model.get(key(mac, vlan, inner)) ?? model.get(key(mac, ANY_VLAN, inner)) ?? -1
          assert.equal(table.match(low, high, vlan), wanted(false))
          assert.equal(table.matchInner(low, high, vlan), wanted(true))
        }
      assert.equal(table.used, model.size)
      assert.equal(
        table.hasInner,
        [...model.keys()].some((text) => text.endsWith('true')),
      )
    }),
    { numRuns: 200 },
  )
})

test('a reader in another thread finds a filter that moves to and fro at one of its two VPorts, never nowhere (SR-221)', async () => {
  const buffer = new SharedArrayBuffer(filterTableBytes(ENTRIES))
  const stop = new Int32Array(new SharedArrayBuffer(4))
  const table = new FilterTable(buffer, 0, ENTRIES)
  const filter = { mac: '02:00:00:00:00:0a', vlan: 5, inner: false }
  table.set(filter, 1)
  const source = `
    const { parentPort, workerData } = require('node:worker_threads')
    import(workerData.module).then(({ FilterTable }) => {
      const table = new FilterTable(workerData.buffer, 0, workerData.entries)
      const seen = new Set()
      parentPort.postMessage('ready')
      do for (let i = 0; i < 1000; i++) seen.add(table.match(workerData.low, workerData.high, 5))
      while (Atomics.load(workerData.stop, 0) === 0)
      parentPort.postMessage([...seen])
    })`
  const module = new URL('./filter-table.ts', import.meta.url).href
  const worker = new Worker(source, { eval: true, workerData: { module, buffer, entries: ENTRIES, stop, ...macKey(filter.mac) } })
  const message = () => new Promise<unknown>((resolve, reject) => worker.once('message', resolve).once('error', reject))
  assert.equal(await message(), 'ready')
  const answer = message()
  for (let move = 0; move < 200_000; move++) table.set(filter, move & 1 ? 1 : 2)
  Atomics.store(stop, 0, 1)
  const seen = (await answer) as number[]
  assert.ok(seen.length > 0 && seen.every((vport) => vport === 1 || vport === 2), seen.join())
  await worker.terminate()
})

test('a full filter table refuses and keeps what it has', () => {
  const table = new FilterTable(new SharedArrayBuffer(filterTableBytes(16)), 0, 16)
  const macs = Array.from({ length: 17 }, (_, i) => `02:00:00:00:01:${(16 + i).toString(16)}`)
  const taken = macs.filter((mac, i) => table.set({ mac, vlan: 0, inner: false }, i))
  assert.equal(taken.length, 16)
  for (const mac of taken) {
    const { low, high } = macKey(mac)
    assert.equal(table.match(low, high, 0), macs.indexOf(mac))
  }
  assert.equal(table.allowSource('02:00:00:00:02:01', 1), false)
})

test('a source is allowed for its VPort alone', () => {
  const table = filterTable()
  const { low, high } = macKey('02:00:00:00:00:0a')
  table.allowSource('02:00:00:00:00:0a', 3)
  assert.deepEqual(
    [table.mayBeSource(low, high, 3), table.mayBeSource(low, high, 4), table.match(low, high, 3)],
    [true, false, -1],
  )
  table.denySource('02:00:00:00:00:0a', 3)
  assert.equal(table.mayBeSource(low, high, 3), false)
})

test('a group has members until the last one leaves', () => {
  const table = new GroupTable(new SharedArrayBuffer(groupTableBytes(16)), 0, 16)
  const group = '01:00:5e:00:00:05'
  const { low, high } = macKey(group)
  for (const vport of [0, 31, 32, VPORTS_MAX - 1]) assert.ok(table.add(group, vport))
  const entry = table.find(low, high)
  assert.deepEqual(
    [0, 1, 31, 32, 33, VPORTS_MAX - 1].map((vport) => table.isMember(entry, vport)),
    [true, false, true, true, false, true],
  )
  for (const vport of [0, 31, 32, VPORTS_MAX - 1]) table.remove(group, vport)
  assert.equal(table.find(low, high), -1)
  const groups = Array.from({ length: 20 }, (_, i) => `01:00:5e:00:01:${(16 + i).toString(16)}`)
  assert.equal(groups.filter((mac) => table.add(mac, 1)).length, 16)
})

test('VLANs are admitted one by one, or all', () => {
  const table = new VPortTable(new SharedArrayBuffer(vportTableBytes(4)), 0, 4)
  table.set(2, { flags: 1, mac: undefined, accessTag: 0, admitted: [0, 31, 32, 4094] })
  const admitted = (vport: number) => Array.from({ length: 4096 }, (_, vlan) => vlan).filter((vlan) => table.admits(vport, vlan))
  assert.deepEqual(admitted(2), [0, 31, 32, 4094])
  assert.deepEqual(admitted(1), [])
  table.set(1, { flags: 1, mac: undefined, accessTag: 0, admitted: 'all' })
  assert.equal(admitted(1).length, 4096)
  assert.throws(() => new VPortTable(new SharedArrayBuffer(64), 0, VPORTS_MAX + 1), RangeError)
})

const limits = (vports = 4): RateLimits => new RateLimits(new SharedArrayBuffer(rateLimitsBytes(vports)), 0, vports)

test('looks that follow each other within a microsecond make no tokens', () => {
  const rates = limits()
  rates.set(1, { maxMbps: 100, minMbps: 0 }, 0)
  rates.charge(1, 200_000)
  for (let look = 0; look < 100_000; look++) assert.equal(rates.allowance(1, 1.5), 0)
})

test('without a limit a turn takes a whole burst, whatever was sent', () => {
  const rates = limits()
  rates.charge(1, 1e9)
  assert.equal(rates.allowance(1, 0), 64)
})

test('a limited VPort sends its rate over time, at any pace of turns, the clock wrapping', () => {
  const pace = fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 200, maxLength: 400 })
  fc.assert(
    fc.property(pace, fc.integer({ min: 5, max: 2000 }), fc.integer(), (steps, mbps, start) => {
      const rates = limits()
      let now = start
      rates.set(1, { maxMbps: mbps, minMbps: 0 }, now | 0)
      let sent = 0
      let elapsed = 0
      const drain = (): void => {
        for (let room = rates.allowance(1, now | 0); room > 0; room = rates.allowance(1, now | 0)) {
          rates.charge(1, room * 1500)
          sent += room * 1500
        }
      }
      drain()
      sent = 0
      for (const step of steps) {
        now += step
        elapsed += step
        drain()
      }
      const due = (elapsed * mbps * 125) / 1000
      assert.ok(sent <= due + 64 * 1500 + 65536, `${sent} of ${due}`)
      const bucket = Math.max(65536, mbps * 125 * 10)
      const lost = steps.reduce((sum, step) => sum + Math.max(0, (step * mbps * 125) / 1000 - bucket), 0)
      assert.ok(sent >= due - lost - 64 * 1500 - 65536 - steps.length * 1500, `${sent} of ${due}, ${lost} lost`)
    }),
    { numRuns: 50 },
  )
})

test('a minimum is kept for its VPort while others use the link up', () => {
  const rates = limits()
  rates.setLinkShare(900, 0)
  rates.set(1, { maxMbps: 0, minMbps: 100 }, 0)
  for (let room = rates.allowance(2, 0); room > 0; room = rates.allowance(2, 0)) rates.charge(2, room * 1500)
  assert.equal(rates.allowance(2, 0), 0)
  assert.ok(rates.allowance(1, 0) > 0)
  rates.charge(1, 1_000_000)
  assert.equal(rates.allowance(1, 0), 0)
  assert.ok(rates.allowance(1, 10_000 * 10) > 0)
})
