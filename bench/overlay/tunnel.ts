// What both sides of the overlay benchmark agree on: addresses, and frames of the tunnel.
import { parseIpv4, parseMac } from '../../src/packet/addresses.ts'
import { put16, put32 } from '../../src/packet/bytes.ts'
import { internetChecksum } from '../../src/packet/checksum.ts'

export const GUEST_MAC = '02:00:00:00:00:01'
export const REMOTE_MAC = '02:00:00:00:00:02'
/** The guest behind the switch under test, and the one behind the other end of the tunnel. */
export const GUEST_ADDRESS = '10.0.0.1'
export const REMOTE_ADDRESS = '10.0.0.2'
export const PROVIDER_MAC = '02:00:00:00:01:01'
export const PEER_MAC = '02:00:00:00:01:02'
/** The switch's own end of the tunnel, and the other one; addresses for benchmarks (RFC 2544). */
export const PROVIDER_ADDRESS = '198.18.0.1'
export const PEER_ADDRESS = '198.18.0.2'
export const PREFIX_LENGTH = 24
export const SUBNET = 5001
export const UDP_PORT = 4789

const ETHERNET = 14
const IPV4 = 20
const UDP = 8
const VXLAN = 8
/** Bytes of the tunnel's headers before a guest's frame. */
export const TUNNEL_BYTES = ETHERNET + IPV4 + UDP + VXLAN
const SOURCE_PORTS = 49152

function ipv4(frame: Uint8Array, at: number, bytes: number, source: string, destination: string): void {
  frame.set([0x45, 0], at)
  put16(frame, at + 2, bytes)
  frame.set([0x40, 0, 64, 17], at + 6)
  put32(frame, at + 12, parseIpv4(source))
  put32(frame, at + 16, parseIpv4(destination))
  put16(frame, at + 10, internetChecksum(frame, at, at + IPV4))
}

/** A frame of `bytes` between the guests, of flow `flow`. The UDP checksum is left out. */
export function guestFrame(bytes: number, flow: number, fromGuest: boolean): Uint8Array {
  const frame = new Uint8Array(bytes)
  const macs = [GUEST_MAC, REMOTE_MAC]
  const addresses = [GUEST_ADDRESS, REMOTE_ADDRESS]
  if (!fromGuest) for (const both of [macs, addresses]) both.reverse()
  frame.set([...parseMac(macs[1]!), ...parseMac(macs[0]!), 8, 0])
  ipv4(frame, ETHERNET, bytes - ETHERNET, addresses[0]!, addresses[1]!)
  put16(frame, 34, 1024 + flow)
  put16(frame, 36, 9)
  put16(frame, 38, bytes - ETHERNET - IPV4)
  return frame
}

/** The frame as it comes from the other end of the tunnel. */
export function tunnelled(inner: Uint8Array, flow: number): Uint8Array {
  const frame = new Uint8Array(TUNNEL_BYTES + inner.length)
  frame.set([...parseMac(PROVIDER_MAC), ...parseMac(PEER_MAC), 8, 0])
  ipv4(frame, ETHERNET, frame.length - ETHERNET, PEER_ADDRESS, PROVIDER_ADDRESS)
  const udp = ETHERNET + IPV4
  put16(frame, udp, SOURCE_PORTS + flow)
  put16(frame, udp + 2, UDP_PORT)
  put16(frame, udp + 4, frame.length - udp)
  frame[udp + UDP] = 8 // the identifier is valid
  put32(frame, udp + UDP + 4, SUBNET * 256)
  frame.set(inner, TUNNEL_BYTES)
  return frame
}

/** The peer's answer to an ARP request, which is also sent unasked. */
export function peerArp(): Uint8Array {
  const frame = new Uint8Array(60)
  frame.set([...parseMac(PROVIDER_MAC), ...parseMac(PEER_MAC), 8, 6])
  frame.set([0, 1, 8, 0, 6, 4, 0, 2, ...parseMac(PEER_MAC)], ETHERNET)
  put32(frame, ETHERNET + 14, parseIpv4(PEER_ADDRESS))
  frame.set(parseMac(PROVIDER_MAC), ETHERNET + 18)
  put32(frame, ETHERNET + 24, parseIpv4(PROVIDER_ADDRESS))
  return frame
}
