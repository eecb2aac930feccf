// One WebSocket client joined with the socket pair that leads to its switch port: a binary message is a frame, on the pair a frame follows
// its length.
//
// The rule it must not break: what waits for either side is bounded. A client that does not read stops the pair, and the switch counts
// what it can't deliver; a switch that does not take stops the client.
import { Socket } from 'node:net'
import type { RawData, WebSocket } from 'ws'
import { Counter } from './relay-messages.ts'

/** Bytes that wait for a client that reads slowly. */
export const CLIENT_BUFFER_BYTES = 1024 * 1024
const PREFIX_BYTES = 4
const RATE_WINDOW_MS = 1000
/** Close code of RFC 6455 for data of a kind that is not taken. */
const UNSUPPORTED_DATA = 1003

export class RelayClient {
  readonly #client: WebSocket
  readonly #pair: Socket
  readonly #framesPerSecond: number
  readonly #counters: BigInt64Array
  #rest: Buffer = Buffer.alloc(0)
  #windowStart = 0
  #windowFrames = 0
  #answered = true

  /** `client` is open and paused; the descriptor `fd` belongs to this object from now on. */
  constructor(client: WebSocket, fd: number, framesPerSecond: number, counters: BigInt64Array) {
    this.#client = client
    this.#framesPerSecond = framesPerSecond
    this.#counters = counters
    this.#pair = new Socket({ fd, readable: true, writable: true })
    this.#pair.on('data', (chunk) => this.#toClient(chunk))
    this.#pair.on('drain', () => client.resume())
    this.#pair.on('error', () => client.terminate())
    this.#pair.on('close', () => client.terminate())
    client.on('message', (data, binary) => this.#toSwitch(data, binary))
    client.on('pong', () => {
      this.#answered = true
    })
    client.on('close', () => this.#pair.destroy())
    if (client.readyState === client.CLOSED) this.#pair.destroy()
    else client.resume()
  }

  /** Asks whether the client is there; ends it if it left the last question unanswered. */
  ask(): void {
    if (this.#client.isPaused) return // its answer waits behind frames that the switch has not taken yet
    if (!this.#answered) {
      this.#client.terminate()
      return
    }
    this.#answered = false
    this.#client.ping()
  }

  #toSwitch(data: RawData, binary: boolean): void {
    if (!binary) {
      this.#client.close(UNSUPPORTED_DATA, 'a frame is a binary message')
      return
    }
    const frame = data as Buffer
    if (frame.length === 0) {
      this.#count(Counter.empty)
      return
    }
    const now = performance.now()
    if (now - this.#windowStart >= RATE_WINDOW_MS) {
      this.#windowStart = now
      this.#windowFrames = 0
    }
    if (++this.#windowFrames > this.#framesPerSecond) {
      this.#count(Counter.overRate)
      return
    }
    const wire = Buffer.allocUnsafe(PREFIX_BYTES + frame.length)
    wire.writeUInt32BE(frame.length)
    frame.copy(wire, PREFIX_BYTES)
    if (!this.#pair.write(wire)) this.#client.pause()
  }

  #toClient(chunk: Buffer): void {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk
    let at = 0
    while (bytes.length - at >= PREFIX_BYTES) {
      const end = at + PREFIX_BYTES + bytes.readUInt32BE(at)
      if (end > bytes.length) break
      this.#client.send(bytes.subarray(at + PREFIX_BYTES, end), { binary: true }, () => {
        if (this.#client.bufferedAmount < CLIENT_BUFFER_BYTES / 2) this.#pair.resume()
      })
      at = end
    }
    this.#rest = bytes.subarray(at)
    if (this.#client.bufferedAmount > CLIENT_BUFFER_BYTES) this.#pair.pause()
  }

  #count(counter: number): void {
    Atomics.add(this.#counters, counter, 1n)
  }
}
