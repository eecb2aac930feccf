// The control API: HTTP with JSON on a unix socket, a thin coat over SwitchHost. docs/configuration.md lists the routes.
//
// The rule it must not break: whoever is an admin at the socket owns the switch, so nobody is but root and its owner; others can't open it,
// or, where a group may look, are readers.
import { chmodSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { addAdapterRoutes } from '../adapters/adapter-routes.ts'
import { portSchema } from '../config/schema.ts'
import { addConsoleRoutes } from '../console/console-files.ts'
import { addTicketRoute, relayOrigins } from '../console/guest-tickets.ts'
import { foreignRequest, refusedResponse } from '../console/local-browser.ts'
import { addDiagnosisRoutes } from '../diagnosis/diagnosis-routes.ts'
import type { EventBus } from '../events/event-bus.ts'
import { addEventRoutes } from '../events/event-routes.ts'
import type { EventLog, SwitchHost } from '../host.ts'
import { installSchema } from '../installed-extension.ts'
import { acceptedFormat, type MetricsFormat, metricsFormats } from '../metrics/open-metrics.ts'
import { operations } from '../openapi/operations.ts'
import { addOverlayRoutes } from '../overlay/overlay-routes.ts'
import { addPolicyRoutes } from '../policies/policy-routes.ts'
import { addSnoopingRoutes } from '../policies/snooping-routes.ts'
import type { ServiceCalls } from '../service/service-calls.ts'
import { addServiceRoutes } from '../service/service-routes.ts'
import { type Access, type AuditRecord, accessGuard, callerOf } from './access.ts'
import { ControlError, problemOf } from './control-errors.ts'
import { pageKeys } from './pages.ts'
import { body, check, refuse, table } from './read-request.ts'
import { extensionChange, filterSchema, orderSchema, portChange } from './request-schemas.ts'
import { groupId, OWNER_MODE, openToGroup, socketCaller } from './socket-access.ts'
import { claimSocketPath } from './socket-path.ts'

const BODY_MAX_BYTES = 1024 * 1024
/** Routes that take a saved switch, or a whole configuration. */
const SAVED_ROUTES = new Set(['/v1/restore', '/v1/migration/prepare', '/v1/migration/take-over', '/v1/apply'])
const SAVED_BODY_MAX_BYTES = 128 * 1024 * 1024
const REQUEST_TIMEOUT_MS = 10_000

/** What the routes lead to. */
export interface ControlComponents {
  readonly host: SwitchHost
  readonly log: EventLog
  /** A service has more to offer than its switch. */
  readonly service?: ServiceCalls | undefined
  /** What happens. */
  readonly events?: EventBus | undefined
  /** Text for those who collect metrics. */
  readonly metrics?: ((format: MetricsFormat) => Promise<string>) | undefined
  /** What callers may do at the most; change without it. */
  readonly access?: Access | undefined
  /** Told of each request that is more than looking. */
  readonly audit?: ((record: AuditRecord) => void) | undefined
  /** Directory of the console's files; without it there is no console. */
  readonly console?: string | undefined
}

/** The routes, apart from any socket. */
export function controlRoutes(components: ControlComponents): Hono {
  const { host, log, service, events, metrics, access = 'change', audit, console } = components
  const app = new Hono()
  const limit = (maxSize: number) =>
    bodyLimit({ maxSize, onError: () => refuse('too-large', `a request has at most ${maxSize} bytes`) })
  const usual = limit(BODY_MAX_BYTES)
  const large = limit(SAVED_BODY_MAX_BYTES)
  app.use((context, next) => (SAVED_ROUTES.has(context.req.path) ? large : usual)(context, next))
  app.use(accessGuard({ access, operations, audit }))
  app.onError((error, context) => {
    const { problem, status } = problemOf(error)
    if (status === 500)
      log({
        source: 'control',
        code: 'internal',
        message: `${context.req.method} ${context.req.path}: ${error.stack ?? problem.message}`,
      })
    return context.json(problem, status)
  })
  app.notFound((context) =>
    context.json({ code: 'no-such-route', message: `there is no ${context.req.method} ${context.req.path}` }, 404),
  )

  app.get('/v1/status', async (context) => context.json(await host.status()))
  app.get('/v1/live', async (context) => context.json(await host.live()))
  app.get('/v1/access', (context) => {
    const { name, role } = callerOf(context, access)
    const network = service?.cluster !== undefined
    return context.json({ access: role === 'reader' ? 'read' : 'change', role, name, network })
  })
  app.get('/v1/ports', async (context) => table(context, await host.ports(), pageKeys.ports))
  app.post('/v1/ports', async (context) => context.json(await host.addPort(await body(context, portSchema)), 201))
  app.delete('/v1/ports/:name', async (context) => {
    await host.removePort(context.req.param('name'))
    return context.json({})
  })
  app.patch('/v1/ports/:name', async (context) => {
    const name = context.req.param('name')
    const { link, ...settings } = await body(context, portChange)
    const change = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
    const changes = Object.keys(change).length
    if (link === undefined && changes === 0) refuse('bad-request', 'nothing is named that could be changed')
    const port = changes === 0 ? undefined : await host.setPort(name, change)
    return context.json(link === undefined ? port : await host.setLink(name, link === 'up'))
  })
  app.get('/v1/team', async (context) => context.json(await host.team()))
  app.get('/v1/fdb', async (context) => {
    const { vlan, limit: _, after: __, ...rest } = context.req.query()
    const filter = check(filterSchema, { ...rest, ...(vlan === undefined ? {} : { vlan: Number(vlan) }) })
    return table(context, await host.fdb(filter), pageKeys.fdb)
  })
  app.post('/v1/fdb/flush', async (context) => context.json({ flushed: await host.flushFdb(await body(context, filterSchema)) }))
  app.get('/v1/extensions', async (context) => context.json(await host.extensions()))
  app.put('/v1/extensions', async (context) =>
    context.json(await host.reorderExtensions((await body(context, orderSchema)).names)),
  )
  app.post('/v1/extensions', async (context) =>
    context.json(await host.installExtension(await body(context, installSchema)), 201),
  )
  app.delete('/v1/extensions/:name', async (context) => {
    await host.uninstallExtension(context.req.param('name'))
    return context.json({})
  })
  app.patch('/v1/extensions/:name', async (context) => {
    const name = context.req.param('name')
    const { enabled, paused } = await body(context, extensionChange)
    if ((enabled === undefined) === (paused === undefined)) refuse('bad-request', 'either enabled or paused is needed')
    return context.json(
      enabled === undefined
        ? await host.pauseExtension({ name, paused: paused === true })
        : await host.setExtension({ name, enabled }),
    )
  })
  app.post('/v1/extensions/:name/reload', async (context) => context.json(await host.replaceExtension(context.req.param('name'))))
  app.get('/v1/counters', async (context) => context.json(await host.counters()))
  app.get('/v1/drops', async (context) => table(context, await host.drops(), pageKeys.drops))
  addPolicyRoutes(app, host, body)
  addSnoopingRoutes(app, host, body)
  addOverlayRoutes(app, host)
  addAdapterRoutes(app, host, body)
  app.get('/v1/openapi.json', async (context) => {
    const { openApi } = await import('../openapi/document.ts')
    return context.json(openApi())
  })
  if (service !== undefined) addServiceRoutes(app, service, body)
  if (events !== undefined) addEventRoutes(app, events)
  if (metrics !== undefined)
    app.get('/metrics', async (context) => {
      const format = acceptedFormat(context.req.header('accept'))
      return context.body(await metrics(format), 200, { 'content-type': metricsFormats[format] })
    })
  addDiagnosisRoutes(app, host, body, service?.cluster)
  addTicketRoute(app, host)
  if (console !== undefined) addConsoleRoutes(app, console, () => relayOrigins(host))
  return app
}

export interface ControlServerOptions {
  readonly path: string
  /** Name or number of a group whose members may look; without it, the socket is its owner's. */
  readonly readerGroup?: string | undefined
}

/** A control server that listens. */
export interface ControlServer {
  readonly path: string
  /** Stops listening, ends open connections, and removes the socket file. */
  close(): Promise<void>
}

/**
 * Serves `host` at the unix socket `path`. Throws ControlError `socket-in-use` if another process listens there, `socket-blocked`
 * if the path is something else, `socket-path-too-long`, `no-such-group`, `group-can-not-reach`; a socket that a killed process left behind
 * is replaced.
 */
export async function startControlServer(
  { path, readerGroup }: ControlServerOptions,
  components: ControlComponents,
): Promise<ControlServer> {
  const group = readerGroup === undefined ? undefined : groupId(readerGroup)
  const made = await claimSocketPath(path)
  const app = controlRoutes(components)
  // The socket may be forwarded to a port of this machine, which web pages reach.
  const server = createServer(
    getRequestListener((asked, { incoming }) => {
      const foreign = foreignRequest(asked.headers)
      return foreign === null ? app.fetch(asked, { caller: socketCaller(incoming.socket) }) : refusedResponse(foreign)
    }),
  )
  server.requestTimeout = REQUEST_TIMEOUT_MS
  server.headersTimeout = REQUEST_TIMEOUT_MS
  await listen(server, path)
  try {
    if (group !== undefined) openToGroup(path, group, made)
  } catch (error) {
    server.close()
    throw error
  }
  return {
    path,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** Listens at `path`, with its mode right from the first moment: binding happens within `listen`, under the mask. */
function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(new ControlError('socket-failed', `the control socket can't be opened: ${error.message}`)),
    )
    const mask = process.umask(0o777 & ~OWNER_MODE)
    try {
      server.listen(path, () => resolve())
    } finally {
      process.umask(mask)
    }
    if (server.listening) chmodSync(path, OWNER_MODE)
  })
}
