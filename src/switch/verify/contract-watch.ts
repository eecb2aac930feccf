// All watched modules of one processor: wraps them, and adds to what the switch itself noticed the packet and entry point in work.
import type { ExtensionClass, ExtensionDefinition } from '../../extension.ts'
import type { BreachLog } from './breach-log.ts'
import { checkedExtension } from './checked-extension.ts'
import type { ModuleWatch } from './module-watch.ts'

export interface WatchLimits {
  /** Packets may be kept that long, in milliseconds of the switch's clock. */
  readonly holdLimitMs: number
  /** A request that is not answered by then counts as never answered, and goes on. */
  readonly oidLimitMs: number
}

const isRule = /^ES-\d{3}$/

/** Rules that forbid a class what another rule forbids all but one. */
const ofClass: Readonly<Record<ExtensionClass, Readonly<Record<string, string>>>> = {
  capturing: { 'ES-412': 'ES-308' },
  filtering: { 'ES-412': 'ES-315' },
  forwarding: {},
}

/** The checking mode of one processor. */
export class ContractWatch {
  readonly log: BreachLog
  readonly #limits: WatchLimits
  readonly #delay: (ms: number) => Promise<void>
  readonly #watches = new Map<string, ModuleWatch>()

  /** `delay` resolves after that many milliseconds. */
  constructor(limits: WatchLimits, log: BreachLog, delay: (ms: number) => Promise<void>) {
    this.log = log
    this.#limits = limits
    this.#delay = delay
  }

  /** `definition` with its modules watched under `name`. */
  watch<Options>(name: string, definition: ExtensionDefinition<Options>): ExtensionDefinition<Options> {
    return checkedExtension(
      definition,
      { name, ...this.#limits },
      { log: this.log, delay: this.#delay, watching: (watch) => this.#watches.set(name, watch) },
    )
  }

  /** Takes what the switch reports of a module, if it is a breach of a rule. Returns false for other reports. */
  takes(module: string, code: string, message: string): boolean {
    if (!isRule.test(code)) return false
    const watch = this.#watches.get(module)
    if (watch) watch.breach(ofClass[watch.class][code] ?? code, message)
    else this.log.report({ module, rule: code, what: message, where: '', packet: 0, oid: '' })
    return true
  }
}
