import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  claimKey,
  ipThing,
  leaseKey,
  lookupKey,
  macThing,
  partOf,
  placeOf,
  portKey,
  portThing,
  subnetKey,
  textOf,
  thingText,
} from './keys.ts'
import { readRecord } from './records.ts'

test('a key leads back to what it was made of, and each text has one spelling', () => {
  assert.deepEqual(placeOf(leaseKey('h1')), { kind: 'lease', host: 'h1' })
  assert.deepEqual(placeOf(portKey('h1', 'web.1')), { kind: 'port', host: 'h1', port: 'web.1' })
  assert.deepEqual(placeOf(subnetKey(5001)), { kind: 'subnet', virtualSubnetId: 5001 })
  assert.deepEqual(placeOf(lookupKey(5001, '52:54:00:00:00:01')), {
    kind: 'lookup',
    virtualSubnetId: 5001,
    mac: '52:54:00:00:00:01',
  })
  for (const thing of [portThing('a b'), macThing(0, '52:54:00:00:00:01'), ipThing(7, 'fd00::1')])
    assert.deepEqual(placeOf(claimKey('h1', thing)), { kind: 'claim', host: 'h1', thing })
  assert.equal(thingText(ipThing(7, 'fd00::1')), 'the address fd00::1 in virtual subnet 7')
  fc.assert(
    fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), (text) => {
      const clean = new TextDecoder().decode(new TextEncoder().encode(text))
      assert.equal(textOf(partOf(text)), clean)
      assert.match(partOf(text), /^[A-Za-z0-9_=-]+$/)
    }),
  )
  for (const part of ['', '=4', '=41', '=ZZ', 'a.b', '=FF']) assert.equal(textOf(part), null, part)
})

test('keys and records of strangers are refused and break nothing', () => {
  const strange = [
    '',
    '.',
    'host',
    'host.a',
    'host.a.lease.x',
    'host..lease',
    'host.a.claim.mac.x',
    'host.a.claim.nothing.x',
    'subnet.0',
    'lookup.1-2',
    'x'.repeat(1000),
  ]
  for (const key of strange) assert.equal(placeOf(key), null, key)
  fc.assert(
    fc.property(fc.string(), fc.oneof(fc.string(), fc.json()), (key, text) => {
      readRecord(key, text)
      for (const known of [leaseKey('a'), portKey('a', 'x'), 'network', subnetKey(1), claimKey('a', portThing('x'))])
        assert.equal(readRecord(known, text).kind, 'refused')
    }),
  )
})
