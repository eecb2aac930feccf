// One end of a stream socket that carries messages with descriptors, in the event loop: reads when something has come, sends answers, and
// while an answer can't be sent takes nothing more from the peer, so that what waits here is one answer at the most.
//
// The rule it must not break: it never waits for the peer, and the socket is closed once.
import { SystemCallError } from './errors.ts'
import { closeFd, type Watcher, watchFd } from './files.ts'
import { FdReceiver, sendWithFds } from './sockets.ts'

export interface MessageSocketOwner {
  /** Something came, or the answer that waited has gone: serve what there is. May throw SystemCallError. */
  serve(): void
  /** The socket failed; the owner closes. */
  failed(reason: string): void
}

/** A part of the stream; see FdReceiver. */
type Part = ReturnType<FdReceiver['receive']>

/** A socket, from when it was accepted or connected to when it is closed. It owns the descriptor. */
export class MessageSocket {
  readonly #fd: number
  readonly #owner: MessageSocketOwner
  readonly #receiver: FdReceiver
  #watcher: Watcher | null
  #unsent: Buffer | null = null

  /** `receiveBytes`: bytes read at once at the most. */
  constructor(fd: number, receiveBytes: number, owner: MessageSocketOwner) {
    this.#fd = fd
    this.#owner = owner
    this.#receiver = new FdReceiver(receiveBytes)
    this.#watcher = watchFd(fd, () => this.poll())
  }

  /** True while an answer waits for the peer to read. */
  get isBlocked(): boolean {
    return this.#unsent !== null
  }

  /** Serves what has come, without waiting for the event loop. */
  poll(): void {
    this.#guarded(() => this.#owner.serve())
  }

  /** Reads at most `max` bytes; null if nothing is there. No bytes: the peer has closed. */
  receive(max: number): Part {
    return this.#receiver.receive(this.#fd, max)
  }

  /** Sends a message, now or as soon as the peer reads. False if it has descriptors and the peer does not read: they can't wait. */
  send(message: Buffer, fds: readonly number[] = []): boolean {
    const sent = sendWithFds(this.#fd, message, fds)
    if (sent === message.length) return true
    if (sent < 0 && fds.length > 0) return false
    this.#unsent = message.subarray(Math.max(sent, 0))
    this.#watch('writable')
    return true
  }

  close(): void {
    this.#watcher?.close()
    this.#watcher = null
    closeFd(this.#fd)
  }

  #flush(): void {
    if (!this.#unsent) return
    const sent = sendWithFds(this.#fd, this.#unsent)
    if (sent < 0) return
    this.#unsent = sent < this.#unsent.length ? this.#unsent.subarray(sent) : null
    if (this.#unsent) return
    this.#watch('readable')
    this.#owner.serve()
  }

  #guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error
      this.#owner.failed(error.message)
    }
  }

  #watch(mode: 'readable' | 'writable'): void {
    this.#watcher?.close()
    this.#watcher = watchFd(this.#fd, mode === 'readable' ? () => this.poll() : () => this.#guarded(() => this.#flush()), mode)
  }
}
