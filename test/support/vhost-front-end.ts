// A vhost-user front-end for tests: speaks the protocol over a real socket, owns the guest's memory (memfds with rings in them), and
// sends and receives frames as a guest's driver would, over split or packed rings.
//
// The rule it must not break: it checks as a careful driver does (used ids it has lent, lengths that fit), so that a back-end's
// mistake shows.
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises'
import { closeFd, createEventFd, createMemfd, mapAnywhere, unmap } from '../../src/linux/files.ts'
import { nativeView } from '../../src/linux/libc.ts'
import { acceptFrom, connectTo, FdReceiver, listenAt, SocketType, sendWithFds } from '../../src/linux/sockets.ts'
import { encode, FLAG_NEED_REPLY, HEADER_BYTES, requestNumber } from '../../src/vhost-user/messages.ts'
import { featureMask } from '../../src/virtio/features.ts'
import { DriverRing } from './driver-ring.ts'

/** What a modern Linux guest under QEMU negotiates, protocol features included. */
export const MODERN = featureMask(
  'version1',
  'mergeableBuffers',
  'indirect',
  'eventIndex',
  'csum',
  'guestCsum',
  'hostTso4',
  'guestTso4',
  'protocolFeatures',
)
/** A user address that has nothing to do with guest-physical ones. */
export const USER_BASE = 0x7f00_0000_0000n
const RING_AREA = 0x10_0000
const ANSWER_TIMEOUT_MS = 30_000
const SPINS = 500 // turns of the event loop before waiting costs time

export interface Reply {
  readonly request: number
  readonly payload: Buffer
  readonly fds: readonly number[]
}

/** A piece of guest memory. */
export interface GuestRegion {
  readonly fd: number
  readonly guestAddress: bigint
  readonly userAddress: bigint
  readonly bytes: number
  readonly fileOffset: bigint
}

export interface SetUpOptions {
  readonly features?: bigint
  readonly protocolFeatures?: bigint
  readonly packed?: boolean
  readonly size?: number
  readonly queuePairs?: number
  /** Guest address of the first ring; rings need RING_AREA bytes each. */
  readonly ringsAt?: bigint
  /** Size of a receive buffer, header included. */
  readonly bufferBytes?: number
  /** Bytes from one buffer to the next; without it there is room for the longest frame. */
  readonly bufferStride?: number
}

export class FrontEnd {
  #fd: number
  readonly #receiver = new FdReceiver(65536)
  #received = Buffer.alloc(0)
  #receivedFds: number[] = []
  readonly #mappings: { region: GuestRegion; address: number }[] = []
  regions: GuestRegion[] = []
  rings: DriverRing[] = []
  #needReply = false

  private constructor(fd: number) {
    this.#fd = fd
  }

  /** Connects to a back-end that listens at `path`. */
  static connect(path: string): FrontEnd {
    return new FrontEnd(connectTo(path, SocketType.stream))
  }

  /** Listens at `path` and waits for a back-end; closes the listener. */
  static async listen(path: string): Promise<FrontEnd> {
    const listener = listenAt(path)
    try {
      for (let i = 0; i < 500; i++) {
        const fd = acceptFrom(listener)
        if (fd >= 0) return new FrontEnd(fd)
        await sleep(10)
      }
      throw new Error('no back-end came')
    } finally {
      closeFd(listener)
    }
  }

  /** Sends bytes as they are. */
  raw(bytes: Uint8Array, fds: readonly number[] = []): void {
    sendWithFds(this.#fd, bytes, fds)
  }

  /** Sends a request; with REPLY_ACK negotiated, asks for an acknowledgement and throws unless it is 0. */
  async tell(name: string, payload: Uint8Array = Buffer.alloc(0), fds: readonly number[] = []): Promise<void> {
    const status = await this.status(name, payload, fds)
    if (status !== 0n) throw new Error(`${name} was refused with ${status}`)
  }

  /** As tell, but returns the acknowledgement. */
  async status(name: string, payload: Uint8Array = Buffer.alloc(0), fds: readonly number[] = []): Promise<bigint> {
    this.raw(encode.message(requestNumber(name), this.#needReply ? FLAG_NEED_REPLY : 0, payload), fds)
    return this.#needReply ? (await this.reply()).payload.readBigUInt64LE(0) : 0n
  }

  /** Sends a request that has an answer and returns it. */
  async ask(name: string, payload: Uint8Array = Buffer.alloc(0), fds: readonly number[] = []): Promise<Reply> {
    const request = requestNumber(name)
    this.raw(encode.message(request, 0, payload), fds)
    const reply = await this.reply()
    if (reply.request !== request) throw new Error(`asked ${request}, answered ${reply.request}`)
    return reply
  }

  /** The next answer. Throws if the back-end closes the connection or none comes. */
  async reply(): Promise<Reply> {
    const end = performance.now() + ANSWER_TIMEOUT_MS
    for (let spins = 0; performance.now() < end; ) {
      const { length } = this.#received
      if (length >= HEADER_BYTES && length >= HEADER_BYTES + this.#received.readUInt32LE(8)) {
        const bytes = this.#received.readUInt32LE(8)
        const reply = {
          request: this.#received.readUInt32LE(0),
          payload: Buffer.from(this.#received.subarray(HEADER_BYTES, HEADER_BYTES + bytes)),
          fds: this.#receivedFds.splice(0),
        }
        this.#received = Buffer.from(this.#received.subarray(HEADER_BYTES + bytes))
        return reply
      }
      const part = this.#receiver.receive(this.#fd, 65536)
      if (!part) await (spins++ < SPINS ? immediate() : sleep(1))
      else if (part.bytes.length === 0) throw new Error('the back-end closed the connection')
      else {
        this.#received = Buffer.concat([this.#received, part.bytes])
        this.#receivedFds.push(...part.fds)
      }
    }
    throw new Error('the back-end does not answer')
  }

  /** Resolves to true when the back-end closes the connection, to false if it doesn't within `timeoutMs`. */
  async closes(timeoutMs = 2000): Promise<boolean> {
    for (const end = performance.now() + timeoutMs; performance.now() < end; await sleep(1)) {
      try {
        const part = this.#receiver.receive(this.#fd, 65536)
        if (part?.bytes.length === 0) return true
      } catch {
        return true // reset
      }
    }
    return false
  }

  /** Features and protocol features, owner: what comes first on a connection. Returns the features offered. */
  async negotiate(features = MODERN, protocolFeatures = ~0n): Promise<bigint> {
    const offered = (await this.ask('GET_FEATURES')).payload.readBigUInt64LE(0)
    const protocol = (await this.ask('GET_PROTOCOL_FEATURES')).payload.readBigUInt64LE(0)
    await this.tell('SET_PROTOCOL_FEATURES', encode.u64(protocol & protocolFeatures))
    this.#needReply = (protocol & protocolFeatures & (1n << 3n)) !== 0n
    await this.tell('SET_OWNER')
    await this.tell('SET_FEATURES', encode.u64(features))
    return offered
  }

  /** Makes a memfd of guest memory and remembers it as a region; `share` tells the back-end. */
  addMemory(bytes: number, guestAddress = 0n, sealed = true): GuestRegion {
    const region = {
      fd: createMemfd('guest', bytes, sealed),
      guestAddress,
      userAddress: USER_BASE + guestAddress,
      bytes,
      fileOffset: 0n,
    }
    this.regions.push(region)
    return region
  }

  /** The memory table message for `regions`. */
  static table(regions: readonly GuestRegion[]): Buffer {
    const payload = Buffer.alloc(8 + 32 * regions.length)
    payload.writeUInt32LE(regions.length, 0)
    for (const [i, region] of regions.entries()) regionBytes(region).copy(payload, 8 + 32 * i)
    return payload
  }

  /** SET_MEM_TABLE with `regions`, all by default. */
  share(regions: readonly GuestRegion[] = this.regions): Promise<void> {
    return this.tell(
      'SET_MEM_TABLE',
      FrontEnd.table(regions),
      regions.map((region) => region.fd),
    )
  }

  /** Payload of ADD_MEM_REG and REM_MEM_REG. */
  static region(region: GuestRegion): Buffer {
    return Buffer.concat([Buffer.alloc(8), regionBytes(region)])
  }

  /** A view of the guest's memory at a guest address. */
  view(guestAddress: bigint, bytes: number): DataView {
    const region = this.regions.find(
      (r) => guestAddress >= r.guestAddress && guestAddress + BigInt(bytes) <= r.guestAddress + BigInt(r.bytes),
    )
    if (!region) throw new RangeError(`guest address ${guestAddress} is in no region`)
    let mapping = this.#mappings.find((m) => m.region === region)
    if (!mapping) {
      mapping = { region, address: mapAnywhere(region.bytes, region.fd, Number(region.fileOffset)) }
      this.#mappings.push(mapping)
    }
    return new DataView(nativeView(mapping.address + Number(guestAddress - region.guestAddress), bytes))
  }

  /** User address of a guest address. */
  user(guestAddress: bigint): bigint {
    const region = this.regions.find((r) => guestAddress >= r.guestAddress && guestAddress < r.guestAddress + BigInt(r.bytes))
    return region ? guestAddress - region.guestAddress + region.userAddress : guestAddress
  }

  /** All of a driver's set-up: negotiation, memory (64 MiB unless there is some), rings started and enabled, buffers offered. */
  async setUp(options: SetUpOptions = {}): Promise<void> {
    const { packed = false, size = 256, queuePairs = 1, ringsAt = 0x10_0000n, bufferBytes = 2048, bufferStride } = options
    const features = (options.features ?? MODERN) | (packed ? featureMask('packed') : 0n)
    await this.negotiate(features, options.protocolFeatures)
    if (this.regions.length === 0) this.addMemory(64 * 1024 * 1024)
    await this.share()
    this.rings = Array.from(
      { length: 2 * queuePairs },
      (_, index) =>
        new DriverRing(
          { index, size, packed, features, at: ringsAt + BigInt(index * RING_AREA), bufferBytes, bufferStride },
          (address, bytes) => this.view(address, bytes),
        ),
    )
    for (const ring of this.rings) await this.start(ring)
    for (const ring of this.rings) {
      await this.tell('SET_VRING_ENABLE', encode.vringState(ring.index, 1))
      if (ring.index % 2 === 0) ring.offerAll()
    }
  }

  /** The messages that start one ring, from `base` (default: its start). */
  async start(ring: DriverRing, base = ring.startBase): Promise<void> {
    await this.tell('SET_VRING_NUM', encode.vringState(ring.index, ring.size))
    await this.tell('SET_VRING_BASE', encode.vringState(ring.index, base))
    await this.tell('SET_VRING_ADDR', this.addresses(ring))
    if (ring.kick < 0) ring.kick = createEventFd()
    if (ring.call < 0) ring.call = createEventFd()
    await this.tell('SET_VRING_CALL', encode.u64(BigInt(ring.index)), [ring.call])
    await this.tell('SET_VRING_KICK', encode.u64(BigInt(ring.index)), [ring.kick])
  }

  /** SET_VRING_ENABLE of one ring. */
  async enable(index: number, enabled: boolean): Promise<void> {
    await this.tell('SET_VRING_ENABLE', encode.vringState(index, enabled ? 1 : 0))
  }

  /** Payload of SET_VRING_ADDR. */
  addresses(ring: DriverRing, flags = 0, log = 0n): Buffer {
    const payload = Buffer.alloc(40)
    payload.writeUInt32LE(ring.index, 0)
    payload.writeUInt32LE(flags, 4)
    payload.writeBigUInt64LE(this.user(ring.descriptors), 8)
    payload.writeBigUInt64LE(this.user(ring.device), 16)
    payload.writeBigUInt64LE(this.user(ring.driver), 24)
    payload.writeBigUInt64LE(log, 32)
    return payload
  }

  /** GET_VRING_BASE: stops the ring, returns its position. */
  async stop(ring: DriverRing): Promise<number> {
    return (await this.ask('GET_VRING_BASE', encode.vringState(ring.index, 0))).payload.readUInt32LE(4)
  }

  /** Sends a frame through queue pair `pair`. Returns false if the ring is full. */
  send(frame: Uint8Array, pair = 0, header?: Uint8Array): boolean {
    return this.rings[2 * pair + 1]!.send(frame, header)
  }

  /** Frames that came in through queue pair `pair` since the last call. */
  receive(pair = 0): Buffer[] {
    return this.rings[2 * pair]!.receive()
  }

  /** Closes the connection as a dying process would. */
  disconnect(): void {
    closeFd(this.#fd)
    this.#fd = -1
  }

  /** Closes the connection and gives all memory and descriptors back. */
  close(): void {
    this.disconnect()
    for (const { address, region } of this.#mappings) unmap(address, region.bytes)
    for (const { fd } of this.regions) closeFd(fd)
    for (const { kick, call } of this.rings) for (const fd of [kick, call]) closeFd(fd)
    this.#mappings.length = 0
    this.regions = []
    this.rings = []
  }
}

function regionBytes({ guestAddress, bytes, userAddress, fileOffset }: GuestRegion): Buffer {
  const description = Buffer.alloc(32)
  description.writeBigUInt64LE(guestAddress, 0)
  description.writeBigUInt64LE(BigInt(bytes), 8)
  description.writeBigUInt64LE(userAddress, 16)
  description.writeBigUInt64LE(fileOffset, 24)
  return description
}
