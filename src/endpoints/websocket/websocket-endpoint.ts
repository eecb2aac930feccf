// The control half of a port for guests in browsers: a WebSocket per guest, one frame per binary message, as v86 sends them. A thread of
// its own relays the frames (relay-thread.ts); the data half is that of a stream socket.
//
// The rule it must not break: one client at a time, and the next one only when no processor uses the socket of the last.
import { isIPv6 } from 'node:net'
import { Worker } from 'node:worker_threads'
import { closeFd } from '../../linux/files.ts'
import { openSocketPair, SocketType, setSocketBuffers } from '../../linux/sockets.ts'
import type { EndpointComponents, EndpointControl, EndpointOptions, QueuePlan } from '../endpoint.ts'
import { Steps } from '../steps.ts'
import { STREAM_AREA_BYTES } from '../stream/stream-queue.ts'
import { TroubleDesk } from '../trouble.ts'
import { Counter, type FromRelay, RELAY_COUNTERS, type RelayStart, type ToRelay } from './relay-messages.ts'
import { readToken } from './token.ts'

const SOCKET_BUFFER_BYTES = 1024 * 1024

export interface WebsocketOptions extends EndpointOptions {
  /** HOST:PORT, a loopback address; port 0: any free one. */
  readonly listen: string
  /** Private file with the token that clients come with; made if there is none. */
  readonly tokenFile: string
  /** Origins whose pages may connect; clients outside of browsers send none. */
  readonly origins: readonly string[]
  /** Frames taken from the client in a second; what is above is dropped and counted. */
  readonly framesPerSecond: number
}

export class WebsocketEndpoint implements EndpointControl {
  readonly kind = 'websocket'
  readonly #options: WebsocketOptions
  readonly #components: EndpointComponents
  readonly #steps: Steps
  readonly #counters = new BigInt64Array(new SharedArrayBuffer(RELAY_COUNTERS * BigInt64Array.BYTES_PER_ELEMENT))
  #opened = false
  #area = 0
  #desk: TroubleDesk | null = null
  #relay: Worker | null = null
  #relayGone: Promise<void> = Promise.resolve()
  #address: string
  #fd = -1
  #connections = 0

  constructor(options: WebsocketOptions, components: EndpointComponents) {
    this.#options = options
    this.#components = components
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
      const token = readToken(this.#options.tokenFile)
      this.#area = memory.allocate(STREAM_AREA_BYTES)
      this.#desk = new TroubleDesk(memory, () => this.#steps.start(() => this.#onLost()))
      await this.#startRelay(token)
    } catch (error) {
      await this.#close()
      throw error
    }
  }

  #startRelay(token: string): Promise<void> {
    const { listen, origins, framesPerSecond } = this.#options
    const colon = listen.lastIndexOf(':')
    const host = listen.slice(0, colon).replace(/^\[|\]$/g, '')
    const port = Number(listen.slice(colon + 1))
    const start: RelayStart = {
      host,
      port,
      token,
      origins,
      framesPerSecond,
      counters: this.#counters.buffer as SharedArrayBuffer,
    }
    const relay = new Worker(new URL('./relay-thread.ts', import.meta.url), { workerData: start })
    this.#relay = relay
    this.#relayGone = new Promise((resolve) => relay.once('exit', () => resolve()))
    return new Promise((resolve, reject) => {
      relay.on('error', (error) => {
        reject(error)
        if (this.#relay === relay) this.#steps.start(() => this.#onRelayLost(String(error)))
      })
      relay.on('message', (message: FromRelay) => {
        if (message.said === 'listening') {
          this.#address = `${isIPv6(host) ? `[${host}]` : host}:${message.port}`
          resolve()
        } else if (message.said === 'failed')
          reject(new Error(`${listen} can't be listened at (${message.message}); choose another address under listen`))
        else if (message.said === 'connected') this.#steps.start(() => this.#serve())
        else this.#components.events.event(message.code, `${listen}: ${message.message}`)
      })
    })
  }

  async #close(): Promise<void> {
    if (!this.#opened) return
    this.#opened = false
    await this.#drop()
    if (this.#relay) this.#tell({ do: 'close' })
    await this.#relayGone
    this.#relay = null
    this.#desk?.close()
    this.#desk = null
    if (this.#area > 0) this.#components.memory.free(this.#area, STREAM_AREA_BYTES)
    this.#area = 0
  }

  async #serve(): Promise<void> {
    if (!this.#opened || this.#fd >= 0) return
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

  async #onRelayLost(why: string): Promise<void> {
    if (!this.#opened) return
    const { events } = this.#components
    events.event('websocket-failed', `nobody can connect to ${this.#address} any more: ${why}; connect the port again`)
    await this.#drop()
  }

  #tell(message: ToRelay): void {
    this.#relay?.postMessage(message)
  }
}
