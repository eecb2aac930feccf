// Why a frame was dropped. Small integers in the data path, names for people; extensions register more at attach.
import { REASON_BAD_CHAIN, REASON_BAD_OFFLOAD, REASON_NONE, REASON_OVERSIZE, REASON_RUNT } from '../kernels/layout.ts'

export const DropReason = {
  none: REASON_NONE,
  runt: REASON_RUNT,
  oversize: REASON_OVERSIZE,
  badChain: REASON_BAD_CHAIN,
  badOffload: REASON_BAD_OFFLOAD,
  noDestination: 5,
  destinationNotConnected: 6,
  receiveBufferFull: 7,
  receiveBufferTooSmall: 8,
  receiveBufferBad: 9,
  macSpoofing: 10,
  extensionFailed: 11,
  noResources: 12,
  paused: 13,
  linkDown: 14,
  peerNotReading: 15,
  allExcluded: 16,
  hairpin: 17,
  reservedMulticast: 18,
  sourceNotConnected: 19,
  vlanNotAdmitted: 20,
  vportNotActive: 21,
  functionAsleep: 22,
  unreported: 23,
  vlan: 24,
  mtuExceeded: 25,
  dhcpGuard: 26,
  routerGuard: 27,
  stormLimit: 28,
  sourceGuard: 29,
} as const

export type DropReason = number

/** Reasons below this number belong to the switch; extensions get the ones from here on. */
export const FIRST_EXTENSION_REASON = 32
export const DROP_REASONS_MAX = 96

/** What a person reads, indexed by reason. */
export const dropReasonNames: readonly string[] = [
  'none',
  'runt',
  'oversize',
  'bad-descriptor-chain',
  'bad-offload-request',
  'no-destination',
  'destination-not-connected',
  'receive-ring-full',
  'receive-buffer-too-small',
  'receive-buffer-bad',
  'mac-spoofing',
  'extension-failed',
  'no-resources',
  'paused',
  'link-down',
  'peer-not-reading',
  'all-destinations-excluded',
  'hairpin',
  'reserved-multicast',
  'source-not-connected',
  'vlan-not-admitted',
  'vport-not-active',
  'function-asleep',
  'not-reported-by-extension',
  'vlan-not-allowed',
  'mtu-exceeded',
  'dhcp-guard',
  'router-guard',
  'storm-limit',
  'source-guard',
]
