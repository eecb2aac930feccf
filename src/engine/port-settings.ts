// Settings of a port that the switch itself acts on and that may change while it runs: its name for people, its MTU, mirroring, its guest's addresses.

import { MonitorDirection, MonitorMode, type PortTable } from '../switch/port-table.ts'
import type { TeamingConfig } from './team/switch-team.ts'

export const mirrorModes = ['none', 'source', 'destination', 'all'] as const
export const mirrorDirections = ['both', 'sent', 'received'] as const

export interface PortSettings {
  /** Name of the tenant whose port it is; '' or none: nobody's. */
  readonly tenant?: string
  /** Of an external port with several physical adapters. */
  readonly teaming?: TeamingConfig
  /** The port's name for people, which extensions see; its name without one. */
  readonly friendlyName?: string
  /** IP addresses of the guest: the router of virtual subnets finds it by them. */
  readonly customerAddresses?: readonly string[]
  /** Bytes of payload that frames to the port may have; any without it. Of endpoints that have no MTU of their own. */
  readonly mtu?: number
  /** source: what the port sends and gets goes to the destinations of the same session as well; all: everything comes to this port. */
  readonly portMirroring?: (typeof mirrorModes)[number]
  /** 0…255 */
  readonly monitorSession?: number
  /** Of a source: what it sends, what it gets, or both. */
  readonly monitorDirection?: (typeof mirrorDirections)[number]
  /** Of a destination: VLAN (1…4094) that copies are tagged with in place of their own; 0: they keep what they have. */
  readonly monitorVlan?: number
}

/** Tells the data path. `mtu`: that of the connection, which extensions may have reduced. Control thread only. */
export function enforcePortSettings(table: PortTable, port: number, settings: PortSettings, mtu: number): void {
  table.setMtu(port, settings.mtu === undefined ? 0 : mtu)
  const { portMirroring = 'none', monitorSession = 0, monitorDirection = 'both', monitorVlan = 0 } = settings
  table.setMonitor(port, MonitorMode[portMirroring], monitorSession, MonitorDirection[monitorDirection], monitorVlan) // ES-338
}
