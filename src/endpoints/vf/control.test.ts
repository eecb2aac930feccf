import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, openSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { DataHalf } from '../../../test/support/data-half.ts'
import { GUEST_BYTES, IgbvfDriver } from '../../../test/support/igbvf-driver.ts'
import * as r from '../../adapter/igbvf/registers.ts'
import { closeFd, createMemfd } from '../../linux/files.ts'
import { Command, Errno, FLAG_NO_REPLY, HEADER_BYTES, MESSAGE_MAX } from '../../vfio-user/messages.ts'
import { testFrame } from '../compliance-frames.ts'
import { VfEndpoint } from './control.ts'

const path = join(mkdtempSync(join(tmpdir(), 'vfc-')), 's')
let half: DataHalf
let control: VfEndpoint
let driver: IgbvfDriver

beforeEach(async () => {
  half = new DataHalf()
  control = new VfEndpoint({ port: 1, path, mac: '02:00:00:00:00:01', mtu: 1500, trusted: false, requireSeals: true }, half)
  await control.open()
  driver = IgbvfDriver.connect(path)
})

afterEach(async () => {
  driver.close()
  await control.close()
  half.close()
})

const index = (value: number, bytes: number): Buffer => {
  const payload = Buffer.alloc(bytes)
  payload.writeUInt32LE(bytes, 0)
  payload.writeUInt32LE(value, 8)
  return payload
}

test('a client is told regions, interrupts and versions as it expects them', async () => {
  const version = await driver.greet()
  assert.deepEqual([version.readUInt16LE(0), version.readUInt16LE(2), version.at(-1)], [0, 0, 0])
  assert.equal(JSON.parse(version.subarray(4, -1).toString()).capabilities.pgsizes, 4096)
  const info = await driver.tell(Command.deviceInfo, index(0, 16))
  assert.deepEqual([info.readUInt32LE(4), info.readUInt32LE(8), info.readUInt32LE(12)], [3, 9, 5])
  const sizes: number[] = []
  for (let i = 0; i < 9; i++) sizes.push(Number((await driver.tell(Command.regionInfo, index(i, 32))).readBigUInt64LE(16)))
  assert.deepEqual(sizes, [16384, 0, 0, 16384, 0, 0, 0, 4096, 0])
  const msix = await driver.tell(Command.irqInfo, index(2, 16))
  assert.deepEqual([msix.readUInt32LE(4), msix.readUInt32LE(12)], [1, 3])
  assert.equal((await driver.ask(Command.irqInfo, index(3, 16))).errno, Errno.invalid)
  assert.deepEqual(half.told, [], 'nothing of this is worth an event')
})

test('a second client is refused while one is there, and welcome when it is gone', async () => {
  await driver.greet()
  const second = IgbvfDriver.connect(path)
  assert.ok(await second.closes())
  second.close()
  driver.disconnect()
  await half.until(() => !(control.describe().connected as boolean), 'the first client to be gone')
  const third = IgbvfDriver.connect(path)
  await third.setUp({ maxFrame: 1522 })
  third.close()
})

test('the link follows the rings and the client', async () => {
  await driver.setUp({ maxFrame: 1522 })
  assert.equal(half.linkUp, true)
  driver.write(r.CTRL, r.CTRL_RST)
  await driver.read(r.STATUS)
  assert.equal(half.linkUp, false)
  await driver.startRings({ maxFrame: 1522 })
  assert.equal(half.linkUp, true)
  driver.disconnect()
  await half.until(() => !half.linkUp, 'the link to go down')
})

test('memory that overlaps, is cut in two, is no file or can shrink is refused; the rest stays', async () => {
  await driver.greet()
  await driver.tell(Command.dmaMap, IgbvfDriver.dmaMap(0x1000, 0x10000), [driver.memory])
  assert.equal((await driver.ask(Command.dmaMap, IgbvfDriver.dmaMap(0x2000, 0x1000), [driver.memory])).errno, Errno.exists)
  assert.notEqual((await driver.ask(Command.dmaMap, IgbvfDriver.dmaMap(0x100000, GUEST_BYTES + 1), [driver.memory])).errno, 0)
  const device = openSync('/dev/null', 'r+')
  assert.notEqual((await driver.ask(Command.dmaMap, IgbvfDriver.dmaMap(0x100000, 4096), [device])).errno, 0)
  closeFd(device)
  const cut = Buffer.alloc(24)
  cut.writeBigUInt64LE(0x1000n, 8)
  cut.writeBigUInt64LE(0x1000n, 16)
  assert.equal((await driver.ask(Command.dmaUnmap, cut)).errno, Errno.invalid)
  assert.equal((control.describe().memory as { regions: number }).regions, 1)
})

test('firmware that maps and unmaps pieces of one file costs no descriptors and no room', async () => {
  await driver.setUp({ maxFrame: 1522 })
  const descriptors = readdirSync('/proc/self/fd').length
  const room = half.memory.guestBytesAvailable
  const unmap = Buffer.alloc(24)
  unmap.writeBigUInt64LE(0x8000_0000n, 8)
  unmap.writeBigUInt64LE(0x1000n, 16)
  for (let i = 0; i < 100; i++) {
    await driver.tell(Command.dmaMap, IgbvfDriver.dmaMap(0x8000_0000, 0x1000, i % 2 === 0 ? 1 : 3, 0x1000 * i), [driver.memory])
    await driver.tell(Command.dmaUnmap, unmap)
  }
  assert.equal(readdirSync('/proc/self/fd').length, descriptors)
  assert.equal(half.memory.guestBytesAvailable, room)
})

test('too many regions are refused', async () => {
  await driver.greet()
  let refused = 0
  for (let i = 0; i < 140; i++)
    if ((await driver.ask(Command.dmaMap, IgbvfDriver.dmaMap(i * 8192, 4096), [driver.memory])).errno !== 0) refused++
  assert.equal(refused, 12)
})

test('accesses out of range and of odd sizes do nothing', async () => {
  await driver.setUp({ maxFrame: 1522 })
  for (const [region, offset, bytes] of [
    [0, 16384, 4],
    [0, 16382, 4],
    [7, 4096, 1],
    [7, 4095, 2],
    [1, 0, 4],
    [8, 0, 1],
    [99, 0, 4],
  ] as const)
    assert.equal((await driver.ask(Command.regionRead, IgbvfDriver.access(region, offset, bytes))).errno, Errno.invalid)
  const huge = IgbvfDriver.access(0, 0, 4)
  huge.writeBigUInt64LE(1n << 63n, 0)
  assert.equal((await driver.ask(Command.regionRead, huge)).errno, Errno.invalid)
  const odd = (await driver.tell(Command.regionRead, IgbvfDriver.access(0, r.STATUS, 2))).subarray(16)
  assert.deepEqual(odd, Buffer.alloc(2))
})

test('interrupt descriptors that are none, and vectors that do not exist, are refused', async () => {
  await driver.greet()
  assert.equal((await driver.ask(Command.setIrqs, IgbvfDriver.setIrqs(2, 2), driver.vectors.slice(0, 2))).errno, Errno.invalid)
  assert.equal((await driver.ask(Command.setIrqs, IgbvfDriver.setIrqs(0xffff_ffff, 1), [])).errno, Errno.invalid)
  const file = createMemfd('no-event', 4096)
  assert.equal((await driver.ask(Command.setIrqs, IgbvfDriver.setIrqs(0, 1), [file])).errno, Errno.invalid)
  closeFd(file)
  assert.equal((await driver.ask(Command.setIrqs, IgbvfDriver.setIrqs(0, 1), [])).errno, 0, 'a vector without an eventfd')
})

test('messages in pieces and many in one piece are served in order, with their descriptors', async () => {
  await driver.greet()
  const message = IgbvfDriver.message(Command.dmaMap, IgbvfDriver.dmaMap(0, 4096), 0, 1)
  driver.raw(message.subarray(0, 5), [driver.memory])
  await sleep(5)
  driver.raw(Buffer.concat([message.subarray(5), IgbvfDriver.message(Command.reset, Buffer.alloc(0), FLAG_NO_REPLY, 2)]))
  const answer = await driver.ask(Command.deviceInfo, index(0, 16))
  assert.equal(answer.command, Command.dmaMap)
  assert.equal((control.describe().memory as { regions: number }).regions, 1)
})

test('whatever bytes a client sends, it loses its connection at the most', async () => {
  const descriptors = readdirSync('/proc/self/fd').length
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 16 }), fc.uint8Array({ maxLength: 80 }), fc.boolean()), { maxLength: 12 }),
      fc.boolean(),
      async (messages, greeted) => {
        driver.close()
        await half.until(() => !(control.describe().connected as boolean), 'the last client to be gone')
        driver = IgbvfDriver.connect(path)
        if (greeted) await driver.greet()
        try {
          for (const [command, payload, withFd] of messages)
            driver.raw(IgbvfDriver.message(command, payload), withFd ? [driver.vectors[0]!] : [])
        } catch {
          // The server has closed already.
        }
        await sleep(0)
      },
    ),
    { numRuns: 150 },
  )
  driver.close()
  driver = IgbvfDriver.connect(path)
  await half.until(() => control.describe().connected as boolean, 'the next client')
  await driver.setUp({ maxFrame: 1522 })
  assert.equal(driver.send(testFrame(64, 1)), true)
  await half.until(() => half.inbox.length > 0, 'a frame')
  assert.ok(readdirSync('/proc/self/fd').length <= descriptors + 6)
})

test('a message larger than allowed ends the connection', async () => {
  await driver.greet()
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt16LE(Command.regionWrite, 2)
  header.writeUInt32LE(MESSAGE_MAX + 1, 4)
  driver.raw(header)
  assert.ok(await driver.closes())
  assert.match(half.told.at(-1)!.message, /announces/)
})

test('the physical function reaches the same configuration space, and resets this function', async () => {
  await driver.setUp({ maxFrame: 1522 })
  const id = new Uint8Array(4)
  assert.ok(control.function.readConfig(0, id))
  assert.deepEqual(Buffer.from(id), await driver.readConfig(0, 4))
  control.function.reset('owner')
  assert.equal(half.linkUp, false)
  assert.equal(control.describe().lastReset, 'owner')
})

test('a client that outlives its server is told of by the next one, until it is gone or connects again', async () => {
  await driver.greet()
  driver.disconnect()
  await half.until(() => control.describe().connected === false, 'the client is gone')
  const open = async (): Promise<IgbvfDriver> => {
    const client = IgbvfDriver.connect(path)
    await client.greet()
    return client
  }
  const restart = async (): Promise<string[]> => {
    await control.close()
    half.told.length = 0
    await control.open()
    return half.told.map(({ code, message }) => `${code}: ${message}`)
  }
  assert.deepEqual(await restart(), [], 'nobody was connected')

  const first = await open()
  assert.equal(control.describe().orphan, null)
  const [told] = await restart()
  assert.match(told!, new RegExp(`^client-lost: .*process ${process.pid} was connected`))
  assert.match(told!, /unbind/)
  assert.equal(control.describe().orphan, process.pid)

  const second = await open()
  assert.equal(control.describe().orphan, null)
  second.close()
  await half.until(() => control.describe().connected === false, 'the client is gone')
  assert.equal(control.describe().orphan, null)
  assert.deepEqual(await restart(), [], 'it left by itself')
  first.close()

  // A number that another process has now, or nobody.
  for (const [pid, started] of [
    [process.pid, '1'],
    [2 ** 22 + 1, '1'],
  ] as const) {
    writeFileSync(`${path}.client`, JSON.stringify({ pid, started }))
    assert.deepEqual(await restart(), [])
    assert.equal(existsSync(`${path}.client`), false)
  }
})
