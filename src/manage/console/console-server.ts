// The console on a loopback address, for a browser of this machine: a random token in the URL that is printed, kept by the browser as a
// cookie. From elsewhere it is reached through ssh -L, or not at all.
//
// The rule it must not break: no request is looked at before it was found to come from a page of ours and to know the token; how wrong a
// token is does not show in the time that it takes.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { Caller } from '../control/access.ts'
import { ControlError } from '../control/control-errors.ts'
import { type ControlComponents, controlRoutes } from '../control/control-server.ts'
import { foreignRequest, isLoopback, refusedResponse } from './local-browser.ts'

/** Where the console is served if nobody says where. */
export const CONSOLE_ADDRESS = '127.0.0.1:7788'
const TOKEN_BYTES = 24
const REQUEST_TIMEOUT_MS = 10_000
const PORT_MAX = 65_535

export interface ConsoleOptions {
  /** HOST:PORT; the host is a loopback address, port 0 any free one. */
  readonly listen: string
  /** If the port is taken, any free one will do. */
  readonly anyPort?: boolean
}

export interface ConsoleServer {
  /** What a person opens: the token is in it. */
  readonly url: string
  readonly token: string
  close(): Promise<void>
}

const CALLER: Caller = { name: 'console', role: 'admin', from: 'loopback' }

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Throws ControlError `bad-listen`, `console-not-local`. */
export function consoleAddress(listen: string): { readonly host: string; readonly port: number } {
  const [, written, port] = /^\[?([^\]]+)\]?:(\d+)$/.exec(listen) ?? []
  if (written === undefined || Number(port) > PORT_MAX)
    throw new ControlError('bad-listen', `"${listen}" is no HOST:PORT, such as ${CONSOLE_ADDRESS} or [::1]:7788`)
  if (!isLoopback(written))
    throw new ControlError(
      'console-not-local',
      `${listen}: the console has no TLS and is served to this machine only: use ${CONSOLE_ADDRESS}, and from elsewhere ssh -L 7788:${CONSOLE_ADDRESS} HOST`,
    )
  return { host: written.toLowerCase() === 'localhost' ? '127.0.0.1' : written, port: Number(port) }
}

/** Serves console and API. Throws ControlError `bad-listen`, `console-not-local`, `listen-failed`. */
export async function startConsoleServer(
  { listen, anyPort = false }: ConsoleOptions,
  components: ControlComponents,
): Promise<ConsoleServer> {
  const { host, port } = consoleAddress(listen)
  const token = randomBytes(TOKEN_BYTES).toString('base64url')
  const expected = digest(token)
  const right = (given: string | undefined): boolean => given !== undefined && timingSafeEqual(digest(given), expected)
  const app = controlRoutes(components)
  let own = port
  const answer = (request: Request): Response | Promise<Response> => {
    const foreign = foreignRequest(request.headers, own)
    if (foreign !== null) return refusedResponse(foreign)
    const cookie = `vmswitch-${own}`
    const url = new URL(request.url)
    const given = url.searchParams.get('token')
    if (given !== null && right(given)) return withCookie(url, `${cookie}=${token}`)
    const bearer = /^Bearer (.+)$/.exec(request.headers.get('authorization') ?? '')?.[1]
    if (right(bearer ?? cookieOf(request.headers.get('cookie'), cookie))) return app.fetch(request, { caller: CALLER })
    return withoutToken(request)
  }
  const server = createServer(getRequestListener(answer))
  server.requestTimeout = REQUEST_TIMEOUT_MS
  server.headersTimeout = REQUEST_TIMEOUT_MS
  const listening = (at: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host, port: at }, () => {
        server.off('error', reject)
        resolve()
      })
    })
  try {
    await listening(port).catch((error: NodeJS.ErrnoException) => {
      if (anyPort && error.code === 'EADDRINUSE') return listening(0)
      throw error
    })
  } catch (error) {
    throw new ControlError('listen-failed', `${listen} can't be listened at: ${(error as Error).message}`)
  }
  own = (server.address() as AddressInfo).port
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${own}/console/?token=${token}`,
    token,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const cookieOf = (header: string | null, name: string): string | undefined =>
  header
    ?.split(';')
    .map((one) => one.trim())
    .find((one) => one.startsWith(`${name}=`))
    ?.slice(name.length + 1)

/** The same page without the token in its address: it stays in no history, and goes to nobody as a referrer. */
function withCookie(url: URL, cookie: string): Response {
  url.searchParams.delete('token')
  const headers = {
    location: `${url.pathname}${url.search}`,
    'set-cookie': `${cookie}; Path=/; HttpOnly; SameSite=Strict`,
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-store',
  }
  return new Response(null, { status: 303, headers })
}

function withoutToken(request: Request): Response {
  const message = 'this needs the token of the URL that vmswitch printed at its start: open that URL'
  if (request.headers.get('accept')?.includes('text/html') === true)
    return new Response(`${message}\n`, { status: 401, headers: { 'content-type': 'text/plain; charset=utf-8' } })
  return Response.json({ code: 'not-permitted', message }, { status: 401, headers: { 'www-authenticate': 'Bearer' } })
}
