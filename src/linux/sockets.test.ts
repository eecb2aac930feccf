import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { closeFd } from './files.ts'
import { acceptFrom, connectTo, FdReceiver, listenAt, removeSocket, SocketType, sendWithFds, socketIdentity } from './sockets.ts'

const MESSAGES = 60_000
const BYTES = 48

test('a message arrives as it was when it was sent, whatever the collector takes meanwhile', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'vms-')), 's')
  const listener = listenAt(path)
  const sender = connectTo(path, SocketType.stream)
  const taker = acceptFrom(listener)
  const receiver = new FdReceiver(BYTES)
  for (let n = 0; n < MESSAGES; n++) {
    assert.equal(sendWithFds(sender, Buffer.alloc(BYTES, n & 0xff)), BYTES)
    const got = receiver.receive(taker, BYTES)?.bytes
    assert.ok(got?.length === BYTES && got.every((octet) => octet === (n & 0xff)), `message ${n}`)
  }
  removeSocket(path, socketIdentity(path))
  for (const fd of [sender, taker, listener]) closeFd(fd)
})
