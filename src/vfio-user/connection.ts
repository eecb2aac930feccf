// One vfio-user connection: cuts the byte stream into messages, gives each the descriptors that came with it, checks them against the
// table, hands them to the device server one by one and sends the answers.
//
// The rule it must not break: a descriptor that came in is either taken by the handler or closed here, on every path; and a client
// that misbehaves loses this connection, never more. It never waits for the client.
import { SystemCallError } from '../linux/errors.ts'
import { closeFd } from '../linux/files.ts'
import { MessageSocket } from '../linux/message-socket.ts'
import { PassedFds } from '../linux/passed-fds.ts'
import { RefusedError } from '../linux/refused.ts'
import {
  Command,
  checkHeader,
  checkMessage,
  Errno,
  encodeReply,
  FLAG_NO_REPLY,
  HEADER_BYTES,
  MESSAGE_FDS_MAX,
  MESSAGE_MAX,
  ruleOf,
} from './messages.ts'

const BUFFER_BYTES = 2 * MESSAGE_MAX
/** Reads before other connections get their turn; each may hold many messages. */
const READS_PER_TURN = 16
/** Refused messages after which a client has nothing more to say that matters. */
const REFUSALS_MAX = 256
const NO_PAYLOAD = Buffer.alloc(0)

export interface ConnectionOwner {
  /** Serves one checked message. Returns the payload of the reply. Throws RefusedError. */
  handle(command: number, payload: Buffer, fds: PassedFds): Uint8Array
  /** The connection is gone; `reason` is null when the client closed it in good order. */
  closed(reason: string | null): void
  /** Something worth telling a person. */
  event(code: string, message: string): void
}

/** A connection to one client. It owns the socket. */
export class Connection {
  readonly #socket: MessageSocket
  readonly #owner: ConnectionOwner
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  #filled = 0
  /** Descriptors with the position behind the last byte they came with: the kernel ends a read there. */
  #passed: { end: number; fds: number[] }[] = []
  #greeted = false
  #open = true
  #refusals = 0

  constructor(fd: number, owner: ConnectionOwner) {
    this.#owner = owner
    this.#socket = new MessageSocket(fd, BUFFER_BYTES, { serve: () => this.#serveAll(), failed: (reason) => this.close(reason) })
  }

  get isOpen(): boolean {
    return this.#open
  }

  /** Handles what has arrived. Called by the event loop; calling it in between is harmless. */
  poll(): void {
    if (this.#open) this.#socket.poll()
  }

  /** Closes the connection and tells the owner once. */
  close(reason: string | null): void {
    if (!this.#open) return
    this.#open = false
    for (const { fds } of this.#passed.splice(0)) for (const fd of fds) closeFd(fd)
    this.#socket.close()
    this.#owner.closed(reason)
  }

  #serveAll(): void {
    this.#serveBuffer()
    for (let reads = 0; this.#open && !this.#socket.isBlocked && reads < READS_PER_TURN; reads++) {
      if (!this.#receive()) return
      this.#serveBuffer()
    }
  }

  /** Reads once. Returns false if nothing came. */
  #receive(): boolean {
    const part = this.#socket.receive(BUFFER_BYTES - this.#filled)
    if (!part) return false
    if (part.fds.length > 0) this.#passed.push({ end: this.#filled + part.bytes.length, fds: part.fds })
    if (part.truncated || part.fds.length > MESSAGE_FDS_MAX) {
      this.close(`a message came with more than ${MESSAGE_FDS_MAX} descriptors`)
      return false
    }
    if (part.bytes.length === 0) {
      this.close(this.#filled === 0 ? null : `the client closed the connection ${this.#filled} bytes into a message`)
      return false
    }
    part.bytes.copy(this.#buffer, this.#filled)
    this.#filled += part.bytes.length
    return true
  }

  /** Serves the whole messages in the buffer, until an answer has to wait. */
  #serveBuffer(): void {
    let at = 0
    while (this.#open && !this.#socket.isBlocked && this.#filled - at >= HEADER_BYTES) {
      const buffer = this.#buffer
      const command = buffer.readUInt16LE(at + 2)
      const bytes = buffer.readUInt32LE(at + 4)
      const violation = checkHeader(command, bytes, buffer.readUInt32LE(at + 8))
      if (violation) {
        this.close(violation.text)
        return
      }
      if (this.#filled - at < bytes) break
      this.#serve(command, at, bytes)
      at += bytes
    }
    if (at === 0 || !this.#open) return
    this.#buffer.copyWithin(0, at, this.#filled)
    this.#filled -= at
    for (const passed of this.#passed) passed.end -= at
  }

  #serve(command: number, at: number, bytes: number): void {
    const buffer = this.#buffer
    const id = buffer.readUInt16LE(at)
    const wantsReply = (buffer.readUInt32LE(at + 8) & FLAG_NO_REPLY) === 0
    const payload = buffer.subarray(at + HEADER_BYTES, at + bytes)
    const fds = this.#take(at + bytes)
    try {
      const violation = checkMessage(command, payload, fds.count, this.#greeted)
      if (violation?.severity === 'disconnect') this.close(violation.text)
      else if (violation) this.#refuse(id, command, wantsReply, violation.errno, 'vfio-user-refused', violation.text)
      else {
        const answer = this.#owner.handle(command, payload, fds)
        if (command === Command.version) this.#greeted = true
        if (wantsReply && this.#open) this.#socket.send(encodeReply(id, command, answer, 0))
      }
    } catch (error) {
      // A fault of our own, too, costs this function its connection and no more.
      if (error instanceof RefusedError) this.#refuse(id, command, wantsReply, errnoOf(error.code), error.code, error.message)
      else if (error instanceof SystemCallError)
        this.#refuse(id, command, wantsReply, error.errno, 'vfio-user-refused', error.message)
      else this.close(`serving command ${command} failed: ${error instanceof Error ? error.stack : String(error)}`)
    } finally {
      fds.closeRest()
    }
  }

  /** The descriptors that came with bytes before position `end`. */
  #take(end: number): PassedFds {
    if (this.#passed.length === 0) return new PassedFds([])
    const mine = this.#passed.filter((passed) => passed.end <= end)
    this.#passed = this.#passed.filter((passed) => passed.end > end)
    return new PassedFds(mine.flatMap(({ fds }) => fds))
  }

  #refuse(id: number, command: number, wantsReply: boolean, errno: number, code: string, text: string): void {
    // Clients ask for what they know we may lack (an interrupt index, a command): that is an answer, not a fault.
    if (ruleOf(command) && code !== 'not-there') this.#owner.event(code, text)
    if (code !== 'not-there' && ++this.#refusals >= REFUSALS_MAX) this.close(`${REFUSALS_MAX} messages were refused`)
    else if (wantsReply && this.#open) this.#socket.send(encodeReply(id, command, NO_PAYLOAD, errno))
  }
}

const errnoOf = (code: string): number =>
  code === 'dma-overlap' ? Errno.exists : code === 'dma-no-room' ? Errno.noSpace : Errno.invalid
