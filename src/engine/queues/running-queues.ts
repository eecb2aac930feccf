// The adapters in VMQ mode of a running switch and the queues of its VMs: who gets one, by weight; which processor serves it, by count, by
// load, or as an operator wants it.
//
// The rule it must not break: a VM without a queue is served by the default queue and told why; a queue and its VM's port change their
// processor together.
import type { AdapterIndication } from '../../adapter/adapter.ts'
import { type VmQueue, VmQueues } from '../../adapter/queues/vm-queues.ts'
import type { AdapterRequest } from '../../adapter/requests.ts'
import type { EndpointComponents, EndpointControl } from '../../endpoints/endpoint.ts'
import type { SharedMemory } from '../../linux/shared-memory.ts'
import type { OidCompletion, OidRequest } from '../../ndis/oids.ts'
import { NdisStatus, ndisStatusName } from '../../ndis/status.ts'
import { ProcessorCounter } from '../../switch/counters.ts'
import type { WindowAllocator } from '../../vhost-user/window-allocator.ts'
import type { AdapterConfig } from '../adapter-config.ts'
import type { PortPlace } from '../adapters/adapter-port.ts'
import type { Encapsulate } from '../adapters/encapsulation.ts'
import type { VmPolicies } from '../adapters/vm-policies.ts'
import type { EndpointConfig } from '../endpoint-factory.ts'
import type { ProcessorSet } from '../processor-set.ts'
import { type QueueModeConfig, type QueueStatus, type SwitchQueues, VMQ_WEIGHT_DEFAULT } from '../queue-config.ts'
import type { PortConfig } from '../switch-config.ts'
import { LoadLook } from './load-look.ts'
import { QUEUE_BUFFERS, QueueAdapter, type Steer } from './queue-adapter.ts'
import { QueuePort } from './queue-port.ts'
import { carryOutForQueue, issueForQueue } from './queue-requests.ts'
import { defaultQueueStatus, framesOf, queueStatusOf } from './queue-status.ts'
import type { QueuedPort } from './queued-port.ts'
import { chooseMove, RESTING_LOOKS } from './rebalancing.ts'

export type VmqAdapterConfig = AdapterConfig & QueueModeConfig & { readonly mode: 'vmq' }

/** Rings of an uplink at the most. */
const RINGS_MAX = 16
/** In the reason of a port that has no queue: there is none left. */
const OUT_OF_QUEUES = ndisStatusName(NdisStatus.resources)

export class SwitchQueueError extends Error {
  override readonly name = 'SwitchQueueError'
  readonly code: 'NO_QUEUE' | 'NO_SUCH_PROCESSOR'

  constructor(code: SwitchQueueError['code'], message: string) {
    super(message)
    this.code = code
  }
}

export interface RunningQueuesComponents {
  readonly memory: SharedMemory
  readonly windows: WindowAllocator
  readonly processors: ProcessorSet
  readonly policies: VmPolicies
  readonly nowMs: () => number
  readonly reasonName: (reason: number) => string
  readonly log: (event: { source: string; code: string; message: string }) => void
  readonly isConnected: (portId: number) => boolean
  readonly encapsulate: Encapsulate
  readonly hasPort: (name: string) => boolean
  readonly unknownPort: (name: string) => Error
  readonly indicate: (adapter: string, indication: AdapterIndication) => void
  /** Has a port's queue pairs polled by a processor, and those that follow. */
  readonly polledFrom: (port: string, processor: number, among: readonly number[]) => Promise<void> | undefined
}

/** An adapter with what the virtualization stack does on it. */
interface Run {
  readonly adapter: QueueAdapter
  readonly stack: VmQueues
  port: QueuePort | null
  timer: NodeJS.Timeout | undefined
  readonly load: LoadLook
}

export class RunningQueues implements SwitchQueues {
  readonly #components: RunningQueuesComponents
  readonly #runs: readonly Run[]
  readonly #ports = new Map<string, QueuedPort>()
  #isStarted = false
  #steps: Promise<unknown> = Promise.resolve()

  constructor(configs: readonly VmqAdapterConfig[], components: RunningQueuesComponents) {
    this.#components = components
    this.#runs = configs.map((config, index) => this.#makeRun(config, index))
  }

  #makeRun(config: VmqAdapterConfig, index: number): Run {
    const { memory, processors, nowMs, indicate } = this.#components
    const adapter = new QueueAdapter(
      { index, config },
      {
        memory,
        processors,
        nowMs,
        event: (code, message) => this.#log(`adapter ${config.name}`, code, message),
        indicate: (indication) => indicate(config.name, indication),
      },
    )
    const stack = new VmQueues({
      request: (request) => issueForQueue(adapter.software.adapter, request, this.#above(adapter, request)),
    })
    return { adapter, stack, port: null, timer: undefined, load: new LoadLook() }
  }

  #log(source: string, code: string, message: string): void {
    this.#components.log({ source, code, message })
  }

  // The switch above the adapter, and the port that a request is for: none while its connection is not there.
  #above({ hostPort }: QueueAdapter, { payload }: AdapterRequest) {
    if (hostPort === 0) return undefined
    const { portId, queueId } = (payload ?? {}) as { portId?: number; queueId?: number }
    const ofQueue = [...this.#ports.values()].find(({ given }) => given?.queueId === queueId)?.id
    const id = portId || ofQueue || 0
    return { encapsulate: this.#components.encapsulate, sourcePortId: id !== 0 && this.#components.isConnected(id) ? id : 0 }
  }

  /** A request that came out below the switch's stack, at its external port; undefined if no adapter of ours stands there. */
  carryOut(portId: number, request: OidRequest): Promise<OidCompletion> | undefined {
    const run = this.#runs.find(({ adapter }) => adapter.hostPort === portId)
    return run && carryOutForQueue(run.adapter.software.adapter, request)
  }

  /** Any OID of an adapter, as an overlying driver called `driver` issues it; undefined if it is none of ours. */
  request(
    name: string,
    request: AdapterRequest,
    driver: string,
  ): Promise<{ readonly status: number; readonly output?: unknown }> | undefined {
    return this.#named(name)?.adapter.software.adapter.request(request, driver)
  }

  #named(name: string): Run | undefined {
    return this.#runs.find(({ adapter }) => adapter.name === name)
  }

  // ---- life of the adapters and of ports ----------------------------------------------------------------------------------

  async start(): Promise<void> {
    for (const { adapter } of this.#runs) await adapter.start()
  }

  /** All ports are there: queues are given by weight from now on. */
  async started(): Promise<void> {
    this.#isStarted = true
    await this.#distribute()
    for (const run of this.#runs) {
      const { rebalanceSeconds } = run.adapter.config
      if (rebalanceSeconds === 0) continue
      this.#look(run)
      const failed = (error: Error): void => this.#log(`adapter ${run.adapter.name}`, 'queue-not-moved', error.message)
      run.timer = setInterval(() => this.#inOrder(() => this.#rebalance(run)).catch(failed), rebalanceSeconds * 1000)
      run.timer.unref()
    }
  }

  /** The control half of the port that an adapter stands below; undefined if it is none of ours. */
  portOf(name: string, place: PortPlace, components: EndpointComponents): EndpointControl | undefined {
    const run = this.#named(name)
    if (!run) return undefined
    const { adapter } = run
    const { windows } = this.#components
    const port: QueuePort = new QueuePort(
      { place, adapter: { index: this.#runs.indexOf(run), name }, uplink: this.#uplinkOf(adapter) },
      {
        ...components,
        windows,
        join: async (uplink) => {
          const steer: Steer = uplink?.steer === undefined ? undefined : (rules, fallback) => uplink.steer!(rules, fallback)
          await adapter.join(place, steer)
          run.port = port
          if (this.#isStarted) setImmediate(() => this.#distribute())
        },
        ringsChanged: (rings) => adapter.ringsChanged(rings, run.stack.list()),
        parting: () => this.#inOrder(() => this.#releaseAll(run)),
        part: async () => {
          run.port = null
          await adapter.part()
        },
      },
    )
    return port
  }

  // Every processor polls a ring of its own, where the uplink can have several.
  #uplinkOf({ config, served }: QueueAdapter): EndpointConfig | null {
    const { uplink, mtu } = config
    if (uplink === null) return null
    const processors = this.#components.processors.clients.length
    if (uplink.kind === 'uplink' && served.length > 1)
      return { ...uplink, queues: Math.min(RINGS_MAX, Math.max(uplink.queues, processors)) }
    return 'mtu' in uplink ? { ...uplink, mtu } : uplink
  }

  /** What an adapter's physical port is connected to, for tools and tests; undefined if it is none of ours. */
  uplink(name: string): EndpointControl | null | undefined {
    const run = this.#named(name)
    return run && (run.port?.uplink ?? null)
  }

  /** A port was created; it gets its queue when the switch knows it. */
  addPort(id: number, { name, mac, vm = name, vmqWeight = VMQ_WEIGHT_DEFAULT }: PortConfig): void {
    if (mac === null || this.#runs.length === 0) return
    const vlan = this.#components.policies.vlan(id)
    const state = { given: null, reason: null, pinned: false, resting: 0, framesBefore: 0 }
    this.#ports.set(name, { id, name, vm, mac, weight: vmqWeight, vlan, ...state })
    if (this.#isStarted) setImmediate(() => this.#distribute())
  }

  /** A port is about to be deleted: its queue is freed, and somebody else may have it. */
  async removePort(name: string): Promise<void> {
    const port = this.#ports.get(name)
    if (!port) return
    await this.#inOrder(async () => {
      this.#ports.delete(name)
      await this.#release(port)
    })
    if (this.#isStarted) await this.#distribute()
  }

  /** The properties of a port changed: its filter follows its VLAN. */
  policiesChanged(portId: number): void {
    const port = [...this.#ports.values()].find(({ id }) => id === portId)
    if (!port || port.vlan === this.#components.policies.vlan(portId)) return
    this.#inOrder(async () => {
      port.vlan = this.#components.policies.vlan(portId)
      await this.#release(port)
    })
      .then(() => this.#distribute())
      .catch((error: Error) => this.#log(`port ${port.name}`, 'queue-not-moved', error.message))
  }

  async close(): Promise<void> {
    this.#isStarted = false
    for (const run of this.#runs) {
      clearInterval(run.timer)
      await this.#inOrder(() => this.#releaseAll(run))
      await run.adapter.stop()
    }
    this.#ports.clear()
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#steps.then(work)
    this.#steps = result.catch(() => undefined)
    return result
  }

  // ---- who gets one -------------------------------------------------------------------------------------------------------

  // The adapter that the switch is connected to.
  #joined(): Run | undefined {
    return this.#runs.find(({ adapter }) => adapter.hostPort !== 0)
  }

  // Ports that want a queue and have none get what is left, the highest weights first; where nothing is left, that of a port of lower weight.
  #distribute(): Promise<void> {
    return this.#inOrder(async () => {
      const run = this.#joined()
      if (!run || !this.#isStarted) return
      const wanting = [...this.#ports.values()].filter(({ given, weight }) => given === null && weight > 0)
      for (const port of wanting.sort((a, b) => b.weight - a.weight)) {
        await this.#assign(run, port)
        if (port.given === null && port.reason?.includes(OUT_OF_QUEUES)) await this.#takeFor(run, port)
      }
    }).catch((error: Error) => this.#log('queues', 'queue-not-assigned', error.message))
  }

  async #assign(run: Run, port: QueuedPort): Promise<void> {
    const { adapter, stack } = run
    const { id, vm, mac, vlan } = port
    const processor = this.#leastUsed(run)
    const given = await stack.assign({ vmName: vm, portId: id, mac, vlan, processors: [processor], buffers: QUEUE_BUFFERS })
    if (given.queueId === 0) {
      if (port.reason === null)
        this.#log(
          `port ${port.name}`,
          'queue-not-assigned',
          `the default queue of adapter "${adapter.name}" serves it: ${given.reason}`,
        )
      port.reason = given.reason
      return
    }
    port.reason = null
    port.given = given
    port.framesBefore = 0
    for (const block of adapter.counters) block.clearPort(given.queueId)
    await adapter.steer(stack.list(), adapter.served[0]!, processor)
    await this.#components.polledFrom(port.name, processor, adapter.served)
  }

  // As vmqWeight says: the port of the lowest weight, if that is below this one's, gives its queue away. Nobody loses it for nothing: if
  // the other can't have it (an extension may refuse), it comes back.
  async #takeFor(run: Run, port: QueuedPort): Promise<void> {
    const list = run.stack.list()
    const holders = [...this.#ports.values()].filter(({ given, weight }) => given && list.includes(given) && weight < port.weight)
    if (holders.length === 0) return
    const holder = holders.reduce((lowest, one) => (one.weight < lowest.weight ? one : lowest))
    await this.#release(holder)
    await this.#assign(run, port)
    await this.#assign(run, holder)
  }

  // The processor that serves the fewest queues, the lowest of several.
  #leastUsed({ adapter, stack }: Run): number {
    const used = new Map(adapter.served.map((processor) => [processor, 0]))
    for (const { queueId } of stack.list()) {
      const processor = adapter.tables.queues.processor(queueId)
      used.set(processor, (used.get(processor) ?? 0) + 1)
    }
    return [...used].reduce((best, one) => (one[1] < best[1] ? one : best))[0]
  }

  async #release(port: QueuedPort): Promise<void> {
    const { given } = port
    const run = given && this.#runs.find(({ stack }) => stack.list().includes(given))
    port.given = null
    port.pinned = false
    if (!run) return
    const processor = run.adapter.tables.queues.processor(given.queueId)
    await run.stack.release(given)
    await run.adapter.steer(run.stack.list(), processor, run.adapter.served[0]!)
  }

  async #releaseAll(run: Run): Promise<void> {
    const list = run.stack.list()
    for (const port of this.#ports.values()) if (port.given && list.includes(port.given)) await this.#release(port)
  }

  // ---- processors -----------------------------------------------------------------------------------------------------------

  // The queue and its frames move first, then the port: its guest's frames wait in its ring while nobody polls it.
  async #move(run: Run, port: QueuedPort, given: VmQueue, to: number): Promise<void> {
    const { adapter, stack } = run
    const from = adapter.tables.queues.processor(given.queueId)
    if (from === to) return
    const status = await stack.setProcessors(given, [to])
    if (status !== NdisStatus.success)
      throw new SwitchQueueError('NO_SUCH_PROCESSOR', `the queue of port "${port.name}" stays: ${ndisStatusName(status)}`)
    await adapter.steer(stack.list(), from, to)
    await this.#components.polledFrom(port.name, to, adapter.served)
  }

  async setProcessor(name: string, processor: number | null): Promise<QueueStatus> {
    return this.#inOrder(async () => {
      const port = this.#ports.get(name)
      if (!port && !this.#components.hasPort(name)) throw this.#components.unknownPort(name)
      const run = this.#joined()
      if (!port?.given || !run) {
        const why = port?.reason ?? (port?.weight === 0 ? 'its vmqWeight is 0' : 'no adapter in VMQ mode serves it')
        throw new SwitchQueueError('NO_QUEUE', `port "${name}" has no queue of its own: ${why}`)
      }
      const { served } = run.adapter
      if (processor !== null && !served.includes(processor))
        throw new SwitchQueueError(
          'NO_SUCH_PROCESSOR',
          `processor ${processor} serves no queues of adapter "${run.adapter.name}": ${served.join(', ')} do`,
        )
      if (processor !== null) await this.#move(run, port, port.given, processor)
      port.pinned = processor !== null
      return queueStatusOf(run.adapter, port, this.#components.reasonName)!
    })
  }

  // Takes down what processors and queues have done, and returns what they did since the last look.
  #look({ adapter, stack, load }: Run) {
    const { nowMs, processors } = this.#components
    const busyNs = processors.counters.map((counters) => counters.readProcessor(ProcessorCounter.busyNs))
    const own = [...this.#ports.values()].flatMap((port) => {
      if (port.given === null || !stack.list().includes(port.given)) return []
      const { queueId: queue } = port.given
      return [{ port, queue, processor: adapter.tables.queues.processor(queue), frames: framesOf(adapter, queue) }]
    })
    return load.take(nowMs(), busyNs, adapter.served, own)
  }

  async #rebalance(run: Run): Promise<void> {
    const { loads, queues } = this.#look(run)
    const move = chooseMove(loads, queues)
    const given = move && run.stack.list().find(({ queueId }) => queueId === move.queue)
    const port = given && [...this.#ports.values()].find((one) => one.given === given)
    if (!port) return
    await this.#move(run, port, given, move!.to)
    port.resting = RESTING_LOOKS
    this.#log(`port ${port.name}`, 'queue-moved', `processor ${move!.to} serves queue ${move!.queue} now, which has less to do`)
  }

  // ---- what is told -----------------------------------------------------------------------------------------------------------

  list(): readonly QueueStatus[] {
    const { reasonName } = this.#components
    return this.#runs.flatMap((run) => {
      const { adapter, stack } = run
      const joined = run === this.#joined()
      const ports = [...this.#ports.values()]
      const own = ports.filter(({ given }) => given !== null && stack.list().includes(given))
      const without = joined ? ports.filter(({ given }) => given === null) : []
      const serves = without.map(({ name, weight, reason }) => ({
        port: name,
        reason: weight === 0 ? 'its vmqWeight is 0' : (reason ?? 'its queue is being made'),
      }))
      const queues = own.map((port) => queueStatusOf(adapter, port, reasonName)!)
      return [defaultQueueStatus(adapter, serves, reasonName), ...queues.sort((a, b) => a.queue - b.queue)]
    })
  }

  /** The adapters, for who asks what there is. */
  adapters(): readonly { readonly config: VmqAdapterConfig; readonly isJoined: boolean }[] {
    return this.#runs.map(({ adapter }) => ({ config: adapter.config as VmqAdapterConfig, isJoined: adapter.hostPort !== 0 }))
  }
}
