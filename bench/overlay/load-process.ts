// The load of the overlay benchmark in a process of its own: the guest behind the switch under test, and the network behind its other
// port, both as vhost-user front-ends. Each sends and takes as fast as the switch lets it; frames were written once, and their buffers
// are lent again in the order in which they came back, so that the load costs next to nothing.
//
// Its options come as JSON in the first argument. It prints one JSON line when a frame has come through each way, as it should be; on
// standard input it takes "start BYTES", "stop" and "count", which it answers with the frames that came so far.
import { createInterface } from 'node:readline'
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises'
import { featureMask } from '../../src/virtio/features.ts'
import { FrontEnd } from '../../test/support/vhost-front-end.ts'
import { TurningRing } from '../support/turning-ring.ts'
import { guestFrame, peerArp, TUNNEL_BYTES, tunnelled } from './tunnel.ts'

export interface OverlayLoadOptions {
  /** vhost-user sockets of the guest and of the network. `listens`: the switch connects to us. */
  readonly sockets: readonly [string, string]
  readonly listens: boolean
  /** The network is a tunnel's other end, else the other guest itself. */
  readonly tunnel: boolean
  /** Bytes of a guest's frame. */
  readonly bytes: number
}

const RING_SIZE = 1024
const BUFFER_BYTES = 2048
const MEMORY_MIB = 128
/** The one protocol feature: requests are answered. */
const ACKNOWLEDGE = 1n << 3n
const TURNS_PER_LOOK = 64
const READY_TRIES = 200
const READY_WAIT_MS = 50
const ARP_TYPE = 0x0806

const options = JSON.parse(process.argv[2] ?? '{}') as OverlayLoadOptions
const { tunnel, bytes, listens } = options

async function open(path: string): Promise<FrontEnd> {
  const front = listens ? await FrontEnd.listen(path) : FrontEnd.connect(path)
  front.addMemory(MEMORY_MIB << 20)
  await front.setUp({
    features: featureMask('version1', 'protocolFeatures'),
    protocolFeatures: ACKNOWLEDGE,
    size: RING_SIZE,
    bufferBytes: BUFFER_BYTES,
    bufferStride: BUFFER_BYTES,
  })
  return front
}

const outward = (flow: number): Uint8Array => guestFrame(bytes, flow, true)
const inward = (flow: number): Uint8Array => {
  const frame = guestFrame(bytes, flow, false)
  return tunnel ? tunnelled(frame, flow) : frame
}

const [guest, network] = await Promise.all(options.sockets.map(open) as [Promise<FrontEnd>, Promise<FrontEnd>])
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0
let out = false
let back = false
for (let tries = 0; !(out && back); tries++) {
  if (tries === READY_TRIES) throw new Error(`no frame came through ${out ? 'to the guest' : 'to the network'}`)
  if (tunnel) network.send(peerArp())
  guest.send(outward(0))
  network.send(inward(0))
  await sleep(READY_WAIT_MS)
  for (const frame of network.receive()) {
    if (tunnel && frame.readUInt16BE(12) === ARP_TYPE) network.send(peerArp())
    out ||= same(tunnel ? frame.subarray(TUNNEL_BYTES) : frame, outward(0))
  }
  for (const frame of guest.receive()) back ||= same(frame, guestFrame(bytes, 0, false))
}
await sleep(READY_WAIT_MS)
const receiving = [guest, network].map((front) => {
  front.receive()
  return new TurningRing(front, front.rings[0]!)
})
// All buffers in a row, each with its frame: from here on they are lent again as they are. One of the tunnel's other end tells its address
// again and again: nobody answers questions any more, and a next hop that is silent counts as gone, with all frames to it.
const sending = [
  { front: guest, frame: outward },
  { front: network, frame: inward },
].map(({ front, frame }) => {
  const ring = front.rings[1]!
  ring.reclaim()
  for (let flow = 0; flow < RING_SIZE; flow++) ring.send(tunnel && front === network && flow === 0 ? peerArp() : frame(flow))
  return new TurningRing(front, ring)
})

const state = { sending: false, ended: false }
const say = (answer: Record<string, unknown>): boolean => process.stdout.write(`${JSON.stringify(answer)}\n`)
createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [command] = line.split(' ')
    if (command === 'start' || command === 'stop') state.sending = command === 'start'
    else if (command === 'count')
      say({
        count: {
          frames: receiving.reduce((sum, { frames }) => sum + frames, 0),
          lastBytes: bytes, // they were compared before
          atMs: performance.now(),
        },
      })
  })
  .on('close', () => {
    state.ended = true
  })
say({ ready: true })

while (!state.ended) {
  for (let i = 0; i < TURNS_PER_LOOK && state.sending; i++) {
    for (const ring of sending) ring.turn()
    for (const ring of receiving) ring.turn()
  }
  for (const ring of receiving) ring.turn()
  await immediate()
  if (!state.sending) await sleep(1)
}
guest.close()
network.close()
