// One adapter with what the virtualization stack does on it: a new stack each time the adapter starts.
import type { Adapter } from '../../adapter/adapter.ts'
import { type AssignedVf, VfAssignment, type VfAssignmentComponents, type VfExposure } from '../../adapter/sequences.ts'
import type { EngineAdapter } from './engine-adapter.ts'

export interface AdapterRunComponents {
  readonly exposure: VfExposure
  readonly steered: (vf: AssignedVf, toVf: boolean) => void
  readonly quiesced: () => Promise<void>
  /** Issues a request for a VF. */
  readonly issue: (adapter: Adapter, ...request: Parameters<Adapter['request']>) => ReturnType<Adapter['request']>
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref())

export class AdapterRun {
  readonly adapter: EngineAdapter
  readonly #components: AdapterRunComponents
  #stack: VfAssignment | undefined
  /** The switch port above the default VPort, 0 = none. */
  hostPort = 0
  /** The adapter was pulled, or is about to be: nothing of it works any more. */
  isPulled = false

  constructor(adapter: EngineAdapter, components: AdapterRunComponents) {
    this.adapter = adapter
    this.#components = components
  }

  /** The stack; undefined while the adapter is removed. */
  get stack(): VfAssignment | undefined {
    return this.adapter.software && this.#stack
  }

  async start(): Promise<void> {
    await this.adapter.start()
    this.isPulled = false
    const { order } = this.adapter.config
    const { adapter } = this.adapter.software!
    const { issue, ...components } = this.#components
    const issuing: VfAssignmentComponents['adapter'] = {
      get nicSwitch() {
        return adapter.nicSwitch
      },
      request: (request, driver) => issue(adapter, request, driver),
    }
    this.#stack = new VfAssignment({ order }, { ...components, adapter: issuing, wait })
  }

  /** Pulls the adapter: guests lose their VFs first, then it stops. */
  async pull(): Promise<void> {
    this.isPulled = true
    this.adapter.surpriseRemove()
    await this.#stack?.surpriseRemoved()
    await this.adapter.stop()
  }

  /** Takes the VFs back without asking, clears the filters, stops. */
  async stop(): Promise<void> {
    for (const { vfId } of this.stack?.list() ?? []) await this.#stack!.remove(vfId, true).catch(() => undefined)
    await this.stack?.unbind().catch(() => undefined)
    await this.adapter.stop()
  }
}
