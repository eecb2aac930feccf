import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { asks, back, DB, lab, OUT, toOut, toResolver, VM, v4, v6 } from '../../../test/support/firewall-lab.ts'
import { etherFrame, type FrameAddresses, ipFrame, tcpFrame, udpFrame } from '../../packet/build.ts'
import { dnsNameBytes } from '../../packet/dns.ts'
import { parseEthernet } from '../../packet/ethernet.ts'

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

for (const [family, pair] of Object.entries({ IPv4: v4, IPv6: v6 }))
  test(`over ${family} neither fragments nor ICMP errors carry data past the member that a connection is bound to`, async () => {
    const away = { ...toOut(pair), destinationMac: DB }
    const astray = { ...away, destinationMac: OUT }
    const data = new Uint8Array(1200)
    const parts = (addresses: FrameAddresses, id: number, ...which: readonly number[]): Uint8Array[] => {
      const whole = tcpFrame(addresses, 4000, 5432, { data })
      if (family === 'IPv4') return which.map((part) => fragment(whole, part * 800, part === 0, id))
      const body = whole.subarray(54)
      return which.map((part) => {
        const header = [6, 0, (part * 800) >> 8, ((part * 800) & 0xf8) | (part === 0 ? 1 : 0), 0, 0, 0, id]
        return ipFrame(addresses, 44, Uint8Array.from([...header, ...body.subarray(part * 800, (part + 1) * 800)]))
      })
    }
    const { passes } = await lab()
    assert.equal(passes('web1', 'db', ...parts(away, 7, 0, 1)), 2, 'in one burst')
    assert.equal(passes('web1', 'out', ...parts(astray, 7, 1)), 0, 'a later fragment by the gateway')
    assert.equal(passes('web1', 'out', ...parts(astray, 9, 0, 1)), 0, 'of a datagram of its own')
    assert.equal(passes('web1', 'db', ...parts(away, 7, 1)), 1)
    const type = family === 'IPv4' ? 3 : 1
    const inner = tcpFrame({ ...away, source: away.destination!, destination: away.source! }, 5432, 4000, { data }).subarray(14)
    const error = (addresses: FrameAddresses): Uint8Array =>
      ipFrame(addresses, family === 'IPv4' ? 1 : 58, Uint8Array.from([type, 4, 0, 0, 0, 0, 0, 0, ...inner]))
    assert.equal(passes('web1', 'db', error(away)), 1)
    assert.equal(passes('web1', 'out', error(astray)), 0, 'an error by the gateway')
    const answer = (sourceMac: string): Uint8Array => tcpFrame({ ...back(away), sourceMac }, 5432, 4000, { flags: 18 })
    assert.equal(passes('out', 'web1', answer(OUT)), 0, 'an answer from elsewhere')
    assert.equal(passes('db', 'web1', answer(DB)), 1)
  })

test('an echo lets its answer in and no question, and other messages of ICMP are told apart by type', async () => {
  for (const [pair, number, ask, tell] of [
    [v4, 1, 8, 0],
    [v6, 58, 128, 129],
  ] as const) {
    const { passes } = await lab()
    const away = toOut(pair)
    const message = (addresses: FrameAddresses, type: number): Uint8Array =>
      ipFrame(addresses, number, Uint8Array.of(type, 0, 0, 0, 0, 7, 0, 1))
    assert.equal(passes('web1', 'out', message(away, ask)), 1)
    assert.equal(passes('out', 'web1', message(back(away), ask)), 0, 'a question back')
    assert.equal(passes('out', 'web1', message(back(away), tell)), 1)
    assert.equal(passes('web1', 'out', message(away, number === 1 ? 13 : 139)), 1)
    assert.equal(passes('out', 'web1', message(back(away), number === 1 ? 5 : 138)), 0, 'a redirect, or renumbering')
    assert.equal(passes('out', 'web1', message(back(away), number === 1 ? 14 : 140)), 1)
  }
})

test('packets that are to go on from where they are allowed to go do not pass: source routes of both families', async () => {
  const { passes } = await lab()
  const whole = tcpFrame(toOut(v4), 4000, 443)
  const routed = (option: number): Uint8Array => {
    const options = [option, 7, 4, 203, 0, 113, 1, 0]
    const frame = Uint8Array.from([...whole.subarray(0, 34), ...options, ...whole.subarray(34)])
    frame[14] = 0x47
    frame[17] = frame[17]! + 8
    return frame
  }
  assert.deepEqual(
    [131, 137, 7].map((option) => passes('web1', 'out', routed(option))),
    [0, 0, 1],
  )
  assert.equal(
    passes('web1', 'out', whole, routed(7), routed(7), routed(131), whole),
    4,
    'behind like ones of its connection, too',
  )
  const segment = tcpFrame(toOut(v6), 4000, 443).subarray(54)
  const on = (segmentsLeft: number): Uint8Array =>
    ipFrame(toOut(v6), 43, Uint8Array.from([6, 2, 4, segmentsLeft, 0, 0, 0, 0, ...new Uint8Array(16), ...segment]))
  assert.deepEqual(
    [1, 0].map((left) => passes('web1', 'out', on(left))),
    [0, 1],
  )
})

test('who begins a connection where one has ended is judged by the rules', async () => {
  const { host, passes } = await lab()
  const away = toOut(v4)
  const answer = (flags: number): Uint8Array => tcpFrame(back(away), 443, 4000, { flags })
  passes('web1', 'out', tcpFrame(away, 4000, 443, { flags: 2 }))
  assert.equal(passes('out', 'web1', answer(17)), 1)
  assert.equal(passes('out', 'web1', answer(2)), 0, 'the other side may not begin')
  assert.equal(passes('web1', 'out', tcpFrame(away, 4000, 443, { flags: 2 })), 1)
  assert.equal(passes('out', 'web1', answer(18)), 1)
  host.advance(60_000)
  assert.equal(passes('out', 'web1', answer(16)), 1, 'it is a connection like any other')
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
