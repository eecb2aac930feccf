// Counts frames and bytes by protocol class and direction.
//
// The rule it must not break: it is a capturing extension; it allocates nothing and adds a few nanoseconds per packet.
import {
  type Batch,
  defineExtension,
  EtherType,
  OptionReader,
  PACKET_VNET_STRIDE,
  PacketFlag,
  PROTOCOL_ICMP,
  PROTOCOL_ICMP6,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from '../../extension.ts'

/** Protocol classes, in the order of their counters. */
export const protocolClasses = [
  'tcp4',
  'udp4',
  'icmp4',
  'other4',
  'tcp6',
  'udp6',
  'icmp6',
  'other6',
  'arp',
  'lldp',
  'other',
  'broadcast',
  'multicast',
  'tagged',
  'super-frames',
] as const

const OTHER4 = 3
const IPV6_OFFSET = 4
const ARP = 8
const LLDP = 9
const OTHER = 10
const BROADCAST = 11
const MULTICAST = 12
const TAGGED = 13
const SUPER_FRAMES = 14
const DIRECTION_COUNTERS = protocolClasses.length * 2

const names = ['ingress', 'egress'].flatMap((direction) =>
  protocolClasses.flatMap((name) => [`${direction}.${name}.frames`, `${direction}.${name}.bytes`]),
)

/** Index of a class among the counters: its frames; its bytes are the next one. */
export const counterIndex = (direction: 'ingress' | 'egress', name: (typeof protocolClasses)[number]): number =>
  (direction === 'ingress' ? 0 : DIRECTION_COUNTERS) + protocolClasses.indexOf(name) * 2

const classOfProtocol = new Uint8Array(256).fill(OTHER4)
classOfProtocol[PROTOCOL_TCP] = 0
classOfProtocol[PROTOCOL_UDP] = 1
classOfProtocol[PROTOCOL_ICMP] = 2
classOfProtocol[PROTOCOL_ICMP6] = 2

const IP = PacketFlag.ipv4 | PacketFlag.ipv6
const { ipv4: IPV4, broadcast: IS_BROADCAST, multicast: IS_MULTICAST } = PacketFlag
const IS_TAGGED = PacketFlag.tagged | PacketFlag.vlanOutOfBand
/** Flags that tell where a packet is counted. */
const KIND_FLAGS = IP | IS_BROADCAST | IS_MULTICAST | IS_TAGGED
const VNET_STRIDE = PACKET_VNET_STRIDE
const { arp: ETHER_TYPE_ARP, lldp: ETHER_TYPE_LLDP } = EtherType

/** The class of packets with some KIND_FLAGS and an IP protocol, or the ether type of what is not IP. */
function classOf(flags: number, number: number): number {
  if ((flags & IP) !== 0) return classOfProtocol[number]! + ((flags & IPV4) !== 0 ? 0 : IPV6_OFFSET)
  return number === ETHER_TYPE_ARP ? ARP : number === ETHER_TYPE_LLDP ? LLDP : OTHER
}

function add(counters: Float64Array, at: number, frames: number, bytes: number): void {
  counters[at] = counters[at]! + frames
  counters[at + 1] = counters[at + 1]! + bytes
}

function addKind(counters: Float64Array, base: number, flags: number, number: number, frames: number, bytes: number): void {
  add(counters, base + classOf(flags, number) * 2, frames, bytes)
  if ((flags & IS_MULTICAST) !== 0)
    add(counters, base + ((flags & IS_BROADCAST) !== 0 ? BROADCAST : MULTICAST) * 2, frames, bytes)
  if ((flags & IS_TAGGED) !== 0) add(counters, base + TAGGED * 2, frames, bytes)
}

// Of the packets from position `from` to before `to`, some of which ask for an offload.
function addSuperFrames(batch: Batch, from: number, to: number, counters: Float64Array, base: number): void {
  for (let i = from; i < to; i++) if (batch.segmentSize(i) !== 0) add(counters, base + SUPER_FRAMES * 2, 1, batch.frameLength(i))
}

// Frames of a burst are mostly of one kind: a kind is looked at once per run of frames, and a run is summed up before it is written.
// The inner loop calls and writes nothing, so that the compiler loads what belongs to the arrays themselves once, not per packet.
function count(batch: Batch, counters: Float64Array, base: number): void {
  const { length, slots, pool } = batch
  const { flags, protocol, etherType, length: lengths, vnet } = pool
  for (let i = 0; i < length; ) {
    const first = slots[i]!
    const kindFlags = flags[first]! & KIND_FLAGS
    const isIp = (kindFlags & IP) !== 0
    const number = isIp ? protocol[first]! : etherType[first]!
    const from = i
    let sum = 0 // of at most BURST_SLOTS * 2 frames: fits 32 bits
    let offloads = 0
    do {
      const slot = slots[i]!
      if ((flags[slot]! & KIND_FLAGS) !== kindFlags) break
      if ((isIp ? protocol[slot]! : etherType[slot]!) !== number) break
      sum = (sum + lengths[slot]!) | 0
      offloads |= vnet[slot * VNET_STRIDE + 1]!
    } while (++i < length)
    addKind(counters, base, kindFlags, number, i - from, sum)
    if (offloads !== 0) addSuperFrames(batch, from, i, counters, base)
  }
}

export default defineExtension({
  id: '7b0b6d0e-5f0c-4c56-9b7e-0d3c1f9f6a02',
  name: 'counters',
  version: '1.0.0',
  class: 'capturing',
  description: 'Counts frames and bytes by protocol',
  counters: names,
  parseOptions: (raw) => new OptionReader(raw).done(),
  attach(sw) {
    const { counters } = sw
    return {
      ingress: (batch) => count(batch, counters, 0),
      egress: (batch) => count(batch, counters, DIRECTION_COUNTERS),
    }
  },
})
