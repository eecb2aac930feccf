// The way of OID requests through the modules of a stack (spec 4.1): requests of the protocol edge start at the top, those of an
// extension below it; what nobody completes is completed by the miniport edge, and every module that forwarded sees the completion on
// its way up.
//
// The rule it must not break: a module has one request at a time (ES-057), and none holds the switch up for ever: after a time limit
// the request goes on without it, and the module is reported.
import type { OidVerdict } from '../../extension.ts'
import { type NicParameters, Oid, type OidCompletion, type OidRequest, oidName } from '../../ndis/oids.ts'
import { NdisStatus } from '../../ndis/status.ts'
import { describeError } from '../describe-error.ts'
import type { Module } from '../module.ts'
import type { After } from './limits.ts'
import { judgeVerdict, type Ruling } from './oid-verdicts.ts'
import { type ModuleReferences, PORT_ITSELF } from './references.ts'

/** How a request ended, and its payload as it reached the miniport edge. */
export interface OidOutcome {
  readonly completion: OidCompletion
  readonly reached: unknown
}

export interface OidPathComponents {
  /** The stack, top first. */
  readonly modules: () => readonly Module[]
  /** The miniport edge: completes what nobody completed (ES-246). */
  readonly edge: (request: OidRequest) => OidCompletion | Promise<OidCompletion>
  readonly references: (module: Module) => ModuleReferences
  readonly externalPortId: () => number | undefined
  readonly isValidationPort: (portId: number) => boolean
  readonly report: (module: string, code: string, message: string) => void
  readonly after: After
  /** Milliseconds that a module may keep a request. */
  readonly limitMs: number
}

const FORWARD: Ruling = { forward: true }

/** What a module said. `within`: before its handler returned. */
interface Answered {
  readonly verdict: OidVerdict | 'late'
  readonly within: boolean
}

/** Freezes what an extension can reach from a request. */
export function freezeDeep<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || ArrayBuffer.isView(value)) return value
  Object.freeze(value)
  for (const part of Object.values(value)) freezeDeep(part)
  return value
}

export class OidPath {
  readonly #components: OidPathComponents
  readonly #slots = new WeakMap<Module, Promise<void>>()
  readonly #inWork = new Map<Module, OidRequest>()
  #pending = 0
  #idle: (() => void)[] = []
  #gate: Promise<void> | undefined

  constructor(components: OidPathComponents) {
    this.#components = components
  }

  /** Carries a request of the protocol edge down the whole stack. */
  async issue(request: OidRequest): Promise<OidOutcome> {
    while (this.#gate) await this.#gate
    this.#pending++
    try {
      return await this.#travel(freezeDeep(request), [...this.#components.modules()])
    } finally {
      this.#pending--
      if (this.#pending === 0) for (const idle of this.#idle.splice(0)) idle()
    }
  }

  /** Carries a request of `module` through the modules below it. The caller has checked that the module may issue it. */
  async originate(module: Module, request: OidRequest): Promise<OidCompletion> {
    const modules = this.#components.modules()
    const { completion } = await this.#travel(freezeDeep(request), modules.slice(modules.indexOf(module) + 1))
    return completion
  }

  /** The request that a module is handling now. */
  handling(module: Module): OidRequest | undefined {
    return this.#inWork.get(module)
  }

  /**
   * Waits until no request of the protocol edge is pending and keeps new ones waiting until the returned function is called: a stack
   * restart does not complete while one is pending. ES-059
   */
  async hold(): Promise<() => void> {
    while (this.#gate) await this.#gate
    let open = (): void => {}
    this.#gate = new Promise((resolve) => {
      open = () => {
        this.#gate = undefined
        resolve()
      }
    })
    if (this.#pending > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
    return open
  }

  async #travel(request: OidRequest, modules: readonly Module[]): Promise<OidOutcome> {
    const passed: { module: Module; request: OidRequest; leave: () => void }[] = []
    let current = request
    let completion: OidCompletion | undefined
    try {
      for (const module of modules) {
        if (!takesRequests(module)) continue
        const leave = await this.#enter(module)
        if (!takesRequests(module)) {
          leave()
          continue
        }
        this.#inWork.set(module, current)
        const portHeld = this.#portReferences(module, current)
        const ruling = this.#judge(module, current, await this.#ask(module, current))
        this.#inWork.delete(module)
        if (this.#portReferences(module, current) > portHeld)
          this.#breach(
            module,
            'ES-205',
            'forwarded OID_SWITCH_NIC_DISCONNECT with a port reference that it took while it held it',
          )
        if ('complete' in ruling) {
          completion = { ...ruling.complete, by: module.name }
          leave()
          break
        }
        passed.push({ module, request: current, leave })
        if (ruling.payload !== undefined) current = freezeDeep({ ...current, payload: ruling.payload })
      }
      completion ??= await this.#atEdge(current)
      freezeDeep(completion)
      while (passed.length > 0) {
        const { module, request: seen, leave } = passed.pop()!
        this.complete(module, seen, completion)
        leave()
      }
      return { completion, reached: current.payload }
    } finally {
      for (const { leave } of passed) leave()
    }
  }

  // References of a module on the port whose connection goes; 0 for any other request.
  #portReferences(module: Module, { oid, payload }: OidRequest): number {
    if (oid !== Oid.nicDisconnect) return 0
    return this.#components.references(module).held((payload as NicParameters).portId, PORT_ITSELF)
  }

  async #atEdge(request: OidRequest): Promise<OidCompletion> {
    try {
      return await this.#components.edge(request)
    } catch (error) {
      this.#components.report('miniport edge', 'oid-failed', describeError(error))
      return { status: NdisStatus.failure } // ES-089
    }
  }

  // Waits until the module's previous request is done; the returned function lets the next one in. ES-057
  async #enter(module: Module): Promise<() => void> {
    const before = this.#slots.get(module)
    let leave = (): void => {}
    this.#slots.set(module, new Promise((resolve) => (leave = resolve)))
    if (before) await before
    return leave
  }

  // What the module says, at the latest when its time is over.
  #ask(module: Module, request: OidRequest): Promise<Answered> {
    const { oid } = module.handlers
    if (!oid) return Promise.resolve({ verdict: undefined, within: true })
    const { report } = this.#components
    return new Promise((resolve) => {
      let answered: 'no' | 'yes' | 'late' = 'no'
      let within = true
      const settle = (verdict: OidVerdict, again: boolean): void => {
        if (verdict === 'pending') return
        if (answered === 'no') {
          answered = 'yes'
          cancel()
          resolve({ verdict, within })
        } else if (answered === 'late')
          report(module.name, 'late-completion', `answered ${oidName(request.oid)} after its time was over`)
        else if (again) this.#breach(module, 'ES-057', `completed ${oidName(request.oid)} a second time`)
      }
      const cancel = this.#components.after(this.#components.limitMs, () => {
        answered = 'late'
        resolve({ verdict: 'late', within: false })
      })
      const fail = (error: unknown): void => {
        report(module.name, 'oid-failed', describeError(error))
        settle('forward', false)
      }
      try {
        const verdict = oid.call(module.handlers, request, {
          complete: (completion) => settle(completion, true),
          forward: (payload) => settle(payload === undefined ? 'forward' : { forward: payload }, true),
        })
        if (verdict instanceof Promise) verdict.then((late) => settle(late, late !== undefined), fail)
        else settle(verdict, verdict !== undefined)
      } catch (error) {
        fail(error)
      }
      within = false
    })
  }

  #judge(module: Module, request: OidRequest, { verdict, within }: Answered): Ruling {
    const { references, externalPortId, isValidationPort, limitMs } = this.#components
    if (verdict !== 'late')
      return judgeVerdict(request, verdict, {
        within,
        isValidationPort,
        class: module.class,
        externalPortId: externalPortId(),
        references: references(module),
        breach: (rule, what) => this.#breach(module, rule, what),
      })
    this.#breach(module, 'ES-249', `neither completed nor forwarded ${oidName(request.oid)} within ${limitMs} ms`)
    return FORWARD
  }

  #breach(module: Module, rule: string, what: string): void {
    module.breaches++
    this.#components.report(module.name, rule, what)
  }

  /** Tells a module how a request ended that it passed on. */
  complete(module: Module, request: OidRequest, completion: OidCompletion): void {
    if (!takesRequests(module)) return
    try {
      module.handlers.oidComplete?.(request, completion)
    } catch (error) {
      this.#components.report(module.name, 'oid-failed', describeError(error))
    }
  }
}

// ES-052: in every state but these, OIDs and status indications are allowed.
export const takesRequests = ({ state }: Module): boolean => state !== 'detached' && state !== 'attaching' && state !== 'failed'
