import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ExtensionError } from '../../src/engine/extension-loader.ts'
import { HELD_SLOTS } from '../../src/ndis/pool.ts'
import { portConfig, SwitchUnderTest, use } from './switch-under-test.ts'

for (const direction of ['ingress', 'egress'] as const)
  for (const onFailure of ['open', 'closed'] as const)
    test(`an extension that throws on ${direction} and fails ${onFailure}: ${onFailure === 'open' ? 'frames pass it by' : 'frames are dropped with a reason'}, the switch goes on`, async (t) => {
      const sut = await SwitchUnderTest.start(t, {
        extensions: [
          use({ name: 'top', class: 'filtering', trace: true }),
          use({ name: 'bad', class: 'filtering', onFailure, match: 'x', [direction]: 'throw' }),
        ],
      })
      await sut.send(1, 2, 'before')
      assert.deepEqual(await sut.receive(2, 1), ['before'])
      await sut.send(1, 2, 'x')
      await sut.send(1, 2, 'after')
      if (onFailure === 'open') assert.deepEqual(await sut.receive(2, 2), ['x', 'after'])
      else {
        // The packet in work on egress is lost by its destination; the next one is stopped on ingress, at its source (ES-364, ES-365).
        const lost = (port: number): number => sut.drops(port)['extension-failed'] ?? 0
        await sut.until(() => lost(1) + lost(2) === 2, 'the drops')
        await sut.silence(2)
      }
      const { state, faults, lastFault } = await sut.extension('bad')
      assert.deepEqual([state, faults], ['failed', 1])
      assert.match(lastFault, new RegExp(`boom in ${direction}`))
      await sut.heard(({ source, code }) => source === 'extension bad' && code === 'extension-failed', 'the report')
      await sut.switch.reloadExtension('bad') // mends it
      assert.equal((await sut.extension('bad')).state, 'running')
      await sut.send(1, 2, 'mended')
      assert.deepEqual(await sut.receive(2, 1), ['mended'])
    })

test('an attach that throws refuses the extension and leaves the stack as it was (ES-043)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      use({ name: 'good', class: 'filtering', match: 'd', ingress: 'drop' }),
      use({ name: 'bad', class: 'filtering', enabled: false, throwIn: 'attach' }),
    ],
  })
  const room = sut.switch.memory().controlBytesAvailable
  await assert.rejects(sut.switch.setExtension('bad', true), (error) => {
    assert.ok(error instanceof ExtensionError)
    assert.equal(error.code, 'REFUSED')
    assert.match(error.message, /"bad" refused to attach: boom in attach/)
    return true
  })
  assert.equal((await sut.extension('bad')).enabled, false)
  assert.equal(sut.switch.memory().controlBytesAvailable, room)
  await sut.send(1, 2, 'd', 'x')
  assert.deepEqual(await sut.receive(2, 1), ['x'])
})

for (const where of ['timer', 'promise', 'pause', 'restart', 'detach'] as const)
  test(`an extension that throws in a ${where} handler is reported, and the switch goes on`, async (t) => {
    const sut = await SwitchUnderTest.start(t, {
      extensions: [use({ name: 'bad', class: 'filtering', throwIn: where, required: where !== 'restart' })],
    })
    if (where === 'pause' || where === 'detach') await sut.switch.setExtension('bad', false)
    await sut.heard(
      ({ message }) => message.includes(`boom in ${where === 'timer' || where === 'promise' ? `a ${where}` : where}`),
      'the report',
    )
    await sut.send(1, 2, 'x')
    assert.deepEqual(await sut.receive(2, 1), ['x'])
    // ES-049: an optional module that does not restart is detached.
    if (where === 'pause' || where === 'detach' || where === 'restart')
      assert.equal((await sut.extension('bad')).state, 'detached')
    await sut.switch.addPort(portConfig(3))
  })

test('an extension that keeps every packet for ever fills the pool and nothing else; disabled, it gives all back in order', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [use({ name: 'hoard', class: 'filtering', ingress: 'keep' })] })
  const texts = Array.from({ length: HELD_SLOTS + 200 }, (_, i) => `m${i}`)
  await sut.send(1, 2, ...texts)
  assert.deepEqual(await sut.receive(2, 200), texts.slice(HELD_SLOTS), 'what found no room to be held goes on')
  await sut.switch.setExtension('hoard', false)
  const back: string[] = []
  const lost = (): number => Object.values(sut.drops(2)).reduce((sum, count) => sum + count, 0)
  await sut.until(() => {
    back.push(...sut.take(2))
    return back.length + lost() === HELD_SLOTS
  }, 'every packet to be delivered or to find the ring full')
  assert.ok(back.length >= 128)
  const numbers = back.map((text) => texts.indexOf(text))
  assert.deepEqual(
    numbers,
    numbers.toSorted((one, other) => one - other),
  )
  assert.deepEqual(back.slice(0, 128), texts.slice(0, 128))
  await sut.send(1, 2, 'x')
  assert.deepEqual(await sut.receive(2, 1), ['x'])
})

test('handles used twice, forged or for the wrong purpose are refused; the packet arrives once', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [use({ name: 'thief', class: 'filtering', ingress: 'handles' })] })
  await sut.send(1, 2, 'a', 'b', 'c')
  assert.deepEqual(await sut.receive(2, 3), ['a', 'b', 'c'])
  assert.deepEqual(sut.said(), ['thief: handles 0 true', 'thief: handles 0 true', 'thief: handles 0 true'])
})

test('an extension that takes 100 ms for a batch delays the switch and does not stop it', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [use({ name: 'slow', class: 'filtering', burnMs: 100 })] })
  await sut.send(1, 2, 'a')
  assert.deepEqual(await sut.receive(2, 1), ['a'])
  await sut.send(2, 1, 'b')
  assert.deepEqual(await sut.receive(1, 1), ['b'])
  await sut.switch.setExtension('slow', false)
})

test('a timer ends with its module: after a reload only the new one beats', async (t) => {
  const sut = await SwitchUnderTest.start(t, { extensions: [use({ name: 'beat', class: 'filtering', beatMs: 2 })] })
  await sut.receive(2, 2, false)
  for (let i = 0; i < 3; i++) await sut.switch.reloadExtension('beat')
  await sut.receive(2, 2, false)
  sut.said()
  await sut.receive(2, 2, false)
  assert.deepEqual(sut.said(), [], 'a module that left has no place to send from, and would say so')
  await sut.switch.setExtension('beat', false)
  sut.take(1)
  sut.take(2)
  await sut.silence(1, 2)
})

test("breaches of a class don't fail a module; faults do", async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      use({ name: 'C', class: 'capturing', ingress: 'forbidden' }),
      use({ name: 'F', class: 'filtering', ingress: 'throw' }),
    ],
  })
  await sut.send(1, 2, 'x')
  assert.deepEqual(await sut.receive(2, 1), ['x'])
  assert.deepEqual(
    (await sut.switch.extensions()).map(({ name, state }) => [name, state]),
    [
      ['C', 'running'],
      ['F', 'failed'],
    ],
  )
})
