// What the data path is told of a port, from its states and options.
import { NicState, PortType } from '../../ndis/oids.ts'
import { type PortEntry, PortFlag } from '../port-table.ts'
import type { PortRecord } from './records.ts'

/** Indices of the physical adapters that are connected. */
export const connectedAdapters = (port: PortRecord): number[] =>
  port.nics.filter(({ index, state }) => index > 0 && state === NicState.connected).map(({ index }) => index)

export function portEntry(port: PortRecord): PortEntry {
  const { options } = port
  const nic = port.nics[0]!
  const mac = options.mac === undefined || nic.currentMac === '' ? undefined : nic.currentMac
  const guarded = mac !== undefined && !options.macSpoofing && !options.learning
  const external = options.type === PortType.external
  const learns = external || options.learning || options.macSpoofing || mac === undefined
  // ES-164: the external connection is usable once a physical adapter is connected.
  const usable = nic.state !== NicState.connected || !external || port.physicallyConnected
  return {
    portState: port.state,
    nicState: usable ? nic.state : NicState.created,
    flags:
      (guarded ? PortFlag.checkSource : 0) |
      (learns ? PortFlag.learn | PortFlag.unknownUnicast : 0) |
      (external ? PortFlag.external : 0) |
      (port.linkUp ? 0 : PortFlag.linkDown),
    mac,
    vlan: 0,
  }
}
