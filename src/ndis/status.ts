// NDIS status codes that the contract uses, with their header values (spec section 1.6).

/** NDIS status codes, with their header values. */
export const NdisStatus = {
  success: 0x00000000,
  pending: 0x00000103,
  notAccepted: 0x00010003,
  failure: 0xc0000001,
  invalidParameter: 0xc000000d,
  resources: 0xc000009a,
  notSupported: 0xc00000bb,
  dataNotAccepted: 0xc000021b,
  requestAborted: 0xc001000c,
  invalidLength: 0xc0010014,
  invalidData: 0xc0010015,
  bufferTooShort: 0xc0010016,
  invalidOid: 0xc0010017,
  fileNotFound: 0xc001001b,
  paused: 0xc023002a,
  invalidPort: 0xc023002d,
  reinitRequired: 0xc0230030,
  noQueues: 0xc0230031,
} as const

export type NdisStatus = number

const names = new Map<number, string>([
  [NdisStatus.success, 'NDIS_STATUS_SUCCESS'],
  [NdisStatus.pending, 'NDIS_STATUS_PENDING'],
  [NdisStatus.notAccepted, 'NDIS_STATUS_NOT_ACCEPTED'],
  [NdisStatus.failure, 'NDIS_STATUS_FAILURE'],
  [NdisStatus.invalidParameter, 'NDIS_STATUS_INVALID_PARAMETER'],
  [NdisStatus.resources, 'NDIS_STATUS_RESOURCES'],
  [NdisStatus.notSupported, 'NDIS_STATUS_NOT_SUPPORTED'],
  [NdisStatus.dataNotAccepted, 'NDIS_STATUS_DATA_NOT_ACCEPTED'],
  [NdisStatus.requestAborted, 'NDIS_STATUS_REQUEST_ABORTED'],
  [NdisStatus.invalidLength, 'NDIS_STATUS_INVALID_LENGTH'],
  [NdisStatus.invalidData, 'NDIS_STATUS_INVALID_DATA'],
  [NdisStatus.bufferTooShort, 'NDIS_STATUS_BUFFER_TOO_SHORT'],
  [NdisStatus.invalidOid, 'NDIS_STATUS_INVALID_OID'],
  [NdisStatus.fileNotFound, 'NDIS_STATUS_FILE_NOT_FOUND'],
  [NdisStatus.paused, 'NDIS_STATUS_PAUSED'],
  [NdisStatus.invalidPort, 'NDIS_STATUS_INVALID_PORT'],
  [NdisStatus.reinitRequired, 'NDIS_STATUS_REINIT_REQUIRED'],
  [NdisStatus.noQueues, 'NDIS_STATUS_NO_QUEUES'],
])

/** The header name of a status, or its value in hexadecimal. */
export const ndisStatusName = (status: NdisStatus): string => names.get(status) ?? `0x${status.toString(16).padStart(8, '0')}`
