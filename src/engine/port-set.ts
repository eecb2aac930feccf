// The ports of a running switch by name, with the runners of their endpoints.
import type { PortRunner } from './port-runner.ts'
import { type PortConfig, UnknownPortError } from './switch-config.ts'

/** A port with its endpoint, and those of further physical adapters. */
export interface PortWithRunners {
  readonly runner: PortRunner
  readonly team: readonly PortRunner[]
  readonly config: PortConfig
}

export class PortSet extends Map<string, PortWithRunners> {
  readonly #switchName: string

  constructor(switchName: string) {
    super()
    this.#switchName = switchName
  }

  /** Throws UnknownPortError. */
  find(name: string): PortWithRunners {
    const port = this.get(name)
    if (port) return port
    throw this.unknown(name)
  }

  unknown(name: string): UnknownPortError {
    return new UnknownPortError(
      `switch "${this.#switchName}" has no port "${name}" (it has: ${[...this.keys()].join(', ') || 'none'})`,
    )
  }
}
