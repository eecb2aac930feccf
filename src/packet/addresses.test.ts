import assert from 'node:assert/strict'
import { isIPv6 } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  formatIpv4,
  formatIpv6,
  formatMac,
  formatPrefix,
  ipv4Bytes,
  isInPrefix,
  parseIpv4,
  parseIpv6,
  parseMac,
  parsePrefix,
} from './addresses.ts'

const octets = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length })
const sparse = fc
  .array(fc.constantFrom(0, 0, 0, 1, 0xa, 0x200, 0xffff), { minLength: 8, maxLength: 8 })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255])))

test('MAC, IPv4 and IPv6 addresses come back from their text', () => {
  fc.assert(fc.property(octets(6), (mac) => assert.deepEqual(parseMac(formatMac(mac)), mac)))
  fc.assert(fc.property(fc.nat(0xffffffff), (address) => assert.equal(parseIpv4(formatIpv4(address)), address)))
  fc.assert(fc.property(fc.oneof(octets(16), sparse), (address) => assert.deepEqual(parseIpv6(formatIpv6(address)), address)))
})

test('IPv6 text is what RFC 5952 wants', () => {
  const cases: [string, string][] = [
    ['2001:DB8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['fe80:0:0:0:0:0:0:0', 'fe80::'],
    ['::ffff:10.1.2.3', '::ffff:10.1.2.3'],
    ['::FFFF:0a01:0203', '::ffff:10.1.2.3'],
    ['64:ff9b::10.0.0.1', '64:ff9b::a00:1'],
  ]
  for (const [text, canonical] of cases) assert.equal(formatIpv6(parseIpv6(text)), canonical, text)
  fc.assert(fc.property(fc.oneof(octets(16), sparse), (address) => assert.ok(isIPv6(formatIpv6(address)))))
})

test('an IPv6 address is accepted exactly where the platform accepts it', () => {
  const part = fc.constantFrom('', '0', '1', 'ffff', 'abcd', '12345', 'g', '1.2.3.4', '01.2.3.4')
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 9 }), (parts) => {
      const text = parts.join(':')
      let accepted = true
      try {
        parseIpv6(text)
      } catch {
        accepted = false
      }
      assert.equal(accepted, isIPv6(text), text)
    }),
    { numRuns: 2000 },
  )
})

test('text that is not an address is refused with what to write instead', () => {
  for (const text of ['', '1.2.3', '1.2.3.4.5', '256.0.0.1', '01.0.0.1', '1.2.3.-4', ' 1.2.3.4'])
    assert.throws(() => parseIpv4(text), { code: 'bad-address', message: /like 10\.0\.0\.1$/ }, text)
  for (const text of ['02:00:00:00:00', '02:00:00:00:00:0g', '2:0:0:0:0:1', '02:00:00:00:00:01:02'])
    assert.throws(() => parseMac(text), { code: 'bad-address' }, text)
})

test('prefixes come back from their text and keep no host bits', () => {
  for (const text of ['0.0.0.0/0', '10.0.0.0/8', '10.128.0.0/9', '192.0.2.7/32', '::/0', 'fe80::/10', 'fd00:1::/32', '::1/128'])
    assert.equal(formatPrefix(parsePrefix(text)), text)
  assert.equal(parsePrefix('10.0.0.1').length, 32)
  assert.equal(parsePrefix('::1').length, 128)
  assert.throws(() => parsePrefix('10.0.0.1/8'), { message: /bits beyond the first 8 are set; for one address write \/32/ })
  assert.throws(() => parsePrefix('fe80::1/10'), { code: 'bad-address' })
  for (const text of ['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/08', '10.0.0.0/8/8', '/8', '::/129'])
    assert.throws(() => parsePrefix(text), { code: 'bad-address' }, text)
})

test('an address is in a prefix if it begins with it, and is of its family', () => {
  const inside: readonly (readonly [string, string])[] = [
    ['10.0.0.0/8', '10.255.0.1'],
    ['10.0.0.0/15', '10.1.0.0'],
    ['0.0.0.0/0', '1.2.3.4'],
    ['10.0.0.1/32', '10.0.0.1'],
    ['fc00::/7', 'fd00::1'],
    ['::/0', '::1'],
  ]
  const outside: readonly (readonly [string, string])[] = [
    ['10.0.0.0/15', '10.2.0.0'],
    ['10.0.0.1/32', '10.0.0.2'],
    ['::/0', '1.2.3.4'],
    ['0.0.0.0/0', '::1'],
    ['fd00::/8', 'fc00::1'],
  ]
  for (const [prefix, address] of inside) assert.ok(isInPrefix(parsePrefix(prefix), octetsOf(address)), `${address} in ${prefix}`)
  for (const [prefix, address] of outside)
    assert.ok(!isInPrefix(parsePrefix(prefix), octetsOf(address)), `${address} in ${prefix}`)
})

const octetsOf = (address: string): Uint8Array => (address.includes(':') ? parseIpv6(address) : ipv4Bytes(parseIpv4(address)))
