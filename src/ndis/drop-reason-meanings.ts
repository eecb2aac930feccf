// What each reason of the switch for dropping a frame means, for people: one line each, with the setting that decides where there is one.
//
// The rule it must not break: every reason has a line (the compiler sees to it); extensions explain their own.
import { DropReason, dropReasonNames } from './drop-reasons.ts'

const meanings: Readonly<Record<keyof typeof DropReason, string>> = {
  none: 'no reason is known',
  runt: 'it is shorter than an Ethernet header',
  oversize: 'it is longer than a frame may be',
  badChain: "its sender's descriptors were wrong: a fault of its driver",
  badOffload: 'its sender asked for an offload that does not fit the frame',
  noDestination: 'no port has its address, and there is no other port that such frames go to (an uplink, or a port that learns)',
  destinationNotConnected: 'the port that it is for is not connected, or its link is down',
  receiveBufferFull: "the receiver's ring was full: it does not take frames fast enough",
  receiveBufferTooSmall: "the receiver's buffers are too small for it",
  receiveBufferBad: "the receiver's descriptors were wrong: a fault of its driver",
  macSpoofing: "its source address is not that of its port (allowMacSpoofing of the port's security)",
  extensionFailed: 'an extension failed, and its onFailure is closed; vmswitch extensions says why',
  noResources: 'the switch had no memory left for it',
  paused: 'it was for a queue or an extension that is paused, as while a switch changes',
  linkDown: 'the link of the receiver, or of its process, is down',
  peerNotReading: "the receiver's socket was full: its process does not read",
  allExcluded: 'extensions took all of its destinations away',
  hairpin: 'its destination is behind the port that it came from',
  reservedMulticast: 'its address is for the other end of a link alone (01-80-C2-00-00-0x), and no switch passes it on',
  sourceNotConnected: 'the port that it came from is not connected, or its link is down',
  vlanNotAdmitted: 'the virtual function or queue that it came by may not send in its VLAN',
  vportNotActive: 'the virtual port that it was for is not active',
  functionAsleep: 'the virtual function that it was for sleeps',
  unreported: 'an extension took it away and did not say why',
  vlan: 'a port does not take part in its VLAN (vlan of the two ports)',
  mtuExceeded: 'it is longer than the port that it is for takes (mtu)',
  dhcpGuard: "it is a DHCP server's message, from a port that is not a server's (dhcpGuard)",
  routerGuard: "it is a router's advertisement, redirect or query, from a port that is not a router's (routerGuard)",
  stormLimit: 'the port sent more broadcast, multicast or unknown unicast frames than it may (stormLimit)',
  sourceGuard: "it speaks for an IP or MAC address that is not the port's (sourceGuard)",
  connectionShare: 'the port follows as many connections as it may: stateful rules let no new one through',
  connectionsFull: 'the table of connections is full: stateful rules let no new one through',
  connectionInvalid: 'a stateful rule would follow it, and it fits no connection: it opens none, or its numbers are wrong',
  bandwidthLimit: 'the port got more than it may (maximumReceiveBandwidth)',
  teamDuplicate: "it came by another member of the team as well, or by one that is not its receiver's",
  teamReflection: 'the switch had sent it itself, and the physical network sent it back by another member of the team',
  tenantIsolation: 'it is for a port of another tenant (isolateTenants)',
  noGroupMember: 'nobody has joined its group (snooping)',
  noRouterPort: 'it reports groups, and no router is known to report to (snooping)',
  membershipInvalid: 'it is an IGMP or MLD message with a mistake',
  overlayUnknownProvider: 'it came through a tunnel from an address that is no known host of the overlay',
  overlayUnknownSubnet: 'it came through a tunnel for a virtual subnet that has no port here',
  overlayMalformed: 'it came through a tunnel whose headers are wrong',
  overlayNested: 'it would be a tunnel in a tunnel',
  overlayTooBig: 'it is too long for the tunnel: the MTU of guests is to be smaller than that of the uplink',
  overlayCriticalOption: 'it came through a tunnel with a Geneve option that must be understood, and is not known',
  overlayNoNextHop: 'the host behind the tunnel, or the gateway to it, did not answer on the physical network',
  virtualSubnet: 'it is for a port that is not in its virtual subnet (virtualSubnetId)',
  overlayNoRoute: 'no subnet or route of the routing domain has its destination',
  overlayNoNeighbour: 'its destination, or the next hop to it, has no record in the virtual subnet',
  overlayHopsUsedUp: 'its hop limit is used up',
  overlayToRouter: 'it is for the router itself, which takes untagged IP packets to others, and echo requests',
}

/** Of rules that stand at ports: their reasons are registered by name. */
const policyMeanings: readonly (readonly [name: string, meaning: string])[] = [
  ['port-acl', "an entry of a port's acls denies it"],
  ['extended-acl', "a rule of a port's extendedAcls denies it"],
  ['acl-unreadable', 'an ACL would have to look at what can not be read of it: headers cut off, hidden, or unknown'],
]

const byName: ReadonlyMap<string, string> = new Map([
  ...(Object.keys(DropReason) as (keyof typeof DropReason)[]).map(
    (key) => [dropReasonNames[DropReason[key]]!, meanings[key]] as const,
  ),
  ...policyMeanings,
])

/** What a reason of the switch means, by the name that people see; undefined: it is an extension's. */
export const meaningOfReason = (name: string): string | undefined => byName.get(name)

const ofRules: ReadonlySet<string> = new Set([
  ...policyMeanings.map(([name]) => name),
  ...[DropReason.connectionShare, DropReason.connectionsFull, DropReason.connectionInvalid].map(
    (reason) => dropReasonNames[reason]!,
  ),
])

/** True if drops for a reason name the entry or rule of an ACL in place of an extension. */
export const isRuleReason = (name: string): boolean => ofRules.has(name)
