// The timers of the modules of one processor: a timer ends with its module, and stands still while the module is failed.
import type { Timer } from '../extension.ts'
import type { ModulePlan } from './messages.ts'
import type { Timers } from './timers.ts'

type Owner = Pick<ModulePlan, 'key' | 'name'>

export class ModuleTimers {
  readonly #timers: Timers
  readonly #isFailed: (key: number) => boolean
  readonly #inside: (key: number) => void
  readonly #ends = new Map<number, Set<() => void>>()

  /** `isFailed` tells whether the module with a key is; `inside` hears whose timer is called, 0 when it has returned. */
  constructor(timers: Timers, isFailed: (key: number) => boolean, inside: (key: number) => void) {
    this.#timers = timers
    this.#isFailed = isFailed
    this.#inside = inside
  }

  /** `SwitchHandle.every` of a module. */
  every(owner: Owner, intervalMs: number, callback: () => void): () => void {
    const own = this.#endsOf(owner)
    const end = this.#timers.every(intervalMs, this.#unlessFailed(owner, callback), owner.name)
    const stop = (): void => {
      own.delete(stop)
      end()
    }
    own.add(stop)
    return stop
  }

  /** `SwitchHandle.timer` of a module. */
  exact(owner: Owner, callback: () => void): Timer {
    const { timer, end } = this.#timers.exact(this.#unlessFailed(owner, callback), owner.name)
    this.#endsOf(owner).add(end)
    return timer
  }

  /** Ends all timers of the module with this key. */
  end(key: number): void {
    for (const end of [...(this.#ends.get(key) ?? [])]) end()
    this.#ends.delete(key)
  }

  #unlessFailed(owner: Owner, callback: () => void): () => void {
    return () => {
      if (this.#isFailed(owner.key)) return
      this.#inside(owner.key)
      try {
        callback()
      } finally {
        this.#inside(0)
      }
    }
  }

  #endsOf({ key }: Owner): Set<() => void> {
    const known = this.#ends.get(key)
    if (known) return known
    const ends = new Set<() => void>()
    this.#ends.set(key, ends)
    return ends
  }
}
