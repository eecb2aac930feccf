import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { igmpFrame, igmpV3Report, mldFrame, mldV2Report, pimHello } from '../../../test/support/group-frames.ts'
import { MembershipMessage, MessageKind, RecordAction } from './membership-message.ts'
import { encode8, queryFrame } from './query-frames.ts'

const ETHERNET = 14

/** Bytes of which every look behind the end is told. */
function watched(bytes: Uint8Array, length: number): Uint8Array {
  return new Proxy(bytes, {
    get: (target, key) => {
      if (typeof key === 'string' && /^\d+$/.test(key)) assert.ok(Number(key) < length, `byte ${key} of ${length} was read`)
      return Reflect.get(target, key, target)
    },
  })
}

function walk(bytes: Uint8Array, isIpv4: boolean): number {
  const message = new MembershipMessage()
  const kind = message.read(watched(bytes, bytes.length), bytes.length, ETHERNET, isIpv4)
  let records = 0
  if (kind === MessageKind.report) while (message.next() !== RecordAction.end) assert.ok(++records <= bytes.length)
  return kind
}

const messages: readonly (readonly [Buffer, boolean])[] = [
  [igmpFrame(0x11, '0.0.0.0'), true],
  [igmpFrame(0x16, '239.1.1.1'), true],
  [igmpV3Report([[4, '239.1.1.1', ['10.0.0.1', '10.0.0.2']]]), true],
  [pimHello(105), true],
  [mldFrame(130, '::'), false],
  [mldFrame(131, 'ff15::1', { extensions: 2 }), false],
  [mldV2Report([[1, 'ff15::1', ['fd00::1']]]), false],
]

test('what is cut off, changed or made up is never read behind its end', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...messages),
      fc.nat(200),
      fc.array(fc.record({ at: fc.nat(120), to: fc.nat(255) }), { maxLength: 6 }),
      ([frame, isIpv4], length, changes) => {
        const bytes = Uint8Array.from(frame.subarray(0, Math.max(ETHERNET, length)))
        for (const { at, to } of changes) if (ETHERNET + at < bytes.length) bytes[ETHERNET + at] = to
        walk(bytes, isIpv4)
      },
    ),
    { numRuns: 3000 },
  )
})

test('one changed byte of a message makes it invalid, or none', () => {
  for (const [frame, isIpv4] of messages) {
    const known = walk(frame, isIpv4)
    assert.ok(known >= MessageKind.query)
    const end = ETHERNET + (isIpv4 ? frame.readUInt16BE(16) : 40 + frame.readUInt16BE(18))
    const options = frame[ETHERNET + 40] === 60 ? 16 : 0 // behind the hop-by-hop header
    const from = isIpv4 ? ETHERNET + 24 : ETHERNET + 48 + options
    for (let at = from; at < end; at++) {
      const bytes = Uint8Array.from(frame)
      bytes[at]! ^= 0x10
      const kind = walk(bytes, isIpv4)
      assert.ok(kind === MessageKind.invalid, `byte ${at}: ${kind}`)
    }
  }
})

test('the built-in querier asks as hosts expect it', () => {
  const timers = { robustness: 2, intervalSeconds: 125, responseTenths: 100, lastMemberTenths: 10 }
  const source = { mac: Uint8Array.of(2, 0, 0, 0, 0, 1), timers }
  for (const isIpv4 of [true, false]) {
    const address = isIpv4 ? Uint8Array.of(0, 0, 0, 0) : Uint8Array.of(0xfe, 0x80, ...Array<number>(13).fill(0), 1)
    const group = isIpv4 ? Uint8Array.of(239, 1, 2, 3) : Uint8Array.of(0xff, 0x15, ...Array<number>(13).fill(0), 9)
    for (const asked of [undefined, group]) {
      const message = new MembershipMessage()
      const frame = queryFrame({ ...source, address }, { vlan: 0, isIpv4, group: asked })
      assert.equal(message.read(frame, frame.length, ETHERNET, isIpv4), MessageKind.query)
      assert.equal(message.responseTenths, asked === undefined ? 100 : 10)
      assert.equal(message.intervalSeconds, 125)
      assert.equal(message.group0 === 0, asked === undefined)
      assert.equal(message.keepsTimers, false)
    }
    const tagged = queryFrame({ ...source, address }, { vlan: 10, isIpv4 })
    assert.deepEqual([...tagged.subarray(12, 16)], [0x81, 0, 0, 10])
  }
  assert.deepEqual([1, 127, 128, 136, 31744].map(encode8), [1, 127, 0x80, 0x81, 0xff])
})
