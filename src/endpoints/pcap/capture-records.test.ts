import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PacketDirection } from '../../packet/pcapng.ts'
import { PcapngWriter } from '../../packet/pcapng-writer.ts'
import { readRecords } from './capture-file.ts'

test('records of a capture tell their interface, direction and packet, and which of them were cut', () => {
  const writer = new PcapngWriter(64)
  const parts: Uint8Array[] = []
  const keep = (length: number): void => void parts.push(writer.bytes.slice(0, length))
  keep(writer.section('vmswitch'))
  keep(writer.interface('alpha', 'port 1'))
  keep(writer.interface('beta dropped by acl', 'drops'))
  writer.setTime(1_700_000_000, 0)
  for (const [at, length, direction] of [
    [0, 60, PacketDirection.inbound],
    [1, 1500, PacketDirection.outbound],
  ] as const) {
    writer.bytes.fill(at, writer.dataOffset, writer.dataOffset + 60)
    keep(writer.packet(at, 60, length, direction, 7, -1))
  }
  const records = readRecords(Buffer.concat(parts))
  assert.deepEqual(
    records.map(({ data: _, ...record }) => record),
    [
      { whole: true, interfaceName: 'alpha', isOutbound: false, packetId: 7 },
      { whole: false, interfaceName: 'beta dropped by acl', isOutbound: true, packetId: 7 },
    ],
  )
})
