// All processors of a switch as one: starts them over one shared memory, spreads requests, carries OIDs to the authoritative one.
import { cpus } from 'node:os'
import { SCRATCH_BYTES } from '../endpoints/scratch.ts'
import { CLASSIFY_BYTES } from '../kernels/classify-layout.ts'
import { SWITCHING_BYTES } from '../kernels/layout.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'
import { threadTime } from '../linux/thread-time.ts'
import type { NicStatusIndication, OidCompletion, OidRequest } from '../ndis/oids.ts'
import { POOL_TOTAL_BYTES } from '../ndis/pool.ts'
import type { OidOutcome } from '../switch/control/oid-path.ts'
import type { ViewChange } from '../switch/control/view.ts'
import type { ControlLimits, OidChannel } from '../switch/control.ts'
import { Counters, countersBytes } from '../switch/counters.ts'
import { DATA_PATH_LIST_BYTES } from '../switch/data-path.ts'
import { deliveryListBytes } from '../switch/delivery.ts'
import { DROP_RING_BYTES, DropRingReader } from '../switch/drop-ring.ts'
import { macText } from '../switch/mac-table.ts'
import { systemMonotonicMs } from './clock.ts'
import type { ModuleReport, ProcessorAddresses, Question, Request } from './messages.ts'
import { ProcessorClient } from './processor-client.ts'
import { ProcessorWatch, type ProcessorWatchComponents } from './processor-watch.ts'

export interface ProcessorSetOptions {
  readonly processors: number
  /** Port ids are below this. */
  readonly ports: number
  readonly macEntries: number
  readonly startedMs: number
  /** Pins processor N to host processor pin[N]. */
  readonly pin: readonly number[]
  readonly switchName: string
  readonly switchFriendlyName: string
  readonly limits: Partial<ControlLimits>
  /** The checking mode. */
  readonly verify: boolean
}

export interface ProcessorSetComponents {
  readonly memory: SharedMemory
  readonly kernels: Uint8Array
  readonly shared: Pick<ProcessorAddresses, 'portTable' | 'macTable' | 'reasons' | 'references'>
  readonly report: (module: string, code: string, message: string) => void
  /** A processor died: the switch can't go on. */
  readonly lost: (error: Error) => void
  /** The miniport edge on the control thread. */
  readonly edge: (request: OidRequest) => Promise<OidCompletion>
  /** A status indication of an extension reached the protocol edge. */
  readonly status: (indication: NicStatusIndication) => void
  /** A port sends from the address of another adapter of its VM. */
  readonly failover: (portId: number, mac: string) => Promise<void>
  /** A frame came that is for a provider address of the overlay itself. */
  readonly overlayHeard: (frame: Uint8Array) => void
}

/** Requests that travel together; packets wait for so many at the most. */
const OIDS_PER_MESSAGE = 64

/** The processors of one switch. */
export class ProcessorSet implements OidChannel {
  readonly clients: readonly ProcessorClient[]
  readonly counters: readonly Counters[]
  /** The last drops of each processor. */
  readonly drops: readonly DropRingReader[]

  constructor(options: ProcessorSetOptions, components: ProcessorSetComponents) {
    const { memory, shared } = components
    const addresses = Array.from({ length: options.processors }, () => ({
      ...shared,
      pool: memory.allocate(POOL_TOTAL_BYTES, 4096),
      scratch: memory.allocateForPort(SCRATCH_BYTES),
      list: memory.allocate(DATA_PATH_LIST_BYTES, 4096),
      delivery: memory.allocate(deliveryListBytes(options.ports), 4096),
      switching: memory.allocate(SWITCHING_BYTES),
      classify: memory.allocate(CLASSIFY_BYTES),
      counters: memory.allocate(countersBytes(options.ports), 4096),
      drops: memory.allocate(DROP_RING_BYTES, 4096),
    }))
    this.counters = addresses.map((own) => new Counters(memory.buffer, own.counters, options.ports))
    this.drops = addresses.map((own) => new DropRingReader(memory.buffer, own.drops))
    const hostProcessors = cpus().length // not those this process may use now: a processor may be pinned outside of them
    this.clients = addresses.map(
      (own, index) =>
        new ProcessorClient(
          {
            memory: memory.memory,
            kernels: components.kernels,
            index,
            processors: options.processors,
            ports: options.ports,
            macEntries: options.macEntries,
            addresses: own,
            startedMs: options.startedMs,
            pinTo: (options.pin[index] ?? -1) < hostProcessors ? (options.pin[index] ?? -1) : -1,
            switchName: options.switchName,
            switchFriendlyName: options.switchFriendlyName,
            limits: options.limits,
            verify: options.verify,
          },
          components.report,
          components.lost,
          (question) => this.#answer(question, components),
        ),
    )
  }

  /** Watches them: one that hangs in an extension is told of, and freed. `nameOf`: the extension at a place (`Counters.inside`). */
  watch(nameOf: ProcessorWatchComponents['nameOf'], log: ProcessorWatchComponents['log']): ProcessorWatch {
    const processors = this.clients.map((client, i) => ({
      counters: this.counters[i]!,
      threadTime: () => threadTime(client.thread),
      interrupt: () => client.interrupt(),
      goOn: (place: number, seconds: number) => client.request<void>({ kind: 'interrupted', place, seconds }),
    }))
    return new ProcessorWatch({ processors, nameOf, log, nowMs: systemMonotonicMs })
  }

  /** Settles when all run. */
  async ready(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.ready))
  }

  /** Sends a request to all and waits for all. */
  async all(request: (processor: number) => Request): Promise<void> {
    await Promise.all(this.clients.map((client, i) => client.request(request(i))))
  }

  // What only the control thread or the authoritative processor can do.
  async #answer(question: Question, components: ProcessorSetComponents): Promise<unknown> {
    switch (question.kind) {
      case 'edge':
        return components.edge(question.request)
      case 'status':
        return components.status(question.indication)
      case 'failover':
        return components.failover(question.port, macText(question.low, question.high))
      case 'overlay-heard':
        return components.overlayHeard(question.frame)
      case 'relay':
        return this.clients[0]!.request({ kind: 'originate', key: question.key, request: question.request })
      case 'relay-status':
        return this.clients[0]!.request({ kind: 'indicate', indication: question.indication, from: question.key })
    }
  }

  async issue(request: OidRequest): Promise<OidOutcome> {
    const outcome = await this.clients[0]!.request<OidOutcome>({ kind: 'oid', request })
    const { completion } = outcome
    await Promise.all(this.clients.slice(1).map((client) => client.request({ kind: 'outcome', request, completion })))
    return outcome
  }

  async issueAll(requests: readonly OidRequest[]): Promise<readonly OidOutcome[]> {
    const outcomes: OidOutcome[] = []
    for (let first = 0; first < requests.length; first += OIDS_PER_MESSAGE) {
      const some = requests.slice(first, first + OIDS_PER_MESSAGE)
      const ended = await this.clients[0]!.request<readonly OidOutcome[]>({ kind: 'oids', requests: some })
      const tell = (client: ProcessorClient) =>
        ended.map(({ completion }, i) => client.request({ kind: 'outcome', request: some[i]!, completion }))
      await Promise.all(this.clients.slice(1).flatMap(tell))
      outcomes.push(...ended)
    }
    return outcomes
  }

  publish(change: ViewChange): void {
    for (const client of this.clients) client.request({ kind: 'view', change }).catch(() => undefined)
  }

  activate(): Promise<void> {
    return this.all(() => ({ kind: 'activate' }))
  }

  indicate(indication: NicStatusIndication): Promise<NicStatusIndication | undefined> {
    return this.clients[0]!.request({ kind: 'indicate', indication })
  }

  revoke(portId: number, nicIndex: number): Promise<void> {
    return this.all(() => ({ kind: 'revoke', portId, nicIndex }))
  }

  /** Module states of processor 0, faults of all. */
  async modules(): Promise<ModuleReport[]> {
    const reports = await Promise.all(this.clients.map((client) => client.request<ModuleReport[]>({ kind: 'modules' })))
    return reports[0]!.map((first) => {
      // Matched by key: a change of the stack may have reached one processor and not yet the next.
      const all = reports.flatMap((own) => own.filter((report) => report.key === first.key))
      const worst = all.find((own) => own.state === 'failed') ?? first
      return {
        ...worst,
        faults: all.reduce((sum, own) => sum + own.faults, 0),
        breaches: all.reduce((sum, own) => sum + own.breaches, 0),
      }
    })
  }

  /** Has all take no more frames from outside. What modules hold and inject still goes its way. */
  retire(): void {
    for (const client of this.clients) void client.request({ kind: 'retire' }).catch(() => undefined)
  }

  /** Stops all. */
  async close(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.close()))
  }
}
