import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { DataHalf } from '../../../test/support/data-half.ts'
import { asNobody } from '../../../test/support/machine.ts'
import { StreamPeer } from '../../../test/support/socket-peers.ts'
import { temporaryDirectory } from '../../../test/support/temp-dir.ts'
import { FRAME_MAX } from '../../kernels/layout.ts'
import { closeFd } from '../../linux/files.ts'
import { listenAt } from '../../linux/sockets.ts'
import { endpointCompliance } from '../compliance.ts'
import { testFrame } from '../compliance-frames.ts'
import { StreamEndpoint } from './stream-endpoint.ts'

const directory = temporaryDirectory()
const path = join(directory, 's.sock')
const plainFile = join(directory, 'file')
const busyPath = join(directory, 'busy')
writeFileSync(plainFile, 'not a socket')

const missing = {
  title: 'a directory that does not exist',
  says: /ENOENT.*mkdir -p .*nowhere/,
  create: (components: ConstructorParameters<typeof StreamEndpoint>[1]) =>
    new StreamEndpoint({ port: 1, path: join(directory, 'nowhere', 's') }, components),
}

endpointCompliance('stream server', {
  half: () => new DataHalf(),
  create: (components) => new StreamEndpoint({ port: 3, path }, components),
  connect: () => StreamPeer.connect(path),
  refusals: [
    missing,
    {
      title: 'a path that is too long',
      says: /at most 107 bytes/,
      create: (components) => new StreamEndpoint({ port: 1, path: join(directory, 'x'.repeat(120)) }, components),
    },
    {
      title: 'a path that is a plain file',
      says: /not a socket; remove it/,
      create: (components) => new StreamEndpoint({ port: 1, path: plainFile }, components),
    },
  ],
})

let listener = -1
endpointCompliance('stream client', {
  half: () => new DataHalf(),
  create(components) {
    closeFd(listener)
    listener = -1
    return new StreamEndpoint({ port: 3, path, mode: 'client' }, components)
  },
  async connect(_control, half) {
    // The switch is the client: our listener stands from one connection to the next, as a restarted QEMU's would.
    const own = listenAt(path)
    try {
      let peer: StreamPeer | null = null
      await half.until(() => {
        peer ??= StreamPeer.accept(own)
        return peer !== null
      }, 'the switch to connect')
      return peer!
    } finally {
      closeFd(own)
    }
  },
})

async function withServer(run: (half: DataHalf, peer: StreamPeer, codes: () => string[]) => Promise<void>): Promise<void> {
  const half = new DataHalf()
  const control = new StreamEndpoint({ port: 3, path }, { memory: half.memory, events: half.events })
  await control.open()
  const peer = StreamPeer.connect(path)
  try {
    await half.until(() => half.linkUp, 'the link')
    await run(half, peer, () => half.told.map(({ code }) => code))
  } finally {
    peer.vanish()
    await control.close()
    half.close()
  }
}

describe('stream endpoint', () => {
  for (const length of [0, FRAME_MAX + 1, 0xffff_ffff])
    test(`a frame length of ${length} disconnects this peer with an event, after the frames before it`, () =>
      withServer(async (half, peer, codes) => {
        const prefix = Buffer.alloc(4)
        prefix.writeUInt32BE(length)
        peer.send(testFrame(60, 1))
        peer.sendBytes(prefix)
        await half.until(() => !half.linkUp, 'the disconnection')
        assert.deepEqual(codes(), ['bad-frame-length'])
        assert.equal(half.inbox.length, 1)
        assert.ok(peer.closed)
        const next = StreamPeer.connect(path)
        await half.until(() => half.linkUp, 'the next peer')
        next.send(testFrame(70, 2))
        await half.until(() => half.inbox.length === 2, 'a frame of the next peer')
        next.vanish()
      }))

  test('the longest possible frame passes in both directions', () =>
    withServer(async (half, peer) => {
      const frame = testFrame(FRAME_MAX, 3)
      assert.equal(half.deliver([frame]), 1)
      assert.ok(Buffer.from(peer.receive()!).equals(frame))
      while (!peer.send(frame)) half.take()
      while (!peer.sendBytes(Buffer.alloc(0))) half.take()
      await half.until(() => half.inbox.length === 1, 'the frame')
      assert.ok(half.inbox[0]!.bytes.equals(frame))
    }))

  test('frames that arrive byte by byte are put together', () =>
    withServer(async (half, peer) => {
      const frame = testFrame(40, 3)
      const wire = Buffer.concat([Buffer.from([0, 0, 0, 40]), frame, Buffer.from([0, 0, 0, 40]), frame])
      for (const byte of wire) {
        peer.sendBytes(Buffer.from([byte]))
        half.take()
      }
      assert.equal(half.inbox.length, 2)
      assert.ok(half.inbox.every(({ bytes }) => bytes.equals(frame)))
    }))

  test('whatever the pieces in which frames arrive, they come out whole, and garbage ends the connection only', async () => {
    const run = fc.asyncProperty(
      fc.array(fc.integer({ min: 14, max: 3000 }), { minLength: 1, maxLength: 40 }),
      fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 20 }),
      fc.uint8Array({ maxLength: 64 }),
      (lengths, cuts, garbage) =>
        withServer(async (half, peer) => {
          const frames = lengths.map((length, i) => testFrame(length, i))
          const prefixed = frames.flatMap((frame) => [Buffer.from([0, 0, frame.length >> 8, frame.length & 0xff]), frame])
          const wire = Buffer.concat([...prefixed, Buffer.from([0xff, ...garbage])])
          for (let at = 0, i = 0; at < wire.length; i++) {
            const end = at + cuts[i % cuts.length]!
            while (!peer.sendBytes(wire.subarray(at, end))) half.take()
            half.take(1 + (i % 7))
            at = end
          }
          await half.until(() => half.inbox.length >= frames.length, 'the frames')
          assert.ok(frames.every((frame, i) => half.inbox[i]!.bytes.equals(frame)))
          if (garbage.length >= 3) await half.until(() => !half.linkUp, 'the end of the connection')
        }),
    )
    await fc.assert(run, { numRuns: 60 })
  })

  test('a queue that keeps a part of a frame back sleeps until the peer reads, then sends the rest', () =>
    withServer(async (half, peer) => {
      const frames = Array.from({ length: 40 }, (_, i) => testFrame(9014, i))
      let taken = 0
      for (let count = 40; count === 40; taken += count) count = half.deliver(frames)
      half.queue().arm(half.epoll)
      assert.equal(half.epoll.wait(0), 0, 'a full socket keeps the processor awake')
      let heard = 0
      while (peer.receive()) heard++
      assert.equal(half.epoll.wait(1000), 1, 'room in the socket wakes the processor')
      half.queue().disarm(half.epoll)
      half.take()
      while (peer.receive()) heard++
      assert.equal(heard, taken)
      half.queue().arm(half.epoll)
      assert.equal(half.epoll.wait(0), 0, 'a queue with nothing to send waits for room')
    }))

  test('a second peer waits until the first has gone', () =>
    withServer(async (half, peer) => {
      const second = StreamPeer.connect(path)
      second.send(testFrame(60, 2))
      peer.send(testFrame(60, 1))
      await half.until(() => half.inbox.length === 1, 'the frame of the first')
      await sleep(20)
      assert.ok(half.inbox[0]!.bytes.equals(testFrame(60, 1)))
      peer.vanish()
      await half.until(() => half.inbox.length === 2, 'the frame of the second')
      second.vanish()
    }))

  test('the socket file is private, a dead one is replaced, a live one is not, and ours goes with us', async () => {
    closeFd(listenAt(busyPath)) // as a killed process leaves it
    assert.ok(existsSync(busyPath))
    const half = new DataHalf()
    const components = { memory: half.memory, events: half.events }
    const first = new StreamEndpoint({ port: 3, path: busyPath }, components)
    await first.open()
    assert.equal(statSync(busyPath).mode & 0o777, 0o600)
    const second = new StreamEndpoint({ port: 4, path: busyPath }, components)
    await assert.rejects(second.open(), /another process listens on this socket; stop it or choose another path/)
    await first.close()
    assert.ok(!existsSync(busyPath))
    half.close()
  })

  test('a directory without permission is named in the error', async () => {
    const locked = join(directory, 'locked')
    mkdirSync(locked, { mode: 0o500 })
    const half = new DataHalf()
    const control = new StreamEndpoint({ port: 3, path: join(locked, 's') }, { memory: half.memory, events: half.events })
    await asNobody(() => assert.rejects(control.open(), /EACCES.*no permission to create a socket in .*locked/))
    half.close()
  })

  test('a client says that it waits, and connects once somebody listens', async () => {
    const half = new DataHalf()
    const control = new StreamEndpoint({ port: 3, path, mode: 'client' }, { memory: half.memory, events: half.events })
    await control.open()
    assert.deepEqual(
      half.told.map(({ code }) => code),
      ['waiting-for-peer'],
    )
    const own = listenAt(path)
    await half.until(() => half.linkUp, 'the connection')
    closeFd(own)
    await control.close()
    half.close()
  })

  test('a thousand connects leave nothing behind', async () => {
    const half = new DataHalf()
    const control = new StreamEndpoint({ port: 3, path }, { memory: half.memory, events: half.events })
    await control.open()
    const descriptors = readdirSync('/proc/self/fd').length
    for (let i = 0; i < 1000; i++) {
      const peer = StreamPeer.connect(path)
      await half.until(() => half.linkUp, 'the link')
      peer.vanish()
      await half.until(() => !half.linkUp, 'the end of the link')
    }
    await sleep(5)
    assert.equal(readdirSync('/proc/self/fd').length, descriptors)
    await control.close()
    half.close()
  })
})
