// The payloads of RSS requests on VPorts as typed objects (spec 2.9, 2.10), and what an adapter says of its RSS.
import type { NdisStatus } from '../../ndis/status.ts'

/** NDIS_RECEIVE_SCALE_PARAMETERS.Flags */
export const RssFlag = {
  baseCpuUnchanged: 0x1,
  hashInfoUnchanged: 0x2,
  itableUnchanged: 0x4,
  hashKeyUnchanged: 0x8,
  disableRss: 0x10,
  defaultProcessorUnchanged: 0x20,
} as const

/** NDIS_RECEIVE_SCALE_PARAMETERS, revision 3. A clear UNCHANGED flag means "may have changed". */
export interface RssParameters {
  readonly flags: number
  /** 0 (VQ-195). */
  readonly baseCpuNumber: number
  /** Hash function and types; function 0 = RSS off. */
  readonly hashInformation: number
  /** Processors, by number; a power of two of them (VQ-197). */
  readonly indirectionTable: readonly number[]
  /** 40 bytes. */
  readonly hashSecretKey: Uint8Array
  readonly defaultProcessorNumber: number
}

/** NDIS_RSS_SET_INDIRECTION_ENTRY */
export interface IndirectionEntry {
  readonly switchId: number
  readonly vPortId: number
  readonly flags: number
  readonly indirectionTableIndex: number
  readonly targetProcessorNumber: number
  /** Out; never PENDING (VQ-219). */
  readonly entryStatus?: NdisStatus
}

/** NDIS_RSS_SET_INDIRECTION_ENTRIES: the output has a status in each. */
export interface IndirectionEntries {
  readonly flags: number
  readonly entries: readonly IndirectionEntry[]
}

/** NDIS_RSS_CAPS_* beside the hash function and the hash types, which stand in the same word. */
export const RssCaps = {
  messageSignaledInterrupts: 0x01000000,
  classificationAtDpc: 0x04000000,
  usingMsiX: 0x08000000,
  supportsMsiX: 0x20000000,
  independentEntryMove: 0x40000000,
} as const

/** NDIS_RECEIVE_SCALE_CAPABILITIES, revision 2 */
export interface RssCapabilities {
  readonly capabilitiesFlags: number
  readonly numberOfInterruptMessages: number
  readonly numberOfReceiveQueues: number
  readonly numberOfIndirectionTableEntries: number
}
