import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Command, checkHeader, checkMessage, decode, Errno, encodeReply, HEADER_BYTES, MESSAGE_MAX, ruleOf } from './messages.ts'

test('a header with a reply, another type or an impossible size ends the connection', () => {
  assert.equal(checkHeader(Command.reset, HEADER_BYTES, 0), null)
  assert.equal(checkHeader(Command.reset, HEADER_BYTES, 1)?.severity, 'disconnect')
  assert.equal(checkHeader(Command.reset, HEADER_BYTES, 7)?.severity, 'disconnect')
  for (const bytes of [0, HEADER_BYTES - 1, MESSAGE_MAX + 1, 0xffff_ffff])
    assert.equal(checkHeader(Command.reset, bytes, 0)?.severity, 'disconnect')
})

test('VERSION comes first and once', () => {
  assert.equal(checkMessage(Command.version, Buffer.alloc(4), 0, false), null)
  assert.equal(checkMessage(Command.version, Buffer.alloc(4), 0, true)?.severity, 'disconnect')
  assert.equal(checkMessage(Command.reset, Buffer.alloc(0), 0, false)?.severity, 'disconnect')
})

test('an unknown command is refused as not supported', () => {
  for (const command of [0, 6, 11, 12, 14, 15, 99])
    assert.equal(checkMessage(command, Buffer.alloc(0), 0, true)?.errno, Errno.notSupported)
})

test('a region write must carry what it announces', () => {
  const payload = Buffer.alloc(20)
  payload.writeUInt32LE(4, 12)
  assert.equal(checkMessage(Command.regionWrite, payload, 0, true), null)
  payload.writeUInt32LE(5, 12)
  assert.equal(checkMessage(Command.regionWrite, payload, 0, true)?.errno, Errno.invalid)
})

test('a region read can not ask for more than one message carries', () => {
  const payload = Buffer.alloc(16)
  payload.writeUInt32LE(0xffff_ffff, 12)
  assert.equal(checkMessage(Command.regionRead, payload, 0, true)?.errno, Errno.invalid)
})

test('descriptors beyond the rule are refused', () => {
  assert.equal(checkMessage(Command.dmaMap, Buffer.alloc(32), 1, true), null)
  assert.equal(checkMessage(Command.dmaMap, Buffer.alloc(32), 2, true)?.severity, 'refuse')
  assert.equal(checkMessage(Command.reset, Buffer.alloc(0), 1, true)?.severity, 'refuse')
})

test('whatever passes the check can be decoded to its last byte', () => {
  fc.assert(
    fc.property(fc.constantFrom(...Object.values(Command)), fc.uint8Array({ maxLength: 96 }), (command, bytes) => {
      const payload = Buffer.from(bytes)
      if (checkMessage(command, payload, 0, command !== Command.version)) return
      if (command === Command.dmaMap) decode.dmaMap(payload)
      if (command === Command.dmaUnmap) decode.dmaUnmap(payload)
      if (command === Command.setIrqs) decode.setIrqs(payload)
      if (command === Command.regionInfo || command === Command.irqInfo) decode.infoIndex(payload)
      if (command === Command.regionRead || command === Command.regionWrite) decode.access(payload)
    }),
  )
})

test('a reply names its message, and an error carries its number', () => {
  const good = encodeReply(7, Command.reset, Buffer.from('ab'), 0)
  assert.deepEqual([good.readUInt16LE(0), good.readUInt32LE(4), good.readUInt32LE(8), good.readUInt32LE(12)], [7, 18, 1, 0])
  const bad = encodeReply(7, Command.reset, Buffer.alloc(0), 22)
  assert.deepEqual([bad.readUInt32LE(8), bad.readUInt32LE(12)], [0x21, 22])
  assert.equal(ruleOf(15), undefined)
})
