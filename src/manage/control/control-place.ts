// Where a control API is to be asked: a control socket of this machine, or an address on the network with a token.
//
// The rule it must not break: a token goes to nobody whose certificate was not checked, and never over a plain connection that leaves this
// machine.
import { type ClientRequest, type IncomingMessage, request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { ControlError } from './control-errors.ts'

/** A control API on the network. */
export interface NetworkPlace {
  /** https://HOST:PORT; http:// for loopback addresses only. */
  readonly url: string
  readonly token: string
  /** PEM of the authorities that are trusted, in place of those of the machine. */
  readonly ca?: string | undefined
}

/** Path of a control socket, or an address on the network. */
export type ControlPlace = string | NetworkPlace

const LOOPBACK_URL = /^http:\/\/(127(\.\d{1,3}){3}|\[::1\]|localhost)(:\d+)?\/?$/
const TLS_URL = /^https:\/\/[^/?#@]+\/?$/

/** Throws ControlError `bad-host`. */
export function checkUrl(url: string): void {
  if (TLS_URL.test(url) || LOOPBACK_URL.test(url)) return
  const why = url.startsWith('http://') ? 'a token would leave this machine unprotected' : 'it is no https://HOST:PORT'
  throw new ControlError('bad-host', `"${url}" can't be asked: ${why}; https://192.0.2.1:8443 is one that can`)
}

/** Words for a place. */
export const placeText = (place: ControlPlace): string => (typeof place === 'string' ? place : place.url)

export interface PlaceRequest {
  readonly method: string
  /** Route with its query. */
  readonly route: string
  readonly headers?: Readonly<Record<string, string | number>>
  readonly timeoutMs?: number
  readonly signal?: AbortSignal | undefined
}

/** A request that its caller ends. Throws ControlError `bad-host`. */
export function requestTo(
  place: ControlPlace,
  { method, route, headers = {}, timeoutMs, signal }: PlaceRequest,
  answered: (incoming: IncomingMessage) => void,
): ClientRequest {
  const options = {
    method,
    agent: false as const,
    ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }),
    ...(signal === undefined ? {} : { signal }),
  }
  if (typeof place === 'string') return plainRequest({ ...options, socketPath: place, path: route, headers }, answered)
  checkUrl(place.url)
  const url = new URL(route, place.url)
  const known = { ...options, headers: { ...headers, authorization: `Bearer ${place.token}` } }
  if (url.protocol === 'http:') return plainRequest(url, known, answered)
  return tlsRequest(url, { ...known, minVersion: 'TLSv1.2', ...(place.ca === undefined ? {} : { ca: place.ca }) }, answered)
}

/** The error for a server that was not reached: `not-running`, `not-permitted`, `not-trusted`, `no-answer`. */
export function unreached(place: ControlPlace, error: NodeJS.ErrnoException): ControlError {
  if (error instanceof ControlError) return error
  const where = placeText(place)
  const code = error.code ?? ''
  if (['ENOENT', 'ECONNREFUSED', 'ENOTSOCK'].includes(code)) return new ControlError('not-running', `no switch runs at ${where}`)
  if (code === 'EACCES' || code === 'EPERM')
    return new ControlError('not-permitted', `no permission to open ${where}: run this as the user who started the switch`)
  if (/CERT|SELF_SIGNED|ALTNAME|UNABLE_TO/.test(code))
    return new ControlError(
      'not-trusted',
      `the certificate of ${where} is not trusted: ${error.message}; name the one to trust with --ca FILE`,
    )
  return new ControlError('no-answer', `${where} did not answer: ${error.message}`)
}
