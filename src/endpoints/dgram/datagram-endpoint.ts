// What the control halves of both datagram kinds have in common: a bound socket, its memory, and the news about the peer.
//
// The rule it must not break: the socket file belongs to us from open to close, and nothing of it is left behind.
import { errnoName } from '../../linux/errors.ts'
import { closeFd } from '../../linux/files.ts'
import {
  bindPath,
  openSocket,
  removeSocket,
  SocketType,
  setSocketBuffers,
  socketIdentity,
  unixAddress,
} from '../../linux/sockets.ts'
import type { EndpointComponents, EndpointControl, EndpointOptions } from '../endpoint.ts'
import { Steps } from '../steps.ts'
import { Trouble, TroubleDesk } from '../trouble.ts'
import { type DatagramPlan, PEER_ADDRESS, PEER_BYTES, PEER_LENGTH } from './datagram-queue.ts'

/** What is asked for as the socket's buffers, in bytes; the kernel may grant less. */
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024
/** News of the same kind closer together than this are told once. */
const NEWS_INTERVAL_MS = 1000

export interface DatagramEndpointOptions extends EndpointOptions {
  readonly kind: 'dgram' | 'unix-dgram'
  /** Path that we bind. */
  readonly path: string
  /** Path of the peer; without one it is learned from what the peer sends. */
  readonly peer?: string
}

export class DatagramEndpoint implements EndpointControl {
  readonly kind: 'dgram' | 'unix-dgram'
  readonly #options: DatagramEndpointOptions
  readonly #components: EndpointComponents
  readonly #steps: Steps
  #fd = -1
  #area = 0
  #identity = ''
  #desk: TroubleDesk | null = null
  #up = false
  #strangers = 0
  #strangersToldAt = Number.NEGATIVE_INFINITY

  constructor(options: DatagramEndpointOptions, components: EndpointComponents) {
    this.kind = options.kind
    this.#options = options
    this.#components = components
    this.#steps = new Steps((error) => components.events.event('datagram-failed', `${options.path}: ${String(error)}`))
  }

  open(): Promise<void> {
    return this.#steps.run(() => this.#open())
  }

  close(): Promise<void> {
    return this.#steps.run(() => this.#close())
  }

  describe(): Record<string, unknown> {
    return { path: this.#options.path, peer: this.#peer(), up: this.#up, strangers: this.#strangers }
  }

  async #open(): Promise<void> {
    if (this.#fd >= 0) return
    const { path, peer, port } = this.#options
    const { memory, events } = this.#components
    const peerAddress = peer === undefined ? null : unixAddress(peer)
    this.#fd = openSocket(SocketType.datagram)
    try {
      bindPath(this.#fd, path, SocketType.datagram)
      this.#identity = socketIdentity(path)
      setSocketBuffers(this.#fd, SOCKET_BUFFER_BYTES)
      this.#area = memory.allocate(PEER_BYTES)
      if (peerAddress) {
        memory.u8.set(peerAddress, this.#area + PEER_ADDRESS)
        memory.u32[(this.#area + PEER_LENGTH) >> 2] = peerAddress.length
      }
      const desk = new TroubleDesk(memory, (trouble, detail) => this.#onTrouble(trouble, detail))
      this.#desk = desk
      const plan: DatagramPlan = {
        kind: this.kind,
        index: 0,
        port,
        fd: this.#fd,
        area: this.#area,
        learn: !peerAddress,
        ...desk.plan,
      }
      await events.plans([plan], [])
    } catch (error) {
      this.#release()
      throw error
    }
    // A peer whose address is configured can be sent to at once; one that must introduce itself can't.
    if (peerAddress) this.#setLink(true)
  }

  async #close(): Promise<void> {
    if (this.#fd < 0) return
    this.#setLink(false)
    await this.#components.events.plans([], [])
    this.#release()
  }

  #release(): void {
    closeFd(this.#fd)
    removeSocket(this.#options.path, this.#identity)
    this.#desk?.close()
    if (this.#area > 0) this.#components.memory.free(this.#area, PEER_BYTES)
    this.#fd = -1
    this.#identity = ''
    this.#desk = null
    this.#area = 0
  }

  #onTrouble(trouble: Trouble, detail: number): void {
    const { events } = this.#components
    const { path, peer } = this.#options
    if (trouble === Trouble.peerFound) {
      this.#setLink(true)
      events.event('peer-found', `${path}: the peer is ${this.#peer()}`)
    } else if (trouble === Trouble.peerLost) {
      // A configured peer is tried again with every frame, so its link stays up; one that introduces itself will do so again.
      if (peer === undefined) this.#setLink(false)
      events.event('peer-lost', `${path}: nobody receives at ${this.#peer()} (${errnoName(detail)}): is the guest running?`)
    } else if (trouble === Trouble.secondPeer) {
      this.#strangers++
      const now = performance.now()
      if (now - this.#strangersToldAt < NEWS_INTERVAL_MS) return
      this.#strangersToldAt = now
      events.event(
        'second-peer',
        `${path}: frames from somebody other than the peer ${this.#peer()} are dropped: one port serves one guest`,
      )
    }
  }

  #setLink(up: boolean): void {
    if (this.#up === up) return
    this.#up = up
    this.#components.events.link(up)
  }

  /** The peer's path, '' while unknown. */
  #peer(): string {
    if (this.#fd < 0) return this.#options.peer ?? ''
    const { memory } = this.#components
    const length = Atomics.load(memory.i32, (this.#area + PEER_LENGTH) >> 2)
    const bytes = Buffer.from(memory.u8.subarray(this.#area + PEER_ADDRESS + 2, this.#area + PEER_ADDRESS + Math.max(length, 2)))
    const end = bytes.indexOf(0, 1)
    return bytes.toString('utf8', 0, end < 0 ? bytes.length : end).replace('\0', '@')
  }
}
