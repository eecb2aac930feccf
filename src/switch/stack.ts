// The extension stack of a switch on one processor: its modules in order, and the functions that run a batch through them. For each
// direction one function is generated when the stack changes, with try/catch round each module: a loop over different modules is
// thirty times slower. Where code generation is forbidden the loop is used.
//
// The rule it must not break: a module that throws harms nobody but itself; the batch goes on as the module's failure policy says.
import type { Batch } from '../ndis/batch.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import { type Module, rankOf } from './module.ts'

/** What the stack tells the data path. */
export interface StackOwner {
  /** Module `index` is about to be called (-1: none). */
  entered(index: number): void
  /** A module threw: it is in the state `failed` now. */
  failed(module: Module): void
  /** Drops all packets of the batch, because the module at `index` failed closed. */
  dropAll(batch: Batch, reason: number): void
  /** A module took so long for one batch that everything behind it waited. */
  slow(module: Module, ms: number, packets: number): void
  /** Nanoseconds of a clock, for sampling. */
  nowNs(): number
}

type Run = (batch: Batch) => void

/** What the switch does between the filtering extensions and the forwarding one. */
export interface StackEdge {
  beforeForwarding(batch: Batch): void
  afterForwarding(batch: Batch): void
}

/** Nanoseconds that a module may take for a batch before it is reported. */
const SLOW_NS = 50e6
const CLOSE_LOOKS = 64 // runs that are timed after one that took too long

const SAMPLE_EVERY = 1021 // odd: with an ingress and an egress run per burst, both directions get their turn

/** Checks the order within and across classes. Throws with what to do. ES-011, ES-014, ES-018 */
export function checkOrder(modules: readonly { name: string; class: Module['class'] }[]): void {
  for (let i = 1; i < modules.length; i++) {
    const above = modules[i - 1]!
    const below = modules[i]!
    if (rankOf(above.class) > rankOf(below.class))
      throw new Error(
        `"${above.name}" (${above.class}) cannot stand above "${below.name}" (${below.class}): the order is capturing, filtering, forwarding; change it within a class only`,
      )
  }
  const forwarding = modules.filter((module) => module.class === 'forwarding')
  if (forwarding.length > 1)
    throw new Error(
      `a switch has at most one forwarding extension enabled, not ${forwarding.map((module) => `"${module.name}"`).join(' and ')}`,
    )
}

// Why a module's place lets nothing pass: it failed closed, or is pausing, paused or restarting (ES-054).
function refusal({ state, onFailure }: Module): number {
  if (state === 'failed') return onFailure === 'closed' ? DropReason.extensionFailed : DropReason.none
  return state === 'pausing' || state === 'paused' || state === 'restarting' ? DropReason.paused : DropReason.none
}

/** The stack. `modules[0]` is on top: first on ingress, last on egress. */
export class ExtensionStack {
  modules: readonly Module[] = []
  /** Runs a batch down or up the whole stack. */
  ingress: Run = () => {}
  egress: Run = () => {}
  /** True if a running forwarding extension chooses the destinations. */
  hasForwarding = false
  /** True if a module wants to see dropped packets. */
  observesDrops = false
  /** True if a module wants to know when packets are done. */
  observesCompletion = false
  private edge: StackEdge | undefined
  private readonly owner: StackOwner
  private runs = 0
  private closeLooks = 0

  constructor(owner: StackOwner) {
    this.owner = owner
  }

  /** Installs a new list of modules, top first; takes effect with the next batch. */
  set(modules: readonly Module[]): void {
    checkOrder(modules.filter((module) => module.enabled))
    this.modules = modules
    this.compile()
  }

  /** Puts the switch's own work between the extensions, or takes it out. */
  setEdge(edge: StackEdge | undefined): void {
    this.edge = edge
    this.compile()
  }

  // Position before which the switch's own work stands: the forwarding extension's, or below all.
  private get edgeAt(): number {
    const at = this.modules.findIndex((module) => module.class === 'forwarding' && module.enabled)
    return at < 0 ? this.modules.length : at
  }

  /** A turn took far too long: the next runs are timed module by module, to find which one it is. */
  lookCloser(): void {
    this.closeLooks = CLOSE_LOOKS
  }

  /** Generates the functions anew after a module changed its state. */
  compile(): void {
    const completes = ({ handlers }: Module): boolean => handlers.sendComplete !== undefined || handlers.returned !== undefined
    this.observesCompletion = this.modules.some((module) => completes(module) && module.state === 'running')
    this.hasForwarding = this.modules.some((module) => module.class === 'forwarding' && module.state === 'running')
    this.observesDrops = this.modules.some((module) => module.handlers.filtered !== undefined && module.state === 'running')
    this.ingress = this.sampled('ingress', this.whole('ingress'))
    this.egress = this.sampled('egress', this.whole('egress'))
  }

  // Positions to call in a direction: running modules with a handler, and failed ones that drop everything.
  private positions(direction: 'ingress' | 'egress', from: number, to: number): number[] {
    const wanted: number[] = []
    for (let i = from; i < to; i++) {
      const module = this.modules[i]!
      if (!module.enabled) continue
      const runs = module.state === 'running' && module.handlers[direction] !== undefined
      if (runs || refusal(module) !== DropReason.none) wanted.push(i)
    }
    return direction === 'ingress' ? wanted : wanted.reverse()
  }

  // The whole of a direction: one function, or two with the switch's own work between them.
  private whole(direction: 'ingress' | 'egress'): Run {
    const { edge, edgeAt } = this
    if (edge === undefined) return this.generate(direction, 0, this.modules.length)
    const upper = this.generate(direction, 0, edgeAt)
    const lower = this.generate(direction, edgeAt, this.modules.length)
    const between = direction === 'ingress' ? this.before : this.after
    const [first, last] = direction === 'ingress' ? [upper, lower] : [lower, upper]
    return (batch) => {
      first(batch)
      if (batch.length === 0 || !between(batch)) return
      last(batch)
    }
  }

  // False if nothing is left of the batch.
  private readonly before = (batch: Batch): boolean => {
    this.edge?.beforeForwarding(batch)
    if (batch.dirty) batch.settle()
    return batch.length > 0
  }

  private readonly after = (batch: Batch): boolean => {
    this.edge?.afterForwarding(batch)
    if (batch.dirty) batch.settle()
    return batch.length > 0
  }

  private generate(direction: 'ingress' | 'egress', from: number, to: number): Run {
    const positions = this.positions(direction, from, to)
    if (positions.length === 0) return () => {}
    const loop = (batch: Batch): void => {
      for (const i of positions) if (!this.step(direction, i, batch)) return
    }
    const fault = (i: number, error: unknown, batch: Batch): void => this.fault(i, error, batch)
    const handlers = this.modules.map((module) => module.handlers)
    const lines = positions.map((i) => {
      const module = this.modules[i]!
      if (module.state !== 'running')
        return `owner.entered(${i}); owner.dropAll(batch, ${refusal(module)}); owner.entered(-1); return`
      const rights = module.rights
      return `owner.entered(${i}); batch.rights = ${rights}; batch.module = ${i}
      try { h${i}.${direction}(batch) } catch (error) { fault(${i}, error, batch) }
      if (batch.dirty) batch.settle()
      if (batch.length === 0) { owner.entered(-1); return }`
    })
    const names = positions.map((i) => `h${i}`)
    try {
      const make = new Function(
        'owner',
        'fault',
        ...names,
        `'use strict'; return function ${direction}Stack(batch) {\n${lines.join('\n')}\nowner.entered(-1)\n}`,
      )
      return make(this.owner, fault, ...positions.map((i) => handlers[i])) as Run
    } catch {
      return loop
    }
  }

  /** Runs one module on a batch; false if the batch is done. For injected packets, sampling, and where code can't be generated. */
  private step(direction: 'ingress' | 'egress', i: number, batch: Batch): boolean {
    const module = this.modules[i]!
    if (module.enabled && refusal(module) !== DropReason.none) {
      this.owner.entered(i)
      this.owner.dropAll(batch, refusal(module))
      this.owner.entered(-1)
      return false
    }
    const handler = module.handlers[direction]
    if (module.state !== 'running' || !module.enabled || handler === undefined) return true
    this.owner.entered(i)
    batch.rights = module.rights
    batch.module = i
    try {
      handler.call(module.handlers, batch)
    } catch (error) {
      this.fault(i, error, batch)
    }
    if (batch.dirty) batch.settle()
    this.owner.entered(-1)
    return batch.length > 0
  }

  /** Runs a batch that joins below (ingress) or above (egress) the module at `index`. */
  runFrom(direction: 'ingress' | 'egress', index: number, batch: Batch): void {
    const { edge, edgeAt } = this
    if (direction === 'ingress') {
      for (let i = index + 1; i <= this.modules.length; i++) {
        if (i === edgeAt && edge !== undefined && !this.before(batch)) return
        if (i < this.modules.length && !this.step(direction, i, batch)) return
      }
      return
    }
    for (let i = index - 1; i >= -1; i--) {
      if (i === edgeAt - 1 && edge !== undefined && !this.after(batch)) return
      if (i >= 0 && !this.step(direction, i, batch)) return
    }
  }

  // One burst in SAMPLE_EVERY is timed module by module: a clock reading costs as much as a module.
  private sampled(direction: 'ingress' | 'egress', run: Run): Run {
    if (this.positions(direction, 0, this.modules.length).length === 0) return run
    const { edge, edgeAt } = this
    const order = direction === 'ingress' ? this.modules.map((_, i) => i) : this.modules.map((_, i) => i).reverse()
    return (batch) => {
      if (this.closeLooks > 0) this.closeLooks--
      else if (++this.runs % SAMPLE_EVERY !== 0) {
        run(batch)
        return
      }
      for (const i of order) {
        // Without a forwarding extension it stands below all.
        if (edge !== undefined && direction === 'ingress' && i === edgeAt && !this.before(batch)) return
        if (edge !== undefined && direction === 'egress' && i === edgeAt - 1 && !this.after(batch)) return
        const packets = batch.length
        const before = this.owner.nowNs()
        const goesOn = this.step(direction, i, batch)
        const module = this.modules[i]!
        const took = this.owner.nowNs() - before
        module.sampledNs += took
        module.sampledPackets += packets
        if (took >= SLOW_NS) this.owner.slow(module, took / 1e6, packets)
        if (!goesOn) return
      }
      if (edge !== undefined && direction === 'ingress' && edgeAt === order.length) this.before(batch)
      if (edge !== undefined && direction === 'egress' && edgeAt === 0) this.after(batch)
    }
  }

  private fault(i: number, error: unknown, batch: Batch): void {
    const module = this.modules[i]!
    module.fail(error)
    if (module.onFailure === 'closed') this.owner.dropAll(batch, DropReason.extensionFailed)
    // What it had directed so far is the switch's to direct now, like the rest.
    else if (module.class === 'forwarding' && batch.ingress)
      for (let k = 0; k < batch.length; k++) batch.pool.destinationCount[batch.slots[k]!] = 0
    this.owner.failed(module)
    this.compile()
  }
}
