// The other ends of tunnels, as one processor knows them: addresses, headers ready to be copied, counters.
//
// The rule it must not break: looking one up allocates nothing; a peer whose next hop is not known has no headers.
import { TunnelTemplate } from '../../packet/tunnel.ts'
import { OVERLAY_PEERS_MAX } from './options.ts'
import { OVERLAY_COUNTER_BYTES, type OverlayChange, type OverlayPlan, PEER_COUNTERS, PeerCounter } from './plan.ts'

const { sentFrames, sentBytes, receivedFrames, receivedBytes } = PeerCounter
const COUNTERS: number = PEER_COUNTERS
const ADDRESS_BYTES = 16
/** In place of a peer's number: the group that floods go to. */
export const GROUP_PEER = OVERLAY_PEERS_MAX

/** Fields are ordinary ones: they are read per packet. */
export class OverlayPeers {
  readonly templates: (TunnelTemplate | undefined)[] = new Array(OVERLAY_PEERS_MAX + 1).fill(undefined)
  private readonly counters: Float64Array
  private readonly plan: OverlayPlan
  // Of each peer 16 octets, and how many of them count; 0: there is no such peer.
  private readonly addresses = new Uint8Array(OVERLAY_PEERS_MAX * ADDRESS_BYTES)
  private readonly lengths = new Uint8Array(OVERLAY_PEERS_MAX)
  // Peers by hash of their address, in chains.
  private readonly first = new Int16Array(OVERLAY_PEERS_MAX).fill(-1)
  private readonly next = new Int16Array(OVERLAY_PEERS_MAX).fill(-1)
  private last = 0

  constructor(buffer: ArrayBufferLike, plan: OverlayPlan) {
    this.plan = plan
    this.counters = new Float64Array(buffer, plan.counters, OVERLAY_COUNTER_BYTES / 8)
    if (plan.group !== undefined) this.templates[GROUP_PEER] = this.template(plan.group, groupMac(plan.group))
  }

  private template(destination: Uint8Array, destinationMac: Uint8Array): TunnelTemplate | undefined {
    const { format, mac, udpPort, ttl, addresses } = this.plan
    const source = addresses.find((own) => own.length === destination.length)
    return source && new TunnelTemplate({ format, source, destination, sourceMac: mac, destinationMac, udpPort, ttl })
  }

  /** The same peers, counted apart. */
  shadow(): OverlayPeers {
    const shadow = new OverlayPeers(new ArrayBuffer(OVERLAY_COUNTER_BYTES), { ...this.plan, counters: 0 })
    for (const [peer, template] of this.templates.entries()) shadow.templates[peer] = template
    shadow.addresses.set(this.addresses)
    shadow.lengths.set(this.lengths)
    shadow.first.set(this.first)
    shadow.next.set(this.next)
    return shadow
  }

  /** Address of a peer, or of the group; empty if there is none. */
  addressOf(peer: number): Uint8Array {
    if (peer === GROUP_PEER) return this.plan.group ?? new Uint8Array(0)
    return this.addresses.slice(peer * ADDRESS_BYTES, peer * ADDRESS_BYTES + this.lengths[peer]!)
  }

  change({ peer, address, nextHop }: OverlayChange['peers'][number]): void {
    this.templates[peer] = address === undefined || nextHop === undefined ? undefined : this.template(address, nextHop)
    this.lengths[peer] = address?.length ?? 0
    if (address !== undefined) this.addresses.set(address, peer * ADDRESS_BYTES)
    this.first.fill(-1)
    for (let one = 0; one < OVERLAY_PEERS_MAX; one++) {
      const length = this.lengths[one]!
      if (length === 0) continue
      const place = hash(this.addresses, one * ADDRESS_BYTES, length)
      this.next[one] = this.first[place]!
      this.first[place] = one
    }
    this.last = 0
  }

  /** The peer with the address in `bytes[at…at+length-1]`, or -1. */
  find(bytes: Uint8Array, at: number, length: number): number {
    if (this.is(this.last, bytes, at, length)) return this.last
    for (let one = this.first[hash(bytes, at, length)]!; one >= 0; one = this.next[one]!)
      if (this.is(one, bytes, at, length)) {
        this.last = one
        return one
      }
    return -1
  }

  private is(peer: number, bytes: Uint8Array, at: number, length: number): boolean {
    if (this.lengths[peer] !== length) return false
    const from = peer * ADDRESS_BYTES
    for (let i = 0; i < length; i++) if (this.addresses[from + i] !== bytes[at + i]) return false
    return true
  }

  countSent(peer: number, bytes: number): void {
    if (peer === GROUP_PEER) return
    const at = peer * COUNTERS
    this.counters[at + sentFrames] = this.counters[at + sentFrames]! + 1
    this.counters[at + sentBytes] = this.counters[at + sentBytes]! + bytes
  }

  countReceived(peer: number, bytes: number): void {
    const at = peer * COUNTERS
    this.counters[at + receivedFrames] = this.counters[at + receivedFrames]! + 1
    this.counters[at + receivedBytes] = this.counters[at + receivedBytes]! + bytes
  }
}

function hash(bytes: Uint8Array, at: number, length: number): number {
  let value = length
  for (let i = 0; i < length; i++) value = Math.imul(value ^ bytes[at + i]!, 0x01000193)
  return (value ^ (value >>> 15)) & (OVERLAY_PEERS_MAX - 1)
}

// RFC 1112 6.4, RFC 2464 7.
function groupMac(group: Uint8Array): Uint8Array {
  if (group.length === 4) return Uint8Array.of(1, 0, 0x5e, group[1]! & 0x7f, group[2]!, group[3]!)
  return Uint8Array.of(0x33, 0x33, group[12]!, group[13]!, group[14]!, group[15]!)
}
