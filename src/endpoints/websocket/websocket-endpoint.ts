// The control half of a port for guests in browsers: a WebSocket per guest, one frame per binary message, as v86 sends them. A thread of
// its own relays the frames (relay-thread.ts); the data half is that of a stream socket.
//
// The rule it must not break: one client at a time, and the next one only when no processor uses the socket of the last. A thread that
// dies costs its client, not the port: another one listens at the same address.
import { isIPv6 } from 'node:net'
import { Worker } from 'node:worker_threads'
import { closeFd } from '../../linux/files.ts'
import { openSocketPair, SocketType, setSocketBuffers } from '../../linux/sockets.ts'
import type { EndpointComponents, EndpointControl, EndpointOptions, QueuePlan } from '../endpoint.ts'
import { Steps } from '../steps.ts'
import { STREAM_AREA_BYTES } from '../stream/stream-queue.ts'
import { TroubleDesk } from '../trouble.ts'
import { Counter, type FromRelay, RELAY_COUNTERS, type RelayStart, type ToRelay } from './relay-messages.ts'
import { readPair, readToken } from './token.ts'

const SOCKET_BUFFER_BYTES = 1024 * 1024
/** Before a thread takes the place of one that died; doubled with each that dies or can't listen, up to the longest. */
const RESTART_MS = 250
const RESTART_MAX_MS = 30_000

export interface WebsocketOptions extends EndpointOptions {
  /** HOST:PORT; without TLS a loopback address; port 0: any free one. */
  readonly listen: string
  /** Private file with the token that clients come with; made if there is none. */
  readonly tokenFile: string
  /** Origins whose pages may connect; clients outside of browsers send none. */
  readonly origins: readonly string[]
  /** Certificate and its private key, both or none: files in PEM, with which clients come over TLS. */
  readonly certificate?: string | undefined
  readonly key?: string | undefined
  /** Frames taken from the client in a second; what is above is dropped and counted. */
  readonly framesPerSecond: number
}

/** Starts the thread of an endpoint. */
export type StartRelay = (start: RelayStart) => Worker

const startThread: StartRelay = (workerData) => new Worker(new URL('./relay-thread.ts', import.meta.url), { workerData })

export class WebsocketEndpoint implements EndpointControl {
  readonly kind = 'websocket'
  readonly #options: WebsocketOptions
  readonly #components: EndpointComponents
  readonly #startRelay: StartRelay
  readonly #steps: Steps
  readonly #counters = new BigInt64Array(new SharedArrayBuffer(RELAY_COUNTERS * BigInt64Array.BYTES_PER_ELEMENT))
  #opened = false
  #area = 0
  #desk: TroubleDesk | null = null
  #relay: Worker | null = null
  #relayGone: Promise<void> = Promise.resolve()
  /** What the relay thread dies of, until another one listens. */
  #trouble: string | null = null
  #restart: NodeJS.Timeout | null = null
  #restartMs = RESTART_MS
  #address: string
  #fd = -1
  #connections = 0

  constructor(options: WebsocketOptions, components: EndpointComponents, startRelay: StartRelay = startThread) {
    this.#options = options
    this.#components = components
    this.#startRelay = startRelay
    this.#address = options.listen
    this.#steps = new Steps((error) => components.events.event('websocket-failed', `${options.listen}: ${String(error)}`))
  }

  open(): Promise<void> {
    return this.#steps.run(() => this.#open())
  }

  close(): Promise<void> {
    return this.#steps.run(() => this.#close())
  }

  describe(): Record<string, unknown> {
    const count = (counter: number): number => Number(Atomics.load(this.#counters, counter))
    return {
      listensAt: this.#address,
      tls: this.#options.certificate !== undefined,
      trouble: this.#trouble,
      tokenFile: this.#options.tokenFile,
      connected: this.#fd >= 0,
      connections: this.#connections,
      refused: count(Counter.refused),
      droppedOverRate: count(Counter.overRate),
      droppedEmpty: count(Counter.empty),
    }
  }

  async #open(): Promise<void> {
    if (this.#opened) return
    const { memory } = this.#components
    this.#opened = true
    try {
      this.#area = memory.allocateForPort(STREAM_AREA_BYTES)
      this.#desk = new TroubleDesk(memory, () => this.#steps.start(() => this.#onLost()))
      await this.#listen()
    } catch (error) {
      await this.#close()
      throw error
    }
  }

  /** Starts a thread that listens: where the last one did, if there was one. */
  #listen(): Promise<void> {
    const { tokenFile, origins, certificate, key, framesPerSecond } = this.#options
    const colon = this.#address.lastIndexOf(':')
    const host = this.#address.slice(0, colon).replace(/^\[|\]$/g, '')
    const relay = this.#startRelay({
      host,
      port: Number(this.#address.slice(colon + 1)),
      token: readToken(tokenFile),
      origins,
      tls: certificate === undefined || key === undefined ? null : readPair(certificate, key),
      framesPerSecond,
      counters: this.#counters.buffer as SharedArrayBuffer,
    })
    this.#relay = relay
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    let why = 'its thread ended'
    relay.on('error', (error) => {
      why = String(error)
    })
    this.#relayGone = new Promise((gone) =>
      relay.once('exit', () => {
        gone()
        reject(new Error(why))
        if (this.#relay === relay) this.#steps.start(() => this.#onRelayLost(relay, why))
      }),
    )
    relay.on('message', (message: FromRelay) => {
      if (message.said === 'listening') {
        this.#address = `${isIPv6(host) ? `[${host}]` : host}:${message.port}`
        resolve()
      } else if (message.said === 'failed')
        reject(new Error(`${this.#address} can't be listened at (${message.message}); choose another address under listen`))
      else if (message.said === 'connected') this.#steps.start(() => this.#serve())
      else this.#components.events.event(message.code, `${this.#address}: ${message.message}`)
    })
    return promise
  }

  async #close(): Promise<void> {
    if (!this.#opened) return
    this.#opened = false
    if (this.#restart !== null) clearTimeout(this.#restart)
    this.#restart = null
    await this.#drop()
    await this.#endRelay()
    this.#desk?.close()
    this.#desk = null
    if (this.#area > 0) this.#components.memory.free(this.#area, STREAM_AREA_BYTES)
    this.#area = 0
  }

  async #serve(): Promise<void> {
    if (!this.#opened || this.#fd >= 0 || this.#relay === null) return
    const { events } = this.#components
    const desk = this.#desk!
    const [own, relays] = openSocketPair(SocketType.stream)
    setSocketBuffers(own, SOCKET_BUFFER_BYTES)
    this.#fd = own
    this.#connections++
    desk.clear()
    this.#tell({ do: 'join', fd: relays })
    const plan: QueuePlan = { kind: 'websocket', index: 0, port: this.#options.port, fd: own, area: this.#area, ...desk.plan }
    try {
      await events.plans([plan], [])
    } catch (error) {
      this.#fd = -1
      closeFd(own)
      this.#tell({ do: 'release' })
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
    this.#tell({ do: 'release' })
  }

  async #onLost(): Promise<void> {
    if (this.#fd < 0) return
    this.#components.events.event('peer-lost', `the client at ${this.#address} is gone`)
    await this.#drop()
  }

  async #endRelay(): Promise<void> {
    const relay = this.#relay
    this.#relay = null
    relay?.postMessage({ do: 'close' } satisfies ToRelay)
    await this.#relayGone
  }

  async #onRelayLost(relay: Worker, why: string): Promise<void> {
    if (!this.#opened || this.#relay !== relay) return
    this.#relay = null
    this.#later(why)
    await this.#drop()
  }

  /** Nobody can connect, for the reason `why`: another thread is started in a while. */
  #later(why: string): void {
    if (this.#trouble === null)
      this.#components.events.event('websocket-failed', `nobody can connect to ${this.#address}: ${why}; trying again`)
    this.#trouble = why
    this.#restart = setTimeout(() => this.#steps.start(() => this.#again()), this.#restartMs)
    this.#restartMs = Math.min(2 * this.#restartMs, RESTART_MAX_MS)
  }

  async #again(): Promise<void> {
    if (!this.#opened || this.#relay !== null) return
    try {
      await this.#listen()
    } catch (error) {
      await this.#endRelay()
      this.#later((error as Error).message)
      return
    }
    this.#trouble = null
    this.#restartMs = RESTART_MS
    this.#components.events.event('websocket-listens', `${this.#address} can be connected to again`)
  }

  #tell(message: ToRelay): void {
    this.#relay?.postMessage(message)
  }
}
