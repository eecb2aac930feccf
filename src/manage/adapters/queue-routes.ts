// The control API's routes for receive queues of adapters in VMQ mode. control-server.ts has the others.
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { RSS_ENTRIES } from '../../adapter/rss/queue-pair-counters.ts'
import { PROCESSORS_MAX, QUEUE_PAIRS_MAX } from '../config/limits.ts'
import type { QueueCalls } from './queue-calls.ts'

export const queueChange = z.strictObject({
  processor: z
    .number()
    .int()
    .min(0)
    .max(PROCESSORS_MAX - 1)
    .nullable(),
})

const queuePair = z
  .number()
  .int()
  .min(0)
  .max(QUEUE_PAIRS_MAX - 1)

export const vmmqChange = z.strictObject({
  vmmqEnabled: z.boolean().optional(),
  vmmqQueuePairs: z.number().int().min(1).max(QUEUE_PAIRS_MAX).nullable().optional(),
})

export const rssMove = z.strictObject({
  entries: z.array(z.number().int().min(0)).min(1).max(RSS_ENTRIES),
  from: queuePair,
  to: queuePair,
})

/** Reads and checks the body of a request. */
type ReadBody = <T extends z.ZodType>(context: Context, schema: T) => Promise<z.output<T>>

export function addQueueRoutes(app: Hono, host: QueueCalls, body: ReadBody): void {
  app.get('/v1/queues', async (context) => context.json(await host.queues()))
  app.patch('/v1/queues/:port', async (context) => {
    const { processor } = await body(context, queueChange)
    return context.json(await host.setQueue({ port: context.req.param('port'), processor }))
  })
  app.get('/v1/rss', async (context) => context.json(await host.rss()))
  app.patch('/v1/rss/:port', async (context) =>
    context.json(await host.setVmmq({ port: context.req.param('port'), ...(await body(context, vmmqChange)) })),
  )
  app.post('/v1/rss/:port/moves', async (context) =>
    context.json(await host.moveRss({ port: context.req.param('port'), ...(await body(context, rssMove)) })),
  )
}
