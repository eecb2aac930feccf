// Frames of every shape that a guest may send, well formed or not, for verifying extensions.
import { FRAME_MAX, FRAME_MIN } from '../../kernels/layout.ts'
import {
  arpRequestFrame,
  BROADCAST_MAC,
  echoFrame,
  etherFrame,
  type FrameAddresses,
  tcpFrame,
  udpFrame,
} from '../../packet/build.ts'
import type { Random } from './random.ts'

type Shape = (addresses: FrameAddresses, random: Random) => Uint8Array

const bytes = (random: Random, length: number): Uint8Array<ArrayBuffer> => Uint8Array.from({ length }, () => random.below(256))
const port = (random: Random): number => random.pick([22, 23, 53, 80, 443, 4789, 1 + random.below(65535)])
const v6 = (addresses: FrameAddresses): FrameAddresses => ({ ...addresses, source: 'fd00::1', destination: 'fd00::2' })
const tagged = (addresses: FrameAddresses, random: Random, tags: number): FrameAddresses => ({
  ...addresses,
  tags: Array.from({ length: tags }, () => ({
    protocol: 0x8100,
    id: random.below(4096),
    priority: random.below(8),
    dropEligible: false,
  })),
})
/** Cuts a frame anywhere: a header that promises more than there is. */
const cut: (shape: Shape) => Shape = (shape) => (addresses, random) => {
  const frame = shape(addresses, random)
  return frame.subarray(0, FRAME_MIN + random.below(frame.length - FRAME_MIN + 1))
}
/** Overwrites some bytes behind the addresses. */
const garbled: (shape: Shape) => Shape = (shape) => (addresses, random) => {
  const frame = shape(addresses, random).slice()
  for (let n = 1 + random.below(4); n > 0; n--) frame[12 + random.below(Math.min(frame.length - 12, 64))] = random.below(256)
  return frame
}

const tcp: Shape = (addresses, random) =>
  tcpFrame(addresses, port(random), port(random), { data: bytes(random, random.below(200)) })
const udp: Shape = (addresses, random) => udpFrame(addresses, port(random), port(random), bytes(random, random.below(200)))

/** Shapes by name, so that tests can say which of them they mean. */
export const frameShapes: Readonly<Record<string, Shape>> = {
  tcp,
  udp,
  tcp6: (addresses, random) => tcp(v6(addresses), random),
  udp6: (addresses, random) => udp(v6(addresses), random),
  echo: (addresses, random) => echoFrame(addresses, false, random.below(65536), random.below(65536)),
  arp: (addresses) => arpRequestFrame(addresses.sourceMac, '10.0.0.1', '10.0.0.2'),
  tagged: (addresses, random) => tcp(tagged(addresses, random, 1), random),
  doubleTagged: (addresses, random) => udp(tagged(addresses, random, 2), random),
  broadcast: (addresses, random) => udp({ ...addresses, destinationMac: BROADCAST_MAC }, random),
  multicast: (addresses, random) => udp({ ...addresses, destinationMac: '01:00:5e:00:00:fb' }, random),
  unknown: (addresses, random) => udp({ ...addresses, destinationMac: '02:00:00:00:7f:01' }, random),
  forged: (addresses, random) => udp({ ...addresses, sourceMac: '02:00:00:00:7f:02' }, random),
  groupSource: (addresses, random) => udp({ ...addresses, sourceMac: '03:00:00:00:00:01' }, random),
  toItself: (addresses, random) => udp({ ...addresses, destinationMac: addresses.sourceMac }, random),
  shortest: ({ destinationMac, sourceMac }, random) =>
    etherFrame(destinationMac, sourceMac, random.below(65536), new Uint8Array(0)),
  jumbo: (addresses, random) => tcpFrame(addresses, 1, 2, { data: new Uint8Array(2000 + random.below(7000)) }),
  largest: ({ destinationMac, sourceMac }) =>
    etherFrame(destinationMac, sourceMac, 0x88b5, new Uint8Array(FRAME_MAX - FRAME_MIN)),
  fullSize: (addresses) => tcpFrame(addresses, 1, 2, { data: new Uint8Array(1460) }),
  cutTcp: cut(tcp),
  cutUdp6: cut((addresses, random) => udp(v6(addresses), random)),
  cutTagged: cut((addresses, random) => tcp(tagged(addresses, random, 2), random)),
  garbledTcp: garbled(tcp),
  garbledUdp6: garbled((addresses, random) => udp(v6(addresses), random)),
  noise: ({ destinationMac, sourceMac }, random) =>
    etherFrame(destinationMac, sourceMac, random.below(65536), bytes(random, random.below(1500))),
}

const names = Object.keys(frameShapes)

/** A frame of some shape from one port to another. */
export const anyFrame = (addresses: FrameAddresses, random: Random): Uint8Array =>
  frameShapes[random.pick(names)]!(addresses, random)
