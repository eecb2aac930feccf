// The control API's routes for receive queues of adapters in VMQ mode. control-server.ts has the others.
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { PROCESSORS_MAX } from './config/limits.ts'
import type { QueueCalls } from './queue-calls.ts'

export const queueChange = z.strictObject({
  processor: z
    .number()
    .int()
    .min(0)
    .max(PROCESSORS_MAX - 1)
    .nullable(),
})

/** Reads and checks the body of a request. */
type ReadBody = <T extends z.ZodType>(context: Context, schema: T) => Promise<z.output<T>>

export function addQueueRoutes(app: Hono, host: QueueCalls, body: ReadBody): void {
  app.get('/v1/queues', async (context) => context.json(await host.queues()))
  app.patch('/v1/queues/:port', async (context) => {
    const { processor } = await body(context, queueChange)
    return context.json(await host.setQueue({ port: context.req.param('port'), processor }))
  })
}
