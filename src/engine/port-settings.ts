// Settings of a port that the switch itself acts on and that may change while it runs: its name for people, its MTU, mirroring.
import { MonitorMode, type PortTable } from '../switch/port-table.ts'

export const mirrorModes = ['none', 'source', 'destination'] as const

export interface PortSettings {
  /** The port's name for people, which extensions see; its name without one. */
  readonly friendlyName?: string
  /** Bytes of payload that frames to the port may have; any without it. Of endpoints that have no MTU of their own. */
  readonly mtu?: number
  /** source: what the port sends and gets goes to the destination of the same session as well. */
  readonly portMirroring?: (typeof mirrorModes)[number]
  /** 0…255 */
  readonly monitorSession?: number
}

/** Tells the data path. `mtu`: that of the connection, which extensions may have reduced. Control thread only. */
export function enforcePortSettings(table: PortTable, port: number, settings: PortSettings, mtu: number): void {
  table.setMtu(port, settings.mtu === undefined ? 0 : mtu)
  table.setMonitor(port, MonitorMode[settings.portMirroring ?? 'none'], settings.monitorSession ?? 0) // ES-338
}
