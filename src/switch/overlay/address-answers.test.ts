import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatMac, parseIpv4, parseIpv6, parseMac } from '../../packet/addresses.ts'
import { parseArp, writeArp } from '../../packet/arp.ts'
import { put16 } from '../../packet/bytes.ts'
import { transportChecksum } from '../../packet/checksum.ts'
import { parseIpv6Header, writeIpv6Header } from '../../packet/ipv6.ts'
import { AddressAnswers, ANSWER_BYTES_MAX, KnownAs, NO_QUESTION, TOO_MANY_QUESTIONS } from './address-answers.ts'

const VSID = 5001
const PORT = 3
const asker = parseMac('02:00:00:00:00:01')
const other = parseMac('02:00:00:00:00:02')
const broadcast = parseMac('ff:ff:ff:ff:ff:ff')
const known = new Map<string, { mac: Uint8Array; as: 1 | 2 }>([
  [`${VSID}/0a000002`, { mac: other, as: 1 }],
  [`${VSID}/0a000001`, { mac: asker, as: 1 }],
  [`${VSID}/fd000000000000000000000000000002`, { mac: other, as: 1 }],
  [`${VSID}/fd0000000000000000000000000000fe`, { mac: other, as: 2 }],
])

function makeAnswers(limits: { perSecond?: number; burst?: number } = {}) {
  const clock = { ms: 0 }
  const addresses = {
    stationOf(vsid: number, bytes: Uint8Array, at: number, length: 4 | 16, mac: Uint8Array, macAt: number): KnownAs {
      const found = known.get(`${vsid}/${Buffer.from(bytes.subarray(at, at + length)).toString('hex')}`)
      if (found === undefined) return KnownAs.nobody
      mac.set(found.mac, macAt)
      return found.as
    },
  }
  return { clock, answers: new AddressAnswers({ ports: 8, ...limits }, { addresses, nowMs: () => clock.ms }) }
}

interface Question {
  readonly to?: Uint8Array
  readonly operation?: number
  readonly senderIp?: string
  readonly senderMac?: Uint8Array
  readonly target?: string
}

function request(question: Question = {}): Uint8Array {
  const { to = broadcast, operation = 1, senderIp = '10.0.0.1', senderMac = asker, target = '10.0.0.2' } = question
  const frame = new Uint8Array(60)
  frame.set(to, 0)
  frame.set(asker, 6)
  put16(frame, 12, 0x0806)
  const arp = {
    operation,
    senderMac,
    senderIpv4: parseIpv4(senderIp),
    targetMac: new Uint8Array(6),
    targetIpv4: parseIpv4(target),
  }
  writeArp(frame, 14, arp)
  return frame
}

interface Solicitation {
  readonly source?: string
  readonly target?: string
  readonly hops?: number
  readonly destination?: string
  readonly linkAddress?: Uint8Array
  readonly edit?: (frame: Uint8Array) => void
}

function solicitation(how: Solicitation = {}): Uint8Array {
  const { source = 'fd00::1', target = 'fd00::2', hops = 255, linkAddress = asker, edit } = how
  const wanted = parseIpv6(target)
  const group = parseIpv6('ff02::1:ff00:0')
  group.set(wanted.subarray(13), 13)
  const destination = how.destination === undefined ? group : parseIpv6(how.destination)
  const frame = new Uint8Array(86)
  frame.set([0x33, 0x33, ...destination.subarray(12)], 0)
  frame.set(asker, 6)
  put16(frame, 12, 0x86dd)
  const header = { trafficClass: 0, flowLabel: 0, payloadLength: 32, nextHeader: 58, hopLimit: hops }
  writeIpv6Header(frame, 14, { ...header, source: parseIpv6(source), destination })
  frame[54] = 135
  frame.set(wanted, 62)
  frame.set([1, 1], 78)
  frame.set(linkAddress, 80)
  put16(frame, 56, transportChecksum(frame, 14, 58, 54, 86))
  edit?.(frame)
  return frame
}

function ask(frame: Uint8Array, { answers } = makeAnswers(), vsid = VSID): { length: number; out: Uint8Array } {
  const out = new Uint8Array(ANSWER_BYTES_MAX)
  return { length: answers.answer(frame, 0, frame.length, vsid, PORT, out, 0), out }
}

test('an ARP request about a station of a record is answered with its address', () => {
  const { length, out } = ask(request())
  assert.equal(length, 42)
  assert.equal(formatMac(out, 0), '02:00:00:00:00:01')
  assert.equal(formatMac(out, 6), '02:00:00:00:00:02')
  const expected = { operation: 2, senderMac: other, senderIpv4: parseIpv4('10.0.0.2'), targetMac: asker }
  assert.deepEqual(parseArp(out, 14, length), { ...expected, targetIpv4: parseIpv4('10.0.0.1') })
})

test('a neighbour solicitation is answered with a solicited advertisement whose checksum is right', () => {
  const { length, out } = ask(solicitation())
  assert.equal(length, 86)
  const header = parseIpv6Header(out, 14, length)
  assert.deepEqual(header?.source, parseIpv6('fd00::2'))
  assert.deepEqual(header?.destination, parseIpv6('fd00::1'))
  assert.equal(header?.hopLimit, 255)
  assert.equal(transportChecksum(out, 14, 58, 54, length), 0)
  assert.deepEqual([...out.subarray(54, 56)], [136, 0])
  assert.equal(out[58], 0x60, 'solicited, override, no router')
  assert.equal(formatMac(out, 80), '02:00:00:00:00:02')
})

test('a router is told as one: a host that heard otherwise would forget its default route', () => {
  const { length, out } = ask(solicitation({ target: 'fd00::fe' }))
  assert.equal(length, 86)
  assert.equal(out[58], 0xe0)
})

test('a question in another virtual subnet, or about an address that no record has, goes on', () => {
  assert.equal(ask(request(), makeAnswers(), VSID + 1).length, NO_QUESTION)
  assert.equal(ask(solicitation(), makeAnswers(), VSID + 1).length, NO_QUESTION)
  assert.equal(ask(request({ target: '10.0.0.9' })).length, NO_QUESTION)
  assert.equal(ask(solicitation({ target: 'fd00::9' })).length, NO_QUESTION)
})

test('ARP probes, announcements, replies and questions to one station go on', () => {
  assert.equal(ask(request({ senderIp: '0.0.0.0' })).length, NO_QUESTION)
  assert.equal(ask(request({ senderIp: '10.0.0.2' })).length, NO_QUESTION)
  assert.equal(ask(request({ operation: 2 })).length, NO_QUESTION)
  assert.equal(ask(request({ to: other })).length, NO_QUESTION)
  assert.equal(ask(request({ target: '10.0.0.1', senderIp: '10.0.0.7' })).length, NO_QUESTION, 'about the asker itself')
  assert.equal(ask(request({ senderMac: other })).length, NO_QUESTION, 'from another station than the frame')
})

test('detection of duplicates and solicitations that are not valid go on', () => {
  const cases: Readonly<Record<string, Solicitation>> = {
    'no source': { source: '::' },
    'forwarded by a router': { hops: 254 },
    'to one station': { destination: 'fd00::2' },
    'to the group of another target': { destination: 'ff02::1:ff00:9' },
    'about itself': { source: 'fd00::2' },
    'another link address than the frame': { linkAddress: other },
    'a wrong checksum': { edit: (frame) => put16(frame, 56, 0x1234) },
    'an option of no length': { edit: (frame) => frame.set([0], 79) },
    'an option beyond the end': { edit: (frame) => frame.set([2], 79) },
    'a payload beyond the end': { edit: (frame) => put16(frame, 18, 40) },
    'a payload without a target': { edit: (frame) => put16(frame, 18, 23) },
    'a code': { edit: (frame) => frame.set([1], 55) },
  }
  for (const [name, how] of Object.entries(cases)) assert.equal(ask(solicitation(how)).length, NO_QUESTION, name)
})

test('a frame cut at any length is no question, and nothing beyond its end is read', () => {
  const set = makeAnswers({ burst: 1e6 })
  for (const [whole, needed] of [[request(), 42] as const, [solicitation(), 86] as const])
    for (let length = 0; length < whole.length; length++) {
      const cut = whole.slice(0, length)
      if (length < needed) assert.equal(ask(cut, set).length, NO_QUESTION, `${length} bytes`)
    }
})

test('whatever comes is answered with nothing, an ARP reply or an advertisement', () => {
  const set = makeAnswers({ burst: 1e6 })
  const bases = [request(), solicitation()]
  const edits = fc.array(fc.tuple(fc.nat(85), fc.nat(255)), { maxLength: 6 })
  fc.assert(
    fc.property(fc.nat(1), edits, fc.nat(86), (which, changes, cut) => {
      const frame = bases[which]!.slice()
      for (const [at, value] of changes) if (at < frame.length) frame[at] = value
      const { length } = ask(frame.slice(0, cut), set)
      assert.ok(length === NO_QUESTION || length === 42 || length === 86)
      assert.ok(length <= cut)
    }),
    { numRuns: 2000 },
  )
})

test('a port that asks too often is refused, and others are not; with time it may ask again', () => {
  const set = makeAnswers({ perSecond: 10, burst: 2 })
  const { answers, clock } = set
  const from = (port: number): number => {
    const frame = request()
    return answers.answer(frame, 0, frame.length, VSID, port, new Uint8Array(ANSWER_BYTES_MAX), 0)
  }
  assert.deepEqual([from(1), from(1), from(1)], [42, 42, TOO_MANY_QUESTIONS])
  assert.equal(from(2), 42)
  clock.ms += 99
  assert.equal(from(1), TOO_MANY_QUESTIONS)
  clock.ms += 2
  assert.equal(from(1), 42)
  assert.equal(answers.answered, 4)
  assert.equal(answers.refused, 2)
})

test('where frame and answer stand in their buffers makes no difference', () => {
  const { answers } = makeAnswers()
  const frame = solicitation()
  const buffer = new Uint8Array(200).fill(0xee)
  buffer.set(frame, 33)
  const out = new Uint8Array(200)
  assert.equal(answers.answer(buffer, 33, 33 + frame.length, VSID, PORT, out, 51), 86)
  assert.deepEqual(out.slice(51, 51 + 86), ask(frame).out)
})
