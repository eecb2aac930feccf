// A service: the store, the switch that runs as the store has it, and `apply`, which makes both what a configuration says.
//
// The rule it must not break: what runs and what is stored are the same whenever something is acknowledged; if both can't be had, neither
// has changed.

import type { ImposedPolicy } from '../../switch/policies/imposed.ts'
import { type Plan, planChanges } from '../apply/plan.ts'
import type { PropertyNames } from '../apply/property-diff.ts'
import { stepsOf } from '../apply/steps.ts'
import { ApplyError, carryOut, type Done } from '../apply/transaction.ts'
import type { ClusterCalls } from '../cluster/cluster-calls.ts'
import { ConfigError } from '../config/diagnostics.ts'
import { checkSource } from '../config/load.ts'
import { systemComponents } from '../config/resolve.ts'
import type { ResolvedConfig, ResolvedPort } from '../config/types.ts'
import { ControlError, problemOf } from '../control/control-errors.ts'
import type { EventLog, RemoteSwitchHost } from '../host.ts'
import { type StartedSwitch, startSwitch } from '../start-switch.ts'
import { keptOf, NOTHING_KEPT } from '../store/kept.ts'
import { SCHEMA_VERSION } from '../store/migrations.ts'
import { identifiedConfig, type StoredState } from '../store/state.ts'
import type { StateStore } from '../store/state-store.ts'
import { capturedConfig, capturedPort } from './capture-state.ts'
import { placeKept } from './place-kept.ts'
import type { ApplyReport, ApplyRequest, ServiceCalls, ServiceStatus } from './service-calls.ts'
import { storedHost } from './stored-host.ts'

export interface ServiceOptions {
  readonly stateDirectory: string
  /** The control socket, which takes the place of the one in configurations. */
  readonly control: string
}

export interface ServiceComponents {
  readonly store: StateStore
  readonly log: EventLog
  /** The switch can't go on. */
  readonly fatal: (error: Error) => void
  /** What is stored, or runs, has changed. */
  readonly changed?: (() => void) | undefined
  /** What a network imposes on ports from their first frame on. */
  readonly imposed?: (() => readonly ImposedPolicy[]) | undefined
}

export class SwitchService implements ServiceCalls {
  readonly #options: ServiceOptions
  readonly #components: ServiceComponents
  /** The switch for those who manage it. */
  readonly host: RemoteSwitchHost
  #state: StoredState | null
  #started: StartedSwitch | null = null
  #listen: string | null = null
  /** The network of hosts that the service is in, or can join. */
  cluster: ClusterCalls | undefined
  #queue: Promise<unknown> = Promise.resolve()

  constructor(options: ServiceOptions, components: ServiceComponents) {
    this.#options = options
    this.#components = components
    this.#state = components.store.load()
    this.host = storedHost({
      current: () => this.#current(),
      change: (work, next, undo) => this.#inOrder(() => this.#change(work, next, undo)),
    })
  }

  /** Starts what the store holds; nothing if it is empty. */
  start(): Promise<void> {
    return this.#inOrder(async () => {
      if (this.#state !== null) this.#started = await this.#run(this.#state)
    })
  }

  /** Starts with a configuration in place of what the store holds. */
  async startWith(request: ApplyRequest): Promise<void> {
    const config = this.#resolve(request)
    await this.#inOrder(async () => {
      const after = appliedState(this.#state, config)
      await this.#restart(null, after)
    })
  }

  /** The switch that runs; null while there is none. */
  get started(): StartedSwitch | null {
    return this.#started
  }

  /** The configuration that is stored; null: none. */
  get stored(): ResolvedConfig | null {
    return this.#state?.config ?? null
  }

  /** A port as the switch has it, stored or only prepared for a migration; null: it has none of this name. */
  portNow(name: string): ResolvedPort | null {
    const port = this.#started?.settings.get(name)
    return port === undefined ? null : capturedPort(port, this.#started!.running)
  }

  /** Names of the ports on which a network imposes a policy of this name. */
  imposedOn(policy: string): readonly string[] {
    const running = this.#started?.running
    const ports = running?.ports() ?? []
    return ports.filter(({ id }) => running?.policies.imposedOn(id).some(({ name }) => name === policy)).map(({ name }) => name)
  }

  /** The API is served at HOST:PORT too. */
  listensAt(address: string): void {
    this.#listen = address
  }

  async service(): Promise<ServiceStatus> {
    const { stateDirectory, control } = this.#options
    return {
      stateDirectory,
      revision: this.#components.store.revision,
      schemaVersion: SCHEMA_VERSION,
      switch: this.#state?.config.switch.name ?? null,
      control,
      listen: this.#listen,
    }
  }

  async configuration(): Promise<ResolvedConfig | null> {
    return this.#state?.config ?? null
  }

  async apply(request: ApplyRequest): Promise<ApplyReport> {
    const config = this.#resolve(request)
    return this.#inOrder(async () => {
      const before = this.#state
      const plan = planChanges(before?.config ?? null, config, this.#propertyNames())
      const report = (applied: boolean): ApplyReport => ({
        changes: plan.changes,
        restart: plan.restart && before !== null,
        applied,
        revision: this.#components.store.revision,
      })
      if (request.dryRun === true || plan.changes.length === 0) return report(false)
      if (plan.restart && before !== null && request.restart !== true) throw needsRestart(plan)
      const after = appliedState(before, config)
      if (plan.restart) await this.#restart(before, after)
      else await this.#carryOut(plan, after)
      this.#log('applied', `${config.file}: ${plan.changes.length} changes`)
      return report(true)
    })
  }

  removeSwitch(): Promise<{ readonly revision: number }> {
    return this.#inOrder(async () => {
      this.#current()
      const { name } = this.#state!.config.switch
      this.#components.store.commit(null)
      this.#state = null
      const started = this.#started
      this.#started = null
      await started?.close()
      this.#log('switch-removed', `switch ${name} is removed`)
      return { revision: this.#components.store.revision }
    })
  }

  /** Stops the switch. The store keeps what it has. */
  close(): Promise<void> {
    return this.#inOrder(async () => {
      const started = this.#started
      this.#started = null
      await started?.close()
    })
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work)
    this.#queue = result.catch(() => undefined)
    void this.#queue.then(() => this.#components.changed?.())
    return result
  }

  #current(): StartedSwitch {
    if (this.#started !== null) return this.#started
    throw new ControlError('no-switch', 'this service has no switch yet: give it one with vmswitch apply FILE')
  }

  #log(code: string, message: string): void {
    this.#components.log({ source: 'service', code, message })
  }

  #resolve({ config: data, file }: ApplyRequest): ResolvedConfig {
    const source = { file, lines: [], data, placeOfValue: () => null, placeOfKey: () => null }
    try {
      const config = checkSource(source, file, systemComponents())
      const { control } = this.#options
      return { ...config, runtime: { ...config.runtime, control }, guests: [] }
    } catch (error) {
      if (error instanceof ConfigError) throw new ControlError('bad-request', error.message)
      throw error
    }
  }

  /** Names of custom properties that the extensions of the running switch define. */
  #propertyNames(): PropertyNames {
    const running = this.#started?.running
    if (running === undefined) return new Map()
    const ports = this.#state?.config.switch.ports ?? []
    const withCustom = ports.filter(({ properties = [] }) => properties.some(({ type }) => type === 'custom'))
    const scopes = [undefined, ...withCustom.map(({ name }) => running.portId(name))]
    return new Map(
      scopes.flatMap((scope) => running.policies.list(scope).map(({ name, propertyId }) => [name, propertyId] as const)),
    )
  }

  // Starts the switch of a state. What can't be set of its VFs is told, since a guest may not be there yet.
  async #run(state: StoredState): Promise<StartedSwitch> {
    const { log, fatal, imposed } = this.#components
    const started = await startSwitch(state.config, { log, fatal, imposed })
    for (const { adapter, vf, words } of state.vfs)
      await started.running.adapters.set(adapter, vf, words).catch((error: Error) => {
        log({ source: `adapter ${adapter}`, code: 'vf-setting-refused', message: `VF ${vf}: ${error.message}` })
      })
    await placeKept(state.kept ?? NOTHING_KEPT, started.host, log)
    return started
  }

  async #restart(before: StoredState | null, after: StoredState): Promise<void> {
    await this.#started?.close()
    this.#started = null
    let started: StartedSwitch | null = null
    try {
      started = await this.#run(after)
      this.#store({ ...after, config: capturedConfig(after.config, started.running) })
      this.#started = started
    } catch (error) {
      await started?.close()
      if (before !== null) await this.#runAgain(before)
      const { code, message } = problemOf(error).problem
      if (code === 'not-stored') throw error
      throw new ControlError(code === 'internal' ? 'refused' : code.toLowerCase(), `nothing was applied: ${message}`)
    }
  }

  /** Puts the switch back that ran before; without it there is nothing that the service could go on with. */
  async #runAgain(state: StoredState): Promise<void> {
    try {
      this.#started = await this.#run(state)
    } catch (error) {
      this.#components.fatal(error instanceof Error ? error : new Error(String(error)))
    }
  }

  async #carryOut(plan: Plan, after: StoredState): Promise<void> {
    const current = this.#current()
    let done: Done
    try {
      done = await carryOut(stepsOf(plan, current))
    } catch (error) {
      if (error instanceof ApplyError) await this.#mend(error.leftovers)
      throw error
    }
    try {
      this.#store({ ...after, config: capturedConfig(after.config, current.running) })
    } catch (error) {
      await this.#mend(await done.undo())
      throw error
    }
    await placeKept(after.kept ?? NOTHING_KEPT, current.host, this.#components.log)
  }

  // What could not be undone leaves a switch that is not the stored one: it starts anew from the store.
  async #mend(leftovers: readonly string[]): Promise<void> {
    if (leftovers.length === 0 || this.#state === null) return
    for (const leftover of leftovers) this.#log('undo-failed', `${leftover}; the switch starts anew`)
    await this.#started?.close()
    this.#started = null
    await this.#runAgain(this.#state)
  }

  #store({ kept, ...rest }: StoredState): void {
    const state = kept === undefined ? rest : { ...rest, kept: keptOf(kept, rest.config) }
    this.#components.store.commit(state)
    this.#state = state
  }

  async #change<T>(
    work: () => Promise<T>,
    next: (state: StoredState, result: T) => StoredState,
    undo?: () => Promise<unknown>,
  ): Promise<T> {
    this.#current()
    const before = this.#state!
    const result = await work()
    const after = next(before, result)
    try {
      this.#store(after)
    } catch (error) {
      await (undo === undefined ? this.#takeBack(after, before) : this.#undo(undo))
      throw error
    }
    return result
  }

  async #undo(undo: () => Promise<unknown>): Promise<void> {
    try {
      await undo()
    } catch (error) {
      await this.#mend([(error as Error).message])
    }
  }

  async #takeBack(after: StoredState, before: StoredState): Promise<void> {
    try {
      await carryOut(stepsOf(planChanges(after.config, before.config, this.#propertyNames()), this.#current()))
    } catch (error) {
      await this.#mend([(error as Error).message])
    }
  }
}

function needsRestart({ changes }: Plan): ControlError {
  const what = changes
    .filter(({ how }) => how === 'restart')
    .map(({ kind, name, details }) => `${kind} ${name} (${details.join('; ')})`)
  return new ControlError(
    'needs-restart',
    `this needs the whole switch to start anew, its guests lose their connections for a moment: ${what.join(', ')}. Allow it with --restart`,
  )
}

/** What is stored once `config` is applied. */
const appliedState = (before: StoredState | null, config: ResolvedConfig): StoredState => ({
  config: identifiedConfig(config),
  vfs: vfsLeft(before, config),
  ...(before?.kept === undefined ? {} : { kept: before.kept }),
})

/** Settings of VFs that the configuration still has. */
const vfsLeft = (before: StoredState | null, { adapters = [] }: ResolvedConfig): StoredState['vfs'] =>
  (before?.vfs ?? []).filter(({ adapter, vf }) => adapters.some(({ name, vfs }) => name === adapter && vf < vfs))
