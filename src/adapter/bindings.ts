// Overlying drivers of an adapter: what they are told when they bind or attach, and what they must have given back before they go.
//
// The rule it must not break: a driver that goes leaves nothing of its own on the adapter (SR-142, SR-193, SR-194, SR-219).
import { AdapterError, type HardwareAssist } from './capabilities.ts'
import type { NicSwitchCapabilities, ReceiveFilterCapabilities, SriovCapabilities, SwitchInfo } from './payloads.ts'
import { describeSwitch, type SwitchState } from './switch-state.ts'

/** What of NDIS_BIND_PARAMETERS and NDIS_FILTER_ATTACH_PARAMETERS is about SR-IOV (SR-070, SR-122): what is enabled, no more. */
export interface BindParameters {
  readonly sriovCapabilities: SriovCapabilities | undefined
  readonly nicSwitchCapabilities: NicSwitchCapabilities | undefined
  readonly receiveFilterCapabilities: ReceiveFilterCapabilities | undefined
  readonly nicSwitchArray: readonly SwitchInfo[]
}

export class Bindings {
  readonly #bound = new Set<string>()

  list(): string[] {
    return [...this.#bound]
  }

  bind(driver: string, attributes: HardwareAssist, state: SwitchState | undefined): BindParameters {
    if (this.#bound.has(driver)) throw new AdapterError('already-bound', 'SR-302', `${driver} is bound already`)
    this.#bound.add(driver)
    return {
      sriovCapabilities: attributes.currentSriov,
      nicSwitchCapabilities: attributes.currentNicSwitch,
      receiveFilterCapabilities: attributes.currentReceiveFilter,
      nicSwitchArray: state ? [describeSwitch(state)] : [],
    }
  }

  /** Lets a driver go. Throws, and it stays bound, while something of its own is left. */
  unbind(driver: string, state: SwitchState | undefined): void {
    const left = state ? belongings(driver, state) : []
    if (left.length > 0)
      throw new AdapterError(
        'in-use',
        'SR-193',
        `${driver} must clear, delete and free what it has before it goes: ${left.join(', ')}`,
      )
    this.#bound.delete(driver)
  }

  /** The adapter is gone without asking. */
  clear(): void {
    this.#bound.clear()
  }
}

function belongings(driver: string, { filters, vports, vfs }: SwitchState): string[] {
  const own = (owner: string): boolean => owner === driver
  return [
    ...filters.list().flatMap(({ owner, id }) => (own(owner) ? [`filter ${id}`] : [])),
    ...vports.list().flatMap(({ owner, id }) => (own(owner) ? [`VPort ${id}`] : [])),
    ...vfs.list().flatMap(({ owner, parameters }) => (own(owner) ? [`VF ${parameters.vfId}`] : [])),
  ]
}
