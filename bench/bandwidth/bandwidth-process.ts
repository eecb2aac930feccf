// The process under measurement of `npm run bench -- bandwidth`: a switch with one processor and a guest on a memory endpoint that sends as
// fast as its ring takes frames, from this thread, to an address that nobody has.
import { tmpdir } from 'node:os'
import { setImmediate as turn } from 'node:timers/promises'
import type { MemoryEndpoint } from '../../src/endpoints/memory/memory-endpoint.ts'
import { createSwitch } from '../../src/engine/host.ts'
import { VNET_GSO_TCPV4, VNET_HEADER, VNET_NEEDS_CSUM } from '../../src/kernels/layout.ts'
import { tcpFrame } from '../../src/packet/build.ts'

export interface BandwidthProcessOptions {
  readonly bitsPerSecond: number
  /** Of a frame; longer ones than 1514 are left to segment. */
  readonly bytes: number
  readonly seconds: number
  readonly rounds: number
}

export interface BandwidthFigures {
  /** One for each round. */
  readonly bitsPerSecond: readonly number[]
  /** Part of the time in which the processor worked. */
  readonly busy: number
}

const WARM_UP_MS = 700
const BITS_PER_BYTE = 8
const FRAMES_PER_TURN = 256
const NS_PER_MS = 1e6
const HEADERS = 54
const TCP_AT = 34
const SEGMENT = 1460
const FRAME_MAX = 1514

const options = JSON.parse(process.argv[2]!) as BandwidthProcessOptions
const running = await createSwitch(
  {
    name: 'paced',
    type: 'private',
    processors: 1,
    extensions: [],
    ports: [
      {
        name: 'a',
        mac: '02:00:00:00:00:01',
        macSpoofing: 'off',
        learning: false,
        link: 'up',
        endpoint: { kind: 'memory' },
        properties: [{ type: 'bandwidth', value: { maximumBandwidth: options.bitsPerSecond } }],
      },
    ],
    macTable: { entries: 64, ageingSeconds: 0 },
    directory: tmpdir(),
  },
  { log: () => {} },
)

const frame = tcpFrame(
  { sourceMac: '02:00:00:00:00:01', destinationMac: '02:00:00:00:00:02', source: '10.0.0.1', destination: '10.0.0.2' },
  1000,
  2000,
  { data: Buffer.alloc(options.bytes - HEADERS) },
)
const vnet = Buffer.alloc(VNET_HEADER)
if (options.bytes > FRAME_MAX) {
  vnet[0] = VNET_NEEDS_CSUM
  vnet[1] = VNET_GSO_TCPV4
  vnet.writeUInt16LE(HEADERS, 2)
  vnet.writeUInt16LE(SEGMENT, 4)
  vnet.writeUInt16LE(TCP_AT, 6)
  vnet.writeUInt16LE(16, 8)
}

const peer = (running.endpoint('a') as MemoryEndpoint).peer()

async function send(ms: number): Promise<void> {
  const end = performance.now() + ms
  do {
    for (let i = 0; i < FRAMES_PER_TURN && peer.send(frame, vnet); i++);
    await turn()
  } while (performance.now() < end)
}

const taken = (): number => running.ports()[0]!.bandwidth.pacedBytes
const busyNs = (): number => running.processors()[0]!.counters.busyNs!

await send(WARM_UP_MS) // what had been saved up is used up
const bitsPerSecond: number[] = []
const [began, busyBefore] = [performance.now(), busyNs()]
for (let round = 0; round < options.rounds; round++) {
  const [from, before] = [performance.now(), taken()]
  await send(options.seconds * 1000)
  bitsPerSecond.push(((taken() - before) * BITS_PER_BYTE * 1000) / (performance.now() - from))
}
const busy = (busyNs() - busyBefore) / NS_PER_MS / (performance.now() - began)
peer.close()
await running.close()
process.stdout.write(`${JSON.stringify({ bitsPerSecond, busy } satisfies BandwidthFigures)}\n`)
