import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  A,
  asks,
  B,
  bootp,
  comesUp,
  dhcp,
  icmp6,
  ipv4,
  ipv6,
  isSummed,
  LINK,
  lab,
  named,
  requested,
  SERVER,
  says,
  told,
  toServer,
} from '../../../test/support/dhcp-lab.ts'
import { ExtensionHost } from '../../../test/support/extension-host.ts'
import { formatIpv6, formatMac, parseMac } from '../../packet/addresses.ts'
import { etherFrame, ipBytes, ipFrame, udpFrame } from '../../packet/build.ts'
import { DnsType, dnsNameBytes } from '../../packet/dns.ts'
import { DhcpType } from './dhcp4-message.ts'
import { Dhcp6Type } from './dhcp6-message.ts'
import dhcpDns, { LabCounter } from './index.ts'

test('a guest gets an address of its own with what belongs to it, and the same again', async () => {
  const one = await lab({ mtu: 1400, ipv4: { ...ipv4, routes: [{ to: '10.9.0.0/16', via: '10.77.0.7' }] } })
  const first = comesUp(one, 'alpha', A)
  const second = comesUp(one, 'beta', B)
  assert.notEqual(first, second)
  const offer = says(one, 'alpha', dhcp(A, DhcpType.discover))!
  assert.equal(offer.address, first)
  const value = (code: number): string => [...(offer.options.get(code) ?? [])].join('.')
  assert.deepEqual([1, 3, 6, 26, 28, 42, 51, 54].map(value), [
    '255.255.255.0',
    '10.77.0.254',
    '10.77.0.1',
    '5.120',
    '10.77.0.255',
    '10.77.0.9',
    '0.0.14.16',
    '10.77.0.1',
  ])
  assert.equal(value(121), '16.10.9.10.77.0.7.0.10.77.0.254')
  assert.equal(Buffer.from(offer.options.get(15)!).toString(), 'lab.test')
  assert.equal(one.host.dropped('alpha', 'dhcp-dns: answered'), 3)
  assert.deepEqual(one.take('beta'), [], 'nobody else hears of it')
})

test("an address that is not the guest's is refused, and one that went to another server forgotten", async () => {
  const one = await lab()
  const address = comesUp(one, 'alpha', A)
  assert.equal(says(one, 'beta', dhcp(B, DhcpType.request, requested(address)))?.type, DhcpType.nak)
  assert.equal(says(one, 'alpha', dhcp(A, DhcpType.request, requested('10.1.1.1')))?.type, DhcpType.nak)
  assert.equal(says(one, 'alpha', dhcp(A, DhcpType.request, requested(address)))?.type, DhcpType.ack)
  assert.equal(says(one, 'alpha', dhcp(A, DhcpType.request, [], address))?.type, DhcpType.ack, 'a renewal')
  says(one, 'beta', dhcp(B, DhcpType.discover))
  assert.equal(says(one, 'beta', dhcp(B, DhcpType.request, [...requested('10.77.0.101'), 54, 4, 10, 77, 0, 66])), undefined)
  assert.equal(says(one, 'alpha', dhcp(A, DhcpType.inform, [], address))?.options.has(51), false)
})

test('what is released or over is given to others; what was declined rests a while', async () => {
  const one = await lab({ ipv4: { ...ipv4, pool: '10.77.0.100-10.77.0.100' } })
  const address = comesUp(one, 'alpha', A)
  assert.equal(says(one, 'beta', dhcp(B, DhcpType.discover)), undefined, 'there is no other')
  says(one, 'beta', dhcp(B, DhcpType.release, toServer, address))
  assert.equal(says(one, 'beta', dhcp(B, DhcpType.discover)), undefined, 'only who has it gives it back')
  says(one, 'alpha', dhcp(A, DhcpType.release, toServer, address))
  assert.equal(comesUp(one, 'beta', B), address)
  says(one, 'beta', dhcp(B, DhcpType.decline, [...requested(address), ...toServer]))
  assert.equal(says(one, 'beta', dhcp(B, DhcpType.discover)), undefined)
  one.host.advance(301_000)
  assert.equal(comesUp(one, 'alpha', A), address)
  one.host.advance(3_601_000)
  assert.equal(comesUp(one, 'beta', B), address)
})

test('a static lease is for its VM alone, by port or by address', async () => {
  const statics = [
    { port: 'alpha', address: '10.77.0.101' },
    { mac: B, address: '10.77.0.5', name: 'db' },
  ]
  const one = await lab({ statics })
  assert.equal(comesUp(one, 'alpha', A), '10.77.0.101')
  assert.equal(comesUp(one, 'beta', B, named('gateway')), '10.77.0.5')
  assert.deepEqual(asks(one, 'db', DnsType.a)?.text, ['10.77.0.5'])
  const others = [3, 4, 5].map((last) => says(one, 'many', dhcp(`02:00:00:00:00:0${last}`, DhcpType.discover))?.address)
  assert.deepEqual(others.toSorted(), ['10.77.0.100', '10.77.0.102', '10.77.0.103'])
})

test('one guest can take no more than its share, whatever it calls itself, and be answered no more often than its rate', async () => {
  const one = await lab({ leasesPerPort: 2, answersPerSecond: 10, ipv4: { ...ipv4, pool: '10.77.0.100-10.77.0.199' } })
  const answers = [1, 2, 3, 4].map((last) => says(one, 'many', dhcp(`02:00:00:00:01:0${last}`, DhcpType.discover)))
  assert.deepEqual(
    answers.map((answer) => answer !== undefined),
    [true, true, false, false],
  )
  comesUp(one, 'beta', B)
  for (let n = 0; n < 50; n++) one.host.send('beta', dhcp(B, DhcpType.discover))
  assert.equal(one.take('beta').length, 8)
  assert.ok(one.counters[LabCounter.limited]! >= 42)
})

test('leases that are over do not come back beyond a share', async () => {
  const one = await lab({ leasesPerPort: 1, ipv4: { ...ipv4, pool: '10.77.0.100-10.77.0.199' } })
  const [first, second] = ['02:00:00:00:03:01', '02:00:00:00:03:02']
  comesUp(one, 'beta', B)
  const address = comesUp(one, 'many', first!)
  one.host.advance(3_601_000)
  comesUp(one, 'many', second!) // in the place of what beta had
  assert.equal(says(one, 'many', dhcp(first!, DhcpType.request, requested(address)))?.type, DhcpType.nak)
  assert.equal(says(one, 'many', dhcp(first!, DhcpType.discover)), undefined)
})

// ---- IPv6 -----------------------------------------------------------------------------------------------------------------------

test('a solicitation gets an advertisement of the network, of names, and of no router unless it is one', async () => {
  const { host, take } = await lab({ mtu: 1400 })
  host.send('alpha', icmp6('fe80::1', 'ff02::2', Uint8Array.of(133, 0, 0, 0, 0, 0, 0, 0)))
  const [frame] = take('alpha')
  assert.ok(frame && isSummed(frame, 58))
  assert.equal(formatIpv6(frame, 22), LINK)
  const message = frame.subarray(54)
  assert.deepEqual([...message.subarray(0, 8)], [134, 0, message[2], message[3], 64, 0, 0, 0])
  const options = new Map<number, Uint8Array>()
  for (let at = 16; at < message.length; at += message[at + 1]! * 8)
    options.set(message[at]!, message.subarray(at, at + message[at + 1]! * 8))
  assert.equal(formatMac(options.get(1)!, 2), SERVER)
  assert.deepEqual([...options.get(3)!.subarray(2, 4)], [64, 0xc0])
  assert.equal(formatIpv6(options.get(3)!, 16), 'fd77::')
  assert.equal(formatIpv6(options.get(25)!, 8), 'fd77::1')
  assert.deepEqual([...options.get(31)!.subarray(8, 18)], [...dnsNameBytes('lab.test')])
  assert.equal(options.get(5)![7], 1400 & 255)
  host.send(
    'alpha',
    ipFrame(
      { sourceMac: A, destinationMac: '33:33:00:00:00:02', source: 'fe80::1', destination: 'ff02::2' },
      58,
      Uint8Array.of(133, 0, 0, 0, 0, 0, 0, 0),
      2,
    ),
  )
  assert.equal(take('alpha').length, 0, 'it has passed a router')
})

test('each guest hears an advertisement when it comes and in each interval', async () => {
  const host = new ExtensionHost([{ definition: dhcpDns, options: { ipv6: { ...ipv6, mode: 'stateful', routerSeconds: 600 } } }])
  await host.addPorts({ name: 'alpha', mac: A }, { name: 'beta', mac: B })
  host.advance(60_000)
  for (const port of ['alpha', 'beta']) {
    const frames = host.delivered(port)
    assert.ok(frames.length >= 1)
    assert.equal(frames.at(-1)![54 + 5], 0xc0)
    assert.equal((frames.at(-1)![54 + 6]! << 8) | frames.at(-1)![54 + 7]!, 600)
  }
})

const dhcp6 = (type: number, options: readonly number[], mac = A): Uint8Array =>
  udpFrame(
    { sourceMac: mac, destinationMac: '33:33:00:01:00:02', source: 'fe80::1', destination: 'ff02::1:2' },
    546,
    547,
    Uint8Array.from([type, 1, 2, 3, ...options]),
  )
const duid = (last: number): number[] => [0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, last]
const serverId = [0, 2, 0, 10, 0, 3, 0, 1, ...parseMac(SERVER)]
const association = (...inner: number[]): number[] => [0, 3, 0, 12 + inner.length, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, ...inner]
const named6 = (address: string): number[] => [0, 5, 0, 24, ...ipBytes(address), 0, 0, 0, 0, 0, 0, 0, 0]
function told6(
  frame: Uint8Array | undefined,
): { type: number; address: string | undefined; status: number | undefined; dns: string | undefined } | undefined {
  if (!frame) return undefined
  assert.ok(isSummed(frame, 17))
  const message = frame.subarray(62, 54 + ((frame[58]! << 8) | frame[59]!))
  let address: string | undefined
  let status: number | undefined
  let dns: string | undefined
  const walk = (from: number, to: number): void => {
    for (let at = from; at < to; ) {
      const code = (message[at]! << 8) | message[at + 1]!
      const length = (message[at + 2]! << 8) | message[at + 3]!
      if (code === 3) walk(at + 16, at + 4 + length)
      if (code === 5) address = formatIpv6(message, at + 4)
      if (code === 13) status = message[at + 5]
      if (code === 23) dns = formatIpv6(message, at + 4)
      at += 4 + length
    }
  }
  walk(4, message.length)
  return { type: message[0]!, address, status, dns }
}

test('DHCPv6 gives one address to one association, renews, takes it back, and says what else there is', async () => {
  const one = await lab({ ipv6: { ...ipv6, mode: 'stateful', first: 0x100, count: 2 } })
  const says6 = (port: string, frame: Uint8Array) => {
    one.take(port)
    one.host.send(port, frame)
    return told6(one.take(port)[0])
  }
  const advertise = says6('alpha', dhcp6(Dhcp6Type.solicit, [...duid(1), ...association()]))!
  assert.deepEqual([advertise.type, advertise.dns], [Dhcp6Type.advertise, 'fd77::1'])
  const { address } = advertise
  assert.match(address!, /^fd77::10[01]$/)
  const ask = [...duid(1), ...serverId, ...association(...named6(address!))]
  assert.equal(says6('alpha', dhcp6(Dhcp6Type.request, ask))?.address, address)
  assert.equal(says6('alpha', dhcp6(Dhcp6Type.renew, ask))?.address, address)
  assert.equal(says6('beta', dhcp6(Dhcp6Type.renew, ask, B))?.status, 3, 'of another port')
  const other = says6('beta', dhcp6(Dhcp6Type.solicit, [...duid(2), ...association(), 0, 14, 0, 0], B))!
  assert.equal(other.type, Dhcp6Type.reply)
  assert.notEqual(other.address, address)
  assert.equal(says6('beta', dhcp6(Dhcp6Type.solicit, [...duid(3), ...association()], B))?.status, 2, 'the pool is used up')
  assert.equal(says6('alpha', dhcp6(Dhcp6Type.release, ask))?.status, 0)
  assert.equal(says6('beta', dhcp6(Dhcp6Type.solicit, [...duid(3), ...association()], B))?.address, address)
  assert.equal(says6('alpha', dhcp6(Dhcp6Type.confirm, [...duid(1), ...association(...named6('fd78::5'))]))?.status, 4)
  assert.equal(says6('alpha', dhcp6(Dhcp6Type.information, []))?.dns, 'fd77::1')
  assert.equal(says6('alpha', dhcp6(Dhcp6Type.request, [...duid(1), ...association()])), undefined, 'to no server')
})

test('a traced question is answered as any, and leaves no lease, takes none away and uses nothing of the rate up', async () => {
  const one = await lab({ answersPerSecond: 4, ipv6: { ...ipv6, mode: 'stateful', first: 0x100, count: 2 } })
  const { host, take } = one
  const leases = host.modules[0]!.shared.get('leases')!
  const traced = (frame: Uint8Array): Uint8Array[] => {
    take('alpha')
    host.dataPath.batch.isTraced = true
    host.send('alpha', frame)
    host.dataPath.batch.isTraced = false
    return take('alpha')
  }
  const empty = leases.slice()
  const request6 = [...duid(1), ...serverId, ...association()]
  for (let round = 0; round < 5; round++) {
    assert.equal(told(traced(dhcp(A, DhcpType.discover))[0])?.type, DhcpType.offer)
    assert.match(told6(traced(dhcp6(Dhcp6Type.request, request6))[0])?.address ?? '', /^fd77::10[01]$/)
  }
  assert.deepEqual(leases, empty)
  const address = comesUp(one, 'alpha', A)
  const bound = leases.slice()
  traced(dhcp(A, DhcpType.release, toServer, address))
  traced(dhcp(A, DhcpType.decline, [...requested(address), ...toServer]))
  assert.deepEqual(leases, bound)
  host.advance(1000)
  assert.equal(says(one, 'alpha', dhcp(A, DhcpType.request, requested(address)))?.type, DhcpType.ack)
})

test('whatever guests send, nothing throws, and no answer is longer than a frame', async () => {
  const { host, module, take } = await lab({ ipv6: { ...ipv6, mode: 'stateful' }, answersPerSecond: 10_000 })
  const pair = { sourceMac: A, destinationMac: SERVER, source: '10.77.0.100', destination: '10.77.0.1' }
  const link = { ...pair, source: 'fe80::1', destination: LINK }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(10), fc.nat(255), (tail, type, octet) => {
      const message = bootp(A, type)
      message.set(tail.subarray(0, 50), 240)
      host.advance(1)
      host.send(
        'alpha',
        udpFrame(pair, 68, 67, message),
        udpFrame(link, 546, 547, Uint8Array.from([type, 0, 0, 1, ...duid(1), ...tail])),
        udpFrame(pair, 4000, 53, Uint8Array.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, ...tail])),
        icmp6('fe80::1', LINK, Uint8Array.from([octet, 0, 0, 0, ...tail])),
        etherFrame(SERVER, A, 0x0806, tail),
      )
      for (const frame of take('alpha')) assert.ok(frame.length <= 1514)
      take('beta')
    }),
    { numRuns: 400 },
  )
  assert.deepEqual([module.state, host.reports], ['running', []])
})

test('what is wrong in the options is refused with its place', () => {
  const wrong: readonly (readonly [raw: unknown, message: RegExp])[] = [
    [{}, /neither ipv4 nor ipv6/],
    [{ ipv4: { address: '10.0.0.1' } }, /ipv4\.address: "10\.0\.0\.1" needs the length of its network/],
    [{ ipv4: { address: '10.0.0.1/24', pool: '10.0.1.1-10.0.1.2' } }, /pool: .* is not all in the network/],
    [{ ipv4, statics: [{ port: 'a', address: '10.1.1.1' }] }, /statics\[0\]\.address: 10\.1\.1\.1 is not in the network/],
    [{ ipv4, statics: [{ address: '10.77.0.3' }] }, /statics\[0\]: is for nobody/],
    [{ ipv6: { address: 'fd00::1/56' } }, /guests make themselves addresses in one of \/64/],
    [{ ipv4, domain: 'a..b' }, /domain: "a\.\.b" is not a domain/],
    [{ ipv4, mac: '01:00:00:00:00:01' }, /mac: .* is a group address/],
    [{ ipv6: { address: 'fd00::1/64', first: 5 } }, /first: there is no such option/],
  ]
  for (const [raw, message] of wrong) assert.throws(() => dhcpDns.parseOptions!(raw), message)
})
