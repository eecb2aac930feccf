import assert from 'node:assert/strict'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { temporaryDirectory } from '../support/temp-dir.ts'
import { portConfig, SwitchUnderTest, textOf, use } from './switch-under-test.ts'

const COUNT = 3000
const WINDOW = 256

test('two processors exchange frames in both directions at once, in order and without loss', async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 4, processors: 2 })
  // Ports 1 and 3 are on processor 0, ports 2 and 4 on processor 1; ports 1 and 2 get from both processors.
  const pairs: [number, number][] = [
    [1, 2],
    [2, 1],
    [3, 2],
    [4, 1],
  ]
  const got = new Map<string, string[]>(pairs.map(([from, to]) => [`${from}>${to}`, []]))
  for (const port of [1, 2])
    sut.peer(port).onFrame((bytes) => {
      const text = textOf(bytes)
      got.get(`${text.split('.')[0]}>${port}`)!.push(text)
    })
  await Promise.all(
    pairs.map(async ([from, to]) => {
      const arrived = got.get(`${from}>${to}`)!
      for (let i = 0; i < COUNT; i++) {
        await sut.send(from, to, `${from}.${i}`)
        // No receiver's ring may run full: that would be a loss on purpose.
        if (i % WINDOW === 0)
          await sut.until(
            () => i - arrived.length < 2 * WINDOW,
            () => `frame ${i} of port ${from}`,
          )
      }
      await sut.until(
        () => arrived.length >= COUNT,
        () => `${COUNT} frames of port ${from}, not ${arrived.length}`,
      )
    }),
  )
  for (const [from, to] of pairs)
    assert.deepEqual(
      got.get(`${from}>${to}`),
      Array.from({ length: COUNT }, (_, i) => `${from}.${i}`),
    )
  const ports = sut.switch.ports()
  assert.deepEqual(
    ports.map(({ counters }) => [counters.receivedFrames, counters.sentFrames]),
    [
      [COUNT, 2 * COUNT],
      [COUNT, 2 * COUNT],
      [COUNT, 0],
      [COUNT, 0],
    ],
  )
  const works = sut.switch.processors().map(({ counters }) => counters.frames)
  assert.deepEqual(works, [2 * COUNT, 2 * COUNT])
})

test('frames of two processors on one stream socket are whole and in order, also when it is full at times', async (t) => {
  const sut = await SwitchUnderTest.start(t, { processors: 2 })
  const path = join(temporaryDirectory(), 'stream')
  await sut.switch.addPort(portConfig(3, { endpoint: { kind: 'stream', path, mode: 'server' } }))
  const socket = createConnection(path)
  t.after(() => socket.destroy())
  await sut.until(() => sut.switch.ports()[2]!.connected, 'the stream to be connected')
  let rest = Buffer.alloc(0)
  const got = new Map<number, number[]>([
    [1, []],
    [2, []],
  ])
  socket.on('data', (bytes) => {
    rest = Buffer.concat([rest, bytes])
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) {
      const frame = rest.subarray(4, 4 + rest.readUInt32BE(0))
      const [from, number, filling] = textOf(frame).split('.') as [string, string, string]
      assert.equal(filling, 'x'.repeat(1000))
      got.get(Number(from))!.push(Number(number))
      rest = rest.subarray(4 + frame.length)
    }
    if (Math.random() < 0.2) {
      socket.pause() // the socket fills: frames are cut in the middle, and finished by whoever comes next
      setTimeout(() => socket.resume(), 2)
    }
  })
  await Promise.all(
    [1, 2].map(async (from) => {
      for (let i = 0; i < COUNT; i++) {
        await sut.send(from, 3, `${from}.${i}.${'x'.repeat(1000)}`)
        if (i % 64 === 0) await sleep(0)
      }
    }),
  )
  const all = (): number =>
    [...got.values()].reduce((sum, numbers) => sum + numbers.length, 0) + (sut.drops(3)['peer-not-reading'] ?? 0)
  await sut.until(
    () => all() === 2 * COUNT,
    () => `${2 * COUNT} frames, delivered or dropped, not ${all()}`,
  )
  for (const numbers of got.values())
    assert.ok(
      numbers.every((number, i) => i === 0 || number > numbers[i - 1]!),
      'in order',
    )
  assert.equal(rest.length, 0)
})

test('broadcasts reach the ports of both processors', async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 4, processors: 2 })
  await sut.send(1, 0, 'from 1')
  for (const port of [2, 3, 4]) assert.deepEqual(await sut.receive(port, 1), ['from 1'])
  await sut.send(2, 0, 'from 2')
  for (const port of [1, 3, 4]) assert.deepEqual(await sut.receive(port, 1), ['from 2'])
})

test('an extension has an instance per processor, one set of counters, and one voice for OIDs', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    ports: 2,
    processors: 2,
    extensions: [use({ name: 'F', class: 'filtering', match: 'x', ingress: 'drop', oids: true })],
  })
  await sut.send(1, 2, 'x', 'y')
  await sut.send(2, 1, 'x', 'y')
  assert.deepEqual(await sut.receive(2, 1), ['y'])
  assert.deepEqual(await sut.receive(1, 1), ['y'])
  assert.deepEqual([sut.drops(1), sut.drops(2)], [{ 'test-drop': 1 }, { 'test-drop': 1 }])
  assert.equal((await sut.extension('F')).counters.frames, 6)
  sut.said()
  await sut.switch.removePort('p2')
  const lines = sut.said()
  assert.equal(lines.filter((line) => line === 'F: oid PORT_DELETE p2').length, 1, 'asked once')
  assert.equal(lines.filter((line) => line === 'F: done PORT_DELETE 0').length, 2, 'both are told the outcome')
})

test('a module that fails on one processor fails there only, and a reload mends both', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    ports: 2,
    processors: 2,
    extensions: [use({ name: 'F', class: 'filtering', match: 'x', ingress: 'throw' })],
  })
  await sut.send(2, 1, 'x')
  assert.deepEqual(await sut.receive(1, 1), ['x'])
  const { state, faults } = await sut.extension('F')
  assert.deepEqual([state, faults], ['failed', 1])
  await sut.switch.reloadExtension('F')
  assert.equal((await sut.extension('F')).state, 'running')
  await sut.send(1, 2, 'y')
  assert.deepEqual(await sut.receive(2, 1), ['y'])
})
