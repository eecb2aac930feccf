// Refuses what would put a port of a running switch into a virtual subnet that its overlay does not have: its frames would go nowhere.
import type { RunningSwitch } from '../../engine/host.ts'
import { ControlError } from '../control/control-errors.ts'

/**
 * Throws ControlError no-such-subnet. `security`: value of the port's security property. Where the configuration names no virtual subnets, a
 * network of hosts tells them when ports are there.
 */
export function checkVirtualSubnet(running: Pick<RunningSwitch, 'overlay' | 'config'>, port: string, security: unknown): void {
  const { virtualSubnetId: vsid = 0 } = (security ?? {}) as { readonly virtualSubnetId?: unknown }
  const overlay = running.overlay()
  const isGiven = (running.config.overlay?.subnets ?? []).length > 0
  if (overlay === null || !isGiven || typeof vsid !== 'number' || vsid === 0) return
  const known = overlay.subnets().map((subnet) => subnet.vsid)
  if (known.includes(vsid)) return
  const there = known.length === 0 ? 'it has none' : `it has ${known.slice(0, 8).join(', ')}`
  throw new ControlError(
    'no-such-subnet',
    `port "${port}" would be in virtual subnet ${vsid}, which the overlay does not have (${there}): add it first`,
  )
}
