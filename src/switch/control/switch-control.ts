// The control side of the extensible switch: ports and network adapter connections with their life cycle (spec 3.1), and the OIDs that
// announce each step to the extensions.
//
// The rule it must not break: an OID is issued only in a state that allows it; a transition counts for the switch when the OID
// completed; a vetoed create changes nothing; nothing is deleted while somebody keeps something of it.
import {
  DEFAULT_NIC_INDEX,
  type InnerStatusIndication,
  NicState,
  type NicStatusIndication,
  Oid,
  type OidCompletion,
  type OidRequest,
  PortState,
  StatusIndication,
} from '../../ndis/oids.ts'
import type { MacTable } from '../mac-table.ts'
import type { PortTable } from '../port-table.ts'
import type { OidChannel } from './channel.ts'
import { completeAtEdge, type EdgeComponents, wrapRequest, wrapStatus } from './edge.ts'
import { SwitchControlError, wrongState } from './errors.ts'
import { failOver } from './failover.ts'
import { OidIssuer } from './issuer.ts'
import { type After, type ControlLimits, DEFAULT_CONTROL_LIMITS } from './limits.ts'
import type { NicRecord, NicUpdate, PortOptions, PortRecord } from './records.ts'
import { PORT_ITSELF, type ReferenceTable } from './references.ts'
import { PortRegister } from './register.ts'
import { connectedAdapters, portEntry } from './table-entry.ts'
import { checkTopology, type SwitchType } from './topology.ts'
import { ConfigurationView, type ViewChange } from './view.ts'

export interface ControlOptions {
  readonly name: string
  readonly friendlyName: string
  /** Default: external, which allows every connection. */
  readonly type?: SwitchType
  /** Port ids are below this. */
  readonly ports: number
  readonly limits?: Partial<ControlLimits>
}

export interface ControlComponents extends EdgeComponents {
  readonly table: PortTable
  readonly macs: MacTable
  readonly references: ReferenceTable
  readonly channel: OidChannel
  readonly after: After
  /** Downloads the policies of a port, between its PORT_CREATE and NIC_CREATE; throwing undoes the port. ES-149 */
  readonly portCreated?: (portId: number, options: PortOptions) => Promise<void>
  /** A port is gone. */
  readonly portDeleted?: (portId: number) => void
}

/** Ports and connections of one switch. */
export class SwitchControl {
  /** What queries of extensions answer from. */
  readonly view: ConfigurationView
  readonly #options: ControlOptions
  readonly #components: ControlComponents
  readonly #issuer: OidIssuer
  readonly #ports: PortRegister
  readonly #outstanding = new Map<NicRecord, number>()

  constructor(options: ControlOptions, components: ControlComponents) {
    this.#options = options
    this.#components = components
    this.view = new ConfigurationView(options.name, options.friendlyName)
    this.#issuer = new OidIssuer({ ...components, limits: { ...DEFAULT_CONTROL_LIMITS, ...options.limits } })
    this.#ports = new PortRegister(options.name, options.ports)
  }

  /** NetEventSwitchActivate: the configuration is complete and may be queried. ES-075 */
  async activate(): Promise<void> {
    this.#publish({ active: true })
    await this.#components.channel.activate()
  }

  #publish(change: ViewChange): void {
    this.view.apply(change)
    this.#components.channel.publish(change)
  }

  // ---- ports --------------------------------------------------------------------------------------------------------------

  /**
   * PORT_CREATE, the port's policies, then NIC_CREATE for its adapter and each physical adapter (ES-163). Returns the port's id.
   * A veto by an extension undoes all of it and throws. A validation port gets no connection.
   */
  async createPort(options: PortOptions): Promise<number> {
    const port = this.#ports.reserve(options, (record) =>
      checkTopology(this.#options.name, this.#options.type ?? 'external', record, this.#ports.values()),
    )
    return this.#inOrder(port, async () => {
      try {
        await this.#createPort(port)
      } catch (error) {
        this.#ports.release(port)
        throw error
      }
      try {
        await this.#components.portCreated?.(port.id, options)
        if (!port.isValidationPort && !options.connectionLater) await this.#createConnections(port)
      } catch (error) {
        await this.#remove(port)
        throw error
      }
      return port.id
    })
  }

  async #createPort(port: PortRecord): Promise<void> {
    const { references } = this.#components
    references.create(port.id, PORT_ITSELF)
    port.state = PortState.created
    try {
      await this.#issuer.create(Oid.portCreate, port.portParameters(), `port "${port.name}"`) // ES-107
    } catch (error) {
      references.remove(port.id, PORT_ITSELF) // ES-111
      throw error
    }
    references.open(port.id, PORT_ITSELF) // ES-232
    this.#publish({ port: port.portParameters() })
  }

  async #createConnections(port: PortRecord): Promise<void> {
    const { mac } = port.options
    for (const nic of port.nics) await this.#createNic(port, nic)
    if (mac !== undefined && !this.#components.macs.addStatic(mac, 0, port.id))
      throw new SwitchControlError(
        'FDB_FULL',
        `no room for ${mac} in the forwarding database; set switch.macTable.entries higher`,
      )
    this.#write(port)
  }

  /** A new connection on a port whose last one was deleted, or that never had one: NIC_CREATE. ES-103 */
  createConnection(id: number): Promise<void> {
    return this.#at(id, async (port) => {
      const wrong = port.nics.find(({ state }) => state !== NicState.unknown && state !== NicState.deleted)
      if (wrong || port.state !== PortState.created) throw wrongState(port, wrong ?? port.nics[0]!, 'NIC_CREATE') // ES-100
      if (port.isValidationPort)
        throw new SwitchControlError('WRONG_TYPE', `port "${port.name}" only checks settings: it has no connection`)
      await this.#createConnections(port)
    })
  }

  /** NIC_DISCONNECT where it is connected, then NIC_DELETE; the port stays and may be used again. ES-103 */
  deleteConnection(id: number): Promise<void> {
    return this.#at(id, (port) => this.#deleteConnections(port))
  }

  /** PORT_UPDATED with a new name for people; nothing once the port is torn down. ES-121, ES-122 */
  updatePort(id: number, friendlyName: string): Promise<void> {
    return this.#at(id, async (port) => {
      if (port.state !== PortState.created || port.friendlyName === friendlyName) return
      port.friendlyName = friendlyName
      this.#publish({ port: port.portParameters() })
      await this.#issuer.announce(Oid.portUpdated, port.portParameters())
    })
  }

  /**
   * Whatever is left of it: NIC_DISCONNECT, NIC_DELETE, PORT_TEARDOWN, PORT_DELETE, each as soon as nothing holds it back (ES-167). The
   * caller has withdrawn the port's queues.
   */
  deletePort(id: number): Promise<void> {
    return this.#at(id, async (port) => {
      await this.#deleteConnections(port)
      await this.#remove(port)
    })
  }

  async #remove(port: PortRecord): Promise<void> {
    const { macs, references, table } = this.#components
    await this.#deleteConnections(port) // ES-101, ES-125
    references.close(port.id, PORT_ITSELF) // ES-131, ES-237
    port.state = PortState.teardown
    this.#publish({ port: port.portParameters() })
    await this.#issuer.announce(Oid.portTeardown, port.portParameters())
    await this.#issuer.drained(port.id, PORT_ITSELF, () => 0) // ES-135, ES-140
    port.state = PortState.deleted
    this.#publish({ portGone: port.id })
    await this.#issuer.announce(Oid.portDelete, port.portParameters())
    references.remove(port.id, PORT_ITSELF)
    this.#ports.release(port)
    macs.removePort(port.id)
    table.clear(port.id)
    this.#components.portDeleted?.(port.id)
  }

  // ---- connections --------------------------------------------------------------------------------------------------------

  async #createNic(port: PortRecord, nic: NicRecord): Promise<void> {
    const { references } = this.#components
    const before = nic.state
    nic.state = NicState.created
    references.create(port.id, nic.index)
    try {
      const what =
        nic.index === 0 ? `the connection of port "${port.name}"` : `physical adapter ${nic.index} of port "${port.name}"`
      const reached = await this.#issuer.create(Oid.nicCreate, port.nicParameters(nic), what) // ES-161, ES-169
      nic.mtu = (reached as { mtu: number }).mtu // ES-171
    } catch (error) {
      nic.state = before // ES-183
      references.remove(port.id, nic.index)
      throw error
    }
    nic.initialized = true
    this.#publish({ nic: port.nicParameters(nic) })
  }

  /**
   * NIC_CONNECT: the adapter is operational. From created or, again, through a new connection (S4 → S5 → S2). Of an external port
   * index 0 is connected first, with the first physical adapter (ES-163).
   */
  connect(id: number, nicIndex: number = DEFAULT_NIC_INDEX): Promise<void> {
    return this.#at(id, async (port) => {
      const nic = this.#nic(port, nicIndex)
      if (nicIndex > 0 && port.nics[0]!.state !== NicState.connected) await this.#connectNic(port, port.nics[0]!)
      await this.#connectNic(port, nic)
    })
  }

  async #connectNic(port: PortRecord, nic: NicRecord): Promise<void> {
    if (nic.state === NicState.connected) return
    if (nic.state === NicState.disconnected) await this.#deleteNic(port, nic)
    if (nic.state === NicState.deleted) await this.#createNic(port, nic)
    if (nic.state !== NicState.created) throw wrongState(port, nic, 'NIC_CONNECT')
    nic.state = NicState.connected
    nic.operational = true
    this.#publish({ nic: port.nicParameters(nic) })
    // ES-187: before anything else is announced the connection is there to be used.
    await this.#issuer.announce(Oid.nicConnect, port.nicParameters(nic), () => {
      this.#components.references.open(port.id, nic.index) // ES-189, ES-215
      this.#write(port)
    })
  }

  /** NIC_DISCONNECT: no new packets or references from now on. References that are held do not prevent it. ES-214 */
  disconnect(id: number, nicIndex: number = DEFAULT_NIC_INDEX): Promise<void> {
    return this.#at(id, async (port) => {
      const nic = this.#nic(port, nicIndex)
      if (nic.state === NicState.connected) await this.#disconnectNic(port, nic)
    })
  }

  async #disconnectNic(port: PortRecord, nic: NicRecord): Promise<void> {
    nic.state = NicState.disconnected
    this.#components.references.close(port.id, nic.index) // ES-200, ES-235
    this.#write(port)
    if (nic.index === 0 || !port.physicallyConnected) this.#components.macs.flush({ port: port.id })
    this.#publish({ nic: port.nicParameters(nic) })
    await this.#issuer.announce(Oid.nicDisconnect, port.nicParameters(nic))
  }

  async #deleteNic(port: PortRecord, nic: NicRecord): Promise<void> {
    await this.#issuer.drained(port.id, nic.index, () => this.#inFlight(port, nic)) // ES-208, ES-213
    nic.state = NicState.deleted
    this.#publish({ nicGone: { portId: port.id, nicIndex: nic.index } })
    await this.#issuer.announce(Oid.nicDelete, port.nicParameters(nic))
    this.#components.references.remove(port.id, nic.index)
  }

  // Requests of a connection that are not complete, and packets from or to it that modules keep.
  #inFlight(port: PortRecord, nic: NicRecord): number {
    return (this.#outstanding.get(nic) ?? 0) + this.#components.table.pins(port.id)
  }

  // ES-165: all physical adapters are disconnected, then deleted, then index 0 follows.
  async #deleteConnections(port: PortRecord): Promise<void> {
    const [first, ...physical] = port.nics
    for (const group of [physical, [first!]]) {
      for (const nic of group) if (nic.state === NicState.connected) await this.#disconnectNic(port, nic) // ES-209
      for (const nic of group)
        if (nic.state === NicState.created || nic.state === NicState.disconnected) await this.#deleteNic(port, nic)
    }
  }

  /** Takes a port's link down or up, as an operator does; its connection stays. */
  setLink(id: number, up: boolean): Promise<void> {
    return this.#at(id, async (port) => {
      port.linkUp = up
      this.#write(port)
    })
  }

  /** The guest's, host's or configuration's view of an adapter changed: NIC_UPDATED while it is connected (ES-193), else only noted. */
  updateNic(id: number, update: NicUpdate, nicIndex: number = DEFAULT_NIC_INDEX): Promise<void> {
    return this.#at(id, (port) => this.#updateNic(port, this.#nic(port, nicIndex), update))
  }

  async #updateNic(port: PortRecord, nic: NicRecord, update: NicUpdate): Promise<void> {
    const mac = nic.currentMac
    if (!port.update(nic, update)) return
    if (nic.index === 0 && nic.currentMac !== mac) this.#moveMac(port, nic.currentMac)
    if (nic.state === NicState.created || nic.state === NicState.connected) this.#publish({ nic: port.nicParameters(nic) })
    if (nic.state === NicState.connected) await this.#issuer.announce(Oid.nicUpdated, port.nicParameters(nic))
  }

  /** A frame of a port came from the address of another adapter of its VM. ES-225 */
  async failedOver(id: number, mac: string): Promise<void> {
    const use = (port: PortRecord, address: string): Promise<void> => this.updateNic(port.id, { currentMacAddress: address })
    await failOver(this.#ports.find(id), mac, { ports: this.#ports.values(), macs: this.#components.macs, use })
  }

  #moveMac(port: PortRecord, mac: string): void {
    this.#components.macs.removePort(port.id)
    if (port.options.mac !== undefined && mac !== '') this.#components.macs.addStatic(mac, 0, port.id)
    this.#write(port)
  }

  // ---- requests and indications of others -----------------------------------------------------------------------------------

  /** Issues a request about a port (its policies) in the order of the port's other requests. Not from within `portCreated`. */
  issueForPort(id: number, request: OidRequest): Promise<OidCompletion> {
    return this.#at(id, () => this.issue(request))
  }

  /**
   * Runs `work` in the order of the ports' other operations: their states stay as they are meanwhile. `work` issues with `issue` and
   * `issueAll`, never by what waits for its turn at these ports.
   */
  during<T>(ids: readonly number[], work: () => Promise<T>): Promise<T> {
    const ports = ids.map((id) => this.#ports.get(id))
    const result = Promise.all(ports.map(({ queue }) => queue)).then(work)
    const done = result.catch(() => undefined)
    for (const port of ports) port.queue = done
    return result
  }

  /**
   * The port's security policy changed: whether it may send with other addresses than its own, and with those of its team. The address
   * in use follows (ES-223…ES-225), and NIC_UPDATED where that changed. ES-525, ES-526
   */
  setSecurity(id: number, { macSpoofing, teaming }: { readonly macSpoofing: boolean; readonly teaming: boolean }): void {
    const port = this.#ports.get(id)
    port.options = { ...port.options, macSpoofing, teaming }
    this.#write(port)
    // The caller has the port's turn: requests are issued in order, so that nobody needs to wait for this one.
    this.#updateNic(port, port.nics[0]!, {}).catch(() => undefined)
  }

  /** As `issue`, for many requests at once: they travel one after the other, their completions come back together. */
  issueAll(requests: readonly OidRequest[]): Promise<readonly OidCompletion[]> {
    return this.#issuer.issueAll(requests)
  }

  /** Issues a request as it is. The caller knows that the state allows it. */
  async issue(request: OidRequest): Promise<OidCompletion> {
    return (await this.#issuer.issue(request)).completion
  }

  /**
   * An OID from above the switch, wrapped in OID_SWITCH_NIC_REQUEST: of a connection (`sourcePortId`), or of the management
   * operating system itself (0). Completes with the status of the inner request. ES-280
   */
  async nicRequest(oidRequest: OidRequest, sourcePortId = 0): Promise<OidCompletion> {
    const request = wrapRequest(oidRequest, { portId: sourcePortId, nicIndex: DEFAULT_NIC_INDEX }, this.view.externalPortId)
    const concerned: NicRecord[] = []
    if (sourcePortId !== 0) {
      const port = this.#ports.get(sourcePortId)
      if (port.nics[0]!.state !== NicState.connected) throw wrongState(port, port.nics[0]!, 'NIC_REQUEST')
      concerned.push(port.nics[0]!)
    }
    for (const nic of concerned) this.#outstanding.set(nic, (this.#outstanding.get(nic) ?? 0) + 1)
    try {
      return await this.issue(request)
    } finally {
      for (const nic of concerned) this.#outstanding.set(nic, this.#outstanding.get(nic)! - 1)
    }
  }

  /** What the miniport edge does with a request that no extension completed. */
  completeAtEdge(request: OidRequest): Promise<OidCompletion> {
    return completeAtEdge(request, this.#components)
  }

  /** A physical adapter indicates a status: up the stack, then to those above the switch. ES-281 */
  async adapterStatus(statusIndication: InnerStatusIndication): Promise<void> {
    const { externalPortId } = this.view
    if (externalPortId === undefined)
      throw new SwitchControlError('NO_SUCH_CONNECTION', `switch "${this.#options.name}" has no external adapter`)
    const arrived = await this.#components.channel.indicate(wrapStatus(externalPortId, statusIndication))
    if (arrived) this.statusArrived(arrived)
  }

  /** The protocol edge unwraps an indication. ES-282 */
  statusArrived(indication: NicStatusIndication): void {
    const { statusIndication, destinationPortId, destinationNicIndex } = indication
    if (statusIndication.statusCode === StatusIndication.switchPortRemoveVf && destinationPortId !== 0) {
      this.#components.vfRemoved?.(destinationPortId, destinationNicIndex)
      this.updateNic(destinationPortId, { vfAssigned: false }, destinationNicIndex).catch(() => undefined) // the port may be gone
      return
    }
    this.#components.statusIndicated?.(statusIndication, indication)
  }

  // ---- helpers ------------------------------------------------------------------------------------------------------------

  #at<T>(id: number, work: (port: PortRecord) => Promise<T>): Promise<T> {
    try {
      const port = this.#ports.get(id)
      return this.#inOrder(port, () => work(this.#ports.get(id)))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  // One operation on a port at a time; ports do not wait for each other.
  #inOrder<T>(port: PortRecord, work: () => Promise<T>): Promise<T> {
    const result = port.queue.then(work)
    port.queue = result.catch(() => undefined)
    return result
  }

  #nic(port: PortRecord, index: number): NicRecord {
    const nic = port.nics[index]
    if (nic) return nic
    throw new SwitchControlError('NO_SUCH_CONNECTION', `port "${port.name}" has no adapter of index ${index}`)
  }

  // The data path's table follows the states.
  #write(port: PortRecord): void {
    this.#components.table.set(port.id, portEntry(port))
    this.#components.table.setTeam(port.id, this.#ports.vmOf(port), port.nics[0]!.permanentMac, port.options.teaming ?? false)
    if (port.physicalNics > 1) this.#components.table.setAdapters(port.id, connectedAdapters(port)) // ES-324
  }

  /** Name of a port; `port N` for one that is gone. */
  portName(id: number): string {
    return this.#ports.find(id)?.name ?? `port ${id}`
  }

  linkUp(id: number): boolean {
    return this.#ports.find(id)?.linkUp ?? false
  }

  /** The MTU that extensions left of a connection's, in bytes. */
  mtu(id: number): number {
    return this.#ports.get(id).nics[0]!.mtu
  }
}
