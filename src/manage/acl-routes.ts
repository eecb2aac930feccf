// The control API's route for the ACLs of ports. control-server.ts has the others.
import type { Hono } from 'hono'
import type { AclCalls } from './acl-calls.ts'

export function addAclRoutes(app: Hono, host: AclCalls): void {
  app.get('/v1/acls', async (context) => context.json(await host.acls({ port: context.req.query('port') })))
}
