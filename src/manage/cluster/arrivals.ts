// Ports that are about to come from other hosts: as long as whoever moves them says so.
//
// The rule it must not break: a port is given up only if whoever moves it has said before that it would go on saying so: one that says it once
// has all the time it needs.
import type { ComingPort } from './config-ports.ts'

/** A port is given up when nothing was heard for so long of who moves it. Signs of life come every 5 s. */
export const SILENCE_MS = 30_000

export interface ArrivalsComponents {
  /** Calls back after `ms` milliseconds, unless it is cancelled. */
  readonly after: (ms: number, work: () => void) => () => void
  /** Nothing was heard of who moves the port. */
  readonly silent: (name: string) => void
}

export class Arrivals {
  readonly #components: ArrivalsComponents
  readonly #ports = new Map<string, ComingPort>()
  readonly #timers = new Map<string, () => void>()

  constructor(components: ArrivalsComponents) {
    this.#components = components
  }

  /** What is about to come, by name. */
  get ports(): ReadonlyMap<string, ComingPort> {
    return this.#ports
  }

  /** A port is to come. Answers whether that was known: then it is a sign of life, and others must follow. */
  expect(name: string, coming: ComingPort): boolean {
    const isKnown = this.#ports.get(name)?.from === coming.from
    this.#ports.set(name, coming)
    this.#timers.get(name)?.()
    this.#timers.delete(name)
    if (isKnown)
      this.#timers.set(
        name,
        this.#components.after(SILENCE_MS, () => this.#components.silent(name)),
      )
    return isKnown
  }

  /** It has come, or will not. Answers whether it was to. */
  forget(name: string): boolean {
    this.#timers.get(name)?.()
    this.#timers.delete(name)
    return this.#ports.delete(name)
  }

  close(): void {
    for (const cancel of this.#timers.values()) cancel()
    this.#timers.clear()
  }
}
