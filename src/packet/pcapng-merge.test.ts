import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isPacketBlock, PcapngBlocks, PcapngMerger } from './pcapng-merge.ts'
import { readPcapng } from './pcapng-reader.ts'
import { PcapngWriter } from './pcapng-writer.ts'

const writer = new PcapngWriter(64)
const built = (length: number): Uint8Array => writer.bytes.slice(0, length)
const section = built(writer.section('test'))
const iface = (name: string): Uint8Array => built(writer.interface(name, ''))
const packet = (number: number, id: number): Uint8Array => {
  writer.bytes.fill(id, writer.dataOffset, writer.dataOffset + 20)
  return built(writer.packet(number, 20, 20, 1, id, -1))
}
const joined = (blocks: readonly Uint8Array[]): Uint8Array => Uint8Array.from(blocks.flatMap((block) => [...block]))

test('streams become one section in which every packet keeps its interface', () => {
  const merger = new PcapngMerger()
  const written: [number, Uint8Array][] = [
    [0, section],
    [0, iface('a0')],
    [1, section],
    [1, iface('a1')],
    [1, iface('b1')],
    [1, packet(1, 1)],
    [0, packet(0, 2)],
    [0, iface('b0')],
    [0, packet(1, 3)],
    [1, packet(0, 4)],
    [0, packet(7, 5)],
    [2, packet(0, 6)],
  ]
  const blocks = written.flatMap(([stream, block]) => merger.merge(stream, block.slice()) ?? [])
  const { sections, packets } = readPcapng(joined(blocks))
  assert.equal(sections, 1)
  assert.deepEqual(
    packets.map((one) => [one.interface.name, one.id]),
    [
      ['b1', 1],
      ['a0', 2],
      ['b0', 3],
      ['a1', 4],
    ],
  )
  assert.deepEqual(blocks.map(isPacketBlock), [false, false, false, false, true, true, false, true, true])
})

test('a stream cut anywhere gives the blocks that went in', () => {
  const blocks = [section, iface('a'), packet(0, 1), packet(0, 2)]
  const bytes = joined(blocks)
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length)), (cuts) => {
      const at = [0, ...cuts.sort((x, y) => x - y), bytes.length]
      const again = new PcapngBlocks()
      const found = at.slice(1).flatMap((end, i) => again.push(bytes.subarray(at[i], end)))
      assert.deepEqual(found, blocks)
    }),
  )
  assert.throws(() => new PcapngBlocks().push(new Uint8Array(12)), RangeError)
})
