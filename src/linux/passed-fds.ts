// Descriptors that came with a message, until someone takes them.
//
// The rule it must not break: each is either taken or closed.
import { closeFd } from './files.ts'

/** The descriptors of one message. Those not taken are closed when the message is done. */
export class PassedFds {
  readonly #fds: number[]

  constructor(fds: number[]) {
    this.#fds = fds
  }

  /** Hands descriptor `i` over to the caller; -1 if there is none. */
  take(i: number): number {
    const fd = this.#fds[i] ?? -1
    if (fd >= 0) this.#fds[i] = -1
    return fd
  }

  /** Looks at descriptor `i` without taking it. */
  peek(i: number): number {
    return this.#fds[i] ?? -1
  }

  get count(): number {
    return this.#fds.length
  }

  closeRest(): void {
    for (const fd of this.#fds.splice(0)) closeFd(fd)
  }
}
