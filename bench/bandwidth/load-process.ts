// The guests of `npm run bench -- bandwidth`, in a process of its own: some that send without end, and the one that takes, all of them
// vhost-user front-ends; or a TAP takes, and the host's kernel counts.
//
// Its options come as JSON in the first argument. It prints one JSON line when frames come through, and answers "count" on its input with what
// the receiver has got of each sender, and when the last of it came, by its own clock.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setImmediate as immediate } from 'node:timers/promises'
import { VNET_HEADER } from '../../src/kernels/layout.ts'
import { featureMask } from '../../src/virtio/features.ts'
import { FrontEnd } from '../../test/support/vhost-front-end.ts'
import { TurningRing } from '../support/turning-ring.ts'
import { frameOf } from './frames.ts'

export interface BandwidthLoadOptions {
  /** vhost-user sockets of the guests that send, and the bytes of each one's frames: no two have the same. */
  readonly senders: readonly { readonly path: string; readonly bytes: number }[]
  readonly receiver: { readonly path: string } | { readonly tap: string }
}

/** What the receiver has got. */
export interface BandwidthCount {
  /** Frames of each sender. */
  readonly frames: readonly number[]
  /** When the last one came. */
  readonly lastMs: number
}

const RING_SIZE = 256
const BUFFER_BYTES = 65_536
const FRAME_LENGTHS = BUFFER_BYTES + 1
const TURNS_PER_LOOK = 64
/** Between two looks at the kernel's counter. */
const TAP_LOOK_MS = 0.5

const { senders, receiver } = JSON.parse(process.argv[2] ?? '{}') as BandwidthLoadOptions

async function open(path: string): Promise<FrontEnd> {
  const front = FrontEnd.connect(path)
  await front.setUp({
    features: featureMask('version1', 'csum', 'guestCsum', 'hostTso4', 'guestTso4', 'protocolFeatures'),
    size: RING_SIZE,
    bufferBytes: BUFFER_BYTES,
  })
  return front
}

/** Counts what came. */
interface Taker {
  look(): void
  count(): BandwidthCount
}

function ringTaker(front: FrontEnd): Taker {
  const ring = new TurningRing(front, front.rings[0]!)
  const lengths = new Float64Array(FRAME_LENGTHS)
  let lastMs = 0
  return {
    look() {
      if (ring.turn(lengths) !== 0) lastMs = performance.now()
    },
    count: () => ({ frames: senders.map(({ bytes }) => lengths[VNET_HEADER + bytes]!), lastMs }),
  }
}

function tapTaker(name: string): Taker {
  const path = `/sys/class/net/${name}/statistics/rx_bytes`
  const { bytes } = senders[0]!
  let lookedMs = 0
  let lastMs = 0
  let total = 0
  return {
    look() {
      if (performance.now() - lookedMs < TAP_LOOK_MS) return
      const now = Number(readFileSync(path, 'utf8'))
      lookedMs = performance.now()
      if (now !== total) lastMs = lookedMs
      total = now
    },
    count: () => ({ frames: [total / bytes], lastMs }),
  }
}

const taking = 'path' in receiver ? ringTaker(await open(receiver.path)) : tapTaker(receiver.tap)
const sending: TurningRing[] = []
for (const [sender, { path, bytes }] of senders.entries()) {
  const front = await open(path)
  const { frame, vnet } = frameOf(sender, bytes)
  for (let lent = 0; lent < RING_SIZE; lent++) front.send(frame, 0, vnet)
  sending.push(new TurningRing(front, front.rings[1]!))
}

let isReady = false
let hasEnded = false
const say = (answer: Record<string, unknown>): boolean => process.stdout.write(`${JSON.stringify(answer)}\n`)
createInterface({ input: process.stdin })
  .on('line', () => say({ count: taking.count() }))
  .on('close', () => {
    hasEnded = true
  })
while (!hasEnded) {
  for (let i = 0; i < TURNS_PER_LOOK; i++) {
    for (const ring of sending) ring.turn()
    taking.look()
  }
  if (!isReady && taking.count().frames.every((frames) => frames > 0)) {
    isReady = true
    say({ ready: true })
  }
  await immediate()
}
process.exit()
