import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  checkHeader,
  checkMessage,
  decode,
  FLAG_NEED_REPLY,
  FLAG_REPLY,
  type MessageRule,
  messageRules,
  OFFERED_PROTOCOL_FEATURES,
  requestNumber,
  TABLE_REGIONS_MAX,
} from './messages.ts'

const header = (name: string, bytes: number, flags = 1) => ({ request: requestNumber(name), flags, bytes })
const check = (name: string, payload: Buffer, fds = 0, negotiated = OFFERED_PROTOCOL_FEATURES) =>
  checkMessage(header(name, payload.length), payload, fds, negotiated)

test('numbers and names are those of the protocol', () => {
  for (const [name, number] of [
    ['GET_FEATURES', 1],
    ['SET_MEM_TABLE', 5],
    ['SET_VRING_ENABLE', 18],
    ['GET_INFLIGHT_FD', 31],
    ['ADD_MEM_REG', 37],
    ['GET_STATUS', 40],
  ] as const)
    assert.equal(requestNumber(name), number)
  assert.throws(() => requestNumber('GET_CRYPTO'), RangeError)
})

test('a header of another version, a reply and a wrong size end the connection', () => {
  assert.equal(checkHeader(header('GET_FEATURES', 0, 1 | FLAG_NEED_REPLY)), null)
  assert.equal(checkHeader(header('GET_FEATURES', 0, 2))?.severity, 'disconnect')
  assert.equal(checkHeader(header('GET_FEATURES', 0, 1 | FLAG_REPLY))?.severity, 'disconnect')
  for (const [request, rule] of Object.entries(messageRules as Record<string, MessageRule>)) {
    const of = (bytes: number) => checkHeader({ request: Number(request), flags: 1, bytes })
    assert.equal(of(rule.minBytes), null, rule.name)
    assert.equal(of(rule.maxBytes), null, rule.name)
    assert.equal(of(rule.maxBytes + 1)?.severity, 'disconnect', rule.name)
    if (rule.minBytes > 0) assert.equal(of(rule.minBytes - 1)?.severity, 'disconnect', rule.name)
  }
  assert.equal(checkHeader({ request: 999, flags: 1, bytes: 1 << 20 })?.severity, 'disconnect')
})

test('an unknown request is refused, not fatal', () => {
  assert.equal(checkMessage({ request: 26, flags: 1, bytes: 8 }, Buffer.alloc(8), 0, 0n)?.severity, 'refuse')
})

test('a request whose protocol feature was not negotiated is refused; if it needs an answer, the connection ends', () => {
  assert.equal(check('RESET_DEVICE', Buffer.alloc(0), 0, 0n)?.severity, 'refuse')
  assert.equal(check('GET_STATUS', Buffer.alloc(0), 0, 0n)?.severity, 'disconnect')
  assert.equal(check('GET_QUEUE_NUM', Buffer.alloc(0), 0, 0n), null) // asked by some before they negotiate
})

test('the number of descriptors must be what the message says', () => {
  const kick = (bits: bigint) => {
    const payload = Buffer.alloc(8)
    payload.writeBigUInt64LE(bits)
    return payload
  }
  assert.equal(check('SET_VRING_KICK', kick(1n), 1), null)
  assert.equal(check('SET_VRING_KICK', kick(1n | 0x100n), 0), null)
  assert.equal(check('SET_VRING_KICK', kick(1n), 0)?.severity, 'disconnect')
  assert.equal(check('SET_VRING_KICK', kick(1n | 0x100n), 1)?.severity, 'disconnect')
  assert.equal(check('GET_FEATURES', Buffer.alloc(0), 1)?.severity, 'disconnect')
  assert.equal(check('ADD_MEM_REG', Buffer.alloc(40), 2)?.severity, 'disconnect')
  assert.equal(check('REM_MEM_REG', Buffer.alloc(40), 1), null)
})

test('a memory table must hold the regions that it announces, each with a descriptor', () => {
  const table = (announced: number, room: number) => {
    const payload = Buffer.alloc(8 + 32 * room)
    payload.writeUInt32LE(announced)
    return payload
  }
  assert.equal(check('SET_MEM_TABLE', table(2, 2), 2), null)
  assert.equal(check('SET_MEM_TABLE', table(2, 8), 2), null) // a message of fixed size
  assert.equal(check('SET_MEM_TABLE', table(3, 2), 3)?.severity, 'disconnect')
  assert.equal(check('SET_MEM_TABLE', table(2, 2), 1)?.severity, 'disconnect')
  assert.equal(check('SET_MEM_TABLE', table(0xffff_ffff, 2), 2)?.severity, 'disconnect')
  assert.equal(checkHeader(header('SET_MEM_TABLE', 8 + 32 * (TABLE_REGIONS_MAX + 1)))?.severity, 'disconnect')
})

test('whatever passes the check can be decoded to its last byte', () => {
  const decoders: Record<string, (payload: Buffer) => unknown> = {
    SET_FEATURES: decode.u64,
    SET_VRING_NUM: decode.vringState,
    SET_VRING_KICK: decode.vringFile,
    SET_VRING_ADDR: decode.vringAddresses,
    SET_LOG_BASE: decode.log,
    GET_INFLIGHT_FD: decode.inflight,
    ADD_MEM_REG: (payload) => decode.region(payload, 8),
    SET_MEM_TABLE: (payload) => Array.from({ length: payload.readUInt32LE(0) }, (_, i) => decode.region(payload, 8 + 32 * i)),
  }
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.keys(decoders)),
      fc.uint8Array({ maxLength: 1100 }),
      fc.nat({ max: 33 }),
      fc.nat({ max: 3 }),
      (name, bytes, fds, regions) => {
        const payload = Buffer.from(bytes)
        if (name === 'SET_MEM_TABLE' && payload.length >= 4) payload.writeUInt32LE(regions)
        if (check(name, payload, fds) === null) decoders[name]!(payload)
      },
    ),
    { numRuns: 2000 },
  )
})
