import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { closeFd, createEventFd } from '../linux/files.ts'
import { SinkReader, SinkWriter, sinkRingBytes } from './sink-ring.ts'

const BYTES = 4096

function bench(bytes = BYTES) {
  const buffer = new SharedArrayBuffer(sinkRingBytes(bytes))
  const doorbell = createEventFd()
  const records: [Buffer, boolean][] = []
  const writer = new SinkWriter(buffer, 0, bytes, doorbell)
  const reader = new SinkReader(buffer, 0, bytes, doorbell, (record, preamble) => records.push([Buffer.from(record), preamble]))
  const close = (): void => {
    reader.close()
    closeFd(doorbell)
  }
  return { writer, reader, records, close, words: new Int32Array(buffer, 0, 4) }
}

test('records come out as they went in, round the ring many times, preambles marked', () => {
  const { writer, reader, records, close } = bench()
  const wanted: [Buffer, boolean][] = []
  for (let i = 0; i < 2000; i++) {
    const bytes = Buffer.alloc((i * 37) % 700, String(i))
    wanted.push([bytes, i % 50 === 0])
    assert.equal(writer.write(bytes, bytes.length, i % 50 === 0), true)
    if (i % 5 === 4) reader.flush()
  }
  reader.flush()
  assert.deepEqual(records, wanted)
  close()
})

test('indices may run over 2^31', () => {
  const { writer, reader, records, words, close } = bench()
  words[0] = 0x7ffffff0
  words[1] = 0x7ffffff0
  for (let i = 0; i < 10; i++) {
    writer.write(Buffer.alloc(20, `${i}`), 20)
    reader.flush()
  }
  assert.deepEqual(
    records.map(([bytes]) => bytes.toString()),
    Array.from({ length: 10 }, (_, i) => String(i).repeat(20)),
  )
  close()
})

test('what does not fit is refused whole and counted; there is room again once it was read', () => {
  const { writer, reader, records, close } = bench()
  const bytes = Buffer.alloc(1000)
  let written = 0
  while (writer.write(bytes, bytes.length)) written++
  assert.equal(written, 4)
  assert.equal(writer.lost, 1)
  assert.equal(reader.lost, 1)
  assert.equal(writer.room, BYTES - 4 * 1004)
  reader.flush()
  assert.equal(records.length, 4)
  assert.equal(writer.write(Buffer.alloc(BYTES - 4), BYTES - 4), true, 'the whole ring')
  assert.equal(writer.write(Buffer.alloc(BYTES), BYTES), false)
  close()
})

test('a length that is none, or longer than the bytes, is refused and leaves the ring readable', () => {
  const { writer, reader, records, close } = bench()
  for (const length of [-1, 11, 1.5, Number.NaN, Number.POSITIVE_INFINITY, undefined as unknown as number])
    assert.equal(writer.write(Buffer.alloc(10), length), false, `${length}`)
  writer.write(Buffer.from('fine'), 4)
  reader.flush()
  assert.deepEqual(
    records.map(([bytes]) => bytes.toString()),
    ['fine'],
  )
  close()
})

test('a reader that waits hears of what was written', async () => {
  const { writer, records, close } = bench()
  for (let round = 1; round <= 3; round++) {
    writer.write(Buffer.from('x'), 1)
    for (let waited = 0; records.length < round && waited < 20_000; waited += 5) await sleep(5)
    assert.equal(records.length, round)
  }
  close()
})

test('closing drains what is left', () => {
  const { writer, records, close } = bench()
  writer.write(Buffer.from('last'), 4)
  close()
  assert.equal(records.length, 1)
})
