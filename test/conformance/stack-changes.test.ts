import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { frame, SwitchUnderTest, textOf, use } from './switch-under-test.ts'

// A sender of numbered frames on port 1 and a receiver on port 2, while something else happens. Fails unless every frame arrives once
// and in order.
async function numbered(sut: SwitchUnderTest, meanwhile: () => Promise<void>, from = 1, to = 2): Promise<number> {
  const got: string[] = []
  sut.peer(to).onFrame((bytes) => got.push(textOf(bytes)))
  let sent = 0
  let running = true
  const sender = (async () => {
    while (running) {
      for (let i = 0; i < 20 && sut.peer(from).send(frame(to, from, `n${sent}`)); i++) sent++
      await sleep(0)
    }
  })()
  try {
    await meanwhile()
  } finally {
    running = false
    await sender
  }
  await sut.until(
    () => got.length >= sent,
    () => `${sent} frames, not ${got.length}: ${JSON.stringify(sut.switch.drops())}`,
  )
  const wrong = got.findIndex((text, i) => text !== `n${i}`)
  assert.equal(wrong, -1, `frame ${wrong} is ${got[wrong]}`)
  assert.equal(got.length, sent)
  return sent
}

const passive = (name: string, enabled = true) =>
  use({ name, class: 'filtering', enabled, match: 'q', ingress: 'drop', egress: 'drop' })

test('CS-03 the order changes within a class only; a refused order changes nothing (ES-018)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      use({ name: 'C1', class: 'capturing', trace: true }),
      use({ name: 'C2', class: 'capturing', trace: true }),
      use({ name: 'F', class: 'filtering', trace: true }),
    ],
  })
  const order = async (): Promise<string[]> => {
    sut.said()
    await sut.send(1, 2, 'x')
    await sut.receive(2, 1)
    return sut.said().map((line) => `${line.split(':')[0]} ${line.includes('ingress') ? 'down' : 'up'}`)
  }
  const first = ['C1 down', 'C2 down', 'F down', 'F up', 'C2 up', 'C1 up']
  assert.deepEqual(await order(), first)
  await assert.rejects(sut.switch.reorderExtensions(['F', 'C1', 'C2']), /"F" \(filtering\) cannot stand above "C1"/)
  await assert.rejects(sut.switch.reorderExtensions(['C1', 'F']), /name all extensions once/)
  await assert.rejects(sut.switch.reorderExtensions(['C1', 'C1', 'F']), /name all extensions once/)
  assert.deepEqual(await order(), first)
  await sut.switch.reorderExtensions(['C2', 'C1', 'F'])
  assert.deepEqual(await order(), ['C2 down', 'C1 down', 'F down', 'F up', 'C1 up', 'C2 up'])
})

test('CS-02 a second forwarding extension is refused, and the first stays (ES-014)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    ports: 3,
    extensions: [
      use({ name: 'X', class: 'forwarding', to: [2] }),
      use({ name: 'Y', class: 'forwarding', to: [3], enabled: false }),
    ],
  })
  await assert.rejects(sut.switch.setExtension('Y', true), /at most one forwarding extension/)
  assert.deepEqual(
    (await sut.switch.extensions()).map(({ name, enabled }) => [name, enabled]),
    [
      ['X', true],
      ['Y', false],
    ],
  )
  await sut.send(1, 3, 'a')
  assert.deepEqual(await sut.receive(2, 1), ['a'])
  await sut.switch.setExtension('X', false)
  await sut.switch.setExtension('Y', true)
  await sut.send(1, 2, 'b')
  assert.deepEqual(await sut.receive(3, 1), ['b'])
})

test('a disabled extension sees nothing; enabled again it starts anew (ES-033, ES-034)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [use({ name: 'F', class: 'filtering', match: 'x', ingress: 'drop' })],
  })
  await sut.switch.setExtension('F', false)
  await sut.send(1, 2, 'x')
  assert.deepEqual(await sut.receive(2, 1), ['x'])
  await sut.switch.setExtension('F', true)
  await sut.send(1, 2, 'x', 'y')
  assert.deepEqual(await sut.receive(2, 1), ['y'])
  assert.equal((await sut.extension('F')).counters.frames, 3, 'x, y on ingress, y on egress')
})

test('an unknown extension or port is named in the error', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [passive('A')] })
  await assert.rejects(sut.switch.setExtension('B', true), /no extension "B" \(it has: A\)/)
  await assert.rejects(sut.switch.reloadExtension('B'), /no extension "B"/)
  await assert.rejects(sut.switch.removePort('p9'), /no port "p9" \(it has: p1, p2\)/)
})

for (const processors of [1, 2])
  test(`no frame is lost or reordered while extensions are disabled, enabled, reordered and reloaded (${processors} processors)`, async (t) => {
    const sut = await SwitchUnderTest.start(t, { processors, extensions: [passive('A'), passive('B'), passive('C', false)] })
    const sent = await numbered(sut, async () => {
      for (let round = 0; round < 8; round++) {
        await sut.switch.setExtension('B', false)
        await sut.switch.setExtension('C', true)
        await sut.switch.reorderExtensions(['C', 'A', 'B'])
        await sut.switch.reloadExtension('A')
        await sut.switch.setExtension('B', true)
        await sut.switch.reorderExtensions(['A', 'B', 'C'])
        await sut.switch.setExtension('C', false)
        await sut.switch.extensions()
      }
    })
    assert.ok(sent > 100, `${sent} frames`)
    assert.deepEqual(sut.switch.drops(), [])
  })

test('an extension that holds and sends on loses no frame when it is disabled in between', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [passive('above'), use({ name: 'H', class: 'filtering', ingress: 'hold', delayMs: 10_000 }), passive('below')],
  })
  const texts = Array.from({ length: 300 }, (_, i) => `n${i}`)
  await sut.send(1, 2, ...texts)
  await sut.silence(2)
  await sut.switch.setExtension('H', false)
  assert.deepEqual(await sut.receive(2, 300), texts)
})

test('what was held on egress goes on past the module that left, through the modules above it', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    ports: 3,
    extensions: [
      use({ name: 'above', class: 'filtering', trace: true }),
      use({ name: 'H', class: 'filtering', egress: 'keep' }),
      use({ name: 'below', class: 'filtering', trace: true }),
    ],
  })
  await sut.send(1, 0, 'x')
  await sut.silence(2, 3)
  sut.said()
  await sut.switch.setExtension('H', false)
  assert.deepEqual(await sut.receive(2, 1), ['x'])
  assert.deepEqual(await sut.receive(3, 1), ['x'])
  assert.deepEqual(sut.said(), ['above: egress x from 1/0 to [2 3]'])
})

test('a forwarding extension comes and goes under traffic without a frame lost (ES-331)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    ports: 3,
    extensions: [use({ name: 'X', class: 'forwarding', to: [2], enabled: false })],
  })
  await numbered(sut, async () => {
    for (let round = 0; round < 10; round++) {
      await sut.switch.setExtension('X', round % 2 === 0)
      await sleep(2)
    }
  })
  await sut.silence(3)
})

test('ports come and go under traffic between others', async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 2 })
  await numbered(sut, async () => {
    const { portConfig } = await import('./switch-under-test.ts')
    for (let round = 0; round < 10; round++) {
      await sut.switch.addPort(portConfig(3))
      await sut.switch.removePort('p3')
    }
  })
})
