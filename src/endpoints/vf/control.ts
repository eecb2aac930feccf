// The control half of a virtual function: the vfio-user socket, and who may connect to the function behind it.
//
// The rule it must not break: one client at a time, and when it goes, all it brought goes with it before the next is served; the
// function and its block live as long as the endpoint is open.
import type { VirtualFunction } from '../../adapter/igbvf/virtual-function.ts'
import { closeFd, type Watcher, watchFd } from '../../linux/files.ts'
import { acceptFrom, listenAt, removeSocket, socketIdentity } from '../../linux/sockets.ts'
import type { EndpointControl } from '../endpoint.ts'
import { Steps } from '../steps.ts'
import { forgetClient, recordClient, recordedClient } from './client-record.ts'
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
        this.#served = new ServedFunction(this.#options, this.#components, {
          event: (code, message) => this.#event(code, message),
          clientLeft: () => {
            if (this.#served) forgetClient(this.#options.path) // else it is we who leave
          },
        })
        this.#watcher = watchFd(this.#listener, () => this.#accept())
        await this.#components.events.plans([this.#served.plan], [])
        this.#tellOrphan()
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
    const served = this.#served?.describe()
    // A process that has a device of this function and no connection.
    const orphan = served?.connected === true ? null : (recordedClient(path)?.pid ?? null)
    return { path, mac, connections: this.#connections, orphan, ...served }
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
      if (this.#served.connect(fd)) {
        this.#connections++
        recordClient(this.#options.path, fd)
      } else {
        closeFd(fd)
        this.#event('second-connection', 'a second client was refused: one is connected')
      }
    }
  }

  #tellOrphan(): void {
    const orphan = recordedClient(this.#options.path)
    if (orphan !== null)
      this.#event(
        'client-lost',
        `process ${orphan.pid} was connected to this function when it was served last, and a VMM does not connect again: its guest has a function that carries nothing, though it sees the link up. In the guest, unbind the driver (echo its PCI address >/sys/bus/pci/drivers/igbvf/unbind): then its standby carries the traffic. The function comes back when the VM is migrated or started anew`,
      )
  }

  #event(code: string, message: string): void {
    this.#components.events.event(code, `${this.#options.path}: ${message}`)
  }
}
