import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { readPcapng } from '../../packet/pcapng-reader.ts'
import { PcapngWriter } from '../../packet/pcapng-writer.ts'
import { CaptureFiles } from './capture-files.ts'

const directory = mkdtempSync(join(tmpdir(), 'vmswitch-files-'))
after(() => rmSync(directory, { recursive: true }))

const writer = new PcapngWriter(64)
const built = (length: number): Uint8Array => writer.bytes.slice(0, length)
const section = built(writer.section('test'))
const iface = (name: string): Uint8Array => built(writer.interface(name, ''))
const packet = (number: number, id: number): Uint8Array => built(writer.packet(number, 64, 64, 1, id, -1))
const ids = (file: string): (number | undefined)[] => readPcapng(readFileSync(file)).packets.map(({ id }) => id)

test('without limits all goes to one file', () => {
  const file = join(directory, 'one.pcapng')
  const files = new CaptureFiles({ file }, () => 0)
  for (const block of [section, iface('a'), packet(0, 1), packet(0, 2)]) files.write(block)
  files.close()
  assert.deepEqual(files.names, [file])
  assert.deepEqual(ids(file), [1, 2])
})

test('files are cut at their size between packets, and each begins with what describes its packets', () => {
  const file = join(directory, 'size.pcapng')
  const size = section.length + iface('a').length + 2 * packet(0, 1).length
  const files = new CaptureFiles({ file, maxBytes: size, files: 2 }, () => 0)
  for (const block of [section, iface('a'), packet(0, 1), packet(0, 2), packet(0, 3), iface('b'), packet(1, 4), packet(1, 5)])
    files.write(block)
  files.close()
  const kept = readdirSync(directory).filter((name) => name.startsWith('size'))
  assert.deepEqual(kept, ['size-00003.pcapng', 'size-00004.pcapng'])
  assert.deepEqual(
    kept.map((name) => ids(join(directory, name))),
    [[4], [5]],
  )
  assert.equal(readPcapng(readFileSync(files.names[1]!)).packets[0]!.interface.name, 'b')
})

test('files end after their time, with the next packet', () => {
  let nowMs = 0
  const files = new CaptureFiles({ file: join(directory, 'time'), maxSeconds: 2 }, () => nowMs)
  for (const [at, block] of [
    [0, section],
    [0, iface('a')],
    [1999, packet(0, 1)],
    [2000, packet(0, 2)],
    [3000, packet(0, 3)],
  ] as const) {
    nowMs = at
    files.write(block)
  }
  files.close()
  assert.deepEqual(files.names.map(ids), [[1], [2, 3]])
})
