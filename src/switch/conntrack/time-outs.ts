// How long connections may be idle, in milliseconds, by what they are doing.
//
// The rule it must not break: no connection lives longer without packets than the rule that let it in says.
import * as layout from './connection-layout.ts'

const { ConnectionState } = layout
const { synSent, synReceived, closing, closed, pickedUp, unreplied, fragment } = ConnectionState

/** A TCP connection that is not yet established. */
export const HANDSHAKE_MS = 30_000
/** A TCP connection that both sides have ended; its last packets may be repeated. */
export const CLOSING_MS = 30_000
/** A TCP connection that was reset. */
export const CLOSED_MS = 5_000
/** UDP and other protocols before the first answer. */
export const UNREPLIED_MS = 30_000
/** ICMP echo, answered or not. */
export const ECHO_MS = 30_000
/** Between the fragments of one datagram (RFC 1122 lets a receiver wait for 60 s; most wait for 30 s). */
export const FRAGMENT_MS = 30_000
/** For so long after a port is created, TCP connections that are in progress already are picked up. */
export const PICK_UP_MS = 120_000
/** IdleSessionTimeout of a rule that has none, in seconds, and the longest. */
export const IDLE_SECONDS_DEFAULT = 255
export const IDLE_SECONDS_MAX = 1_000_000

const ICMP = 1
const ICMPV6 = 58

/** Milliseconds that an entry in `state` may be idle, where the rule says `idleMs`. */
export function timeoutOf(state: number, protocol: number, idleMs: number): number {
  let own = idleMs
  if (protocol === ICMP || protocol === ICMPV6) own = ECHO_MS
  if (state === synSent || state === synReceived || state === pickedUp) own = HANDSHAKE_MS
  else if (state === closing) own = CLOSING_MS
  else if (state === closed) own = CLOSED_MS
  else if (state === unreplied) own = UNREPLIED_MS
  else if (state === fragment) own = FRAGMENT_MS
  return own < idleMs ? own : idleMs
}

/** True if an entry in `state` may be evicted for a new connection of its port: it was not answered yet, or is over. */
export const isEvictable = (state: number): boolean => state !== ConnectionState.established && state !== ConnectionState.replied
