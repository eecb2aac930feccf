// How a page of the console gets at a WebSocket port without its token: it asks the service, which knows the page, for a ticket.
//
// The rule it must not break: a ticket is for whoever may change everything, and for pages of the origin that asked.
import { readFileSync } from 'node:fs'
import type { Hono } from 'hono'
import { FRAMES_PROTOCOL, makeTicket } from '../../endpoints/websocket/ticket.ts'
import { ControlError } from '../control/control-errors.ts'
import type { PortStatus, SwitchHost } from '../host.ts'

/** What a page needs to be the guest of a port. */
export interface PortTicket {
  /** Where the port listens: ws://HOST:PORT/, with TLS wss:. */
  readonly url: string
  /** What the page's WebSocket offers as subprotocols; the port is opened by them once, within 30 s. */
  readonly protocols: readonly string[]
  /** The address that the port is configured for; null: any. */
  readonly mac: string | null
  /** Bytes. */
  readonly mtu: number
}

/** Where a port of kind websocket listens, as a URL's origin; null: it is of another kind. */
export function relayOrigin({ endpoint, detail }: Pick<PortStatus, 'endpoint' | 'detail'>): string | null {
  if (endpoint.kind !== 'websocket' || typeof detail.listensAt !== 'string') return null
  return `${endpoint.certificate === undefined ? 'ws' : 'wss'}://${detail.listensAt}`
}

/** All addresses of the machine: a page takes the one by which it reaches the service. */
const everywhere = /^(wss?):\/\/(?:0\.0\.0\.0|\[::\])(?=:\d+$)/

const hostOf = (origin: string): string => (URL.canParse(origin) ? new URL(origin).hostname : 'localhost')

/** Origins of the switch's WebSocket ports, as a page names them. */
export async function relayOrigins(host: SwitchHost): Promise<string[]> {
  const ports = await host.ports()
  return ports.map(relayOrigin).filter((origin) => origin !== null)
}

export function addTicketRoute(app: Hono, host: SwitchHost): void {
  app.post('/v1/ports/:name/ticket', async (context) => {
    const name = context.req.param('name')
    const port = (await host.ports()).find((one) => one.name === name)
    if (port === undefined) throw new ControlError('no-such-port', `there is no port "${name}"`)
    const relay = relayOrigin(port)
    if (relay === null || port.endpoint.kind !== 'websocket')
      throw new ControlError('bad-request', `port "${name}" is of kind ${port.endpoint.kind}: tickets are for kind websocket`)
    const origin = context.req.header('origin')
    if (origin === undefined)
      throw new ControlError('bad-request', 'a ticket is for a page in a browser, which says its origin; programs use the token')
    const token = readFileSync(port.endpoint.tokenFile, 'utf8').trim()
    const ticket: PortTicket = {
      url: `${relay.replace(everywhere, (_, scheme: string) => `${scheme}://${hostOf(origin)}`)}/`,
      protocols: [FRAMES_PROTOCOL, makeTicket(token, origin, Date.now())],
      mac: port.mac,
      mtu: port.mtu,
    }
    return context.json(ticket, 201, { 'cache-control': 'no-store' })
  })
}
