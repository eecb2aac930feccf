// The configuration as modules read it, kept by change: the control side announces what changed, each processor applies it. A change
// costs the same with one port and with a thousand; the arrays that modules read are made when they are read.
import type { NicParameters, PortParameters, SwitchParameters } from '../../ndis/oids.ts'
import type { SwitchView } from '../handle.ts'

/** One change of the configuration; structured-cloneable. */
export type ViewChange =
  | { readonly active: boolean }
  | { readonly port: PortParameters }
  | { readonly portGone: number }
  | { readonly nic: NicParameters }
  | { readonly nicGone: { readonly portId: number; readonly nicIndex: number } }

const NICS_PER_PORT = 64 // above the highest index

const nicKey = (portId: number, nicIndex: number): number => portId * NICS_PER_PORT + nicIndex

export class ConfigurationView implements SwitchView {
  readonly #name: string
  readonly #friendlyName: string
  #active = false
  readonly #ports = new Map<number, PortParameters>()
  readonly #nics = new Map<number, NicParameters>()
  #portList: readonly PortParameters[] | undefined
  #nicList: readonly NicParameters[] | undefined

  constructor(name: string, friendlyName: string) {
    this.#name = name
    this.#friendlyName = friendlyName
  }

  /** Applies one change. */
  apply(change: ViewChange): void {
    if ('active' in change) this.#active = change.active
    else if ('port' in change) {
      this.#ports.set(change.port.portId, Object.freeze(change.port))
      this.#portList = undefined
    } else if ('portGone' in change) {
      this.#ports.delete(change.portGone)
      this.#portList = undefined
    } else if ('nic' in change) {
      this.#nics.set(nicKey(change.nic.portId, change.nic.nicIndex), Object.freeze(change.nic))
      this.#nicList = undefined
    } else {
      this.#nics.delete(nicKey(change.nicGone.portId, change.nicGone.nicIndex))
      this.#nicList = undefined
    }
  }

  /** OID_SWITCH_PARAMETERS. */
  get parameters(): SwitchParameters {
    return {
      switchName: this.#name,
      switchFriendlyName: this.#friendlyName,
      numSwitchPorts: this.#ports.size,
      isActive: this.#active,
    }
  }

  /** OID_SWITCH_PORT_ARRAY; empty without ports (ES-084). */
  get ports(): readonly PortParameters[] {
    this.#portList ??= Object.freeze([...this.#ports.values()])
    return this.#portList
  }

  /** OID_SWITCH_NIC_ARRAY; empty without connections (ES-083). */
  get nics(): readonly NicParameters[] {
    this.#nicList ??= Object.freeze([...this.#nics.values()])
    return this.#nicList
  }

  port(portId: number): PortParameters | undefined {
    return this.#ports.get(portId)
  }

  nic(portId: number, nicIndex: number): NicParameters | undefined {
    return this.#nics.get(nicKey(portId, nicIndex))
  }

  /** The external port, or undefined: a switch has at most one (ES-001). */
  get externalPortId(): number | undefined {
    for (const port of this.#ports.values()) if (port.portType === 1) return port.portId
    return undefined
  }
}
