// The standard port properties as extensions get them (spec 2.8, 7.5): the structures of the header files as typed values.

/** NDIS_ISOLATION_NAME_MAX_STRING_SIZE, in characters. ES-546 */
export const ISOLATION_NAME_MAX = 127

/** NDIS_SWITCH_PORT_PROPERTY_SECURITY */
export interface SecurityProperty {
  readonly allowMacSpoofing: boolean
  readonly allowIeeePriorityTag: boolean
  /** 0: network virtualization is not configured. ES-529 */
  readonly virtualSubnetId: number
  readonly allowTeaming: boolean
  /** 0: no limit. ES-530 */
  readonly dynamicIpAddressLimit: number
}

/** First and last VLAN of a range, both included; ranges are sorted and do not touch. */
export type VlanRange = readonly [first: number, last: number]

/** NDIS_SWITCH_PORT_PROPERTY_VLAN; the bit arrays of the header are lists of ranges. Members of other modes are absent (ES-536, ES-540). */
export type VlanProperty =
  | { readonly mode: 'access'; readonly accessVlanId: number }
  | {
      readonly mode: 'trunk'
      readonly nativeVlanId: number
      readonly trunkVlanIds: readonly VlanRange[]
      readonly pruneVlanIds: readonly VlanRange[]
    }
  | {
      readonly mode: 'private'
      readonly pvlanMode: 'isolated' | 'community'
      readonly primaryVlanId: number
      readonly secondaryVlanId: number
    }
  | {
      readonly mode: 'private'
      readonly pvlanMode: 'promiscuous'
      readonly primaryVlanId: number
      readonly secondaryVlanIds: readonly VlanRange[]
    }

/** NDIS_SWITCH_PORT_PROPERTY_PROFILE: carried, never interpreted. ES-521 */
export interface ProfileProperty {
  readonly profileName: string
  readonly profileId: string
  readonly vendorName: string
  readonly vendorId: string
  readonly profileData: number
  readonly netCfgInstanceId: string
  /** PCI segment, bus, device, function. ES-522 */
  readonly pciLocation: { readonly segment: number; readonly bus: number; readonly device: number; readonly function: number }
  readonly cdnLabelId: number
  readonly cdnLabel: string
}

/** NDIS_SWITCH_PORT_PROPERTY_ISOLATION. ES-541, ES-542 */
export interface IsolationProperty {
  readonly mode: 'none' | 'native-virtual-subnet' | 'external-virtual-subnet' | 'vlan'
  readonly allowUntaggedTraffic: boolean
  readonly defaultIsolationId: number
}

/** NDIS_SWITCH_PORT_PROPERTY_ROUTING_DOMAIN */
export interface RoutingDomainProperty {
  readonly routingDomainId: string
  readonly routingDomainName: string
  readonly isolationIds: readonly { readonly isolationId: number; readonly name: string }[]
}

/** MinimumBandwidthMode of New-VMSwitch: which kind of minimum ports may have; without one, any. */
export const minimumBandwidthModes = ['absolute', 'weight', 'none'] as const

/**
 * Bandwidth: not a property that extensions know, but a policy built into the switch, set as properties are. Rates are bits per second.
 * Names as Set-VMNetworkAdapter and Set-VMSwitch have them.
 */
export interface BandwidthProperty {
  /** Of a port: what its VM may send; of the external port: what leaves through it. */
  readonly maximumBandwidth?: number | undefined
  /** Of a port: what its VM may get. */
  readonly maximumReceiveBandwidth?: number | undefined
  /** Of a port: what it has of the uplink in any case. */
  readonly minimumBandwidthAbsolute?: number | undefined
  /** Of a port, 1…100: its part of what minimums leave of the uplink. */
  readonly minimumBandwidthWeight?: number | undefined
  /** Of the switch: what its uplink takes. */
  readonly capacity?: number | undefined
  readonly minimumBandwidthMode?: (typeof minimumBandwidthModes)[number] | undefined
  /** Of the switch: the same for all ports without a minimum, together. */
  readonly defaultFlowMinimumBandwidthAbsolute?: number | undefined
  readonly defaultFlowMinimumBandwidthWeight?: number | undefined
}

/** The first `bits` of an IPv4 address (4 octets) or an IPv6 address (16). */
export interface AddressPrefix {
  readonly address: readonly number[]
  readonly bits: number
}

export interface SourceGuardProperty {
  readonly prefixes: readonly AddressPrefix[]
  /** Addresses that are learned of the port, up to its dynamicIpAddressLimit of each family, are allowed too. */
  readonly learned: boolean
}

export type StormClass = 'broadcast' | 'multicast' | 'unknownUnicast'

/** A limit that kinds of frames have together: either packets or kilobits per second. A kind is in one limit at the most. */
export interface StormBucket {
  readonly classes: readonly StormClass[]
  readonly packetsPerSecond?: number
  readonly kilobitsPerSecond?: number
}

/**
 * Guards of a port: a policy built into the switch, set as properties are. Names as Set-VMNetworkAdapter has them.
 */
export interface ProtectionProperty {
  /** DHCP server messages from the port are dropped. */
  readonly dhcpGuard: boolean
  /** Router advertisements and redirects from the port are dropped. */
  readonly routerGuard: boolean
  /** Broadcast, multicast and unknown unicast frames from the port beyond these are dropped. */
  readonly stormLimit: readonly StormBucket[]
  /** Addresses that the port may speak for; absent: any. */
  readonly sourceGuard?: SourceGuardProperty
}

/**
 * An entry of a port's ACL (Add-VMNetworkAdapterAcl): of the entries of one kind the one with the longest prefix decides, and of those that
 * meter the one with the longest prefix counts. `local` is the port's side.
 */
export interface AclEntry {
  readonly action: 'allow' | 'deny' | 'meter'
  /** inbound: to the port; outbound: from it. */
  readonly direction: 'inbound' | 'outbound' | 'both'
  readonly side: 'local' | 'remote'
  /** any-ip: all of IPv4 and IPv6. */
  readonly kind: 'mac' | 'any-mac' | 'ipv4' | 'ipv6' | 'any-ip'
  /** The address or prefix as text in its normal form, or ANY. */
  readonly text: string
  readonly prefix: AddressPrefix
}

export interface AclProperty {
  readonly entries: readonly AclEntry[]
}

/** First and last port of a range. */
export type PortRange = readonly [first: number, last: number]

/** A rule of a port's extended ACL (Add-VMNetworkAdapterExtendedAcl). What is absent matches everything. */
export interface ExtendedAclRule {
  /** Unique; from its place in the list if none was given. */
  readonly name: string
  readonly action: 'allow' | 'deny'
  readonly direction: 'inbound' | 'outbound'
  readonly localAddress?: AddressPrefix
  readonly remoteAddress?: AddressPrefix
  readonly localPorts?: PortRange
  readonly remotePorts?: PortRange
  /** IP protocol, 0…255. */
  readonly protocol?: number
  /** The heaviest is tried first; in the order of the list where they weigh the same. */
  readonly weight: number
  /** An allowed packet opens a connection, whose packets in both directions pass. */
  readonly stateful: boolean
  readonly idleSessionTimeoutSeconds: number
  /** Virtual subnet or VLAN. */
  readonly isolationId?: number
}

export interface ExtendedAclProperty {
  readonly rules: readonly ExtendedAclRule[]
}

/** A standard property, or a built-in policy, by its type's name. */
export interface StandardProperties {
  security: SecurityProperty
  vlan: VlanProperty
  profile: ProfileProperty
  isolation: IsolationProperty
  'routing-domain': RoutingDomainProperty
  bandwidth: BandwidthProperty
  protection: ProtectionProperty
  acl: AclProperty
  'extended-acl': ExtendedAclProperty
}

export type StandardPropertyName = keyof StandardProperties

/** Whether a VLAN is in one of the ranges. */
export const inVlanRanges = (ranges: readonly VlanRange[], vlan: number): boolean =>
  ranges.some(([first, last]) => vlan >= first && vlan <= last)
