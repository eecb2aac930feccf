// What the data path says of modules that fail, are slow or break a rule, and what becomes of the packets that a failed one holds.
//
// The rule it must not break: a module is never named more often than tells something new; packets of a failed one go on past it or are counted.
import { DropReason } from '../ndis/drop-reasons.ts'
import type { DropLog } from './drop-log.ts'
import type { Injections } from './injections.ts'
import type { Module } from './module.ts'

export interface ModuleFaultsComponents {
  readonly injections: Injections
  /** A module failed or broke a rule; for the log. */
  readonly report: (module: string, code: string, message: string) => void
  /** The checking mode: every breach is reported, not only a module's first. */
  readonly reportAll?: boolean
}

export interface ModuleFaultsOwner {
  readonly stack: { readonly observesDrops: boolean }
  readonly lost: DropLog
}

export class ModuleFaults {
  readonly #components: ModuleFaultsComponents
  readonly #owner: ModuleFaultsOwner

  constructor(components: ModuleFaultsComponents, owner: ModuleFaultsOwner) {
    this.#components = components
    this.#owner = owner
  }

  /** It gives nothing back any more: what it holds goes on past it, or is dropped. */
  failed(index: number, module: Module): void {
    const { injections, report } = this.#components
    const { lost, stack } = this.#owner
    const reason = module.onFailure === 'open' ? DropReason.none : DropReason.extensionFailed
    injections.surrender(index, reason === DropReason.none, (slot, ingress) =>
      lost.packet(slot, ingress, reason, stack.observesDrops),
    )
    report(module.name, 'extension-failed', module.lastFault)
  }

  /** It goes on: its packets are late, not lost. */
  slow(module: Module, ms: number, packets: number): void {
    const times = ++module.slowBatches
    if ((times & (times - 1)) !== 0) return // the first, second, fourth … time
    const text = `took ${Math.round(ms)} ms for ${packets} packets; all others waited (${times} times)`
    this.#components.report(module.name, 'extension-slow', text)
  }

  breach(module: Module | undefined, rule: string, detail: string): void {
    if (!module) return
    module.breaches++
    if (module.breaches === 1 || this.#components.reportAll) this.#components.report(module.name, rule, detail)
  }
}
