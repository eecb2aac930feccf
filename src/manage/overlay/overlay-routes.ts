// The control API's routes for overlays. control-server.ts has the others.
import type { Hono } from 'hono'
import { z } from 'zod'
import { VSID_MAX } from '../../switch/overlay/options.ts'
import { recordSchema, routeSchema, subnetSchema } from '../config/overlay-schema.ts'
import { macPattern } from '../config/patterns.ts'
import { pageKeys } from '../control/pages.ts'
import { body, check, table } from '../control/read-request.ts'
import type { OverlayCalls } from './overlay-calls.ts'

const vsid = z.coerce.number().int().min(1).max(VSID_MAX)

export const recordFilter = z.strictObject({
  vsid: vsid.optional().describe('Of this virtual subnet.'),
  mac: z.string().regex(macPattern).optional().describe('Of the guest with this MAC address.'),
  address: z.string().optional().describe('Of the guest with this IP address.'),
  provider: z.string().optional().describe('Of guests on the host with this provider address.'),
})

export const recordRemoval = z.strictObject({
  vsid: z.number().int().min(1).max(VSID_MAX).describe('Virtual subnet of the guest.'),
  mac: z.string().regex(macPattern).describe('Its MAC address.'),
})

export const routeFilter = z.strictObject({
  routingDomain: z.string().optional().describe('Of this routing domain.'),
  vsid: vsid.optional().describe('Into this virtual subnet.'),
})

export const routeRemoval = routeSchema.omit({ metric: true })

export const subnetRemoval = z.strictObject({ vsid: z.number().int().min(1).max(VSID_MAX).describe('The virtual subnet.') })

export function addOverlayRoutes(app: Hono, host: OverlayCalls): void {
  app.get('/v1/overlay', async (context) => context.json(await host.overlay()))
  app.get('/v1/overlay/records', async (context) => {
    const { limit: _, after: __, ...filter } = context.req.query()
    return table(context, await host.overlayRecords(check(recordFilter, filter)), pageKeys.overlayRecords)
  })
  app.put('/v1/overlay/records', async (context) => context.json(await host.setOverlayRecord(await body(context, recordSchema))))
  app.post('/v1/overlay/records/remove', async (context) => {
    await host.removeOverlayRecord(await body(context, recordRemoval))
    return context.json({})
  })
  app.get('/v1/overlay/routes', async (context) => {
    const { limit: _, after: __, ...filter } = context.req.query()
    return table(context, await host.overlayRoutes(check(routeFilter, filter)), pageKeys.overlayRoutes)
  })
  app.put('/v1/overlay/routes', async (context) => context.json(await host.setOverlayRoute(await body(context, routeSchema))))
  app.post('/v1/overlay/routes/remove', async (context) => {
    await host.removeOverlayRoute(await body(context, routeRemoval))
    return context.json({})
  })
  app.put('/v1/overlay/subnets', async (context) => context.json(await host.setOverlaySubnet(await body(context, subnetSchema))))
  app.post('/v1/overlay/subnets/remove', async (context) => {
    await host.removeOverlaySubnet((await body(context, subnetRemoval)).vsid)
    return context.json({})
  })
}
