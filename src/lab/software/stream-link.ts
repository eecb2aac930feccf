// Plugs a software guest into QEMU's stream framing on a unix socket: each frame follows its length, 4 bytes, big-endian.
//
// The rule it must not break: a peer that does not read costs bounded memory. Frames beyond the bound are dropped, as a wire would.
import { connect, type Socket } from 'node:net'
import { LabError } from '../errors.ts'

const LENGTH_BYTES = 4
/** The longest frame that any peer may send: a whole 64 KiB segment and its headers. */
const FRAME_MAX_BYTES = 65_535 + 18
const BACKLOG_MAX_BYTES = 4 * 1024 * 1024

/** Takes a byte stream apart into frames. Throws a RangeError at a length that no frame has. */
export class FrameSplitter {
  #rest: Buffer = Buffer.alloc(0)

  push(bytes: Buffer, take: (frame: Buffer) => void): void {
    const data = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    let at = 0
    while (data.length - at >= LENGTH_BYTES) {
      const length = data.readUInt32BE(at)
      if (length > FRAME_MAX_BYTES) throw new RangeError(`a frame of ${length} bytes; at most ${FRAME_MAX_BYTES}`)
      if (data.length - at - LENGTH_BYTES < length) break
      take(data.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + length))
      at += LENGTH_BYTES + length
    }
    this.#rest = Buffer.from(data.subarray(at))
  }
}

/** A frame with its length before it. */
export function lengthPrefixed(frame: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(LENGTH_BYTES + frame.length)
  out.writeUInt32BE(frame.length, 0)
  out.set(frame, LENGTH_BYTES)
  return out
}

export class StreamLink {
  /** Resolves when the connection has ended: with what was wrong, or null. */
  readonly closed: Promise<string | null>
  readonly #socket: Socket
  readonly #splitter = new FrameSplitter()
  #dropped = 0

  private constructor(socket: Socket, receive: (frame: Buffer) => void) {
    const closed = Promise.withResolvers<string | null>()
    this.closed = closed.promise
    this.#socket = socket
    socket.on('data', (bytes) => {
      try {
        this.#splitter.push(bytes, receive)
      } catch (error) {
        closed.resolve((error as Error).message)
        socket.destroy()
      }
    })
    socket.on('error', (error) => closed.resolve(error.message))
    socket.on('close', () => closed.resolve(null))
  }

  /** Connects to the stream socket at `path`. Throws `link-failed`. */
  static async open(path: string, receive: (frame: Buffer) => void): Promise<StreamLink> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const socket = connect(path, resolve)
    const failed = (error: Error) => reject(new LabError('link-failed', `${path}: ${error.message}`, { cause: error }))
    socket.once('error', failed)
    await promise
    socket.off('error', failed)
    return new StreamLink(socket, receive)
  }

  /** Frames dropped because the peer did not read. */
  get dropped(): number {
    return this.#dropped
  }

  send(frame: Uint8Array): void {
    if (this.#socket.destroyed || this.#socket.writableLength > BACKLOG_MAX_BYTES) this.#dropped++
    else this.#socket.write(lengthPrefixed(frame))
  }

  close(): void {
    this.#socket.destroy()
  }
}
