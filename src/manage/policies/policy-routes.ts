// The control API's routes for properties, feature status, save, restore and migration. control-server.ts has the others.
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { propertyTypes } from '../../switch/policies/property.ts'
import { pageKeys } from '../control/pages.ts'
import { table } from '../control/read-request.ts'
import type { SwitchHost } from '../host.ts'
import { addAclRoutes } from './acl-routes.ts'

/** How long a client may wait for a guest to stop, in milliseconds, before it asks again. */
export const AWAIT_STOP_MAX_MS = 10_000

export const portFilter = z.strictObject({ port: z.string().min(1).optional() })
export const shownProperties = portFilter.extend({
  imposed: z.enum(['true', 'false']).optional().describe('With those of the network.'),
})
export const propertyFilter = portFilter.extend({
  type: z.enum(propertyTypes),
  id: z.string().min(1).optional(),
  instance: z.string().min(1).optional(),
})
export const propertyChange = propertyFilter.extend({ version: z.string().optional(), value: z.unknown() })
export const featureFilter = portFilter.extend({ id: z.string().min(1), instance: z.string().min(1).optional() })
export const savedSchema = z.strictObject({ saved: z.string() })
export const aliveSchema = z.strictObject({ last: z.boolean().optional() })
export const awaitSchema = z.strictObject({ timeoutMs: z.number().int().min(0).max(AWAIT_STOP_MAX_MS) })

/** Reads and checks the body of a request. */
type ReadBody = <T extends z.ZodType>(context: Context, schema: T) => Promise<z.output<T>>

export function addPolicyRoutes(app: Hono, host: SwitchHost, body: ReadBody): void {
  const saved = async (context: Context): Promise<string> => (await body(context, savedSchema)).saved
  addAclRoutes(app, host, body)
  app.get('/v1/properties', async (context) =>
    table(
      context,
      await host.properties({ port: context.req.query('port'), imposed: context.req.query('imposed') === 'true' }),
      pageKeys.properties,
    ),
  )
  app.get('/v1/property-definitions', async (context) => context.json(await host.propertyDefinitions()))
  app.post('/v1/properties', async (context) => context.json(await host.addProperty(await body(context, propertyChange)), 201))
  app.put('/v1/properties', async (context) => context.json(await host.setProperty(await body(context, propertyChange))))
  app.post('/v1/properties/remove', async (context) => {
    await host.removeProperty(await body(context, propertyFilter))
    return context.json({})
  })
  app.post('/v1/feature-status', async (context) => context.json(await host.featureStatus(await body(context, featureFilter))))
  app.post('/v1/save', async (context) => context.json({ saved: await host.save(await body(context, portFilter)) }))
  app.post('/v1/restore', async (context) => context.json(await host.restore(await saved(context))))
  app.post('/v1/migration/prepare', async (context) => context.json(await host.prepareMigration(await saved(context)), 201))
  app.post('/v1/migration/alive/:name', async (context) => {
    const { last } = await body(context, aliveSchema)
    await host.stillMigrating(context.req.param('name'), last === true)
    return context.json({})
  })
  app.post('/v1/migration/hold/:name', async (context) => {
    await host.holdPort(context.req.param('name'))
    return context.json({})
  })
  app.post('/v1/migration/await-stop/:name', async (context) => {
    const { timeoutMs } = await body(context, awaitSchema)
    return context.json({ stopped: await host.awaitStop(context.req.param('name'), timeoutMs) })
  })
  app.post('/v1/migration/hand-over/:name', async (context) =>
    context.json({ saved: await host.handOver(context.req.param('name')) }),
  )
  app.post('/v1/migration/take-over', async (context) => context.json(await host.takeOver(await saved(context))))
  app.post('/v1/migration/abandon/:name', async (context) => {
    await host.abandonMigration(context.req.param('name'))
    return context.json({})
  })
}
