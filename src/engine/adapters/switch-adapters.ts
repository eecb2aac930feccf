// The SR-IOV adapters of a running switch and the VFs of its VMs: who gets one, by weight or when asked for; where a VM's traffic goes
// as its guest's driver comes and goes; removal, surprise removal, return.
//
// The rule it must not break: whatever fails, the VM's traffic goes on through its port of the switch, and a person is told why.
import type { AdapterIndication } from '../../adapter/adapter.ts'
import { setVf, showVf, type VfShown, type VfWords, VfWordsError } from '../../adapter/linux-words.ts'
import { AdapterOid } from '../../adapter/oids.ts'
import type { AdapterRequest } from '../../adapter/requests.ts'
import { STACK_DRIVER } from '../../adapter/sequences.ts'
import type { EndpointComponents, EndpointControl } from '../../endpoints/endpoint.ts'
import type { SharedMemory } from '../../linux/shared-memory.ts'
import type { OidCompletion, OidRequest } from '../../ndis/oids.ts'
import { NdisStatus, ndisStatusName } from '../../ndis/status.ts'
import type { MacTable } from '../../switch/mac-table.ts'
import type { WindowAllocator } from '../../vhost-user/window-allocator.ts'
import type { AdapterConfig, AdapterStatus, AssignedVfStatus, SwitchAdapters } from '../adapter-config.ts'
import type { ProcessorSet } from '../processor-set.ts'
import type { PortConfig } from '../switch-config.ts'
import { AdapterPort, type PortPlace } from './adapter-port.ts'
import { AdapterRun } from './adapter-run.ts'
import { adapterStatus } from './adapter-status.ts'
import { carryOutForVf, type Encapsulate, issueForVf, nicNameOf } from './encapsulation.ts'
import { EngineAdapter } from './engine-adapter.ts'
import { SwitchAdapterError } from './errors.ts'
import { type GivenVf, type IovPort, inOrder, type PlainPort, statusOf } from './iov-port.ts'
import { VfGiving, type VfPlug } from './vf-giving.ts'
import { VfMoves } from './vf-moves.ts'
import { VfSeat } from './vf-seat.ts'
import type { VmPolicies } from './vm-policies.ts'
import { VmTraffic } from './vm-traffic.ts'

export type { VfPlug } from './vf-giving.ts'

export interface SwitchAdaptersComponents {
  readonly memory: SharedMemory
  readonly windows: WindowAllocator
  readonly processors: ProcessorSet
  readonly macs: MacTable
  readonly policies: VmPolicies
  readonly nowMs: () => number
  readonly reasonName: (reason: number) => string
  readonly log: (event: { source: string; code: string; message: string }) => void
  /** The VM behind a port has a VF, or has none any more (ES-226). */
  readonly vfAssigned: (portId: number, assigned: boolean) => Promise<void>
  readonly isConnected: (portId: number) => boolean
  /** Sends a request for a VF down the switch's stack (SR-262). */
  readonly encapsulate: Encapsulate
  readonly hasPort: (name: string) => boolean
  readonly unknownPort: (name: string) => Error
  readonly plug?: VfPlug | undefined
}

/** Driver name under which requests of operators are issued: what they make is theirs. */
const OPERATOR = 'operator'

export class RunningAdapters implements SwitchAdapters {
  readonly #components: SwitchAdaptersComponents
  readonly #runs: readonly AdapterRun[]
  readonly #traffic: VmTraffic
  readonly #giving: VfGiving
  /** VFs of ports that are about to leave the switch. */
  readonly moves: VfMoves
  readonly #ports = new Map<string, IovPort>()
  /** VMs without SR-IOV whose addresses the default VPort has filters for. */
  readonly #plain = new Map<string, PlainPort>()
  readonly #observers = new Set<(adapter: string, indication: AdapterIndication) => void>()
  /** Ports that want a VF, of a switch without adapters. */
  readonly #unserved = new Set<string>()
  #distributing: Promise<void> = Promise.resolve()
  #isStarted = false

  constructor(configs: readonly AdapterConfig[], components: SwitchAdaptersComponents) {
    this.#components = components
    const event = (port: IovPort, code: string, message: string) => this.#log(`port ${port.name}`, code, message)
    this.#traffic = new VmTraffic({ ...components, event })
    this.#giving = new VfGiving({ ...components, traffic: this.#traffic, port: (name) => this.#find(name), event })
    this.moves = new VfMoves({
      giving: this.#giving,
      plug: components.plug,
      find: (name) => this.#ports.get(name),
      assign: (port) => this.#assign(port),
      distribute: () => this.#distribute(),
      event,
    })
    this.#runs = configs.map((config, index) => this.#makeRun(config, index))
  }

  #makeRun(config: AdapterConfig, index: number): AdapterRun {
    const { memory, windows, processors, nowMs } = this.#components
    const adapter = new EngineAdapter(
      { index, config },
      {
        memory,
        windows,
        processors,
        nowMs,
        event: (code, message) => this.#log(`adapter ${config.name}`, code, message),
        indicate: (indication) => {
          for (const observer of this.#observers) observer(config.name, indication)
        },
        vportGone: async (vport) => {
          for (const { given, seat } of this.#ports.values())
            if (given?.run === run && given.vf.vportId === vport) await seat.withdraw()
        },
        hostChanged: (port) => this.#hostChanged(run, port),
      },
    )
    const run = new AdapterRun(adapter, {
      exposure: this.#giving.exposureOn(() => run),
      steered: (vf, toVf) => {
        const port = this.#ports.get(vf.vm.nicName)
        if (port) this.#traffic.steered(port, run, vf, toVf)
      },
      quiesced: () => processors.all(() => ({ kind: 'quiesce' })),
      issue: (model, request, driver) => issueForVf(model, request, driver, this.#above(run, nicNameOf(request))),
    })
    return run
  }

  // The switch above the adapter, and the port that a request is for: none while its connection is not there.
  #above(run: AdapterRun, nicName: string | undefined) {
    const port = nicName === undefined ? undefined : this.#ports.get(nicName)
    const sourcePortId = port && this.#components.isConnected(port.id) ? port.id : 0
    return run.hostPort === 0 ? undefined : { encapsulate: this.#components.encapsulate, sourcePortId }
  }

  /** A request that came out below the switch's stack, at its external port; undefined if no adapter stands there. */
  carryOut(portId: number, request: OidRequest): Promise<OidCompletion> | undefined {
    const model = this.#runs.find(({ hostPort }) => hostPort === portId)?.adapter.software?.adapter
    return model && carryOutForVf(model, request)
  }

  #log(source: string, code: string, message: string): void {
    this.#components.log({ source, code, message })
  }

  // ---- life of the adapters and of ports ----------------------------------------------------------------------------------

  /** Starts the adapters, before the ports are created. */
  async start(): Promise<void> {
    for (const run of this.#runs) await run.start()
  }

  /** All ports are there: VFs are given by weight from now on. */
  async started(): Promise<void> {
    this.#isStarted = true
    await this.#distribute()
  }

  /** The control half of the port that an adapter stands below. */
  portOf(name: string, place: PortPlace, components: EndpointComponents): EndpointControl {
    return new AdapterPort(this.#run(name).adapter, place, components)
  }

  /** What an adapter's physical port is connected to, for tools and tests; null: to nothing, or the adapter is removed. */
  uplink(name: string): EndpointControl | null {
    return this.#run(name).adapter.uplink
  }

  /** A port was created. `arriving`: its guest is somewhere else still, and the port gets nothing of the adapters until `arrive`. */
  async addPort(id: number, { name, mac, iov, vm = name }: PortConfig, arriving = false): Promise<void> {
    if (this.#runs.length === 0 && iov !== undefined && iov.weight > 0) {
      this.#unserved.add(name)
      this.#log(`port ${name}`, 'vf-not-assigned', `${this.withoutVf(name)}: traffic stays on the synthetic path`)
    }
    if (mac === null || this.#runs.length === 0) return
    const vlan = this.#components.policies.vlan(id)
    if (iov === undefined) this.#plain.set(name, { id, mac, vlan })
    else {
      const { memory, windows } = this.#components
      const mtu = Math.max(...this.#runs.map(({ adapter }) => adapter.config.mtu))
      const seat = new VfSeat(
        { iov, mac, mtu },
        {
          memory,
          windows,
          activity: () => {
            const port = this.#ports.get(name)
            if (port) (port.moving === 'no' ? this.#traffic : this.moves).follow(port)
          },
          event: (code, message) => this.#log(`port ${name}`, code, message),
        },
      )
      const state = { given: null, isLimited: false, onVf: false, switchovers: 0, removing: false, barred: false, refusal: null }
      const moving = arriving ? 'arriving' : 'no'
      this.#ports.set(name, { id, name, vm, mac, vlan, iov, seat, ...state, moving, queue: Promise.resolve() })
      if (iov.weight > 0) await seat.prepare()
    }
    if (arriving) return
    for (const run of this.#runs) await this.#filterFor(run, { id, mac, vlan })
    if (this.#isStarted) await this.#distribute()
  }

  /** Target of a migration: the guest of a port that was made as arriving is here, on the synthetic path. VFs are given by weight. */
  async arrive(name: string): Promise<void> {
    const port = this.#ports.get(name)
    const plain = port ?? this.#plain.get(name)
    if (port) port.moving = 'no'
    if (plain) for (const run of this.#runs) await this.#filterFor(run, plain)
    await this.#distribute()
  }

  /** Why a port that wants a VF has none, as a sentence without its full stop; null: it has one, or wants none. */
  withoutVf(name: string): string | null {
    const port = this.#ports.get(name)
    if (port) return port.given ? null : port.refusal
    return this.#unserved.has(name) ? `the switch has no SR-IOV adapter to give port "${name}" a VF from` : null
  }

  /** A port is about to be deleted: its guest is gone, or loses its VF at once. */
  async removePort(name: string): Promise<void> {
    const port = this.#ports.get(name)
    const mac = port?.mac ?? this.#plain.get(name)?.mac
    if (port) {
      await inOrder(port, () => this.#giving.remove(port, true)).catch(() => undefined)
      await port.seat.close()
      this.#ports.delete(name)
    }
    this.#plain.delete(name)
    this.#unserved.delete(name)
    if (port?.iov.qmp !== undefined) await this.#components.plug?.gone?.(name)
    if (mac !== undefined) for (const { stack } of this.#runs) await stack?.forget({ mac }).catch(() => undefined)
    if (port && this.#isStarted) await this.#distribute()
  }

  // The synthetic path: a filter on the default VPort, so that a VF's frames for the VM don't go to the wire (SR-241). Where the NIC
  // switch has no room for one, the PF gets them all the same, since it takes everything.
  async #filterFor(run: AdapterRun, { mac, vlan }: PlainPort): Promise<void> {
    await run.stack?.synthetic({ vmName: '', nicName: '', mac, vlan, queuePairs: 1 }).catch(() => undefined)
  }

  /**
   * The properties of a port changed: its filters follow its VLAN; a VF that can't carry them out is taken away, and one whose VLAN
   * changed is given anew (SR-256).
   */
  policiesChanged(portId: number): void {
    const { policies } = this.#components
    const port = [...this.#ports.values()].find(({ id }) => id === portId)
    const plain = port ?? [...this.#plain.values()].find(({ id }) => id === portId)
    if (!plain) return
    const refused = port && this.#giving.limit(port)
    if (plain.vlan === policies.vlan(portId) && policies.obstacle(portId) === undefined && refused === undefined) {
      if (port && port.given === null && this.#isStarted) this.#distribute().catch(() => undefined) // what was in its way may be gone
      return
    }
    const refilter = async (): Promise<void> => {
      for (const { stack } of this.#runs) await stack?.forget(plain).catch(() => undefined)
      plain.vlan = policies.vlan(portId)
      for (const run of this.#runs) await this.#filterFor(run, plain)
    }
    if (!port) {
      refilter().catch(() => undefined)
      return
    }
    inOrder(port, async () => {
      const obstacle = policies.obstacle(portId) ?? refused
      if (port.given && obstacle !== undefined)
        this.#log(`port ${port.name}`, 'vf-policy', `the VF is taken away: ${obstacle}, which needs the switch`)
      await this.#giving.remove(port, false)
      await refilter()
    })
      .then(() => this.#distribute())
      .catch((error: Error) => this.#log(`port ${port.name}`, 'vf-removal-failed', error.message))
  }

  #hostChanged(run: AdapterRun, hostPort: number): void {
    run.hostPort = hostPort
    for (const port of this.#ports.values()) if (port.given?.run === run && port.onVf) this.#traffic.direct(port)
  }

  async close(): Promise<void> {
    this.#isStarted = false
    for (const name of [...this.#ports.keys()]) await this.removePort(name)
    for (const run of this.#runs) await run.stop()
  }

  // ---- who gets one -------------------------------------------------------------------------------------------------------

  // The adapter that the VM's switch is connected to; where it is connected to none, the first that runs.
  #choose(): AdapterRun {
    const joined = this.#runs.filter(({ adapter }) => adapter.joined)
    const candidates = joined.length > 0 ? joined : this.#runs
    const running = candidates.filter(({ stack }) => stack !== undefined)
    if (candidates.length === 0) throw new SwitchAdapterError('NO_SUCH_ADAPTER', 'the switch has no SR-IOV adapter')
    if (running.length === 0)
      throw new SwitchAdapterError('ADAPTER_REMOVED', `adapter "${candidates[0]!.adapter.name}" is removed: plug it first`)
    const free = running.find(({ adapter }) => adapter.software!.adapter.nicSwitch!.vfs.size < adapter.config.vfs)
    return free ?? running[0]!
  }

  #assign(port: IovPort): Promise<AssignedVfStatus> {
    if (port.given) throw new SwitchAdapterError('VF_ASSIGNED', `port "${port.name}" has VF ${port.given.vf.vfId} already`)
    const obstacle = this.#components.policies.obstacle(port.id)
    if (obstacle !== undefined) throw new SwitchAdapterError('NO_IOV', `port "${port.name}" can't have a VF: ${obstacle}`)
    return this.#giving.assign(port, this.#choose())
  }

  // Ports that want a VF and have none get what is left, the highest weights first.
  #distribute(): Promise<void> {
    this.#distributing = this.#distributing.then(async () => {
      const wanting = [...this.#ports.values()].filter(
        ({ iov, given, barred, moving }) => iov.weight > 0 && !given && !barred && moving === 'no',
      )
      for (const port of wanting.sort((a, b) => b.iov.weight - a.iov.weight))
        await inOrder(port, async () => {
          if (!port.given && this.#ports.has(port.name)) await this.#assign(port)
        }).catch((error: Error & { code?: string }) => {
          if (port.refusal === null)
            this.#log(`port ${port.name}`, 'vf-not-assigned', `${error.message}: traffic stays on the synthetic path`)
          port.refusal = error.message
        })
    })
    return this.#distributing
  }

  /** An extension wants the port's traffic: NDIS_STATUS_SWITCH_PORT_REMOVE_VF (ES-297, SR-257). */
  vfRemovedByExtension(portId: number): void {
    const port = [...this.#ports.values()].find(({ id }) => id === portId)
    if (!port) return
    port.barred = true
    inOrder(port, () => this.#giving.remove(port, false))
      .then(() => this.#distribute())
      .catch((error: Error) => this.#log(`port ${port.name}`, 'vf-removal-failed', error.message))
  }

  // ---- SwitchAdapters -----------------------------------------------------------------------------------------------------

  #run(name: string): AdapterRun {
    const run = this.#runs.find(({ adapter }) => adapter.name === name)
    if (run) return run
    const names = this.#runs.map(({ adapter }) => adapter.name).join(', ') || 'none'
    throw new SwitchAdapterError('NO_SUCH_ADAPTER', `the switch has no adapter "${name}" (it has: ${names})`)
  }

  #running(name: string) {
    const { software } = this.#run(name).adapter
    if (!software) throw new SwitchAdapterError('ADAPTER_REMOVED', `adapter "${name}" is removed: plug it first`)
    return software
  }

  #find(name: string): IovPort {
    const port = this.#ports.get(name)
    if (!port) throw this.#noPort(name)
    return port
  }

  #noPort(name: string): Error {
    const { hasPort, unknownPort } = this.#components
    if (!hasPort(name)) return unknownPort(name)
    return new SwitchAdapterError('NO_IOV', `port "${name}" asks for no VF: give it an address and an iov section`)
  }

  #given(port: string): { readonly port: IovPort; readonly given: GivenVf } {
    const found = this.#find(port)
    if (!found.given) throw new SwitchAdapterError('NO_VF', `port "${port}" has no VF`)
    return { port: found, given: found.given }
  }

  list(): readonly AdapterStatus[] {
    return this.#runs.map(({ adapter }) => {
      const own = [...this.#ports.values()].filter(({ given }) => given?.run.adapter === adapter)
      return adapterStatus(
        adapter,
        own.map((port) => statusOf(port, port.given!)),
        this.#components.reasonName,
      )
    })
  }

  #notMoving({ name, moving }: IovPort): void {
    if (moving !== 'no') throw new SwitchAdapterError('WRONG_STATE', `port "${name}" is being moved to another switch, or here`)
  }

  async assign(port: string): Promise<AssignedVfStatus> {
    const found = this.#find(port)
    this.#notMoving(found)
    return inOrder(found, () => this.#assign(found))
  }

  async remove(port: string, surprise = false): Promise<void> {
    const { port: found, given } = this.#given(port)
    this.#notMoving(found)
    found.barred = true
    await inOrder(found, () => this.#giving.remove(found, surprise))
    if (surprise) void inOrder(found, () => this.#giving.takeRest(found, given.vf))
    await this.#distribute()
  }

  async reset(port: string): Promise<void> {
    const { given } = this.#given(port)
    const { adapter } = this.#running(given.run.adapter.name)
    const request = { oid: AdapterOid.sriovResetVf, type: 'set', payload: { vfId: given.vf.vfId } } as const
    const { status } = await adapter.request(request, STACK_DRIVER)
    if (status !== NdisStatus.success)
      throw new SwitchAdapterError('NO_VF', `the VF of port "${port}" was not reset: ${ndisStatusName(status)}`)
  }

  async set(adapter: string, vf: number, words: VfWords): Promise<VfShown> {
    const software = this.#running(adapter)
    try {
      await setVf(software.adapter, software.pf, vf, words, STACK_DRIVER)
    } catch (error) {
      if (error instanceof VfWordsError) throw new SwitchAdapterError('BAD_VF_SETTING', `adapter "${adapter}": ${error.message}`)
      throw error
    }
    return showVf(software.adapter, software.pf, vf)
  }

  async pull(name: string): Promise<void> {
    const run = this.#run(name)
    this.#running(name)
    await run.pull()
    for (const port of this.#ports.values()) {
      const { given } = port
      if (given?.run !== run) continue
      await inOrder(port, () => this.#giving.taken(port))
      void inOrder(port, () => this.#giving.takeRest(port, given.vf))
    }
    this.#log(`adapter ${name}`, 'adapter-removed', 'the adapter was pulled: VMs go on through the switch')
  }

  async plug(name: string): Promise<void> {
    const run = this.#run(name)
    if (run.stack) return
    await run.start()
    for (const port of this.#ports.values()) port.barred = false
    for (const port of [...this.#ports.values(), ...this.#plain.values()]) await this.#filterFor(run, port)
    this.#log(`adapter ${name}`, 'adapter-plugged', 'the adapter was put back')
    await this.#distribute()
  }

  async request(adapter: string, request: AdapterRequest): Promise<{ readonly status: number; readonly output: unknown }> {
    const { status, output } = await this.#running(adapter).adapter.request(request, OPERATOR)
    return { status, output: output ?? null }
  }

  observe(observer: (adapter: string, indication: AdapterIndication) => void): () => void {
    this.#observers.add(observer)
    return () => this.#observers.delete(observer)
  }
}
