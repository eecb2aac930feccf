// Changes of an overlay's subnets and records as steps of `apply`: records go before their subnets, and come after them.
//
// The rule it must not break: each step does all of its change or nothing, and undoes exactly what it did.
import type { RunningSwitch } from '../../engine/host.ts'
import type { OverlayControl } from '../../switch/overlay/overlay-control.ts'
import type { Step } from '../apply/transaction.ts'
import type { RecordConfig, SubnetConfig } from '../config/types.ts'
import { ControlError } from '../control/control-errors.ts'
import type { OverlayDiff } from './overlay-diff.ts'

export function overlaySteps({ subnets, records }: OverlayDiff, running: RunningSwitch): Step[] {
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
  const added = records.set.filter(({ from }) => from === undefined).map(({ to }) => to)
  const before = records.set.flatMap(({ from }) => from ?? [])
  return [
    ...(records.removed.length === 0
      ? []
      : [{ what: 'look-up records are removed', do: () => remove(records.removed), undo: () => set(records.removed) }]),
    ...subnets.removed.map((subnet) => ({
      what: `virtual subnet ${subnet.vsid} is removed`,
      do: () => take(subnet),
      undo: () => put(subnet),
    })),
    ...subnets.set.map(({ from, to }) => ({
      what: `virtual subnet ${to.vsid} is ${from === undefined ? 'added' : 'changed'}`,
      do: () => put(to),
      undo: () => (from === undefined ? take(to) : put(from)),
    })),
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
