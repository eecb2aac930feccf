import assert from 'node:assert/strict'
import { test } from 'node:test'
import { A, asks, lab, SERVER } from '../../../test/support/dhcp-lab.ts'
import { arpRequestFrame, udpFrame } from '../../packet/build.ts'
import { DnsType } from '../../packet/dns.ts'
import { LabCounter } from './lab-counters.ts'
import { parseDhcpDnsOptions } from './options.ts'

const RESOLVER = '02:00:00:00:00:53'
const name = [7, ...Buffer.from('example'), 3, ...Buffer.from('org'), 0, 0, 1, 0, 1]
const question = Uint8Array.from([0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, ...name, 0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0])
const toDns = (from: number, data = question): Uint8Array =>
  udpFrame(
    { sourceMac: A, destinationMac: SERVER, source: '10.77.0.100', destination: '10.77.0.1' },
    from,
    53,
    Uint8Array.from(data),
  )
const word = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!

// alpha asks, the resolver is behind port many.
async function withResolver(upstream: readonly string[] = ['10.77.0.53']) {
  const one = await lab({ upstream, ipv6: undefined })
  const { host, take } = one
  host.advance(10_000)
  const request = take('many').find((frame) => word(frame, 12) === 0x0806)
  host.send('many', arpRequestFrame(RESOLVER, upstream[0]!, '10.77.0.1'))
  take('many')
  take('alpha')
  const answers = (
    asked: Uint8Array,
    { id = word(asked, 42), port = word(asked, 34), from = upstream[0]!, data = question } = {},
  ) => {
    const pair = { sourceMac: RESOLVER, destinationMac: SERVER, source: from, destination: '10.77.0.1' }
    host.send('many', udpFrame(pair, 53, port, Uint8Array.from([id >> 8, id & 255, 0x81, 0x80, ...data.subarray(4)])))
    return take('alpha')
  }
  const passes = (from = 4000, data = question): Uint8Array | undefined => {
    host.send('alpha', toDns(from, data))
    return take('many').find((frame) => word(frame, 12) === 0x0800)
  }
  return { ...one, request, answers, passes }
}

test('a question about names of others goes to a resolver and its answer to who asked, once', async () => {
  const { request, passes, answers, counters } = await withResolver()
  assert.ok(request, 'it has asked who has the address of the resolver')
  const asked = passes()!
  assert.deepEqual([...asked.subarray(0, 6)], [2, 0, 0, 0, 0, 0x53])
  assert.deepEqual([...asked.subarray(30, 34)], [10, 77, 0, 53])
  assert.notEqual(word(asked, 34), 4000)
  assert.equal(word(asked, 42 + 12 + name.length + 3), 1232, 'no answer that would come in fragments')
  const [answer] = answers(asked)
  assert.deepEqual([word(answer!, 34), word(answer!, 36), word(answer!, 42)], [53, 4000, 9])
  assert.deepEqual([...answer!.subarray(26, 34)], [10, 77, 0, 1, 10, 77, 0, 100])
  assert.deepEqual(answers(asked), [], 'the same answer again')
  assert.deepEqual([counters[LabCounter.forwarded], counters[LabCounter.returned]], [1, 1])
})

test('an answer that nobody asked for is not handed on: of another address, number, port or question', async () => {
  const { passes, answers } = await withResolver()
  const asked = passes()!
  assert.deepEqual(answers(asked, { from: '10.77.0.54' }), [])
  assert.deepEqual(answers(asked, { id: word(asked, 42) ^ 1 }), [])
  assert.deepEqual(answers(asked, { port: word(asked, 34) ^ 1 }), [])
  const other = question.slice()
  other[13] = 0x66
  assert.deepEqual(answers(asked, { data: other }), [])
  const large = question.slice()
  large[13] = 0x45 // E: letters may come back in another case
  assert.equal(answers(asked, { data: large }).length, 1)
})

test('own names are answered here; without a way to the resolver who asks is told so at once', async () => {
  const { passes, ...one } = await withResolver()
  assert.equal(asks(one, 'gateway.lab.test', DnsType.a)?.code, 0)
  assert.equal(asks(one, 'nobody.lab.test', DnsType.a)?.code, 3)
  assert.equal(asks(one, '1.0.77.10.in-addr.arpa', DnsType.ptr)?.code, 0)
  one.host.advance(70_000)
  one.take('many')
  assert.equal(passes(), undefined)
  const [failure] = one.take('alpha').filter((frame) => word(frame, 34) === 53)
  assert.equal(failure![42 + 3]! & 15, 2)
})

test('a guest whose questions nobody answers has a share of those that wait; then the next resolver is asked', async () => {
  const { passes, host, take } = await withResolver(['10.77.0.53', '10.77.0.54'])
  host.send('many', arpRequestFrame(RESOLVER, '10.77.0.54', '10.77.0.1'))
  let passed = 0
  for (let n = 0; n < 80; n++) if (passes(5000 + n)) passed++
  assert.equal(passed, 64)
  take('alpha')
  host.advance(6000)
  assert.ok(passes(), 'they are over')
  const next = [passes(6001)!, passes(6002)!].map((frame) => frame[33])
  assert.ok(next.includes(54) || next.includes(53))
})

test('a resolver beyond the network is reached by the router, and without one it is refused', async () => {
  const { host, take, passes } = await withResolver(['192.0.2.53'])
  assert.equal(passes(), undefined, 'the router has not told where it is')
  host.send('many', arpRequestFrame('02:00:00:00:00:fe', '10.77.0.254', '10.77.0.1'))
  take('many')
  const asked = passes(4001)!
  assert.deepEqual([...asked.subarray(0, 6)], [2, 0, 0, 0, 0, 0xfe])
  assert.deepEqual([...asked.subarray(30, 34)], [192, 0, 2, 53])
  const alone = { ipv4: { address: '10.77.0.1/24' } }
  assert.throws(
    () => parseDhcpDnsOptions({ ...alone, upstream: ['192.0.2.53'] }),
    /upstream\[0\]: 192\.0\.2\.53 is in none of its networks/,
  )
  assert.throws(() => parseDhcpDnsOptions({ ...alone, upstream: ['10.77.0.1'] }), /is its own address/)
})

test('a question over IPv6 is passed on over IPv4', async () => {
  const one = await lab({ upstream: ['10.77.0.53'] })
  one.host.send('many', arpRequestFrame(RESOLVER, '10.77.0.53', '10.77.0.1'))
  one.take('many')
  const pair = { sourceMac: A, destinationMac: SERVER, source: 'fd77::99', destination: 'fd77::1' }
  one.host.send('alpha', udpFrame(pair, 4000, 53, question))
  const asked = one.take('many').find((frame) => word(frame, 12) === 0x0800)!
  const back = { sourceMac: RESOLVER, destinationMac: SERVER, source: '10.77.0.53', destination: '10.77.0.1' }
  one.take('alpha')
  one.host.send(
    'many',
    udpFrame(back, 53, word(asked, 34), Uint8Array.from([...asked.subarray(42, 44), 0x81, 0x80, ...question.subarray(4)])),
  )
  const [answer] = one.take('alpha')
  assert.deepEqual([word(answer!, 12), word(answer!, 56), word(answer!, 62)], [0x86dd, 4000, 9])
})
