// Changes of an overlay's subnets, routes and records as steps of `apply`: records and routes go before their subnets, and come after them.
//
// The rule it must not break: each step does all of its change or nothing, and undoes exactly what it did.
import type { RunningSwitch } from '../../engine/host.ts'
import type { OverlayControl } from '../../switch/overlay/overlay-control.ts'
import type { Step } from '../apply/transaction.ts'
import type { RecordConfig, RouteConfig, SubnetConfig } from '../config/types.ts'
import { ControlError } from '../control/control-errors.ts'
import type { OverlayDiff } from './overlay-diff.ts'

export function overlaySteps({ subnets, records, routes }: OverlayDiff, running: RunningSwitch): Step[] {
  const overlay = (): OverlayControl => {
    const found = running.overlay()
    if (found === null) throw new ControlError('no-overlay', 'the switch has no overlay')
    return found
  }
  const remove = async (all: readonly RecordConfig[]): Promise<void> => {
    for (const { vsid, mac } of all) {
      if (overlay().records({ vsid, mac }).length > 0) await overlay().remove({ vsid, mac })
    }
  }
  const set = async (all: readonly RecordConfig[]): Promise<void> => {
    if (all.length > 0) await overlay().set(all)
  }
  const put = async (subnet: SubnetConfig): Promise<void> => void (await overlay().setSubnet(subnet))
  const take = ({ vsid }: SubnetConfig): Promise<void> => overlay().removeSubnet(vsid)
  const route = async (all: readonly RouteConfig[]): Promise<void> => {
    for (const one of all) await overlay().setRoute(one)
  }
  const unroute = async (all: readonly RouteConfig[]): Promise<void> => {
    for (const one of all) await overlay().removeRoute(one)
  }
  const freed = givingUp(subnets.set)
  const bare = (subnet: SubnetConfig): SubnetConfig => ({ ...subnet, prefixes: [], gateways: [] })
  const addedRoutes = routes.set.filter(({ from }) => from === undefined).map(({ to }) => to)
  const routesBefore = routes.set.flatMap(({ from }) => from ?? [])
  const added = records.set.filter(({ from }) => from === undefined).map(({ to }) => to)
  const before = records.set.flatMap(({ from }) => from ?? [])
  return [
    ...(records.removed.length === 0
      ? []
      : [{ what: 'look-up records are removed', do: () => remove(records.removed), undo: () => set(records.removed) }]),
    ...(routes.removed.length === 0
      ? []
      : [
          {
            what: 'customer routes are removed',
            do: () => unroute(routes.removed),
            undo: () => route(routes.removed),
          },
        ]),
    ...subnets.removed.map((subnet) => ({
      what: `virtual subnet ${subnet.vsid} is removed`,
      do: () => take(subnet),
      undo: () => put(subnet),
    })),
    ...freed.map((subnet) => ({
      what: `virtual subnet ${subnet.vsid} gives up its prefixes`,
      do: () => put(bare(subnet)),
      undo: () => put(subnet),
    })),
    ...subnets.set.map(({ from, to }) => ({
      what: `virtual subnet ${to.vsid} is ${from === undefined ? 'added' : 'changed'}`,
      do: () => put(to),
      undo: () => (from === undefined ? take(to) : put(freed.includes(from) ? bare(from) : from)),
    })),
    ...(routes.set.length === 0
      ? []
      : [
          {
            what: 'customer routes are set',
            do: () => route(routes.set.map(({ to }) => to)),
            undo: async () => {
              await unroute(addedRoutes)
              await route(routesBefore)
            },
          },
        ]),
    ...(records.set.length === 0
      ? []
      : [
          {
            what: 'look-up records are set',
            do: () => set(records.set.map(({ to }) => to)),
            undo: async () => {
              await remove(added)
              await set(before)
            },
          },
        ]),
  ]
}

// Subnets a prefix of which another one is to have.
function givingUp(set: OverlayDiff['subnets']['set']): SubnetConfig[] {
  const wanted = new Map(set.flatMap(({ to }) => (to.prefixes ?? []).map((prefix) => [prefix, to.vsid] as const)))
  return set.flatMap(({ from }) =>
    from?.prefixes?.some((prefix) => (wanted.get(prefix) ?? from.vsid) !== from.vsid) === true ? [from] : [],
  )
}
