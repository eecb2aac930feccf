// NVGRE task offload: what the adapter can do to encapsulated packets, and whether it is on (spec 2.9, 5.6).

/** NDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD members: versions of the outer and the inner IP header. */
export const Encapsulated = { innerIpv4: 0x1, outerIpv4: 0x2, innerIpv6: 0x4, outerIpv6: 0x8 } as const
const ALL = Encapsulated.innerIpv4 | Encapsulated.outerIpv4 | Encapsulated.innerIpv6 | Encapsulated.outerIpv6

/** EncapsulatedPacketTaskOffload in OID_TCP_OFFLOAD_PARAMETERS */
export const OffloadSet = { noChange: 0, on: 1, off: 2 } as const

/** Bytes from the start of a packet to the end of its inner TCP or UDP header: those that lie in the header copy (VQ-169). */
export const MAX_HEADER_BYTES = 128

/** NDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD */
export interface EncapsulatedPacketTaskOffload {
  readonly transmitChecksumOffloadSupported: number
  readonly receiveChecksumOffloadSupported: number
  readonly lsoV2Supported: number
  readonly rssSupported: number
  readonly vmqSupported: number
  readonly maxHeaderSizeSupported: number
}

/** The part of NDIS_OFFLOAD that is about encapsulated packets. */
export interface Offload {
  readonly encapsulatedPacketTaskOffload: EncapsulatedPacketTaskOffload
}

/** NDIS_OFFLOAD_PARAMETERS, the part that is about encapsulated packets. */
export interface OffloadParameters {
  readonly encapsulatedPacketTaskOffload: number
}

/** What the adapter can do (VQ-158). */
export const hardwareOffload: Offload = {
  encapsulatedPacketTaskOffload: {
    transmitChecksumOffloadSupported: ALL,
    receiveChecksumOffloadSupported: ALL,
    lsoV2Supported: ALL,
    rssSupported: ALL,
    vmqSupported: ALL,
    maxHeaderSizeSupported: MAX_HEADER_BYTES,
  },
}

/** What is reported while it is off. */
export const noOffload: Offload = {
  encapsulatedPacketTaskOffload: {
    transmitChecksumOffloadSupported: 0,
    receiveChecksumOffloadSupported: 0,
    lsoV2Supported: 0,
    rssSupported: 0,
    vmqSupported: 0,
    maxHeaderSizeSupported: 0,
  },
}
