// What the adapter can do (hardware capabilities) and what of it is enabled (current capabilities), and the check of a report.
//
// The rule it must not break: hardware capabilities are complete whatever the keywords say (SR-031); current ones name what is enabled
// and nothing else (SR-057, SR-086).
import { FilterCaps, PartitionType, SriovCaps, SwitchCaps } from './identifiers.ts'
import type { Selection } from './keywords.ts'
import type { NicSwitchCapabilities, ReceiveFilterCapabilities, SriovCapabilities } from './payloads.ts'
import { queueCapabilitiesProblem } from './queues/queue-capabilities.ts'
import { type RssLimits, revision3Of, rssCapabilitiesOf, rssLimitsProblem, rssProblem, withoutRss } from './rss/rss-limits.ts'
import type { RssCapabilities } from './rss/rss-payloads.ts'
import { VPORTS_MAX } from './vport-table.ts'

/** Size of an adapter. */
export interface HardwareLimits {
  readonly totalVFs: number
  readonly maxNumVFs: number
  readonly maxNumVPorts: number
  readonly maxNumQueuePairs: number
  readonly maxNumQueuePairsPerNonDefaultVPort: number
  readonly maxNumMacAddresses: number
  /** VM queues when VMQ is enabled without SR-IOV. */
  readonly numQueues: number
  /** False: filters must test the VLAN, or be for untagged frames (as all are for NDIS 6.20). */
  readonly anyVlanFilters?: boolean
  /** SwitchCaps. */
  readonly switchCaps: number
  /** RSS on VPorts of the PF; it goes with the flags VMMQ_CAPS. */
  readonly rss?: RssLimits
}

/** What a miniport registers (NDIS_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES). */
export interface HardwareAssist {
  readonly hardwareSriov?: SriovCapabilities
  readonly currentSriov?: SriovCapabilities
  readonly hardwareNicSwitch?: NicSwitchCapabilities
  readonly currentNicSwitch?: NicSwitchCapabilities
  readonly hardwareReceiveFilter?: ReceiveFilterCapabilities
  readonly currentReceiveFilter?: ReceiveFilterCapabilities
  /** RSS on VPorts of the PF, where the adapter has it, and where it is enabled. */
  readonly hardwareReceiveScale?: RssCapabilities
  readonly receiveScale?: RssCapabilities
}

/** A report of capabilities or a start that contradicts the contract. `code` is stable; `rule` names what was broken. */
export class AdapterError extends Error {
  readonly code: string
  readonly rule: string

  constructor(code: string, rule: string, message: string) {
    super(message)
    this.code = code
    this.rule = rule
  }
}

/** Limits of an adapter with `vfs` VFs, one VPort each and as many again for the PF. */
export function limitsFor(vfs: number): HardwareLimits {
  const maxNumVPorts = Math.min(VPORTS_MAX, vfs * 2 + 2)
  return {
    totalVFs: vfs,
    maxNumVFs: vfs,
    maxNumVPorts,
    maxNumQueuePairs: maxNumVPorts * 4,
    maxNumQueuePairsPerNonDefaultVPort: 16,
    maxNumMacAddresses: maxNumVPorts * 8,
    numQueues: vfs,
    switchCaps:
      SwitchCaps.vlanSupported |
      SwitchCaps.perVPortInterruptModeration |
      SwitchCaps.asymmetricQueuePairs |
      SwitchCaps.vfRss |
      SwitchCaps.singleVPortPool,
  }
}

const nicSwitchOf = (limits: HardwareLimits): NicSwitchCapabilities => ({
  nicSwitchCapabilities: limits.switchCaps,
  maxNumSwitches: 1, // SR-041
  maxNumVPorts: limits.maxNumVPorts,
  maxNumVFs: limits.maxNumVFs,
  maxNumQueuePairs: limits.maxNumQueuePairs,
  maxNumQueuePairsPerNonDefaultVPort: limits.maxNumQueuePairsPerNonDefaultVPort,
  maxNumMacAddresses: limits.maxNumMacAddresses,
  ...revision3Of(limits.rss), // VQ-180
})

const queueProperties =
  FilterCaps.msiXSupported | // SR-062
  FilterCaps.vmQueueSupported | // SR-061
  FilterCaps.dynamicAffinitySupported | // SR-063
  FilterCaps.interruptCoalescingSupported | // SR-064
  FilterCaps.anyVlanSupported

function receiveFilterOf(
  limits: HardwareLimits,
  numQueues: number,
  queueTypes: number,
  vlanIds: boolean,
): ReceiveFilterCapabilities {
  return {
    enabledFilterTypes: FilterCaps.vmqFiltersEnabled, // SR-058
    enabledQueueTypes: numQueues > 0 ? queueTypes : 0, // VQ-014
    numQueues,
    supportedQueueProperties: limits.anyVlanFilters === false ? queueProperties & ~FilterCaps.anyVlanSupported : queueProperties,
    supportedFilterTests: FilterCaps.testEqual, // SR-066
    supportedHeaders: FilterCaps.macHeader,
    supportedMacHeaderFields: FilterCaps.destinationAddress | (vlanIds ? FilterCaps.vlanId : 0), // SR-067, SR-068
    maxMacHeaderFilters: limits.maxNumMacAddresses,
    minLookaheadSplitSize: 0, // VQ-012
    maxLookaheadSplitSize: 0,
  }
}

/** What the PF miniport registers under a selection (SR-026, SR-027, SR-031 to SR-035, SR-056 to SR-060). */
export function pfAttributes(limits: HardwareLimits, selection: Selection): HardwareAssist {
  const sriov: SriovCapabilities = { sriovCapabilities: SriovCaps.sriovSupported | SriovCaps.pfMiniport }
  const problem = limits.rss && rssLimitsProblem(limits.rss)
  if (problem) throw new AdapterError('bad-capabilities', 'VQ-192', problem)
  const nicSwitch = nicSwitchOf(limits)
  const canVlan = (limits.switchCaps & SwitchCaps.vlanSupported) !== 0
  const hardware = {
    hardwareSriov: sriov,
    hardwareNicSwitch: nicSwitch,
    hardwareReceiveFilter: receiveFilterOf(limits, limits.numQueues, FilterCaps.vmQueuesEnabled, canVlan),
    ...(limits.rss ? { hardwareReceiveScale: rssCapabilitiesOf(limits.rss) } : {}), // VQ-020
  }
  const vlanIds = canVlan && selection.vlanFiltering
  const { switchCaps } = limits
  const enabledCaps = vlanIds ? switchCaps : switchCaps & ~SwitchCaps.vlanSupported // SR-048
  const spreads = limits.rss !== undefined && selection.rssOnHostVPorts === true
  const enabled = (caps: NicSwitchCapabilities): NicSwitchCapabilities => {
    const vlans = { ...caps, nicSwitchCapabilities: enabledCaps }
    return spreads ? vlans : withoutRss(vlans) // VQ-179
  }
  const receiveScale = spreads ? { receiveScale: rssCapabilitiesOf(limits.rss) } : {}
  if (selection.sriov)
    return {
      ...hardware,
      ...receiveScale,
      currentSriov: sriov,
      currentNicSwitch: enabled(nicSwitch),
      currentReceiveFilter: receiveFilterOf(limits, 0, 0, vlanIds), // SR-059, SR-060, SR-239
    }
  if (selection.vmq) {
    const currentReceiveFilter = receiveFilterOf(limits, limits.numQueues, FilterCaps.vmQueuesEnabled, vlanIds)
    if ((switchCaps & SwitchCaps.nicSwitchWithoutIov) === 0) return { ...hardware, currentReceiveFilter }
    // SR-128: both, until the first request decides between them; a switch without SR-IOV has no VFs.
    const currentNicSwitch = enabled({ ...nicSwitch, maxNumVFs: 0 })
    return { ...hardware, ...receiveScale, currentReceiveFilter, currentNicSwitch }
  }
  return hardware // SR-033, SR-035, SR-056
}

/** What a VF miniport registers: SR-IOV capabilities and nothing else (SR-028, SR-029, SR-036 to SR-038). */
export function vfAttributes(): HardwareAssist {
  const sriov: SriovCapabilities = { sriovCapabilities: SriovCaps.sriovSupported | SriovCaps.vfMiniport }
  return { hardwareSriov: sriov, currentSriov: sriov }
}

/** Refuses to start a driver in the wrong partition (SR-024, SR-025). */
export function checkPartition(role: 'pf' | 'vf', partition: PartitionType): void {
  const wanted = role === 'pf' ? PartitionType.parent : PartitionType.child
  if (partition === wanted) return
  const where = role === 'pf' ? 'the parent partition' : 'a child partition'
  throw new AdapterError(
    'wrong-partition',
    role === 'pf' ? 'SR-024' : 'SR-025',
    `a ${role.toUpperCase()} driver starts in ${where} only`,
  )
}

const powerOfTwo = (n: number): boolean => n > 0 && (n & (n - 1)) === 0

/** The attribute check: throws AdapterError with the rule that a report breaks. */
export function checkAttributes(attributes: HardwareAssist): void {
  const refuse = (rule: string, message: string): never => {
    throw new AdapterError('bad-capabilities', rule, message)
  }
  if (attributes.hardwareSriov && !attributes.hardwareNicSwitch && isPf(attributes.hardwareSriov))
    refuse('SR-069', 'SR-IOV capabilities come with NIC switch capabilities')
  for (const caps of [attributes.hardwareReceiveFilter, attributes.currentReceiveFilter]) {
    const problem = caps && queueCapabilitiesProblem(caps)
    if (problem) refuse(problem.rule, problem.message)
  }
  for (const caps of [attributes.hardwareNicSwitch, attributes.currentNicSwitch]) {
    const problem = caps && rssProblem(caps)
    if (problem) refuse(problem.rule, problem.message)
  }
  const nicSwitch = attributes.hardwareNicSwitch
  if (!nicSwitch) return
  if (nicSwitch.maxNumSwitches !== 1) refuse('SR-041', `MaxNumSwitches is 1, not ${nicSwitch.maxNumSwitches}`)
  if (nicSwitch.maxNumVPorts < nicSwitch.maxNumVFs + 1)
    refuse('SR-042', `MaxNumVPorts is ${nicSwitch.maxNumVPorts}: it is at least MaxNumVFs + 1 = ${nicSwitch.maxNumVFs + 1}`)
  if (nicSwitch.maxNumVPorts > VPORTS_MAX)
    refuse('SR-042', `MaxNumVPorts is ${nicSwitch.maxNumVPorts}: at most ${VPORTS_MAX} are served`)
  if (nicSwitch.maxNumQueuePairs < nicSwitch.maxNumVPorts)
    refuse('SR-043', `MaxNumQueuePairs is ${nicSwitch.maxNumQueuePairs}: it is at least MaxNumVPorts = ${nicSwitch.maxNumVPorts}`)
  if (nicSwitch.maxNumMacAddresses < nicSwitch.maxNumVPorts)
    refuse(
      'SR-044',
      `MaxNumMacAddresses is ${nicSwitch.maxNumMacAddresses}: it is at least MaxNumVPorts = ${nicSwitch.maxNumVPorts}`,
    )
  if (!powerOfTwo(nicSwitch.maxNumQueuePairsPerNonDefaultVPort))
    refuse('SR-045', `MaxNumQueuePairsPerNonDefaultVPort is ${nicSwitch.maxNumQueuePairsPerNonDefaultVPort}, not a power of two`)
}

const isPf = (caps: SriovCapabilities): boolean => (caps.sriovCapabilities & SriovCaps.pfMiniport) !== 0
