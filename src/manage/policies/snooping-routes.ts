// The control API's routes for multicast groups. control-server.ts has the others.
import type { Context, Hono } from 'hono'
import type { z } from 'zod'
import { snoopingSchema } from '../config/snooping-schema.ts'
import type { SnoopingCalls } from './snooping-calls.ts'

/** Reads and checks the body of a request. */
type ReadBody = <T extends z.ZodType>(context: Context, schema: T) => Promise<z.output<T>>

export function addSnoopingRoutes(app: Hono, host: SnoopingCalls, body: ReadBody): void {
  app.get('/v1/mdb', async (context) => context.json(await host.mdb()))
  app.put('/v1/snooping', async (context) => context.json(await host.setSnooping(await body(context, snoopingSchema))))
  app.delete('/v1/snooping', async (context) => context.json(await host.setSnooping(null)))
}
