import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { DataHalf } from '../../../test/support/data-half.ts'
import { temporaryDirectory } from '../../../test/support/temp-dir.ts'
import { readPcapng } from '../../packet/pcapng-reader.ts'
import { testFrame } from '../compliance-frames.ts'
import { readCapture } from './capture-file.ts'
import { PcapEndpoint, type PcapOptions } from './pcap-endpoint.ts'

const directory = temporaryDirectory()

/** A pcap file; frames are [milliseconds, bytes, bytes kept]. */
function pcap(frames: readonly (readonly [number, Buffer, number?])[], little = true, nano = false): Buffer {
  const put = (buffer: Buffer, values: readonly number[]): Buffer => {
    for (const [i, value] of values.entries()) little ? buffer.writeUInt32LE(value, i * 4) : buffer.writeUInt32BE(value, i * 4)
    return buffer
  }
  const head = put(Buffer.alloc(24), [nano ? 0xa1b23c4d : 0xa1b2c3d4, 0, 0, 0, 65535, 1])
  return Buffer.concat([
    head,
    ...frames.flatMap(([ms, frame, kept = frame.length]) => [
      put(Buffer.alloc(16), [Math.floor(ms / 1000), (ms % 1000) * (nano ? 1e6 : 1e3), kept, frame.length]),
      frame.subarray(0, kept),
    ]),
  ])
}

const frames = [60, 1514, 9014, 14].map((length, i) => testFrame(length, i))

async function withPcap(
  options: Omit<PcapOptions, 'port'>,
  run: (half: DataHalf, control: PcapEndpoint) => Promise<void>,
): Promise<void> {
  const half = new DataHalf()
  const control = new PcapEndpoint({ port: 3, delayMs: 0, ...options }, { memory: half.memory, events: half.events })
  try {
    await control.open()
    await run(half, control)
  } finally {
    await control.close()
    half.close()
  }
}

describe('capture files', () => {
  test('are read in both byte orders and with both resolutions, times counted from the first frame', () => {
    for (const little of [true, false])
      for (const nano of [true, false]) {
        const capture = readCapture(
          pcap(
            [
              [5000, frames[0]!],
              [5250, frames[1]!],
            ],
            little,
            nano,
          ),
        )
        assert.deepEqual(
          capture.frames.map(({ timeMs, data }) => [timeMs, Buffer.from(data)]),
          [
            [0, frames[0]],
            [250, frames[1]],
          ],
        )
      }
  })

  test('give up cut frames, and say how many', () => {
    const capture = readCapture(
      pcap([
        [0, frames[1]!, 96],
        [1, frames[0]!],
      ]),
    )
    assert.equal(capture.frames.length, 1)
    assert.equal(capture.leftOut, 1)
  })

  test('whatever the bytes, reading ends with frames or with an error that says where', () => {
    const whole = pcap(frames.map((frame, i) => [i, frame] as const))
    fc.assert(
      fc.property(fc.nat(whole.length), fc.nat(whole.length - 1), fc.nat(255), (end, at, value) => {
        const bytes = Buffer.from(whole)
        bytes[at] = value
        try {
          readCapture(bytes.subarray(0, end))
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'bad-capture')
        }
      }),
    )
  })
})

describe('pcap endpoint', () => {
  const file = join(directory, 'in.pcap')
  const arrived = (half: DataHalf): Buffer[] => half.inbox.map(({ bytes }) => bytes)

  test('sends the frames of a file in order, and says when it is through', async () => {
    writeFileSync(file, pcap(frames.map((frame, i) => [i * 20, frame] as const)))
    for (const speed of ['original', 'fastest', 1000] as const)
      await withPcap({ replay: file, speed }, async (half, control) => {
        await half.until(() => half.told.some(({ code }) => code === 'replay-ended'), 'the end')
        await half.until(() => half.inbox.length === frames.length, 'all frames')
        assert.deepEqual(arrived(half), frames)
        assert.equal(control.describe().sent, frames.length)
      })
  })

  test('does not send a frame before its time', async () => {
    writeFileSync(
      file,
      pcap([
        [0, frames[0]!],
        [3_600_000, frames[1]!],
      ]),
    )
    await withPcap({ replay: file }, async (half) => {
      await half.until(() => half.inbox.length === 1, 'the first frame')
      for (let i = 0; i < 20; i++) await half.until(() => true, '')
      assert.equal(half.inbox.length, 1)
    })
  })

  test('begins anew where it is asked to, and gives way to a switch that takes nothing', async () => {
    const many = Array.from({ length: 3000 }, (_, i) => testFrame(1000, i))
    writeFileSync(file, pcap(many.map((frame) => [0, frame] as const)))
    await withPcap({ replay: file, speed: 'fastest', loop: true }, async (half) => {
      await half.until(() => half.inbox.length > 2 * many.length, 'two rounds')
      for (let i = 0; i < 2 * many.length; i++) assert.ok(arrived(half)[i]!.equals(many[i % many.length]!), `frame ${i}`)
    })
  })

  test('records what the switch sends, for other programs to read and to be sent again', async () => {
    const record = join(directory, 'out.pcapng')
    await withPcap({ record }, async (half, control) => {
      assert.equal(half.deliver(frames, { segments: 2 }), frames.length)
      await half.until(() => control.describe().recorded === frames.length, 'the recording')
    })
    const { packets } = readPcapng(readFileSync(record))
    assert.deepEqual(
      packets.map(({ data }) => Buffer.from(data)),
      frames,
    )
    await withPcap({ replay: record, speed: 'fastest' }, async (half) => {
      await half.until(() => half.inbox.length === frames.length, 'all frames')
      assert.deepEqual(arrived(half), frames)
    })
  })

  test('a file that is not there, or no capture, is refused, and everything is given back', async () => {
    const half = new DataHalf()
    const room = half.memory.controlBytesAvailable
    const open = (replay: string): Promise<void> =>
      new PcapEndpoint({ port: 3, replay }, { memory: half.memory, events: half.events }).open()
    await assert.rejects(open(join(directory, 'nothing')), /ENOENT.*nothing/)
    writeFileSync(file, 'no capture, but long enough to look like one')
    await assert.rejects(open(file), /not a pcapng capture/)
    assert.equal(half.memory.controlBytesAvailable, room)
    half.close()
  })
})
