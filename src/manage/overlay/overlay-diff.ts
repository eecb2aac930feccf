// What changes of an overlay while the switch runs: its subnets, records and routes. All else is a matter of a restart.
import { isDeepStrictEqual } from 'node:util'
import type { OverlayConfig, RecordConfig, RouteConfig, SubnetConfig } from '../config/types.ts'
import { routeId } from './overlay-edits.ts'

/** From one list to another, by what they are known by. */
interface ListDiff<T> {
  readonly removed: readonly T[]
  /** Set anew, and what was there before; undefined: nothing was. */
  readonly set: readonly { readonly from: T | undefined; readonly to: T }[]
}

export interface OverlayDiff {
  readonly subnets: ListDiff<SubnetConfig>
  readonly records: ListDiff<RecordConfig>
  readonly routes: ListDiff<RouteConfig>
  /** For a person. */
  readonly details: readonly string[]
}

/** What an overlay has from the start of the switch to its end. */
export function overlaySettings(
  overlay: OverlayConfig | undefined,
): Omit<OverlayConfig, 'subnets' | 'records' | 'routes'> | undefined {
  if (overlay === undefined) return undefined
  const { subnets: _, records: __, routes: ___, ...settings } = overlay
  return settings
}

function listDiff<T>(from: readonly T[], to: readonly T[], keyOf: (one: T) => string): ListDiff<T> {
  const before = new Map(from.map((one) => [keyOf(one), one]))
  const after = new Set(to.map(keyOf))
  return {
    removed: from.filter((one) => !after.has(keyOf(one))),
    set: to.flatMap((one) => {
      const was = before.get(keyOf(one))
      return isDeepStrictEqual(was, one) ? [] : [{ from: was, to: one }]
    }),
  }
}

function detail<T>(what: string, { removed, set }: ListDiff<T>): string[] {
  const added = set.filter(({ from }) => from === undefined).length
  const words = [
    ...(added > 0 ? [`${added} added`] : []),
    ...(set.length > added ? [`${set.length - added} changed`] : []),
    ...(removed.length > 0 ? [`${removed.length} removed`] : []),
  ]
  return words.length === 0 ? [] : [`${what}: ${words.join(', ')}`]
}

// A route is one of its subnet's routing domain: where that becomes another one, the route goes and comes.
function routeDiff(from: OverlayConfig, to: OverlayConfig): ListDiff<RouteConfig> {
  const { removed, set } = listDiff(from.routes, to.routes, routeId)
  const domains = new Map(from.subnets.map(({ vsid, routingDomain }) => [vsid, routingDomain]))
  const moved = new Set(
    to.subnets
      .filter(({ vsid, routingDomain }) => domains.has(vsid) && domains.get(vsid) !== routingDomain)
      .map(({ vsid }) => vsid),
  )
  if (moved.size === 0) return { removed, set }
  const isMoved = ({ vsid }: RouteConfig): boolean => moved.has(vsid)
  return {
    removed: [...removed.filter((route) => !isMoved(route)), ...from.routes.filter(isMoved)],
    set: [
      ...set.filter((one) => !isMoved(one.to)),
      ...to.routes.filter(isMoved).map((route) => ({ from: undefined, to: route })),
    ],
  }
}

/** Null: subnets, records and routes are the same. */
export function overlayDiff(from: OverlayConfig, to: OverlayConfig): OverlayDiff | null {
  const subnets = listDiff(from.subnets, to.subnets, ({ vsid }) => String(vsid))
  const records = listDiff(from.records, to.records, ({ vsid, mac }) => `${vsid}/${mac}`)
  const routes = routeDiff(from, to)
  const details = [...detail('subnets', subnets), ...detail('records', records), ...detail('routes', routes)]
  return details.length === 0 ? null : { subnets, records, routes, details }
}
