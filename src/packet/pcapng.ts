// Numbers of the pcapng file format (draft-ietf-opsawg-pcapng) that the writer and the reader share.

export const BlockType = {
  sectionHeader: 0x0a0d0d0a,
  interfaceDescription: 1,
  interfaceStatistics: 5,
  enhancedPacket: 6,
} as const

export const BYTE_ORDER_MAGIC = 0x1a2b3c4d
export const LINK_TYPE_ETHERNET = 1

export const PcapngOption = {
  end: 0,
  comment: 1,
  sectionApplication: 4,
  interfaceName: 2,
  interfaceDescription: 3,
  interfaceMac: 6,
  interfaceResolution: 9,
  packetFlags: 2,
  packetId: 5,
  packetQueue: 6,
  packetVerdict: 7,
} as const

/** Direction in the flags of an enhanced packet block, seen from the switch. */
export const PacketDirection = { unknown: 0, inbound: 1, outbound: 2 } as const
/**
 * What became of a packet, in the words of the one kind of verdict that readers know for switches in software: those of Linux' traffic
 * control (TC_ACT_OK, TC_ACT_SHOT).
 */
export const PacketVerdict = { none: -1, passed: 0, dropped: 2 } as const
/** Kind of the verdict: eBPF of Linux' traffic control. */
export const VERDICT_TRAFFIC_CONTROL = 1
/** Reception type in the flags of an enhanced packet block. */
export const ReceptionType = { unicast: 1 << 2, multicast: 2 << 2, broadcast: 3 << 2 } as const

/** if_tsresol: time stamps are nanoseconds. */
export const NANOSECOND_RESOLUTION = 9
