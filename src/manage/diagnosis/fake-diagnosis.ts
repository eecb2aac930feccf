// What a fake host answers to those who look into it. See fake-host.ts.
import { PcapngWriter } from '../../packet/pcapng-writer.ts'
import type { DiagnosisCalls } from './diagnosis-calls.ts'

type Note = (call: string, argument?: unknown) => void

/** A capture of three frames of 60 bytes at port alpha, one after the other, that goes on until it is stopped. */
export function fakeDiagnosis(note: Note): DiagnosisCalls {
  return {
    trace: (request) => {
      note('trace', request)
      return {
        port: request.port,
        summary: '52:54:00:77:00:01 > 02:00:00:00:00:05 UDP 10.0.0.1.5 > 10.0.0.2.53, 60 bytes',
        steps: [
          { stage: 'arrival', extension: null, packet: 1, text: 'comes in at port alpha', port: 'alpha' },
          { stage: 'ingress', extension: 'acl', packet: 1, text: 'drops it: no-udp', dropped: 'no-udp', port: 'alpha' },
        ],
        delivered: [],
        tunnels: [],
      }
    },
    connections: (filter) => {
      note('connections', filter)
      return {
        next: '9',
        items: [
          {
            protocol: 6,
            isolationId: 0,
            localAddress: '10.0.0.1',
            localPort: 40000,
            remoteAddress: '192.0.2.7',
            remotePort: 443,
            state: 'established',
            opened: 'outbound',
            idleSeconds: 3,
            expiresInSeconds: 252,
            sent: { packets: 12, bytes: 1200 },
            received: { packets: 10, bytes: 64000 },
          },
        ],
      }
    },
    lastDrops: (filter) => {
      note('lastDrops', filter)
      return {
        counted: { 'mac-spoofing': 3, 'acl: no-udp': 20 },
        meanings: { 'mac-spoofing': 'its source address is not that of its port' },
        kept: 4,
        drops: [
          {
            time: '2026-01-02T03:04:05.000000006Z',
            port: 'alpha',
            direction: 'inbound',
            sourcePort: 'alpha',
            reason: 'acl: no-udp',
            extension: 'acl',
            rule: null,
            processor: 0,
            number: 3,
            packetId: 77,
            length: 60,
            summary: '52:54:00:77:00:01 > 02:00:00:00:00:05 UDP 10.0.0.1.5 > 10.0.0.2.53, 60 bytes',
            header: '0200000000055254007700010800',
            tag: null,
            frames: 1,
            unkept: 17,
          },
        ],
      }
    },
    capture: (request) => {
      note('capture', request)
      const stopped = Promise.withResolvers<void>()
      let stops = 0
      return {
        id: 'capture-1',
        chunks: fakeChunks(stopped.promise),
        stop: async () => {
          if (++stops === 1) note('stop')
          stopped.resolve()
          return { records: 3, bytes: 400, lost: 0 }
        },
      }
    },
  }
}

async function* fakeChunks(stopped: Promise<void>): AsyncGenerator<Uint8Array> {
  const writer = new PcapngWriter(60)
  const built = (length: number): Uint8Array => writer.bytes.slice(0, length)
  writer.setTime(1_700_000_000, 0)
  yield built(writer.section('vmswitch'))
  yield built(writer.interface('alpha', 'port 1 of switch lab0'))
  for (let id = 1; id <= 3; id++) {
    writer.bytes.fill(id, writer.dataOffset, writer.dataOffset + 60)
    yield built(writer.packet(0, 60, 60, 1, id, -1))
  }
  await stopped
}
