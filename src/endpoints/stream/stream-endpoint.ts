// The control half of a QEMU "-netdev stream" peer: listens on a unix socket, or connects to one and connects again whenever the
// peer was lost.
//
// The rule it must not break: one peer at a time. While there is one, others wait in the listener's queue; a peer that breaks the
// framing is disconnected and harms nobody else.
import { FRAME_MAX } from '../../kernels/layout.ts'
import { errnoName, SystemCallError } from '../../linux/errors.ts'
import { closeFd, type Watcher, watchFd } from '../../linux/files.ts'
import {
  acceptFrom,
  connectTo,
  listenAt,
  removeSocket,
  SocketType,
  setSocketBuffers,
  socketIdentity,
} from '../../linux/sockets.ts'
import type { EndpointComponents, EndpointControl, EndpointOptions } from '../endpoint.ts'
import { Steps } from '../steps.ts'
import { Trouble, TroubleDesk } from '../trouble.ts'
import { STREAM_AREA_BYTES, type StreamPlan } from './stream-queue.ts'

/** What is asked for as a socket's buffers, in bytes: room for a burst while the peer sleeps. */
const SOCKET_BUFFER_BYTES = 1024 * 1024
const RECONNECT_FIRST_MS = 20
const RECONNECT_MAX_MS = 2000

export interface StreamOptions extends EndpointOptions {
  /** Path of the unix socket, at most 107 bytes. */
  readonly path: string
  /** Listens at the path (server, the default), or connects to it. */
  readonly mode?: 'server' | 'client'
}

export class StreamEndpoint implements EndpointControl {
  readonly kind = 'stream'
  readonly #options: StreamOptions
  readonly #components: EndpointComponents
  readonly #steps: Steps
  #opened = false
  #area = 0
  #desk: TroubleDesk | null = null
  #listener = -1
  #identity = ''
  #listenerWatch: Watcher | null = null
  #retry: NodeJS.Timeout | null = null
  #retryMs = RECONNECT_FIRST_MS
  #fd = -1
  #connections = 0

  constructor(options: StreamOptions, components: EndpointComponents) {
    this.#options = options
    this.#components = components
    this.#steps = new Steps((error) => components.events.event('stream-failed', `${options.path}: ${String(error)}`))
  }

  open(): Promise<void> {
    return this.#steps.run(() => this.#open())
  }

  close(): Promise<void> {
    return this.#steps.run(() => this.#close())
  }

  describe(): Record<string, unknown> {
    const { path, mode = 'server' } = this.#options
    return { path, mode, connected: this.#fd >= 0, connections: this.#connections }
  }

  async #open(): Promise<void> {
    if (this.#opened) return
    const { path, mode = 'server' } = this.#options
    const { memory, events } = this.#components
    this.#opened = true
    try {
      if (mode === 'server') {
        this.#listener = listenAt(path)
        this.#identity = socketIdentity(path)
      }
      this.#area = memory.allocateForPort(STREAM_AREA_BYTES)
      this.#desk = new TroubleDesk(memory, (trouble, detail) => this.#steps.start(() => this.#onTrouble(trouble, detail)))
      const fd = mode === 'client' ? tryConnect(path) : -1
      if (fd >= 0) return await this.#serve(fd)
    } catch (error) {
      await this.#close()
      throw error
    }
    if (mode === 'client') events.event('waiting-for-peer', `nobody listens at ${path} yet: trying again until somebody does`)
    this.#seekPeer()
  }

  async #close(): Promise<void> {
    if (!this.#opened) return
    this.#opened = false
    this.#listenerWatch?.close()
    this.#listenerWatch = null
    if (this.#retry) clearTimeout(this.#retry)
    this.#retry = null
    await this.#drop()
    closeFd(this.#listener)
    removeSocket(this.#options.path, this.#identity)
    this.#listener = -1
    this.#identity = ''
    this.#desk?.close()
    this.#desk = null
    if (this.#area > 0) this.#components.memory.free(this.#area, STREAM_AREA_BYTES)
    this.#area = 0
  }

  /** Waits for the next peer, by listening or by trying again after a while. */
  #seekPeer(): void {
    if (!this.#opened || this.#fd >= 0) return
    if (this.#listener >= 0) {
      this.#listenerWatch ??= watchFd(this.#listener, () => this.#onListener())
      return
    }
    this.#retry ??= setTimeout(() => {
      this.#retry = null
      this.#steps.start(async () => {
        if (!this.#opened || this.#fd >= 0) return
        this.#retryMs = Math.min(this.#retryMs * 2, RECONNECT_MAX_MS)
        let fd = -1
        try {
          fd = tryConnect(this.#options.path)
        } finally {
          if (fd < 0) this.#seekPeer() // after an error too: whoever causes it can cure it
        }
        if (fd >= 0) await this.#serve(fd)
      })
    }, this.#retryMs)
  }

  #onListener(): void {
    this.#listenerWatch?.close()
    this.#listenerWatch = null
    this.#steps.start(async () => {
      if (!this.#opened || this.#fd >= 0) return
      const fd = acceptFrom(this.#listener)
      if (fd >= 0) await this.#serve(fd)
      else this.#seekPeer()
    })
  }

  async #serve(fd: number): Promise<void> {
    const { events } = this.#components
    const desk = this.#desk!
    setSocketBuffers(fd, SOCKET_BUFFER_BYTES)
    this.#fd = fd
    this.#connections++
    this.#retryMs = RECONNECT_FIRST_MS
    desk.clear()
    const plan: StreamPlan = { kind: 'stream', index: 0, port: this.#options.port, fd, area: this.#area, ...desk.plan }
    try {
      await events.plans([plan], [])
    } catch (error) {
      this.#fd = -1
      closeFd(fd)
      throw error
    }
    events.link(true)
  }

  async #drop(): Promise<void> {
    if (this.#fd < 0) return
    const { events } = this.#components
    events.link(false)
    await events.plans([], [])
    closeFd(this.#fd)
    this.#fd = -1
  }

  async #onTrouble(trouble: Trouble, detail: number): Promise<void> {
    if (this.#fd < 0) return
    const { events } = this.#components
    const { path } = this.#options
    if (trouble === Trouble.badLength)
      events.event(
        'bad-frame-length',
        `the peer at ${path} announced a frame of ${detail} bytes (1 to ${FRAME_MAX} are possible) and was disconnected: is it really a QEMU "-netdev stream" peer?`,
      )
    else events.event('peer-lost', `the peer at ${path} closed the connection${detail > 0 ? ` (${errnoName(detail)})` : ''}`)
    await this.#drop()
    this.#seekPeer()
  }
}

/** Connects, or returns -1 while nobody listens. Other errors can't pass by waiting and are thrown. */
function tryConnect(path: string): number {
  try {
    return connectTo(path, SocketType.stream)
  } catch (error) {
    if (error instanceof SystemCallError && ['ENOENT', 'ECONNREFUSED', 'EAGAIN'].includes(error.code)) return -1
    throw error
  }
}
