// The control API's routes for SR-IOV adapters and their virtual functions. control-server.ts has the others.
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { linkModes } from '../../adapter/vf-settings.ts'
import { ControlError } from '../control/control-errors.ts'
import type { AdapterCalls } from './adapter-calls.ts'
import { addQueueRoutes } from './queue-routes.ts'

const U32_MAX = 0xffff_ffff

export const vfWords = z.strictObject({
  vlan: z.number().int().min(0).optional(),
  qos: z.number().int().min(0).optional(),
  spoofchk: z.boolean().optional(),
  trust: z.boolean().optional(),
  max_tx_rate: z.number().int().min(0).optional(),
  min_tx_rate: z.number().int().min(0).optional(),
  state: z.enum(linkModes).optional(),
})
export const ofPort = z.strictObject({ port: z.string().min(1) })
export const removal = ofPort.extend({ surprise: z.boolean().default(false) })
export const oidRequest = z.strictObject({
  oid: z.union([z.number().int().min(0).max(U32_MAX), z.string().min(1)]),
  type: z.enum(['query', 'set', 'method']),
  payload: z.unknown().optional(),
  outputRoom: z.number().int().min(0).max(U32_MAX).optional(),
})

/** Reads and checks the body of a request. */
type ReadBody = <T extends z.ZodType>(context: Context, schema: T) => Promise<z.output<T>>

export function addAdapterRoutes(app: Hono, host: AdapterCalls, body: ReadBody): void {
  addQueueRoutes(app, host, body)
  app.get('/v1/adapters', async (context) => context.json(await host.adapters()))
  app.get('/v1/adapters/:name', async (context) => context.json(await host.adapter(context.req.param('name'))))
  app.post('/v1/adapters/:name/pull', async (context) => context.json(await host.pullAdapter(context.req.param('name'))))
  app.post('/v1/adapters/:name/plug', async (context) => context.json(await host.plugAdapter(context.req.param('name'))))
  app.post('/v1/adapters/:name/request', async (context) =>
    context.json(await host.adapterRequest(context.req.param('name'), await body(context, oidRequest))),
  )
  app.patch('/v1/adapters/:name/vfs/:vf', async (context) => {
    const { name, vf } = context.req.param()
    if (!/^\d{1,5}$/.test(vf)) throw new ControlError('bad-request', `a VF has a number from 0, and not "${vf}"`)
    const words = Object.fromEntries(Object.entries(await body(context, vfWords)).filter(([, value]) => value !== undefined))
    return context.json(await host.setVf({ adapter: name, vf: Number(vf), words }))
  })
  app.get('/v1/vfs', async (context) => context.json(await host.vfs()))
  app.post('/v1/vfs/assign', async (context) => context.json(await host.assignVf((await body(context, ofPort)).port), 201))
  app.post('/v1/vfs/remove', async (context) => {
    await host.removeVf(await body(context, removal))
    return context.json({})
  })
  app.post('/v1/vfs/reset', async (context) => context.json(await host.resetVf((await body(context, ofPort)).port)))
}
