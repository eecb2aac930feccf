// An overlay's configuration with a record, a route or a subnet more or less: what is stored after a change over the API.

import { normalizeMac } from '../config/mac.ts'
import { normalRecord, normalSubnet } from '../config/overlay-checks.ts'
import { normalRoute } from '../config/overlay-route-checks.ts'
import { recordSchema, routeSchema, subnetSchema } from '../config/overlay-schema.ts'
import type { OverlayConfig, RecordInput, RouteConfig, RouteInput, SubnetInput } from '../config/types.ts'
import type { RouteKey } from './overlay-calls.ts'

export interface GuestKey {
  readonly vsid: number
  readonly mac: string
}

const isOf =
  ({ vsid, mac }: GuestKey) =>
  (record: GuestKey): boolean =>
    record.vsid === vsid && record.mac === normalizeMac(mac)

/** With this record in the place of the guest's one, or behind the others. */
export function withRecord(overlay: OverlayConfig, input: RecordInput): OverlayConfig {
  const record = normalRecord(recordSchema.parse(input))
  const isIt = isOf(record)
  const { records } = overlay
  return { ...overlay, records: records.some(isIt) ? records.map((one) => (isIt(one) ? record : one)) : [...records, record] }
}

export function withoutRecord(overlay: OverlayConfig, key: GuestKey): OverlayConfig {
  const isIt = isOf(key)
  return { ...overlay, records: overlay.records.filter((one) => !isIt(one)) }
}

/** With this subnet in the place of the one of its number, or behind the others. */
export function withSubnet(overlay: OverlayConfig, input: SubnetInput): OverlayConfig {
  const subnet = normalSubnet(subnetSchema.parse(input))
  const { subnets } = overlay
  const isThere = subnets.some(({ vsid }) => vsid === subnet.vsid)
  return { ...overlay, subnets: isThere ? subnets.map((one) => (one.vsid === subnet.vsid ? subnet : one)) : [...subnets, subnet] }
}

export const withoutSubnet = (overlay: OverlayConfig, vsid: number): OverlayConfig => ({
  ...overlay,
  subnets: overlay.subnets.filter((one) => one.vsid !== vsid),
})

/** What a route is known by. */
export const routeId = ({ vsid, prefix, nextHop = '' }: RouteKey): string => `${vsid} ${prefix} ${nextHop}`

const normalOf = (input: RouteInput): RouteConfig => normalRoute(routeSchema.parse(input))

/** With this route in the place of the one to its prefix over the same next hop, or behind the others. */
export function withRoute(overlay: OverlayConfig, input: RouteInput): OverlayConfig {
  const route = normalOf(input)
  const { routes } = overlay
  const isThere = routes.some((one) => routeId(one) === routeId(route))
  return {
    ...overlay,
    routes: isThere ? routes.map((one) => (routeId(one) === routeId(route) ? route : one)) : [...routes, route],
  }
}

export function withoutRoute(overlay: OverlayConfig, key: RouteKey): OverlayConfig {
  const id = routeId(normalOf(key))
  return { ...overlay, routes: overlay.routes.filter((one) => routeId(one) !== id) }
}
