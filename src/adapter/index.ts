// The SR-IOV adapter as a library, `vmswitch/adapter`: the host's side under OIDs, the device that a guest drives, and the guest's half in
// software. Pure TypeScript: it runs in a test, or wherever frames come from arrays.
export { Adapter, type AdapterIndication, type AdapterState } from './adapter.ts'
export { AdapterPath, type AdapterPathComponents } from './adapter-path.ts'
export { VfChannel } from './backchannel.ts'
export type { BindParameters } from './bindings.ts'
export { AdapterError, type HardwareAssist, type HardwareLimits, limitsFor, vfAttributes } from './capabilities.ts'
export { Block, type ReceiveMode, receiveModeBlock } from './config-blocks.ts'
export { GuestNdis, NETVSC, type VfDriver, type VfServices } from './guest/guest-ndis.ts'
export { SoftwareVfDriver } from './guest/software-vf-driver.ts'
export { type GuestPath, GuestPathWord, VmNetworkAdapter } from './guest/vm-network-adapter.ts'
export { PartitionType, PF_FUNCTION_ID } from './identifiers.ts'
export { Keyword, Registry } from './keywords.ts'
export { setVf, showVf, type VfShown, type VfWords } from './linux-words.ts'
export { AdapterOid, AdapterStatus, adapterOidName } from './oids.ts'
export { type FilteringInfo, PfReceive } from './pf-receive.ts'
export { encapsulatedIpChecksum, segmentEncapsulated } from './queues/encapsulated-lso.ts'
export { filteringInfo, sharedMemoryInfo } from './queues/filtering-info.ts'
export { QUEUE_PATH_LIST_BYTES, QueuePath, type QueuePathComponents } from './queues/queue-path.ts'
export { queueStatistics } from './queues/queue-statistics.ts'
export { type QueueTables, queueTablesBytes, viewQueueTables } from './queues/queue-tables.ts'
export { QueueTransmit } from './queues/queue-transmit.ts'
export { type QueueParameters, QueueParams } from './queues/queue-words.ts'
export { RegionSharedMemory } from './queues/shared-memory.ts'
export type { SoftwareQueues, SoftwareQueuesComponents } from './queues/software-queues.ts'
export { type PlannedRule, type SteeringPlan, steeringPlan } from './queues/steering-plan.ts'
export { type VmQueue, VmQueues, type VmQueueWish } from './queues/vm-queues.ts'
export { WakeModeration } from './queues/wake-moderation.ts'
export { filterParameters } from './receive-filters.ts'
export type { AdapterCompletion, AdapterRequest, RequestType } from './requests.ts'
export { HashType } from './rss/hash-types.ts'
export { type RssLimits, rssLimitsFor, VMMQ_CAPS } from './rss/rss-limits.ts'
export {
  type IndirectionEntries,
  type IndirectionEntry,
  type RssCapabilities,
  RssCaps,
  RssFlag,
  type RssParameters,
} from './rss/rss-payloads.ts'
export { RSS_LIST_BYTES, type RssOutlet, RssSteering, type RssSteeringComponents } from './rss/rss-steering.ts'
export { SoftwareHash } from './rss/software-hash.ts'
export { Vmmq, type VmmqComponents, VmmqError, type VmmqVPort, type VmmqWish } from './rss/vmmq.ts'
export { type RssParametersV2, RssV2Flag } from './rss/vport-rss.ts'
export { type AssignedVf, VfAssignment, VfAssignmentError, type VfExposure, type VmAdapter } from './sequences.ts'
export {
  adapterTablesBytes,
  SoftwareAdapter,
  type SoftwareAdapterComponents,
  type SoftwareAdapterOptions,
  sriovKeywords,
} from './software-adapter.ts'
export type { VfDevice } from './vf-device.ts'
