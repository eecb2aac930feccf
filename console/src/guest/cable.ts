// The cable between the guest's card and its port: a WebSocket, one frame a message, opened with a ticket of the service.
//
// The rule it must not break: what waits to be sent is bounded, as by the queue of a card; a cable that was cut is plugged in again.
import type { PortTicket } from '../../../src/manage/console/guest-tickets.ts'
import { call, segment, textOf } from '../state/api.ts'

const WAITING_MAX_BYTES = 1024 * 1024
const RETRY_MS = 1000
const RETRY_MAX_MS = 15_000

export interface CableCounters {
  sentFrames: number
  sentBytes: number
  receivedFrames: number
  receivedBytes: number
  /** Frames of the guest that found no link, or one that is full. */
  dropped: number
}

export interface CableEvents {
  /** `why` it is down; null: it is up. */
  link(why: string | null): void
  frame(frame: Uint8Array): void
}

export const askTicket = (port: string): Promise<PortTicket> => call<PortTicket>('POST', `/v1/ports/${segment(port)}/ticket`)

export class Cable {
  readonly counters: CableCounters = { sentFrames: 0, sentBytes: 0, receivedFrames: 0, receivedBytes: 0, dropped: 0 }
  readonly #port: string
  readonly #events: CableEvents
  #socket: WebSocket | null = null
  #retry: ReturnType<typeof setTimeout> | undefined
  #retryMs = RETRY_MS
  #closed = false

  constructor(port: string, events: CableEvents) {
    this.#port = port
    this.#events = events
  }

  /** Plugs it in; `ticket` is a fresh one. */
  open({ url, protocols }: PortTicket): void {
    const socket = new WebSocket(url, [...protocols])
    socket.binaryType = 'arraybuffer'
    this.#socket = socket
    let up = false
    socket.onopen = () => {
      up = true
      this.#retryMs = RETRY_MS
      this.#events.link(null)
    }
    socket.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
      const frame = new Uint8Array(data)
      this.counters.receivedFrames++
      this.counters.receivedBytes += frame.length
      this.#events.frame(frame)
    }
    socket.onclose = () => {
      if (this.#socket !== socket) return
      this.#socket = null
      this.#again(up ? 'the port has closed the connection' : 'the port does not let this page in, or has another guest')
    }
  }

  /** Sends a frame of the guest. */
  send(frame: Uint8Array<ArrayBuffer>): void {
    const socket = this.#socket
    if (socket === null || socket.readyState !== WebSocket.OPEN || socket.bufferedAmount > WAITING_MAX_BYTES) {
      this.counters.dropped++
      return
    }
    socket.send(frame)
    this.counters.sentFrames++
    this.counters.sentBytes += frame.length
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#retry)
    const socket = this.#socket
    this.#socket = null
    socket?.close()
  }

  #again(why: string): void {
    if (this.#closed) return
    this.#events.link(why)
    this.#retry = setTimeout(() => {
      askTicket(this.#port).then(
        (ticket) => this.#closed || this.open(ticket),
        (error: unknown) => this.#again(textOf(error)),
      )
    }, this.#retryMs)
    this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS)
  }
}
