import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ExtensionHost } from '../../../test/support/extension-host.ts'
import { defineExtension } from '../../extension.ts'
import { arpRequestFrame, tcpFrame, udpFrame } from '../../packet/build.ts'
import { PacketDirection, PacketVerdict } from '../../packet/pcapng.ts'
import { type PcapngPacket, readPcapng } from '../../packet/pcapng-reader.ts'
import capture, { CaptureCounter } from './index.ts'
import { parseCaptureOptions } from './options.ts'

const a = '02:00:00:00:00:01'
const b = '02:00:00:00:00:02'
const pair = { sourceMac: a, destinationMac: b, source: '10.0.0.1', destination: '10.0.0.2' }
const noUdp = defineExtension({
  id: '00000000-0000-0000-0000-000000000001',
  name: 'no-udp',
  version: '1.0.0',
  class: 'filtering',
  attach: () => ({
    ingress(batch) {
      for (let i = 0; i < batch.length; i++) if (batch.isUdp(i)) batch.drop(i, 'no-udp')
    },
  }),
})

async function hostOf(options: object = {}): Promise<{ host: ExtensionHost; packets: () => readonly PcapngPacket[] }> {
  const host = new ExtensionHost([{ definition: capture, options }, { definition: noUdp }])
  await host.addPorts({ name: 'a', mac: a }, { name: 'b', mac: b }, 'c')
  const sink = host.modules[0]!.sinks.get('packets')!
  return { host, packets: () => readPcapng(sink.contents()).packets }
}

const direction = (packet: PcapngPacket): number => packet.flags & 3

test('a frame is recorded inbound at its source and outbound at each destination, under one id', async () => {
  const { host, packets } = await hostOf()
  const frame = arpRequestFrame(a, '10.0.0.1', '10.0.0.2')
  host.send('a', frame)
  const records = packets()
  assert.deepEqual(
    records.map((packet) => [packet.interface.name, direction(packet)]),
    [
      ['a', PacketDirection.inbound],
      ['b', PacketDirection.outbound],
      ['c', PacketDirection.outbound],
    ],
  )
  for (const packet of records) {
    assert.deepEqual(packet.data, frame)
    assert.equal(packet.id, records[0]!.id)
    assert.equal(packet.time, 1_700_000_000_123_456_789n)
    assert.equal(packet.flags >> 2, 3)
  }
})

test('an unknown interface is described before its first packet, with its address', async () => {
  const { host } = await hostOf()
  const sink = host.modules[0]!.sinks.get('packets')!
  assert.equal(sink.records.length, 1)
  host.send('a', tcpFrame(pair, 1, 80))
  const { interfaces, sections } = readPcapng(sink.contents())
  assert.equal(sections, 1)
  assert.deepEqual(
    interfaces.map(({ name, description, mac }) => [name, description, mac?.[5]]),
    [
      ['a', 'port 1 of switch test', 1],
      ['b', 'port 2 of switch test', 2],
    ],
  )
  assert.deepEqual(
    sink.records.map(({ preamble }) => preamble),
    [true, true, false, true, false],
  )
})

test('a dropped frame is recorded once more with its reason', async () => {
  const { host, packets } = await hostOf()
  host.send('a', udpFrame(pair, 1, 2))
  assert.deepEqual(
    packets().map((packet) => [packet.interface.name, direction(packet), packet.comments]),
    [
      ['a', PacketDirection.inbound, []],
      ['a dropped by no-udp', PacketDirection.inbound, ['dropped: no-udp']],
    ],
  )
  const quiet = await hostOf({ dropped: false })
  quiet.host.send('a', udpFrame(pair, 1, 2))
  assert.equal(quiet.packets().length, 1)
})

test('frames are cut at snapBytes, and whole ones are read from beyond the header copy', async () => {
  const data = Uint8Array.from({ length: 1400 }, (_, i) => i)
  const frame = tcpFrame(pair, 1, 80, { data })
  for (const [snapBytes, kept] of [
    [60, 60],
    [127, 127],
    [200, 200],
    [65562, frame.length],
  ] as const) {
    const { host, packets } = await hostOf({ snapBytes, direction: 'inbound' })
    host.send('a', frame, tcpFrame(pair, 2, 80))
    const [long, short] = packets()
    assert.equal(long!.originalLength, frame.length)
    assert.deepEqual(long!.data, frame.subarray(0, kept))
    assert.equal(short!.data.length, Math.min(54, snapBytes))
  }
})

test('ports, directions and ether types narrow what is recorded', async () => {
  const only = await hostOf({ ports: ['b'], etherTypes: ['ipv4'] })
  only.host.send('a', tcpFrame(pair, 1, 80), arpRequestFrame(a, '10.0.0.1', '10.0.0.2'))
  assert.deepEqual(
    only.packets().map((packet) => [packet.interface.name, direction(packet), packet.data.length]),
    [['b', PacketDirection.outbound, 54]],
  )
  const inbound = await hostOf({ direction: 'inbound' })
  inbound.host.send('a', tcpFrame(pair, 1, 80))
  assert.deepEqual(inbound.packets().map(direction), [PacketDirection.inbound])
  const outbound = await hostOf({ direction: 'outbound' })
  outbound.host.send('a', tcpFrame(pair, 1, 80))
  assert.deepEqual(outbound.packets().map(direction), [PacketDirection.outbound])
})

test('a port that takes the id of a deleted one gets an interface of its own', async () => {
  const { host, packets } = await hostOf()
  host.send('a', tcpFrame(pair, 1, 80))
  host.modules[0]!.module.handlers.oidComplete?.(
    { oid: 0x00010279, type: 'set', payload: { ...host.modules[0]!.module.handle.ports()[0], portId: 1 } },
    { status: 0 },
  )
  host.send('a', tcpFrame(pair, 2, 80))
  const inbound = packets().filter((packet) => direction(packet) === PacketDirection.inbound)
  assert.notEqual(inbound[0]!.interface, inbound[1]!.interface)
})

test('records that find no room are lost and counted, frames and the order of blocks are not', async () => {
  const { host, packets } = await hostOf()
  const sink = host.modules[0]!.sinks.get('packets')!
  sink.room = 1 // one more block: the interface of a, not its packet
  host.send('a', tcpFrame(pair, 1, 80))
  assert.equal(host.delivered('b').length, 1)
  assert.equal(packets().length, 0)
  assert.equal(host.modules[0]!.counters[CaptureCounter.lost], 2)
  sink.room = 100
  const data = Uint8Array.of(1, 2, 3)
  host.send('a', tcpFrame(pair, 2, 80, { data }))
  assert.deepEqual(
    packets().map((packet) => [packet.interface.name, packet.data]),
    [
      ['a', tcpFrame(pair, 2, 80, { data })],
      ['b', tcpFrame(pair, 2, 80, { data })],
    ],
  )
  assert.equal(host.modules[0]!.counters[CaptureCounter.packets], 2)
})

test('a destination that a frame did not get to has a drop point of its own', async () => {
  const noC = defineExtension({
    id: '00000000-0000-0000-0000-000000000002',
    name: 'no-c',
    version: '1.0.0',
    class: 'filtering',
    attach: () => ({
      egress(batch) {
        for (let i = 0; i < batch.length; i++)
          for (let k = 0; k < batch.destinationCount(i); k++)
            if (batch.destinationPortId(i, k) === 3) batch.exclude(i, k, 'not-c')
      },
    }),
  })
  const host = new ExtensionHost([{ definition: capture }, { definition: noC }])
  await host.addPorts({ name: 'a', mac: a }, { name: 'b', mac: b }, 'c')
  host.send('a', arpRequestFrame(a, '10.0.0.1', '10.0.0.2'))
  const { packets } = readPcapng(host.modules[0]!.sinks.get('packets')!.contents())
  assert.deepEqual(
    packets.map((packet) => [packet.interface.name, direction(packet), packet.verdict, packet.comments]),
    [
      ['a', PacketDirection.inbound, undefined, []],
      ['b', PacketDirection.outbound, undefined, []],
      ['c dropped by no-c', PacketDirection.outbound, PacketVerdict.dropped, ['dropped: not-c']],
    ],
  )
})

test('a filter in the words of tcpdump chooses frames, by bytes beyond the header copy too', async () => {
  const data = Uint8Array.from({ length: 400 }, (_, i) => i)
  for (const [filter, expected] of [
    ['tcp port 80', [0]],
    ['not tcp', [1]],
    ['ether[14 + 20 + 20 + 300] = 44', [0]],
    ['ether[14 + 20 + 20 + 300] = 45', []],
    ['ip[ip[0] & 15 * 4] > 200', []],
  ] as const) {
    const { host, packets } = await hostOf({ filter, direction: 'inbound', dropped: false })
    const frames = [tcpFrame(pair, 1, 80, { data }), arpRequestFrame(a, '10.0.0.1', '10.0.0.2')]
    host.send('a', ...frames)
    assert.deepEqual(
      packets().map(({ originalLength }) => frames.findIndex((frame) => frame.length === originalLength)),
      expected,
      filter,
    )
  }
  assert.throws(() => parseCaptureOptions({ filter: 'tcp prot 80' }), { message: /^filter: .*"prot".*character 5/ })
})

test('options have defaults and are checked', () => {
  assert.deepEqual(parseCaptureOptions(undefined), {
    file: 'capture.pcapng',
    snapBytes: 128,
    direction: 'both',
    ports: undefined,
    etherTypes: undefined,
    filter: undefined,
    dropped: true,
    bufferBytes: 4 << 20,
    rotateBytes: 0,
    rotateFiles: 10,
  })
  assert.deepEqual(parseCaptureOptions({ etherTypes: ['arp', '0x88CC', 5] }).etherTypes, [0x0806, 0x88cc, 5])
  assert.throws(() => parseCaptureOptions({ snapBytes: 5 }), { message: 'snapBytes: 5 is not a whole number from 14 to 65562' })
  assert.throws(() => parseCaptureOptions({ etherTypes: ['ip'] }), { message: /^etherTypes\[0\]: "ip" is not an ether type/ })
  assert.throws(() => parseCaptureOptions({ bufferBytes: 200_000 }), { message: /is not a power of two/ })
  assert.throws(() => parseCaptureOptions({ rotateBytes: 100 }), { message: /are too small/ })
})
