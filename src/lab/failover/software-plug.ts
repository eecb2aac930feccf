// Plugs virtual functions into software guests and out again, in place of a VMM's hot-plug.
//
// The rule it must not break: a guest that is not up yet holds nothing up: it gets its function when it is there.
import type { VfPlug } from '../../engine/adapters/switch-adapters.ts'
import type { SoftwareGuests } from './software-guests.ts'

export interface SoftwarePlugComponents {
  readonly guests: Pick<SoftwareGuests, 'plug' | 'unplug'>
  /** Path of the socket of a port's function. */
  readonly path: (port: string) => string
  readonly log: (event: { source: string; code: string; message: string }) => void
}

export class SoftwarePlug implements VfPlug {
  readonly #components: SoftwarePlugComponents
  /** Ports whose guests are up. */
  readonly #up = new Set<string>()
  /** What is being plugged, or is. */
  readonly #plugged = new Map<string, Promise<void>>()

  constructor(components: SoftwarePlugComponents) {
    this.#components = components
  }

  /** The guest behind `port` is up. */
  started(port: string): void {
    this.#up.add(port)
    if (this.#plugged.has(port)) this.#putIn(port)
  }

  async plug(port: string): Promise<void> {
    if (this.#up.has(port)) this.#putIn(port)
    else this.#plugged.set(port, Promise.resolve())
  }

  async unplug(port: string): Promise<void> {
    const plugging = this.#plugged.get(port)
    this.#plugged.delete(port)
    await plugging
    if (plugging !== undefined && this.#up.has(port)) await this.#components.guests.unplug(port)
  }

  #putIn(port: string): void {
    const { guests, path, log } = this.#components
    this.#plugged.set(
      port,
      guests
        .plug(port, path(port))
        .catch((error: Error) => log({ source: `port ${port}`, code: 'vf-not-plugged', message: error.message })),
    )
  }
}
