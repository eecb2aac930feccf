// One extension on one switch and processor: an NDIS filter module. It holds the handlers, the state (spec 9.4), and implements the
// handle that the extension works with.
import type { ExtensionClass, ExtensionDefinition, ExtensionHandlers, SwitchHandle } from '../extension.ts'
import { Right } from '../ndis/batch.ts'
import { describeError } from './describe-error.ts'

/** States of spec section 9.4, and `failed` for a module that threw. */
export type ModuleState = 'detached' | 'attaching' | 'paused' | 'restarting' | 'running' | 'pausing' | 'failed'

/** What happens to packets when the module has failed: they bypass it, or are dropped. */
export type FailurePolicy = 'open' | 'closed'

const classRank: Readonly<Record<ExtensionClass, number>> = { capturing: 0, filtering: 1, forwarding: 2 }

/** Rights by class (spec 5.2). */
const classRights: Readonly<Record<ExtensionClass, number>> = {
  capturing: Right.none,
  filtering: Right.drop | Right.exclude | Right.modify | Right.clone | Right.hold,
  forwarding: Right.drop | Right.exclude | Right.addDestination | Right.modify | Right.clone | Right.hold,
}

/** The position of a class in the stack: capturing above filtering above forwarding. ES-011 */
export const rankOf = (extensionClass: ExtensionClass): number => classRank[extensionClass]

/** A module in the stack. */
export class Module {
  /** Name under which the configuration uses the extension; unique in a switch. */
  readonly name: string
  readonly definition: ExtensionDefinition
  readonly rights: number
  readonly onFailure: FailurePolicy
  readonly handlers: ExtensionHandlers
  readonly handle: SwitchHandle
  state: ModuleState = 'paused'
  enabled = true
  faults = 0
  lastFault = ''
  breaches = 0
  /** Batches that took so long that it was noticed. */
  slowBatches = 0
  /** Sampled time: nanoseconds and packets of the bursts that were timed. */
  sampledNs = 0
  sampledPackets = 0

  constructor(name: string, definition: ExtensionDefinition, onFailure: FailurePolicy, handle: SwitchHandle, options: unknown) {
    this.name = name
    this.definition = definition
    this.onFailure = onFailure
    this.handle = handle
    this.rights = classRights[definition.class]
    const handlers: unknown = definition.attach(handle, options)
    if (typeof handlers !== 'object' || handlers === null || 'then' in handlers)
      throw new Error('"attach" must return an object of handlers, at once: { ingress(batch) { … } }')
    this.handlers = handlers
  }

  get class(): ExtensionClass {
    return this.definition.class
  }

  /** Paused → Restarting → Running; back to Paused, and the error thrown, if the module refuses. ES-044 */
  restart(): void | Promise<void> {
    if (this.state !== 'paused') return // ES-050
    this.state = 'restarting'
    return this.#step(this.handlers.restart, 'restarting', 'running', 'paused')
  }

  // Runs a handler that ends a state: at once, or when its promise settles. A module that failed meanwhile stays so.
  #step(
    handler: (() => void | Promise<void>) | undefined,
    during: ModuleState,
    after: ModuleState,
    refused: ModuleState,
  ): void | Promise<void> {
    const end = (state: ModuleState): void => {
      if (this.state === during) this.state = state
    }
    const failed = (error: unknown): never => {
      end(refused)
      throw error
    }
    try {
      const done: unknown = handler?.call(this.handlers)
      if (done instanceof Promise) return done.then(() => end(after), failed)
    } catch (error) {
      failed(error)
    }
    end(after)
  }

  /** The module threw: it is called no more, and its packets go as its failure policy says. */
  fail(error: unknown): void {
    this.state = 'failed'
    this.faults++
    this.lastFault = describeError(error)
  }

  /** Running → Pausing → Paused. A pause cannot be refused. ES-045 */
  pause(): void | Promise<void> {
    if (this.state !== 'running') return // ES-050
    this.state = 'pausing'
    return this.#step(this.handlers.pause, 'pausing', 'paused', 'paused')
  }

  detach(): void {
    if (this.state === 'detached') return
    const failed = this.state === 'failed'
    this.state = 'detached'
    if (!failed) this.handlers.detach?.()
  }
}
