// What a service offers those who join it to a network. Types only.
//
// The rule it must not break: everything here survives JSON.

import type { ImposableType, ImposedInput } from '../../switch/policies/imposed.ts'
import type { OverlayCounters } from '../overlay/overlay-calls.ts'
import type { TunnelRate } from './tunnel-rates.ts'

export interface JoinRequest {
  /** nats://HOST:PORT or tls://HOST:PORT, several separated by commas. */
  readonly servers: string
  readonly network: string
  /** Name of this host in it; default: the machine's. */
  readonly host?: string | undefined
  /** Absolute path of a file with the credential. */
  readonly credential?: string | undefined
  /** Absolute path of a file with certificates of the authorities, PEM. */
  readonly ca?: string | undefined
  /** Allow servers on other machines without TLS. */
  readonly plaintext?: boolean | undefined
  /** Where this host's tunnels end; default: those of the switch's overlay. */
  readonly providerAddresses?: readonly string[] | undefined
  /** Copies of the network's records, if this host makes it. */
  readonly replicas?: number | undefined
}

export interface NetworkHost {
  readonly name: string
  /** here: this one. */
  readonly state: 'here' | 'alive' | 'lost'
  /** Milliseconds since it was heard; null: of this host. */
  readonly heardMs: number | null
  readonly providerAddresses: readonly string[]
  readonly ports: number
  readonly software: string
  readonly api: string | null
}

export interface NetworkPort {
  readonly name: string
  readonly host: string
  readonly mac: string
  /** 0: in none. */
  readonly virtualSubnetId: number
  readonly customerAddresses: readonly string[]
  readonly tenant: string
  readonly link: 'up' | 'down'
  readonly state: 'held' | 'claiming' | 'moving' | 'refused'
  /** Why it is refused. */
  readonly message: string | null
}

export interface NetworkSubnet {
  readonly virtualSubnetId: number
  readonly routingDomainId: string | null
  readonly name: string | null
  readonly tenant: string | null
  readonly prefixes: readonly string[]
  /** Addresses of the router in it. */
  readonly gateways: readonly string[]
  /** Provider addresses of the other hosts that have ports in it. */
  readonly peers: readonly string[]
}

/** A tunnel of this host's overlay. */
export interface NetworkTunnel {
  readonly provider: string
  /** Host of the network with this address; null: none is known. */
  readonly host: string | null
  /** MAC address that its frames are sent to; null: not known yet. */
  readonly nextHop: string | null
  readonly counters: OverlayCounters
  /** Over the last seconds; null: nobody asked before, so that it is not known yet. */
  readonly rate: TunnelRate | null
}

/** What the network imposes on ports. */
export interface NetworkPolicy {
  readonly name: string
  /** For the ports of this virtual subnet; null: for that of a name. */
  readonly virtualSubnetId: number | null
  readonly port: string | null
  readonly properties: readonly { readonly type: ImposableType; readonly value: unknown }[]
  /** Ports of this host for which it is in force. */
  readonly ports: readonly string[]
}

export interface NetworkStatus {
  /** Null: this host is in no network. */
  readonly network: string | null
  readonly host: string | null
  readonly servers: string | null
  /** alone; joining: not all is known yet; partitioned: the last known state goes on; superseded, refused: see the message. */
  readonly state: 'alone' | 'joining' | 'joined' | 'partitioned' | 'superseded' | 'refused'
  /** Since when, ISO 8601 in UTC. */
  readonly since: string
  readonly message: string | null
  /** Milliseconds until the last change of this host had gone round; null: none yet. */
  readonly lagMs: number | null
  /** Look-up records that the switch's overlay has from the network; null: it has no overlay. */
  readonly lookups: number | null
  readonly hosts: readonly NetworkHost[]
  readonly ports: readonly NetworkPort[]
  readonly subnets: readonly NetworkSubnet[]
  readonly policies: readonly NetworkPolicy[]
  /** None without an overlay. */
  readonly tunnels: readonly NetworkTunnel[]
  /** Records of others that are not believed. */
  readonly refused: readonly { readonly key: string; readonly code: string; readonly message: string }[]
}

/** A port that is about to come here from another host of the network. */
export interface NetworkArrival {
  /** moving: the others know that it will be here; held: they know that it is; null: not so, or the network does not know such ports. */
  readonly state: 'moving' | 'held' | null
}

export interface ClusterCalls {
  network(): Promise<NetworkStatus>
  /** Throws bad-request, already-joined, unreachable, network-not-permitted, no-jetstream, credential-unusable, refused. */
  join(request: JoinRequest): Promise<NetworkStatus>
  /** Answers what could not be taken out of the network. Throws not-joined. */
  leave(): Promise<{ readonly left: readonly string[] }>
  /** Makes a virtual subnet, or changes it. Throws not-joined, partitioned, network-not-permitted, not-stored. */
  setSubnet(subnet: NetworkSubnetInput): Promise<NetworkStatus>
  removeSubnet(virtualSubnetId: number): Promise<NetworkStatus>
  /** Imposes a policy on ports of all hosts, or changes it. Throws as setSubnet does. */
  setPolicy(policy: NetworkPolicyInput): Promise<NetworkStatus>
  removePolicy(name: string): Promise<NetworkStatus>
  /**
   * Target of a migration: the port that was prepared under this name comes from host `from`. It is claimed behind that host's claims, which
   * the others see before this answers. Said again, it is a sign of life: if no other follows within 30 s, the port is given up. Throws not-joined, partitioned, no-such-port, bad-request, claim-refused.
   */
  expectPort(name: string, from: string): Promise<NetworkArrival>
  /** Target: waits at most `timeoutMs` (10 s) until the source's claims are gone and this host has the port in the network. */
  awaitPort(name: string, timeoutMs: number): Promise<NetworkArrival>
  /** Target: the port has come, or will not. One that is not here then is claimed no more. */
  forgetPort(name: string): Promise<void>
}

/** For the ports of a virtual subnet, or for the port of a name. */
export type NetworkPolicyInput = ImposedInput

export interface NetworkSubnetInput {
  readonly virtualSubnetId: number
  readonly routingDomainId?: string | undefined
  readonly name?: string | undefined
  readonly tenant?: string | undefined
  readonly hosts?: readonly string[] | undefined
  readonly prefixes?: readonly string[] | undefined
  readonly gateways?: readonly string[] | undefined
}
