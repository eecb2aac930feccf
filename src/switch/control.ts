// The control side of the extensible switch: ports and network adapter connections with their life cycle (spec 3.1), and the OIDs that
// announce each step to the extensions.
//
// The rules it must not break: an OID is issued only in a state that allows it, one at a time; a transition counts for the switch when
// the OID completed; a vetoed create changes nothing.

import type { NicParameters, PortParameters, SwitchParameters } from '../ndis/oids.ts'
import { NicState, NicType, Oid, type OidCompletion, type OidRequest, oidName, PortState, PortType } from '../ndis/oids.ts'
import { NdisStatus, ndisStatusName } from '../ndis/status.ts'
import type { SwitchView } from './handle.ts'
import type { MacTable } from './mac-table.ts'
import { PortFlag, type PortTable } from './port-table.ts'

/** Highest number of ports; identifiers fit the 16 bits of the forwarding detail. */
export const PORTS_MAX = 65535

/** An operation that the switch refused: vetoed by an extension, or wrong in the present state. */
export class SwitchControlError extends Error {
  override readonly name = 'SwitchControlError'
  readonly code: 'VETOED' | 'WRONG_STATE' | 'NO_SUCH_PORT' | 'NAME_IN_USE' | 'TOO_MANY_PORTS' | 'FDB_FULL'
  /** NDIS status, where an extension gave one. */
  readonly status: number

  constructor(code: SwitchControlError['code'], message: string, status: number = NdisStatus.failure) {
    super(message)
    this.code = code
    this.status = status
  }
}

/** How the control side reaches the extension stack. */
export interface OidChannel {
  /** Sends a request down the stack of the authoritative processor and tells the others how it ended. */
  issue(request: OidRequest): Promise<OidCompletion>
  /** Gives all processors the configuration that queries answer from. */
  publish(view: SwitchView): void
}

/** What a port is made of. */
export interface PortOptions {
  readonly name: string
  readonly friendlyName: string
  readonly type: PortType
  readonly nicType: NicType
  /** Address of the connection, or undefined: the port learns. */
  readonly mac: string | undefined
  readonly macSpoofing: boolean
  readonly learning: boolean
  readonly linkUp: boolean
  readonly mtu: number
  readonly vmName: string
}

interface PortRecord {
  readonly id: number
  readonly options: PortOptions
  portState: PortState
  nicState: NicState
  linkUp: boolean
}

export interface ControlOptions {
  readonly name: string
  readonly friendlyName: string
  /** Port ids are below this. */
  readonly ports: number
}

export interface ControlComponents {
  readonly table: PortTable
  readonly macs: MacTable
  readonly channel: OidChannel
}

/** Ports and connections of one switch. */
export class SwitchControl {
  readonly #options: ControlOptions
  readonly #table: PortTable
  readonly #macs: MacTable
  readonly #channel: OidChannel
  readonly #ports = new Map<number, PortRecord>()
  #active = false
  #lastId = 0
  #queue: Promise<unknown> = Promise.resolve()

  constructor(options: ControlOptions, components: ControlComponents) {
    this.#options = options
    this.#table = components.table
    this.#macs = components.macs
    this.#channel = components.channel
  }

  // One operation at a time: OIDs of one switch never overtake each other.
  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work)
    this.#queue = result.catch(() => undefined)
    return result
  }

  /** NetEventSwitchActivate: the configuration is complete and may be queried. ES-074 */
  activate(): Promise<void> {
    return this.#serial(async () => {
      this.#active = true
      this.publish()
    })
  }

  #record(id: number): PortRecord {
    const port = this.#ports.get(id)
    if (!port) throw new SwitchControlError('NO_SUCH_PORT', `switch "${this.#options.name}" has no port ${id}`)
    return port
  }

  /** PORT_CREATE, then NIC_CREATE. Returns the port's id. A veto by an extension undoes both and throws. */
  createPort(options: PortOptions): Promise<number> {
    return this.#serial(async () => {
      for (const port of this.#ports.values())
        if (port.options.name === options.name)
          throw new SwitchControlError(
            'NAME_IN_USE',
            `switch "${this.#options.name}" already has a port "${options.name}"; port names are unique`,
          )
      const id = this.#freeId()
      const port: PortRecord = { id, options, portState: PortState.created, nicState: NicState.unknown, linkUp: options.linkUp }
      await this.#issueOrThrow(Oid.portCreate, this.#portParameters(port), `port "${options.name}"`) // ES-116
      this.#ports.set(id, port)
      let connection = false
      try {
        port.nicState = NicState.created
        await this.#issueOrThrow(Oid.nicCreate, this.#nicParameters(port), `the connection of port "${options.name}"`) // ES-184
        connection = true
        if (options.mac !== undefined && !this.#macs.addStatic(options.mac, 0, id))
          throw new SwitchControlError(
            'FDB_FULL',
            `no room for ${options.mac} in the forwarding database; set switch.macTable.entries higher`,
          )
      } catch (error) {
        if (!connection) port.nicState = NicState.unknown // ES-183
        await this.#remove(port, connection)
        throw error
      }
      this.#write(port)
      return id
    })
  }

  #freeId(): number {
    for (let tried = 1; tried < this.#options.ports; tried++) {
      const id = ((this.#lastId + tried - 1) % (this.#options.ports - 1)) + 1
      if (this.#ports.has(id)) continue
      this.#lastId = id
      return id
    }
    throw new SwitchControlError('TOO_MANY_PORTS', `switch "${this.#options.name}" has its ${this.#options.ports - 1} ports`)
  }

  /** NIC_CONNECT: the adapter is operational. From created or, again, through a new connection (S4 → S5 → S2, ES-103). */
  connect(id: number): Promise<void> {
    return this.#serial(async () => {
      const port = this.#record(id)
      if (port.nicState === NicState.connected) return
      if (port.nicState === NicState.disconnected) {
        port.nicState = NicState.deleted
        await this.#issue(Oid.nicDelete, this.#nicParameters(port))
      }
      if (port.nicState === NicState.deleted) await this.#createNicAgain(port)
      if (port.nicState !== NicState.created) throw this.#wrongState(port, Oid.nicConnect)
      port.nicState = NicState.connected
      await this.#issue(Oid.nicConnect, this.#nicParameters(port))
      this.#write(port)
    })
  }

  async #createNicAgain(port: PortRecord): Promise<void> {
    port.nicState = NicState.created
    try {
      await this.#issueOrThrow(Oid.nicCreate, this.#nicParameters(port), `the connection of port "${port.options.name}"`)
    } catch (error) {
      port.nicState = NicState.deleted // ES-183
      throw error
    }
  }

  /** NIC_DISCONNECT: no new packets or references from now on. */
  disconnect(id: number): Promise<void> {
    return this.#serial(async () => {
      const port = this.#record(id)
      if (port.nicState === NicState.connected) await this.#disconnect(port)
    })
  }

  async #disconnect(port: PortRecord): Promise<void> {
    port.nicState = NicState.disconnected
    this.#write(port)
    this.#macs.flush({ port: port.id })
    await this.#issue(Oid.nicDisconnect, this.#nicParameters(port))
  }

  /** NIC_DISCONNECT, NIC_DELETE, PORT_TEARDOWN, PORT_DELETE: whatever of it is left. The caller has withdrawn the port's queues. */
  deletePort(id: number): Promise<void> {
    return this.#serial(async () => {
      const port = this.#record(id)
      if (port.nicState === NicState.connected) await this.#disconnect(port)
      await this.#remove(port, port.nicState === NicState.created || port.nicState === NicState.disconnected)
    })
  }

  async #remove(port: PortRecord, hasNic: boolean): Promise<void> {
    if (hasNic) {
      port.nicState = NicState.deleted
      await this.#issue(Oid.nicDelete, this.#nicParameters(port))
    }
    port.portState = PortState.teardown
    await this.#issue(Oid.portTeardown, this.#portParameters(port))
    port.portState = PortState.deleted
    await this.#issue(Oid.portDelete, this.#portParameters(port))
    this.#ports.delete(port.id)
    this.#macs.removePort(port.id)
    this.#table.clear(port.id)
    this.publish()
  }

  /** Takes a port's link down or up, as an operator does; its connection stays. */
  setLink(id: number, up: boolean): Promise<void> {
    return this.#serial(async () => {
      const port = this.#record(id)
      port.linkUp = up
      this.#write(port)
    })
  }

  /** NIC_UPDATED: the guest's or configuration's view of the adapter changed. */
  nicUpdated(id: number): Promise<void> {
    return this.#serial(async () => {
      const port = this.#record(id)
      if (port.nicState !== NicState.connected) return
      await this.#issue(Oid.nicUpdated, this.#nicParameters(port))
      this.publish()
    })
  }

  #wrongState(port: PortRecord, oid: number): SwitchControlError {
    const states = ['unknown', 'created', 'connected', 'disconnected', 'deleted']
    return new SwitchControlError(
      'WRONG_STATE',
      `${oidName(oid)} is not allowed while the connection of port "${port.options.name}" is ${states[port.nicState]}`,
    )
  }

  // Set requests that nobody may veto: extensions can only watch them.
  async #issue(oid: number, payload: unknown): Promise<OidCompletion> {
    this.publish()
    return this.#channel.issue({ oid, type: 'set', payload })
  }

  async #issueOrThrow(oid: number, payload: unknown, what: string): Promise<void> {
    const { status } = await this.#channel.issue({ oid, type: 'set', payload })
    if (status === NdisStatus.success) return
    throw new SwitchControlError('VETOED', `an extension vetoed ${what} (${oidName(oid)}: ${ndisStatusName(status)})`, status)
  }

  // The data path's table follows the states.
  #write(port: PortRecord): void {
    const { options } = port
    const guarded = options.mac !== undefined && !options.macSpoofing && !options.learning
    const external = options.type === PortType.external
    const learns = external || options.learning || options.macSpoofing || options.mac === undefined
    this.#table.set(port.id, {
      portState: port.portState,
      nicState: port.nicState,
      flags:
        (guarded ? PortFlag.checkSource : 0) |
        (learns ? PortFlag.learn | PortFlag.unknownUnicast : 0) |
        (external ? PortFlag.external : 0) |
        (port.linkUp ? 0 : PortFlag.linkDown),
      mac: options.mac,
      vlan: 0,
    })
    this.publish()
  }

  #portParameters(port: PortRecord): PortParameters {
    return {
      portId: port.id,
      portName: port.options.name,
      portFriendlyName: port.options.friendlyName,
      portType: port.options.type,
      isValidationPort: false,
      portState: port.portState,
    }
  }

  #nicParameters(port: PortRecord): NicParameters {
    const { options } = port
    return {
      nicName: options.name,
      nicFriendlyName: options.friendlyName,
      portId: port.id,
      nicIndex: 0,
      nicType: options.nicType,
      nicState: port.nicState,
      vmName: options.vmName,
      vmFriendlyName: options.vmName,
      mtu: options.mtu,
      permanentMacAddress: options.mac ?? '',
      vmMacAddress: options.mac ?? '',
      currentMacAddress: options.mac ?? '',
      vfAssigned: false,
    }
  }

  /** OID_SWITCH_PARAMETERS. */
  parameters(): SwitchParameters {
    return {
      switchName: this.#options.name,
      switchFriendlyName: this.#options.friendlyName,
      numSwitchPorts: this.#ports.size,
      isActive: this.#active,
    }
  }

  /** What queries of extensions answer from. */
  view(): SwitchView {
    const ports = [...this.#ports.values()]
    return {
      parameters: this.parameters(),
      ports: ports.map((port) => this.#portParameters(port)),
      nics: ports
        .filter((port) => port.nicState !== NicState.unknown && port.nicState !== NicState.deleted)
        .map((port) => this.#nicParameters(port)),
    }
  }

  private publish(): void {
    this.#channel.publish(this.view())
  }

  /** Name of a port; `port N` for one that is gone. */
  portName(id: number): string {
    return this.#ports.get(id)?.options.name ?? `port ${id}`
  }

  linkUp(id: number): boolean {
    return this.#ports.get(id)?.linkUp ?? false
  }
}

export { NicType, PortType }
