// The feature bits of a virtio network device as a vhost-user back-end sees them: which exist, which we offer, and what the
// negotiated ones mean for a queue (QF_* flags, OFFLOAD_* masks of kernels/layout.ts).
//
// The rule it must not break: a bit is offered only if rings and data path do what it promises, or if it is the front-end's own affair.
import {
  OFFLOAD_CHECKSUM,
  OFFLOAD_ECN,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  OFFLOAD_USO,
  QF_EVENT_INDEX,
  QF_IN_ORDER,
  QF_INDIRECT,
  QF_MERGEABLE,
  QF_PACKED,
} from '../kernels/layout.ts'

/** Bit numbers (VIRTIO 1.3, sections 5.1.3 and 6; vhost's own bits 26 and 30). */
export const FeatureBit = {
  csum: 0,
  guestCsum: 1,
  mtu: 3,
  mac: 5,
  guestTso4: 7,
  guestTso6: 8,
  guestEcn: 9,
  guestUfo: 10,
  hostTso4: 11,
  hostTso6: 12,
  hostEcn: 13,
  hostUfo: 14,
  mergeableBuffers: 15,
  status: 16,
  controlQueue: 17,
  guestAnnounce: 21,
  multiQueue: 22,
  notifyOnEmpty: 24,
  logAll: 26,
  anyLayout: 27,
  indirect: 28,
  eventIndex: 29,
  protocolFeatures: 30,
  version1: 32,
  iommuPlatform: 33,
  packed: 34,
  inOrder: 35,
  guestUso4: 54,
  guestUso6: 55,
  hostUso: 56,
  standby: 62,
} as const
export type FeatureName = keyof typeof FeatureBit

const bit = (name: FeatureName): bigint => 1n << BigInt(FeatureBit[name])
/** The mask of several features. */
export const featureMask = (...names: FeatureName[]): bigint => names.reduce((mask, name) => mask | bit(name), 0n)
/** Whether `mask` holds the feature. */
export const hasFeature = (mask: bigint, name: FeatureName): boolean => (mask & bit(name)) !== 0n

// Not offered, and why: the control queue, its commands and `standby` are answered by the front-end itself (and a front-end that
// hands all queues to the back-end would let the guest wait for ever on a control queue nobody serves); `notifyOnEmpty` is a
// legacy promise no driver needs; UFO is replaced by USO; an IOMMU between guest and back-end is not supported.
const ALWAYS_OFFERED = featureMask(
  'csum',
  'guestCsum',
  'mtu',
  'guestTso4',
  'guestTso6',
  'guestEcn',
  'hostTso4',
  'hostTso6',
  'hostEcn',
  'mergeableBuffers',
  'guestAnnounce',
  'logAll',
  'anyLayout',
  'indirect',
  'eventIndex',
  'protocolFeatures',
  'version1',
  'packed',
  'inOrder',
  'guestUso4',
  'guestUso6',
  'hostUso',
)

/** The features a port with up to `queuePairsMax` queue pairs offers. */
export const offeredFeatures = (queuePairsMax: number): bigint =>
  queuePairsMax > 1 ? ALWAYS_OFFERED | bit('multiQueue') : ALWAYS_OFFERED

/** Names of the features in `mask`, in order of their bits; bits without a name as `bit-n`. */
export function featureNames(mask: bigint): string[] {
  const names: string[] = []
  const known = new Map<number, string>(Object.entries(FeatureBit).map(([name, number]) => [number, name]))
  for (let number = 0; number < 64; number++) if ((mask >> BigInt(number)) & 1n) names.push(known.get(number) ?? `bit-${number}`)
  return names
}

/** QF_* flags of every queue of a device with these features. */
export function queueFlags(features: bigint): number {
  let flags = 0
  if (hasFeature(features, 'packed')) flags |= QF_PACKED
  if (hasFeature(features, 'eventIndex')) flags |= QF_EVENT_INDEX
  if (hasFeature(features, 'mergeableBuffers')) flags |= QF_MERGEABLE
  if (hasFeature(features, 'indirect')) flags |= QF_INDIRECT
  if (hasFeature(features, 'inOrder')) flags |= QF_IN_ORDER
  return flags
}

/** OFFLOAD_* that the guest may ask for on what it sends. Segmentation presumes checksums (VIRTIO 1.3, 5.1.3.1). */
export function transmitOffloads(features: bigint): number {
  if (!hasFeature(features, 'csum')) return 0
  let offloads = OFFLOAD_CHECKSUM
  if (hasFeature(features, 'hostTso4')) offloads |= OFFLOAD_TSO4
  if (hasFeature(features, 'hostTso6')) offloads |= OFFLOAD_TSO6
  if (hasFeature(features, 'hostEcn') && offloads & (OFFLOAD_TSO4 | OFFLOAD_TSO6)) offloads |= OFFLOAD_ECN
  if (hasFeature(features, 'hostUso')) offloads |= OFFLOAD_USO
  return offloads
}

/** OFFLOAD_* that the guest takes on what it receives. USO is one ability here: it counts only for both IP versions. */
export function receiveOffloads(features: bigint): number {
  if (!hasFeature(features, 'guestCsum')) return 0
  let offloads = OFFLOAD_CHECKSUM
  if (hasFeature(features, 'guestTso4')) offloads |= OFFLOAD_TSO4
  if (hasFeature(features, 'guestTso6')) offloads |= OFFLOAD_TSO6
  if (hasFeature(features, 'guestEcn') && offloads & (OFFLOAD_TSO4 | OFFLOAD_TSO6)) offloads |= OFFLOAD_ECN
  if (hasFeature(features, 'guestUso4') && hasFeature(features, 'guestUso6')) offloads |= OFFLOAD_USO
  return offloads
}

/**
 * Whether frames are led by the 12-byte virtio-net header. A legacy driver without mergeable buffers uses 10 bytes, which the
 * kernels don't speak; its rings are not started.
 */
export const hasLongHeader = (features: bigint): boolean =>
  (features & featureMask('version1', 'mergeableBuffers', 'packed')) !== 0n
