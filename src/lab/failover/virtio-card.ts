// A network card of a software guest: the front-end of a vhost-user device, with memory, rings and driver of its own. It is what QEMU and
// a guest's kernel are to the switch otherwise, in one object without threads: who owns it polls it.
//
// The rule it must not break: its memory is given back only when the device does not use it any more: after a stop that was answered, or
// after the connection is gone.
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises'
import { closeFd, createEventFd, createMemfd, mapAnywhere, unmap } from '../../linux/files.ts'
import { nativeView } from '../../linux/libc.ts'
import { connectTo, FdReceiver, SocketType, sendWithFds } from '../../linux/sockets.ts'
import { encode, FLAG_NEED_REPLY, HEADER_BYTES, ProtocolFeature, requestNumber } from '../../vhost-user/messages.ts'
import { featureMask } from '../../virtio/features.ts'
import { LabError } from '../errors.ts'
import { DriverRing, RING_BYTES, RING_SIZE } from './driver-ring.ts'

const FEATURES = featureMask('version1', 'protocolFeatures')
const ADDRESS_IN_FRONT_END = 0x7f00_0000_0000n
const MEMORY_BYTES = 2 * RING_BYTES
const ANSWER_TIMEOUT_MS = 5000
const CONNECT_TIMEOUT_MS = 5000
const CONNECT_RETRY_MS = 2
const DRAIN_TIMEOUT_MS = 1000
/** Milliseconds between two looks at whether the connection is there. */
const LOOK_MS = 0.2
const RECEIVE_BYTES = 4096
const [RECEIVE, TRANSMIT] = [0, 1] as const

export class VirtioCard {
  readonly path: string
  readonly #fd: number
  readonly #receiver = new FdReceiver(RECEIVE_BYTES)
  readonly #memoryFd: number
  readonly #address: number
  readonly #rings: readonly [DriverRing, DriverRing]
  readonly #eventFds: number[]
  #received: Buffer = Buffer.alloc(0)
  #needReply = false
  #isGone = false
  #lookedAtMs = 0

  private constructor(path: string, fd: number) {
    this.path = path
    this.#fd = fd
    this.#memoryFd = createMemfd('software-guest', MEMORY_BYTES, true)
    this.#address = mapAnywhere(MEMORY_BYTES, this.#memoryFd, 0)
    const memory = nativeView(this.#address, MEMORY_BYTES)
    this.#eventFds = [0, 1, 2, 3].map(createEventFd)
    this.#rings = [new DriverRing(memory, 0, this.#eventFds[0]!), new DriverRing(memory, RING_BYTES, this.#eventFds[1]!)]
  }

  /** Connects to the device at `path`, as soon as it is there, and starts its rings. Throws a LabError. */
  static async plug(path: string): Promise<VirtioCard> {
    const card = new VirtioCard(path, await connectPatiently(path))
    try {
      await card.#start()
      return card
    } catch (error) {
      card.close()
      throw error
    }
  }

  /** Frames that the device has not sent yet. */
  get unsent(): number {
    this.#rings[TRANSMIT].reclaim()
    return this.#rings[TRANSMIT].lent
  }

  /** Whether the device went away. Looks at the connection now and then only. */
  get isGone(): boolean {
    const nowMs = performance.now()
    if (this.#isGone || nowMs - this.#lookedAtMs < LOOK_MS) return this.#isGone
    this.#lookedAtMs = nowMs
    this.#look()
    return this.#isGone
  }

  /** Returns false if the ring is full. */
  send(frame: Uint8Array): boolean {
    return this.#rings[TRANSMIT].send(frame)
  }

  /** Hands over the frames that came. Returns how many. */
  receive(take: (frame: Buffer) => void): number {
    return this.#rings[RECEIVE].receive(take, !this.#isGone)
  }

  /** Lets the device send what it has, then stops its rings: it writes nothing to the guest's memory any more. Throws if it is gone. */
  async stop(): Promise<void> {
    for (const end = performance.now() + DRAIN_TIMEOUT_MS; this.unsent > 0 && !this.isGone && performance.now() < end; )
      await immediate()
    try {
      for (const ring of [RECEIVE, TRANSMIT]) await this.#ask('GET_VRING_BASE', encode.vringState(ring, 0))
    } catch (error) {
      this.#look() // why: it may have gone meanwhile
      throw error
    }
  }

  close(): void {
    closeFd(this.#fd)
    this.#isGone = true
    unmap(this.#address, MEMORY_BYTES)
    closeFd(this.#memoryFd)
    for (const fd of this.#eventFds) closeFd(fd)
  }

  async #start(): Promise<void> {
    await this.#ask('GET_FEATURES')
    const offered = (await this.#ask('GET_PROTOCOL_FEATURES')).readBigUInt64LE(0)
    const wanted = offered & (1n << BigInt(ProtocolFeature.replyAck))
    this.#tell('SET_PROTOCOL_FEATURES', encode.u64(wanted))
    this.#needReply = wanted !== 0n
    await this.#do('SET_OWNER')
    await this.#do('SET_FEATURES', encode.u64(FEATURES))
    const table = Buffer.alloc(40)
    table.writeUInt32LE(1, 0)
    table.writeBigUInt64LE(BigInt(MEMORY_BYTES), 16)
    table.writeBigUInt64LE(ADDRESS_IN_FRONT_END, 24)
    await this.#do('SET_MEM_TABLE', table, [this.#memoryFd])
    for (const [index, ring] of this.#rings.entries()) {
      await this.#do('SET_VRING_NUM', encode.vringState(index, RING_SIZE))
      await this.#do('SET_VRING_BASE', encode.vringState(index, 0))
      await this.#do('SET_VRING_ADDR', addresses(index, ring))
      await this.#do('SET_VRING_CALL', encode.u64(BigInt(index)), [this.#eventFds[2 + index]!])
      await this.#do('SET_VRING_KICK', encode.u64(BigInt(index)), [ring.kick])
    }
    this.#rings[RECEIVE].offer()
    for (const index of this.#rings.keys()) await this.#do('SET_VRING_ENABLE', encode.vringState(index, 1))
  }

  #tell(name: string, payload: Uint8Array, fds: readonly number[] = [], flags = 0): void {
    sendWithFds(this.#fd, encode.message(requestNumber(name), flags, payload), fds)
  }

  async #do(name: string, payload: Uint8Array = Buffer.alloc(0), fds: readonly number[] = []): Promise<void> {
    this.#tell(name, payload, fds, this.#needReply ? FLAG_NEED_REPLY : 0)
    if (this.#needReply && (await this.#answer(name)).readBigUInt64LE(0) !== 0n)
      throw new LabError('link-failed', `${this.path}: ${name} was refused`)
  }

  #ask(name: string, payload: Uint8Array = Buffer.alloc(0)): Promise<Buffer> {
    this.#tell(name, payload)
    return this.#answer(name)
  }

  async #answer(name: string): Promise<Buffer> {
    for (const end = performance.now() + ANSWER_TIMEOUT_MS; performance.now() < end; await immediate()) {
      this.#look()
      const bytes = this.#received.length < HEADER_BYTES ? Number.POSITIVE_INFINITY : this.#received.readUInt32LE(8)
      if (this.#received.length >= HEADER_BYTES + bytes) {
        const payload = this.#received.subarray(HEADER_BYTES, HEADER_BYTES + bytes)
        this.#received = this.#received.subarray(HEADER_BYTES + bytes)
        return payload
      }
      if (this.#isGone) throw new LabError('link-failed', `${this.path}: the device went away at ${name}`)
    }
    throw new LabError('link-failed', `${this.path}: the device does not answer ${name}`)
  }

  #look(): void {
    if (this.#isGone) return
    try {
      const part = this.#receiver.receive(this.#fd, RECEIVE_BYTES)
      if (part === null) return
      if (part.bytes.length === 0) this.#isGone = true
      else this.#received = Buffer.concat([this.#received, part.bytes])
      for (const fd of part.fds) closeFd(fd)
    } catch {
      this.#isGone = true // reset
    }
  }
}

function addresses(index: number, ring: DriverRing): Buffer {
  const payload = Buffer.alloc(40)
  payload.writeUInt32LE(index, 0)
  for (const [i, at] of [ring.descriptors, ring.device, ring.driver].entries())
    payload.writeBigUInt64LE(ADDRESS_IN_FRONT_END + BigInt(at), 8 + 8 * i)
  return payload
}

async function connectPatiently(path: string): Promise<number> {
  for (const end = performance.now() + CONNECT_TIMEOUT_MS; ; await sleep(CONNECT_RETRY_MS)) {
    try {
      return connectTo(path, SocketType.stream)
    } catch (error) {
      if (performance.now() > end) throw new LabError('link-failed', `${path}: ${(error as Error).message}`, { cause: error })
    }
  }
}
