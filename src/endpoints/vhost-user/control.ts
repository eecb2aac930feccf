// The control half of a vhost-user port: the socket, in either role, and the back-end behind it.
//
// The rule it must not break: one front-end at a time, and when it goes, all it brought goes with it before the next is served.

import { unlinkSync } from 'node:fs'
import { SystemCallError } from '../../linux/errors.ts'
import { closeFd, type Watcher, watchFd } from '../../linux/files.ts'
import { acceptFrom, connectTo, listenAt, SocketType } from '../../linux/sockets.ts'
import { BackEnd } from '../../vhost-user/back-end.ts'
import { Connection } from '../../vhost-user/connection.ts'
import type { WindowAllocator } from '../../vhost-user/window-allocator.ts'
import type { EndpointComponents, EndpointControl, EndpointOptions } from '../endpoint.ts'
import type { VhostUserPlan } from './queue.ts'

/** The longest pause between two attempts to connect, in multiples of the first. */
const BACK_OFF_MAX = 32

export interface VhostUserOptions extends EndpointOptions {
  /** The socket's path: at most 107 bytes. */
  readonly path: string
  /** `server`: listens, the front-end connects. `client`: connects to a front-end that listens, again and again. */
  readonly mode: 'server' | 'client'
  /** Queue pairs served at the most: 1…128. */
  readonly queuePairsMax: number
  /** Largest MTU that a front-end may announce. */
  readonly mtu?: number
  /** Refuse guest memory whose file could shrink under the switch. Default: accept it with an event. */
  readonly requireSeals?: boolean
  /** First pause before connecting again in client mode; it doubles up to 32 times that. Default 100. */
  readonly reconnectMs?: number
}

export interface VhostUserComponents extends EndpointComponents {
  /** One for the whole process. */
  readonly windows: WindowAllocator
  /** A migrated guest without GUEST_ANNOUNCE asks for a reverse ARP from its address. */
  readonly announce?: (mac: Uint8Array) => void
}

/** Makes the control half; `open` starts it. The data half of its plans is `openVhostUserQueue`. */
export const createVhostUserControl = (options: VhostUserOptions, components: VhostUserComponents): EndpointControl =>
  new VhostUserControl(options, components)

class VhostUserControl implements EndpointControl {
  readonly kind = 'vhost-user'
  readonly #options: VhostUserOptions
  readonly #components: VhostUserComponents
  readonly #pauseMs: number
  #backEnd: BackEnd | null = null
  #connection: Connection | null = null
  #listener = -1
  #watcher: Watcher | null = null
  #retry: NodeJS.Timeout | null = null
  #attempts = 0
  #connections = 0
  #isOpen = false
  /** The state of the front-end that went last is being taken back. */
  #leaving: Promise<void> = Promise.resolve()

  constructor(options: VhostUserOptions, components: VhostUserComponents) {
    this.#options = options
    this.#components = components
    this.#pauseMs = options.reconnectMs ?? 100
  }

  async open(): Promise<void> {
    const { path, mode, queuePairsMax, requireSeals = false, port, mtu } = this.#options
    const { memory, windows, events, announce } = this.#components
    if (mode === 'server') this.#listener = listenAt(path)
    try {
      this.#backEnd = new BackEnd(
        { port, queuePairsMax, requireSeals, ...(mtu === undefined ? {} : { mtu }) },
        {
          memory,
          windows,
          owner: {
            pairs: (pairs, shared) =>
              events.plans(
                pairs.map((pair): VhostUserPlan => ({ kind: 'vhost-user', port, ...pair })),
                shared,
              ),
            link: (up) => events.link(up),
            announce: (mac) =>
              announce ? announce(mac) : this.#event('announce', `the guest moved here: ${Buffer.from(mac).toString('hex')}`),
            event: (code, message) => this.#event(code, message),
          },
        },
      )
      this.#isOpen = true
      if (mode === 'server') this.#watcher = watchFd(this.#listener, () => this.#accept())
      else this.#connect()
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async close(): Promise<void> {
    this.#isOpen = false
    if (this.#retry) clearTimeout(this.#retry)
    this.#retry = null
    this.#watcher?.close()
    this.#watcher = null
    if (this.#listener >= 0) {
      closeFd(this.#listener)
      this.#listener = -1
      unlinkIfThere(this.#options.path)
    }
    this.#connection?.close(null)
    await this.#leaving
    const backEnd = this.#backEnd
    this.#backEnd = null
    await backEnd?.close()
  }

  describe(): Record<string, unknown> {
    const { path, mode } = this.#options
    return { path, mode, connected: this.#connection !== null, connections: this.#connections, ...this.#backEnd?.describe() }
  }

  #accept(): void {
    for (;;) {
      const fd = acceptFrom(this.#listener)
      if (fd < 0) return
      // The last front-end may have gone without our having looked.
      this.#connection?.poll()
      if (this.#connection) {
        closeFd(fd)
        this.#event('second-connection', 'a second front-end was refused: one is connected')
      } else this.#serve(fd)
    }
  }

  #connect(): void {
    this.#retry = null
    try {
      this.#serve(connectTo(this.#options.path, SocketType.stream))
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error
      if (this.#attempts === 0) this.#event('connect-failed', `${error.message}; trying again until a front-end listens there`)
      this.#connectLater()
    }
  }

  #connectLater(): void {
    if (!this.#isOpen) return
    const pauseMs = this.#pauseMs * Math.min(2 ** this.#attempts, BACK_OFF_MAX)
    this.#attempts++
    this.#retry = setTimeout(() => this.#connect(), pauseMs)
  }

  #serve(fd: number): void {
    const backEnd = this.#backEnd!
    this.#connections++
    this.#connection = new Connection(fd, {
      get protocolFeatures() {
        return backEnd.protocolFeatures
      },
      handle: (request, payload, fds) => {
        this.#attempts = 0 // a front-end that speaks, not merely a socket that accepts
        return backEnd.handle(request, payload, fds)
      },
      closed: (reason) => this.#lost(reason),
      event: (code, message) => this.#event(code, message),
    })
  }

  #lost(reason: string | null): void {
    this.#connection = null
    if (reason !== null) this.#event('connection-dropped', `the connection was closed: ${reason}`)
    this.#leaving = this.#backEnd!.reset()
    if (this.#options.mode === 'client') this.#connectLater()
  }

  #event(code: string, message: string): void {
    this.#components.events.event(code, `${this.#options.path}: ${message}`)
  }
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // Someone removed it already.
  }
}
