// The parts of the page for a guest in the tab that need no browser: its screen, its keys, its settings.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { keyText } from '../../console/src/guest/keys.ts'
import { SerialScreen } from '../../console/src/guest/serial-screen.ts'
import { commandLine, type GuestSettings, problemsOf } from '../../console/src/guest/settings.ts'

function shown(text: string): { screen: SerialScreen; answers: string[] } {
  const answers: string[] = []
  const screen = new SerialScreen((answer) => answers.push(answer))
  for (const byte of Buffer.from(text)) screen.write(byte)
  return { screen, answers }
}

describe('the screen of a serial line', () => {
  test('shows lines, and what a shell writes over them', () => {
    assert.deepEqual(shown('one\r\ntwo\r\n').screen.lines, ['one', 'two', ''])
    assert.deepEqual(shown('abc\b\bX').screen.lines, ['aXc'])
    assert.deepEqual(shown('abcdef\rxy\x1b[K').screen.lines, ['xy'])
    assert.deepEqual(shown('abc\x1b[2DX\x1b[CY').screen.lines, ['aXcY'])
    assert.deepEqual(shown('a\tb').screen.lines, ['a       b'])
    assert.deepEqual(shown('\x1b[1;32mgreen\x1b[0m \x1b(Bplain').screen.lines, ['green Bplain'])
    assert.deepEqual(shown('grüße').screen.lines, ['grüße'])
  })

  test('tells the guest where its cursor is, when it asks', () => {
    assert.deepEqual(shown('# \x1b[6n').answers, ['\x1b[24;3R'])
    assert.deepEqual(shown('# \x1b[5n').answers, [])
  })

  test('stays bounded and on its lines, whatever a guest writes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom(0x1b, 0x5b, 10, 13, 8, 9, 0x44, 0x43), fc.integer({ min: 0, max: 255 })), {
          maxLength: 4000,
        }),
        (bytes) => {
          const screen = new SerialScreen(() => {})
          for (const byte of bytes) screen.write(byte)
          assert.ok(screen.lines.length <= 1000 && screen.column <= 510)
          for (const line of screen.lines) assert.ok(line.length <= 1020)
        },
      ),
    )
    const { screen } = shown(`${'\n'.repeat(5000)}${'x'.repeat(5000)}\x1b[${'9'.repeat(500)}C!`)
    assert.ok(screen.lines.length <= 1000)
  })
})

test('keys are what a serial line knows, but for those that are the browser’s', () => {
  const key = (name: string, more = {}) =>
    keyText({ key: name, ctrlKey: false, altKey: false, metaKey: false, shiftKey: false, ...more })
  assert.equal(key('a'), 'a')
  assert.equal(key('A', { shiftKey: true }), 'A')
  assert.equal(key('Enter'), '\r')
  assert.equal(key('ArrowUp'), '\x1b[A')
  assert.equal(key('c', { ctrlKey: true }), '\x03')
  for (const [name, more] of [
    ['v', { ctrlKey: true }],
    ['C', { ctrlKey: true, shiftKey: true }],
    ['Tab', { shiftKey: true }],
    ['F5', {}],
    ['Shift', { shiftKey: true }],
    ['r', { metaKey: true }],
  ] as const)
    assert.equal(key(name, more), null, name)
})

describe('settings of a guest', () => {
  const good: GuestSettings = { name: 'tab', addressing: 'fixed', address: '10.0.0.5/24', memoryMiB: 128 }
  test('are refused where they would not be one word of a command line', () => {
    assert.deepEqual(problemsOf(good), {})
    assert.deepEqual(problemsOf({ ...good, address: 'fd00::5/64' }), {})
    assert.deepEqual(problemsOf({ ...good, addressing: 'dhcp', address: '' }), {})
    for (const name of ['', 'a b', 'A', '-a', 'a'.repeat(40), 'a;reboot']) assert.ok(problemsOf({ ...good, name }).name, name)
    for (const address of ['', '10.0.0.5', '10.0.0.256/24', '10.0.0.5/33', 'fd00::5/129', '10.0.0.5/24 init=/bin/sh'])
      assert.ok(problemsOf({ ...good, address }).address, address)
  })

  test('become the words that the guest’s init looks for', () => {
    const words = (settings: GuestSettings, mac: string | null = null, mtu = 9000) =>
      commandLine(settings, { mac, mtu })
        .split(' ')
        .filter((word) => word.startsWith('vmswitch.'))
    assert.deepEqual(words(good, '52:54:00:00:00:01', 1400), [
      'vmswitch.name=tab',
      'vmswitch.mac0=52:54:00:00:00:01',
      'vmswitch.mtu0=1400',
      'vmswitch.ip0=10.0.0.5/24',
    ])
    assert.deepEqual(words({ ...good, addressing: 'dhcp' }), ['vmswitch.name=tab', 'vmswitch.dhcp0=1'])
    assert.deepEqual(words({ ...good, addressing: 'none' }), ['vmswitch.name=tab', 'vmswitch.up0=1'])
  })
})
