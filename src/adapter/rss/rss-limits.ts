// What an adapter's RSS on VPorts of the PF (VMMQ) can do, what of it is reported, and the check of a report.
//
// The rule it must not break: a report that contradicts itself is refused with the rule that it breaks.
import { SwitchCaps } from '../identifiers.ts'
import type { NicSwitchCapabilities } from '../payloads.ts'
import { PROCESSORS_MAX } from '../queues/queue-words.ts'
import { HASH_FUNCTION_TOEPLITZ, HashType } from './hash-types.ts'
import { type RssCapabilities, RssCaps } from './rss-payloads.ts'
import { TABLE_ENTRIES_MAX } from './vport-rss.ts'

/** Size of an adapter's RSS. */
export interface RssLimits {
  /** Processors that VPorts of the PF may be spread over, below 64: what NdisGetRssProcessorInformation names. */
  readonly processors: readonly number[]
  /** Nondefault VPorts of the PF that can have RSS on at a time. */
  readonly capableVPorts: number
  /** Entries of the table of the default VPort, and of each other VPort of the PF, at the most: powers of two. */
  readonly defaultEntries: number
  readonly entries: number
  /** Queue pairs of the default VPort at the most: a power of two. */
  readonly defaultQueuePairs: number
  /** False: entries move only with the whole table (a miniport before NDIS 6.80). */
  readonly independentEntryMove?: boolean
}

const hashPerVPort = SwitchCaps.rssPerVPortHashFunction | SwitchCaps.rssPerVPortHashType | SwitchCaps.rssPerVPortHashKey
const rssCaps = SwitchCaps.rssOnPfVPorts | SwitchCaps.rssPerVPortTable | hashPerVPort | SwitchCaps.rssTableSizeRestricted

/** Flags of an adapter with VMMQ whose VPorts have all to themselves (VQ-181 to VQ-184). */
export const VMMQ_CAPS: number =
  SwitchCaps.singleVPortPool | SwitchCaps.rssOnPfVPorts | SwitchCaps.rssPerVPortTable | hashPerVPort

/** RSS of an adapter over `processors`, for `vports` nondefault VPorts of the PF. */
export const rssLimitsFor = (processors: readonly number[], vports: number): RssLimits => {
  const queuePairs = 2 ** Math.floor(Math.log2(Math.min(16, processors.length)))
  return { processors, capableVPorts: vports, defaultEntries: 128, entries: 64, defaultQueuePairs: queuePairs }
}

/** Members of NDIS_NIC_SWITCH_CAPABILITIES that revision 3 adds (VQ-180). */
export type Revision3 = Pick<
  NicSwitchCapabilities,
  | 'maxNumRssCapableNonDefaultPfVPorts'
  | 'numberOfIndirectionTableEntriesForDefaultVPort'
  | 'numberOfIndirectionTableEntriesPerNonDefaultPfVPort'
  | 'maxNumQueuePairsForDefaultVPort'
>

/** Those of an adapter without RSS on VPorts, or with it disabled. */
const none: Revision3 = {
  maxNumRssCapableNonDefaultPfVPorts: 0,
  numberOfIndirectionTableEntriesForDefaultVPort: 0,
  numberOfIndirectionTableEntriesPerNonDefaultPfVPort: 0,
  maxNumQueuePairsForDefaultVPort: 1,
}

export const revision3Of = (rss: RssLimits | undefined): Revision3 =>
  rss === undefined
    ? none
    : {
        maxNumRssCapableNonDefaultPfVPorts: rss.capableVPorts,
        numberOfIndirectionTableEntriesForDefaultVPort: rss.defaultEntries,
        numberOfIndirectionTableEntriesPerNonDefaultPfVPort: rss.entries,
        maxNumQueuePairsForDefaultVPort: rss.defaultQueuePairs,
      }

/** Capabilities with RSS on VPorts taken out: what is current while *RssOnHostVPorts is 0 (VQ-179). */
export const withoutRss = (caps: NicSwitchCapabilities): NicSwitchCapabilities => ({
  ...caps,
  ...none,
  nicSwitchCapabilities: caps.nicSwitchCapabilities & ~rssCaps,
})

/** True if the capabilities have RSS on VPorts of the PF (VQ-183). */
export const hasRss = (caps: NicSwitchCapabilities | undefined): boolean =>
  caps !== undefined && (caps.nicSwitchCapabilities & SwitchCaps.rssOnPfVPorts) !== 0

/** Every VPort has a hash of its own; else all have the adapter's (VQ-185). */
export const hasOwnHash = (switchCaps: number): boolean => (switchCaps & hashPerVPort) === hashPerVPort

/** Tables have as many entries as queues, rounded up to a power of two (VQ-186). */
export const hasRestrictedTable = (switchCaps: number): boolean => (switchCaps & SwitchCaps.rssTableSizeRestricted) !== 0

const { ipv4, tcpIpv4, ipv6, tcpIpv6 } = HashType
/** Hash types that the adapter computes. */
export const HASH_TYPES_COMPUTED = ipv4 | tcpIpv4 | ipv6 | tcpIpv6

/** NDIS_RECEIVE_SCALE_CAPABILITIES. As many interrupt messages as there are processors, whatever keywords say (VQ-189). */
export const rssCapabilitiesOf = (rss: RssLimits): RssCapabilities => ({
  capabilitiesFlags:
    HASH_FUNCTION_TOEPLITZ |
    ipv4 |
    ipv6 |
    RssCaps.messageSignaledInterrupts |
    RssCaps.classificationAtDpc |
    RssCaps.usingMsiX |
    RssCaps.supportsMsiX |
    (rss.independentEntryMove === false ? 0 : RssCaps.independentEntryMove), // VQ-210
  numberOfInterruptMessages: rss.processors.length,
  numberOfReceiveQueues: rss.processors.length,
  numberOfIndirectionTableEntries: Math.max(rss.defaultEntries, rss.entries),
})

const powerOfTwo = (n: number): boolean => Number.isInteger(n) && n > 0 && (n & (n - 1)) === 0

/** What is wrong with the processors of an adapter's RSS as a sentence, or undefined. */
export function rssLimitsProblem({ processors }: RssLimits): string | undefined {
  const good = processors.length > 0 && processors.every((p) => Number.isInteger(p) && p >= 0 && p < PROCESSORS_MAX)
  if (!good) return `RSS processors are numbers from 0 to ${PROCESSORS_MAX - 1}, at least one`
  return new Set(processors).size === processors.length ? undefined : 'an RSS processor is named twice'
}

/** What contradicts the contract in a report, with the rule; undefined if nothing does. */
export function rssProblem(caps: NicSwitchCapabilities): { rule: string; message: string } | undefined {
  const flags = caps.nicSwitchCapabilities
  const problem = (rule: string, message: string) => ({ rule, message })
  if (!hasRss(caps))
    return (flags & rssCaps) === 0 && caps.maxNumRssCapableNonDefaultPfVPorts === 0
      ? undefined
      : problem('VQ-183', 'RSS_ON_PF_VPORTS_SUPPORTED is set where the adapter has anything of RSS on VPorts of the PF')
  if ((flags & SwitchCaps.singleVPortPool) === 0) return problem('VQ-181', 'RSS on VPorts of the PF needs SINGLE_VPORT_POOL')
  if ((flags & SwitchCaps.rssPerVPortTable) === 0)
    return problem('VQ-182', 'RSS on VPorts of the PF needs RSS_PER_PF_VPORT_INDIRECTION_TABLE_SUPPORTED')
  if ((flags & hashPerVPort) !== 0 && !hasOwnHash(flags))
    return problem('VQ-184', 'hash function, type and key are all per VPort, or none is')
  if (!(caps.maxNumRssCapableNonDefaultPfVPorts >= 1))
    return problem('VQ-177', 'RSS is on the default VPort and on at least one nondefault VPort of the PF')
  const sizes = [caps.numberOfIndirectionTableEntriesForDefaultVPort, caps.numberOfIndirectionTableEntriesPerNonDefaultPfVPort]
  if (!sizes.every((size) => powerOfTwo(size) && size <= TABLE_ENTRIES_MAX))
    return problem('VQ-197', `tables have a power of two of entries, at most ${TABLE_ENTRIES_MAX}: ${sizes.join(', ')}`)
  return powerOfTwo(caps.maxNumQueuePairsForDefaultVPort)
    ? undefined
    : problem('VQ-177', `MaxNumQueuePairsForDefaultVPort is ${caps.maxNumQueuePairsForDefaultVPort}, not a power of two`)
}
