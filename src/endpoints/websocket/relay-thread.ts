// The thread of a WebSocket endpoint: listens, lets in who has the token of the port, and relays frames for one client at a time.
//
// The rule it must not break: nothing that a client sends costs time of the control thread, and no message is read before its token or
// ticket was found right, in a time that does not tell how wrong it was.
import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { parentPort, workerData } from 'node:worker_threads'
import { type WebSocket, WebSocketServer } from 'ws'
import { FRAME_MAX } from '../../kernels/layout.ts'
import { closeFd } from '../../linux/files.ts'
import { AttemptLimit } from '../attempts.ts'
import { RelayClient } from './relay-client.ts'
import { Counter, type FromRelay, type RelayStart, type ToRelay } from './relay-messages.ts'
import { FRAMES_PROTOCOL, TICKET_PREFIX, TicketDoor } from './ticket.ts'

const ASK_MS = 15_000
const REQUEST_TIMEOUT_MS = 5000
const CONNECTIONS_MAX = 16
const HEADERS_MAX_BYTES = 8 * 1024

const start = workerData as RelayStart
const owner = parentPort!
const counters = new BigInt64Array(start.counters)
const tell = (message: FromRelay): void => owner.postMessage(message)
const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
const expected = digest(start.token)
const door = new TicketDoor(start.token)
const attempts = new AttemptLimit(Date.now)

/** The client, from its handshake until the switch has let go of its socket pair. */
let client: WebSocket | null = null
let relay: RelayClient | null = null

const frames = new WebSocketServer({
  noServer: true,
  maxPayload: FRAME_MAX,
  perMessageDeflate: false,
  skipUTF8Validation: true,
  handleProtocols: (offered) => (offered.has(FRAMES_PROTOCOL) ? FRAMES_PROTOCOL : false),
})

const limits = { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS, maxHeaderSize: HEADERS_MAX_BYTES }
const explain: RequestListener = (_, response) => {
  response.writeHead(426, { upgrade: 'websocket', connection: 'close' }).end('this address speaks WebSocket\n')
}
const server =
  start.tls === null
    ? createServer(limits, explain)
    : createTlsServer({ ...limits, ...start.tls, minVersion: 'TLSv1.2', handshakeTimeout: REQUEST_TIMEOUT_MS }, explain)
server.maxConnections = CONNECTIONS_MAX
server.on('error', ({ message }) => tell({ said: 'failed', message }))
server.on('upgrade', (request, socket, head) => {
  socket.on('error', () => socket.destroy())
  const status = refusal(request)
  if (status !== null) return refuse(socket, status)
  frames.handleUpgrade(request, socket, head, (opened) => {
    client = opened
    opened.pause()
    opened.on('error', ({ message }) =>
      tell({ said: 'event', code: 'bad-message', message: `the client was cut off: ${message}` }),
    )
    tell({ said: 'connected' })
  })
})

/** Why a client is not let in, as an HTTP status; null: it is. */
function refusal(request: IncomingMessage): string | null {
  const { origin } = request.headers
  if (!hasTicket(request)) {
    // A page comes to its origin before its token: what pages of others try says nothing about who is at this address.
    if (origin !== undefined && !start.origins.includes(origin)) return '403 Forbidden'
    const from = request.socket.remoteAddress ?? ''
    if (attempts.waitSeconds(from) > 0) return '429 Too Many Requests'
    if (!hasToken(request)) {
      if (attempts.failed(from))
        tell({
          said: 'event',
          code: 'too-many-attempts',
          message: `${from} came with too many wrong tokens, and is not heard for a minute`,
        })
      return '401 Unauthorized'
    }
  }
  return client === null ? null : '409 Conflict'
}

function hasTicket({ headers }: IncomingMessage): boolean {
  const { origin, 'sec-websocket-protocol': protocols = '' } = headers
  if (origin === undefined) return false
  const ticket = protocols
    .split(',')
    .map((one) => one.trim())
    .find((one) => one.startsWith(TICKET_PREFIX))
  return ticket !== undefined && door.opens(ticket, origin, Date.now())
}

const hasToken = ({ url = '' }: IncomingMessage): boolean =>
  timingSafeEqual(digest(/[?&]token=([^&]*)/.exec(url)?.[1] ?? ''), expected)

function refuse(socket: Duplex, status: string): void {
  Atomics.add(counters, Counter.refused, 1n)
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
}

const asking = setInterval(() => relay?.ask(), ASK_MS)

owner.on('message', (message: ToRelay) => {
  if (message.do === 'join') {
    if (client === null) closeFd(message.fd)
    else relay = new RelayClient(client, message.fd, start.framesPerSecond, counters)
    return
  }
  client?.terminate()
  client = null
  relay = null
  if (message.do === 'release') return
  clearInterval(asking)
  server.close()
  server.closeAllConnections()
  owner.close()
})

server.listen({ host: start.host, port: start.port }, () =>
  tell({ said: 'listening', port: (server.address() as AddressInfo).port }),
)
