import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { getVfsMessage, type HostVfWords, readVfAnswer, setVfMessage } from './vf-messages.ts'

const INDEX = 3
const hex = (text: string): string => text.replace(/\s/g, '')

// As iproute2 6.1 sent them for `ip link set v0 vf 1 …` on interface 3; sequence numbers apart.
const captured: readonly [string, HostVfWords, number, string][] = [
  [
    'mac 02:00:00:00:00:05',
    { mac: '02:00:00:00:00:05' },
    0x6b032143,
    `50000000 10000500 4321036b 00000000  00000000 03000000 00000000 00000000
     30001600 2c000100 28000100 01000000  02000000 00050000 00000000 00000000
     00000000 00000000 00000000 00000000`,
  ],
  [
    'vlan 10 qos 3',
    { vlan: 10, qos: 3 },
    0x6b032142,
    `38000000 10000500 4221036b 00000000  00000000 03000000 00000000 00000000
     18001600 14000100 10000200 01000000  0a000000 03000000`,
  ],
  [
    'min_tx_rate 10 max_tx_rate 100',
    { min_tx_rate: 10, max_tx_rate: 100 },
    0x6b032142,
    `38000000 10000500 4221036b 00000000  00000000 03000000 00000000 00000000
     18001600 14000100 10000600 01000000  0a000000 64000000`,
  ],
  [
    'spoofchk on',
    { spoofchk: true },
    0x6b032142,
    `34000000 10000500 4221036b 00000000  00000000 03000000 00000000 00000000
     14001600 10000100 0c000400 01000000  01000000`,
  ],
  [
    'trust off',
    { trust: false },
    0x6b032142,
    `34000000 10000500 4221036b 00000000  00000000 03000000 00000000 00000000
     14001600 10000100 0c000900 01000000  00000000`,
  ],
  [
    'state enable',
    { state: 'enable' },
    0x6b032142,
    `34000000 10000500 4221036b 00000000  00000000 03000000 00000000 00000000
     14001600 10000100 0c000500 01000000  01000000`,
  ],
  [
    'vlan 10 qos 3 spoofchk off trust on state disable mac 02:00:00:00:00:05',
    { vlan: 10, qos: 3, spoofchk: false, trust: true, state: 'disable', mac: '02:00:00:00:00:05' },
    0x6b032143,
    `84000000 10000500 4321036b 00000000  00000000 03000000 00000000 00000000
     64001600 60000100 10000200 01000000  0a000000 03000000 0c000400 01000000
     00000000 0c000900 01000000 01000000  0c000500 01000000 02000000 28000100
     01000000 02000000 00050000 00000000  00000000 00000000 00000000 00000000
     00000000`,
  ],
]

for (const [words, given, sequence, bytes] of captured)
  test(`"vf 1 ${words}" is sent byte for byte as iproute2 sends it`, () => {
    assert.equal(setVfMessage(INDEX, 1, given, sequence).toString('hex'), hex(bytes))
  })

test('the question for VFs is the one of iproute2, by number', () => {
  assert.equal(
    getVfsMessage(INDEX, 0x6b032133).toString('hex'),
    hex('28000000 12000100 3321036b 00000000 00000000 03000000 00000000 00000000 08001d00 09000000'),
  )
})

test('what the kernel tells of VFs has the layout of what sets them', () => {
  const told = { vlan: 10, qos: 3, spoofchk: false, trust: true, state: 'disable', mac: '02:00:00:00:00:05' } as const
  const rates = { min_tx_rate: 10, max_tx_rate: 100 }
  assert.deepEqual(readVfAnswer(setVfMessage(INDEX, 1, { ...told, ...rates }, 1)).vfs, [{ vf: 1, ...told, ...rates }])
  const unknown = setVfMessage(INDEX, 0, { vlan: 0, spoofchk: true }, 1)
  unknown.writeUInt32LE(0xffff_ffff, unknown.length - 4)
  assert.deepEqual(readVfAnswer(unknown).vfs[0], {
    vf: 0,
    mac: '00:00:00:00:00:00',
    vlan: 0,
    qos: 0,
    spoofchk: null,
    trust: null,
    max_tx_rate: 0,
    min_tx_rate: 0,
    state: null,
  })
})

test('an acknowledgement is told from a refusal', () => {
  const ack = Buffer.alloc(36)
  ack.writeUInt32LE(36, 0)
  ack.writeUInt16LE(2, 4)
  assert.equal(readVfAnswer(ack).errno, 0)
  ack.writeInt32LE(-95, 16)
  assert.equal(readVfAnswer(ack).errno, 95)
  assert.equal(readVfAnswer(Buffer.alloc(0)).errno, undefined)
})

test('whatever bytes come, nothing is read beyond them and the reader ends', () => {
  const whole = setVfMessage(INDEX, 1, { vlan: 1, spoofchk: true, mac: '02:00:00:00:00:05', state: 'auto' }, 1)
  fc.assert(
    fc.property(fc.nat(whole.length), fc.nat(whole.length - 1), fc.nat(255), (end, at, value) => {
      const bytes = Buffer.from(whole)
      bytes[at] = value
      readVfAnswer(bytes.subarray(0, end))
    }),
  )
})
