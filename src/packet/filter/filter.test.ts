import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { arpRequestFrame, echoFrame, tcpFrame, udpFrame } from '../build.ts'
import { compileFilter, FilterError } from './filter.ts'
import { evaluate } from './nodes.ts'
import { parseFilter } from './parse.ts'

const pair = { sourceMac: '02:00:00:00:00:01', destinationMac: '02:00:00:00:00:02', source: '10.0.0.1', destination: '10.0.0.2' }
const pair6 = { ...pair, source: 'fd00::1', destination: 'fd00::2' }
const tagged = (frame: Uint8Array, id: number): Uint8Array =>
  Uint8Array.of(...frame.subarray(0, 12), 0x81, 0, id >> 8, id & 255, ...frame.subarray(12))
const frames = {
  web: tcpFrame(pair, 40000, 443),
  web6: tcpFrame(pair6, 40000, 80),
  dns: udpFrame(pair, 5353, 53),
  ping: echoFrame(pair, false, 1, 2, new Uint8Array(8)),
  ping6: echoFrame(pair6, false, 1, 2, new Uint8Array(8)),
  arp: arpRequestFrame(pair.sourceMac, '10.0.0.1', '10.0.0.2'),
  tagged: tagged(tcpFrame(pair, 40000, 443), 5),
}
type Name = keyof typeof frames

function matching(text: string): Name[] {
  const { matches } = compileFilter(text)
  return (Object.keys(frames) as Name[]).filter((name) => matches(frames[name], 0, frames[name].length, frames[name].length))
}

describe('a capture filter', () => {
  const cases: readonly (readonly [filter: string, expected: readonly Name[]])[] = [
    ['', ['web', 'web6', 'dns', 'ping', 'ping6', 'arp', 'tagged']],
    ['tcp', ['web', 'web6']],
    ['tcp port 443 or 80', ['web', 'web6']],
    ['port domain', ['dns']],
    ['dst port 53', ['dns']],
    ['src port 53', []],
    ['portrange 80-443', ['web', 'web6']],
    ['udp portrange 50-60', ['dns']],
    ['host 10.0.0.2 and not arp', ['web', 'dns', 'ping']],
    ['src host 10.0.0.1', ['web', 'dns', 'ping', 'arp']],
    ['arp host 10.0.0.2', ['arp']],
    ['10.0.0.1', ['web', 'dns', 'ping', 'arp']],
    ['net 10', ['web', 'dns', 'ping', 'arp']],
    ['dst net 10.0.0.2/31', ['web', 'dns', 'ping', 'arp']],
    ['net 10.0.0.0 mask 255.255.255.0 and ip', ['web', 'dns', 'ping']],
    ['host fd00::1', ['web6', 'ping6']],
    ['dst net fd00::/64', ['web6', 'ping6']],
    ['icmp or icmp6', ['ping', 'ping6']],
    ['ip proto 17', ['dns']],
    ['ip6 proto \\icmp6', ['ping6']],
    ['ether proto \\arp', ['arp']],
    ['ether host 02:00:00:00:00:02', ['web', 'web6', 'dns', 'ping', 'ping6', 'tagged']],
    ['ether dst ff:ff:ff:ff:ff:ff', ['arp']],
    ['broadcast', ['arp']],
    ['ether multicast', ['arp']],
    ['vlan', ['tagged']],
    ['vlan 5 and tcp port 443', ['tagged']],
    ['vlan 6', []],
    ['tcp[13] & 2 != 0', ['web']],
    ['tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-ack', []],
    ['ip[2:2] > 40', []],
    ['icmp[icmptype] = icmp-echo', ['ping']],
    ['icmp6[0] == 128', ['ping6']],
    ['ether[0] & 1 = 1', ['arp']],
    ['len <= 42', ['dns', 'arp']],
    ['less 42', ['dns', 'arp']],
    ['not (tcp or udp) and greater 1 and !arp', ['ping', 'ping6', 'tagged']],
    ['src 10.0.0.2 or dst 10.0.0.2 and udp', ['dns']],
  ]
  for (const [filter, expected] of cases)
    test(`"${filter}" matches ${expected.join(', ') || 'nothing'}`, () => assert.deepEqual(matching(filter), expected))

  test('that is not understood is refused with its place', () => {
    const refused: readonly (readonly [string, RegExp])[] = [
      ['tcp port', /a value is missing.*character 9/],
      ['port 70000', /number up to 65535/],
      ['host router', /names of hosts are not looked up/],
      ['net 10.0.0.1/8', /bits beyond its mask/],
      ['tcp and', /a value is missing/],
      ['(tcp', /"\)" is missing/],
      ['tcp)', /does not belong here/],
      ['tcp[0:3] = 1', /1, 2 or 4/],
      ['ip[0] / 0 = 1', /division by 0/],
      ['ip broadcast', /netmask/],
      ['vlan 5000', /up to 4095/],
      ['tcp host 10.0.0.1', /not of tcp/],
      ['ether proto 5', /0x600/],
      ['port 80 €', /nothing that a filter can hold/],
      ['('.repeat(200), /parentheses/],
      ['gateway 10.0.0.1', /no word of a filter/],
    ]
    for (const [filter, message] of refused)
      assert.throws(
        () => compileFilter(filter),
        (error) => error instanceof FilterError && message.test(error.message),
        filter,
      )
  })

  test('says how far into a frame it looks', () => {
    assert.equal(compileFilter('arp').reach, 14)
    assert.equal(compileFilter('vlan and host 10.0.0.1').reach, 18 + 28)
    assert.equal(compileFilter('tcp port 80').reach, 14 + 60 + 4)
    assert.equal(compileFilter('ip[ip[8:4]] = 1').reach, 14 + 2 ** 32)
  })

  test('made into a function says what it says node by node, of any bytes cut anywhere', () => {
    const filters = [
      'tcp port 80 or vlan 7 and udp',
      'not host 10.0.0.1',
      'tcp[13] & 7 = 2 or ip[0] % (ip[1] + 1) = 0',
      'ip6 or len < 40',
    ]
    const compiled = filters.map((text) => ({ test: parseFilter(text), matches: compileFilter(text).matches }))
    const bytes = fc
      .constantFrom(...Object.values(frames))
      .chain((frame) => fc.tuple(fc.constant(frame), fc.nat(frame.length), fc.nat(frame.length - 1), fc.nat(255)))
    fc.assert(
      fc.property(bytes, ([frame, kept, at, value]) => {
        const changed = frame.slice()
        changed[at] = value
        for (const { test: tree, matches } of compiled)
          assert.equal(matches(changed, 0, kept, frame.length), evaluate(tree, changed, 0, kept, frame.length))
      }),
    )
  })
})
