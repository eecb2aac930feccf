// Saves and restores a running switch, and moves ports to another one: properties, counters, learned addresses, and what extensions keep
// of connections.
//
// The rule it must not break: a port is saved while its connection stands still in its state, and what was saved is complete: run-time
// data, properties, counters and addresses of one moment.

import { NicState } from '../ndis/oids.ts'
import { formatPropertyVersion } from '../ndis/properties.ts'
import type { NicSaveBlock } from '../ndis/save-state.ts'
import { isVmNic, type SwitchControl } from '../switch/control.ts'
import { PortCounter, portCounterNames } from '../switch/counters.ts'
import { type MacTable, macKey } from '../switch/mac-table.ts'
import type { PropertyInput, PropertyInstance } from '../switch/policies/property.ts'
import { SaveControl, SaveError } from '../switch/save-restore/save-control.ts'
import type { SavedAddress, SavedPort, SavedSwitch } from '../switch/save-restore/saved-switch.ts'
import type { SwitchPolicies } from './policies.ts'

const LEARN_ATTEMPTS = 1000

/** What became of one port's run-time data. */
export interface RestoredPort {
  readonly name: string
  readonly data: 'restored' | 'waiting' | 'none'
  readonly orphans: number
}

export interface SavingComponents {
  readonly control: SwitchControl
  readonly macs: MacTable
  readonly policies: SwitchPolicies
  /** Seconds of the forwarding database's clock. */
  readonly nowSeconds: () => number
  /** The present value of a port's counter. */
  readonly counter: (portId: number, counter: number) => number
  readonly event: (port: string, code: string, message: string) => void
}

/** A port of the switch. */
export interface SavablePort {
  readonly id: number
  readonly name: string
  /** As a configuration has it, without its properties. */
  readonly config: Readonly<Record<string, unknown>>
}

const written = ({ type, propertyId, propertyInstanceId, propertyVersion, value }: PropertyInstance): PropertyInput => ({
  type,
  ...(type === 'custom' ? { id: propertyId } : {}),
  instance: propertyInstanceId,
  version: formatPropertyVersion(propertyVersion),
  value,
})

const NO_CONNECTIONS = new Uint8Array(0)

export class SwitchSaver {
  readonly #components: SavingComponents
  readonly #save: SaveControl
  /** What counters of restored ports start from. */
  readonly #counted = new Map<number, Readonly<Record<string, number>>>()
  /** Run-time data of ports that are not connected yet. */
  readonly #waiting = new Map<number, readonly NicSaveBlock[]>()

  constructor(components: SavingComponents) {
    const { control, event } = components
    this.#components = components
    this.#save = new SaveControl({
      issueAll: (requests) => control.issueAll(requests),
      portName: (id) => control.portName(id),
      orphan: (portId, { extensionId, extensionFriendlyName }) =>
        event(
          control.portName(portId),
          'orphaned-data',
          `no extension owns the saved data of extension ${extensionId} ("${extensionFriendlyName}") for port ${portId}`, // ES-485
        ),
    })
  }

  /** What a port's counter was when the port was saved; 0 for a port that was not restored. */
  counted(portId: number, name: string): number {
    return this.#counted.get(portId)?.[name] ?? 0
  }

  /** Saves ports with all that belongs to them. Throws SaveError. */
  save(name: string, properties: readonly PropertyInstance[], ports: readonly SavablePort[]): Promise<SavedSwitch> {
    const { control } = this.#components
    return control.during(
      ports.map(({ id }) => id),
      async () => {
        const connected = ports.filter(({ id }) => this.#isConnected(id))
        const blocks = await this.#save.save(connected.map(({ id }) => id)) // ES-458
        const addresses = this.#addresses()
        return {
          name,
          savedAt: new Date().toISOString(),
          properties: properties.map(written),
          ports: ports.map((port) => this.#saved(port, blocks.get(port.id), addresses.get(port.id) ?? [])),
        }
      },
    )
  }

  #isConnected(portId: number): boolean {
    return this.#components.control.view.nic(portId, 0)?.nicState === NicState.connected
  }

  #saved(port: SavablePort, blocks: readonly NicSaveBlock[] | undefined, addresses: readonly SavedAddress[]): SavedPort {
    const { policies, counter } = this.#components
    return {
      name: port.name,
      connected: blocks !== undefined,
      config: port.config,
      properties: policies.list(port.id).map(written),
      counters: Object.fromEntries(
        portCounterNames.map((name) => [name, counter(port.id, PortCounter[name]) + this.counted(port.id, name)]),
      ),
      addresses,
      blocks: blocks ?? this.#waiting.get(port.id) ?? [],
      connections: policies.connections.save(port.id),
    }
  }

  #addresses(): Map<number, SavedAddress[]> {
    const byPort = new Map<number, SavedAddress[]>()
    for (const { mac, vlan, port, static: isStatic, ageSeconds } of this.#components.macs.entries(
      this.#components.nowSeconds(),
    )) {
      if (isStatic) continue
      const addresses = byPort.get(port) ?? []
      addresses.push({ mac, vlan, ageSeconds })
      byPort.set(port, addresses)
    }
    return byPort
  }

  /**
   * Restores what was saved of a port into the port `portId`, its properties excepted. Run-time data of extensions waits until the
   * port's connection is connected.
   */
  async restore(portId: number, saved: SavedPort): Promise<RestoredPort> {
    const { macs, nowSeconds, policies } = this.#components
    this.#counted.set(portId, saved.counters)
    for (const { mac, vlan, ageSeconds } of saved.addresses) {
      const { low, high } = macKey(mac)
      // Another thread may hold the table's lock for a moment.
      for (let i = 0; i < LEARN_ATTEMPTS && !macs.learn(low, high, vlan, portId, nowSeconds() - ageSeconds); i++);
    }
    policies.connections.restore(portId, saved.connections ?? NO_CONNECTIONS)
    if (saved.blocks.length === 0) return { name: saved.name, data: 'none', orphans: 0 }
    // In the order of the port's other operations: one restore of a connection at a time (ES-490), and no connect between look and note.
    return this.#components.control.during([portId], async () => {
      if (this.#isConnected(portId))
        return { name: saved.name, data: 'restored', orphans: (await this.#save.restore(portId, saved.blocks)).length }
      this.#waiting.set(portId, saved.blocks)
      return { name: saved.name, data: 'waiting', orphans: 0 }
    })
  }

  /** Notes what a port starts from before it is restored; the returned function takes a restore back, learned addresses excepted. */
  remember(portId: number): () => void {
    const counted = this.#counted.get(portId)
    const waiting = this.#waiting.get(portId)
    return () => {
      this.forget(portId)
      if (counted) this.#counted.set(portId, counted)
      if (waiting) this.#waiting.set(portId, waiting)
    }
  }

  /** A port's connection was connected: restores the run-time data that waits for it. Throws SaveError. */
  async connected(portId: number): Promise<void> {
    if (!this.#waiting.has(portId)) return
    await this.#components.control.during([portId], async () => {
      const blocks = this.#waiting.get(portId)
      if (blocks === undefined || !this.#isConnected(portId)) return
      this.#waiting.delete(portId)
      await this.#save.restore(portId, blocks)
    })
  }

  /**
   * The guest behind a port has stopped: what extensions keep of its connection is saved while that is still connected, and restored
   * when it is connected again. A save that fails is told, and keeps nobody from stopping. ES-458
   */
  async stopping(portId: number): Promise<void> {
    const { control, event } = this.#components
    await control.during([portId], async () => {
      const nic = control.view.nic(portId, 0)
      if (nic?.nicState !== NicState.connected || !isVmNic(nic.nicType)) return
      try {
        const blocks = (await this.#save.save([portId])).get(portId) ?? []
        if (blocks.length > 0) this.#waiting.set(portId, blocks)
      } catch (error) {
        if (!(error instanceof SaveError)) throw error
        event(control.portName(portId), 'save-failed', error.message)
      }
    })
  }

  /** A port is gone. */
  forget(portId: number): void {
    this.#counted.delete(portId)
    this.#waiting.delete(portId)
  }
}
