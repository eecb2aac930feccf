// The modules of one processor: attaches what the control thread prepared, swaps the stack between two bursts, carries OIDs and status
// indications through it.
//
// The rule it must not break: a stack changes as a whole or not at all, never while a request of the switch is pending (ES-059), and
// every module goes through the states of spec 9.4.
import type { ExtensionDefinition } from '../extension.ts'
import { type NicStatusIndication, Oid, type OidCompletion, type OidRequest } from '../ndis/oids.ts'
import { NdisStatus } from '../ndis/status.ts'
import { type After, type ControlLimits, DEFAULT_CONTROL_LIMITS } from '../switch/control/limits.ts'
import { ModuleControl } from '../switch/control/module-control.ts'
import { type OidOutcome, OidPath, takesRequests } from '../switch/control/oid-path.ts'
import { answerQuery } from '../switch/control/queries.ts'
import { ModuleReferences, PORT_ITSELF } from '../switch/control/references.ts'
import { indicateUp } from '../switch/control/status-path.ts'
import { describeError } from '../switch/describe-error.ts'
import { createSwitchHandle } from '../switch/handle.ts'
import { takeKeptPackets } from '../switch/kept-packets.ts'
import { Module } from '../switch/module.ts'
import { handOver } from './hand-over.ts'
import type { ModulePlan, ModuleReport, Question } from './messages.ts'
import { ModuleTimers } from './module-timers.ts'
import { movedKeys } from './moved-keys.ts'
import type { Processor } from './processor.ts'
import { SinkWriter } from './sink-ring.ts'

type Report = (module: string, code: string, message: string) => void

/** What modules stand in: a processor, or what takes its place under `vmswitch verify`. */
export type ModuleSurroundings = Pick<
  Processor,
  | 'memory'
  | 'pool'
  | 'kernels'
  | 'injections'
  | 'ports'
  | 'reasons'
  | 'counters'
  | 'view'
  | 'references'
  | 'wallClock'
  | 'nowMs'
  | 'timers'
  | 'dataPath'
>

/** Puts something between the stack and a module: the checking mode. */
export type ModuleWrapper = (plan: ModulePlan, definition: ExtensionDefinition) => ExtensionDefinition

export interface ModuleHostOptions {
  readonly index: number
  readonly processors: number
  readonly limits?: Partial<ControlLimits>
}

export interface ModuleHostComponents {
  readonly report: Report
  /** Asks the control thread: for what is done at the miniport edge there, and for what only processor 0 does. */
  readonly ask: (question: Question) => Promise<unknown>
  readonly wrap?: ModuleWrapper
}

const after: After = (ms, callback) => {
  const timer = setTimeout(callback, ms)
  return () => clearTimeout(timer)
}

/** Requests that the miniport edge has nothing to do for: a switch saves and restores by the thousand. */
const ofSaving: ReadonlySet<number> = new Set([Oid.nicSave, Oid.nicSaveComplete, Oid.nicRestore, Oid.nicRestoreComplete])

/** The modules of one processor. */
export class ModuleHost {
  readonly #processor: ModuleSurroundings
  readonly #options: ModuleHostOptions
  readonly #limits: ControlLimits
  readonly #report: Report
  readonly #ask: ModuleHostComponents['ask']
  readonly #wrap: ModuleWrapper
  readonly #modules = new Map<number, Module>()
  readonly #references = new Map<Module, ModuleReferences>()
  readonly #timers: ModuleTimers
  readonly #path: OidPath
  #order: number[] = []

  constructor(processor: ModuleSurroundings, options: ModuleHostOptions, components: ModuleHostComponents) {
    this.#processor = processor
    this.#options = options
    this.#limits = { ...DEFAULT_CONTROL_LIMITS, ...options.limits }
    this.#report = components.report
    this.#ask = components.ask
    this.#timers = new ModuleTimers(
      processor.timers,
      (key) => this.#modules.get(key)?.state === 'failed',
      (key) => {
        processor.counters.inside = -key
      },
    )
    this.#wrap = components.wrap ?? ((_plan, definition) => definition)
    this.#path = new OidPath({
      modules: () => this.#stack(),
      edge: (request) => this.#edge(request),
      references: (module) => this.#references.get(module)!,
      externalPortId: () => processor.view.externalPortId,
      isValidationPort: (portId) => processor.view.port(portId)?.isValidationPort ?? false,
      report: components.report,
      after,
      limitMs: this.#limits.oidMs,
    })
  }

  #stack(): Module[] {
    return this.#order.map((key) => this.#modules.get(key)!)
  }

  // The miniport edge: what it knows it answers here, the rest on the control thread.
  #edge(request: OidRequest): OidCompletion | Promise<OidCompletion> {
    if (ofSaving.has(request.oid)) return { status: NdisStatus.success, supportedRevision: 1 } // ES-470, ES-485
    return answerQuery(request, this.#processor.view) ?? (this.#ask({ kind: 'edge', request }) as Promise<OidCompletion>)
  }

  /** Imports and attaches modules without putting them into the stack. Throws, with all of them detached, if one refuses. */
  async prepare(plans: readonly ModulePlan[]): Promise<void> {
    const attached: number[] = []
    for (const plan of plans) {
      try {
        const { default: definition } = (await import(plan.url)) as { default: ExtensionDefinition }
        this.#modules.set(plan.key, this.#attach(plan, this.#wrap(plan, definition)))
        attached.push(plan.key)
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
    const references = new ModuleReferences(processor.references)
    let module: Module | undefined
    let early = 0
    const control = new ModuleControl({
      class: definition.class,
      references,
      view: processor.view,
      ready: () => module !== undefined && takesRequests(module), // ES-053, ES-254
      originate: (request) => this.#originate(plan.key, request),
      indicate: (indication) => this.#indicate(plan.key, indication),
      handling: () => module && this.#path.handling(module),
      breach: (rule, what) => {
        if (module) module.breaches++
        else early++
        this.#report(plan.name, rule, what)
      },
    })
    const handle = createSwitchHandle(
      {
        name: plan.name,
        id: definition.id,
        class: definition.class,
        processor: this.#options.index,
        processors: this.#options.processors,
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
        counters: processor.counters,
        view: processor.view,
        control,
        wallClock: processor.wallClock,
        nowMs: processor.nowMs,
        every: (intervalMs, callback) => this.#timers.every(plan, intervalMs, callback),
        timer: (callback) => this.#timers.exact(plan, callback),
        log: (message) => this.#report(plan.name, 'log', message),
      },
      () => this.#order.indexOf(plan.key),
    )
    module = new Module(plan.name, definition, plan.onFailure, handle, plan.options)
    module.breaches += early
    this.#references.set(module, references)
    return module
  }

  /**
   * FilterRestart of modules that are not in the stack yet: it goes on as it is meanwhile. Returns those that refused, detached; such a
   * module was Paused before (ES-044, ES-049, AMB-47).
   */
  async start(keys: readonly number[]): Promise<{ key: number; message: string }[]> {
    const refused: { key: number; message: string }[] = []
    for (const key of keys) {
      const module = this.#modules.get(key)!
      const error = await this.#step(module, 'restart', () => module.restart())
      if (error === undefined) continue
      refused.push({ key, message: `extension "${module.name}" refused to restart: ${error}` })
      await this.abandon([key])
    }
    return refused
  }

  // A step of a module's life, at the most as long as the limit; what went wrong, if something did.
  async #step(module: Module, what: 'restart' | 'pause', work: () => void | Promise<void>): Promise<string | undefined> {
    try {
      const done = work()
      if (!(done instanceof Promise)) return undefined
      return await new Promise<string | undefined>((resolve) => {
        const cancel = after(this.#limits.pauseMs, () => {
          const message = `${what} took longer than ${this.#limits.pauseMs} ms`
          this.#report(module.name, `${what}-failed`, message)
          module.state = 'paused'
          resolve(message)
        })
        const end = (message: string | undefined): void => {
          cancel()
          resolve(message)
        }
        done.then(
          () => end(undefined),
          (error: unknown) => {
            this.#report(module.name, `${what}-failed`, describeError(error))
            end(describeError(error))
          },
        )
      })
    } catch (error) {
      this.#report(module.name, `${what}-failed`, describeError(error))
      return error instanceof Error ? error.message : describeError(error)
    }
  }

  /**
   * Makes `order` the stack, top first. Modules that leave, and those that change their place among the others, are paused first; these
   * are restarted at their new place (ES-038). What a module that leaves still holds goes on from its place.
   */
  async commit(order: readonly number[]): Promise<void> {
    const release = await this.#path.hold() // ES-059
    try {
      const before = this.#order
      const moved = movedKeys(before, order).map((key) => this.#modules.get(key)!)
      const leaving = before.filter((key) => !order.includes(key))
      const paused = [...leaving.map((key) => this.#modules.get(key)!), ...moved]
      await this.#all(
        paused.map((module) => () => module.pause()),
        paused,
        'pause',
      )
      const stack = order.map((key) => this.#modules.get(key)!)
      handOver(
        leaving.map((key) => this.#modules.get(key)!),
        stack,
        this.#report,
      )
      this.#processor.dataPath.stack.set(stack)
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
      await this.#restartInPlace(moved)
      await this.abandon(leaving)
    } finally {
      release()
    }
  }

  // Runs steps that end at once within this turn, so that no burst comes between them; waits for those that don't.
  async #all(
    steps: readonly (() => void | Promise<void>)[],
    modules: readonly Module[],
    what: 'restart' | 'pause',
  ): Promise<string[]> {
    const waiting: Promise<string | undefined>[] = []
    const failed: string[] = []
    for (const [i, step] of steps.entries()) {
      const module = modules[i]!
      let done: void | Promise<void>
      try {
        done = step()
      } catch (error) {
        this.#report(module.name, `${what}-failed`, describeError(error))
        failed.push(module.name)
        continue
      }
      if (!(done instanceof Promise)) continue
      waiting.push(this.#step(module, what, () => done))
    }
    if (waiting.length === 0) return failed
    this.#processor.dataPath.stack.compile() // it refuses packets for modules that are not running (ES-054)
    for (const [i, error] of (await Promise.all(waiting)).entries()) if (error !== undefined) failed.push(modules[i]!.name)
    return failed
  }

  async #restartInPlace(modules: readonly Module[]): Promise<void> {
    if (modules.length === 0) return
    await this.#all(
      modules.map((module) => () => module.restart()),
      modules,
      'restart',
    )
    for (const module of modules) if (module.state === 'paused') module.fail(new Error('the module refused to restart')) // ES-049: its policy decides
    this.#processor.dataPath.stack.compile()
  }

  /** Pauses a module at its place: packets that come to it are refused until it is resumed. ES-045, ES-054, ES-056 */
  async pause(key: number): Promise<void> {
    const module = this.#modules.get(key)
    if (module?.state !== 'running') return
    await this.#all([() => module.pause()], [module], 'pause')
    // What it has not given back goes on from its place: a paused module keeps nothing.
    this.#processor.injections.surrender(this.#order.indexOf(key), true, () => {})
    this.#processor.dataPath.stack.compile()
  }

  /** Restarts a module that was paused at its place. */
  async resume(key: number): Promise<void> {
    const module = this.#modules.get(key)
    if (module?.state !== 'paused') return
    const release = await this.#path.hold() // ES-059
    try {
      await this.#restartInPlace([module])
    } finally {
      release()
    }
  }

  /** Detaches modules that are not in the stack. ES-046, ES-047 */
  async abandon(keys: readonly number[]): Promise<void> {
    for (const key of keys) {
      this.#timers.end(key)
      const module = this.#modules.get(key)
      if (!module) continue
      if (module.state === 'running') await this.#step(module, 'pause', () => module.pause())
      try {
        module.detach()
      } catch (error) {
        this.#report(module.name, 'detach-failed', describeError(error))
      }
      const left = this.#references.get(module)?.releaseAll() ?? 0
      if (left > 0) this.#report(module.name, 'ES-142', `left ${left} references behind when it was detached`)
      this.#references.delete(module)
      this.#modules.delete(key)
    }
  }

  /** Carries a request of the protocol edge down the stack (spec 4.1). */
  oid(request: OidRequest): Promise<OidOutcome> {
    return this.#path.issue(request)
  }

  // A module's own request: through the modules below it on the authoritative processor.
  #originate(key: number, request: OidRequest): Promise<OidCompletion> {
    if (this.#options.index === 0) return this.originate(key, request)
    return this.#ask({ kind: 'relay', key, request }) as Promise<OidCompletion>
  }

  /** Carries a request that an instance of module `key` issued. */
  async originate(key: number, request: OidRequest): Promise<OidCompletion> {
    const module = this.#modules.get(key)
    if (!module) return { status: NdisStatus.failure }
    return this.#path.originate(module, request)
  }

  #indicate(key: number, indication: NicStatusIndication): void {
    if (this.#options.index === 0) this.indicateFrom(key, indication)
    else void this.#ask({ kind: 'relay-status', key, indication })
  }

  /** Takes an indication of module `key` up; what reaches the protocol edge is told to the control thread. */
  indicateFrom(key: number, indication: NicStatusIndication): void {
    const arrived = indicateUp(this.#stack(), Math.max(0, this.#order.indexOf(key)), indication, this.#report)
    if (arrived) void this.#ask({ kind: 'status', indication: arrived })
  }

  /** Takes an indication up from the miniport edge. */
  indicate(indication: NicStatusIndication): NicStatusIndication | undefined {
    return indicateUp(this.#stack(), this.#order.length, indication, this.#report)
  }

  /** NetEventSwitchActivate, from the bottom up. What a handler returns or throws changes nothing (ES-076). */
  activate(): void {
    for (const module of this.#stack().reverse())
      if (takesRequests(module))
        try {
          module.handlers.activate?.()
        } catch (error) {
          this.#report(module.name, 'activate-failed', describeError(error))
        }
  }

  /** Takes from all modules their references on an object, and the packets of a connection: they kept them too long. */
  revoke(portId: number, nicIndex: number): void {
    if (nicIndex !== PORT_ITSELF) takeKeptPackets(portId, this.#processor, this.#report) // ES-208
    for (const [module, references] of this.#references) {
      const revoked = references.revoke(portId, nicIndex)
      if (revoked === 0) continue
      module.breaches++
      const what = nicIndex === PORT_ITSELF ? `port ${portId}` : `connection ${portId}/${nicIndex}`
      this.#report(
        module.name,
        nicIndex === PORT_ITSELF ? 'ES-145' : 'ES-219',
        `kept ${revoked} references on ${what}, which is going`,
      )
    }
  }

  /** Tells this processor's instances how a request ended that processor 0 carried. */
  outcome(request: OidRequest, completion: OidCompletion): void {
    for (const module of this.#stack()) this.#path.complete(module, request, completion)
  }

  /** A module was interrupted that did not return: it has failed. `place`: where, as in `Counters.inside`. */
  interrupted(place: number, error: string): void {
    const at = place > 0 ? place - 1 : this.#order.indexOf(-place)
    if (at in this.#order) this.#processor.dataPath.completionFailed(at, error)
    else this.#modules.get(-place)?.fail(error)
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
  close(): Promise<void> {
    return this.commit([])
  }
}
