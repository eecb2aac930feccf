import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VNET_HEADER } from '../../kernels/layout.ts'
import { closeFd, createEventFd } from '../../linux/files.ts'
import { DriverRing, RING_BYTES, RING_SIZE } from './driver-ring.ts'

/** A ring, and its device's half done by hand. */
function ring(context: { after(work: () => void): void }) {
  const memory = new ArrayBuffer(RING_BYTES)
  const kick = createEventFd()
  context.after(() => closeFd(kick))
  const driver = new DriverRing(memory, 0, kick)
  const view = new DataView(memory)
  let used = 0
  return {
    driver,
    view,
    memory,
    available: (): number => view.getUint16(driver.driver + 2, true),
    head: (n: number): number => view.getUint16(driver.driver + 4 + 2 * (n % RING_SIZE), true),
    use(id: number, bytes: number): void {
      const at = driver.device + 4 + 8 * (used % RING_SIZE)
      view.setUint32(at, id, true)
      view.setUint32(at + 4, bytes, true)
      view.setUint16(driver.device + 2, ++used & 0xffff, true)
    },
  }
}

test('frames are lent until the ring is full, and again when the device has used them', (context) => {
  const { driver, use, head, available } = ring(context)
  for (let i = 0; i < RING_SIZE; i++) assert.ok(driver.send(Buffer.from([i & 255])))
  assert.equal(driver.send(Buffer.from([0])), false)
  assert.equal(available(), RING_SIZE)
  use(head(0), 0)
  assert.ok(driver.send(Buffer.from([1])))
  assert.equal(driver.lent, RING_SIZE)
})

test('a frame that no buffer holds is refused, and nothing of the next buffer is touched', (context) => {
  const { driver, available, memory } = ring(context)
  const longest = 2048 - VNET_HEADER
  const before = Buffer.from(memory.slice(0))
  assert.throws(() => driver.send(Buffer.alloc(longest + 1, 1)), { name: 'RangeError', message: /at most 2036 bytes, not 2037/ })
  assert.equal(available(), 0)
  assert.ok(before.equals(Buffer.from(memory)))
  assert.ok(driver.send(Buffer.alloc(longest, 1)))
})

test('received frames come without their header, and their buffers are lent again', (context) => {
  const { driver, view, memory, head, use, available } = ring(context)
  driver.offer()
  const id = head(0)
  const at = Number(view.getBigUint64(driver.descriptors + 16 * id, true))
  new Uint8Array(memory).set(Buffer.from('frame'), at + VNET_HEADER)
  use(id, VNET_HEADER + 5)
  const frames: string[] = []
  assert.equal(
    driver.receive((frame) => frames.push(frame.toString())),
    1,
  )
  assert.deepEqual(frames, ['frame'])
  assert.equal(available(), RING_SIZE + 1)
})

test('a device that gives back what it does not have, or more than fits, is found out', (context) => {
  for (const [id, bytes] of [
    [RING_SIZE, 64],
    [0xffff_ffff, 64],
    [5, 4096],
  ] as const) {
    const { driver, use } = ring(context)
    driver.offer()
    use(id, bytes)
    assert.throws(() => driver.receive(() => {}), { code: 'link-failed' })
  }
  const { driver, use, head } = ring(context)
  driver.offer()
  const id = head(0)
  use(id, 20)
  driver.receive(() => {}, false)
  use(id, 20)
  assert.throws(() => driver.receive(() => {}), { code: 'link-failed' })
})
