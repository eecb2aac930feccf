// Counts frames and bytes by protocol class and direction.
//
// The rule it must not break: it is a capturing extension; it allocates nothing and adds a few nanoseconds per packet.
import {
  type Batch,
  defineExtension,
  EtherType,
  OptionReader,
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

function classOf(batch: Batch, i: number): number {
  if (batch.isIpv4(i)) return classOfProtocol[batch.protocol(i)]!
  if (batch.isIpv6(i)) return classOfProtocol[batch.protocol(i)]! + IPV6_OFFSET
  const etherType = batch.etherType(i)
  return etherType === EtherType.arp ? ARP : etherType === EtherType.lldp ? LLDP : OTHER
}

function add(counters: Float64Array, at: number, frames: number, bytes: number): void {
  counters[at] = counters[at]! + frames
  counters[at + 1] = counters[at + 1]! + bytes
}

// Frames of a burst are mostly of one class: they are summed up before they are written.
function count(batch: Batch, counters: Float64Array, base: number): void {
  let running = OTHER
  let frames = 0
  let sum = 0
  for (let i = 0; i < batch.length; i++) {
    const bytes = batch.frameLength(i)
    const found = classOf(batch, i)
    if (found !== running) {
      if (frames !== 0) add(counters, base + running * 2, frames, sum)
      running = found
      frames = 0
      sum = 0
    }
    frames++
    sum += bytes
    if (batch.isMulticast(i)) add(counters, base + (batch.isBroadcast(i) ? BROADCAST : MULTICAST) * 2, 1, bytes)
    if (batch.isTagged(i)) add(counters, base + TAGGED * 2, 1, bytes)
    if (batch.segmentSize(i) !== 0) add(counters, base + SUPER_FRAMES * 2, 1, bytes)
  }
  if (frames !== 0) add(counters, base + running * 2, frames, sum)
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
