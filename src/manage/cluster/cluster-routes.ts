// The control API's routes of a service that can be in a network of hosts.
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { imposableTypes } from '../../switch/policies/imposed.ts'
import type { ClusterCalls } from './cluster-calls.ts'

const path = z.string().regex(/^\//)

export const joinSchema = z.strictObject({
  servers: z.string().min(1).max(4096).describe('nats://HOST:PORT or tls://HOST:PORT, several separated by commas.'),
  network: z.string().min(1).max(63),
  host: z.string().min(1).max(63).optional().describe('Name of this host in the network; default: the name of the machine.'),
  credential: path.optional().describe('Absolute path of a file with the credential.'),
  ca: path.optional().describe('Absolute path of a file with the certificates of authorities, PEM.'),
  plaintext: z.boolean().optional().describe('Allow servers on other machines without TLS.'),
  providerAddresses: z.array(z.string().min(2).max(45)).max(16).optional().describe('Where tunnels to this host end.'),
  replicas: z.number().int().min(1).max(5).optional().describe('Copies of the records, if this host makes the network.'),
})

export const networkSubnetSchema = z.strictObject({
  virtualSubnetId: z.number().int().min(1).max(0xfffffe),
  routingDomainId: z.string().min(1).max(256).optional(),
  name: z.string().min(1).max(256).optional(),
  tenant: z.string().min(1).max(256).optional().describe('Whose it is: ports of others are refused.'),
  hosts: z.array(z.string().min(1).max(63)).max(4096).optional().describe('Hosts that may have ports in it; all without it.'),
  prefixes: z.array(z.string().min(1).max(64)).max(64).optional().describe('Where its addresses lie.'),
  gateways: z
    .array(z.string().min(2).max(45))
    .max(16)
    .optional()
    .describe('Addresses of the router in it, of its routing domain.'),
})

export const networkPolicySchema = z.strictObject({
  name: z.string().min(1).max(256),
  virtualSubnetId: z.number().int().min(1).max(0xfffffe).optional().describe('For its ports; or give a port.'),
  port: z.string().min(1).max(256).optional().describe('For the port of this name.'),
  properties: z
    .array(z.strictObject({ type: z.enum(imposableTypes), value: z.unknown() }))
    .max(imposableTypes.length)
    .describe('What is imposed, each type once.'),
})

/** How long a client may wait for a port to be this host's, in milliseconds, before it asks again. */
const AWAIT_PORT_MAX_MS = 10_000

export const expectSchema = z.strictObject({ from: z.string().min(1).max(63).describe('Host that has the port now.') })
export const awaitPortSchema = z.strictObject({ timeoutMs: z.number().int().min(0).max(AWAIT_PORT_MAX_MS) })

type ReadBody = <T extends z.ZodType>(context: Context, schema: T) => Promise<z.output<T>>

export function addClusterRoutes(app: Hono, cluster: ClusterCalls, body: ReadBody): void {
  app.get('/v1/network', async (context) => context.json(await cluster.network()))
  app.post('/v1/network/join', async (context) => context.json(await cluster.join(await body(context, joinSchema))))
  app.post('/v1/network/leave', async (context) => context.json(await cluster.leave()))
  app.put('/v1/network/subnets', async (context) =>
    context.json(await cluster.setSubnet(await body(context, networkSubnetSchema))),
  )
  app.delete('/v1/network/subnets/:id', async (context) =>
    context.json(await cluster.removeSubnet(Number(context.req.param('id')))),
  )
  app.put('/v1/network/policies', async (context) =>
    context.json(await cluster.setPolicy(await body(context, networkPolicySchema))),
  )
  app.delete('/v1/network/policies/:name', async (context) => context.json(await cluster.removePolicy(context.req.param('name'))))
  app.post('/v1/network/expect/:name', async (context) => {
    const { from } = await body(context, expectSchema)
    return context.json(await cluster.expectPort(context.req.param('name'), from))
  })
  app.post('/v1/network/await/:name', async (context) => {
    const { timeoutMs } = await body(context, awaitPortSchema)
    return context.json(await cluster.awaitPort(context.req.param('name'), timeoutMs))
  })
  app.post('/v1/network/forget/:name', async (context) => {
    await cluster.forgetPort(context.req.param('name'))
    return context.json({})
  })
}
