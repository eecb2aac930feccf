// Peers of the socket endpoints for tests: what QEMU, vfkit and libkrun do with their ends, without them.
import { unlinkSync } from 'node:fs'
import type { CompliancePeer } from '../../src/endpoints/compliance.ts'
import { addressOf, closeFd } from '../../src/linux/files.ts'
import { lastErrno, sys } from '../../src/linux/libc.ts'
import { acceptFrom, bindPath, connectTo, openSocket, SocketType, unixAddress } from '../../src/linux/sockets.ts'

const PREFIX = 4
const RECEIVE_BYTES = 128 * 1024
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const EAGAIN = 11

/** A QEMU stream peer: length-prefixed frames over a connected socket. */
export class StreamPeer implements CompliancePeer {
  #fd: number
  #held = Buffer.alloc(0)
  #unsent = Buffer.alloc(0)
  readonly #buffer = Buffer.alloc(RECEIVE_BYTES)

  constructor(fd: number) {
    this.#fd = fd
  }

  static connect(path: string): StreamPeer {
    return new StreamPeer(connectTo(path, SocketType.stream))
  }

  /** Accepts from a listener, or returns null if nobody waits. */
  static accept(listener: number): StreamPeer | null {
    const fd = acceptFrom(listener)
    return fd < 0 ? null : new StreamPeer(fd)
  }

  send(frame: Uint8Array): boolean {
    if (!this.sendBytes(Buffer.alloc(0))) return false
    const prefix = Buffer.alloc(PREFIX)
    prefix.writeUInt32BE(frame.length)
    this.sendBytes(Buffer.concat([prefix, frame]))
    return true
  }

  /** Sends raw bytes after those still unsent. Returns whether nothing is left unsent. */
  sendBytes(bytes: Buffer): boolean {
    this.#unsent = Buffer.concat([this.#unsent, bytes])
    while (this.#unsent.length > 0) {
      const sent = sys.write(this.#fd, this.#unsent, this.#unsent.length)
      if (sent < 0) return lastErrno() !== EAGAIN
      this.#unsent = this.#unsent.subarray(sent)
    }
    return true
  }

  receive(): Uint8Array | null {
    for (;;) {
      if (this.#held.length >= PREFIX) {
        const length = this.#held.readUInt32BE(0)
        if (this.#held.length >= PREFIX + length) {
          const frame = this.#held.subarray(PREFIX, PREFIX + length)
          this.#held = this.#held.subarray(PREFIX + length)
          return frame
        }
      }
      const got = sys.read(this.#fd, this.#buffer, RECEIVE_BYTES)
      if (got <= 0) return null
      this.#held = Buffer.concat([this.#held, this.#buffer.subarray(0, got)])
    }
  }

  /** Whether the other side has closed. */
  get closed(): boolean {
    const got = sys.read(this.#fd, this.#buffer, RECEIVE_BYTES)
    return got === 0 || (got < 0 && lastErrno() !== EAGAIN)
  }

  vanish(): void {
    closeFd(this.#fd)
    this.#fd = -1
  }
}

export interface DatagramPeerOptions {
  /** Path that the peer binds. */
  readonly path: string
  /** Path of the switch. */
  readonly to: string
  /** Connects its socket, as vfkit and libkrun do; QEMU does not. */
  readonly connect: boolean
  /** Sends "VFKT" first. */
  readonly greet?: boolean
}

/** A datagram peer: one frame per datagram. */
export class DatagramPeer implements CompliancePeer {
  #fd: number
  readonly #path: string
  readonly #to: Buffer
  readonly #buffer = Buffer.alloc(RECEIVE_BYTES)

  constructor(options: DatagramPeerOptions) {
    this.#path = options.path
    this.#to = unixAddress(options.to)
    this.#fd = openSocket(SocketType.datagram)
    bindPath(this.#fd, options.path, SocketType.datagram)
    if (options.connect && sys.connect(this.#fd, this.#to, this.#to.length) < 0)
      throw new Error(`cannot connect to ${options.to}: errno ${lastErrno()}`)
    if (options.greet) this.send(Buffer.from('VFKT'))
  }

  send(frame: Uint8Array): boolean {
    const vector = Buffer.alloc(16)
    vector.writeBigUInt64LE(BigInt(addressOf(frame)), 0)
    vector.writeBigUInt64LE(BigInt(frame.length), 8)
    const message = Buffer.alloc(56)
    message.writeBigUInt64LE(BigInt(addressOf(this.#to)), 0)
    message.writeUInt32LE(this.#to.length, 8)
    message.writeBigUInt64LE(BigInt(addressOf(vector)), 16)
    message.writeBigUInt64LE(1n, 24)
    return sys.sendmsg(this.#fd, message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0
  }

  receive(): Uint8Array | null {
    const got = sys.read(this.#fd, this.#buffer, RECEIVE_BYTES)
    return got < 0 ? null : Buffer.from(this.#buffer.subarray(0, got))
  }

  vanish(): void {
    if (this.#fd < 0) return
    closeFd(this.#fd)
    this.#fd = -1
    try {
      unlinkSync(this.#path)
    } catch {}
  }

  /** Goes away and leaves its socket file, as a killed process does. */
  die(): void {
    closeFd(this.#fd)
    this.#fd = -1
  }
}
