// The SR-IOV adapter as NDIS shows it to overlying drivers: start (spec 3.1), every OID (4.1 to 4.3), status indications, halt and
// surprise removal. The PF miniport below carries requests out; NDIS answers capabilities and enumerations itself (SR-071).
//
// The rule it must not break: requests are carried out one at a time, in order; what the contract refuses never reaches the miniport.
import { NdisStatus } from '../ndis/status.ts'
import { Bindings, type BindParameters } from './bindings.ts'
import { AdapterError, checkAttributes, checkPartition, type HardwareAssist } from './capabilities.ts'
import { handlers } from './handlers.ts'
import { DEFAULT_SWITCH_ID, DEFAULT_VPORT_ID, NAME_CHARACTERS_MAX, PartitionType, SwitchType } from './identifiers.ts'
import { Keyword, type Registry } from './keywords.ts'
import type { PfMiniport } from './miniport.ts'
import { AdapterOid, AdapterStatus, adapterOidName } from './oids.ts'
import type { NicSwitchCapabilities, ReceiveFilterCapabilities, SwitchParameters } from './payloads.ts'
import type { QueueMiniport } from './queues/queue-miniport.ts'
import { AdapterQueues } from './queues/queue-mode.ts'
import { queueOids, queueRequestRules } from './queues/queue-requests.ts'
import { type AdapterCompletion, type AdapterRequest, type RequestRule, requestRules } from './requests.ts'
import { AdapterRss } from './rss/adapter-rss.ts'
import { rssRequestRules } from './rss/rss-requests.ts'
import { createSwitchState, type SwitchState } from './switch-state.ts'

/** `halted`: not started, or over; `resetting`: MiniportResetEx runs. */
export type AdapterState = 'halted' | 'running' | 'resetting' | 'surprise-removed'

/** A status indication on its way up. */
export interface AdapterIndication {
  readonly code: number
  readonly buffer: unknown
}

export interface AdapterComponents {
  readonly registry: Registry
  /** MiniportInitializeEx: makes the miniport and registers what it can do. */
  readonly initialize: () => { readonly pf: PfMiniport; readonly attributes: HardwareAssist; readonly queues?: QueueMiniport }
  readonly indicate?: (indication: AdapterIndication) => void
  /** Something a person should know: a miniport that breaks the contract. `code` is stable. */
  readonly report?: (code: string, rule: string, message: string) => void
  /** Every request that was carried out, for traces. */
  readonly trace?: (step: string) => void
  readonly partition?: PartitionType
}

const CAN_NOT_FAIL: readonly NdisStatus[] = [NdisStatus.success, NdisStatus.notAccepted, NdisStatus.requestAborted]
/** Issuer of what only NDIS issues. */
const NDIS = 'ndis'
let luids = 0

export class Adapter {
  readonly #components: AdapterComponents
  #state: AdapterState = 'halted'
  #attributes: HardwareAssist = {}
  #pf: PfMiniport | undefined
  #switch: SwitchState | undefined
  #queues: AdapterQueues | undefined
  #rss: AdapterRss | undefined
  #synchronous = false
  #luid = 0
  #last: Promise<unknown> = Promise.resolve()
  #notify: ((event: string) => void)[] = []
  readonly #bindings = new Bindings()

  constructor(components: AdapterComponents) {
    this.#components = components
  }

  get state(): AdapterState {
    return this.#state
  }

  /** What NDIS keeps of the usable switch; undefined without one. */
  get nicSwitch(): SwitchState | undefined {
    return this.#switch
  }

  get attributes(): HardwareAssist {
    return this.#attributes
  }

  /** PF LUID: there before MiniportInitializeEx, until MiniportHaltEx is over; 0 then (SR-279). */
  get luid(): number {
    return this.#luid
  }

  /** A protocol binds, or a filter attaches: what is enabled, and the switches there are (SR-070, SR-122). Throws AdapterError. */
  bind(driver: string): BindParameters {
    if (this.#state !== 'running')
      throw new AdapterError('not-running', 'SR-007', 'the adapter does not run: nobody can bind to it')
    return this.#bindings.bind(driver, this.#attributes, this.#switch)
  }

  /** NdisCloseAdapterEx, or FilterDetach. Throws AdapterError while the driver has filters, VPorts, VFs or queues (SR-193, SR-194, SR-219). */
  unbind(driver: string): void {
    this.#queues?.checkUnbind(driver) // VQ-099, VQ-133
    this.#bindings.unbind(driver, this.#switch)
  }

  /** Starts the adapter: MiniportInitializeEx, then CREATE_SWITCH from the registry if SR-IOV is enabled (spec 3.1). */
  async start(): Promise<void> {
    if (this.#state !== 'halted') throw new AdapterError('already-started', 'SR-007', 'the adapter runs already')
    const { registry, initialize, partition = PartitionType.parent } = this.#components
    checkPartition('pf', partition) // SR-024
    this.#luid = ++luids // SR-279
    const { pf, attributes, queues } = initialize()
    checkAttributes(attributes)
    this.#pf = pf
    this.#attributes = attributes
    const indicate = (code: number, buffer: unknown) => this.#indicate({ code, buffer })
    this.#queues = AdapterQueues.of(queues, attributes, indicate)
    const report = (rule: string, message: string) => this.#components.report?.('bad-answer', rule, message)
    const { receiveScale: capabilities } = attributes
    this.#rss = capabilities && pf.rss ? new AdapterRss({ miniport: pf.rss, capabilities, indicate, report }) : undefined
    this.#state = 'running'
    this.#trace('MiniportInitializeEx')
    if (!attributes.currentSriov) return
    const payload: SwitchParameters = {
      flags: registry.number(Keyword.switchFlags),
      switchType: registry.number(Keyword.switchType),
      switchId: registry.number(Keyword.switchId),
      switchFriendlyName: registry.text(Keyword.switchName),
      numVFs: Math.min(registry.number(Keyword.numVFs), attributes.currentNicSwitch?.maxNumVFs ?? 0), // SR-047, SR-088, SR-099
    }
    const { status } = await this.request({ oid: AdapterOid.nicSwitchCreateSwitch, type: 'method', payload }, NDIS)
    if (status !== NdisStatus.success)
      throw new AdapterError('no-switch', 'SR-105', `the NIC switch can't be created with ${payload.numVFs} VFs`)
  }

  /** Carries a request out for `driver`, after those before it. Never throws: what went wrong is the status. */
  request(request: AdapterRequest, driver: string): Promise<AdapterCompletion> {
    const next = this.#last.then(() => this.#carryOut(request, driver))
    this.#last = next.catch(() => {})
    return next.then((completion) => completion.pending ?? completion)
  }

  async #carryOut(request: AdapterRequest, driver: string): Promise<AdapterCompletion> {
    const rule = this.#ruleOf(request.oid)
    if (this.#queues && this.#switch && queueOids.has(request.oid)) return { status: NdisStatus.failure } // SR-129
    if (!rule?.kinds.includes(request.type)) return { status: NdisStatus.notSupported }
    const refused = this.#refuse(request, rule, driver)
    if (refused) return refused
    try {
      const completion = await this.#answer(request, driver)
      if (!completion.pending) return this.#completed(request, rule, completion)
      const pending = completion.pending.then(
        (late) => this.#completed(request, rule, late),
        (error: Error) => this.#failed(request, error),
      )
      return { ...completion, pending }
    } catch (error) {
      return this.#failed(request, error as Error)
    }
  }

  #failed({ oid }: AdapterRequest, error: Error): AdapterCompletion {
    this.#components.report?.('miniport-failed', '', `${adapterOidName(oid)}: ${error.message}`)
    return { status: NdisStatus.failure }
  }

  // In queue mode the filters' requests are about queues (SR-129).
  #ruleOf(oid: number): RequestRule | undefined {
    const ofQueues = this.#queues && !this.#switch ? queueRequestRules.get(oid) : undefined
    return ofQueues ?? requestRules.get(oid) ?? (this.#rss && rssRequestRules.get(oid))
  }

  #completed({ oid }: AdapterRequest, rule: RequestRule, completion: AdapterCompletion): AdapterCompletion {
    this.#checkAnswer(oid, rule, completion.status)
    if (completion.status === NdisStatus.success && rule.cached === undefined) this.#trace(adapterOidName(oid))
    return completion
  }

  // What a request's rule and the adapter's state forbid.
  #refuse(request: AdapterRequest, rule: RequestRule, driver: string): AdapterCompletion | undefined {
    const cached = rule.cached?.includes(request.type) ?? false
    if (this.#state === 'halted') return { status: NdisStatus.failure }
    if (this.#state === 'resetting' && !cached) return { status: NdisStatus.notAccepted } // PD-20
    if (this.#state === 'surprise-removed' && !cached)
      return { status: rule.cannotFail ? NdisStatus.notAccepted : NdisStatus.failure } // SR-308
    if (rule.ndisOnly && driver !== NDIS) return { status: NdisStatus.notSupported } // SR-100, SR-275
    const { currentSriov, currentNicSwitch } = this.#attributes
    if ((rule.needs && !currentNicSwitch) || (rule.sriov && !currentSriov)) return { status: NdisStatus.notSupported } // SR-104
    const { payload, outputRoom } = request
    const needsInput = rule.numbers !== undefined
    if (needsInput && (typeof payload !== 'object' || payload === null))
      return { status: NdisStatus.invalidLength, bytesNeeded: rule.inputBytes ?? 0 } // SR-106
    if (outputRoom !== undefined && outputRoom < (rule.outputBytes ?? 0))
      return { status: NdisStatus.invalidLength, bytesNeeded: rule.outputBytes ?? 0 } // SR-106
    if (needsInput && !rule.numbers.every((name) => isU32((payload as Record<string, unknown>)[name])))
      return { status: NdisStatus.invalidParameter }
    if (rule.needs === 'switch' && !this.#switch) return { status: NdisStatus.invalidParameter } // SR-103, SR-156
    if (rule.vf && !this.#switch!.vfs.get((payload as { vfId: number }).vfId)) return { status: NdisStatus.invalidParameter } // SR-267
    return undefined
  }

  #answer(request: AdapterRequest, driver: string): AdapterCompletion | Promise<AdapterCompletion> {
    const { oid, payload, type } = request
    if (oid === AdapterOid.nicSwitchCreateSwitch) return this.#createSwitch(payload as SwitchParameters)
    if (oid === AdapterOid.nicSwitchDeleteSwitch) return this.#deleteSwitch(payload as SwitchParameters)
    if (oid === AdapterOid.nicSwitchEnumSwitches && !this.#switch) return { status: NdisStatus.success, output: [] } // SR-121
    const ofQueues = this.#switch ? undefined : this.#queues?.answer(request, driver)
    if (ofQueues) return ofQueues
    if (this.#rss && rssRequestRules.has(oid)) return this.#rss.answer(request, driver, this.#switch!)
    const handler = handlers.get(oid)
    if (!handler) return this.#capabilities(oid)
    const context = {
      pf: this.#pf!,
      nicSwitch: this.#switch!,
      driver,
      rss: this.#rss,
      filterCapabilities: this.#attributes.currentReceiveFilter!,
      rename: (name: string) => this.#components.registry.write(Keyword.switchName, name), // SR-125
    }
    return handler(context, payload as never, type)
  }

  // NDIS answers from what the miniport registered (SR-071, SR-072).
  #capabilities(oid: number): AdapterCompletion {
    const a = this.#attributes
    const found: Record<number, unknown> = {
      [AdapterOid.sriovHardwareCapabilities]: a.hardwareSriov,
      [AdapterOid.sriovCurrentCapabilities]: a.currentSriov,
      [AdapterOid.nicSwitchHardwareCapabilities]: a.hardwareNicSwitch,
      [AdapterOid.nicSwitchCurrentCapabilities]: a.currentNicSwitch,
      [AdapterOid.receiveFilterHardwareCapabilities]: a.hardwareReceiveFilter,
      [AdapterOid.receiveFilterCurrentCapabilities]: a.currentReceiveFilter,
      [AdapterOid.receiveFilterGlobalParameters]: a.currentReceiveFilter && {
        enabledFilterTypes: a.currentReceiveFilter.enabledFilterTypes,
        enabledQueueTypes: a.currentReceiveFilter.enabledQueueTypes,
      },
      [AdapterOid.sriovPfLuid]: a.currentSriov && { luid: this.#luid },
    }
    const output = found[oid]
    return output === undefined ? { status: NdisStatus.notSupported } : { status: NdisStatus.success, output }
  }

  async #createSwitch(payload: SwitchParameters): Promise<AdapterCompletion> {
    const capabilities = this.#attributes.currentNicSwitch!
    const named = typeof payload.switchFriendlyName === 'string' && payload.switchFriendlyName.length <= NAME_CHARACTERS_MAX
    const good =
      !this.#switch && // SR-012
      named &&
      payload.switchId === DEFAULT_SWITCH_ID &&
      payload.switchType === SwitchType.external && // SR-013
      payload.flags === 0 &&
      payload.numVFs <= capabilities.maxNumVFs
    if (!good) return { status: NdisStatus.invalidParameter } // SR-105
    if (this.#queues?.inUse) return { status: NdisStatus.failure } // SR-129
    const { numQueuePairsForDefaultVPort: pairs = 1 } = payload
    const most = capabilities.maxNumQueuePairsForDefaultVPort
    if (!(Number.isInteger(pairs) && pairs >= 1 && pairs <= most)) return { status: NdisStatus.invalidParameter } // SR-175, VQ-180
    const status = await this.#pf!.createSwitch(payload)
    if (status !== NdisStatus.success) return { status, output: payload }
    this.#switch = createSwitchState(payload, capabilities)
    this.#rss?.refresh(this.#switch.vports.get(DEFAULT_VPORT_ID)!)
    return { status, output: payload }
  }

  async #deleteSwitch(payload: { switchId: number }): Promise<AdapterCompletion> {
    const state = this.#switch
    if (!state || payload.switchId !== DEFAULT_SWITCH_ID) return { status: NdisStatus.fileNotFound } // SR-120
    const inUse = state.filters.list().length > 0 || state.vports.list().length > 1 || state.vfs.size > 0
    if (inUse) return { status: NdisStatus.invalidParameter } // SR-112 to SR-114
    const status = await this.#pf!.deleteSwitch()
    this.#switch = undefined
    this.#rss?.forget(DEFAULT_VPORT_ID)
    return { status }
  }

  /**
   * Carries out a request of the synchronous kind, at once and beside those that are queued: OID_GEN_RSS_SET_INDIRECTION_TABLE_ENTRIES,
   * issued on `processor`. Never throws, never PENDING (VQ-219).
   */
  requestSynchronous(request: AdapterRequest, driver: string, processor: number): AdapterCompletion {
    if (request.oid !== AdapterOid.genRssSetIndirectionTableEntries || request.type !== 'method' || !this.#rss)
      return { status: NdisStatus.notSupported }
    if (this.#state === 'resetting') return { status: NdisStatus.notAccepted } // PD-20
    if (this.#state !== 'running') return { status: NdisStatus.failure } // SR-308
    if (!this.#switch) return { status: NdisStatus.invalidParameter }
    this.#synchronous = true
    try {
      return this.#rss.moveEntries(request, driver, processor, this.#switch)
    } catch (error) {
      return this.#failed(request, error as Error)
    } finally {
      this.#synchronous = false
    }
  }

  #indicate(indication: AdapterIndication): void {
    if (this.#synchronous)
      this.#components.report?.('indication-within', 'VQ-227', 'a synchronous request made an indication before it was over')
    this.#components.indicate?.(indication)
  }

  // A miniport that fails what can't be failed is in breach; the request has taken place all the same.
  #checkAnswer(oid: number, rule: RequestRule, status: NdisStatus): void {
    const byNdis = status === NdisStatus.fileNotFound || status === NdisStatus.invalidParameter
    if (!rule.cannotFail || CAN_NOT_FAIL.includes(status) || byNdis) return
    this.#components.report?.('failed-what-can-not-fail', 'SR-119', `${adapterOidName(oid)} was failed by the miniport`)
  }

  #trace(step: string): void {
    this.#components.trace?.(step)
  }

  // ---- indications, reset, removal, halt ----------------------------------------------------------------------------------

  /** The miniport's enabled abilities changed: NDIS keeps them and tells those above (SR-073, SR-075). */
  currentCapabilitiesChanged(now: { nicSwitch?: NicSwitchCapabilities; receiveFilter?: ReceiveFilterCapabilities }): void {
    const { nicSwitch, receiveFilter } = now
    if (nicSwitch) {
      this.#attributes = { ...this.#attributes, currentNicSwitch: nicSwitch }
      this.#indicate({ code: AdapterStatus.nicSwitchCurrentCapabilities, buffer: nicSwitch })
    }
    if (receiveFilter) {
      this.#attributes = { ...this.#attributes, currentReceiveFilter: receiveFilter }
      this.#indicate({ code: AdapterStatus.receiveFilterCurrentCapabilities, buffer: receiveFilter })
    }
  }

  /** The hardware's abilities changed (SR-074, SR-075). */
  hardwareCapabilitiesChanged(now: { nicSwitch?: NicSwitchCapabilities; receiveFilter?: ReceiveFilterCapabilities }): void {
    const { nicSwitch, receiveFilter } = now
    if (nicSwitch) {
      this.#attributes = { ...this.#attributes, hardwareNicSwitch: nicSwitch }
      this.#indicate({ code: AdapterStatus.nicSwitchHardwareCapabilities, buffer: nicSwitch })
    }
    if (receiveFilter) {
      this.#attributes = { ...this.#attributes, hardwareReceiveFilter: receiveFilter }
      this.#indicate({ code: AdapterStatus.receiveFilterHardwareCapabilities, buffer: receiveFilter })
    }
  }

  /** MiniportResetEx begins: requests are not accepted until `resetDone` (PD-20). */
  beginReset(): void {
    if (this.#state !== 'running') return
    this.#state = 'resetting'
    this.#queues?.abort()
  }

  resetDone(): void {
    if (this.#state === 'resetting') this.#state = 'running'
  }

  /** IOCTL_SRIOV_NOTIFICATION: settles with the next event of the PF, once per event (SR-307). */
  notification(): Promise<string> {
    return new Promise((resolve) => this.#notify.push(resolve))
  }

  /** The PF is gone: requests that the miniport would answer fail from now on (SR-307, SR-308). */
  surpriseRemove(): void {
    if (this.#state !== 'running' && this.#state !== 'resetting') return
    this.#state = 'surprise-removed'
    const waiting = this.#notify.splice(0)
    for (const resolve of waiting) resolve('surprise-remove')
  }

  /**
   * Deletes the switch and halts the miniport, in this order (SR-304). Drivers have unbound: refuses while filters, VPorts or VFs are
   * left (SR-008, SR-302). After surprise removal nothing can be freed and everything ends at once.
   */
  async halt(): Promise<void> {
    if (this.#state === 'halted') return
    const bound = this.#bindings.list()
    if (this.#state !== 'surprise-removed' && bound.length > 0)
      throw new AdapterError('in-use', 'SR-302', `bound or attached to the adapter: ${bound.join(', ')}`)
    if (this.#state !== 'surprise-removed' && this.#switch) {
      const payload = { switchId: DEFAULT_SWITCH_ID }
      const { status } = await this.request({ oid: AdapterOid.nicSwitchDeleteSwitch, type: 'set', payload }, NDIS)
      if (status !== NdisStatus.success)
        throw new AdapterError('in-use', 'SR-008', 'filters, VPorts or VFs are left: drivers unbind before the adapter is halted')
    }
    await this.#queues?.end(this.#state === 'surprise-removed') // VQ-134
    this.#queues = undefined
    this.#rss = undefined
    this.#switch = undefined
    this.#bindings.clear()
    this.#state = 'halted'
    this.#trace('MiniportHaltEx')
    this.#pf!.halt()
    this.#pf = undefined
    this.#luid = 0
  }
}

const isU32 = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffffffff
