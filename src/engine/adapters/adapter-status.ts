// What an adapter tells of itself, in the words of the contract.
import { ANY_VLAN } from '../../adapter/filter-table.ts'
import { DEFAULT_VPORT_ID, PF_FUNCTION_ID, VPortState } from '../../adapter/identifiers.ts'
import { showVf } from '../../adapter/linux-words.ts'
import { vportDrops } from '../../adapter/statistics.ts'
import { DROP_REASONS_MAX } from '../../ndis/drop-reasons.ts'
import { PortCounter } from '../../switch/counters.ts'
import type { AdapterStatus, AssignedVfStatus, VPortCounters, VPortStatus } from '../adapter-config.ts'
import type { EngineAdapter } from './engine-adapter.ts'

function countersOf({ counters }: EngineAdapter, vport: number): VPortCounters {
  const sum = (counter: number): number => counters.reduce((total, block) => total + block.readPort(vport, counter), 0)
  return {
    receivedFrames: sum(PortCounter.receivedFrames),
    receivedBytes: sum(PortCounter.receivedBytes),
    sentFrames: sum(PortCounter.sentFrames),
    sentBytes: sum(PortCounter.sentBytes),
    receivedDropped: sum(PortCounter.receivedDropped),
    sendDropped: sum(PortCounter.sendDropped),
    receivedMulticast: sum(PortCounter.receivedMulticast),
  }
}

const dropsOf = (adapter: EngineAdapter, vport: number, reasonName: (reason: number) => string): Record<string, number> =>
  Object.fromEntries(
    [...vportDrops(adapter.counters, vport, DROP_REASONS_MAX)].map(([reason, count]) => [reasonName(reason), count]),
  )

/** The default VPort is listed too, though nobody created it. */
function vportsOf(adapter: EngineAdapter, reasonName: (reason: number) => string): VPortStatus[] {
  const nicSwitch = adapter.software?.adapter.nicSwitch
  if (!nicSwitch) return []
  return nicSwitch.vports.list().map(({ id, parameters }) => ({
    id,
    name: id === DEFAULT_VPORT_ID ? 'default' : parameters.vPortName,
    function: parameters.attachedFunctionId === PF_FUNCTION_ID ? ('pf' as const) : parameters.attachedFunctionId,
    state: parameters.vPortState === VPortState.activated ? ('activated' as const) : ('deactivated' as const),
    queuePairs: parameters.numQueuePairs,
    filters: nicSwitch.filters
      .list(id)
      .map(({ id: filter, key }) => ({ id: filter, mac: key.mac, vlan: key.vlan === ANY_VLAN ? null : key.vlan })),
    counters: countersOf(adapter, id),
    drops: dropsOf(adapter, id, reasonName),
  }))
}

/** The status of an adapter; `assigned`: the VFs of it that VMs have. */
export function adapterStatus(
  adapter: EngineAdapter,
  assigned: readonly AssignedVfStatus[],
  reasonName: (reason: number) => string,
): AdapterStatus {
  const { config, limits, software } = adapter
  const shown = software ? Array.from({ length: config.vfs }, (_, vf) => showVf(software.adapter, software.pf, vf)) : []
  return {
    name: config.name,
    mac: config.mac,
    state: adapter.state,
    uplink: config.uplink,
    link: adapter.linkUp ? 'up' : 'down',
    vfs: { total: config.vfs, allocated: software?.adapter.nicSwitch?.vfs.size ?? 0 },
    vports: vportsOf(adapter, reasonName),
    wire: countersOf(adapter, limits.maxNumVPorts),
    wireDrops: dropsOf(adapter, limits.maxNumVPorts, reasonName),
    shown,
    assigned,
  }
}
