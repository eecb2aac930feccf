// The modules of one processor: attaches what the control thread prepared, swaps the stack between two bursts, carries OIDs through it.
//
// The rule it must not break: a stack changes as a whole or not at all, and a request in flight goes on through the modules it met
// that are still there.
import type { ExtensionDefinition } from '../extension.ts'
import type { OidCompletion, OidRequest } from '../ndis/oids.ts'
import { alwaysForwarded, Oid, oidName } from '../ndis/oids.ts'
import { NdisStatus, ndisStatusName } from '../ndis/status.ts'
import { describeError } from '../switch/describe-error.ts'
import { createSwitchHandle } from '../switch/handle.ts'
import { Module } from '../switch/module.ts'
import type { ModulePlan, ModuleReport } from './messages.ts'
import type { Processor } from './processor.ts'
import { SinkWriter } from './sink-ring.ts'

type Report = (module: string, code: string, message: string) => void

const isCreate = (oid: number): boolean => oid === Oid.portCreate || oid === Oid.nicCreate

/** What modules stand in: a processor, or what takes its place under `vmswitch verify`. */
export type ModuleSurroundings = Pick<
  Processor,
  | 'memory'
  | 'pool'
  | 'kernels'
  | 'injections'
  | 'ports'
  | 'reasons'
  | 'view'
  | 'wallClock'
  | 'nowMs'
  | 'timers'
  | 'dataPath'
  | 'countDropped'
>

/** Puts something between the stack and a module: the checking mode. */
export type ModuleWrapper = (plan: ModulePlan, definition: ExtensionDefinition) => ExtensionDefinition

/** The modules of one processor. */
export class ModuleHost {
  readonly #processor: ModuleSurroundings
  readonly #index: number
  readonly #processors: number
  readonly #report: Report
  readonly #wrap: ModuleWrapper
  readonly #modules = new Map<number, Module>()
  readonly #timers = new Map<number, Set<() => void>>()
  #order: number[] = []

  constructor(
    processor: ModuleSurroundings,
    index: number,
    processors: number,
    report: Report,
    wrap: ModuleWrapper = (_plan, definition) => definition,
  ) {
    this.#wrap = wrap
    this.#processor = processor
    this.#index = index
    this.#processors = processors
    this.#report = report
  }

  /** Imports and attaches modules without putting them into the stack. Throws, with all of them detached, if one refuses. */
  async prepare(plans: readonly ModulePlan[]): Promise<void> {
    const attached: number[] = []
    for (const plan of plans) {
      try {
        const { default: definition } = (await import(plan.url)) as { default: ExtensionDefinition }
        attached.push(plan.key)
        this.#modules.set(plan.key, this.#attach(plan, this.#wrap(plan, definition)))
      } catch (error) {
        this.abandon(attached)
        const reason = error instanceof Error ? error.message : describeError(error)
        throw new Error(`extension "${plan.name}" refused to attach: ${reason}`)
      }
    }
  }

  #attach(plan: ModulePlan, definition: ExtensionDefinition): Module {
    const processor = this.#processor
    const { buffer } = processor.memory
    const handle = createSwitchHandle(
      {
        name: plan.name,
        processor: this.#index,
        processors: this.#processors,
        counters: new Float64Array(buffer, plan.counters.at, plan.counters.count),
        shared: new Map(plan.shared.map(({ name, at, bytes }) => [name, new Int32Array(buffer, at, bytes >> 2)])),
        sinks: new Map(plan.sinks.map(({ name, at, bytes, doorbell }) => [name, new SinkWriter(buffer, at, bytes, doorbell)])),
      },
      {
        pool: processor.pool,
        kernels: processor.kernels,
        injections: processor.injections,
        ports: processor.ports,
        reasons: processor.reasons,
        view: processor.view,
        wallClock: processor.wallClock,
        nowMs: processor.nowMs,
        every: (intervalMs, callback) => this.#every(plan, intervalMs, callback),
        log: (message) => this.#report(plan.name, 'log', message),
        dropped: (slot, reason) => processor.countDropped(slot, reason),
      },
      () => this.#order.indexOf(plan.key),
    )
    return new Module(plan.name, definition, plan.onFailure, handle, plan.options)
  }

  // A timer ends with its module, and stands still while the module is failed.
  #every(plan: ModulePlan, intervalMs: number, callback: () => void): () => void {
    let own = this.#timers.get(plan.key)
    if (!own) {
      own = new Set()
      this.#timers.set(plan.key, own)
    }
    const timers = own
    const run = (): void => {
      if (this.#modules.get(plan.key)?.state !== 'failed') callback()
    }
    const end = this.#processor.timers.every(intervalMs, run, plan.name)
    const stop = (): void => {
      timers.delete(stop)
      end()
    }
    timers.add(stop)
    return stop
  }

  /** Makes `order` the stack, top first. Modules not in it are paused and detached; packets they hold go on from their place. */
  commit(order: readonly number[]): void {
    const before = this.#order
    const modules = order.map((key) => this.#modules.get(key)!)
    for (const module of modules)
      try {
        module.restart()
      } catch (error) {
        module.fail(error)
        this.#report(module.name, 'extension-failed', module.lastFault)
      }
    this.#processor.dataPath.stack.set(modules)
    for (const key of before) if (!order.includes(key)) this.#guarded(key, 'pause-failed', (module) => module.pause())
    // A held packet of a module that left goes on below the nearest module above that is still there.
    const above = (old: number): number => {
      for (let i = old - 1; i >= 0; i--) {
        const at = order.indexOf(before[i]!)
        if (at >= 0) return at
      }
      return -1
    }
    this.#processor.injections.remap((old) => order.indexOf(before[old] ?? Number.NaN), above)
    this.#order = [...order]
    this.abandon(before.filter((key) => !order.includes(key)))
  }

  /** Detaches modules that are not in the stack. */
  abandon(keys: readonly number[]): void {
    for (const key of keys) {
      for (const stop of [...(this.#timers.get(key) ?? [])]) stop()
      this.#timers.delete(key)
      this.#guarded(key, 'detach-failed', (module) => module.detach())
      this.#modules.delete(key)
    }
  }

  #guarded(key: number, code: string, work: (module: Module) => void): void {
    const module = this.#modules.get(key)
    if (!module) return
    try {
      work(module)
    } catch (error) {
      this.#report(module.name, code, describeError(error))
    }
  }

  /** Carries a request down the stack; what nobody completes succeeds at the miniport edge. Completions go up again (spec 4.1). */
  async oid(request: OidRequest): Promise<OidCompletion> {
    Object.freeze(request.payload) // ES-247
    const forwarded: Module[] = []
    let completion: OidCompletion = { status: NdisStatus.success }
    for (const key of [...this.#order]) {
      const module = this.#modules.get(key)
      if (!module || module.state === 'failed' || module.state === 'detached') continue
      const verdict = await this.#ask(module, request)
      if (verdict !== undefined && verdict !== 'forward' && this.#mayComplete(module, request, verdict)) {
        completion = verdict
        break
      }
      forwarded.push(module)
    }
    for (const module of forwarded.reverse()) this.#complete(module, request, completion)
    return completion
  }

  // A completion that the contract does not allow is a breach, and the request goes on as if it had been forwarded.
  #mayComplete(module: Module, request: OidRequest, verdict: OidCompletion): boolean {
    const breach = (rule: string, what: string): boolean => {
      module.breaches++
      this.#report(module.name, rule, `${what} ${oidName(request.oid)}, which must be forwarded`)
      return false
    }
    if (module.class === 'capturing') return breach('ES-250', 'a capturing extension completed')
    if (alwaysForwarded.has(request.oid)) return breach('ES-248', 'an extension completed')
    if (!Number.isInteger(verdict?.status)) return breach('ES-249', 'an extension answered with no NDIS status')
    if (isCreate(request.oid) && verdict.status === NdisStatus.success)
      return breach('ES-114', `an extension completed with ${ndisStatusName(verdict.status)}`)
    return true
  }

  async #ask(module: Module, request: OidRequest): Promise<undefined | 'forward' | OidCompletion> {
    try {
      return await module.handlers.oid?.(request)
    } catch (error) {
      this.#report(module.name, 'oid-failed', describeError(error))
      return 'forward'
    }
  }

  #complete(module: Module, request: OidRequest, completion: OidCompletion): void {
    if (module.state === 'detached') return
    try {
      module.handlers.oidComplete?.(request, completion)
    } catch (error) {
      this.#report(module.name, 'oid-failed', describeError(error))
    }
  }

  /** Tells this processor's instances how a request ended that processor 0 carried. */
  outcome(request: OidRequest, completion: OidCompletion): void {
    for (const key of this.#order) {
      const module = this.#modules.get(key)
      if (module) this.#complete(module, request, completion)
    }
  }

  /** States and figures of the stack's modules, top first. */
  reports(): ModuleReport[] {
    return this.#order.map((key) => {
      const module = this.#modules.get(key)!
      return {
        key,
        name: module.name,
        state: module.state,
        faults: module.faults,
        lastFault: module.lastFault,
        breaches: module.breaches,
        nsPerPacket: module.sampledPackets === 0 ? 0 : module.sampledNs / module.sampledPackets,
      }
    })
  }

  /** Detaches everything. */
  close(): void {
    this.commit([])
  }
}
