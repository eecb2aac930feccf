import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { temporaryDirectory } from '../../../test/support/temp-dir.ts'
import { FrontEnd, type GuestRegion, MODERN, USER_BASE } from '../../../test/support/vhost-front-end.ts'
import { type VhostPort, withPort } from '../../../test/support/vhost-port.ts'
import { closeFd, createEventFd, createMemfd, openFile, sealsOf } from '../../linux/files.ts'
import { sys } from '../../linux/libc.ts'
import { openSocketPair, SocketType } from '../../linux/sockets.ts'
import { MEMORY_SLOTS_MAX } from '../../vhost-user/back-end.ts'
import { encode, FLAG_NEED_REPLY, FLAG_REPLY, requestNumber } from '../../vhost-user/messages.ts'
import { featureMask, offeredFeatures } from '../../virtio/features.ts'
import { testFrame } from '../compliance-frames.ts'

const MiB = 2 ** 20
const GiB = 2 ** 30
const directory = temporaryDirectory()

const descriptors = () => readdirSync('/proc/self/fd').length
/** Mappings of guest memory in this process. */
const mappings = () => readFileSync('/proc/self/maps', 'utf8').match(/memfd:guest/g)?.length ?? 0

/** Frames pass in both directions. */
async function passes({ half }: VhostPort, frontEnd: FrontEnd): Promise<void> {
  half.inbox.length = 0
  assert.ok(frontEnd.send(testFrame(1500, 7)))
  await half.until(() => half.inbox.length > 0, 'a frame of the guest')
  assert.deepEqual(half.inbox[0]!.bytes, testFrame(1500, 7))
  assert.equal(half.deliver([testFrame(3000, 8)]), 1)
  assert.deepEqual(frontEnd.receive(), [testFrame(3000, 8)])
}

describe('negotiation', () => {
  test('what is offered and what can be had agree, and status shows it by name', () =>
    withPort({ queuePairsMax: 4, mtu: 9000 }, async ({ connect, facts, announced, half }) => {
      const frontEnd = connect()
      assert.equal(await frontEnd.negotiate(), offeredFeatures(4))
      assert.ok(facts().features.includes('eventIndex'))
      assert.equal((await frontEnd.ask('GET_QUEUE_NUM')).payload.readBigUInt64LE(), 4n)
      assert.equal((await frontEnd.ask('GET_MAX_MEM_SLOTS')).payload.readBigUInt64LE(), BigInt(MEMORY_SLOTS_MAX))
      await frontEnd.tell('NET_SET_MTU', encode.u64(9000n))
      assert.equal(facts().mtu, 9000)
      for (const mtu of [67n, 9001n, 1n << 40n]) assert.equal(await frontEnd.status('NET_SET_MTU', encode.u64(mtu)), 1n, `${mtu}`)
      await frontEnd.tell('SET_STATUS', encode.u64(15n))
      assert.equal((await frontEnd.ask('GET_STATUS')).payload.readBigUInt64LE(), 15n)
      await frontEnd.tell('SEND_RARP', Buffer.from('5254000000010000', 'hex'))
      assert.deepEqual(announced, ['525400000001'])
      assert.ok(half.told.every(({ code }) => code === 'mtu'))
    }))

  test('features that were not offered are refused and leave FEATURES_OK unset', () =>
    withPort({}, async ({ connect, codes }) => {
      const frontEnd = connect()
      await frontEnd.negotiate()
      await frontEnd.tell('SET_STATUS', encode.u64(11n))
      for (const name of ['multiQueue', 'controlQueue', 'iommuPlatform'] as const)
        assert.equal(await frontEnd.status('SET_FEATURES', encode.u64(MODERN | featureMask(name))), 1n, name)
      assert.equal((await frontEnd.ask('GET_STATUS')).payload.readBigUInt64LE(), 3n)
      assert.equal(await frontEnd.status('SET_PROTOCOL_FEATURES', encode.u64(1n << 63n)), 1n)
      assert.deepEqual(codes(), ['features', 'features', 'features', 'protocol-features'])
    }))

  test('a driver with the 10-byte header is told why its rings do not start', () =>
    withPort({}, async ({ connect, half, facts }) => {
      const frontEnd = connect()
      await assert.rejects(frontEnd.setUp({ features: featureMask('csum', 'protocolFeatures') }), /SET_VRING_KICK was refused/)
      assert.equal(half.told.at(-1)!.code, 'ring-refused')
      assert.match(half.told.at(-1)!.message, /10-byte header is not supported: use a modern driver/)
      assert.match(facts().rings[0]!.problem!, /10-byte/)
    }))

  test('without protocol features, rings are enabled from the start and nothing is acknowledged', () =>
    withPort({}, async (port) => {
      const frontEnd = await port.start({ features: MODERN & ~featureMask('protocolFeatures'), protocolFeatures: 0n })
      await passes(port, frontEnd)
    }))

  test('the ring format can not change under a started ring, the dirty log can', () =>
    withPort({}, async (port) => {
      const frontEnd = await port.start()
      assert.equal(await frontEnd.status('SET_FEATURES', encode.u64(MODERN | featureMask('packed'))), 1n)
      await frontEnd.tell('SET_FEATURES', encode.u64(MODERN | featureMask('logAll')))
      await passes(port, frontEnd)
    }))
})

describe('messages', () => {
  const brokenOff = async (send: (frontEnd: FrontEnd) => void) =>
    withPort({}, async (port) => {
      const bad = port.connect()
      send(bad)
      assert.ok(await bad.closes(), 'the connection lives on')
      assert.deepEqual(port.codes(), ['connection-dropped'])
      bad.close()
      await passes(port, await port.start()) // the port serves the next one
    })

  test('a message that ends in its header or payload harms nothing', () =>
    withPort({}, async (port) => {
      const whole = encode.message(requestNumber('SET_VRING_ADDR'), 0, Buffer.alloc(40))
      for (const length of [1, 11, 12, 13, 51]) {
        const frontEnd = port.connect()
        frontEnd.raw(whole.subarray(0, length))
        await sleep(5)
        frontEnd.close()
        await port.half.until(() => !port.facts().connected, 'the loss')
      }
      assert.deepEqual(port.codes(), Array(5).fill('connection-dropped'))
      await passes(port, await port.start())
    }))

  test('a message that comes byte by byte is understood', () =>
    withPort({}, async ({ connect }) => {
      const frontEnd = connect()
      for (const byte of encode.message(requestNumber('GET_FEATURES'), 0, Buffer.alloc(0))) {
        frontEnd.raw(Uint8Array.of(byte))
        await sleep(1)
      }
      assert.equal((await frontEnd.reply()).payload.readBigUInt64LE(), offeredFeatures(1))
    }))

  test('many messages in one write are answered in order', () =>
    withPort({}, async ({ connect }) => {
      const frontEnd = connect()
      const names = Array.from({ length: 200 }, (_, i) => (i % 2 ? 'GET_FEATURES' : 'GET_PROTOCOL_FEATURES'))
      frontEnd.raw(Buffer.concat(names.map((name) => encode.message(requestNumber(name), 0, Buffer.alloc(0)))))
      for (const name of names) assert.equal((await frontEnd.reply()).request, requestNumber(name))
    }))

  test('a wrong version ends the connection', () =>
    brokenOff((frontEnd) => {
      const message = encode.message(1, 0, Buffer.alloc(0))
      message.writeUInt32LE(3, 4)
      frontEnd.raw(message)
    }))

  test('a reply nobody asked for ends the connection', () =>
    brokenOff((frontEnd) => frontEnd.raw(encode.message(1, FLAG_REPLY, Buffer.alloc(0)))))

  test('an announced payload of 4 GiB ends the connection and is not waited for', () =>
    brokenOff((frontEnd) => {
      const message = encode.message(2, 0, Buffer.alloc(0))
      message.writeUInt32LE(0xffff_ffff, 8)
      frontEnd.raw(message)
    }))

  test('an unknown request is refused if an answer is wanted, else ignored; both make an event', () =>
    withPort({}, async ({ connect, codes }) => {
      const frontEnd = connect()
      await frontEnd.negotiate()
      frontEnd.raw(encode.message(77, FLAG_NEED_REPLY, Buffer.alloc(20)))
      assert.equal((await frontEnd.reply()).payload.readBigUInt64LE(), 1n)
      frontEnd.raw(encode.message(78, 0, Buffer.alloc(20)))
      assert.equal((await frontEnd.ask('GET_FEATURES')).payload.length, 8)
      assert.deepEqual(codes(), ['vhost-user-refused', 'vhost-user-refused'])
    }))

  test('a front-end that is refused again and again is let go', () =>
    withPort({}, async ({ connect }) => {
      const frontEnd = connect()
      for (let i = 0; i < 300; i++) frontEnd.raw(encode.message(77, 0, Buffer.alloc(0)))
      assert.ok(await frontEnd.closes())
    }))

  test('a front-end that never reads its answers blocks nobody and costs no memory', () =>
    withPort({}, async ({ connect, half }) => {
      const frontEnd = connect()
      const flood = Buffer.concat(Array.from({ length: 1000 }, () => encode.message(1, 0, Buffer.alloc(0))))
      let written = 0
      await half.until(() => {
        try {
          frontEnd.raw(flood)
        } catch {}
        return ++written > 500
      }, 'the flood')
      for (let i = 0; i < 10; i++) assert.equal((await frontEnd.reply()).request, 1)
    }))

  test('queues that the port does not have, and sizes that no ring has, are refused', () =>
    withPort({}, async ({ connect, codes }) => {
      const frontEnd = connect()
      await frontEnd.negotiate()
      for (const name of ['SET_VRING_NUM', 'SET_VRING_BASE', 'SET_VRING_ENABLE'])
        for (const index of [2, 255, 0xffff_ffff]) assert.equal(await frontEnd.status(name, encode.vringState(index, 1)), 1n)
      for (const size of [0, 32769, 0xffff_ffff])
        assert.equal(await frontEnd.status('SET_VRING_NUM', encode.vringState(0, size)), 1n)
      assert.equal(new Set(codes()).size, 2)
      frontEnd.raw(encode.message(requestNumber('GET_VRING_BASE'), 0, encode.vringState(2, 0)))
      assert.ok(await frontEnd.closes(), 'a question that has no answer')
    }))
})

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

describe('connections', () => {
  test('a second front-end is refused with an event, the first one is not disturbed', () =>
    withPort({}, async (port) => {
      const first = await port.start()
      const second = port.connect()
      assert.ok(await second.closes())
      assert.deepEqual(port.codes(), ['second-connection'])
      await passes(port, first)
    }))

  test('a front-end that comes back is served with what it says, not with what was', () =>
    withPort({}, async (port) => {
      for (const packed of [false, true, false]) {
        const frontEnd = await port.start({ packed })
        await passes(port, frontEnd)
        frontEnd.disconnect()
        await port.half.until(() => !port.half.linkUp, 'the loss')
        assert.equal(port.facts().memory.length, 0)
      }
    }))

  test('a switch that restarts goes on where the rings stand, in both formats', async () => {
    for (const packed of [false, true])
      await withPort({ mode: 'client' }, async (port) => {
        const first = await FrontEnd.listen(port.path)
        await first.setUp({ packed, size: 16 })
        const inflight = Buffer.alloc(24)
        inflight.writeUInt16LE(2, 16)
        inflight.writeUInt16LE(16, 18)
        const region = await first.ask('GET_INFLIGHT_FD', inflight)
        assert.equal(region.fds.length, 1)
        for (let i = 0; i < 21; i++) {
          first.send(testFrame(64, i))
          await port.half.until(() => port.half.inbox.length === i + 1, 'a frame')
        }
        const list = await first.status('SET_STATUS', encode.u64(15n))
        assert.equal(list, 0n)
        first.disconnect() // the back-end's process dies; QEMU keeps guest, rings and the in-flight region
        const second = await FrontEnd.listen(port.path)
        await second.negotiate(packed ? MODERN | featureMask('packed') : MODERN)
        await second.tell('SET_INFLIGHT_FD', region.payload, [...region.fds])
        second.regions = first.regions
        await second.share()
        for (const ring of first.rings) await second.start(ring)
        for (const ring of first.rings) await second.tell('SET_VRING_ENABLE', encode.vringState(ring.index, 1))
        second.rings = first.rings
        await passes(port, second)
        second.disconnect()
        for (const fd of region.fds) closeFd(fd)
        first.close()
      })
  })

  test('a client goes on trying until its front-end listens, and again after a loss, and tells of it once', () =>
    withPort({ mode: 'client' }, async (port) => {
      await sleep(30)
      assert.deepEqual(port.codes(), ['connect-failed'])
      for (let round = 0; round < 3; round++) {
        const frontEnd = await FrontEnd.listen(port.path)
        await frontEnd.setUp()
        await passes(port, frontEnd)
        frontEnd.close()
        await port.half.until(() => !port.half.linkUp, 'the loss')
      }
    }))

  test('rings can be set up anew without having been stopped', () =>
    withPort({}, async (port) => {
      const frontEnd = await port.start()
      await passes(port, frontEnd)
      await frontEnd.tell('RESET_OWNER') // what some front-ends send at a guest's reboot
      assert.equal(port.half.linkUp, false)
      for (const ring of frontEnd.rings) await frontEnd.start(ring)
      for (const ring of frontEnd.rings) await frontEnd.tell('SET_VRING_ENABLE', encode.vringState(ring.index, 1))
      await passes(port, frontEnd)
      for (const ring of frontEnd.rings) await frontEnd.start(ring)
      await passes(port, frontEnd)
    }))

  test('RESET_DEVICE and a status of 0 stop the rings', () =>
    withPort({}, async (port) => {
      const frontEnd = await port.start()
      await frontEnd.tell('SET_STATUS', encode.u64(0n))
      assert.equal(port.half.linkUp, false)
      for (const ring of frontEnd.rings) await frontEnd.start(ring)
      assert.equal(port.half.linkUp, true)
      await frontEnd.tell('RESET_DEVICE')
      assert.equal(port.half.linkUp, false)
      assert.deepEqual(port.facts().features, [])
      assert.equal(port.facts().memory.length, 1)
    }))
})
