// NDIS_SWITCH_NIC_SAVE_STATE (spec 2.11) as OID payloads: what the protocol edge offers an extension for its run-time data of one
// connection, what the extension fills in, and what it gets back on restore.

/** Bytes of the structure before the data: SaveDataOffset, and the part of BytesNeeded that is not data (AMB-21). */
export const SAVE_DATA_OFFSET = 568
/** NDIS_SWITCH_NIC_SAVE_STATE_MAX_DATA_SIZE: what the 16 bits of SaveDataSize hold. ES-477 */
export const SAVE_DATA_MAX = 65535

/** Payload of NIC_SAVE: an empty buffer with room for `saveDataSize` bytes. ES-460 */
export interface NicSaveRequest {
  readonly portId: number
  /** Always 0. ES-476 */
  readonly nicIndex: 0
  /** Header.Size: bytes of the whole buffer. ES-461 */
  readonly bufferSize: number
  readonly saveDataOffset: number
  readonly saveDataSize: number
}

/** What an extension completes NIC_SAVE with: one block of its data. */
export interface NicSaveBlock {
  /** The `id` of the extension's definition. ES-465 */
  readonly extensionId: string
  readonly extensionFriendlyName: string
  /** The GUID of the extension's class of data; NO_GUID without one. ES-466 */
  readonly featureClassId: string
  /** At most the room that was offered, and never more than SAVE_DATA_MAX bytes. */
  readonly saveData: Uint8Array
}

/** Payload of NIC_RESTORE: a block that was saved, for a port whose id may be another one now. ES-483 */
export interface NicRestoreState extends NicSaveBlock {
  readonly portId: number
  readonly nicIndex: 0
}

/** Payload of NIC_SAVE_COMPLETE and NIC_RESTORE_COMPLETE. */
export interface NicSaveComplete {
  readonly portId: number
  readonly nicIndex: 0
}
