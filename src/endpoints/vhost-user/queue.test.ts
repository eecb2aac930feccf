import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { DataHalf } from '../../../test/support/data-half.ts'
import { temporaryDirectory } from '../../../test/support/temp-dir.ts'
import { FrontEnd, MODERN, type SetUpOptions } from '../../../test/support/vhost-front-end.ts'
import { withPort } from '../../../test/support/vhost-port.ts'
import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4, Q_LOCK } from '../../kernels/layout.ts'
import { createEventFd, createMemfd, mapAnywhere, unmap } from '../../linux/files.ts'
import { nativeView, sys } from '../../linux/libc.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import { encode } from '../../vhost-user/messages.ts'
import { WindowAllocator } from '../../vhost-user/window-allocator.ts'
import { featureMask } from '../../virtio/features.ts'
import { lockQueue, unlockQueue } from '../../virtio/queue-lock.ts'
import { type CompliancePeer, endpointCompliance } from '../compliance.ts'
import { testFrame } from '../compliance-frames.ts'
import { createVhostUserControl } from './control.ts'
import type { VhostUserPlan } from './queue.ts'

const directory = temporaryDirectory()
const GiB = 2 ** 30

class Peer implements CompliancePeer {
  readonly frontEnd: FrontEnd
  readonly #frames: Buffer[] = []

  constructor(frontEnd: FrontEnd) {
    this.frontEnd = frontEnd
  }

  send(frame: Uint8Array): boolean {
    return this.frontEnd.rings.length > 0 && this.frontEnd.send(frame)
  }

  receive(): Uint8Array | null {
    if (this.#frames.length === 0 && this.frontEnd.rings.length > 0) this.#frames.push(...this.frontEnd.receive())
    return this.#frames.shift() ?? null
  }

  vanish(): void {
    this.frontEnd.close()
  }
}

/** The suite for one kind of guest: `regions` make its memory, 64 MiB in linear memory by default. */
function comply(name: string, setUp: SetUpOptions, mode: 'server' | 'client' = 'server', bytes?: number): void {
  const path = join(directory, 'c.sock')
  endpointCompliance(`vhost-user ${name}`, {
    half: () => new DataHalf(),
    create: (components) =>
      createVhostUserControl(
        { port: 3, path, mode, queuePairsMax: 1, reconnectMs: 2 },
        { ...components, windows: new WindowAllocator() },
      ),
    async connect() {
      const frontEnd = mode === 'server' ? FrontEnd.connect(path) : await FrontEnd.listen(path)
      if (bytes !== undefined) frontEnd.addMemory(bytes)
      await frontEnd.setUp(setUp)
      return new Peer(frontEnd)
    },
    backpressure: false, // a full ring is refused with a reason of its own, tested below
    refusals:
      mode === 'server'
        ? [
            {
              title: 'a path that is too long',
              says: /at most 107 bytes/,
              create: (components) =>
                createVhostUserControl(
                  { port: 1, path: join(directory, 'x'.repeat(120)), mode, queuePairsMax: 1 },
                  { ...components, windows: new WindowAllocator() },
                ),
            },
          ]
        : [],
  })
}

comply('split', {})
comply('packed', { packed: true })
comply('client', {}, 'client')
comply('8 GiB', { ringsAt: 0x1_4000_0000n, packed: true }, 'server', 8 * GiB)

describe('a vhost-user queue', () => {
  for (const packed of [false, true])
    test(`refuses frames for a ${packed ? 'packed' : 'split'} ring without buffers, and goes on when there are some`, () =>
      withPort({}, async ({ half, start, facts }) => {
        const frontEnd = await start({ packed, size: 64 })
        const frames = Array.from({ length: 60 }, (_, i) => testFrame(100, i))
        assert.equal(half.deliver(frames), 60)
        assert.equal(half.deliver(frames), 4)
        assert.equal(half.queue().refusal, DropReason.receiveBufferFull)
        assert.equal(facts().rings[0]!.noBuffer, 56)
        assert.equal(frontEnd.receive().length, 64)
        assert.equal(half.deliver(frames), 60)
      }))

  test('serves rings in order, without event index and without mergeable buffers', () =>
    withPort({}, async ({ half, start }) => {
      for (const packed of [false, true]) {
        const frontEnd = await start({ packed, features: featureMask('version1', 'inOrder', 'protocolFeatures') })
        half.inbox.length = 0
        for (let i = 0; i < 600; i++) {
          while (!frontEnd.send(testFrame(64 + i, i))) half.take()
          if (half.deliver([testFrame(64 + i, i)]) === 0) assert.fail(`frame ${i} was refused`)
          assert.deepEqual(frontEnd.receive(), [testFrame(64 + i, i)])
        }
        await half.until(() => half.inbox.length === 600, 'all frames')
        for (const [i, { bytes }] of half.inbox.entries()) assert.deepEqual(bytes, testFrame(64 + i, i))
        frontEnd.disconnect()
        await half.until(() => !half.linkUp, 'the loss')
      }
    }))

  test('refuses a frame that no buffer holds where buffers do not merge', () =>
    withPort({}, async ({ half, start }) => {
      await start({ features: featureMask('version1', 'protocolFeatures'), bufferBytes: 512 })
      assert.equal(half.deliver([testFrame(1000, 1)]), 0)
      assert.equal(half.queue().refusal, DropReason.receiveBufferTooSmall)
      assert.equal(half.deliver([testFrame(500, 1)]), 1)
    }))

  test('offers the offloads that the driver takes, and holds the driver to those it negotiated', () =>
    withPort({}, async ({ half, start }) => {
      const frontEnd = await start()
      assert.equal(half.queue().offloads, OFFLOAD_CHECKSUM | OFFLOAD_TSO4)
      const header = Buffer.alloc(12)
      header[0] = 1 // needs a checksum
      header.writeUInt16LE(34, 6)
      header.writeUInt16LE(16, 8)
      frontEnd.send(testFrame(100, 1), 0, header)
      await half.until(() => half.inbox.length === 1, 'the frame')
      assert.equal(half.inbox[0]!.needs, OFFLOAD_CHECKSUM)
    }))

  test('tells the guest of used buffers through the call eventfd, and of a new eventfd at once', () =>
    withPort({}, async ({ half, start }) => {
      const frontEnd = await start()
      const count = Buffer.alloc(8)
      const drain = (fd: number) => sys.read(fd, count, 8)
      const [rx] = frontEnd.rings
      drain(rx!.call)
      half.deliver([testFrame(64, 1)])
      assert.equal(drain(rx!.call), 8)
      const fresh = createEventFd()
      await frontEnd.tell('SET_VRING_CALL', encode.u64(0n), [fresh])
      assert.equal(drain(fresh), 8)
      sys.close(fresh)
    }))

  test('asks no guest to kick when it adds receive buffers: nobody waits for that', () =>
    withPort({}, async ({ half, start }) => {
      const frontEnd = await start({ features: featureMask('version1', 'mergeableBuffers', 'protocolFeatures') })
      const flags = () => frontEnd.view(frontEnd.rings[0]!.device, 2).getUint16(0, true)
      assert.equal(flags(), 0)
      half.deliver([testFrame(64, 1)])
      assert.equal(flags(), 1)
    }))

  test('stays awake for a guest that polls instead of kicking', () =>
    withPort({}, async ({ half, start }) => {
      const frontEnd = await start()
      assert.equal(half.queue().arm(half.epoll), false)
      half.queue().disarm(half.epoll)
      await frontEnd.tell('SET_VRING_KICK', encode.u64(1n | 0x100n))
      assert.equal(half.queue().arm(half.epoll), true)
      frontEnd.rings[1]!.kick = -1
      frontEnd.send(testFrame(64, 1))
      await half.until(() => half.inbox.length === 1, 'the frame')
    }))

  test('a sleeper follows the ring to a new kick eventfd', () =>
    withPort({}, async ({ half, start }) => {
      const frontEnd = await start()
      const tx = frontEnd.rings[1]!
      assert.equal(half.queue().arm(half.epoll), false)
      const fresh = createEventFd()
      await frontEnd.tell('SET_VRING_KICK', encode.u64(1n), [fresh])
      sys.close(tx.kick)
      tx.kick = fresh
      half.queue().arm(half.epoll)
      half.epoll.wait(0)
      half.queue().disarm(half.epoll)
      assert.equal(half.queue().arm(half.epoll), false)
      frontEnd.send(testFrame(64, 1))
      assert.ok(half.epoll.wait(2000) > 0)
      half.queue().disarm(half.epoll)
      assert.equal(half.take(), 1)
    }))

  test('takes and drops what comes through a ring that is disabled, and delivers nothing into one', () =>
    withPort({}, async ({ half, start, codes }) => {
      const frontEnd = await start()
      for (const index of [0, 1]) await frontEnd.tell('SET_VRING_ENABLE', encode.vringState(index, 0))
      assert.equal(half.linkUp, false)
      frontEnd.send(testFrame(64, 1))
      for (let i = 0; i < 10; i++) half.take()
      assert.equal(half.inbox.length, 0)
      assert.equal(frontEnd.rings[1]!.reclaim(), 1) // given back
      assert.equal(half.deliver([testFrame(64, 1)]), 0)
      assert.equal(half.queue().refusal, DropReason.linkDown)
      for (const index of [0, 1]) await frontEnd.tell('SET_VRING_ENABLE', encode.vringState(index, 1))
      assert.equal(half.linkUp, true)
      assert.equal(half.deliver([testFrame(64, 1)]), 1)
      assert.deepEqual(codes(), [])
    }))

  test('does not wait for a lock that the control half holds', () =>
    withPort({}, async ({ half, start }) => {
      const frontEnd = await start()
      const { tx, rx } = half.plans[0] as VhostUserPlan
      frontEnd.send(testFrame(64, 1))
      assert.ok(lockQueue(half.memory.i32, tx))
      assert.equal(half.queue().receive(0, 64), 0)
      assert.equal(half.queue().arm(half.epoll), true)
      unlockQueue(half.memory.i32, tx)
      assert.equal(half.take(), 1)
      assert.equal(half.memory.i32[(tx + Q_LOCK) >> 2], 0)
      assert.ok(lockQueue(half.memory.i32, rx))
      assert.equal(half.deliver([testFrame(64, 1)]), 0)
      assert.equal(half.queue().refusal, DropReason.noResources)
      unlockQueue(half.memory.i32, rx)
    }))

  test('a ring that the guest breaks is reported once, by event and eventfd, and serves again when set up anew', () =>
    withPort({}, async ({ half, start, codes, facts }) => {
      const frontEnd = await start()
      const error = createEventFd()
      await frontEnd.tell('SET_VRING_ERR', encode.u64(1n), [error])
      const tx = frontEnd.rings[1]!
      tx.publish(0, 40_000) // an available index far ahead of the ring
      await half.until(() => codes().includes('ring-broken'), 'the event')
      for (let i = 0; i < 10; i++) half.take()
      assert.equal(codes().filter((code) => code === 'ring-broken').length, 1)
      assert.equal(facts().rings[1]!.state, 'broken')
      assert.equal(sys.read(error, Buffer.alloc(8), 8), 8)
      assert.equal(half.linkUp, false)
      sys.close(error)
      await frontEnd.stop(tx)
      const view = frontEnd.view(tx.driver, 4)
      view.setUint16(2, frontEnd.view(tx.device, 4).getUint16(2, true), true)
      await frontEnd.start(tx)
      assert.equal(facts().rings[1]!.state, 'running')
      assert.equal(half.linkUp, true)
    }))

  for (const packed of [false, true])
    test(`a ${packed ? 'packed' : 'split'} ring that was stopped goes on where it stood, without loss or repetition`, () =>
      withPort({}, async ({ half, start }) => {
        const frontEnd = await start({ packed, size: 16 })
        const [rx, tx] = frontEnd.rings as [(typeof frontEnd.rings)[0], (typeof frontEnd.rings)[0]]
        let sent = 0
        for (let round = 0; round < 9; round++) {
          for (let i = 0; i < 5; i++) frontEnd.send(testFrame(64 + sent, sent++))
          await half.until(() => half.inbox.length === sent, 'frames')
          assert.equal(half.deliver([testFrame(200, round), testFrame(300, round)]), 2)
          frontEnd.send(testFrame(64 + sent, sent++)) // still in the ring when it stops
          for (const ring of [rx, tx]) {
            const base = await frontEnd.stop(ring)
            await frontEnd.start(ring, base)
          }
          assert.deepEqual(frontEnd.receive(), [testFrame(200, round), testFrame(300, round)])
        }
        await half.until(() => half.inbox.length === sent, 'the last frame')
        assert.deepEqual(
          half.inbox.map(({ bytes }) => bytes),
          Array.from({ length: sent }, (_, i) => testFrame(64 + i, i)),
        )
      }))

  test('logs the pages that it writes while a migration runs', () =>
    withPort({}, async ({ half, start, facts }) => {
      const frontEnd = await start()
      const bytes = (64 * 2 ** 20) / 4096 / 8
      const log = createMemfd('log', bytes)
      const payload = Buffer.alloc(16)
      payload.writeBigUInt64LE(BigInt(bytes))
      const answer = await frontEnd.ask('SET_LOG_BASE', payload, [log])
      assert.equal(answer.payload.readBigUInt64LE(0), 0n)
      const [rx] = frontEnd.rings
      await frontEnd.tell('SET_VRING_ADDR', frontEnd.addresses(rx!, 1, rx!.device))
      await frontEnd.tell('SET_FEATURES', encode.u64(MODERN | featureMask('logAll')))
      assert.equal(facts().dirtyLog, true)
      half.deliver([testFrame(64, 1)])
      const address = mapAnywhere(bytes, log, 0)
      const dirty = new Uint8Array(nativeView(address, bytes))
      const isDirty = (guest: bigint) => ((dirty[Number(guest >> 15n)]! >> Number((guest >> 12n) & 7n)) & 1) === 1
      assert.ok(isDirty(rx!.bufferAddress(0)), 'the buffer')
      assert.ok(isDirty(rx!.device), 'the used ring')
      assert.ok(!isDirty(rx!.descriptors), 'the descriptors are only read')
      await frontEnd.tell('SET_FEATURES', encode.u64(MODERN))
      dirty.fill(0)
      half.deliver([testFrame(64, 1)])
      assert.ok(
        dirty.every((byte) => byte === 0),
        'nothing is logged any more',
      )
      unmap(address, bytes)
      sys.close(log)
    }))

  test('serves several queue pairs', () =>
    withPort({ queuePairsMax: 2 }, async ({ half, start }) => {
      const frontEnd = await start({ queuePairs: 2, size: 64, features: MODERN | featureMask('multiQueue') })
      await half.until(() => half.queues.length === 2, 'both pairs')
      for (const pair of [0, 1]) {
        frontEnd.send(testFrame(64, pair), pair)
        assert.equal(half.take(64, pair), 1)
        assert.equal(half.deliver([testFrame(80, pair)], {}, pair), 1)
        assert.deepEqual(frontEnd.receive(pair), [testFrame(80, pair)])
      }
    }))
})
