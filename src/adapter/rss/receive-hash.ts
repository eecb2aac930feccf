// The hash of a received packet (spec 5.5, 5.6): over addresses and TCP (or, where that is enabled, UDP) ports, over addresses alone, or none, as the enabled types and the
// packet's headers say; of an encapsulated packet over the inner ones where they can be found.
//
// The rule it must not break: packets of one flow get one hash, whatever the burst holds; it looks at the header copy alone, and
// allocates nothing.
import * as layout from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { Encapsulation } from '../queues/encapsulation.ts'
import { HashType, UdpHashType } from './hash-types.ts'
import type { Toeplitz } from './toeplitz.ts'

const { HEADER_STRIDE, PF_FRAGMENT, PF_IPV4, PF_IPV6 } = layout
// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const IPV4: number = HashType.ipv4
const TCP_IPV4: number = HashType.tcpIpv4
const IPV6: number = HashType.ipv6
const TCP_IPV6: number = HashType.tcpIpv6
const UDP_IPV4: number = UdpHashType.udpIpv4
const UDP_IPV6: number = UdpHashType.udpIpv6
const UDP_ANY: number = UDP_IPV4 | UDP_IPV6
const IPV4_ANY: number = IPV4 | TCP_IPV4 | UDP_IPV4
const IPV6_ANY: number = IPV6 | TCP_IPV6 | UDP_IPV6

const PROTOCOL_TCP = 6
const PROTOCOL_UDP = 17
const PROTOCOL_GRE = 47
const IPV4_ADDRESSES_AT = 12
const IPV4_ADDRESSES = 8
const IPV6_ADDRESSES_AT = 8
const IPV6_ADDRESSES = 32
const PORTS = 4

/** Fields are ordinary ones: `of` runs per packet. */
export class ReceiveHash {
  /** Hash of the packet looked at last, as a signed number, which needs no object; means nothing where `type` is 0. */
  value = 0
  /** What it was taken over (HashType); 0: the packet has none. */
  type = 0
  private readonly pool: PacketPool
  private readonly inner: Encapsulation

  constructor(pool: PacketPool) {
    this.pool = pool
    this.inner = new Encapsulation(pool)
  }

  /**
   * Looks at the packet in `slot`, which is no dropped one, under the enabled `types`. `encapsulation`: inner headers count, where task
   * offload for encapsulated packets is on (VQ-159).
   */
  of(slot: number, types: number, toeplitz: Toeplitz, encapsulation: boolean): void {
    this.type = 0
    const { pool, inner } = this
    const flags = pool.flags[slot]!
    if ((flags & (PF_IPV4 | PF_IPV6)) === 0) return
    const start = slot * HEADER_STRIDE + pool.headerOffset[slot]!
    const end = start + pool.headerLength[slot]!
    if (encapsulation && pool.protocol[slot] === PROTOCOL_GRE && inner.parse(slot) && inner.transport >= 0) {
      const isIpv4 = inner.version === 4 // whatever the outer version is (VQ-167)
      if ((types & (isIpv4 ? TCP_IPV4 : TCP_IPV6)) !== 0) {
        this.over(isIpv4, inner.ip, inner.transport, end, types, toeplitz, isIpv4 ? TCP_IPV4 : TCP_IPV6) // VQ-162
        return
      }
    } // anything else that is encapsulated is hashed over its outer addresses (VQ-163)
    const ip = start + pool.l3[slot]!
    const isIpv4 = (flags & PF_IPV4) !== 0
    const whole = (flags & PF_FRAGMENT) === 0
    const protocol = pool.protocol[slot]!
    const isUdp = protocol === PROTOCOL_UDP && (types & UDP_ANY) !== 0
    const ports = whole && (protocol === PROTOCOL_TCP || isUdp) && pool.l4[slot] !== 0 ? start + pool.l4[slot]! : -1
    const withPorts = isIpv4 ? (isUdp ? UDP_IPV4 : TCP_IPV4) : isUdp ? UDP_IPV6 : TCP_IPV6
    this.over(isIpv4, ip, ports, end, types, toeplitz, withPorts)
  }

  // `ports`: where they stand, or -1; `withPorts`: the type that they make of it.
  private over(
    isIpv4: boolean,
    ip: number,
    ports: number,
    end: number,
    types: number,
    toeplitz: Toeplitz,
    withPorts: number,
  ): void {
    const { header8 } = this.pool
    const at = ip + (isIpv4 ? IPV4_ADDRESSES_AT : IPV6_ADDRESSES_AT)
    const bytes = isIpv4 ? IPV4_ADDRESSES : IPV6_ADDRESSES
    if ((types & (isIpv4 ? IPV4_ANY : IPV6_ANY)) === 0 || at + bytes > end) return
    const addressesOnly = isIpv4 ? IPV4 : IPV6
    const type = ports >= 0 && ports + PORTS <= end && (types & withPorts) !== 0 ? withPorts : types & addressesOnly
    if (type === 0) return
    let sum = toeplitz.add(0, header8, at, bytes, 0)
    if (type === withPorts) sum = toeplitz.add(sum, header8, ports, PORTS, bytes)
    this.value = sum
    this.type = type
  }
}
