import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ExtensionHost } from '../../../test/support/extension-host.ts'
import {
  a,
  answers,
  asks,
  back,
  cname,
  lab,
  OTHER,
  query,
  reach,
  response,
  toOut,
  toResolver,
  v4,
  v6,
} from '../../../test/support/firewall-lab.ts'
import { tcpFrame, udpFrame } from '../../packet/build.ts'
import { DnsType } from '../../packet/dns.ts'
import { FirewallCounter } from './index.ts'

test('the addresses that an answer gives to a name are open for as long as it says, to the group, and for that rule alone', async () => {
  const { host, passes, lines } = await lab({ audit: { allowed: true } })
  assert.equal(passes('web1', 'out', reach('203.0.113.80')), 0)
  assert.equal(passes('web1', 'out', asks(5000, 1, 'WWW.example.org')), 1)
  assert.equal(passes('out', 'web1', answers(5000, 1, 'www.example.org', [a('www.example.org', '203.0.113.80', 100)])), 1)
  assert.equal(passes('web1', 'out', reach('203.0.113.80')), 1)
  assert.equal(passes('web1', 'out', reach('203.0.113.80', 81)), 0, 'another port')
  assert.equal(
    passes('web2', 'out', tcpFrame({ ...toOut({ source: '10.0.0.6', destination: '203.0.113.80' }), sourceMac: OTHER }, 1, 80)),
    1,
  )
  host.advance(99_000)
  assert.equal(passes('web1', 'out', tcpFrame(toOut({ source: v4.source, destination: '203.0.113.80' }), 4001, 80)), 1)
  host.advance(2_000)
  assert.equal(passes('web1', 'out', tcpFrame(toOut({ source: v4.source, destination: '203.0.113.80' }), 4002, 80)), 0)
  assert.equal(passes('web1', 'out', reach('203.0.113.80')), 0, 'unanswered, so it is over')
  const pin = lines().find(({ action }) => action === 'pin')!
  assert.deepEqual([pin.name, pin.address, pin.seconds, pin.port], ['www.example.org', '203.0.113.80', 100, 'web1'])
})

test('a chain of names is followed, in whatever order it comes, with the shortest time of it; IPv6 like IPv4', async () => {
  const { host, passes } = await lab()
  const chain = [
    a('c.example.net', '2606:4700::1', 600),
    cname('b.example.net', 'c.example.net', 600),
    cname('x.deb.example.org', 'b.example.net', 40),
    a('other.example.net', '2606:4700::2'),
  ]
  passes('web1', 'out', asks(5000, 9, 'x.deb.example.org', DnsType.aaaa))
  passes('out', 'web1', answers(5000, 9, 'x.deb.example.org', chain, DnsType.aaaa))
  assert.equal(passes('web1', 'out', reach('2606:4700::1')), 1)
  assert.equal(passes('web1', 'out', reach('2606:4700::2')), 0, 'it stands in no chain from the question')
  host.advance(41_000)
  assert.equal(passes('web1', 'out', tcpFrame(toOut({ source: v6.source, destination: '2606:4700::1' }), 4009, 80)), 0)
})

test('answers that nobody asked for, from others, to another question or of another time open nothing', async () => {
  const good = [a('www.example.org', '203.0.113.80')]
  const wrong: Readonly<Record<string, (host: ExtensionHost) => Uint8Array>> = {
    'another id': () => answers(5000, 2, 'www.example.org', good),
    'another port': () => answers(5001, 1, 'www.example.org', good),
    'another name': () => answers(5000, 1, 'x.deb.example.org', [a('x.deb.example.org', '203.0.113.80')]),
    'another owner': () => answers(5000, 1, 'www.example.org', [a('evil.example.org', '203.0.113.80')]),
    'another type': () => answers(5000, 1, 'www.example.org', [a('www.example.org', '203.0.113.80')], DnsType.aaaa),
    'a question': () => udpFrame(back(toResolver), 53, 5000, query(1, 'www.example.org', 1)),
    'another resolver': () =>
      udpFrame({ ...back(toResolver), source: '192.0.2.54' }, 53, 5000, response(1, 'www.example.org', 1, good)),
    'too late': (host) => {
      host.advance(11_000)
      return answers(5000, 1, 'www.example.org', good)
    },
  }
  for (const [what, frame] of Object.entries(wrong)) {
    const { host, passes } = await lab()
    passes('web1', 'out', asks(5000, 1, 'www.example.org'))
    passes('out', 'web1', frame(host))
    assert.equal(passes('web1', 'out', reach('203.0.113.80')), 0, what)
  }
})

test('an answer counts only if it comes from the port that the question went to', async () => {
  const good = [a('www.example.org', '203.0.113.80')]
  const { host, passes, lines } = await lab()
  passes('web1', 'out', asks(5000, 1, 'www.example.org'))
  const forged = udpFrame(
    { ...back(toResolver), sourceMac: '02:00:00:00:00:0b' },
    53,
    5000,
    response(1, 'www.example.org', 1, [a('www.example.org', '203.0.113.66')]),
  )
  await host.addPorts({ name: 'other', mac: '02:00:00:00:00:0b' })
  passes('other', 'web1', forged)
  assert.equal(passes('web1', 'out', reach('203.0.113.66')), 0)
  assert.deepEqual(
    lines()
      .filter(({ action }) => action === 'refuse-pin')
      .map(({ reason }) => reason),
    ['not from where it was asked'],
  )
  passes('out', 'web1', answers(5000, 1, 'www.example.org', good))
  assert.equal(passes('web1', 'out', reach('203.0.113.80')), 1, 'and the true one counts still')
})

test('no answer opens the way to the networks behind, unless the rule says so', async () => {
  const special = ['10.0.0.9', '127.0.0.1', '169.254.169.254', '192.168.1.1', '100.64.0.1', '0.0.0.0', '224.0.0.1']
  const special6 = [
    '::1',
    'fe80::1',
    'fd00::1',
    '::ffff:10.0.0.9',
    '64:ff9b::a9fe:a9fe',
    '2002:7f00:1::1',
    'ff02::1',
    '2001:2::1',
    '5f00::1',
  ]
  const { passes, counters } = await lab()
  for (const [i, address] of [...special, ...special6].entries()) {
    const type = address.includes(':') ? DnsType.aaaa : DnsType.a
    passes('web1', 'out', asks(5000, i, 'www.example.org', type))
    passes('out', 'web1', answers(5000, i, 'www.example.org', [a('www.example.org', address)], type))
    assert.equal(passes('web1', 'out', reach(address)), 0, address)
  }
  assert.equal(counters[FirewallCounter.pinsRefused], special.length + special6.length)
  const egress = [{ domains: ['www.example.org'], protocol: 'tcp', ports: 80, mayResolveTo: ['10.0.0.0/24'] }]
  const { passes: pass } = await lab({}, { egress })
  for (const [i, address] of ['10.0.0.9', '10.0.1.9'].entries()) {
    pass('web1', 'out', asks(5000, i, 'www.example.org'))
    pass('out', 'web1', answers(5000, i, 'www.example.org', [a('www.example.org', address)]))
    assert.equal(pass('web1', 'out', reach(address)), i === 0 ? 1 : 0)
  }
})

test('where only listed names may be asked for, others are not, nor is what cannot be read, nor over TCP', async () => {
  const { host, passes } = await lab({}, { dnsQueries: 'listed' })
  assert.equal(passes('web1', 'out', asks(5000, 1, 'www.example.org')), 1)
  assert.equal(passes('web1', 'out', asks(5000, 2, 'c2VjcmV0.evil.test')), 0)
  assert.equal(passes('web1', 'out', udpFrame(toResolver, 5000, 53, new Uint8Array(20))), 0)
  assert.equal(passes('web1', 'out', tcpFrame(toResolver, 5000, 53)), 0)
  assert.equal(host.dropped('web1', 'firewall: name not listed'), 2)
})

test('a flood of questions, connections or answers of one VM takes nothing from another', async () => {
  const { passes } = await lab({ connections: 64, pins: 64 })
  const second = (port: number): Uint8Array => tcpFrame({ ...toOut({ ...v4, source: '10.0.0.6' }), sourceMac: OTHER }, port, 443)
  assert.equal(passes('web2', 'out', second(4000)), 1)
  for (let port = 1; port < 4000; port++) passes('web1', 'out', tcpFrame(toOut(v4), port, 443))
  const reply = { ...back(toOut({ ...v4, source: '10.0.0.6' })), destinationMac: OTHER }
  assert.equal(passes('out', 'web2', tcpFrame(reply, 443, 4000, { flags: 18 })), 1)
})
