// A vfio-user client with a driver for the 82576 virtual function, for tests: speaks the protocol over a real socket, owns the guest's
// memory (a memfd with rings and buffers in it), and sends and receives frames as a guest's driver would.
//
// The rule it must not break: it checks as a careful driver does, so that a device's mistake shows.
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises'
import * as r from '../../src/adapter/igbvf/registers.ts'
import { closeFd, createEventFd, createMemfd, mapAnywhere, unmap } from '../../src/linux/files.ts'
import { nativeView, sys } from '../../src/linux/libc.ts'
import { connectTo, FdReceiver, SocketType, sendWithFds } from '../../src/linux/sockets.ts'
import { Command, FLAG_NO_REPLY, HEADER_BYTES } from '../../src/vfio-user/messages.ts'

export const GUEST_BYTES = 16 * 1024 * 1024
const CONFIG_REGION = 7
const TX_RING = 0x1_0000
const RX_RING = 0x2_0000
const TX_BUFFERS = 0x10_0000
const RX_BUFFERS = 0x80_0000
const TX_BUFFER_BYTES = 65536
const RX_BUFFER_BYTES = 16384
const ANSWER_TIMEOUT_MS = 30_000
const SPINS = 500
const ANSWER_WORDS = 6

export interface Reply {
  readonly command: number
  readonly errno: number
  readonly payload: Buffer
}

export interface DriverOptions {
  readonly ringSize?: number
  /** SRRCTL: 16 KiB buffers, one buffer per packet, unless a test wants something else. */
  readonly srrctl?: number
  readonly maxFrame?: number
}

export class IgbvfDriver {
  readonly view: DataView
  readonly memory = createMemfd('guest', GUEST_BYTES)
  readonly vectors = [createEventFd(), createEventFd(), createEventFd()]
  size = 64
  #fd: number
  readonly #address: number
  readonly #receiver = new FdReceiver(262144)
  #received = Buffer.alloc(0)
  #id = 0
  #txTail = 0
  #txClean = 0
  #rxNext = 0
  #srrctl = 0

  private constructor(fd: number) {
    this.#fd = fd
    this.#address = mapAnywhere(GUEST_BYTES, this.memory, 0)
    this.view = new DataView(nativeView(this.#address, GUEST_BYTES))
  }

  static connect(path: string): IgbvfDriver {
    return new IgbvfDriver(connectTo(path, SocketType.stream))
  }

  /** A message with its header. */
  static message(command: number, payload: Uint8Array, flags = 0, id = 1): Buffer {
    const message = Buffer.alloc(HEADER_BYTES + payload.length)
    message.writeUInt16LE(id, 0)
    message.writeUInt16LE(command, 2)
    message.writeUInt32LE(message.length, 4)
    message.writeUInt32LE(flags, 8)
    message.set(payload, HEADER_BYTES)
    return message
  }

  raw(bytes: Uint8Array, fds: readonly number[] = []): void {
    sendWithFds(this.#fd, bytes, fds)
  }

  /** Sends a message and returns the answer, errors included. */
  async ask(command: number, payload: Uint8Array = Buffer.alloc(0), fds: readonly number[] = []): Promise<Reply> {
    this.raw(IgbvfDriver.message(command, payload, 0, ++this.#id & 0xffff), fds)
    const end = performance.now() + ANSWER_TIMEOUT_MS
    for (let spins = 0; performance.now() < end; ) {
      if (this.#received.length >= HEADER_BYTES && this.#received.length >= this.#received.readUInt32LE(4)) {
        const bytes = this.#received.readUInt32LE(4)
        const reply = {
          command: this.#received.readUInt16LE(2),
          errno: this.#received.readUInt32LE(12),
          payload: Buffer.from(this.#received.subarray(HEADER_BYTES, bytes)),
        }
        this.#received = Buffer.from(this.#received.subarray(bytes))
        return reply
      }
      const part = this.#receiver.receive(this.#fd, 262144)
      if (!part) await (spins++ < SPINS ? immediate() : sleep(1))
      else if (part.bytes.length === 0) throw new Error('the server closed the connection')
      else this.#received = Buffer.concat([this.#received, part.bytes])
    }
    throw new Error('the server does not answer')
  }

  /** Sends a message that must succeed. */
  async tell(command: number, payload?: Uint8Array, fds?: readonly number[]): Promise<Buffer> {
    const { errno, payload: answer } = await this.ask(command, payload, fds)
    if (errno !== 0) throw new Error(`command ${command} was refused with ${errno}`)
    return answer
  }

  /** True when the server closes the connection. */
  async closes(timeoutMs = 2000): Promise<boolean> {
    for (const end = performance.now() + timeoutMs; performance.now() < end; await sleep(1)) {
      try {
        if (this.#receiver.receive(this.#fd, 65536)?.bytes.length === 0) return true
      } catch {
        return true
      }
    }
    return false
  }

  static access(region: number, offset: number, bytes: number, data: Uint8Array = Buffer.alloc(0)): Buffer {
    const payload = Buffer.alloc(16 + data.length)
    payload.writeBigUInt64LE(BigInt(offset), 0)
    payload.writeUInt32LE(region, 8)
    payload.writeUInt32LE(bytes, 12)
    payload.set(data, 16)
    return payload
  }

  async readConfig(offset: number, bytes: number): Promise<Buffer> {
    return (await this.tell(Command.regionRead, IgbvfDriver.access(CONFIG_REGION, offset, bytes))).subarray(16)
  }

  async writeConfig(offset: number, data: Uint8Array): Promise<void> {
    await this.tell(Command.regionWrite, IgbvfDriver.access(CONFIG_REGION, offset, data.length, data))
  }

  async read(register: number): Promise<number> {
    return (await this.tell(Command.regionRead, IgbvfDriver.access(0, register, 4))).readUInt32LE(16)
  }

  /** A posted write, as VMMs send it. */
  write(register: number, value: number): void {
    const data = Buffer.alloc(4)
    data.writeUInt32LE(value >>> 0)
    this.raw(IgbvfDriver.message(Command.regionWrite, IgbvfDriver.access(0, register, 4, data), FLAG_NO_REPLY))
  }

  /** VERSION. */
  async greet(): Promise<Buffer> {
    const text = Buffer.from('{"capabilities":{"max_msg_fds":16}}\0')
    return this.tell(Command.version, Buffer.concat([Buffer.alloc(4), text]))
  }

  static dmaMap(address: number, bytes: number, flags = 3, fileOffset = 0): Buffer {
    const payload = Buffer.alloc(32)
    payload.writeUInt32LE(32, 0)
    payload.writeUInt32LE(flags, 4)
    payload.writeBigUInt64LE(BigInt(fileOffset), 8)
    payload.writeBigUInt64LE(BigInt(address), 16)
    payload.writeBigUInt64LE(BigInt(bytes), 24)
    return payload
  }

  static setIrqs(start: number, count: number, flags = 0x24): Buffer {
    const payload = Buffer.alloc(20)
    for (const [i, word] of [20, flags, 2, start, count].entries()) payload.writeUInt32LE(word, 4 * i)
    return payload
  }

  /** A mailbox message; returns the first words of the answer. */
  async mail(...words: readonly number[]): Promise<number[]> {
    this.write(r.V2PMAILBOX, r.MAILBOX_VFU)
    for (const [i, word] of words.entries()) this.write(r.VMBMEM + 4 * i, word)
    this.write(r.V2PMAILBOX, r.MAILBOX_REQ)
    let state = await this.read(r.V2PMAILBOX)
    // What the physical function has to ask for takes a while: it owns the mailbox until then.
    while ((state & (r.MAILBOX_PFU | r.MAILBOX_PFSTS)) === r.MAILBOX_PFU)
      state = (state & ~r.MAILBOX_PFU) | (await this.read(r.V2PMAILBOX))
    if ((state & (r.MAILBOX_PFSTS | r.MAILBOX_PFACK)) !== (r.MAILBOX_PFSTS | r.MAILBOX_PFACK))
      throw new Error(`the mailbox did not answer: 0x${state.toString(16)}`)
    this.write(r.V2PMAILBOX, r.MAILBOX_VFU)
    const answer: number[] = []
    for (let i = 0; i < ANSWER_WORDS; i++) answer.push(await this.read(r.VMBMEM + 4 * i))
    this.write(r.V2PMAILBOX, r.MAILBOX_ACK)
    return answer
  }

  /** All that a VMM and a driver do until frames can pass. */
  async setUp(options: DriverOptions = {}): Promise<void> {
    await this.greet()
    await this.tell(Command.dmaMap, IgbvfDriver.dmaMap(0, GUEST_BYTES), [this.memory])
    await this.tell(Command.setIrqs, IgbvfDriver.setIrqs(0, 3), this.vectors)
    await this.writeConfig(4, Uint8Array.of(6, 4))
    await this.startRings(options)
  }

  /** Reset, hello, rings on. */
  async startRings({ ringSize = 64, srrctl = 0x0200_0010, maxFrame = 9216 }: DriverOptions = {}): Promise<void> {
    this.size = ringSize
    this.#srrctl = srrctl
    this.#txTail = 0
    this.#txClean = 0
    this.#rxNext = 0
    this.write(r.CTRL, r.CTRL_RST)
    await this.mail(r.VF_RESET)
    await this.mail(r.VF_SET_LPE, maxFrame)
    for (let i = 0; i < ringSize; i++) this.#offer(i)
    for (const [register, value] of [
      [r.TDBAL, TX_RING],
      [r.TDBAH, 0],
      [r.TDLEN, ringSize * r.DESCRIPTOR_BYTES],
      [r.TXDCTL, r.QUEUE_ENABLE],
      [r.RDBAL, RX_RING],
      [r.RDBAH, 0],
      [r.RDLEN, ringSize * r.DESCRIPTOR_BYTES],
      [r.SRRCTL, srrctl],
      [r.RXDCTL, r.QUEUE_ENABLE],
      [r.RDT, ringSize - 1],
      [r.IVAR0, 0x8081],
      [r.IVAR_MISC, 0x82],
      [r.EIAC, 7],
      [r.EIAM, 7],
      [r.EIMS, 7],
    ] as const)
      this.write(register, value)
    await this.read(r.STATUS)
  }

  /** Writes four words of transmit descriptor `index`. */
  describe(index: number, words: readonly number[]): void {
    for (let i = 0; i < 4; i++) this.view.setUint32(TX_RING + index * 16 + 4 * i, words[i]! >>> 0, true)
  }

  /** Guest address of transmit buffer `index`. */
  txBuffer(index: number): number {
    return TX_BUFFERS + (index % 64) * TX_BUFFER_BYTES
  }

  /** Puts descriptors at the tail and rings. */
  post(...descriptors: readonly (readonly number[])[]): void {
    for (const words of descriptors) {
      this.describe(this.#txTail, words)
      this.#txTail = (this.#txTail + 1) % this.size
    }
    this.write(r.TDT, this.#txTail)
  }

  get txTail(): number {
    return this.#txTail
  }

  /** Sends a frame in one descriptor. Returns false if the ring is full. */
  send(frame: Uint8Array, command = 0, options = 0): boolean {
    this.reap()
    if ((this.#txTail + 2) % this.size === this.#txClean || (this.#txTail + 1) % this.size === this.#txClean) return false
    const at = this.txBuffer(this.#txTail)
    new Uint8Array(this.view.buffer).set(frame, at)
    const word2 = frame.length | r.TX_TYPE_DATA | r.TX_EXTENDED | r.TX_EOP | r.TX_RS | command
    this.post([at, 0, word2, ((frame.length << 14) | options) >>> 0])
    return true
  }

  /** Takes back finished transmit descriptors. */
  reap(): void {
    while (this.#txClean !== this.#txTail && (this.view.getUint32(TX_RING + this.#txClean * 16 + 12, true) & 1) !== 0) {
      this.view.setUint32(TX_RING + this.#txClean * 16 + 12, 0, true)
      this.#txClean = (this.#txClean + 1) % this.size
    }
  }

  /** The next received frame with its last status and length words, or null. */
  receive(): { frame: Buffer; status: number; tag: number; header: number } | null {
    const parts: Buffer[] = []
    let header = 0
    for (let index = this.#rxNext; ; index = (index + 1) % this.size) {
      const at = RX_RING + index * 16
      const status = this.view.getUint32(at + 8, true)
      if ((status & r.RX_DONE) === 0) return null
      const word3 = this.view.getUint32(at + 12, true)
      const info = this.view.getUint32(at, true) >>> 16
      const buffer = RX_BUFFERS + index * RX_BUFFER_BYTES
      const inHeader = (info & r.RX_SPLIT_HEADER) !== 0 ? (info & 0x7fff) >>> r.RX_SPLIT_LENGTH_SHIFT : 0
      header += inHeader
      parts.push(this.#bytes(buffer + 8192, inHeader), this.#bytes(buffer, word3 & 0xffff))
      if ((status & r.RX_EOP) === 0) continue
      for (let done = this.#rxNext; ; done = (done + 1) % this.size) {
        this.#offer(done)
        if (done === index) break
      }
      this.#rxNext = (index + 1) % this.size
      this.write(r.RDT, (index + this.size) % this.size)
      return { frame: Buffer.concat(parts), status, tag: word3 >>> 16, header }
    }
  }

  /** Whether a vector was signalled since the last call. */
  signalled(vector: number): boolean {
    return takeEvent(this.vectors[vector]!)
  }

  disconnect(): void {
    closeFd(this.#fd)
    this.#fd = -1
  }

  /** Closes the connection and gives memory and descriptors back. */
  close(): void {
    this.disconnect()
    unmap(this.#address, GUEST_BYTES)
    closeFd(this.memory)
    for (const fd of this.vectors) closeFd(fd)
  }

  #bytes(at: number, length: number): Buffer {
    return Buffer.from(new Uint8Array(this.view.buffer).slice(at, at + length))
  }

  #offer(index: number): void {
    const split = this.#srrctl >>> r.SRRCTL_TYPE_SHIFT === r.RX_TYPE_SPLIT_ALWAYS
    const buffer = RX_BUFFERS + index * RX_BUFFER_BYTES
    for (const [i, word] of [buffer, 0, split ? buffer + 8192 : 0, 0].entries())
      this.view.setUint32(RX_RING + index * 16 + 4 * i, word, true)
  }
}

const eventCount = Buffer.alloc(8)
const takeEvent = (fd: number): boolean => sys.read(fd, eventCount, 8) === 8
