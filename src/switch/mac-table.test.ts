import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { MacTable, macKey, macTableBytes, macText } from './mac-table.ts'

const ENTRIES = 256
const PORTS = 8

const make = (entries = ENTRIES, quota?: number): MacTable =>
  new MacTable(new SharedArrayBuffer(macTableBytes(entries, PORTS)), 0, entries, PORTS, quota)

// Address number `n` as the table's two words.
const low = (n: number): number => Math.imul(n, 0x01000193) | 0
const HIGH = 0x0002

test('an address that was learned is found in its VLAN only', () => {
  const table = make()
  assert.equal(table.lookup(low(1), HIGH, 0), -1)
  assert.equal(table.learn(low(1), HIGH, 0, 3, 0), true)
  assert.equal(table.lookup(low(1), HIGH, 0), 3)
  assert.equal(table.lookup(low(1), HIGH, 7), -1)
  assert.equal(table.lookup(low(1), HIGH + 1, 0), -1)
  table.learn(low(1), HIGH, 4095, 5, 0)
  assert.equal(table.lookup(low(1), HIGH, 4095), 5)
  assert.equal(table.lookup(low(1), HIGH, 0), 3)
})

test('an address that shows up at another port moves there and is counted as a move', () => {
  const table = make()
  table.learn(low(1), HIGH, 0, 3, 0)
  table.learn(low(1), HIGH, 0, 4, 1)
  assert.equal(table.lookup(low(1), HIGH, 0), 4)
  assert.deepEqual(table.statistics(), { used: 1, capacity: ENTRIES, moves: 1, refused: 0 })
})

test('a static address is never moved, aged, flushed or pushed out', () => {
  const table = make(16, 16)
  assert.equal(table.addStatic('02:00:00:00:00:01', 0, 2), true)
  const { low: a, high: b } = macKey('02:00:00:00:00:01')
  assert.equal(table.learn(a, b, 0, 5, 100), false)
  for (let n = 0; n < 500; n++) table.learn(low(n), HIGH, 0, 5, n)
  assert.equal(table.age(1e6, 10) > 0, true)
  table.flush()
  assert.equal(table.lookup(a, b, 0), 2)
  assert.deepEqual(table.entries(0), [{ mac: '02:00:00:00:00:01', vlan: 0, port: 2, static: true, ageSeconds: 0 }])
})

test('a static address takes the place of a learned one, and removePort takes both kinds', () => {
  const table = make()
  const { low: a, high: b } = macKey('02:00:00:00:00:01')
  table.learn(a, b, 0, 5, 0)
  table.addStatic('02:00:00:00:00:01', 0, 2)
  assert.equal(table.lookup(a, b, 0), 2)
  assert.equal(table.statistics().used, 1)
  table.learn(low(9), HIGH, 0, 2, 0)
  assert.equal(table.removePort(2), 2)
  assert.equal(table.lookup(a, b, 0), -1)
  assert.equal(table.statistics().used, 0)
})

test('only addresses that were not seen for the ageing time are forgotten', () => {
  const table = make()
  table.learn(low(1), HIGH, 0, 3, 10)
  table.learn(low(2), HIGH, 0, 3, 10)
  table.learn(low(2), HIGH, 0, 3, 200) // seen again
  assert.equal(table.age(310, 300), 0)
  assert.equal(table.age(311, 300), 1)
  assert.equal(table.lookup(low(1), HIGH, 0), -1)
  assert.equal(table.lookup(low(2), HIGH, 0), 3)
})

test('flush takes a port, a VLAN, both, or everything', () => {
  const table = make()
  const fill = (): void => {
    table.flush()
    for (const port of [1, 2]) for (const vlan of [0, 10]) table.learn(low(port * 100 + vlan), HIGH, vlan, port, 0)
  }
  fill()
  assert.equal(table.flush({ port: 1 }), 2)
  fill()
  assert.equal(table.flush({ vlan: 10 }), 2)
  fill()
  assert.equal(table.flush({ port: 1, vlan: 10 }), 1)
  fill()
  assert.equal(table.flush(), 4)
  assert.equal(table.statistics().used, 0)
})

test("a flood of forged sources takes its port's quota and no more, and pushes nobody out", () => {
  const table = make(ENTRIES, 64)
  for (let n = 0; n < 40; n++) assert.equal(table.learn(low(n), HIGH, 0, 1, 0), true)
  for (let n = 1000; n < 21_000; n++) table.learn(low(n), HIGH, 0, 2, 1)
  for (let n = 0; n < 40; n++) assert.equal(table.lookup(low(n), HIGH, 0), 1, `address ${n}`)
  const held = table.entries(1).filter((entry) => entry.port === 2).length
  assert.ok(held <= 64, `${held} entries of the flooding port`)
  assert.ok(table.statistics().refused > 0)
  assert.equal(table.learn(low(5000_000), HIGH, 0, 3, 2), true, 'other ports still learn')
})

test('where the table is crowded, a port with few addresses takes the place of one with many', () => {
  const table = make(16, 16)
  for (let n = 0; n < 2000; n++) table.learn(low(n), HIGH, 0, 1, n)
  const crowd = table.entries(0).length
  assert.equal(crowd, 16)
  assert.equal(table.learn(low(99_999), HIGH, 0, 2, 2000), true)
  assert.equal(table.lookup(low(99_999), HIGH, 0), 2)
  assert.equal(table.statistics().used, crowd)
})

test('counts per port stay right over learning, moving, replacing and removing', () => {
  const table = make(64, 16)
  const check = (): void => {
    const entries = table.entries(0)
    for (let port = 0; port < PORTS; port++)
      assert.equal(table.words[table.countsAt + port], entries.filter((entry) => entry.port === port).length, `port ${port}`)
    assert.equal(table.statistics().used, entries.length)
  }
  for (let n = 0; n < 300; n++) {
    table.learn(low(n % 90), HIGH, n % 2, 1 + (n % 5), n)
    if (n % 50 === 0) table.addStatic(`02:00:00:00:01:${(n / 50).toString(16).padStart(2, '0')}`, 0, 6)
    if (n === 200) table.removePort(3)
    if (n === 250) table.age(250, 100)
    check()
  }
})

test('keys and texts of addresses are inverse', () => {
  for (const text of ['00:00:00:00:00:01', 'ff:ff:ff:ff:ff:ff', '02:13:a4:b5:c6:d7']) {
    const { low: a, high: b } = macKey(text)
    assert.equal(macText(a, b), text)
  }
  assert.throws(() => macKey('02:00:00:00:00'), /"02:00:00:00:00" is not a MAC address/)
  assert.throws(() => macKey('02:00:00:00:00:1g0'), /is not a MAC address/)
})

test('an impossible size is refused', () => {
  assert.throws(() => make(100), RangeError)
  assert.throws(() => make(8), RangeError)
})

test('an address that another processor learned just before is not entered twice', () => {
  const buffer = new SharedArrayBuffer(macTableBytes(ENTRIES, PORTS))
  const [mine, theirs] = [new MacTable(buffer, 0, ENTRIES, PORTS), new MacTable(buffer, 0, ENTRIES, PORTS)]
  const inner = mine as unknown as { tryLock(): boolean }
  const tryLock = inner.tryLock.bind(mine)
  inner.tryLock = () => {
    inner.tryLock = tryLock
    theirs.learn(low(1), HIGH, 7, 2, 0)
    return tryLock()
  }
  assert.equal(mine.learn(low(1), HIGH, 7, 3, 1), true)
  assert.equal(mine.entries(1).length, 1)
  assert.equal(mine.lookup(low(1), HIGH, 7), 3, 'who came last is right')
})

test('two processors that learn the same address at once leave one entry', async () => {
  const buffer = new SharedArrayBuffer(macTableBytes(4096, PORTS))
  const table = new MacTable(buffer, 0, 4096, PORTS)
  const go = new Int32Array(new SharedArrayBuffer(4))
  const source = `
    import { workerData, parentPort } from 'node:worker_threads'
    const { MacTable } = await import(workerData.module)
    const table = new MacTable(workerData.buffer, 0, 4096, ${PORTS})
    const go = new Int32Array(workerData.go)
    Atomics.wait(go, 0, 0)
    for (let round = 0; round < 200; round++)
      for (let n = 0; n < 500; n++) table.learn(Math.imul(n, 0x01000193) | 0, ${HIGH}, 0, workerData.port, round)
    parentPort.postMessage('done')
  `
  const workers = [1, 2].map(
    (port) =>
      new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
        workerData: { buffer, go: go.buffer, port, module: new URL('./mac-table.ts', import.meta.url).href },
      }),
  )
  await Promise.all(workers.map((worker) => new Promise((online) => worker.once('online', online))))
  const done = Promise.all(
    workers.map((worker) => new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))),
  )
  Atomics.store(go, 0, 1)
  Atomics.notify(go, 0)
  // Meanwhile this thread looks up: it finds nothing or one of the two ports, never anything else.
  const ports = new Set<number>()
  let finished = false
  void done.then(() => {
    finished = true
  })
  while (!finished) {
    for (let n = 0; n < 500; n++) ports.add(table.lookup(low(n), HIGH, 0))
    await new Promise((next) => setImmediate(next))
  }
  await done
  for (const port of ports) assert.ok([-1, 1, 2].includes(port), `looked up port ${port}`)
  const entries = table.entries(0)
  assert.equal(new Set(entries.map((entry) => entry.mac)).size, entries.length)
  assert.equal(entries.length, 500)
  assert.equal(table.words[table.countsAt + 1]! + table.words[table.countsAt + 2]!, 500)
})
