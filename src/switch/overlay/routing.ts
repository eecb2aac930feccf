// What the router of one processor knows: routing domains of virtual subnets, its own addresses in them, and customer routes.
//
// The rule it must not break: a subnet that is in no routing domain has the number 0, and nothing is routed from it.

import { OVERLAY_SUBNETS_MAX } from './options.ts'
import type { RoutingChange } from './plan.ts'
import { RouteTable } from './route-table.ts'

/** MAC address of the router, the same in all virtual subnets and on all hosts. */
export const ROUTER_MAC = Uint8Array.of(0x02, 0x52, 0x54, 0x52, 0x00, 0x01)
export const ROUTER_MAC_TEXT = '02:52:54:52:00:01'

/** Fields are ordinary ones: they are read per packet. */
export class Routing {
  readonly routes = new RouteTable()
  /** Number of each subnet's routing domain; 0: it is in none. */
  readonly domainOf = new Uint16Array(OVERLAY_SUBNETS_MAX + 1)
  private readonly ipv4 = new Map<number, Uint8Array>()
  private readonly ipv6 = new Map<number, Uint8Array>()

  change({ domains, gateways, routes }: RoutingChange): void {
    for (const { subnet, domain } of domains) this.domainOf[subnet] = domain
    for (const { subnet, isIpv4, address } of gateways) {
      const known = isIpv4 ? this.ipv4 : this.ipv6
      if (address === undefined) known.delete(subnet)
      else known.set(subnet, address)
    }
    for (const route of routes) this.routes.change(route)
  }

  /** The router's address in a subnet; undefined: it has none of this family. */
  gateway(subnet: number, isIpv4: boolean): Uint8Array | undefined {
    return isIpv4 ? this.ipv4.get(subnet) : this.ipv6.get(subnet)
  }
}
