// What the settings of ports mean for the data path, put into force together whenever a port is made or changed: MTU and mirroring, its
// tenant, the team of its uplinks.
import type { SwitchControl } from '../switch/control.ts'
import type { MacTable } from '../switch/mac-table.ts'
import type { PortTable } from '../switch/port-table.ts'
import { enforcePortSettings } from './port-settings.ts'
import type { ProcessorSet } from './processor-set.ts'
import type { PortConfig, SwitchComponents, SwitchConfig } from './switch-config.ts'
import { SwitchTeam } from './team/switch-team.ts'
import { TenantGroups } from './tenant-groups.ts'

export interface PortEffectsComponents {
  readonly table: PortTable
  readonly macs: MacTable
  readonly control: () => SwitchControl
  readonly processors: () => ProcessorSet
  readonly nowSeconds: () => number
  readonly log: SwitchComponents['log']
}

export class PortEffects {
  readonly team: SwitchTeam
  readonly #tenants: TenantGroups
  readonly #components: PortEffectsComponents

  constructor(config: SwitchConfig, components: PortEffectsComponents) {
    const { table, macs, control, processors, nowSeconds, log } = components
    this.#components = components
    this.#tenants = new TenantGroups(config.isolateTenants ?? false, table)
    this.team = new SwitchTeam({
      switchName: config.name,
      table,
      macs,
      nowSeconds,
      portName: (id) => control().portName(id),
      inject: async (port, frame) => processors().clients[0]!.request({ kind: 'inject', port, frame }),
      event: (port, code, message) => log({ source: `port ${port}`, code, message }),
    })
  }

  /** Puts the settings of a port into force. Control thread only. */
  enforce(id: number, config: PortConfig): void {
    const { table, control } = this.#components
    enforcePortSettings(table, id, config, control().mtu(id))
    this.#tenants.enforce(id, config)
    this.team.configure(id, config)
  }
}
