// Failover within a team that a guest made of its adapters: one of them goes on with the address of another (AllowTeaming). The switch
// notices it by the frames, and the addresses in use follow.
//
// The rule it must not break: an address that fails over belongs to an adapter of the same VM (ES-527), and frames to it go where it is
// in use now.
import type { MacTable } from '../mac-table.ts'
import { isVmNic, type PortRecord } from './records.ts'

export interface FailoverComponents {
  readonly ports: Iterable<PortRecord>
  readonly macs: MacTable
  /** NIC_UPDATED with the address in use. ES-225 */
  readonly use: (port: PortRecord, mac: string) => Promise<void>
}

const inUse = (port: PortRecord): string => port.nics[0]!.currentMac

/** Port `port` sent from `mac`. The adapter that used the address before gets this one's, if it takes part in teaming too. */
export async function failOver(
  port: PortRecord | undefined,
  mac: string,
  { ports, macs, use }: FailoverComponents,
): Promise<void> {
  if (port?.options.teaming !== true) return
  const before = inUse(port)
  if (before === mac) return
  const team = [...ports].filter(
    (other) => other !== port && isVmNic(other.nicType) && other.options.vmName === port.options.vmName,
  )
  const user = team.find((other) => inUse(other) === mac)
  if (user === undefined && port.nics[0]!.permanentMac !== mac) return // it changed meanwhile
  await use(port, mac)
  if (user?.options.teaming) await use(user, before)
  // What nobody took over stays with the adapter that has it for its own.
  for (const other of team) if (inUse(other) === before) macs.addStatic(before, 0, other.id)
}
