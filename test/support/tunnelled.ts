// A frame in the tunnel of the peer of overlay-harness.ts, as it comes from the wire.
import { parseMac } from '../../src/packet/addresses.ts'
import { ipBytes } from '../../src/packet/build.ts'
import { TunnelFormat, TunnelTemplate } from '../../src/packet/tunnel.ts'
import { OWN_ADDRESS, OWN_MAC, PEER_ADDRESS, PEER_MAC, VSID } from './overlay-harness.ts'

export interface Tunnelled {
  readonly vsid?: number
  readonly from?: string
  readonly to?: string
  readonly trafficClass?: number
}

/** Any flow: the tests ask for none. */
const FLOW = 77

/** A VXLAN packet with `inner` in it. */
export function tunnelled(
  inner: Uint8Array,
  { vsid = VSID, from = PEER_ADDRESS, to = OWN_ADDRESS, trafficClass = 0 }: Tunnelled = {},
): Buffer {
  const template = new TunnelTemplate({
    format: TunnelFormat.vxlan,
    source: ipBytes(from),
    destination: ipBytes(to),
    sourceMac: parseMac(PEER_MAC),
    destinationMac: parseMac(OWN_MAC),
    udpPort: 4789,
    ttl: 64,
  })
  const packet = Buffer.alloc(template.length + inner.length)
  template.write(packet, 0, inner.length, vsid, FLOW, trafficClass)
  packet.set(inner, template.length)
  return packet
}
