// What IGMP and MLD snooping of a switch is told, and what it tells. Types and defaults only.
import { GROUPS_DEFAULT, type GroupCounter } from '../../switch/snooping/group-table.ts'

/** The built-in querier. */
export interface QuerierConfig {
  /** IPv4 address that it asks from. Default: 0.0.0.0, which gives way to any other querier. */
  readonly address?: string | undefined
  /** IPv6 link-local address that it asks from. Default: one made of the switch's name. */
  readonly ipv6Address?: string | undefined
  /** VLANs in which it asks besides those that ports are in; 0: untagged. */
  readonly vlans?: readonly number[] | undefined
}

/** Snooping of a switch; without it there is none. */
export interface SnoopingConfig {
  /** Default: true. */
  readonly igmp?: boolean | undefined
  /** Default: true. */
  readonly mld?: boolean | undefined
  /** Frames of groups that nobody joined go to all ports, not to routers alone. Default: true. */
  readonly floodUnregistered?: boolean | undefined
  /** Groups that the table holds. Default: GROUPS_DEFAULT. */
  readonly groups?: number | undefined
  /** Names of ports behind which a router always is. */
  readonly routerPorts?: readonly string[] | undefined
  /** Names of ports with one host behind: a leave ends a membership at once. */
  readonly fastLeavePorts?: readonly string[] | undefined
  /** Absent: the switch asks nobody. */
  readonly querier?: QuerierConfig | undefined
  readonly robustness?: number | undefined
  readonly queryIntervalSeconds?: number | undefined
  readonly queryResponseSeconds?: number | undefined
  readonly lastMemberQuerySeconds?: number | undefined
}

/** RFC 3376 8, RFC 3810 9. */
export const snoopingDefaults = {
  igmp: true,
  mld: true,
  floodUnregistered: true,
  groups: GROUPS_DEFAULT,
  robustness: 2,
  queryIntervalSeconds: 125,
  queryResponseSeconds: 10,
  lastMemberQuerySeconds: 1,
} as const

export interface MdbEntry {
  readonly vlan: number
  readonly group: string
  readonly port: string
  /** Seconds until the membership ends, unless it is renewed. */
  readonly expiresSeconds: number
}

export interface MdbRouter {
  /** null: in all VLANs, by configuration. */
  readonly vlan: number | null
  readonly family: 'ipv4' | 'ipv6' | 'both'
  readonly port: string
  readonly kind: 'configured' | 'learned'
  readonly expiresSeconds: number | null
}

export interface MdbQuerier {
  readonly vlan: number
  readonly family: 'ipv4' | 'ipv6'
  readonly kind: 'built-in' | 'other'
  readonly address: string
  /** null: the switch itself. */
  readonly port: string | null
  readonly expiresSeconds: number | null
}

/** What snooping knows. */
export interface SnoopingStatus {
  /** As it is in force; null: off. */
  readonly settings: SnoopingConfig | null
  readonly groups: readonly MdbEntry[]
  readonly routers: readonly MdbRouter[]
  readonly queriers: readonly MdbQuerier[]
  /** Places taken, places there are, and how many memberships one port may have. */
  readonly table: { readonly used: number; readonly capacity: number; readonly share: number }
  /** Ports with memberships, or whose joins were refused. */
  readonly ports: readonly { readonly port: string; readonly groups: number; readonly refused: number }[]
  readonly counters: Readonly<Record<keyof typeof GroupCounter, number>>
}
