// What the virtualization stack does to give a VM a VF and to take it away, in the documented order (spec 6.1, 6.2), over OIDs alone.
//
// The rule it must not break: a step that fails undoes those before it, and whatever happens the VM's filters end on a VPort that
// somebody reads: its own while the guest drives the VF, else the default one (SR-241, SR-249).
import { NdisStatus, ndisStatusName } from '../ndis/status.ts'
import type { Adapter } from './adapter.ts'
import { DEFAULT_VPORT_ID, INVALID_RID, INVALID_VF_FUNCTION_ID, InterruptModeration, VPortState } from './identifiers.ts'
import { AdapterOid, adapterOidName } from './oids.ts'
import type { VfParameters, VPortParameters } from './payloads.ts'
import { type Filter, filterParameters } from './receive-filters.ts'
import type { RequestType } from './requests.ts'

/** How long a guest may take to give its VF back before that is taken (PD-14). */
export const REMOVAL_TIMEOUT_MS = 5000

/** The guest's side: hot-plug of the VF (VPCI), or its equivalent. */
export interface VfExposure {
  /** Shows the VF to the guest; settles when the guest's driver is ready. With true: `follow` is to tell that, and may have to wait long. */
  expose(vf: AssignedVf): Promise<unknown>
  /** Asks the guest to give the VF back; settles when its driver has halted. */
  withdraw(vf: AssignedVf): Promise<void>
  /** Takes it without asking; the guest sees surprise removal. */
  surprise(vf: AssignedVf): Promise<void>
  /** Frames left in the VF's receive ring go into the synthetic path, in order (PD-11). */
  drain?(vf: AssignedVf): Promise<void>
}

/** A VM's network adapter. */
export interface VmAdapter {
  readonly vmName: string
  readonly nicName: string
  readonly mac: string
  /** VLAN id, 0 = untagged, ANY_VLAN = its frames' tags are its own. */
  readonly vlan: number
  readonly queuePairs: number
}

export interface AssignedVf {
  readonly vfId: number
  readonly requestorId: number
  readonly vportId: number
  /** Tells the VF adapters of one VM apart (SR-280, SR-281). */
  readonly serialNumber: number
  readonly vm: VmAdapter
}

/** `deferred`: filters move when the guest is ready; `strict`: in the documented order, before it sees the VF (PD-10). */
export type BringUpOrder = 'deferred' | 'strict'

export interface VfAssignmentOptions {
  readonly order?: BringUpOrder
  readonly removalTimeoutMs?: number
}

export interface VfAssignmentComponents {
  /** The adapter, or what requests to it go through. */
  readonly adapter: Pick<Adapter, 'request' | 'nicSwitch'>
  readonly exposure: VfExposure
  /** Settles after so many milliseconds. */
  readonly wait: (ms: number) => Promise<void>
  /** The VM's frames go to its VF from now on, or to the default VPort: called after the filters moved there, and before they move back. */
  readonly steered?: (vf: AssignedVf, toVf: boolean) => void
  /** Settles when nobody sends frames by a way that was chosen before the call. */
  readonly quiesced?: () => Promise<void>
  /** What the steps outside of OIDs were, for traces. */
  readonly trace?: (step: string) => void
}

/** A VF could not be given: the VM stays on the synthetic path (SR-053, SR-253). */
export class VfAssignmentError extends Error {
  readonly code = 'vf-not-assigned'
  readonly status: NdisStatus

  constructor(oid: number, status: NdisStatus) {
    super(`${adapterOidName(oid)} was refused with ${ndisStatusName(status)}: the VM stays on the synthetic path`)
    this.status = status
  }
}

/** Owner of the VPorts and filters that VMs have. */
export const STACK_DRIVER = 'virtualization-stack'

export class VfAssignment {
  readonly #order: BringUpOrder
  readonly #removalTimeoutMs: number
  readonly #components: VfAssignmentComponents
  readonly #assigned = new Map<number, AssignedVf>()
  #serials = 0

  constructor(options: VfAssignmentOptions, components: VfAssignmentComponents) {
    this.#order = options.order ?? 'deferred'
    this.#removalTimeoutMs = options.removalTimeoutMs ?? REMOVAL_TIMEOUT_MS
    this.#components = components
  }

  list(): AssignedVf[] {
    return [...this.#assigned.values()]
  }

  async #do<T>(oid: number, type: RequestType, payload: unknown): Promise<T> {
    const { status, output } = await this.#components.adapter.request({ oid, type, payload }, STACK_DRIVER)
    if (status !== NdisStatus.success) throw new VfAssignmentError(oid, status)
    return output as T
  }

  /** The synthetic path: the VM's filter on the default VPort (SR-241). */
  async synthetic(vm: VmAdapter): Promise<void> {
    await this.#do(AdapterOid.receiveFilterSetFilter, 'method', filterParameters(vm.mac, vm.vlan, DEFAULT_VPORT_ID))
  }

  /** The VM goes, or gets filters of another VLAN: those on the default VPort are cleared. Its VF was removed before. */
  async forget(vm: Pick<VmAdapter, 'mac'>): Promise<void> {
    for (const filter of this.#synthetic(vm.mac))
      await this.#do(AdapterOid.receiveFilterClearFilter, 'set', { queueId: 0, filterId: filter.id })
  }

  #synthetic(mac: string): Filter[] {
    const all = this.#components.adapter.nicSwitch?.filters.list(DEFAULT_VPORT_ID) ?? []
    return all.filter(({ key, owner }) => key.mac === mac.toLowerCase() && owner === STACK_DRIVER)
  }

  /** Gives a VM a VF. Throws VfAssignmentError, everything undone, if the adapter or an extension refuses. */
  async assign(vm: VmAdapter): Promise<AssignedVf> {
    const serialNumber = ++this.#serials // SR-280
    const vf = await this.#do<VfParameters>(AdapterOid.nicSwitchAllocateVf, 'method', {
      switchId: 0,
      vmName: vm.vmName,
      vmFriendlyName: vm.vmName,
      nicName: vm.nicName,
      permanentMacAddress: vm.mac,
      currentMacAddress: vm.mac,
      vfId: INVALID_VF_FUNCTION_ID,
      requestorId: INVALID_RID,
    })
    const undo: (() => Promise<unknown>)[] = [() => this.#do(AdapterOid.nicSwitchFreeVf, 'set', { vfId: vf.vfId })]
    try {
      const vport = await this.#do<VPortParameters>(AdapterOid.nicSwitchCreateVPort, 'method', vportOf(vm, vf.vfId))
      const assigned = { vfId: vf.vfId, requestorId: vf.requestorId, vportId: vport.vPortId, serialNumber, vm }
      undo.unshift(() => this.#do(AdapterOid.nicSwitchDeleteVPort, 'set', { vPortId: vport.vPortId }))
      undo.unshift(() => this.#toDefault(assigned))
      if (this.#order === 'strict') await this.#toVf(assigned) // SR-240
      this.#components.trace?.('expose')
      const readyLater = (await this.#components.exposure.expose(assigned)) === true // SR-242, SR-244
      if (this.#order === 'deferred' && !readyLater) await this.#toVf(assigned) // PD-10
      this.#assigned.set(vf.vfId, assigned)
      return assigned
    } catch (error) {
      for (const step of undo) await step().catch(() => {})
      throw error
    }
  }

  /** The guest's driver is up, or gone: the VM's filters follow (PD-10, SR-252). Does nothing for a VF that is not assigned. */
  async follow(vfId: number, ready: boolean): Promise<void> {
    const vf = this.#assigned.get(vfId)
    if (!vf) return
    await (ready ? this.#toVf(vf) : this.#toDefault(vf))
  }

  // The VM's filters on the default VPort, or a new one if there is none.
  async #toVf(vf: AssignedVf): Promise<void> {
    const { mac, vlan } = vf.vm
    const { filters } = this.#components.adapter.nicSwitch!
    const own = this.#synthetic(mac)
    if (own.length === 0 && filters.list(vf.vportId).length === 0)
      await this.#do(AdapterOid.receiveFilterSetFilter, 'method', filterParameters(mac, vlan, vf.vportId))
    await this.#move(own, vf.vportId)
    this.#components.steered?.(vf, true)
  }

  // `lossless`: the adapter would send back what is still on its way to the VF when the filters move; where the VF's driver went by itself
  // that is lost anyway, and waiting would lose more.
  async #toDefault(vf: AssignedVf, lossless = false): Promise<void> {
    this.#components.steered?.(vf, false)
    if (lossless) await this.#components.quiesced?.()
    await this.#move(this.#components.adapter.nicSwitch?.filters.list(vf.vportId) ?? [], DEFAULT_VPORT_ID)
  }

  async #move(filters: readonly Filter[], to: number): Promise<void> {
    for (const filter of filters)
      await this.#do(AdapterOid.receiveFilterMoveFilter, 'set', {
        filterId: filter.id,
        sourceQueueId: 0,
        sourceVPortId: filter.vport,
        destQueueId: 0,
        destVPortId: to,
      })
  }

  /**
   * Takes a VF away: the guest is asked, after a while not any more; then the documented order (SR-245, SR-246, SR-248). `surprise`: it
   * is not asked.
   */
  async remove(vfId: number, surprise = false): Promise<void> {
    const vf = this.#assigned.get(vfId)
    if (!vf) return
    this.#assigned.delete(vfId)
    const { exposure, trace } = this.#components
    const planned = !surprise && (await this.#withdrawn(vf))
    if (!planned) {
      trace?.('surprise')
      await exposure.surprise(vf)
    }
    await this.#toDefault(vf, planned) // SR-249
    await exposure.drain?.(vf) // PD-11
    await this.#do(AdapterOid.nicSwitchDeleteVPort, 'set', { vPortId: vf.vportId })
    await this.#do(AdapterOid.sriovResetVf, 'set', { vfId }) // SR-250
    await this.#do(AdapterOid.nicSwitchFreeVf, 'set', { vfId })
  }

  #withdrawn(vf: AssignedVf): Promise<boolean> {
    const { exposure, wait, trace } = this.#components
    trace?.('withdraw')
    return Promise.race([
      exposure.withdraw(vf).then(() => true),
      wait(this.#removalTimeoutMs).then(() => false), // PD-14
    ]).catch(() => false)
  }

  /** The PF is gone: VFs are taken from their guests, which fall back; nothing can be asked of the adapter (SR-307). */
  async surpriseRemoved(): Promise<void> {
    const all = this.list()
    this.#assigned.clear()
    for (const vf of all) {
      this.#components.steered?.(vf, false)
      await this.#components.exposure.surprise(vf)
    }
  }

  /** Unbinds: VFs go, then the filters left on the default VPort (SR-142, SR-219, SR-303). */
  async unbind(): Promise<void> {
    for (const { vfId } of this.list()) await this.remove(vfId)
    for (const filter of this.#components.adapter.nicSwitch?.filters.list(DEFAULT_VPORT_ID) ?? [])
      if (filter.owner === STACK_DRIVER)
        await this.#do(AdapterOid.receiveFilterClearFilter, 'set', { queueId: 0, filterId: filter.id })
  }
}

const vportOf = (vm: VmAdapter, vfId: number): VPortParameters => ({
  flags: 0,
  switchId: 0,
  vPortId: DEFAULT_VPORT_ID,
  vPortName: vm.nicName,
  attachedFunctionId: vfId,
  numQueuePairs: vm.queuePairs,
  interruptModeration: InterruptModeration.adaptive,
  vPortState: VPortState.activated,
  processorAffinity: [],
  lookaheadSize: 0,
})
