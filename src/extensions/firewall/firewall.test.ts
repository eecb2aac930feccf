import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ExtensionHost } from '../../../test/support/extension-host.ts'
import {
  arpRequestFrame,
  BROADCAST_MAC,
  echoFrame,
  etherFrame,
  type FrameAddresses,
  ipBytes,
  ipFrame,
  tcpFrame,
  udpFrame,
} from '../../packet/build.ts'
import { DnsType, dnsNameBytes } from '../../packet/dns.ts'
import { parseEthernet } from '../../packet/ethernet.ts'
import firewall, { FirewallCounter } from './index.ts'

const VM = '02:00:00:00:00:01'
const OTHER = '02:00:00:00:00:02'
const DB = '02:00:00:00:00:03'
const OUT = '02:00:00:00:00:09'
const resolvers = ['192.0.2.53', '2001:db8::53']
const rules = [
  { name: 'mirror', to: ['198.51.100.0/24', '2001:db8:1::/48'], protocol: 'tcp', ports: 443 },
  { name: 'names', domains: ['www.example.org', '*.deb.example.org'], protocol: 'tcp', ports: [80] },
  { name: 'pings', to: ['198.51.100.0/24', '2001:db8:1::/48'], protocol: 'icmp' },
  { name: 'data', groups: ['db'], protocol: 'tcp', ports: 5432 },
]
const groups = [
  { name: 'web', ports: ['web*'], egress: rules, ingress: [{ name: 'ssh', from: 'any', protocol: 'tcp', ports: 22 }] },
  { name: 'db', ports: ['db'] },
]

type Options = Readonly<Record<string, unknown>>
async function lab(options: Options = {}, group: Options = {}) {
  const host = new ExtensionHost([
    { definition: firewall, options: { resolvers, groups: [{ ...groups[0], ...group }, groups[1]], ...options } },
  ])
  await host.addPorts({ name: 'web1', mac: VM }, { name: 'web2', mac: OTHER }, { name: 'db', mac: DB }, { name: 'out', mac: OUT })
  const { counters, module, sinks } = host.modules[0]!
  const passes = (from: string, to: string, ...frames: Uint8Array[]): number => {
    host.delivered(to)
    host.send(from, ...frames)
    return host.delivered(to).length
  }
  const lines = (): Record<string, unknown>[] =>
    new TextDecoder()
      .decode(sinks.get('audit')!.contents())
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  return { host, counters, module, passes, lines }
}

const v4 = { source: '10.0.0.5', destination: '198.51.100.7' }
const v6 = { source: '2001:db8:5::5', destination: '2001:db8:1::7' }
const toOut = (pair: { source: string; destination: string }): FrameAddresses => ({ sourceMac: VM, destinationMac: OUT, ...pair })
const back = ({ source, destination, sourceMac, destinationMac }: FrameAddresses): FrameAddresses => ({
  source: destination,
  destination: source,
  sourceMac: destinationMac,
  destinationMac: sourceMac,
})

for (const [family, pair] of Object.entries({ IPv4: v4, IPv6: v6 })) {
  const away = toOut(pair)
  test(`over ${family} a VM reaches what its rules name, gets the answers, and nothing else passes`, async () => {
    const { host, passes, counters } = await lab()
    assert.equal(passes('out', 'web1', tcpFrame(back(away), 443, 4000, { flags: 18 })), 0, 'an answer to nothing')
    assert.equal(passes('web1', 'out', tcpFrame(away, 4000, 443)), 1)
    assert.equal(passes('out', 'web1', tcpFrame(back(away), 443, 4000, { flags: 18 })), 1)
    assert.equal(passes('out', 'web1', tcpFrame(back(away), 443, 4001, { flags: 18 })), 0, 'another port')
    assert.equal(passes('web1', 'out', tcpFrame(away, 4000, 444)), 0, 'a port without a rule')
    assert.equal(passes('web1', 'out', udpFrame(away, 4000, 443)), 0, 'a protocol without a rule')
    const elsewhere = { ...away, destination: family === 'IPv4' ? '203.0.113.1' : '2001:db8:2::1' }
    assert.equal(passes('web1', 'out', tcpFrame(elsewhere, 4000, 443)), 0)
    assert.equal(passes('out', 'web1', tcpFrame(back(away), 5000, 22)), 1, 'an ingress rule')
    assert.equal(passes('web1', 'out', tcpFrame(away, 22, 5000, { flags: 18 })), 1, 'and its answers')
    assert.equal(passes('web1', 'out', echoFrame(away, false, 7, 1)), 1)
    assert.equal(passes('out', 'web1', echoFrame(back(away), true, 7, 1)), 1)
    assert.equal(passes('out', 'web1', echoFrame(back(away), true, 8, 1)), 0)
    assert.equal(host.dropped('web1', 'firewall'), 3 + 3)
    assert.equal(counters[FirewallCounter.denied], 6)
  })

  test(`over ${family} members of groups reach each other as far as rules say, whatever else has the address`, async () => {
    const { passes } = await lab()
    const there = { ...away, destinationMac: DB, destination: family === 'IPv4' ? '10.0.0.9' : '2001:db8:5::9' }
    assert.equal(passes('web1', 'db', tcpFrame(there, 4000, 5433)), 0)
    assert.equal(passes('web1', 'out', tcpFrame({ ...there, destinationMac: OUT }, 4000, 5432)), 0, 'not a member')
    assert.equal(passes('web1', 'db', tcpFrame(there, 4000, 5432)), 1)
    assert.equal(passes('db', 'web1', tcpFrame(back(there), 5432, 4000, { flags: 18 })), 1)
    assert.equal(passes('web1', 'out', tcpFrame({ ...there, destinationMac: OUT }, 4000, 5432)), 0, 'bound to the member')
    assert.equal(passes('db', 'web1', tcpFrame(back(there), 5432, 22)), 0, 'db may not begin')
  })
}

test('a group without rules neither begins nor is reached; what is in no group is left alone', async () => {
  const { passes } = await lab()
  const fromDb = { ...toOut(v4), sourceMac: DB }
  assert.equal(passes('db', 'out', tcpFrame(fromDb, 1, 443)), 0)
  assert.equal(passes('out', 'db', tcpFrame(back(fromDb), 1, 443)), 0)
  assert.equal(passes('out', 'out', tcpFrame(back(fromDb), 1, 443)), 0)
  const { host, passes: pass } = await lab()
  await host.addPorts({ name: 'free', mac: '02:00:00:00:00:0a' })
  assert.equal(pass('free', 'out', udpFrame({ ...toOut(v4), sourceMac: '02:00:00:00:00:0a' }, 1, 9)), 1)
})

test('ARP, neighbour discovery and DHCP pass, in no other guise', async () => {
  const { passes } = await lab()
  const solicit = (destination: string, hops: number, bytes = 32): Uint8Array => {
    const body = new Uint8Array(bytes)
    body[0] = 135
    return ipFrame({ ...toOut({ source: 'fe80::1', destination }), hops }, 58, body, 2)
  }
  const all = { ...toOut({ source: '0.0.0.0', destination: '255.255.255.255' }), destinationMac: BROADCAST_MAC }
  assert.equal(passes('web1', 'out', arpRequestFrame(VM, '10.0.0.5', '10.0.0.1')), 1)
  assert.equal(passes('web1', 'out', udpFrame(all, 68, 67, new Uint8Array(240))), 1)
  assert.equal(passes('web1', 'out', udpFrame({ ...all, destination: '203.0.113.9' }, 68, 67, new Uint8Array(240))), 0)
  assert.equal(passes('out', 'web1', udpFrame(back(toOut(v4)), 67, 68, new Uint8Array(240))), 1)
  assert.equal(passes('web1', 'out', solicit('ff02::1:ff00:1', 255)), 1)
  assert.equal(passes('web1', 'out', solicit('2001:db8:9::1', 255)), 1)
  assert.equal(passes('web1', 'out', solicit('2001:db8:9::1', 64)), 0, 'a forged one')
  assert.equal(passes('web1', 'out', solicit('2001:db8:9::1', 255, 200)), 0, 'with a load')
  assert.equal(passes('web1', 'out', etherFrame(OUT, VM, 0x88b5, new Uint8Array(60))), 0)
  const advert = new Uint8Array(16)
  advert[0] = 134
  assert.equal(
    passes('web1', 'out', ipFrame({ ...toOut({ source: 'fe80::1', destination: 'ff02::1' }), hops: 255 }, 58, advert, 2)),
    0,
  )
})

// ---- names ----------------------------------------------------------------------------------------------------------------------

const query = (id: number, name: string, type: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...dnsNameBytes(name), 0, type, 0, 1])
interface Answer {
  readonly name: string
  readonly type: number
  readonly ttl?: number
  readonly data: ArrayLike<number>
}
const response = (id: number, name: string, type: number, answers: readonly Answer[]): Uint8Array<ArrayBuffer> => {
  const asked = query(id, name, type)
  asked.set([0x81, 0x80], 2)
  asked[7] = answers.length
  const records = answers.flatMap((one) => [
    ...dnsNameBytes(one.name),
    ...[0, one.type, 0, 1, 0, 0, (one.ttl ?? 60) >> 8, (one.ttl ?? 60) & 255, 0, one.data.length],
    ...Array.from(one.data),
  ])
  return Uint8Array.from([...asked, ...records])
}
const toResolver = toOut({ source: v4.source, destination: resolvers[0]! })
const asks = (port: number, id: number, name: string, type: number = DnsType.a): Uint8Array =>
  udpFrame(toResolver, port, 53, query(id, name, type))
const answers = (port: number, id: number, name: string, list: readonly Answer[], type: number = DnsType.a): Uint8Array =>
  udpFrame(back(toResolver), 53, port, response(id, name, type, list))
const a = (name: string, address: string, ttl?: number): Answer => ({
  name,
  type: address.includes(':') ? DnsType.aaaa : DnsType.a,
  data: ipBytes(address),
  ...(ttl === undefined ? {} : { ttl }),
})
const cname = (name: string, target: string, ttl?: number): Answer => ({
  name,
  type: DnsType.cname,
  data: dnsNameBytes(target),
  ...(ttl === undefined ? {} : { ttl }),
})
const reach = (address: string, port = 80): Uint8Array =>
  tcpFrame(toOut({ source: address.includes(':') ? v6.source : v4.source, destination: address }), 4000, port)

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

test('no answer opens the way to the networks behind, unless the rule says so', async () => {
  const special = ['10.0.0.9', '127.0.0.1', '169.254.169.254', '192.168.1.1', '100.64.0.1', '0.0.0.0', '224.0.0.1']
  const special6 = ['::1', 'fe80::1', 'fd00::1', '::ffff:10.0.0.9', '64:ff9b::a9fe:a9fe', '2002:7f00:1::1', 'ff02::1']
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

// ---- what can't be read, fragments, errors ----------------------------------------------------------------------------------------

const fragment = (frame: Uint8Array, offset: number, more: boolean, id = 7): Uint8Array => {
  const copy = frame.slice()
  copy.set([id >> 8, id & 255, ((more ? 0x2000 : 0) | (offset >> 3)) >> 8, (offset >> 3) & 255], 18)
  return copy
}

test('later fragments pass behind a first one that was allowed, and not without one', async () => {
  const { host, passes } = await lab()
  const frame = tcpFrame(toOut(v4), 4000, 443, { data: new Uint8Array(64) })
  assert.equal(passes('web1', 'out', fragment(frame, 80, false)), 0)
  assert.equal(passes('web1', 'out', fragment(frame, 0, true), fragment(frame, 80, false)), 2)
  assert.equal(passes('web1', 'out', fragment(frame, 80, false, 8)), 0, 'another datagram')
  assert.equal(host.dropped('web1', 'firewall: fragment'), 2)
})

test('ports behind the end of the packet, and headers too long to read, are not believed', async () => {
  const { host, passes } = await lab()
  const short = tcpFrame(toOut(v4), 4000, 443)
  short.set([0, 22], 16)
  assert.equal(passes('web1', 'out', short), 0)
  const options = new Uint8Array(8 * 12 + 20)
  options.set([6, 11], 0)
  assert.equal(passes('web1', 'out', ipFrame(toOut(v6), 60, options)), 0)
  assert.equal(host.dropped('web1', 'firewall: unreadable headers'), 2)
})

test('an ICMP error passes if it tells of a known connection', async () => {
  for (const pair of [v4, v6]) {
    const { passes } = await lab()
    const away = toOut(pair)
    const sent = tcpFrame(away, 4000, 443)
    const error = (inner: Uint8Array): Uint8Array => {
      const body = Uint8Array.from([pair === v4 ? 3 : 2, pair === v4 ? 4 : 0, 0, 0, 0, 0, 5, 0, ...inner.subarray(14)])
      const router = { ...back(away), source: pair === v4 ? '203.0.113.1' : '2001:db8:ff::1' }
      return ipFrame(router, pair === v4 ? 1 : 58, body)
    }
    assert.equal(passes('out', 'web1', error(sent)), 0)
    passes('web1', 'out', sent)
    assert.equal(passes('out', 'web1', error(sent)), 1)
    assert.equal(passes('out', 'web1', error(tcpFrame(away, 4001, 443))), 0)
  }
})

test('in mode audit everything passes, and what would not is told once a flow', async () => {
  const { passes, lines, counters } = await lab({ mode: 'audit' })
  const far = toOut({ source: v4.source, destination: '203.0.113.1' })
  assert.equal(passes('web1', 'out', tcpFrame(far, 4000, 25), tcpFrame(far, 4000, 25)), 2)
  assert.equal(passes('out', 'web1', tcpFrame(back(far), 25, 4000, { flags: 18 })), 1)
  assert.equal(counters[FirewallCounter.wouldDeny], 1)
  const { time, ...line } = lines()[0]!
  assert.match(String(time), /^2023-11-14T22:13:20\.123Z$/)
  assert.deepEqual(line, {
    action: 'would-deny',
    direction: 'egress',
    port: 'web1',
    group: 'web',
    reason: 'no rule',
    protocol: 'tcp',
    source: '10.0.0.5',
    destination: '203.0.113.1',
    sourcePort: 4000,
    destinationPort: 25,
    packets: 1,
  })
})

test('the log has a line for each kind of decision, not for each packet, and never more than it may', async () => {
  const { host, passes, lines } = await lab({ audit: { perSecond: 5, repeatSeconds: 10 } })
  const to = (port: number): Uint8Array => tcpFrame(toOut({ source: v4.source, destination: '203.0.113.1' }), 4000, port)
  for (let n = 0; n < 50; n++) passes('web1', 'out', to(25))
  assert.equal(lines().length, 1)
  host.advance(10_000)
  passes('web1', 'out', to(25))
  assert.equal(lines()[1]!.packets, 50)
  for (let port = 100; port < 200; port++) passes('web1', 'out', to(port))
  assert.equal(lines().length, 6)
  host.advance(60_000)
  passes('web1', 'out', to(300))
  assert.equal(lines().at(-1)!.suppressed, 96)
})

test('how many connections each rule allowed is told', async () => {
  const { host, passes, lines } = await lab()
  passes('web1', 'out', tcpFrame(toOut(v4), 1, 443), tcpFrame(toOut(v4), 2, 443), tcpFrame(toOut(v4), 2, 443))
  host.advance(60_000)
  const told = lines().find(({ action }) => action === 'rules') as { connections: Record<string, number> }
  assert.equal(told.connections.mirror, 2)
  assert.equal(told.connections.pings, 0)
})

test('whatever a VM sends, and whatever a resolver answers, nothing throws and nothing unnamed is reached', async () => {
  const { host, module } = await lab()
  const targets = fc.constantFrom('203.0.113.7', '10.9.9.9')
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), targets, fc.boolean(), (bytes, destination, isAnswer) => {
      host.send('web1', asks(5000, 3, 'www.example.org'))
      const answer = Uint8Array.from([
        0,
        3,
        0x81,
        0x80,
        0,
        1,
        0,
        4,
        0,
        0,
        0,
        0,
        ...dnsNameBytes('www.example.org'),
        0,
        1,
        0,
        1,
        ...bytes,
      ])
      host.send('out', udpFrame(back(toResolver), 53, 5000, isAnswer ? answer : bytes))
      host.delivered('out')
      host.send('web1', udpFrame(toOut({ source: v4.source, destination }), 4000, 9, bytes), etherFrame(OUT, VM, 0x86dd, bytes))
      for (const frame of host.delivered('out')) assert.notEqual(parseEthernet(frame)!.etherType, 0x0800)
      host.delivered('web1')
    }),
    { numRuns: 300 },
  )
  assert.equal(module.state, 'running')
})
