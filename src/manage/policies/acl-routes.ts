// The control API's routes for the ACLs of ports. control-server.ts has the others.
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { pageKeys } from '../control/pages.ts'
import { table } from '../control/read-request.ts'
import type { AclCalls } from './acl-calls.ts'

const listSchema = z.strictObject({ port: z.string().min(1), extended: z.boolean().optional() })
export const aclAddition = listSchema.extend({ entry: z.record(z.string(), z.unknown()) })
export const aclRemoval = listSchema
  .extend({
    which: z.string().min(1).optional().describe('Name, or place in its list.'),
    entry: z.record(z.string(), z.unknown()).optional().describe('The entry itself, as the list shows it.'),
  })
  .refine(({ which, entry }) => (which === undefined) !== (entry === undefined), 'name one of "which" and "entry"')

/** Reads and checks the body of a request. */
type ReadBody = <T extends z.ZodType>(context: Context, schema: T) => Promise<z.output<T>>

export function addAclRoutes(app: Hono, host: AclCalls, body: ReadBody): void {
  app.post('/v1/acls', async (context) => context.json(await host.addAcl(await body(context, aclAddition)), 201))
  app.post('/v1/acls/remove', async (context) => context.json(await host.removeAcl(await body(context, aclRemoval))))
  app.get('/v1/acls', async (context) => table(context, await host.acls({ port: context.req.query('port') }), pageKeys.acls))
}
