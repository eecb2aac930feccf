// One vhost-user connection: cuts the byte stream into messages with their descriptors, checks them against the table, hands them to
// the back-end one by one and sends the answers.
//
// The rule it must not break: a descriptor that came in is either taken by the handler or closed here, on every path; and a peer
// that misbehaves loses this connection, never more.
import { SystemCallError } from '../linux/errors.ts'
import { closeFd } from '../linux/files.ts'
import { MessageSocket } from '../linux/message-socket.ts'
import { PassedFds } from '../linux/passed-fds.ts'
import { RefusedError } from '../linux/refused.ts'
import { FDS_MAX } from '../linux/sockets.ts'
import {
  checkHeader,
  checkMessage,
  encode,
  FLAG_NEED_REPLY,
  FLAG_REPLY,
  HEADER_BYTES,
  hasProtocolFeature,
  type MessageHeader,
  ruleOf,
} from './messages.ts'

const RECEIVE_BYTES = 4096
/** Refused requests after which a front-end has nothing more to say that matters. */
const REFUSALS_MAX = 256
/** Messages handled before other connections get their turn. */
const MESSAGES_PER_TURN = 64

/** An answer with content. Its descriptors are closed once they are sent. */
export interface Answer {
  readonly payload: Uint8Array
  readonly fds?: readonly number[]
}

export interface ConnectionOwner {
  /** Protocol features negotiated so far. */
  readonly protocolFeatures: bigint
  /** Serves one checked request. Returns the answer where the request has one. Throws RefusedError. */
  handle(request: number, payload: Buffer, fds: PassedFds): Answer | null
  /** The connection is gone; `reason` is null when the peer closed it in good order. */
  closed(reason: string | null): void
  /** Something worth telling a person. */
  event(code: string, message: string): void
}

/** A connection to one front-end. It owns the socket. */
export class Connection {
  readonly #socket: MessageSocket
  readonly #owner: ConnectionOwner
  #message = Buffer.alloc(HEADER_BYTES)
  #filled = 0
  #fds: number[] = []
  #open = true
  #refusals = 0

  constructor(fd: number, owner: ConnectionOwner) {
    this.#owner = owner
    this.#socket = new MessageSocket(fd, RECEIVE_BYTES, { serve: () => this.#serveAll(), failed: (reason) => this.close(reason) })
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
    for (const fd of this.#fds.splice(0)) closeFd(fd)
    this.#socket.close()
    this.#owner.closed(reason)
  }

  #serveAll(): void {
    for (let handled = 0; this.#open && !this.#socket.isBlocked && handled < MESSAGES_PER_TURN; handled++)
      if (!this.#receive()) return
  }

  /** Receives until one message is complete and serves it. Returns false if nothing more waits. */
  #receive(): boolean {
    while (this.#open) {
      const part = this.#socket.receive(this.#message.length - this.#filled)
      if (!part) return false
      this.#fds.push(...part.fds)
      if (part.truncated || this.#fds.length > FDS_MAX) {
        this.close(`a message came with more than ${FDS_MAX} descriptors`)
        return false
      }
      if (part.bytes.length === 0) {
        this.close(this.#filled === 0 ? null : `the front-end closed the connection ${this.#filled} bytes into a message`)
        return false
      }
      part.bytes.copy(this.#message, this.#filled)
      this.#filled += part.bytes.length
      if (this.#filled < this.#message.length) continue
      if (this.#filled === HEADER_BYTES && !this.#expectPayload()) return false
      if (this.#filled === this.#message.length) {
        this.#serve()
        return this.#open
      }
    }
    return false
  }

  #header(): MessageHeader {
    return {
      request: this.#message.readUInt32LE(0),
      flags: this.#message.readUInt32LE(4),
      bytes: this.#message.readUInt32LE(8),
    }
  }

  #expectPayload(): boolean {
    const header = this.#header()
    const violation = checkHeader(header)
    if (violation) {
      this.close(violation.text)
      return false
    }
    if (header.bytes > 0) {
      const whole = Buffer.alloc(HEADER_BYTES + header.bytes)
      this.#message.copy(whole)
      this.#message = whole
    }
    return true
  }

  #serve(): void {
    const header = this.#header()
    const payload = this.#message.subarray(HEADER_BYTES)
    const fds = new PassedFds(this.#fds)
    this.#fds = []
    this.#message = Buffer.alloc(HEADER_BYTES)
    this.#filled = 0
    try {
      const violation = checkMessage(header, payload, fds.count, this.#owner.protocolFeatures)
      if (violation?.severity === 'disconnect') this.close(violation.text)
      else if (violation) this.#refused(header, 'vhost-user-refused', violation.text)
      else this.#answer(header, this.#owner.handle(header.request, payload, fds))
    } catch (error) {
      // A fault of our own, too, costs this port its connection and no more.
      if (error instanceof RefusedError) this.#refused(header, error.code, error.message)
      else if (error instanceof SystemCallError) this.#refused(header, 'vhost-user-refused', error.message)
      else this.close(`serving request ${header.request} failed: ${error instanceof Error ? error.stack : String(error)}`)
    } finally {
      fds.closeRest()
    }
  }

  #refused(header: MessageHeader, code: string, text: string): void {
    this.#owner.event(code, text)
    if (++this.#refusals >= REFUSALS_MAX) this.close(`${REFUSALS_MAX} requests were refused`)
    else if (ruleOf(header.request)?.replies) this.close(`${ruleOf(header.request)?.name} can't be answered: ${text}`)
    else this.#acknowledge(header, 1n)
  }

  #answer(header: MessageHeader, answer: Answer | null): void {
    try {
      if (!this.#open) return
      if (answer) this.#send(encode.message(header.request, FLAG_REPLY, answer.payload), answer.fds)
      else this.#acknowledge(header, 0n)
    } finally {
      for (const fd of answer?.fds ?? []) closeFd(fd)
    }
  }

  #acknowledge(header: MessageHeader, status: bigint): void {
    const asked = (header.flags & FLAG_NEED_REPLY) !== 0 && hasProtocolFeature(this.#owner.protocolFeatures, 'replyAck')
    if (asked && this.#open) this.#send(encode.message(header.request, FLAG_REPLY, encode.u64(status)))
  }

  #send(message: Buffer, fds: readonly number[] = []): void {
    if (!this.#socket.send(message, fds)) this.close('the front-end does not read its answers')
  }
}
