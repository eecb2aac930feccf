// `vmswitch vport list [ADAPTER]`: the VPorts of adapters with filters and counters.
import type { VPortStatus } from '../../manage/adapters/adapter-calls.ts'
import type { CommandContext } from '../command-context.ts'
import { count } from '../units.ts'

const FILTERS_SHOWN = 3

/** Addresses with their VLANs, the first few of them. */
function filterText(filters: VPortStatus['filters']): string {
  const shown = filters.slice(0, FILTERS_SHOWN).map(({ mac, vlan }) => (vlan === null ? mac : `${mac} vlan ${vlan}`))
  const more = filters.length - shown.length
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}` || '-'
}

export async function listVPorts({ terminal, connect }: CommandContext, name: string | undefined): Promise<void> {
  const host = await connect()
  const adapters = name === undefined ? await host.adapters() : [await host.adapter(name)]
  const all = adapters.flatMap((adapter) => adapter.vports.map((vport) => ({ adapter: adapter.name, ...vport })))
  if (terminal.json) return terminal.data(all)
  terminal.table(
    [
      { title: 'ADAPTER', flexible: true },
      { title: 'VPORT', align: 'right' },
      { title: 'NAME', flexible: true },
      { title: 'OF' },
      { title: 'STATE' },
      { title: 'RECEIVED', align: 'right' },
      { title: 'SENT', align: 'right' },
      { title: 'DROPPED', align: 'right' },
      { title: 'FILTERS', flexible: true },
    ],
    all.map(({ adapter, counters, ...vport }) => [
      adapter,
      String(vport.id),
      vport.id === 0 ? '(default)' : vport.name,
      vport.function === 'pf' ? 'PF' : `VF ${vport.function}`,
      vport.state,
      count(counters.receivedFrames),
      count(counters.sentFrames),
      count(counters.receivedDropped + counters.sendDropped),
      filterText(vport.filters),
    ]),
    'the switch has no SR-IOV adapter',
  )
}
