// What a fake host answers to those who look into it. See fake-host.ts.
import { PcapngWriter } from '../packet/pcapng-writer.ts'
import type { DiagnosisCalls } from './diagnosis-calls.ts'

type Note = (call: string, argument?: unknown) => void

/** A capture of three frames of 60 bytes at port alpha, one after the other, that goes on until it is stopped. */
export function fakeDiagnosis(note: Note): DiagnosisCalls {
  return {
    capture: (request) => {
      note('capture', request)
      const stopped = Promise.withResolvers<void>()
      return {
        id: 'capture-1',
        chunks: fakeChunks(stopped.promise),
        stop: async () => {
          note('stop')
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
