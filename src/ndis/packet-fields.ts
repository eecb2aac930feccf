// What an author needs to read packets of a batch straight from the pool's arrays, for loops in which accessors cost too much: the
// bits of `pool.flags` and the strides of the arrays that hold more than one number per packet.
//
// The rule it must not break: these names are for reading. What changes a packet goes through the batch, which checks the right to it.
import * as layout from '../kernels/layout.ts'

/** Bits of `batch.pool.flags`. */
export const PacketFlag = {
  /** Taken out of the batch in this handler. */
  dropped: layout.PF_DROPPED,
  broadcast: layout.PF_BROADCAST,
  /** Group bit of the destination address set; also on broadcasts. */
  multicast: layout.PF_MULTICAST,
  ipv4: layout.PF_IPV4,
  ipv6: layout.PF_IPV6,
  /** An IP fragment, the first one included. */
  fragment: layout.PF_FRAGMENT,
  /** A tag in the frame. */
  tagged: layout.PF_TAGGED,
  /** 802.1Q information out of band. */
  vlanOutOfBand: layout.PF_VLAN_OOB,
} as const

/** Bytes per slot of `pool.header8`; the frame begins `pool.headerOffset[slot]` bytes into them, and has at least 14. */
export const PACKET_HEADER_STRIDE = layout.HEADER_STRIDE
/** Bytes per slot of `pool.vnet`, the virtio-net header; its byte 1 is not 0 on super-frames. */
export const PACKET_VNET_STRIDE = layout.VNET_STRIDE
