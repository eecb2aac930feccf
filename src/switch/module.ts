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

  restart(): void {
    if (this.state !== 'paused') return
    this.state = 'restarting'
    this.handlers.restart?.()
    this.state = 'running'
  }

  /** The module threw: it is called no more, and its packets go as its failure policy says. */
  fail(error: unknown): void {
    this.state = 'failed'
    this.faults++
    this.lastFault = describeError(error)
  }

  pause(): void {
    if (this.state !== 'running') return
    this.state = 'pausing'
    this.handlers.pause?.()
    this.state = 'paused'
  }

  detach(): void {
    if (this.state === 'detached') return
    const failed = this.state === 'failed'
    this.state = 'detached'
    if (!failed) this.handlers.detach?.()
  }
}
