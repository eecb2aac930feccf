import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { DataHalf, testMemory } from '../../../test/support/data-half.ts'
import { FRAME_MAX, OFFLOAD_CHECKSUM, OFFLOAD_TSO4, VNET_HEADER, VNET_NEEDS_CSUM } from '../../kernels/layout.ts'
import { closeFd, createEventFd } from '../../linux/files.ts'
import { testFrame } from '../compliance-frames.ts'
import { entryFrame, RING_BYTES_MIN, RingReader, RingWriter, ringMemory } from './frame-ring.ts'
import { MemoryEndpoint, type MemoryOptions } from './memory-endpoint.ts'

async function withEndpoint(
  options: Omit<MemoryOptions, 'port'>,
  run: (half: DataHalf, control: MemoryEndpoint) => Promise<void>,
): Promise<void> {
  const half = new DataHalf()
  const control = new MemoryEndpoint({ port: 1, ...options }, { memory: half.memory, events: half.events })
  await control.open()
  try {
    await run(half, control)
  } finally {
    await control.close()
    half.close()
  }
}

// Echoes every frame with its first byte counted up, on another thread.
const ECHO = `
  const { workerData, parentPort } = require('node:worker_threads')
  Promise.all([import(workerData.peer), import(workerData.memory)]).then(([{ MemoryPeer }, { SharedMemory }]) => {
    const peer = new MemoryPeer(SharedMemory.attach(workerData.shared), workerData.handle)
    peer.onFrame((frame) => { frame[0]++; while (!peer.send(frame)); })
    parentPort.once('message', () => peer.close())
    parentPort.postMessage('ready')
  })`

describe('memory peer', () => {
  test('works on another thread and is woken there', () =>
    withEndpoint({}, async (half, control) => {
      const worker = new Worker(ECHO, {
        eval: true,
        workerData: {
          shared: half.memory.handle,
          handle: control.handle(),
          peer: new URL('./memory-peer.ts', import.meta.url).href,
          memory: new URL('../../linux/shared-memory.ts', import.meta.url).href,
        },
      })
      await new Promise((resolve) => worker.once('message', resolve))
      for (let i = 0; i < 100; i++) {
        assert.equal(half.deliver([testFrame(60 + i * 13, i)]), 1)
        await half.until(() => half.inbox.length === i + 1, `echo ${i}`)
        const expected = testFrame(60 + i * 13, i)
        expected[0]!++
        assert.ok(half.inbox[i]!.bytes.equals(expected))
      }
      worker.postMessage('close')
      await new Promise((resolve) => worker.once('exit', resolve))
    }))

  test('onFrame hears what came before and after it was asked for', () =>
    withEndpoint({}, async (half, control) => {
      const peer = control.peer()
      const heard: number[] = []
      half.deliver([testFrame(60, 1)])
      peer.onFrame((frame) => heard.push(frame.length))
      assert.deepEqual(heard, [60])
      half.deliver([testFrame(61, 1), testFrame(62, 2)])
      await half.until(() => heard.length === 3, 'the later frames')
      assert.deepEqual(heard, [60, 61, 62])
      peer.close()
    }))

  test('an endpoint that takes offloads passes them as metadata in both directions', () =>
    withEndpoint({ offloads: OFFLOAD_CHECKSUM | OFFLOAD_TSO4 }, async (half, control) => {
      const peer = control.peer()
      const vnet = Buffer.alloc(VNET_HEADER)
      vnet[0] = VNET_NEEDS_CSUM
      vnet.writeUInt16LE(50, 6)
      vnet.writeUInt16LE(16, 8)
      assert.equal(half.queue().offloads, OFFLOAD_CHECKSUM | OFFLOAD_TSO4)
      half.deliver([testFrame(200, 1)], { vnet })
      assert.ok(peer.receive())
      assert.ok(Buffer.from(peer.vnet).equals(vnet))
      peer.send(testFrame(200, 2), vnet)
      half.take()
      assert.equal(half.inbox[0]!.needs, OFFLOAD_CHECKSUM)
      assert.ok(half.inbox[0]!.vnet.equals(vnet))
    }))

  test('a frame longer than any is refused where it is sent', () =>
    withEndpoint({}, async (_half, control) => {
      assert.throws(() => control.peer().send(Buffer.alloc(FRAME_MAX + 1)), RangeError)
    }))
})

describe('frame ring', () => {
  const memory = testMemory()
  const withRing = (run: (writer: RingWriter, reader: RingReader) => void): void => {
    const plan = { at: memory.allocate(ringMemory(RING_BYTES_MIN)), capacity: RING_BYTES_MIN, doorbell: createEventFd() }
    try {
      run(new RingWriter(memory, plan), new RingReader(memory, plan))
    } finally {
      closeFd(plan.doorbell)
      memory.free(plan.at, ringMemory(RING_BYTES_MIN))
    }
  }

  test('keeps every frame in order, whatever the lengths and the interleaving', () => {
    const steps = fc.array(fc.oneof(fc.nat(FRAME_MAX), fc.nat(2000), fc.constant(-1)), { maxLength: 300 })
    fc.assert(
      fc.property(steps, (lengths) =>
        withRing((writer, reader) => {
          const sent: number[] = []
          for (const length of lengths) {
            const entry = length < 0 ? 0 : writer.reserve(length)
            if (entry !== 0) {
              memory.u8.fill(length & 0xff, entryFrame(entry), entryFrame(entry) + length)
              writer.publish()
              sent.push(length)
              continue
            }
            const got = reader.next() // the ring is full, or it is the reader's turn
            if (got === 0) assert.equal(sent.length, 0)
            else {
              const expected = sent.shift()!
              assert.equal(reader.length, expected)
              const frame = memory.u8.subarray(entryFrame(got), entryFrame(got) + expected)
              assert.ok(frame.every((byte) => byte === (expected & 0xff)))
              reader.release()
            }
          }
        }),
      ),
      { numRuns: 60 },
    )
  })

  test('a ring that holds nonsense is read no further', () =>
    withRing((writer, reader) => {
      const entry = writer.reserve(100)
      memory.u32[entry >> 2] = FRAME_MAX + 1
      writer.publish()
      assert.equal(reader.next(), 0)
      assert.ok(reader.broken)
    }))
})
