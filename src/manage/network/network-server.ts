// The control API on the network, for those who ask for it: TLS, and in every request a token, which says who asks and in which role.
//
// The rule it must not break: no request is looked at before its token was found right, in a time that does not tell how wrong it was, but
// for the console's own files, which are the same for everybody and ask for the token; what a token opened ends with it; nothing leaves this
// machine without TLS.
import { readFileSync } from 'node:fs'
import { createServer as createPlainServer, type Server as PlainServer } from 'node:http'
import { createServer, type Server } from 'node:https'
import { type AddressInfo, isIPv6 } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { AttemptLimit } from '../../endpoints/attempts.ts'
import { relayOrigins } from '../console/guest-tickets.ts'
import { isLoopback } from '../console/local-browser.ts'
import { ControlError } from '../control/control-errors.ts'
import { type ControlComponents, controlRoutes } from '../control/control-server.ts'
import { checkPrivate } from '../store/state-directory.ts'
import { consolePages } from './console-pages.ts'
import { endingOf } from './end-answer.ts'
import { OpenRequests } from './open-requests.ts'
import type { PairFiles } from './self-signed.ts'
import { TokenFile } from './tokens.ts'

const REQUEST_TIMEOUT_MS = 10_000
const IDLE_TIMEOUT_MS = 30_000
const CONNECTIONS_MAX = 256
const HEADERS_MAX_BYTES = 16 * 1024
const PORT_MAX = 65_535

export interface NetworkOptions {
  /** HOST:PORT; port 0: any free one. */
  readonly listen: string
  /** Files of certificate and key; null: no TLS, on loopback addresses only. */
  readonly pair: PairFiles | null
  /** File of the tokens. */
  readonly tokens: string
}

export interface NetworkServer {
  /** HOST:PORT; the port is chosen where 0 was asked for. */
  readonly address: string
  /** https://HOST:PORT, or http:// without TLS. */
  readonly url: string
  close(): Promise<void>
}

/** HOST and PORT of an address. Throws ControlError `bad-listen`. */
export function listenAddress(listen: string): { readonly host: string; readonly port: number } {
  const [, host, port] = /^(?:\[(?=.*\]))?([^[\]]+)\]?:(\d{1,5})$/.exec(listen) ?? []
  if (host === undefined || Number(port) > PORT_MAX)
    throw new ControlError('bad-listen', `"${listen}" is no HOST:PORT, such as 192.0.2.1:8443 or [::1]:8443`)
  return { host, port: Number(port) }
}

/**
 * Listens. Throws ControlError `bad-listen`, `needs-tls`, `bad-certificate`, `listen-failed`, `bad-token-file`, `weak-token`, StoreError
 * `state-not-private`.
 */
export async function startNetworkServer(
  { listen, pair, tokens: tokenFile }: NetworkOptions,
  components: ControlComponents,
): Promise<NetworkServer> {
  const { host, port } = listenAddress(listen)
  if (pair === null && !isLoopback(host))
    throw new ControlError(
      'needs-tls',
      `${listen} can be reached from other machines: serve it over TLS, with --tls-cert and --tls-key, or with --tls-self-signed`,
    )
  const { log } = components
  const tell = (code: string, message: string): void => log({ source: 'control', code, message })
  const tokens = new TokenFile(tokenFile, {
    nowMs: Date.now,
    unusable: ({ message }) => tell('tokens-unusable', `nobody is let in from the network: ${message}`),
  })
  const attempts = new AttemptLimit(Date.now)
  const app = controlRoutes(components)
  const relays = () => relayOrigins(components.host)
  const pages = components.console === undefined ? null : consolePages(components.console, { relays, nowMs: Date.now })
  const open = new OpenRequests({
    tokens,
    ended: ({ name }) => tell('token-changed', `the token of ${name} was changed or taken back: what it had open ends`),
  })
  const listener = getRequestListener(async (request, { incoming, outgoing }) => {
    if (pages?.has(request) === true) return pages.answer(request)
    const from = incoming.socket.remoteAddress ?? 'unknown'
    const wait = attempts.waitSeconds(from)
    if (wait > 0)
      return refused(429, 'too-many-attempts', `too many wrong tokens: try again in ${wait} s`, { 'retry-after': String(wait) })
    const token = /^Bearer +(.+)$/i.exec(request.headers.get('authorization') ?? '')?.[1] ?? ''
    const holder = tokens.holder(token)
    if (holder !== null) {
      let type = ''
      open.add(
        token,
        holder,
        endingOf(outgoing, () => type),
      )
      const response = await app.fetch(request, { caller: { ...holder, from } })
      type = response.headers.get('content-type') ?? ''
      return response
    }
    if (token !== '' && attempts.failed(from))
      tell('too-many-attempts', `${from} came with too many wrong tokens, and is not heard for a minute`)
    return refused(401, 'not-permitted', 'this request has no token, or a wrong one', { 'www-authenticate': 'Bearer' })
  })
  const server = makeServer(pair, listener)
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new ControlError('listen-failed', `${listen} can't be listened at: ${error.message}`)))
    server.listen({ host, port }, () => resolve())
  })
  const at = (server.address() as AddressInfo).port
  const address = `${isIPv6(host) ? `[${host}]` : host}:${at}`
  return {
    address,
    url: `${pair === null ? 'http' : 'https'}://${address}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const refused = (status: number, code: string, message: string, headers: Readonly<Record<string, string>>): Response =>
  Response.json({ code, message }, { status, headers })

type Listener = ReturnType<typeof getRequestListener>

function makeServer(pair: PairFiles | null, listener: Listener): Server | PlainServer {
  const limits = {
    requestTimeout: REQUEST_TIMEOUT_MS,
    headersTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: IDLE_TIMEOUT_MS,
    maxHeaderSize: HEADERS_MAX_BYTES,
  }
  const server = pair === null ? createPlainServer(limits, listener) : makeTlsServer(pair, limits, listener)
  server.maxConnections = CONNECTIONS_MAX
  return server
}

function makeTlsServer(pair: PairFiles, limits: object, listener: Listener): Server {
  checkPrivate(pair.key)
  try {
    const files = { cert: readFileSync(pair.certificate), key: readFileSync(pair.key) }
    const tls = { ...files, minVersion: 'TLSv1.2' as const, handshakeTimeout: REQUEST_TIMEOUT_MS }
    return createServer({ ...limits, ...tls }, listener)
  } catch (error) {
    throw new ControlError('bad-certificate', `certificate or key can't be used: ${(error as Error).message}`)
  }
}
