// What extensions cost a packet on its whole way through the data path, in memory, without rings: those that hold packets, or look at them
// when they are done. The kernels are those of wasm, as in the engine.
//
// The rule it must not break: a turn begins with the same packets each time, and what was held leaves within the time that is measured.
import { readKernels } from '../src/engine/kernels-file.ts'
import { type Batch, PACKET_HEADER_STRIDE, type SwitchHandle } from '../src/extension.ts'
import flowExport from '../src/extensions/flow-export/index.ts'
import impairment from '../src/extensions/impairment/index.ts'
import { BURST_MAX } from '../src/kernels/layout.ts'
import { udpFrame } from '../src/packet/build.ts'
import { ExtensionHost, type HostedExtension } from '../test/support/extension-host.ts'

const TURNS = 400
const ADDRESS_OFFSET = 26
/** Between two bursts: with 1 ms of delay, 1280 packets are held, 2.5 million come in a second. */
const BURST_MS = 0.05

export interface TurnCase {
  readonly name: string
  readonly run: () => void
  readonly packets: number
  best: number
}

const port = '02:00:00:00:00:01'
const destinationMac = '02:00:00:00:00:02'
const made = udpFrame(
  { sourceMac: '02:00:00:00:00:03', destinationMac, source: '10.254.0.1', destination: '10.253.0.1' },
  1,
  2,
  new Uint8Array(22),
)
const collectors = '192.0.2.1'
const many = { flows: 1 << 18, collectors, idleTimeout: 3600, activeTimeout: 3600 }

const delayed = (direction: string, delay: number): HostedExtension => ({
  definition: impairment,
  options: { rules: [{ direction, delay, ports: direction === 'egress' ? 'right' : 'left' }] },
})

// Extensions that do one thing to each packet, as an author would write them.
const each = (attach: (sw: SwitchHandle) => (batch: Batch) => void): HostedExtension => ({
  definition: {
    id: '00000000-0000-0000-0000-00000000000a',
    name: 'each',
    version: '1.0.0',
    class: 'filtering',
    attach: (sw: SwitchHandle) => ({ ingress: attach(sw) }),
  },
})
const holdsEach = each((sw) => {
  const held = new Float64Array(BURST_MAX)
  let count = 0
  sw.every(BURST_MS, () => {
    for (let i = 0; i < count; i++) sw.forward(held[i]!)
    count = 0
  })
  return (batch) => {
    for (let i = 0; i < batch.length; i++) held[count++] = batch.hold(i)
  }
})
const holdsAll = each((sw) => {
  const held = new Float64Array(BURST_MAX)
  const positions = Uint16Array.from({ length: BURST_MAX }, (_, i) => i)
  let count = 0
  sw.every(BURST_MS, () => {
    sw.forwardAll(held, count)
    count = 0
  })
  return (batch) => {
    count = batch.holdAll(positions, batch.length, held)
  }
})
const clonesEach = each((sw) => (batch) => {
  for (let i = 0; i < batch.length; i++) sw.send(batch.clone(i))
})
const originatesEach = each((sw) => (batch) => {
  for (let i = 0; i < batch.length; i++) sw.send(sw.originate(made))
})

/** What is measured: extensions, bytes of a frame, and how many flows there are. */
const cases: Readonly<Record<string, readonly [readonly HostedExtension[], number, number]>> = {
  'no extension': [[], 64, 1],
  'flow-export, IPFIX, 1 flow': [[{ definition: flowExport, options: { ipfix: many } }], 64, 1],
  'flow-export, IPFIX, 100 000 flows': [[{ definition: flowExport, options: { ipfix: many } }], 64, 100_000],
  'flow-export, IPFIX, 1 in 100': [[{ definition: flowExport, options: { ipfix: { ...many, sampling: 100 } } }], 64, 1],
  'flow-export, sFlow, 1 in 1000': [[{ definition: flowExport, options: { sflow: { collectors, agent: '192.0.2.2' } } }], 64, 1],
  'impairment, no delay': [[delayed('egress', 0)], 64, 1],
  'impairment, 1 ms on egress': [[delayed('egress', 1)], 64, 1],
  'impairment, 1 ms on ingress': [[delayed('ingress', 1)], 64, 1],
  'all held together, on ingress': [[holdsAll], 64, 1],
  'each held alone, on ingress': [[holdsEach], 64, 1],
  'each cloned, and sent twice': [[clonesEach], 64, 1],
  'another originated for each': [[originatesEach], 64, 1],
  'no extension, 1500 B': [[], 1500, 1],
  'impairment, 1 ms, 1500 B': [[delayed('egress', 1)], 1500, 1],
}

async function turnCase(name: string): Promise<TurnCase> {
  const [extensions, bytes, flows] = cases[name]!
  const host = new ExtensionHost(extensions, { kernels: readKernels() })
  await host.addPorts({ name: 'left', mac: port }, { name: 'right', mac: destinationMac })
  const pair = { sourceMac: port, destinationMac, source: '10.254.0.0', destination: '10.253.0.1' }
  const frame = udpFrame(pair, 1000, 1001, new Uint8Array(bytes - 46))
  host.ignoreDelivered('right')
  const source = host.source(
    'left',
    Array.from({ length: BURST_MAX }, () => frame),
  )
  source.receive(0, BURST_MAX)
  const { pool } = host
  const flags = pool.flags.slice(0, BURST_MAX)
  let flow = 0
  const receive = (): number => {
    pool.flags.set(flags)
    pool.destinationCount.fill(0, 0, BURST_MAX)
    pool.reason.fill(0, 0, BURST_MAX)
    if (flows > 1)
      for (let slot = 0; slot < BURST_MAX; slot++) {
        flow = flow === flows ? 1 : flow + 1
        const at = slot * PACKET_HEADER_STRIDE + pool.headerOffset[slot]! + ADDRESS_OFFSET
        pool.header8[at + 1] = flow >> 16
        pool.header8[at + 2] = flow >> 8
        pool.header8[at + 3] = flow
      }
    return BURST_MAX
  }
  const queue = { receive, complete(): void {} }
  const id = host.id('left')
  return {
    name,
    best: Number.POSITIVE_INFINITY,
    packets: TURNS * BURST_MAX,
    run() {
      for (let turn = 0; turn < TURNS; turn++) {
        host.dataPath.turn(queue, id)
        host.advance(BURST_MS)
      }
    },
  }
}

/** All cases. */
export const turnCases = (): Promise<TurnCase[]> => Promise.all(Object.keys(cases).map(turnCase))
