import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { temporaryDirectory } from '../../../test/support/temp-dir.ts'
import { FrontEnd, type GuestRegion, MODERN, USER_BASE } from '../../../test/support/vhost-front-end.ts'
import { passes, type VhostPort, withPort } from '../../../test/support/vhost-port.ts'
import { closeFd, createEventFd, createMemfd, openFile, sealsOf } from '../../linux/files.ts'
import { sys } from '../../linux/libc.ts'
import { openSocketPair, SocketType } from '../../linux/sockets.ts'
import { encode, requestNumber } from '../../vhost-user/messages.ts'
import { testFrame } from '../compliance-frames.ts'

const MiB = 2 ** 20
const GiB = 2 ** 30
const directory = temporaryDirectory()

const descriptors = () => readdirSync('/proc/self/fd').length
/** Mappings of guest memory in this process. */
const mappings = () => readFileSync('/proc/self/maps', 'utf8').match(/memfd:guest/g)?.length ?? 0

describe('descriptors', () => {
  test('pipes, sockets, devices and too short files are no guest memory', () =>
    withPort({}, async ({ connect, codes, facts }) => {
      const frontEnd = connect()
      await frontEnd.negotiate()
      const region = frontEnd.addMemory(4 * MiB)
      const before = descriptors()
      const [near, far] = openSocketPair(SocketType.stream)
      const zero = openFile('/dev/zero', 2)
      const short = createMemfd('guest', 1 * MiB)
      for (const fd of [near, zero, short, createAndKeepEventFd()])
        assert.equal(await frontEnd.status('SET_MEM_TABLE', FrontEnd.table([region]), [fd]), 1n)
      for (const fd of [near, far, zero, short, kept!]) closeFd(fd)
      assert.deepEqual(codes(), ['memory-not-a-file', 'memory-not-a-file', 'memory-region', 'memory-not-a-file'])
      assert.equal(facts().memory.length, 0)
      assert.equal(descriptors(), before)
    }))

  test('none where one belongs, and too many, end the connection without a leak', () =>
    withPort({}, async ({ connect, half, facts }) => {
      const before = descriptors()
      const region = { fd: -1, guestAddress: 0n, userAddress: USER_BASE, bytes: 4 * MiB, fileOffset: 0n }
      for (const count of [0, 2, 3, 33, 60]) {
        const frontEnd = connect()
        const fd = createMemfd('guest', 4 * MiB)
        frontEnd.raw(encode.message(5, 0, FrontEnd.table([region])), Array(count).fill(fd))
        assert.ok(await frontEnd.closes(), `${count} descriptors`)
        closeFd(fd)
        frontEnd.close()
        await half.until(() => !facts().connected, 'the loss')
      }
      assert.equal(descriptors(), before)
    }))

  test('a file is no notifier', () =>
    withPort({}, async ({ connect, codes }) => {
      const frontEnd = connect()
      await frontEnd.negotiate()
      const fd = createMemfd('guest', 4096)
      for (const name of ['SET_VRING_KICK', 'SET_VRING_CALL', 'SET_VRING_ERR'])
        assert.equal(await frontEnd.status(name, encode.u64(0n), [fd]), 1n, name)
      closeFd(fd)
      assert.deepEqual(codes(), Array(3).fill('not-an-eventfd'))
    }))

  test('an unsealed memfd is sealed; one that can not be is accepted with a warning, or refused by a port that requires seals', async () => {
    const file = join(directory, 'ram')
    writeFileSync(file, Buffer.alloc(64))
    for (const requireSeals of [false, true])
      await withPort({ requireSeals }, async ({ connect, codes, facts }) => {
        const frontEnd = connect()
        await frontEnd.negotiate()
        const unsealed = frontEnd.addMemory(4 * MiB, 0n, false)
        await frontEnd.share([unsealed])
        assert.equal(sealsOf(unsealed.fd) & 2, 2)
        assert.equal(facts().memory[0]!.sealed, true)
        const plain = openFile(file, 2)
        sys.ftruncate(plain, 4 * MiB)
        assert.equal(await frontEnd.status('SET_MEM_TABLE', FrontEnd.table([unsealed]), [plain]), requireSeals ? 1n : 0n)
        assert.deepEqual(codes(), ['memory-not-sealed'])
        assert.equal(facts().memory[0]!.sealed, requireSeals) // refused: the first table stays
        closeFd(plain)
      })
  })

  test('1000 connections leave no descriptor and no mapping behind', () =>
    withPort({}, async ({ connect, half, facts, windows }) => {
      const ownFds: number[] = []
      const memory = createMemfd('guest', 64 * MiB)
      const large = createMemfd('guest', 8 * GiB)
      const event = createEventFd()
      ownFds.push(memory, large, event)
      const region = { fd: memory, guestAddress: 0n, userAddress: USER_BASE, bytes: 64 * MiB, fileOffset: 0n }
      const before = { fds: descriptors(), maps: mappings(), room: half.memory.guestBytesAvailable }
      const start = (frontEnd: FrontEnd, i: number) => {
        const used = i % 100 === 0 ? { ...region, fd: large, bytes: 8 * GiB } : region
        const messages: [string, Buffer, number[]][] = [
          ['SET_PROTOCOL_FEATURES', encode.u64(1n << 12n), []],
          ['SET_FEATURES', encode.u64(MODERN), []],
          ['SET_MEM_TABLE', FrontEnd.table([used]), [used.fd]],
          ['SET_VRING_NUM', encode.vringState(0, 256), []],
          ['SET_VRING_CALL', encode.u64(0n), [event]],
          ['SET_VRING_KICK', encode.u64(0n), [event]],
          ['SET_BACKEND_REQ_FD', Buffer.alloc(0), [event]],
        ]
        for (const [name, payload, fds] of messages) frontEnd.raw(encode.message(requestNumber(name), 0, payload), fds)
      }
      for (let i = 0; i < 1000; i++) {
        const frontEnd = connect()
        start(frontEnd, i)
        if (i % 3 > 0) await frontEnd.ask('GET_FEATURES')
        frontEnd.close()
        if (i % 3 > 1) await half.until(() => !facts().connected, 'the loss')
      }
      await half.until(() => !facts().connected, 'the last loss')
      assert.deepEqual({ fds: descriptors(), maps: mappings(), room: half.memory.guestBytesAvailable }, before)
      assert.equal(windows.used, 0)
      for (const fd of ownFds) closeFd(fd)
    }))
})

let kept: number | null = null
function createAndKeepEventFd(): number {
  kept = createEventFd()
  return kept
}

describe('guest memory', () => {
  const share = async (port: VhostPort, regions: GuestRegion[]) => {
    const frontEnd = port.connect()
    await frontEnd.negotiate()
    const status = await frontEnd.status(
      'SET_MEM_TABLE',
      FrontEnd.table(regions),
      regions.map(({ fd }) => fd),
    )
    return { frontEnd, status }
  }

  test('regions that overlap, wrap around, are empty or reach beyond their file are refused', () =>
    withPort({}, async (port) => {
      const fd = createMemfd('guest', 16 * MiB)
      const good = { fd, guestAddress: 0n, userAddress: USER_BASE, bytes: 4 * MiB, fileOffset: 0n }
      const bad: [string, GuestRegion[]][] = [
        ['same guest addresses', [good, { ...good, userAddress: USER_BASE + 0x1000_0000n }]],
        ['guest addresses overlap by a page', [good, { ...good, guestAddress: 0x3f_f000n, userAddress: USER_BASE * 2n }]],
        ['same user addresses', [good, { ...good, guestAddress: 0x1000_0000n }]],
        ['empty', [{ ...good, bytes: 0 }]],
        ['guest address wraps around', [{ ...good, guestAddress: 2n ** 64n - 4096n }]],
        ['user address wraps around', [{ ...good, userAddress: 2n ** 64n - 4096n }]],
        ['offset wraps around', [{ ...good, fileOffset: 2n ** 64n - 4096n }]],
        ['beyond the file', [{ ...good, fileOffset: 0xd0_0000n }]],
        ['larger than any file', [{ ...good, bytes: 2 ** 62 }]],
      ]
      const { frontEnd } = await share(port, [good])
      for (const [what, regions] of bad) {
        const status = await frontEnd.status('SET_MEM_TABLE', FrontEnd.table(regions), Array(regions.length).fill(fd))
        assert.equal(status, 1n, what)
        assert.equal(port.facts().memory.length, 1, `${what}: the last good table stays`)
      }
      closeFd(fd)
    }))

  test('a huge sparse region does not exhaust the region table', () =>
    withPort({}, async (port) => {
      const fd = createMemfd('guest', 300 * GiB)
      const { status } = await share(port, [{ fd, guestAddress: 0n, userAddress: USER_BASE, bytes: 300 * GiB, fileOffset: 0n }])
      assert.equal(status, 1n)
      assert.deepEqual(port.codes(), ['memory-too-many-regions'])
      assert.equal(port.windows.used, 0)
      closeFd(fd)
    }))

  test('a guest of 8 GiB uses the TypeScript engine and says why', () =>
    withPort({}, async (port) => {
      const frontEnd = port.connect()
      frontEnd.addMemory(8 * GiB)
      await frontEnd.setUp({ ringsAt: 0x1_4000_0000n })
      assert.equal(port.facts().engine, 'typescript')
      assert.match(port.facts().engineReason, /needs 8192 MiB/)
      assert.equal(port.half.windows.length, 8)
      assert.ok(port.half.windows.every(({ index, length }) => index >= 4 && length <= GiB))
      await passes(port, frontEnd)
    }))

  test('rings that cross a window border work', () =>
    withPort({}, async (port) => {
      const frontEnd = port.connect()
      frontEnd.addMemory(8 * GiB)
      // The second GiB begins inside the first ring's descriptors, and inside the used ring of another port's layout.
      await frontEnd.setUp({ ringsAt: 0x1_0000_0000n - 2048n })
      assert.ok(port.half.windows.length > 8)
      await passes(port, frontEnd)
    }))

  test('a region added later moves the whole guest to the other engine, and traffic goes on', () =>
    withPort({}, async (port) => {
      const frontEnd = await port.start()
      assert.equal(port.facts().engine, 'wasm')
      const more = frontEnd.addMemory(6 * GiB, 0x1_0000_0000n)
      await frontEnd.tell('ADD_MEM_REG', FrontEnd.region(more), [more.fd])
      assert.equal(port.facts().engine, 'typescript')
      await passes(port, frontEnd)
      await frontEnd.tell('REM_MEM_REG', FrontEnd.region(more))
      assert.equal(port.facts().engine, 'wasm')
      await passes(port, frontEnd)
      assert.equal(await frontEnd.status('REM_MEM_REG', FrontEnd.region(more)), 1n, 'it is gone')
    }))

  test('a table that fits only in place of the old one is put there', () =>
    withPort({}, async (port) => {
      const room = port.half.memory.guestBytesAvailable
      const bytes = 3 * GiB
      assert.ok(room < 2 * bytes)
      const fds = [createMemfd('guest', bytes), createMemfd('guest', bytes)] as const
      const region = { fd: fds[0], guestAddress: 0n, userAddress: USER_BASE, bytes, fileOffset: 0n }
      const { frontEnd, status } = await share(port, [region])
      assert.equal(status, 0n)
      await frontEnd.tell('SET_MEM_TABLE', FrontEnd.table([region]), [fds[1]])
      assert.equal(port.facts().engine, 'wasm')
      for (const fd of fds) closeFd(fd)
    }))

  test('moving a border between regions of one file maps nothing anew', () =>
    withPort({}, async (port) => {
      const fd = createMemfd('guest', 64 * MiB)
      const part = (from: number, to: number): GuestRegion => ({
        fd,
        guestAddress: BigInt(from),
        userAddress: USER_BASE + BigInt(from),
        bytes: to - from,
        fileOffset: BigInt(from),
      })
      const { frontEnd } = await share(port, [part(0, 0xa0000), part(0xc0000, 64 * MiB)])
      const room = port.half.memory.guestBytesAvailable
      for (const border of [0xc8000, 0xe0000, 0x100000]) {
        await frontEnd.tell('SET_MEM_TABLE', FrontEnd.table([part(0, 0xa0000), part(border, 64 * MiB)]), [fd, fd])
        assert.equal(port.half.memory.guestBytesAvailable, room)
        assert.equal(mappings(), 1)
      }
      closeFd(fd)
    }))

  test('the memory table removed under load stops the rings, harms nobody, and comes back', () =>
    withPort({}, async (port) => {
      const frontEnd = await port.start()
      let sent = 0
      for (let round = 0; round < 20; round++) {
        for (let i = 0; i < 10; i++) if (frontEnd.send(testFrame(100, sent))) sent++
        const emptied = frontEnd.tell('SET_MEM_TABLE', FrontEnd.table([]), [])
        while (port.facts().memory.length > 0) {
          port.half.take(3)
          port.half.deliver([testFrame(200, round)])
          await sleep(0)
        }
        await emptied
        assert.equal(port.half.linkUp, false)
        assert.equal(port.half.queues.length, 0)
        await frontEnd.share()
        assert.equal(port.half.linkUp, true)
        frontEnd.receive()
      }
      await port.half.until(() => port.half.inbox.length === sent, 'every frame of the guest')
      assert.deepEqual(port.codes(), [])
    }))

  test('a memory table that changes under load costs another port nothing', () =>
    withPort({}, (other) =>
      withPort({}, async (port) => {
        const changing = await port.start()
        const steady = await other.start()
        let sent = 0
        let heard = 0
        for (let round = 0; round < 30; round++) {
          const changed = round % 2 ? changing.share() : changing.tell('SET_MEM_TABLE', FrontEnd.table([]), [])
          for (let i = 0; i < 20; i++) {
            changing.send(testFrame(64, i))
            assert.ok(steady.send(testFrame(64 + (sent % 1000), sent++)))
            assert.equal(other.half.deliver([testFrame(64, heard)]), 1)
            if (port.half.queues.length > 0) port.half.deliver([testFrame(64, i)])
            port.half.take()
            other.half.take()
            await sleep(0)
            heard += steady.receive().length
          }
          await changed
        }
        await other.half.until(() => other.half.inbox.length === sent, 'every frame of the other port')
        assert.equal(heard, sent)
        assert.deepEqual(other.codes(), [])
      }),
    ))

  test('a ring outside its region, crossing its end, or misaligned is refused and not touched', () =>
    withPort({}, async (port) => {
      const frontEnd = await port.start()
      const ring = frontEnd.rings[0]!
      const end = BigInt(64 * MiB)
      const places: [string, bigint][] = [
        ['in no region', end + 0x1000n],
        ['across the end', end - 4080n],
        ['misaligned', ring.descriptors + 8n],
        ['wrapping around', 2n ** 64n - 4096n - USER_BASE],
      ]
      for (const [what, at] of places) {
        await frontEnd.stop(ring)
        await frontEnd.tell('SET_VRING_NUM', encode.vringState(0, 256))
        const addresses = frontEnd.addresses(ring)
        addresses.writeBigUInt64LE(BigInt.asUintN(64, USER_BASE + at), 8)
        await frontEnd.tell('SET_VRING_ADDR', addresses)
        assert.equal(await frontEnd.status('SET_VRING_KICK', encode.u64(0n), [ring.kick]), 1n, what)
        assert.equal(port.half.linkUp, false, what)
      }
      await frontEnd.stop(ring)
      await frontEnd.start(ring)
      await passes(port, frontEnd)
    }))
})
