import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { ManualClock } from './software/clock.ts'
import type { TcpConnection } from './software/tcp-connection.ts'
import { buildEthernet, EtherType } from './software/wire.ts'
import { SoftwareGuest } from './software-guest.ts'

const ALPHA = { mac: '52:54:00:77:00:01', address: '10.77.0.1' }
const BETA = { mac: '52:54:00:77:00:02', address: '10.77.0.2' }
/** One way across the wire. */
const WIRE_MS = 1

/** A repeatable source of numbers from 0 to 1 (mulberry32). */
function randomFrom(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A guest whose frames are kept. */
function lonely(options: { mac: string; address: string }) {
  const clock = new ManualClock()
  const sent: Buffer[] = []
  const guest = new SoftwareGuest(options, { clock, random: () => 0.5, send: (frame) => sent.push(frame) })
  return { clock, guest, sent }
}

/** Two guests on a wire. `loses` is asked for every frame. */
function pair(loses: (frame: Buffer) => boolean = () => false, seed = 1) {
  const clock = new ManualClock()
  const random = randomFrom(seed)
  const frames: Buffer[] = []
  const wire = (to: () => SoftwareGuest) => (frame: Buffer) => {
    frames.push(frame)
    if (!loses(frame)) clock.after(WIRE_MS, () => to().receive(frame))
  }
  const alpha: SoftwareGuest = new SoftwareGuest(ALPHA, { clock, random, send: wire(() => beta) })
  const beta: SoftwareGuest = new SoftwareGuest(BETA, { clock, random, send: wire(() => alpha) })
  return { clock, alpha, beta, frames }
}

/** Sends `payload` to a service of beta, ends, and collects what comes back until the connection is over or time is up. */
function talk({ clock, alpha }: ReturnType<typeof pair>, port: number, payload: Buffer, limitMs = 600_000) {
  const answer: Buffer[] = []
  let over: { error: string | null } | null = null
  const connection: TcpConnection = alpha.tcp.connect(Buffer.from([10, 77, 0, 2]), port, {
    data: (bytes) => answer.push(bytes),
    end: () => {},
    closed: (error) => {
      over = { error }
    },
  })
  connection.write(payload)
  connection.end()
  for (let at = 0; at < limitMs && over === null; at += 50) clock.advance(50)
  return { answer: Buffer.concat(answer), over: over as { error: string | null } | null }
}

const bytesOf = (length: number, seed: number): Buffer => {
  const random = randomFrom(seed)
  return Buffer.from(Uint8Array.from({ length }, () => Math.floor(random() * 256)))
}

test('an ARP request for the guest is answered, byte for byte', () => {
  const { guest, sent } = lonely(ALPHA)
  const request = 'ffffffffffff' + '525400770002' + '0806' + '0001080006040001' + '5254007700020a4d0002' + '0000000000000a4d0001'
  guest.receive(Buffer.from(request, 'hex'))
  const reply = '525400770002' + '525400770001' + '0806' + '0001080006040002' + '5254007700010a4d0001' + '5254007700020a4d0002'
  assert.deepEqual(
    sent.map((frame) => frame.toString('hex')),
    [reply.padEnd(120, '0')],
  )
})

test('an ARP request for another address is not answered', () => {
  const { guest, sent } = lonely(ALPHA)
  const request = 'ffffffffffff' + '525400770002' + '0806' + '0001080006040001' + '5254007700020a4d0002' + '0000000000000a4d0003'
  guest.receive(Buffer.from(request, 'hex'))
  assert.deepEqual(sent, [])
})

// Requests and answers made with scapy: an implementation that is not ours.
const exchanges: readonly (readonly [what: string, request: string, answer: string])[] = [
  [
    'an ICMP echo request',
    '525400770001525400770002080045000020000300004001663e0a4d00020a4d0001080033310007000161626364',
    '52540077000252540077000108004500002000014000400126400a4d00010a4d000200003b310007000161626364',
  ],
  [
    'a UDP datagram to the echo port',
    '525400770001525400770002080045000021000300004011662d0a4d00020a4d00010fa00007000d97be68656c6c6f',
    '525400770002525400770001080045000021000140004011262f0a4d00010a4d000200070fa0000d97be68656c6c6f',
  ],
  [
    'an IPv6 neighbour solicitation',
    '3333ff77000152540077000286dd6000000000203afffe800000000000000000000000000002ff0200000000000000000001ff7700018700d98900000000fe80000000000000505400fffe7700010101525400770002',
    '52540077000252540077000186dd6000000000203afffe80000000000000505400fffe770001fe800000000000000000000000000002880027ba60000000fe80000000000000505400fffe7700010201525400770001',
  ],
  [
    'an ICMPv6 echo request',
    '52540077000152540077000286dd60000000000c3a40fe800000000000000000000000000002fe80000000000000505400fffe7700018000475b0001000273697821',
    '52540077000252540077000186dd60000000000c3a40fe80000000000000505400fffe770001fe8000000000000000000000000000028100465b0001000273697821',
  ],
  [
    'a TCP SYN to a port where nobody listens',
    '52540077000152540077000208004500002800030000400666310a4d00020a4d00010fa00063000003e800000000500203e883730000',
    '52540077000252540077000108004500002800014000400626330a4d00010a4d000200630fa000000000000003e95014000087480000',
  ],
  [
    'a TCP SYN to the echo port',
    '52540077000152540077000208004500002c000300004006662d0a4d00020a4d00010fa00007000003e800000000600203e86ddf0000020403e8',
    '52540077000252540077000108004500002c000140004006262f0a4d00010a4d000200070fa080000000000003e96012ffffefe90000020405b4',
  ],
]

/** What a guest that knows its neighbour sends for one frame. */
function answersTo(frame: Buffer): string[] {
  const { guest, sent } = lonely(ALPHA)
  const introduction = 'ffffffffffff5254007700020806' + '0001080006040001' + '5254007700020a4d0002' + '0000000000000a4d0001'
  guest.receive(Buffer.from(introduction, 'hex'))
  guest.receive(frame)
  return sent.slice(1).map((answer) => answer.toString('hex'))
}

for (const [what, request, answer] of exchanges) {
  test(`${what} is answered, byte for byte`, () => {
    assert.deepEqual(answersTo(Buffer.from(request, 'hex')), [answer.padEnd(120, '0')])
  })

  test(`${what} with a bit turned over, or cut short, is not answered as if it were whole`, () => {
    const whole = Buffer.from(request, 'hex')
    for (let at = 14; at < whole.length; at++) {
      const bent = Buffer.from(whole)
      bent[at] ^= 1
      // A hop limit, a flow label, an Ethernet padding: what no checksum covers may differ. All else must make the packet void.
      if (answersTo(bent).includes(answer.padEnd(120, '0'))) assert.ok(isUncovered(whole, at), `byte ${at}`)
      assert.deepEqual(answersTo(whole.subarray(0, at)), [], `cut at ${at}`)
    }
  })
}

/** Bytes of an IPv6 header that no checksum covers. */
const isUncovered = (frame: Buffer, at: number): boolean => frame.readUInt16BE(12) === EtherType.ipv6 && at >= 14 && at < 22

test('guests on one wire ping each other, and tell the round trip', async () => {
  const { clock, alpha } = pair()
  const first = alpha.ping('10.77.0.2', { timeoutMs: 1_000 })
  clock.advance(100)
  assert.equal(await first, 4 * WIRE_MS, 'ARP and echo')
  const second = alpha.ping('10.77.0.2', { timeoutMs: 1_000 })
  clock.advance(100)
  assert.equal(await second, 2 * WIRE_MS, 'echo alone')
})

test('a ping that nobody answers ends in time, after five questions for the address', async () => {
  const { clock, guest, sent } = lonely(ALPHA)
  const ping = guest.ping('10.77.0.9', { timeoutMs: 5_000 })
  clock.advance(20_000)
  assert.equal(await ping, null)
  assert.equal(sent.length, 5)
})

test('a frame for another MAC address is passed over', () => {
  const frame = Buffer.from(exchanges[0][1], 'hex')
  frame[5] = 9
  assert.deepEqual(answersTo(frame), [])
})

test('the echo service gives back what it got, and both sides end in order', () => {
  const wire = pair()
  const payload = bytesOf(100_000, 7)
  const { answer, over } = talk(wire, 7, payload)
  assert.deepEqual(over, { error: null })
  assert.ok(answer.equals(payload))
  wire.clock.advance(5_000)
  assert.equal(wire.alpha.tcp.connectionCount + wire.beta.tcp.connectionCount, 0)
})

test('the receive service answers length and hash of what was sent', () => {
  const payload = bytesOf(300_000, 8)
  const { answer, over } = talk(pair(), 5001, payload)
  const [bytes, seconds, hash] = answer.toString().trim().split(' ')
  assert.equal(over?.error, null)
  assert.equal(bytes, '300000')
  assert.ok(Number(seconds) > 0)
  assert.equal(hash, createHash('sha256').update(payload).digest('hex'))
})

test('a transfer over a wire that loses frames is whole', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 31 }), fc.integer({ min: 0, max: 20 }), (seed, lossPercent) => {
      const random = randomFrom(seed)
      const payload = bytesOf(60_000, seed)
      const { answer, over } = talk(
        pair(() => random() * 100 < lossPercent, seed),
        7,
        payload,
      )
      assert.equal(over?.error, null)
      assert.ok(answer.equals(payload))
    }),
    { numRuns: 30, seed: 20_26 },
  )
})

test('a lost segment is sent again without waiting for the timer', () => {
  let data = 0
  const wire = pair((frame) => frame.length > 1000 && ++data === 12)
  const before = wire.clock.nowMs()
  const { over } = talk(wire, 9, bytesOf(200_000, 9))
  assert.equal(over?.error, null)
  // The whole transfer, with the closing side's wait of one second, takes less than the first timeout more.
  assert.ok(wire.clock.nowMs() - before < 1_000 + 200)
})

test('a peer that vanishes ends the connection with a reason', () => {
  let gone = false
  const wire = pair(() => gone)
  const connection = { error: undefined as string | null | undefined }
  const sender = wire.alpha.tcp.connect(Buffer.from([10, 77, 0, 2]), 9, {
    data: () => {},
    end: () => {},
    closed: (error) => {
      connection.error = error
    },
  })
  wire.clock.advance(100)
  gone = true
  sender.write(Buffer.from('anyone there?'))
  wire.clock.advance(300_000)
  assert.equal(connection.error, 'the peer does not answer')
  assert.equal(wire.alpha.tcp.connectionCount + wire.beta.tcp.connectionCount, 0)
})

test('a connection to a port where nobody listens is refused', () => {
  const { over } = talk(pair(), 81, Buffer.from('hello'))
  assert.deepEqual(over, { error: 'the peer refused the connection' })
})

test('a receiver without room stops the sender, and room lets it go on', () => {
  const wire = pair()
  let room = 0
  const got: Buffer[] = []
  wire.beta.tcp.listen(6, (connection) => ({
    data: (bytes) => got.push(bytes),
    end: () => connection().end(),
    closed: () => {},
    room: () => room,
  }))
  const payload = bytesOf(50_000, 3)
  let closed: string | null | undefined
  const sender = wire.alpha.tcp.connect(Buffer.from([10, 77, 0, 2]), 6, {
    data: () => {},
    end: () => {},
    closed: (error) => {
      closed = error
    },
  })
  sender.write(payload)
  sender.end()
  wire.clock.advance(60_000)
  assert.equal(Buffer.concat(got).length, 0)
  room = 20_000
  wire.clock.advance(60_000)
  assert.ok(Buffer.concat(got).equals(payload))
  assert.equal(closed, null)
})

test('a flood of connections is bounded', () => {
  const { guest, sent } = lonely(ALPHA)
  guest.receive(Buffer.from('ffffffffffff525400770002080600010800060400015254007700020a4d00020000000000000a4d0001', 'hex'))
  const beta = new SoftwareGuest(BETA, { clock: new ManualClock(), random: randomFrom(1), send: (frame) => guest.receive(frame) })
  beta.receive(Buffer.from('525400770002525400770001080600010800060400025254007700010a4d00015254007700020a4d0002', 'hex'))
  assert.throws(() => {
    for (let i = 0; i < 1_000; i++)
      beta.tcp.connect(Buffer.from([10, 77, 0, 1]), 7, { data: () => {}, end: () => {}, closed: () => {} })
  }, /at most 64/)
  assert.ok(guest.tcp.connectionCount <= 64)
  assert.ok(sent.length < 200)
})

test('no frame makes a guest throw', () => {
  const { guest } = lonely(ALPHA)
  const kinds = exchanges.map(([, request]) => Buffer.from(request, 'hex'))
  fc.assert(
    fc.property(
      fc.constantFrom(...kinds),
      fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { maxLength: 4 }),
      fc.uint8Array({ maxLength: 40 }),
      (kind, changes, tail) => {
        const frame = Buffer.concat([kind, tail])
        for (const [at, value] of changes) frame[at % frame.length] = value
        guest.receive(frame)
        guest.receive(buildEthernet(kind.subarray(0, 6), kind.subarray(6, 12), EtherType.ipv4, tail))
      },
    ),
    { numRuns: 500, seed: 20_26 },
  )
})
