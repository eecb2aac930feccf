import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { datagram, packet, TrackingHarness } from '../../../test/support/tracked-frames.ts'
import { NO_GUID } from '../../ndis/properties.ts'
import { SAVE_DATA_MAX } from '../../ndis/save-state.ts'
import { saveConnections } from '../conntrack/connection-records.ts'
import { decodeBase64, encodeBase64 } from './base64.ts'
import { readSavedSwitch, SavedStateError, type SavedSwitch, writeSavedSwitch } from './saved-switch.ts'

const GUID = '7b0b6d0e-5f0c-4c56-9b7e-0d3c1f9f6a04'

const saved: SavedSwitch = {
  name: 'lab0',
  savedAt: '2026-01-02T03:04:05.000Z',
  properties: [{ type: 'custom', id: GUID, instance: GUID, version: '1.1', value: { a: [1, 'two', null] } }],
  ports: [
    {
      name: 'alpha',
      connected: true,
      config: { name: 'alpha', endpoint: { kind: 'memory' } },
      properties: [{ type: 'vlan', instance: NO_GUID, version: '1.0', value: { mode: 'access', accessVlanId: 10 } }],
      counters: { receivedFrames: 2 ** 40 },
      addresses: [{ mac: '02:00:00:00:00:05', vlan: 10, ageSeconds: 3 }],
      blocks: [
        { extensionId: GUID, extensionFriendlyName: 'guard', featureClassId: NO_GUID, saveData: Uint8Array.of(0, 1, 254, 255) },
      ],
    },
    { name: 'beta', connected: false, config: { name: 'beta' }, properties: [], counters: {}, addresses: [], blocks: [] },
  ],
}

type Member = Record<string, unknown>
// The message with one thing changed, as JSON with a line for each member.
function changed(change: (message: Member, alpha: Member) => void): string {
  const message = JSON.parse(writeSavedSwitch(saved)) as Member
  change(message, (message.ports as Member[])[0]!)
  return JSON.stringify(message, null, 1)
}

const refusal = (text: string): SavedStateError => {
  try {
    readSavedSwitch(text)
  } catch (error) {
    assert.ok(error instanceof SavedStateError, String(error))
    return error
  }
  assert.fail('it was read')
}

test('what was written is read as it was', () => {
  assert.deepEqual(readSavedSwitch(writeSavedSwitch(saved)), saved)
})

test('base64 has one text for each sequence of bytes, and nothing else is read', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 50 }), (bytes) => {
      const text = encodeBase64(bytes)
      assert.equal(text, Buffer.from(bytes).toString('base64'))
      assert.deepEqual(decodeBase64(text), bytes)
    }),
  )
  for (const text of ['A', 'AA', 'AAA', 'AAAA=', 'AB==', 'AAB=', 'A===', '====', 'AA=A', 'AA A', 'AAAé', 'AA\n==', 'AAA-'])
    assert.equal(decodeBase64(text), undefined, text)
})

test('a value that is wrong is refused with its path, line and column', () => {
  const wrong: [string, RegExp][] = [
    [changed((message) => (message.format = 'other')), /no saved switch/],
    [changed((message) => (message.version = 2)), /^\d+:\d+: version: version 2 is not known, only 1$/],
    [changed((message) => (message.more = 1)), /: more: this member is not known/],
    [changed((message) => delete message.name), /^1:1: member "name" is missing/],
    [changed((_, alpha) => (alpha.name = 5)), /: ports\[0\]\.name: a text/],
    [changed((_, alpha) => (alpha.name = 'beta')), /ports\[0\]\.config: its name is not "beta"/],
    [changed((_, alpha) => (alpha.blocks = [1])), /ports\[0\]\.blocks\[0\]: an object/],
    [changed((_, alpha) => (alpha.blocks = {})), /ports\[0\]\.blocks: a list/],
    [changed((_, alpha) => ((alpha.blocks as Member[])[0]!.saveData = 'AB==')), /blocks\[0\]\.saveData: base64/],
    [changed((_, alpha) => ((alpha.blocks as Member[])[0]!.extensionId = 'x')), /blocks\[0\]\.extensionId: a GUID/],
    [changed((_, alpha) => ((alpha.addresses as Member[])[0]!.mac = '03:00:00:00:00:05')), /addresses\[0\]\.mac: a MAC address/],
    [
      changed((_, alpha) => ((alpha.addresses as Member[])[0]!.vlan = 4096)),
      /addresses\[0\]\.vlan: a whole number from 0 to 4095/,
    ],
    [changed((_, alpha) => (alpha.counters = { receivedFrames: -1 })), /counters\.receivedFrames: a whole number/],
    [changed((_, alpha) => (alpha.counters = { receivedFrames: 1.5 })), /counters\.receivedFrames: a whole number/],
    [changed((_, alpha) => ((alpha.properties as Member[])[0]!.type = 'colour')), /properties\[0\]\.type: one of security/],
    [changed((_, alpha) => ((alpha.properties as Member[])[0]!.id = GUID)), /properties\[0\]: a custom property, and no other/],
    [changed((message) => (message.ports as Member[]).push((message.ports as Member[])[1]!)), /there are two ports "beta"/],
  ]
  for (const [text, expected] of wrong) {
    const error = refusal(text)
    assert.match(error.message, expected)
    assert.equal(error.code, 'BAD_SAVED_STATE')
  }
  const error = refusal(changed((_, alpha) => (alpha.connected = 'yes')))
  const lines = changed((_, alpha) => (alpha.connected = 'yes')).split('\n')
  assert.ok(lines[error.line - 1]!.includes('"connected": "yes"'))
  assert.equal(lines[error.line - 1]!.slice(error.column - 1), '"yes",')
})

test('a text that is not JSON is refused with line and column', () => {
  for (const text of ['', '{', '[1,\n2', '{"format":\n  nonsense}', 'x'])
    assert.match(refusal(text).message, /^\d+:\d+: this is not JSON/)
  assert.equal(refusal('{"format":\n  nonsense}').line, 2)
})

test('a block beyond the size of a save buffer is refused (ES-477)', () => {
  const block = (bytes: number): string =>
    changed((_, alpha) => ((alpha.blocks as Member[])[0]!.saveData = encodeBase64(new Uint8Array(bytes))))
  assert.equal(readSavedSwitch(block(SAVE_DATA_MAX)).ports[0]!.blocks[0]!.saveData.length, SAVE_DATA_MAX)
  assert.match(refusal(block(SAVE_DATA_MAX + 1)).message, /65536 bytes, a block has at most 65535/)
})

test('whatever the text, it is read whole or refused with its place', () => {
  const text = writeSavedSwitch(saved)
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.string({ maxLength: 3 }), fc.nat(4), (at, insert, cut) => {
      const broken = text.slice(0, at) + insert + text.slice(at + cut)
      try {
        const read = readSavedSwitch(broken)
        assert.deepEqual(readSavedSwitch(writeSavedSwitch(read)), read)
      } catch (error) {
        assert.ok(error instanceof SavedStateError && error.line >= 1 && error.column >= 1, String(error))
      }
    }),
    { numRuns: 500 },
  )
  fc.assert(fc.property(fc.json(), (json) => refusal(json) instanceof SavedStateError))
})

test('connections of a port are read as they were written, and refused if they are none', () => {
  const harness = new TrackingHarness()
  harness.open(packet(4, true, 17, datagram(1000, 53)), false)
  const connections = saveConnections(harness.table.store, 1, harness.nowMs)
  const [alpha, beta] = saved.ports
  const withSome = {
    ...saved,
    ports: [
      { ...alpha!, connections },
      { ...beta!, connections: new Uint8Array(0) },
    ],
  }
  const text = writeSavedSwitch(withSome)
  assert.deepEqual(readSavedSwitch(text), { ...withSome, ports: [withSome.ports[0], beta] })
  for (const [bad, message] of [
    ['AAAA', /ports\[0\]\.connections: has 3 bytes/],
    ['?', /ports\[0\]\.connections: base64/],
    [5, /ports\[0\]\.connections: base64/],
    [Buffer.alloc(connections.length).toString('base64'), /ports\[0\]\.connections: its connection 1 is none/],
  ] as const)
    assert.match(refusal(changed((_, first) => (first.connections = bad))).message, message)
})
