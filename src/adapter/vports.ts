// VPorts as NDIS keeps them: validation of CREATE_VPORT and of changes, ids, owners, the budget of VPorts and queue pairs.
//
// The rule it must not break: the default VPort is never made, changed in state or deleted by a request (SR-154, SR-155, SR-186), and an
// Activated VPort never goes back (SR-169).
import { NdisStatus } from '../ndis/status.ts'
import {
  DEFAULT_SWITCH_ID,
  DEFAULT_VPORT_ID,
  InterruptModeration,
  NAME_CHARACTERS_MAX,
  PF_FUNCTION_ID,
  SwitchCaps,
  VPortParams,
  VPortState,
} from './identifiers.ts'
import { lowestFree } from './lowest-free.ts'
import type { NicSwitchCapabilities, VPortParameters } from './payloads.ts'
import { hasRss } from './rss/rss-limits.ts'

/** A VPort that exists. */
export interface VPort {
  readonly id: number
  readonly owner: string
  parameters: VPortParameters
}

const moderations: readonly number[] = Object.values(InterruptModeration).filter((value) => value !== 0)
const STATE_FLAGS =
  VPortParams.flagsChanged |
  VPortParams.nameChanged |
  VPortParams.interruptModerationChanged |
  VPortParams.stateChanged |
  VPortParams.processorAffinityChanged |
  VPortParams.numQueuePairsChanged

const isName = (name: unknown): boolean => typeof name === 'string' && name.length <= NAME_CHARACTERS_MAX
const isAffinity = (list: unknown): boolean =>
  Array.isArray(list) && list.every((processor) => Number.isInteger(processor) && processor >= 0)

/** The VPorts of one NIC switch. */
export class VPorts {
  readonly #byId = new Map<number, VPort>()
  readonly #capabilities: NicSwitchCapabilities

  constructor(capabilities: NicSwitchCapabilities, defaultQueuePairs = 1) {
    this.#capabilities = capabilities
    this.#byId.set(DEFAULT_VPORT_ID, {
      id: DEFAULT_VPORT_ID,
      owner: '',
      parameters: frozen({ ...defaultVPort, numQueuePairs: defaultQueuePairs }),
    }) // SR-101, SR-153, SR-154
  }

  get(id: number): VPort | undefined {
    return this.#byId.get(id)
  }

  list(): VPort[] {
    return [...this.#byId.values()].sort((a, b) => a.id - b.id)
  }

  /** VPorts attached to a function (SR-182). */
  ofFunction(fn: number): VPort[] {
    return this.list().filter(({ parameters }) => parameters.attachedFunctionId === fn)
  }

  /** Checks a CREATE_VPORT and gives the VPort its id, or says why not. It is not kept yet. */
  prepare(parameters: VPortParameters, owner: string, vfAllocated: (vfId: number) => boolean): VPort | NdisStatus {
    const refused = this.#refuse(parameters, vfAllocated)
    if (refused !== NdisStatus.success) return refused
    const { maxNumVPorts } = this.#capabilities
    const id = lowestFree(1, maxNumVPorts - 1, (candidate) => this.#byId.has(candidate)) // SR-163, PD-09
    if (id < 0 || !this.#poolHasRoom(parameters.attachedFunctionId)) return NdisStatus.resources
    const ofPf = parameters.attachedFunctionId === PF_FUNCTION_ID
    return {
      id,
      owner,
      parameters: {
        ...parameters,
        flags: parameters.flags & ~VPortParams.lookaheadSplitEnabled, // SR-180
        vPortId: id,
        vPortState: ofPf ? VPortState.deactivated : VPortState.activated, // SR-166, SR-167
        processorAffinity: ofPf ? [...parameters.processorAffinity] : [],
        lookaheadSize: 0,
      },
    }
  }

  #refuse(parameters: VPortParameters, vfAllocated: (vfId: number) => boolean): NdisStatus {
    const { switchId, vPortId, attachedFunctionId, numQueuePairs, interruptModeration } = parameters
    const bad = NdisStatus.invalidParameter
    if (switchId !== DEFAULT_SWITCH_ID || vPortId !== DEFAULT_VPORT_ID) return bad // SR-157
    if (!isName(parameters.vPortName) || !isAffinity(parameters.processorAffinity)) return bad
    if (interruptModeration !== InterruptModeration.undefined && !moderations.includes(interruptModeration)) return bad
    if (attachedFunctionId === PF_FUNCTION_ID) {
      if (parameters.processorAffinity.length === 0) return bad // SR-179
    } else if (!vfAllocated(attachedFunctionId) || this.ofFunction(attachedFunctionId).length > 0) return bad // SR-158, SR-160
    const { maxNumQueuePairsPerNonDefaultVPort, maxNumQueuePairs, nicSwitchCapabilities } = this.#capabilities
    if (!(numQueuePairs >= 1 && numQueuePairs <= maxNumQueuePairsPerNonDefaultVPort)) return bad
    // VQ-188: with RSS on VPorts of the PF only their maximum is one; their counts change.
    const mayDiffer = ({ attachedFunctionId: fn }: VPortParameters): boolean =>
      fn === PF_FUNCTION_ID && hasRss(this.#capabilities)
    const others = this.list().filter(({ id, parameters: other }) => id !== DEFAULT_VPORT_ID && !mayDiffer(other))
    const symmetric = (nicSwitchCapabilities & SwitchCaps.asymmetricQueuePairs) === 0 && !mayDiffer(parameters)
    if (symmetric && others.some((other) => other.parameters.numQueuePairs !== numQueuePairs)) return bad // SR-049
    const used = this.list().reduce((sum, other) => sum + other.parameters.numQueuePairs, 0)
    return used + numQueuePairs > maxNumQueuePairs ? NdisStatus.resources : NdisStatus.success // SR-043
  }

  // 3.6: with a single pool first come first served, else one VPort per VF is kept back (SR-052, SR-054, SR-055).
  #poolHasRoom(fn: number): boolean {
    const { maxNumVPorts, maxNumVFs, nicSwitchCapabilities } = this.#capabilities
    if (fn !== PF_FUNCTION_ID || (nicSwitchCapabilities & SwitchCaps.singleVPortPool) !== 0) return true
    return this.ofFunction(PF_FUNCTION_ID).length - 1 < maxNumVPorts - maxNumVFs - 1
  }

  /** Keeps a VPort that the miniport has made. */
  keep(vport: VPort): void {
    vport.parameters = frozen(vport.parameters)
    this.#byId.set(vport.id, vport)
  }

  forget(id: number): void {
    this.#byId.delete(id)
  }

  /** Checks a set of VPORT_PARAMETERS and gives what the VPort's parameters become, or says why not (SR-176, SR-177). */
  change(vport: VPort, wanted: VPortParameters): VPortParameters | NdisStatus {
    const { flags } = wanted
    const now = vport.parameters
    const bad = NdisStatus.invalidParameter
    if ((flags & 0xffff0000 & ~STATE_FLAGS) !== 0) return bad
    let next = now
    if ((flags & VPortParams.nameChanged) !== 0) {
      if (!isName(wanted.vPortName)) return bad
      next = { ...next, vPortName: wanted.vPortName }
    }
    if ((flags & VPortParams.interruptModerationChanged) !== 0) {
      const capable = (this.#capabilities.nicSwitchCapabilities & SwitchCaps.perVPortInterruptModeration) !== 0 // SR-236
      if (!capable || !moderations.includes(wanted.interruptModeration)) return bad
      next = { ...next, interruptModeration: wanted.interruptModeration }
    }
    if ((flags & VPortParams.stateChanged) !== 0) {
      if (vport.id === DEFAULT_VPORT_ID || wanted.vPortState !== VPortState.activated) return bad // SR-154, SR-169
      next = { ...next, vPortState: VPortState.activated } // SR-168
    }
    if ((flags & VPortParams.processorAffinityChanged) !== 0) {
      if (now.attachedFunctionId !== PF_FUNCTION_ID || !isAffinity(wanted.processorAffinity)) return bad // SR-178
      if (wanted.processorAffinity.length === 0) return bad
      next = { ...next, processorAffinity: [...wanted.processorAffinity] }
    }
    if ((flags & VPortParams.numQueuePairsChanged) !== 0) {
      const more = this.withQueuePairs({ ...vport, parameters: next }, wanted.numQueuePairs)
      if (typeof more === 'number') return more
      next = more
    }
    return frozen(next)
  }

  /** What a VPort's parameters become with another number of queue pairs, or why they can't (VQ-194). */
  withQueuePairs(vport: VPort, numQueuePairs: number): VPortParameters | NdisStatus {
    const { maxNumQueuePairs, maxNumQueuePairsPerNonDefaultVPort, maxNumQueuePairsForDefaultVPort } = this.#capabilities
    const { parameters, id } = vport
    if (!hasRss(this.#capabilities) || parameters.attachedFunctionId !== PF_FUNCTION_ID) return NdisStatus.invalidParameter // SR-174
    const most = id === DEFAULT_VPORT_ID ? maxNumQueuePairsForDefaultVPort : maxNumQueuePairsPerNonDefaultVPort // VQ-188
    if (!(Number.isInteger(numQueuePairs) && numQueuePairs >= 1 && numQueuePairs <= most)) return NdisStatus.invalidParameter
    const others = this.list().reduce((sum, other) => sum + (other.id === id ? 0 : other.parameters.numQueuePairs), 0)
    return others + numQueuePairs > maxNumQueuePairs ? NdisStatus.resources : frozen({ ...parameters, numQueuePairs }) // SR-043
  }
}

// What NDIS keeps is handed out to whoever asks: it changes through requests alone (SR-159).
const frozen = (parameters: VPortParameters): VPortParameters =>
  Object.freeze({ ...parameters, processorAffinity: Object.freeze([...parameters.processorAffinity]) })

const defaultVPort: VPortParameters = frozen({
  flags: 0,
  switchId: DEFAULT_SWITCH_ID,
  vPortId: DEFAULT_VPORT_ID,
  vPortName: 'Default VPort',
  attachedFunctionId: PF_FUNCTION_ID,
  numQueuePairs: 1, // SR-175
  interruptModeration: InterruptModeration.adaptive,
  vPortState: VPortState.activated,
  processorAffinity: [0],
  lookaheadSize: 0,
})
