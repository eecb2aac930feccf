// Tickets for a WebSocket port: who may use its token (the console's page, by way of the service) gets in its place what opens the port
// once, for pages of one origin, within seconds. The token itself stays where it is.
//
// The rule it must not break: a ticket that was used, is too old, or came to a page of another origin opens nothing; what is kept of used
// ones is bounded by their age.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/** How long a ticket is good for. */
export const TICKET_MS = 30_000
/** The subprotocol that client and port agree upon where a ticket is shown: the ticket itself is offered beside it. */
export const FRAMES_PROTOCOL = 'vmswitch-frames'
/** What the offered subprotocol with the ticket begins with. */
export const TICKET_PREFIX = 'vmswitch-ticket.'
const NONCE_BYTES = 12
const TICKET = /^vmswitch-ticket\.(\d{1,15})\.([\w-]{16})\.([\w-]{43})$/

const seal = (token: string, expiresMs: number, nonce: string, origin: string): Buffer =>
  createHmac('sha256', token).update(`vmswitch ticket\n${expiresMs}\n${nonce}\n${origin}`).digest()

/** A ticket for the port with this token, for pages of `origin`: a subprotocol that the page offers. */
export function makeTicket(token: string, origin: string, nowMs: number): string {
  const expiresMs = Math.round(nowMs) + TICKET_MS
  const nonce = randomBytes(NONCE_BYTES).toString('base64url')
  return `${TICKET_PREFIX}${expiresMs}.${nonce}.${seal(token, expiresMs, nonce, origin).toString('base64url')}`
}

/** The door of one port: knows its tickets by the token, and which were used. */
export class TicketDoor {
  readonly #token: string
  readonly #used = new Map<string, number>()

  constructor(token: string) {
    this.#token = token
  }

  /** Whether `ticket` opens the port for a page of `origin`; it does so once. */
  opens(ticket: string, origin: string, nowMs: number): boolean {
    const [, expires, nonce, given] = TICKET.exec(ticket) ?? []
    if (expires === undefined || nonce === undefined || given === undefined) return false
    const expiresMs = Number(expires)
    if (!timingSafeEqual(seal(this.#token, expiresMs, nonce, origin), Buffer.from(given, 'base64url'))) return false
    if (expiresMs < nowMs || expiresMs > nowMs + TICKET_MS || this.#used.has(nonce)) return false
    for (const [old, untilMs] of this.#used) if (untilMs < nowMs) this.#used.delete(old)
    this.#used.set(nonce, expiresMs)
    return true
  }
}
