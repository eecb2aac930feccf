// The control API on the network, for those who ask for it: TLS, and a token in every request.
//
// The rule it must not break: no request is looked at before its token was found right, in a time that does not tell how wrong it was.
import { createHash, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import { getRequestListener } from '@hono/node-server'
import { ControlError } from './control-errors.ts'
import { type ControlComponents, controlRoutes } from './control-server.ts'
import { checkPrivate } from './store/state-directory.ts'

const TOKEN_MIN_CHARACTERS = 16
const REQUEST_TIMEOUT_MS = 10_000
const PORT_MAX = 65_535

export interface Secrets {
  readonly certificate: string
  readonly key: string
  readonly token: string
}

/** Reads what the listener needs. Key and token are readable by their owner only, else StoreError `state-not-private`. */
export function readSecrets(paths: Secrets): Secrets {
  checkPrivate(paths.key)
  checkPrivate(paths.token)
  const token = readFileSync(paths.token, 'utf8').trim()
  if (token.length < TOKEN_MIN_CHARACTERS)
    throw new ControlError(
      'weak-token',
      `${paths.token}: a token has at least ${TOKEN_MIN_CHARACTERS} characters: openssl rand -hex 32`,
    )
  return { certificate: readFileSync(paths.certificate, 'utf8'), key: readFileSync(paths.key, 'utf8'), token }
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

export interface NetworkServer {
  /** HOST:PORT; the port is chosen where 0 was asked for. */
  readonly address: string
  close(): Promise<void>
}

/** Listens at `listen` (HOST:PORT). Throws ControlError `bad-listen`, `listen-failed`. */
export async function startNetworkServer(
  { listen, certificate, key, token }: Secrets & { readonly listen: string },
  components: ControlComponents,
): Promise<NetworkServer> {
  const [, host, port] = /^\[?([^\]]+)\]?:(\d+)$/.exec(listen) ?? []
  if (host === undefined || Number(port) > PORT_MAX)
    throw new ControlError('bad-listen', `"${listen}" is no HOST:PORT, such as 192.0.2.1:8443 or [::1]:8443`)
  const expected = digest(`Bearer ${token}`)
  const app = controlRoutes(components)
  const answer = (request: Request): Response | Promise<Response> => {
    if (timingSafeEqual(digest(request.headers.get('authorization') ?? ''), expected)) return app.fetch(request)
    const problem = { code: 'not-permitted', message: 'this request has no token, or a wrong one' }
    return Response.json(problem, { status: 401, headers: { 'www-authenticate': 'Bearer' } })
  }
  const server = makeServer({ cert: certificate, key }, answer)
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new ControlError('listen-failed', `${listen} can't be listened at: ${error.message}`)))
    server.listen({ host, port: Number(port) }, () => resolve())
  })
  const address = server.address()
  return {
    address: listen.replace(/\d+$/, String(typeof address === 'object' && address !== null ? address.port : port)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function makeServer(
  pair: { readonly cert: string; readonly key: string },
  answer: (request: Request) => Response | Promise<Response>,
): Server {
  try {
    const server = createServer({ ...pair, minVersion: 'TLSv1.2' }, getRequestListener(answer))
    server.requestTimeout = REQUEST_TIMEOUT_MS
    server.headersTimeout = REQUEST_TIMEOUT_MS
    return server
  } catch (error) {
    throw new ControlError('bad-certificate', `certificate or key can't be used: ${(error as Error).message}`)
  }
}
