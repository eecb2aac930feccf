// One VF of the adapter on the PF's side: what the guest asked for and what the host decided, the device that carries it, its power.
//
// The rule it must not break: a guest's request is judged in full before anything of it is done (PD-16).

import { PowerState } from './identifiers.ts'
import type { VfDevice } from './vf-device.ts'
import type { VfSettings } from './vf-settings.ts'

/** An allocated VF. */
export interface VfFunction {
  readonly id: number
  readonly requestorId: number
  /** Current MAC address. */
  readonly mac: string
  settings: VfSettings
  /** Its VPort, or -1: unattached (SR-140). */
  vport: number
  device: VfDevice
  power: PowerState
  /** Multicast groups that the guest asked for. */
  groups: readonly string[]
  allMulticast: boolean
  promiscuous: boolean
  readonly asleep: boolean
}

/** A VF that was just allocated. */
export function createVfFunction(
  id: number,
  requestorId: number,
  mac: string,
  settings: VfSettings,
  device: VfDevice,
): VfFunction {
  return {
    id,
    requestorId,
    mac,
    settings,
    vport: -1,
    device,
    power: PowerState.d0,
    groups: [],
    allMulticast: false,
    promiscuous: false,
    get asleep() {
      return this.power !== PowerState.d0
    },
  }
}
