// The control half of a virtual function: the vfio-user socket, and who may connect to the function behind it.
//
// The rule it must not break: one client at a time, and when it goes, all it brought goes with it before the next is served; the
// function and its block live as long as the endpoint is open.
import type { VirtualFunction } from '../../adapter/igbvf/virtual-function.ts'
import { closeFd, type Watcher, watchFd } from '../../linux/files.ts'
import { acceptFrom, listenAt, removeSocket, socketIdentity } from '../../linux/sockets.ts'
import type { EndpointControl } from '../endpoint.ts'
import { Steps } from '../steps.ts'
import { ServedFunction, type VfComponents, type VfOptions } from './served-function.ts'

/** The control half of one function. */
export class VfEndpoint implements EndpointControl {
  readonly kind = 'vf'
  readonly #options: VfOptions
  readonly #components: VfComponents
  readonly #steps: Steps
  #served: ServedFunction | null = null
  #listener = -1
  #identity = ''
  #watcher: Watcher | null = null
  #connections = 0

  constructor(options: VfOptions, components: VfComponents) {
    this.#options = options
    this.#components = components
    this.#steps = new Steps((error) => this.#event('vf-failed', error instanceof Error ? error.message : String(error)))
  }

  open(): Promise<void> {
    return this.#steps.run(async () => {
      const { path } = this.#options
      this.#listener = listenAt(path)
      this.#identity = socketIdentity(path)
      try {
        this.#served = new ServedFunction(this.#options, this.#components, (code, message) => this.#event(code, message))
        this.#watcher = watchFd(this.#listener, () => this.#accept())
        await this.#components.events.plans([this.#served.plan], [])
      } catch (error) {
        await this.#close()
        throw error
      }
    })
  }

  close(): Promise<void> {
    return this.#steps.run(() => this.#close())
  }

  /** The function itself, for its owner: reset, link, power, configuration space. Throws while the endpoint is closed. */
  get function(): VirtualFunction {
    if (!this.#served) throw new Error(`the function at ${this.#options.path} is not open`)
    return this.#served.function
  }

  /** While it is true the guest is expected to stop its driver: what it has queued to send is sent before that takes effect. */
  set draining(draining: boolean) {
    if (this.#served) this.#served.draining = draining
  }

  /** Handles what the client has sent, without waiting for the event loop. */
  poll(): void {
    this.#served?.poll()
  }

  describe(): Record<string, unknown> {
    const { path, mac } = this.#options
    return { path, mac, connections: this.#connections, ...this.#served?.describe() }
  }

  async #close(): Promise<void> {
    this.#watcher?.close()
    this.#watcher = null
    const served = this.#served
    this.#served = null
    served?.disconnect()
    if (served) await this.#components.events.plans([], [])
    served?.close()
    closeFd(this.#listener)
    removeSocket(this.#options.path, this.#identity)
    this.#listener = -1
    this.#identity = ''
  }

  #accept(): void {
    for (;;) {
      const fd = this.#listener < 0 ? -1 : acceptFrom(this.#listener)
      if (fd < 0 || !this.#served) return
      if (this.#served.connect(fd)) this.#connections++
      else {
        closeFd(fd)
        this.#event('second-connection', 'a second client was refused: one is connected')
      }
    }
  }

  #event(code: string, message: string): void {
    this.#components.events.event(code, `${this.#options.path}: ${message}`)
  }
}
