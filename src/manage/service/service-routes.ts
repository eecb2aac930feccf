// The control API's routes of a service: its status, its configuration, and applying one. control-server.ts has those of a switch.
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { addClusterRoutes } from '../cluster/cluster-routes.ts'
import type { ServiceCalls } from './service-calls.ts'

export const applySchema = z.strictObject({
  config: z.unknown().describe('The configuration, as a file holds it.'),
  file: z.string().regex(/^\//).describe('Absolute path of its file, beside which relative paths start.'),
  dryRun: z.boolean().optional().describe('Tell what would change, and change nothing.'),
  restart: z.boolean().optional().describe('Allow what needs the whole switch to start anew.'),
})

/** Reads and checks the body of a request. */
type ReadBody = <T extends z.ZodType>(context: Context, schema: T) => Promise<z.output<T>>

export function addServiceRoutes(app: Hono, service: ServiceCalls, body: ReadBody): void {
  if (service.cluster !== undefined) addClusterRoutes(app, service.cluster, body)
  app.get('/v1/service', async (context) => context.json(await service.service()))
  app.get('/v1/config', async (context) => context.json(await service.configuration()))
  app.delete('/v1/config', async (context) => context.json(await service.removeSwitch()))
  app.post('/v1/apply', async (context) => context.json(await service.apply(await body(context, applySchema))))
}
