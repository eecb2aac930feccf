import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SwitchUnderTest, use } from './switch-under-test.ts'

const stack = [
  use({ name: 'C', class: 'capturing', trace: true }),
  use({ name: 'F2', class: 'filtering', trace: true }),
  use({ name: 'F1', class: 'filtering', trace: true }),
]

test('CS-01 a frame passes capturing, filtering and forwarding on ingress and the reverse on egress, once (ES-011, ES-012, ES-300, ES-301, ES-304, ES-343, ES-352)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    ports: 3,
    extensions: [...stack, use({ name: 'X', class: 'forwarding', trace: true, to: [2] })],
  })
  await sut.send(1, 2, 'a')
  assert.deepEqual(await sut.receive(2, 1), ['a'])
  assert.deepEqual(sut.said(), [
    'C: ingress a from 1/0 to []',
    'F2: ingress a from 1/0 to []',
    'F1: ingress a from 1/0 to []',
    'X: ingress a from 1/0 to []',
    'X: egress a from 1/0 to [2]',
    'F1: egress a from 1/0 to [2]',
    'F2: egress a from 1/0 to [2]',
    'C: egress a from 1/0 to [2]',
  ])
  await sut.silence(1, 3)
})

test("CS-36 without a forwarding extension there are no destinations on ingress and the switch's on egress (ES-303, ES-331, ES-340, ES-345, ES-366)", async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 3, extensions: stack })
  await sut.send(1, 2, 'a')
  assert.deepEqual(await sut.receive(2, 1), ['a'])
  await sut.send(1, 0, 'b')
  assert.deepEqual(await sut.receive(2, 1), ['b'])
  assert.deepEqual(await sut.receive(3, 1), ['b'])
  assert.deepEqual(
    sut.said().filter((line) => line.startsWith('F1')),
    [
      'F1: ingress a from 1/0 to []',
      'F1: egress a from 1/0 to [2]',
      'F1: ingress b from 1/0 to []',
      'F1: egress b from 1/0 to [2 3]',
    ],
  )
})

test("the switch's own forwarding: known addresses to their port, broadcasts to all others, nothing back to the source, forged sources dropped (ES-331, ES-332)", async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 3 })
  await sut.send(1, 2, 'known')
  await sut.send(1, 0, 'all')
  await sut.send(1, 9, 'unknown')
  await sut.send(1, 1, 'self')
  sut.peer(1).send(Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 3, 0x88, 0xb5]), Buffer.alloc(46)]))
  assert.deepEqual(await sut.receive(2, 2), ['known', 'all'])
  assert.deepEqual(await sut.receive(3, 1), ['all'])
  await sut.silence(1)
  assert.deepEqual(sut.drops(1), { 'no-destination': 1, hairpin: 1, 'mac-spoofing': 1 })
})

test('a packet dropped on ingress is counted at its source and seen by nobody further on (ES-305, ES-362, ES-364)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      use({ name: 'top', class: 'filtering', trace: true }),
      use({ name: 'F', class: 'filtering', match: 'x', ingress: 'drop' }),
      use({ name: 'below', class: 'filtering', trace: true }),
    ],
  })
  await sut.send(1, 2, 'x', 'y')
  assert.deepEqual(await sut.receive(2, 1), ['y'])
  assert.deepEqual(
    sut.said().filter((line) => line.includes(' x ')),
    ['top: ingress x from 1/0 to []'],
  )
  assert.deepEqual(sut.drops(1), { 'test-drop': 1 })
})

test('a packet dropped on egress is counted at its destinations (ES-344, ES-365)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    ports: 3,
    extensions: [use({ name: 'F', class: 'filtering', match: 'x', egress: 'drop' })],
  })
  await sut.send(1, 0, 'x', 'y')
  assert.deepEqual(await sut.receive(2, 1), ['y'])
  assert.deepEqual(await sut.receive(3, 1), ['y'])
  assert.deepEqual([sut.drops(1), sut.drops(2), sut.drops(3)], [{}, { 'test-drop': 1 }, { 'test-drop': 1 }])
})

test('an excluded destination gets nothing and modules above see it excluded; excluding the last drops the packet (ES-346, ES-350, ES-352, ES-357, ES-358)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    ports: 3,
    extensions: [
      use({ name: 'top', class: 'filtering', trace: true }),
      use({ name: 'all', class: 'filtering', match: 'n', egress: 'exclude-all' }),
      use({ name: 'one', class: 'filtering', match: 's', egress: 'exclude-first' }),
    ],
  })
  await sut.send(1, 0, 's', 'n', 'y')
  assert.deepEqual(await sut.receive(2, 1), ['y'])
  assert.deepEqual(await sut.receive(3, 2), ['s', 'y'])
  assert.deepEqual(
    sut.said().filter((line) => line.includes('egress')),
    ['top: egress s from 1/0 to [-2 3]', 'top: egress y from 1/0 to [2 3]'],
  )
  assert.deepEqual([sut.drops(2), sut.drops(3)], [{ 'test-exclude': 2 }, { 'test-exclude': 1 }])
})

test('a forwarding extension alone decides; what it leaves without destination, or sends to a port that is gone, is dropped (ES-316, ES-317, ES-320, ES-329)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 3, extensions: [use({ name: 'X', class: 'forwarding', to: [3] })] })
  await sut.send(1, 2, 'to 2, says the frame')
  assert.deepEqual(await sut.receive(3, 1), ['to 2, says the frame'])
  await sut.silence(2)
  sut.unplug(3)
  await sut.switch.removePort('p3')
  await sut.send(1, 2, 'lost')
  await sut.until(() => sut.drops(1)['no-destination'] === 1, 'the drop')
  await sut.silence(2)
})

test('a forwarding extension with several destinations delivers one copy to each (ES-316, ES-352, ES-411)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 5, extensions: [use({ name: 'X', class: 'forwarding', to: [2, 3, 5] })] })
  const texts = Array.from({ length: 200 }, (_, i) => `m${i}`)
  await sut.send(1, 0, ...texts)
  for (const port of [2, 3, 5]) assert.deepEqual(await sut.receive(port, 200), texts)
  await sut.silence(1, 4)
})

test('header bytes changed on ingress are what arrives (ES-314)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [use({ name: 'F', class: 'filtering', match: 'a', ingress: 'capitalise' })],
  })
  await sut.send(1, 2, 'abc', 'xyz')
  assert.deepEqual(await sut.receive(2, 2), ['Abc', 'xyz'])
})

for (const direction of ['ingress', 'egress'] as const)
  test(`a packet held on ${direction} goes on later from its place, with source and destinations (ES-351)`, async (t) => {
    const sut = await SwitchUnderTest.start(t, {
      ports: 3,
      extensions: [
        use({ name: 'top', class: 'filtering', trace: true }),
        use({ name: 'H', class: 'filtering', match: 'h', [direction]: 'hold', delayMs: 20 }),
        use({ name: 'below', class: 'filtering', trace: true }),
      ],
    })
    await sut.send(1, 0, 'h', 'direct')
    assert.deepEqual(await sut.receive(2, 2), ['direct', 'h'])
    assert.deepEqual(await sut.receive(3, 2), ['direct', 'h'])
    assert.deepEqual(
      sut.said().filter((line) => line.includes(' h ')),
      [
        'top: ingress h from 1/0 to []',
        'below: ingress h from 1/0 to []',
        'below: egress h from 1/0 to [2 3]',
        'top: egress h from 1/0 to [2 3]',
      ],
    )
  })

test('held packets keep their order', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [use({ name: 'H', class: 'filtering', match: 'h', ingress: 'hold', delayMs: 10 })],
  })
  const texts = Array.from({ length: 150 }, (_, i) => `h${i}`)
  await sut.send(1, 2, ...texts)
  assert.deepEqual(await sut.receive(2, 150), texts)
})

test('an injected clone is seen below its module on ingress and by all on egress, with the source of the original (ES-314, ES-388, ES-393, ES-395)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      use({ name: 'top', class: 'filtering', trace: true }),
      use({ name: 'M', class: 'filtering', trace: true, match: 'c', ingress: 'replace' }),
      use({ name: 'below', class: 'filtering', trace: true }),
    ],
  })
  await sut.send(1, 2, 'c')
  assert.deepEqual(await sut.receive(2, 1), ['c'])
  assert.deepEqual(sut.said(), [
    'top: ingress c from 1/0 to []',
    'M: ingress c from 1/0 to []',
    'below: ingress c from 1/0 to []',
    'below: egress c from 1/0 to [2]',
    'M: egress c from 1/0 to [2]',
    'top: egress c from 1/0 to [2]',
  ])
  assert.deepEqual(sut.drops(1), { 'test-replaced': 1 })
})

test('a clone of a packet seen on egress joins ingress below its module (ES-391)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      use({ name: 'M', class: 'filtering', trace: true }),
      use({ name: 'X', class: 'forwarding', to: [2], match: 'c', ingress: 'duplicate' }),
    ],
  })
  await sut.send(1, 2, 'c')
  assert.deepEqual(await sut.receive(2, 1), ['c'], 'the clone of a forwarding extension has no destination unless it adds one')
  assert.deepEqual(sut.drops(1), { 'no-destination': 1 })
})

test('an originated packet comes from source 0 and reaches every port, past source policies (ES-311, ES-341, ES-372, ES-375)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [use({ name: 'C', class: 'capturing', beatMs: 5 }), use({ name: 'F', class: 'filtering', trace: true })],
  })
  await sut.receive(1, 3, false)
  await sut.receive(2, 3, false)
  const lines = new Set(sut.said())
  assert.ok(lines.has('F: egress b from 0/0 to [1 2]'))
  assert.ok(lines.has('F: ingress b from 0/0 to []'))
})

const rules: [UseClass, string[]][] = [
  ['capturing', ['ES-306, ES-307, ES-308, ES-309, ES-310']],
  ['filtering', ['ES-315, ES-328, ES-346, ES-347, ES-348']],
  ['forwarding', ['ES-328, ES-347, ES-348, ES-369']],
]
type UseClass = 'capturing' | 'filtering' | 'forwarding'
for (const [extensionClass, numbers] of rules)
  test(`CS-33 CS-34 CS-35 what a ${extensionClass} extension must not do is refused and counted as a breach, and the packet arrives as it was (${numbers})`, async (t) => {
    const sut = await SwitchUnderTest.start(t, {
      extensions: [
        use({
          name: 'bad',
          class: extensionClass,
          ingress: 'forbidden',
          egress: 'forbidden',
          ...(extensionClass === 'forwarding' ? { to: [2] } : {}),
        }),
      ],
    })
    await sut.send(1, 2, 'unharmed')
    assert.deepEqual(await sut.receive(2, 1), ['unharmed'])
    assert.deepEqual(sut.switch.drops(), [])
    const { breaches, state } = await sut.extension('bad')
    assert.equal(state, 'running')
    assert.equal(breaches, { capturing: 12, filtering: 4, forwarding: 3 }[extensionClass])
    assert.equal(sut.log.filter(({ code }) => code.startsWith('ES-')).length, 1, 'told once')
  })
