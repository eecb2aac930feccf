// A running switch: shared memory, processors, extensions, ports. `createSwitch` builds one from a checked configuration; the service,
// the CLI and embedders operate it through the object it returns.
import { SharedMemory } from '../linux/shared-memory.ts'
import type { InnerStatusIndication, OidCompletion, OidRequest } from '../ndis/oids.ts'
import { NdisStatus } from '../ndis/status.ts'
import { type NicUpdate, SwitchControl } from '../switch/control.ts'
import type { FdbEntry, MacTable } from '../switch/mac-table.ts'
import type { OverlayControl } from '../switch/overlay/overlay-control.ts'
import type { PortTable } from '../switch/port-table.ts'
import type { ReasonRegistry } from '../switch/reason-registry.ts'
import { WindowAllocator } from '../vhost-user/window-allocator.ts'
import { VmPolicies } from './adapters/vm-policies.ts'
import { systemMonotonicMs } from './clock.ts'
import { SwitchDiagnosis } from './diagnosis.ts'
import { type ExtensionEntry, ExtensionManager, type ExtensionStatus } from './extension-manager.ts'
import { type ProcessorFigures, processorFigures } from './figures.ts'
import { ageRegularly, fdbOf } from './forwarding-database.ts'
import { readKernels } from './kernels-file.ts'
import { SwitchOverlay } from './overlay/switch-overlay.ts'
import { SwitchPolicies } from './policies.ts'
import { PortEffects } from './port-effects.ts'
import { measurePorts, type PortFigures, type PortSources, portCounter } from './port-figures.ts'
import { PortLife } from './port-life.ts'
import { PortMoves } from './port-moves.ts'
import { portStatusOf } from './port-options.ts'
import type { PortRunner } from './port-runner.ts'
import { PortSet } from './port-set.ts'
import type { PortSettings } from './port-settings.ts'
import { ProcessorSet } from './processor-set.ts'
import type { ProcessorWatch } from './processor-watch.ts'
import { AdaptersWithQueues } from './queues/adapters-with-queues.ts'
import { SwitchSaver } from './saving.ts'
import { createSharedTables } from './shared-tables.ts'
import type { PortConfig, PortDrops, PortStatus, SwitchComponents, SwitchConfig } from './switch-config.ts'
import { SwitchConnections } from './switch-connections.ts'

export type { PortConfig, PortDrops, PortStatus, SwitchComponents, SwitchConfig } from './switch-config.ts'
export { UnknownPortError } from './switch-config.ts'

/** Port ids of a switch are below this unless the options say otherwise. */
export const DEFAULT_PORT_LIMIT = 1025

/** A running switch. */
export class RunningSwitch {
  readonly config: SwitchConfig
  readonly #memory: SharedMemory
  readonly #windows = new WindowAllocator()
  readonly #table: PortTable
  readonly #macs: MacTable
  readonly #reasons: ReasonRegistry
  readonly #processors: ProcessorSet
  readonly #control: SwitchControl
  readonly #extensions: ExtensionManager
  readonly #saver: SwitchSaver
  readonly #watch: ProcessorWatch
  /** Properties of ports and of the switch. */
  readonly policies: SwitchPolicies
  /** Saves, restores and moves ports. */
  readonly moves: PortMoves
  /** Looks into the switch. */
  readonly diagnosis: SwitchDiagnosis
  /** SR-IOV adapters and the VFs of VMs. */
  readonly adapters: AdaptersWithQueues
  /** What settings of ports do, and the team of uplinks. */
  readonly effects: PortEffects
  readonly #overlay: SwitchOverlay | undefined
  readonly #ports: PortSet
  readonly #life: PortLife
  readonly #startedMs = systemMonotonicMs()
  #ageing: NodeJS.Timeout | undefined
  #closing: Promise<void> | undefined

  constructor(config: SwitchConfig, components: SwitchComponents) {
    this.config = config
    const memory = SharedMemory.create()
    memory.selfTest()
    this.#memory = memory
    const ports = Math.max(DEFAULT_PORT_LIMIT, config.ports.length + 1)
    const tables = createSharedTables(memory, ports, config.macTable.entries)
    const { macEntries } = tables
    this.#table = tables.table
    this.#macs = tables.macs
    this.#reasons = tables.reasons
    this.#ports = new PortSet(config.name)
    this.effects = new PortEffects(config, {
      ...tables,
      control: () => this.#control,
      processors: () => this.#processors,
      nowMs: () => this.uptimeMs,
      log: components.log,
    })
    this.#processors = new ProcessorSet(
      {
        processors: config.processors,
        ports,
        macEntries,
        startedMs: this.#startedMs,
        pin: config.pin ?? [],
        switchName: config.name,
        switchFriendlyName: config.name,
        limits: config.limits ?? {},
        verify: config.verify ?? false,
      },
      {
        memory,
        kernels: readKernels(),
        shared: tables.addresses,
        report: (module, code, message) => components.log({ source: `extension ${module}`, code, message }),
        lost: (error) => {
          components.log({ source: 'switch', code: 'processor-lost', message: error.message })
          components.fatal?.(error)
        },
        edge: (request) => this.#control.completeAtEdge(request),
        status: (indication) => this.#control.statusArrived(indication),
        failover: (portId, mac) => this.#control.failedOver(portId, mac),
        overlayHeard: (frame) => this.#overlay?.heard(frame),
      },
    )
    this.#control = new SwitchControl(
      { name: config.name, friendlyName: config.name, type: config.type, ports, limits: config.limits ?? {} },
      {
        table: this.#table,
        macs: this.#macs,
        references: tables.references,
        channel: this.#processors,
        after: (ms, callback) => {
          const timer = setTimeout(callback, ms)
          return () => clearTimeout(timer)
        },
        ...components.edge,
        adapterRequest: (portId, nicIndex, request) =>
          this.adapters.carryOut(portId, request) ??
          components.edge?.adapterRequest?.(portId, nicIndex, request) ?? { status: NdisStatus.notSupported },
        vfRemoved: (portId, nicIndex) => {
          components.edge?.vfRemoved?.(portId, nicIndex)
          this.adapters.vfRemovedByExtension(portId)
        },
        miniportRequest: (request) => this.policies.properties.answer(request) ?? components.edge?.miniportRequest?.(request),
        portCreated: (portId, options) => this.policies.portCreated(portId, options),
        portDeleted: (portId) => {
          this.policies.forget(portId)
          this.#saver.forget(portId)
        },
      },
    )
    this.policies = new SwitchPolicies({
      control: () => this.#control,
      table: this.#table,
      definitions: () => this.#extensions.properties(),
      indicated: (portId, status) => components.edge?.adapterIndicated?.(portId, status),
      enforced: (portId) => {
        this.adapters.policiesChanged(portId)
        this.#overlay?.portsChanged()
      },
      processors: this.#processors,
      connections: new SwitchConnections({ ports, ...config.connectionTable }, { nowMs: () => this.uptimeMs, memory }),
      memory,
      imposed: components.imposed,
    })
    this.adapters = new AdaptersWithQueues(config.adapters ?? [], {
      memory,
      windows: this.#windows,
      processors: this.#processors,
      macs: this.#macs,
      policies: new VmPolicies((portId) => this.policies.inForce(portId), this.#table),
      nowMs: () => systemMonotonicMs() - this.#startedMs,
      reasonName: (reason) => this.#reasons.name(reason),
      log: components.log,
      vfAssigned: (portId, assigned) => this.#control.updateNic(portId, { vfAssigned: assigned }),
      isConnected: (portId) => this.#table.connected(portId),
      encapsulate: (request, sourcePortId) => this.#control.nicRequest(request, sourcePortId),
      hasPort: (name) => this.#ports.has(name),
      unknownPort: (name) => this.#ports.unknown(name),
      polledFrom: (name, processor, among) => this.#ports.get(name)?.runner.polledFrom(processor, among),
      rss: config.rss,
      plug: components.plug,
    })
    this.#saver = new SwitchSaver({
      control: this.#control,
      macs: this.#macs,
      policies: this.policies,
      nowSeconds: () => this.#nowSeconds(),
      counter: (portId, counter) => portCounter(this.#processors.counters, portId, counter),
      event: (port, code, message) => components.log({ source: `port ${port}`, code, message }),
    })
    this.moves = new PortMoves({
      name: config.name,
      control: this.#control,
      policies: this.policies,
      saver: this.#saver,
      find: (name) => this.#ports.find(name),
      names: () => [...this.#ports.keys()],
      add: (port, prepared) => this.addPort(port, prepared),
      createValidationPort: (port) => this.#life.create({ ...port, name: `${port.name}*` }, true),
      remove: (name) => this.removePort(name),
      vfs: this.adapters,
    })
    this.#life = new PortLife(config, {
      memory,
      windows: this.#windows,
      processors: this.#processors,
      control: this.#control,
      policies: this.policies,
      adapters: this.adapters,
      effects: this.effects,
      saver: this.#saver,
      moves: this.moves,
      ports: this.#ports,
      overlayChanged: () => this.#overlay?.portsChanged(),
      log: components.log,
    })
    this.diagnosis = new SwitchDiagnosis({
      memory,
      portId: (name) => this.portId(name),
      processors: this.#processors,
      reasons: this.#reasons,
      ports: () => [...this.#ports.values()].map(({ runner }) => [runner.id, runner.name] as const),
    })
    if (config.overlay !== undefined)
      this.#overlay = new SwitchOverlay(config.overlay, {
        memory,
        table: this.#table,
        processors: this.#processors,
        nowMs: () => this.uptimeMs,
        drops: () => this.drops(),
        addressesOf: (id) => this.#ports.get(this.#control.portName(id))?.config.customerAddresses ?? [],
        event: (code, message) => components.log({ source: 'overlay', code, message }),
      })
    this.#extensions = new ExtensionManager(this.#processors, {
      memory,
      processors: config.processors,
      directory: config.directory,
    })
    this.#watch = this.#processors.watch((place) => this.#extensions.nameAt(place), components.log)
  }

  /** Attaches the extensions, creates the ports, opens the endpoints. */
  async start(): Promise<void> {
    await this.#processors.ready()
    if (!this.config.verify) this.#watch.start() // that mode tells what does not return by itself
    await this.#extensions.start(this.config.extensions)
    await this.#control.activate()
    for (const property of this.config.properties ?? []) await this.policies.add(undefined, property)
    if (this.config.snooping !== undefined) await this.effects.snooping.configure(this.config.snooping)
    await this.#overlay?.start()
    await this.adapters.start()
    for (const port of this.config.ports) await this.#life.add(port, false, true)
    await this.adapters.started()
    this.#life.begin()
    this.#ageing = ageRegularly(this.#macs, this.config.macTable.ageingSeconds, () => this.#nowSeconds())
  }

  #nowSeconds(): number {
    return Math.floor((systemMonotonicMs() - this.#startedMs) / 1000)
  }

  /**
   * Creates a port and opens its endpoint; undoes all of it if one step fails. `prepared`: without its connection, for a port that is
   * being moved here.
   */
  addPort(config: PortConfig, prepared = false): Promise<void> {
    return this.#life.add(config, prepared)
  }

  /** Removes a port: its guest loses the connection, its counters go. */
  removePort(name: string): Promise<void> {
    return this.#life.remove(name)
  }

  /** Takes a port's link down or up. */
  setLink(name: string, up: boolean): Promise<void> {
    return this.#control.setLink(this.#ports.find(name).runner.id, up)
  }

  updatePort(name: string, friendlyName: string): Promise<void> {
    return this.setPort(name, { friendlyName })
  }

  /** Changes settings of a port, those that are named: PORT_UPDATED where its name for people changes, NIC_UPDATED where its MTU does. */
  setPort(name: string, change: PortSettings): Promise<void> {
    return this.#life.set(name, change)
  }

  /** What changed of a port's adapter, by its guest or by configuration: NIC_UPDATED. */
  async updateNic(name: string, update: NicUpdate): Promise<void> {
    return this.#control.updateNic(this.#ports.find(name).runner.id, update)
  }

  /**
   * An OID from above the switch: hardware offloads go to the external adapter, multicast addresses of the guest behind `port` to the
   * extensions. Completes with the status of the request. ES-255, ES-257
   */
  async nicRequest(request: OidRequest, port?: string): Promise<OidCompletion> {
    return this.#control.nicRequest(request, port === undefined ? 0 : this.#ports.find(port).runner.id)
  }

  /** A physical adapter of the external connection indicates a status. ES-281 */
  adapterStatus(indication: InnerStatusIndication): Promise<void> {
    return this.#control.adapterStatus(indication)
  }

  get #sources(): PortSources {
    return { control: this.#control, table: this.#table, saver: this.#saver, counters: this.#processors.counters }
  }

  /** All ports with state and counters. */
  ports(): PortStatus[] {
    return [...this.#ports.values()].map(({ runner, config }) => portStatusOf(runner, config, this.#sources))
  }

  /** Figures of all ports, one after the other: `read` gets the same object each time, which it must not keep. */
  measurePorts(read: (figures: PortFigures) => void): void {
    measurePorts(this.#ports.values(), this.#sources, read)
  }

  /** Drops by port and reason; ports and reasons without any are left out. */
  drops(): PortDrops[] {
    return this.diagnosis.drops()
  }

  /** The forwarding database, with port names. */
  fdb(filter: { port?: string | undefined; vlan?: number | undefined } = {}): (Omit<FdbEntry, 'port'> & { port: string })[] {
    const port = filter.port === undefined ? undefined : this.#ports.find(filter.port).runner.id
    return fdbOf(this.#macs.entries(this.#nowSeconds()), { port, vlan: filter.vlan }, (id) => this.#control.portName(id))
  }

  /** Room and moves of the forwarding database. */
  fdbStatistics(): ReturnType<MacTable['statistics']> {
    return this.#macs.statistics()
  }

  /** Forgets learned addresses; returns how many. */
  flushFdb(filter: { port?: string | undefined; vlan?: number | undefined } = {}): number {
    return this.#macs.flush({
      ...(filter.port === undefined ? {} : { port: this.#ports.find(filter.port).runner.id }),
      ...(filter.vlan === undefined ? {} : { vlan: filter.vlan }),
    })
  }

  extensions(): Promise<ExtensionStatus[]> {
    return this.#extensions.status()
  }

  /** Installs an extension, at the top of its class unless reordered. ES-017 */
  installExtension(entry: ExtensionEntry): Promise<void> {
    return this.#extensions.install(entry)
  }

  /** Takes an extension out of the stack and forgets it. */
  uninstallExtension(name: string): Promise<void> {
    return this.#extensions.uninstall(name)
  }

  setExtension(name: string, enabled: boolean): Promise<void> {
    return this.#extensions.setEnabled(name, enabled)
  }

  /** Pauses an extension at its place, or restarts it; packets that come to it meanwhile are dropped as paused. */
  setExtensionPaused(name: string, paused: boolean): Promise<void> {
    return this.#extensions.setPaused(name, paused)
  }

  reorderExtensions(names: readonly string[]): Promise<void> {
    return this.#extensions.reorder(names)
  }

  reloadExtension(name: string): Promise<void> {
    return this.#extensions.reload(name)
  }

  /** Figures of the processors: work, sleep, burst latency. */
  processors(): ProcessorFigures[] {
    return processorFigures(this.#processors.counters)
  }

  /** Milliseconds since the switch was made. */
  get uptimeMs(): number {
    return systemMonotonicMs() - this.#startedMs
  }

  /** Bytes of guest memory that can still be mapped for the wasm engine, and of control memory left. */
  memory(): { guestBytesAvailable: number; controlBytesAvailable: number } {
    return { guestBytesAvailable: this.#memory.guestBytesAvailable, controlBytesAvailable: this.#memory.controlBytesAvailable }
  }

  /** Port id of a port, for tests and tools. */
  portId(name: string): number {
    return this.#ports.find(name).runner.id
  }

  /** The shared memory, for endpoints of the memory kind. */
  get sharedMemory(): SharedMemory {
    return this.#memory
  }

  /** The control half of a port's endpoint; of an external port that of a physical adapter. */
  endpoint(name: string, adapter = 1): PortRunner['endpoint'] {
    const { runner, team } = this.#ports.find(name)
    return (team[adapter - 2] ?? runner).endpoint
  }

  /** Tunnels to other hosts; null: the switch has none. */
  overlay(): OverlayControl | null {
    return this.#overlay ?? null
  }

  /** Stops everything and gives everything back. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      clearInterval(this.#ageing)
      this.#watch.stop()
      this.effects.snooping.close()
      this.#overlay?.close()
      this.#processors.retire()
      await this.#life.removeAll()
      await this.adapters.close().catch(() => undefined)
      await this.#processors.close()
      await this.#extensions.close()
    })()
    return this.#closing
  }
}

/** Builds and starts a switch. If a step fails, everything done so far is undone. */
export async function createSwitch(config: SwitchConfig, components: SwitchComponents): Promise<RunningSwitch> {
  const running = new RunningSwitch(config, components)
  try {
    await running.start()
  } catch (error) {
    await running.close()
    throw error
  }
  return running
}
