// What the settings of ports mean for the data path, put into force together whenever a port is made or changed: MTU and mirroring, its
// tenant, the team of its uplinks; and what the switch knows of groups that ports joined.
import type { SwitchControl } from '../switch/control.ts'
import type { MacTable } from '../switch/mac-table.ts'
import type { PortTable } from '../switch/port-table.ts'
import { enforcePortSettings } from './port-settings.ts'
import type { ProcessorSet } from './processor-set.ts'
import { SwitchSnooping } from './snooping/switch-snooping.ts'
import type { PortConfig, SwitchComponents, SwitchConfig } from './switch-config.ts'
import { SwitchTeam } from './team/switch-team.ts'
import { TenantGroups } from './tenant-groups.ts'

export interface PortEffectsComponents {
  readonly table: PortTable
  readonly macs: MacTable
  readonly control: () => SwitchControl
  readonly processors: () => ProcessorSet
  /** Milliseconds of the clock that processors have. */
  readonly nowMs: () => number
  readonly log: SwitchComponents['log']
}

export class PortEffects {
  readonly team: SwitchTeam
  /** Groups that ports joined. */
  readonly snooping: SwitchSnooping
  readonly #tenants: TenantGroups
  readonly #components: PortEffectsComponents

  constructor(config: SwitchConfig, components: PortEffectsComponents) {
    const { table, macs, control, processors, nowMs, log } = components
    this.#components = components
    this.#tenants = new TenantGroups(config.isolateTenants ?? false, table)
    this.team = new SwitchTeam({
      switchName: config.name,
      table,
      macs,
      nowSeconds: () => Math.floor(nowMs() / 1000),
      portName: (id) => control().portName(id),
      inject: async (port, frame) => processors().clients[0]!.request({ kind: 'inject', port, frame }),
      event: (port, code, message) => log({ source: `port ${port}`, code, message }),
    })
    this.snooping = new SwitchSnooping({
      switchName: config.name,
      table,
      nowMs,
      portName: (id) => control().portName(id),
      announce: (plan) => processors().all(() => ({ kind: 'snooping', plan })),
      send: async (frame) => processors().clients[0]!.request({ kind: 'inject', port: 0, frame }),
      event: (source, code, message) => log({ source, code, message }),
    })
  }

  /** A port's peer is there. */
  connected(): void {
    this.team.settle()
    this.snooping.connected()
  }

  /** A port is gone. */
  forget(id: number): void {
    this.team.forget(id)
    this.snooping.forget(id)
  }

  /** Puts the settings of a port into force. Control thread only. */
  enforce(id: number, config: PortConfig): void {
    const { table, control } = this.#components
    enforcePortSettings(table, id, config, control().mtu(id))
    this.#tenants.enforce(id, config)
    this.team.configure(id, config)
    this.snooping.addPort(id, config.name)
  }
}
