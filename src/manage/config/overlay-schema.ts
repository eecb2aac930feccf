// An overlay as a person writes it: tunnels to other hosts, which virtual subnets reach through them, and where each guest is.
import { z } from 'zod'
import { CUSTOMER_ROUTES_MAX, ROUTE_METRIC_MAX } from '../../switch/overlay/customer-routes.ts'
import { OVERLAY_PEERS_MAX, OVERLAY_SUBNETS_MAX, PROVIDER_ADDRESSES_MAX, VSID_MAX } from '../../switch/overlay/options.ts'
import { OVERLAY_RECORDS_MAX } from '../../switch/overlay/records.ts'
import { name } from './endpoint-schema.ts'
import { MTU_MAX } from './limits.ts'
import { macPattern } from './patterns.ts'

const CUSTOMER_ADDRESSES_MAX = 16
const PREFIXES_MAX = 16
const TTL_MAX = 255
/** What every link of IPv6 carries. */
const UNDERLAY_MTU_MIN = 1280
const PORT_MAX = 65_535

const vsid = z.number().int().min(1).max(VSID_MAX)
const address = z.string().min(2).max(45)
const prefix = z.string().min(4).max(49)

export const providerAddressSchema = z.strictObject({
  address: z.string().min(4).max(49).describe('Address of this host with its prefix length, such as 192.0.2.1/24.'),
  gateway: address.optional().describe('Router through which other hosts are reached. Default: all are on the same link.'),
})

export const subnetSchema = z.strictObject({
  vsid: vsid.describe('Virtual subnet identifier: the VNI of VXLAN and Geneve. NVGRE: from 4096 to 16777214.'),
  routingDomain: name
    .optional()
    .describe(
      'Name of the routing domain that the subnet belongs to: guests of its subnets reach each other through the router.',
    ),
  prefixes: z
    .array(prefix)
    .max(PREFIXES_MAX)
    .optional()
    .describe("Prefixes of its guests' addresses, such as 10.1.0.0/24: the routing domain has routes to them."),
  gateways: z
    .array(address)
    .max(PREFIXES_MAX)
    .optional()
    .describe('Addresses of the router in the subnet, which guests have as their gateway.'),
  peers: z
    .array(address)
    .max(OVERLAY_PEERS_MAX)
    .default([])
    .describe('Provider addresses of hosts that get a copy of what is flooded, beside those of the records.'),
})

export const routeSchema = z.strictObject({
  vsid: vsid.describe('Virtual subnet that the way leads into. The route is one of its routing domain.'),
  prefix: prefix.describe('Prefix of the addresses that it is for, such as 0.0.0.0/0.'),
  nextHop: address
    .optional()
    .describe('Address of the guest that packets are given to. Without it, or with zeros: addresses are in the subnet itself.'),
  metric: z
    .number()
    .int()
    .min(0)
    .max(ROUTE_METRIC_MAX)
    .default(0)
    .describe('Of several routes to a prefix the one with the lowest is taken. Those to the prefixes of subnets have 0.'),
})

export const recordSchema = z.strictObject({
  vsid: vsid.describe('Virtual subnet of the guest.'),
  mac: z.string().regex(macPattern).describe('MAC address of the guest.'),
  addresses: z
    .array(address)
    .max(CUSTOMER_ADDRESSES_MAX)
    .default([])
    .describe('IP addresses of the guest: ARP and neighbour discovery about them are answered here.'),
  provider: address.describe('Provider address of the host that it is on.'),
})

const flooding = z.enum(['replicate', 'drop'])

export const overlaySchema = z
  .strictObject({
    kind: z.enum(['nvgre', 'vxlan', 'geneve']).describe('How frames are encapsulated.'),
    providerAddresses: z
      .array(providerAddressSchema)
      .min(1)
      .max(PROVIDER_ADDRESSES_MAX)
      .describe("Addresses of this host's ends of the tunnels: the switch itself has them, behind its external port."),
    udpPort: z
      .number()
      .int()
      .min(1)
      .max(PORT_MAX)
      .optional()
      .describe('Destination port of VXLAN and Geneve. Default: 4789 and 6081.'),
    ttl: z.number().int().min(1).max(TTL_MAX).optional().describe('Hops that a tunnel packet may take. Default: 64.'),
    unknownUnicast: flooding
      .optional()
      .describe('Frames to a MAC address that no record has: a copy for each host of the subnet, or none. Default: replicate.'),
    multicast: z
      .union([flooding, address])
      .optional()
      .describe(
        'Broadcast and multicast frames: a copy for each host of the subnet, none, or one for this group. Default: replicate.',
      ),
    providerMac: z
      .string()
      .regex(macPattern)
      .optional()
      .describe('MAC address of the provider addresses. Default: one made of the first of them.'),
    learning: z
      .boolean()
      .optional()
      .describe('Learn from frames that come by a tunnel which host a MAC address is on. Default: false.'),
    clampMss: z
      .boolean()
      .optional()
      .describe('Lower the segment size that TCP connections agree on to what fits into the tunnel. Default: true.'),
    mtu: z
      .number()
      .int()
      .min(UNDERLAY_MTU_MIN)
      .max(MTU_MAX)
      .optional()
      .describe('MTU of the network between the hosts, in bytes. Default: 1500.'),
    subnets: z.array(subnetSchema).max(OVERLAY_SUBNETS_MAX).default([]).describe('Virtual subnets.'),
    records: z.array(recordSchema).max(OVERLAY_RECORDS_MAX).default([]).describe('Look-up records: where guests are.'),
    routes: z
      .array(routeSchema)
      .max(CUSTOMER_ROUTES_MAX)
      .default([])
      .describe('Customer routes, beside those to the prefixes of subnets.'),
  })
  .describe('Tunnels to other hosts, which join virtual subnets.')
