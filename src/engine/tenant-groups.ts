// Which group of ports each port belongs to while tenants are isolated: the tenant's; a common one for guests' ports without a tenant; none,
// which is everybody's, for the external port and ports of the host without one.
import { PortType } from '../switch/control.ts'
import type { PortTable } from '../switch/port-table.ts'
import { attachmentOf, type PortConfig } from './switch-config.ts'

const EVERYBODYS = 0
const NO_TENANT = 1

export class TenantGroups {
  readonly #isIsolating: boolean
  readonly #table: PortTable
  readonly #groups = new Map<string, number>()

  constructor(isIsolating: boolean, table: PortTable) {
    this.#isIsolating = isIsolating
    this.#table = table
  }

  /** Tells the data path. Control thread only. */
  enforce(port: number, config: PortConfig): void {
    if (!this.#isIsolating) return
    this.#table.tenants[port] = this.#groupOf(config)
    this.#table.changed()
  }

  #groupOf(config: PortConfig): number {
    const { tenant } = config
    if (tenant === undefined || tenant === '') {
      const { type } = attachmentOf(config)
      return type === PortType.external || type === PortType.internal ? EVERYBODYS : NO_TENANT
    }
    const known = this.#groups.get(tenant)
    if (known !== undefined) return known
    const group = NO_TENANT + 1 + this.#groups.size
    this.#groups.set(tenant, group)
    return group
  }
}
