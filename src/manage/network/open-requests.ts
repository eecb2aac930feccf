// Requests from the network that are still being answered: event streams and captures last for as long as their client likes.
//
// The rule it must not break: none outlasts its token. One that was taken back, or has another role now, ends what it opened, also where
// nothing is sent that would have somebody look.
import type { TokenFile, TokenHolder } from './tokens.ts'

/** How often the tokens of open requests are looked at. */
const LOOK_MS = 1000

/** What is done to end a request, and how it is heard of that it ended: a connection, or a stream of one. */
export interface Ending {
  destroy(): unknown
  once(event: 'close', listener: () => void): unknown
}

interface OpenRequest {
  readonly token: string
  readonly holder: TokenHolder
  readonly ending: Ending
}

export interface OpenRequestsComponents {
  readonly tokens: Pick<TokenFile, 'holder'>
  /** Told for each request that was ended, with its token's holder. */
  readonly ended: (holder: TokenHolder) => void
}

export class OpenRequests {
  readonly #components: OpenRequestsComponents
  readonly #open = new Set<OpenRequest>()
  #timer: NodeJS.Timeout | undefined

  constructor(components: OpenRequestsComponents) {
    this.#components = components
  }

  /** A request with a token that was found right; `ending` closes with its answer. */
  add(token: string, holder: TokenHolder, ending: Ending): void {
    const request = { token, holder, ending }
    this.#open.add(request)
    this.#timer ??= setInterval(() => this.look(), LOOK_MS).unref()
    ending.once('close', () => {
      this.#open.delete(request)
      if (this.#open.size === 0) this.#rest()
    })
  }

  /** Ends requests whose token is nobody's any more, or another's. */
  look(): void {
    for (const request of this.#open) {
      const { token, holder, ending } = request
      const now = this.#components.tokens.holder(token)
      if (now !== null && now.name === holder.name && now.role === holder.role) continue
      this.#open.delete(request)
      this.#components.ended(holder)
      ending.destroy()
    }
    if (this.#open.size === 0) this.#rest()
  }

  #rest(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
