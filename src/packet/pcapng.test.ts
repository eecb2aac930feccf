import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseMac } from './addresses.ts'
import { PacketDirection, PacketVerdict, ReceptionType } from './pcapng.ts'
import { readPcapng } from './pcapng-reader.ts'
import { COMMENT_BYTES_MAX, PcapngWriter } from './pcapng-writer.ts'

/** Collects blocks. */
function collector(snapBytes: number): { writer: PcapngWriter; keep: (length: number) => void; bytes: () => Uint8Array } {
  const writer = new PcapngWriter(snapBytes)
  const blocks: Uint8Array[] = []
  return {
    writer,
    keep: (length) => blocks.push(writer.bytes.slice(0, length)),
    bytes: () => Uint8Array.from(blocks.flatMap((block) => [...block])),
  }
}

test('what is written is read back: interfaces, times, flags, ids, queues, comments, bytes', () => {
  const packet = fc.record({
    iface: fc.nat(1),
    data: fc.uint8Array({ maxLength: 96 }),
    more: fc.nat(2000),
    flags: fc.constantFrom(PacketDirection.inbound | ReceptionType.unicast, PacketDirection.outbound | ReceptionType.broadcast),
    id: fc.nat(0xffffffff),
    queue: fc.integer({ min: -1, max: 300 }),
    comment: fc.option(fc.stringMatching(/^[ -~]{0,60}$/), { nil: undefined }),
    seconds: fc.nat(2 ** 33),
    nanoseconds: fc.nat(999_999_999),
  })
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 8 }), (packets) => {
      const { writer, keep, bytes } = collector(96)
      keep(writer.section('vmswitch'))
      keep(writer.interface('alpha', 'synthetic', parseMac('02:00:00:00:00:0a')))
      keep(writer.interface('bêta', ''))
      for (const each of packets) {
        writer.setTime(each.seconds, each.nanoseconds)
        writer.bytes.set(each.data, writer.dataOffset)
        const comment = each.comment === undefined ? undefined : new TextEncoder().encode(each.comment)
        keep(writer.packet(each.iface, each.data.length, each.data.length + each.more, each.flags, each.id, each.queue, comment))
      }
      const capture = readPcapng(bytes())
      assert.equal(capture.sections, 1)
      assert.deepEqual(
        capture.interfaces.map(({ name, description, resolution, snapBytes }) => [name, description, resolution, snapBytes]),
        [
          ['alpha', 'synthetic', 9, 96],
          ['bêta', '', 9, 96],
        ],
      )
      assert.deepEqual(capture.interfaces[0]!.mac, parseMac('02:00:00:00:00:0a'))
      assert.equal(capture.packets.length, packets.length)
      for (const [i, read] of capture.packets.entries()) {
        const each = packets[i]!
        assert.equal(read.interface, capture.interfaces[each.iface])
        assert.equal(read.time, BigInt(each.seconds) * 1_000_000_000n + BigInt(each.nanoseconds))
        assert.deepEqual(read.data, each.data)
        assert.equal(read.originalLength, each.data.length + each.more)
        assert.equal(read.flags, each.flags)
        assert.equal(read.id, each.id)
        assert.equal(read.queue, each.queue < 0 ? undefined : each.queue)
        assert.deepEqual(read.comments, each.comment === undefined ? [] : [each.comment])
      }
    }),
  )
})

test('a verdict is read back, and a Buffer read as any other bytes', () => {
  const { writer, keep, bytes } = collector(16)
  keep(writer.section('t'))
  keep(writer.interface('a', ''))
  keep(writer.packet(0, 0, 60, 0, 77, 3, undefined, PacketVerdict.dropped))
  keep(writer.packet(0, 0, 60, 0, 78, -1))
  for (const given of [bytes(), Buffer.from(bytes())])
    assert.deepEqual(
      readPcapng(given).packets.map(({ id, queue, verdict }) => [id, queue, verdict]),
      [
        [77, 3, PacketVerdict.dropped],
        [78, undefined, undefined],
      ],
    )
})

test('a comment longer than its room is cut', () => {
  const { writer, keep, bytes } = collector(16)
  keep(writer.section('t'))
  keep(writer.interface('a', ''))
  keep(writer.packet(0, 0, 60, 0, 1, -1, new Uint8Array(500).fill(65)))
  assert.equal(readPcapng(bytes()).packets[0]!.comments[0], 'A'.repeat(COMMENT_BYTES_MAX))
})

test('a second section starts its interfaces anew', () => {
  const { writer, keep, bytes } = collector(16)
  for (const name of ['one', 'two']) {
    keep(writer.section('t'))
    keep(writer.interface(name, ''))
    keep(writer.packet(0, 4, 4, 0, 1, -1))
  }
  assert.deepEqual(
    readPcapng(bytes()).packets.map((packet) => packet.interface.name),
    ['one', 'two'],
  )
})

test('a damaged capture is refused, never read beyond its end', () => {
  const { writer, keep, bytes } = collector(16)
  keep(writer.section('t'))
  keep(writer.interface('a', ''))
  keep(writer.packet(0, 8, 8, 1, 1, -1))
  const whole = bytes()
  assert.throws(() => readPcapng(whole.subarray(0, whole.length - 2)), { code: 'bad-capture', message: /bytes at byte/ })
  assert.throws(() => readPcapng(Uint8Array.of(1, 2, 3)), { code: 'bad-capture', message: /a cut block at byte 0/ })
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
      const damaged = whole.slice()
      damaged[at] = value
      try {
        readPcapng(damaged)
      } catch (error) {
        assert.equal((error as { code: string }).code, 'bad-capture')
      }
    }),
    { numRuns: 1000 },
  )
})
