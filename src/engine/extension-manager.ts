// The extensions of a switch on the control thread: which are enabled, in which order, and every change of that while traffic flows.
//
// The rule it must not break: a change is prepared on all processors before it is committed on any, so a module that refuses leaves
// the stack as it was.

import { rankOf } from '../switch/module.ts'
import { type DefinedProperty, definedProperties } from '../switch/policies/property.ts'
import { checkOrder } from '../switch/stack.ts'
import {
  ExtensionError,
  type ExtensionUse,
  type LoadedExtension,
  type LoaderComponents,
  loadExtension,
  moduleUrl,
  type RecordConsumer,
} from './extension-loader.ts'
import type { ModuleReport } from './messages.ts'
import type { ProcessorSet } from './processor-set.ts'

/** An extension as the configuration has it. */
export interface ExtensionEntry {
  readonly name: string
  /** Absolute path of its module. */
  readonly file: string
  readonly enabled: boolean
  readonly onFailure: 'open' | 'closed'
  readonly options: unknown
  /** FilterRunType: false = optional, the switch goes on without it if it does not attach or restart. Default: mandatory. ES-048 */
  readonly required?: boolean
  /**
   * Takes what its sinks write, in the place of their files. For extensions of the switch's own, which come and go with those who look:
   * their modules don't change meanwhile, so they are loaded once.
   */
  readonly consume?: RecordConsumer
}

/** Versions of modules that two installations of the same file are apart, so that each loads what the file holds then. */
const VERSIONS_APART = 1_000_000

/** What `vmswitch ext` shows. */
export interface ExtensionStatus {
  readonly name: string
  readonly id: string
  readonly version: string
  readonly class: string
  readonly enabled: boolean
  readonly state: string
  readonly onFailure: 'open' | 'closed'
  readonly faults: number
  readonly lastFault: string
  readonly breaches: number
  readonly nsPerPacket: number
  readonly counters: Record<string, number>
  readonly sinks: readonly { name: string; path: string; lost: number }[]
}

interface Slot {
  entry: ExtensionEntry
  loaded: LoadedExtension | undefined
  version: number
  id: string
  extensionVersion: string
  class: 'capturing' | 'filtering' | 'forwarding'
  /** Why an optional extension is not in the stack. */
  problem?: string
}

/** The extensions of one switch. Changes run one at a time. */
export class ExtensionManager {
  readonly #processors: ProcessorSet
  readonly #components: LoaderComponents
  #slots: Slot[] = []
  #installations = 0
  #queue: Promise<unknown> = Promise.resolve()

  constructor(processors: ProcessorSet, components: LoaderComponents) {
    this.#processors = processors
    this.#components = components
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work)
    this.#queue = result.catch(() => undefined)
    return result
  }

  /** Loads the configured extensions and puts the enabled ones into the stack. */
  start(entries: readonly ExtensionEntry[]): Promise<void> {
    return this.#serial(async () => {
      const slots: Slot[] = []
      try {
        for (const entry of entries) {
          const loaded = await loadExtension(this.#use(entry, 0), this.#components)
          const { definition } = loaded
          slots.push({
            entry,
            loaded,
            version: 0,
            id: definition.id,
            extensionVersion: definition.version,
            class: definition.class,
          })
        }
        await this.#change(slots, [])
      } catch (error) {
        for (const slot of slots) await slot.loaded?.close()
        throw error
      }
      for (const slot of slots)
        if (!slot.entry.enabled) {
          await slot.loaded?.close()
          slot.loaded = undefined
        }
    })
  }

  #use(entry: ExtensionEntry, version: number): ExtensionUse {
    const { name, file, onFailure, options, consume } = entry
    return { name, url: moduleUrl(file, version), onFailure, options, consume }
  }

  // Makes `slots` the stack. `fresh`: those to attach; empty means all enabled ones that are not yet attached.
  async #change(slots: Slot[], fresh: readonly Slot[]): Promise<void> {
    const enabled = slots.filter((slot) => slot.entry.enabled && slot.loaded)
    try {
      checkOrder(enabled.map((slot) => ({ name: slot.entry.name, class: slot.class })))
    } catch (error) {
      throw new ExtensionError('REFUSED', (error as Error).message)
    }
    const known = new Set(this.#slots.filter((slot) => slot.entry.enabled && slot.loaded).map((slot) => slot.loaded!.key))
    const toAttach = fresh.length > 0 ? fresh : enabled.filter((slot) => !known.has(slot.loaded!.key))
    const attached: Slot[] = []
    for (const slot of toAttach) {
      const problem = await this.#attach(slot)
      if (problem === undefined) {
        attached.push(slot)
        continue
      }
      if (slot.entry.required ?? true) {
        await this.#abandon(attached)
        throw new ExtensionError('REFUSED', problem) // ES-048, ES-049
      }
      slot.problem = problem
    }
    const order = enabled.filter((slot) => !toAttach.includes(slot) || attached.includes(slot))
    await this.#processors.all(() => ({ kind: 'commit', order: order.map((slot) => slot.loaded!.key) }))
    this.#slots = slots
  }

  // FilterAttach, then FilterRestart, on all processors; what is wrong, if one refuses: then all of them are detached again.
  async #attach(slot: Slot): Promise<string | undefined> {
    const { clients } = this.#processors
    const { key } = slot.loaded!
    const prepared = await Promise.allSettled(
      clients.map((client, i) => client.request({ kind: 'prepare', modules: [slot.loaded!.plan(i)] })),
    )
    let problem = prepared.find((outcome) => outcome.status === 'rejected')?.reason.message as string | undefined
    if (problem === undefined) {
      const refused = await Promise.all(
        clients.map((client) => client.request<{ message: string }[]>({ kind: 'start', keys: [key] })),
      )
      problem = refused.flat()[0]?.message
    }
    if (problem !== undefined) await this.#abandon([slot])
    return problem
  }

  #abandon(slots: readonly Slot[]): Promise<void> {
    return this.#processors.all(() => ({ kind: 'abandon', keys: slots.map((slot) => slot.loaded!.key) }))
  }

  /** Pauses an enabled extension at its place, or restarts it: packets that come to it meanwhile are refused. ES-045, ES-054 */
  setPaused(name: string, paused: boolean): Promise<void> {
    return this.#serial(async () => {
      const { loaded, entry } = this.#find(name)
      if (!loaded || !entry.enabled) throw new ExtensionError('REFUSED', `extension "${name}" is not enabled on this switch`)
      await this.#processors.all(() => ({ kind: paused ? 'pause' : 'resume', key: loaded.key }))
    })
  }

  #find(name: string): Slot {
    const slot = this.#slots.find((candidate) => candidate.entry.name === name)
    if (slot) return slot
    const names = this.#slots.map((candidate) => candidate.entry.name).join(', ') || 'none'
    throw new ExtensionError('NOT_FOUND', `this switch has no extension "${name}" (it has: ${names})`)
  }

  /** Enables or disables an extension (Enable-VMSwitchExtension). */
  setEnabled(name: string, enabled: boolean): Promise<void> {
    return this.#serial(async () => {
      const slot = this.#find(name)
      if (slot.entry.enabled === enabled) return
      const next: Slot = { ...slot, entry: { ...slot.entry, enabled } }
      if (enabled) next.loaded = await loadExtension(this.#use(slot.entry, slot.version), this.#components)
      try {
        await this.#change(
          this.#slots.map((other) => (other === slot ? next : other)),
          enabled ? [next] : [],
        )
      } catch (error) {
        if (enabled) await next.loaded?.close()
        throw error
      }
      if (!enabled) {
        await next.loaded?.close()
        next.loaded = undefined
      }
    })
  }

  /**
   * Installs an extension on the running switch: at the top of its class, nearest to the protocol edge (ES-017), and disabled unless
   * its entry says otherwise (ES-032). The stack stays as it was if the extension can't be loaded or refuses.
   */
  install(entry: ExtensionEntry): Promise<void> {
    return this.#serial(async () => {
      if (this.#slots.some((slot) => slot.entry.name === entry.name))
        throw new ExtensionError('REFUSED', `this switch already has an extension "${entry.name}"; names are unique`)
      const version = entry.consume ? 0 : ++this.#installations * VERSIONS_APART
      const loaded = await loadExtension(this.#use(entry, version), this.#components)
      const { definition } = loaded
      const slot: Slot = {
        entry,
        loaded,
        version,
        id: definition.id,
        extensionVersion: definition.version,
        class: definition.class,
      }
      const top = this.#slots.findIndex((other) => rankOf(other.class) >= rankOf(slot.class))
      const slots = this.#slots.toSpliced(top < 0 ? this.#slots.length : top, 0, slot)
      try {
        if (entry.enabled) await this.#change(slots, [slot])
      } catch (error) {
        await loaded.close()
        throw error
      }
      this.#slots = slots
      if (entry.enabled) return
      await loaded.close()
      slot.loaded = undefined
    })
  }

  /** Takes an extension out of the stack and off the switch. */
  uninstall(name: string): Promise<void> {
    return this.#serial(async () => {
      const slot = this.#find(name)
      await this.#change(
        this.#slots.filter((other) => other !== slot),
        [],
      )
      await slot.loaded?.close()
    })
  }

  /** Puts the extensions into the order of `names`, which must name all of them; within classes only. */
  reorder(names: readonly string[]): Promise<void> {
    return this.#serial(async () => {
      const slots = names.map((name) => this.#find(name))
      if (new Set(slots).size !== this.#slots.length || slots.length !== this.#slots.length)
        throw new ExtensionError('REFUSED', `name all extensions once: ${this.#slots.map((slot) => slot.entry.name).join(', ')}`)
      await this.#change(slots, [])
    })
  }

  /** Loads an extension's module anew and swaps it in, between two bursts. The old one stays if the new one refuses. */
  reload(name: string): Promise<void> {
    return this.#serial(async () => {
      const slot = this.#find(name)
      const version = slot.version + 1
      const loaded = await loadExtension(this.#use(slot.entry, version), this.#components)
      const { definition } = loaded
      const next: Slot = {
        ...slot,
        loaded,
        version,
        id: definition.id,
        extensionVersion: definition.version,
        class: definition.class,
      }
      const slots = this.#slots.map((other) => (other === slot ? next : other))
      if (!slot.entry.enabled) {
        await loaded.close()
        next.loaded = undefined
        this.#slots = slots
        return
      }
      try {
        await this.#change(slots, [next])
      } catch (error) {
        await loaded.close()
        throw error
      }
      await slot.loaded?.close()
    })
  }

  /** Name of the extension at a place in the stack, or with a timer that a processor is in (`Counters.inside`). */
  nameAt(place: number): string | undefined {
    if (place < 0) return this.#slots.find((slot) => slot.loaded?.key === -place)?.entry.name
    return this.#slots.filter((slot) => slot.entry.enabled && slot.loaded && slot.problem === undefined)[place - 1]?.entry.name
  }

  /** The custom properties that the loaded extensions define. */
  properties(): DefinedProperty[] {
    return this.#slots.flatMap(({ entry, loaded }) => definedProperties(entry.name, loaded?.definition.properties))
  }

  /** All extensions, top first, with state and figures. */
  async status(): Promise<ExtensionStatus[]> {
    const reports = new Map<number, ModuleReport>((await this.#processors.modules()).map((report) => [report.key, report]))
    return this.#slots.map((slot) => {
      const report = slot.loaded ? reports.get(slot.loaded.key) : undefined
      return {
        name: slot.entry.name,
        id: slot.id,
        version: slot.extensionVersion,
        class: slot.class,
        enabled: slot.entry.enabled,
        state: report?.state ?? 'detached',
        onFailure: slot.entry.onFailure,
        faults: report?.faults ?? 0,
        lastFault: report?.lastFault ?? slot.problem ?? '',
        breaches: report?.breaches ?? 0,
        nsPerPacket: report?.nsPerPacket ?? 0,
        counters: slot.loaded?.counters() ?? {},
        sinks: slot.loaded?.sinks() ?? [],
      }
    })
  }

  /** Drains the sinks and gives everything back; the processors have stopped. */
  async close(): Promise<void> {
    for (const slot of this.#slots) await slot.loaded?.close()
    this.#slots = []
  }
}
