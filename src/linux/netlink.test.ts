import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import fc from 'fast-check'
import { sys } from './libc.ts'
import { parseLinkNews, readLink } from './netlink.ts'

function attribute(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt16LE(4 + value.length, 0)
  head.writeUInt16LE(type, 2)
  return Buffer.concat([head, value, Buffer.alloc(-value.length & 3)])
}

function message(type: number, body: Buffer): Buffer {
  const head = Buffer.alloc(16)
  head.writeUInt32LE(16 + body.length, 0)
  head.writeUInt16LE(type, 4)
  return Buffer.concat([head, body])
}

function link(index: number, flags: number, name: string): Buffer {
  const head = Buffer.alloc(16)
  head.writeInt32LE(index, 4)
  head.writeUInt32LE(flags, 8)
  const mtu = Buffer.from([0x28, 0x23, 0, 0])
  return Buffer.concat([
    head,
    attribute(3, Buffer.from(`${name}\0`)),
    attribute(4, mtu),
    attribute(1, Buffer.from([2, 0, 0, 0, 0, 1])),
  ])
}

test('news of several links in one datagram are read one by one', () => {
  const bytes = Buffer.concat([
    message(16, link(7, 0x41, 'eth1')),
    message(16, link(8, 0x1, 'e')),
    message(17, link(7, 0, 'eth1')),
  ])
  assert.deepEqual(parseLinkNews(bytes, 0), [
    { gone: false, index: 7, name: 'eth1', up: true, running: true, mtu: 9000, address: '02:00:00:00:00:01' },
    { gone: false, index: 8, name: 'e', up: true, running: false, mtu: 9000, address: '02:00:00:00:00:01' },
    { gone: true, index: 7 },
  ])
})

test('a bridge that lets go of a port is not taken for the end of the interface', () => {
  const body = link(7, 0x41, 'eth1')
  body[0] = 7 // AF_BRIDGE
  assert.deepEqual(parseLinkNews(message(17, body), 0), [])
})

test('the answer that there is no such interface is news of its end', () => {
  const error = Buffer.alloc(20)
  error.writeInt32LE(-19, 0)
  assert.deepEqual(parseLinkNews(message(2, error), 12), [{ gone: true, index: 12 }])
})

test('whatever bytes come, nothing is read beyond them and the reader ends', () => {
  const whole = Buffer.concat([message(16, link(7, 0x41, 'eth1')), message(17, link(7, 0, 'eth1'))])
  fc.assert(
    fc.property(fc.nat(whole.length), fc.nat(whole.length - 1), fc.nat(255), (end, at, value) => {
      const bytes = Buffer.from(whole)
      bytes[at] = value
      parseLinkNews(bytes.subarray(0, end), 1)
    }),
  )
})

test('the kernel answers about an interface that is there, and about one that is not', { skip: !networkInterfaces().lo }, () => {
  const found = readLink(sys.ifNametoindex('lo'))
  assert.deepEqual([found?.name, found?.up], ['lo', true])
  assert.equal(readLink(0x7fff_fff0), null)
})
