import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { FrontEnd, MODERN } from '../../../test/support/vhost-front-end.ts'
import { passes, withPort } from '../../../test/support/vhost-port.ts'
import { closeFd } from '../../linux/files.ts'
import { MEMORY_SLOTS_MAX } from '../../vhost-user/back-end.ts'
import { encode, FLAG_NEED_REPLY, FLAG_REPLY, requestNumber } from '../../vhost-user/messages.ts'
import { featureMask, offeredFeatures } from '../../virtio/features.ts'
import { testFrame } from '../compliance-frames.ts'

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
