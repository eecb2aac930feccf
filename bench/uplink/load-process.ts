// The load of the uplink benchmark in a process of its own: sends frames into an interface of the host as fast as the kernel takes
// them, and is the guest that they are for, where that has a vhost-user port. One thread does both, so a frame that is received costs the
// generator next to nothing: the guest gives its buffers back in the order in which it lent them.
//
// Its options come as JSON in the first argument. It prints one JSON line when it is ready; on standard input it takes "start BYTES",
// "stop" and "count", which it answers with the frames that the guest got so far.
import { createInterface } from 'node:readline'
import { setImmediate as immediate } from 'node:timers/promises'
import { closeFd } from '../../src/linux/files.ts'
import { addressOf, lastErrno, sys } from '../../src/linux/libc.ts'
import { MMSGHDR_BYTES, MSG_DONTWAIT, putIovec, putMessage } from '../../src/linux/messages.ts'
import { parseMac } from '../../src/packet/addresses.ts'
import { featureMask } from '../../src/virtio/features.ts'
import { FrontEnd } from '../../test/support/vhost-front-end.ts'

export interface LoadOptions {
  /** The interface that frames are sent into. */
  readonly interface: string
  /** Address of the guest that they are for. */
  readonly mac: string
  /** The guest's vhost-user socket; null if it is no vhost-user guest. `listens`: the switch connects to us. */
  readonly guest: { readonly path: string; readonly listens: boolean } | null
  /** Further guests, to which the switch listens: a few bursts go to each of them in turn. */
  readonly others?: readonly { readonly mac: string; readonly path: string }[]
  /** How many of the guests get frames; all without it. The others have rings of 256 entries. */
  readonly addressed?: number
  /** Entries of a guest's ring, a power of two; 1024 without it. */
  readonly ringSize?: number
  /** Memory of a guest; 128 without it. */
  readonly guestMiB?: number
  /** Bytes of a buffer, header included; 2048 without it. */
  readonly bufferBytes?: number
}

const AF_PACKET = 17
const SOCK_RAW = 3
const SOL_PACKET = 263
const PACKET_QDISC_BYPASS = 20
const BURST = 64
const RING_SIZE_DEFAULT = 1024
const BUFFER_BYTES_DEFAULT = 2048
const GUEST_MIB_DEFAULT = 128
const FRAME_MAX = 1518
const IOVEC_BYTES = 16
const SENDER = '02:00:00:00:fe:01'
const VNET_HEADER = 12
const NO_INTERRUPT = 1
/** The one protocol feature: requests are answered. Others would have to be carried through. */
const ACKNOWLEDGE = 1n << 3n
/** Bursts between two looks at standard input. */
const BURSTS_PER_LOOK = 64
/** Bursts in a row for one guest, where there are several. */
const BURSTS_PER_GUEST = 4
/** Entries of the ring of a guest that gets nothing. */
const IDLE_RING_SIZE = 256

const options = JSON.parse(process.argv[2] ?? '{}') as LoadOptions
const ringSize = options.ringSize ?? RING_SIZE_DEFAULT
const ADDRESS_BYTES = 6

function checksumOf(header: Buffer): number {
  let sum = 0
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at)
  return ~((sum & 0xffff) + (sum >> 16)) & 0xffff
}

/** Frames ready to be sent, as the kernel's structures: the same memory for any number of guests. */
class Sender {
  readonly #frames = Buffer.alloc(BURST * FRAME_MAX)
  readonly #messages = new Uint32Array((BURST * (MMSGHDR_BYTES + IOVEC_BYTES)) >> 2)
  readonly #fd: number
  readonly #at: number

  constructor(name: string, mac: string) {
    this.#fd = sys.socket(AF_PACKET, SOCK_RAW, 0)
    const on = Buffer.from([1, 0, 0, 0])
    const address = Buffer.alloc(20)
    address.writeUInt16LE(AF_PACKET, 0)
    address.writeInt32LE(sys.ifNametoindex(name), 4)
    sys.setsockopt(this.#fd, SOL_PACKET, PACKET_QDISC_BYPASS, on, 4)
    if (sys.bind(this.#fd, address, address.length) < 0) throw new Error(`no packet socket on ${name}: errno ${lastErrno()}`)
    this.#at = addressOf(this.#messages)
    for (let i = 0; i < BURST; i++) {
      const frame = this.#frames.subarray(i * FRAME_MAX)
      frame.set([...parseMac(mac), ...parseMac(SENDER), 8, 0, 0x45, 0], 0)
      frame.set([64, 17, 0, 0, 198, 51, 100, 1, 198, 51, 100, 2], 22) // UDP between two addresses for documentation
      frame.writeUInt16BE(1024 + i, 34)
      frame.writeUInt16BE(9, 36)
    }
  }

  prepare(bytes: number): void {
    const iovecs = BURST * MMSGHDR_BYTES
    for (let i = 0; i < BURST; i++) {
      const frame = this.#frames.subarray(i * FRAME_MAX)
      frame.writeUInt16BE(bytes - 14, 16)
      frame.writeUInt16BE(0, 24)
      frame.writeUInt16BE(checksumOf(frame.subarray(14, 34)), 24)
      frame.writeUInt16BE(bytes - 34, 38)
      putIovec(this.#messages, iovecs + i * IOVEC_BYTES, addressOf(this.#frames) + i * FRAME_MAX, bytes)
      putMessage(this.#messages, i * MMSGHDR_BYTES, this.#at + iovecs + i * IOVEC_BYTES, 1, 0, 0)
    }
  }

  /** The frames are for `mac` from now on. */
  address(mac: Uint8Array): void {
    for (let i = 0; i < BURST; i++) for (let k = 0; k < ADDRESS_BYTES; k++) this.#frames[i * FRAME_MAX + k] = mac[k]!
  }

  send(): void {
    sys.sendmmsg(this.#fd, this.#at, BURST, MSG_DONTWAIT)
  }

  close(): void {
    closeFd(this.#fd)
  }
}

/** A guest that takes frames and looks at none. */
class Guest {
  readonly front: FrontEnd
  readonly #used: Int32Array
  readonly #lent: Int32Array
  readonly #size: number
  #seen = 0
  received = 0

  private constructor(front: FrontEnd, size: number) {
    this.front = front
    this.#size = size
    const ring = front.rings[0]!
    const words = (address: bigint): Int32Array => {
      const { buffer, byteOffset } = front.view(address, 4 + 8 * size)
      return new Int32Array(buffer as ArrayBuffer, byteOffset, 1 + 2 * size)
    }
    this.#used = words(ring.device)
    this.#lent = words(ring.driver)
    Atomics.or(this.#lent, 0, NO_INTERRUPT)
  }

  static async open({ path, listens }: NonNullable<LoadOptions['guest']>, mac: string, size = ringSize): Promise<Guest> {
    const front = listens ? await FrontEnd.listen(path) : FrontEnd.connect(path)
    front.addMemory((options.guestMiB ?? GUEST_MIB_DEFAULT) << 20)
    const features = featureMask('version1', 'protocolFeatures')
    const bufferBytes = options.bufferBytes ?? BUFFER_BYTES_DEFAULT
    await front.setUp({
      features,
      protocolFeatures: ACKNOWLEDGE,
      size,
      bufferBytes,
      bufferStride: bufferBytes, // one behind the other, as a guest's driver cuts pages into buffers
    })
    // A first frame, so that the switch knows where the address is.
    const hello = Buffer.alloc(60)
    hello.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, ...parseMac(mac), 0x88, 0xb5])
    front.send(hello)
    return new Guest(front, size)
  }

  /** Takes what came and lends the buffers again. */
  take(): void {
    const index = Atomics.load(this.#used, 0) >>> 16
    const count = (index - this.#seen) & 0xffff
    if (count === 0) return
    this.#seen = index
    this.received += count
    const lent = this.#lent[0]! >>> 16
    Atomics.store(this.#lent, 0, NO_INTERRUPT | (((lent + count) & 0xffff) << 16))
  }

  /** Bytes of the frame that came last. */
  lastBytes(): number {
    return this.#used[1 + 2 * ((this.#seen - 1) & (this.#size - 1)) + 1]! - VNET_HEADER
  }
}

const others = options.others ?? []
const addressed = options.addressed ?? 1 + others.length
const addresses = [options.mac, ...others.map(({ mac }) => mac)].slice(0, addressed).map(parseMac)
const sender = new Sender(options.interface, options.mac)
const guests = options.guest === null ? [] : [await Guest.open(options.guest, options.mac)]
for (const [i, { mac, path }] of others.entries())
  guests.push(await Guest.open({ path, listens: false }, mac, i + 1 < addressed ? ringSize : IDLE_RING_SIZE))
let turn = 0
let burst = 0
const state = { sending: false, bytes: 0, ended: false }
const say = (answer: Record<string, unknown>): boolean => process.stdout.write(`${JSON.stringify(answer)}\n`)

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [command, bytes] = line.split(' ')
    if (command === 'start') {
      state.bytes = Number(bytes)
      sender.prepare(state.bytes)
      state.sending = true
    } else if (command === 'stop') state.sending = false
    else if (command === 'count')
      say({
        count: {
          frames: guests.reduce((sum, { received }) => sum + received, 0),
          lastBytes: guests[0]?.lastBytes() ?? 0,
          atMs: performance.now(),
        },
      })
  })
  .on('close', () => {
    state.ended = true
  })
say({ ready: true })

while (!state.ended) {
  for (let i = 0; i < BURSTS_PER_LOOK && state.sending; i++) {
    sender.send()
    guests[turn]?.take()
    if (++burst % BURSTS_PER_GUEST !== 0 || addressed === 1) continue
    turn = turn + 1 === addressed ? 0 : turn + 1
    sender.address(addresses[turn]!)
  }
  for (const guest of guests) guest.take()
  await immediate()
  if (!state.sending) await new Promise((resolve) => setTimeout(resolve, 1))
}
sender.close()
for (const guest of guests) guest.front.close()
