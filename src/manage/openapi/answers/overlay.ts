// Answers about overlays.
import { z } from 'zod'
import type { OverlayCounters, OverlayRecord, OverlayRoute, OverlayStatus, OverlaySubnet } from '../../overlay/overlay-calls.ts'
import { answerOf, count, texts } from './define.ts'

export const counters = answerOf<OverlayCounters>()(
  'OverlayCounters',
  z.object({ sentFrames: count, sentBytes: count, receivedFrames: count, receivedBytes: count }),
)

export const overlayRecord = answerOf<OverlayRecord>()(
  'OverlayRecord',
  z.object({
    vsid: count,
    mac: z.string(),
    addresses: texts.describe('IP addresses of the guest.'),
    provider: z.string().describe('Provider address of the host that it is on.'),
    kind: z.enum(['static', 'learned']),
  }),
)

export const overlayRoute = answerOf<OverlayRoute>()(
  'OverlayRoute',
  z.object({
    routingDomain: z.string(),
    vsid: count.describe('Virtual subnet that it leads into.'),
    prefix: z.string(),
    nextHop: z.string().nullable().describe('Guest that packets are given to; null: addresses are in the subnet itself.'),
    metric: count,
    kind: z.enum(['given', 'subnet']).describe('subnet: to a prefix of the subnet.'),
  }),
)

export const overlaySubnet = answerOf<OverlaySubnet>()(
  'OverlaySubnet',
  z.object({
    vsid: count,
    routingDomain: z.string().nullable(),
    prefixes: texts.describe("Prefixes of its guests' addresses."),
    gateways: texts.describe('Addresses of the router in it.'),
    peers: texts.describe('Provider addresses that were given; those of records come on top.'),
    ports: texts.describe('Names of the ports that are in it.'),
    records: count,
  }),
)

export const overlayStatus = answerOf<OverlayStatus>()(
  'OverlayStatus',
  z.object({
    kind: z.enum(['nvgre', 'vxlan', 'geneve']),
    providerAddresses: texts.describe('With prefix lengths.'),
    providerMac: z.string(),
    uplink: z.string().nullable().describe('Port that tunnels leave by; null: none is connected.'),
    udpPort: count.nullable().describe('null: NVGRE has none.'),
    guestMtu: count.describe('Bytes of the largest IP packet of a guest that fits into a tunnel.'),
    learning: z.boolean(),
    generation: count.describe('Changes of subnets and records so far.'),
    records: count,
    unplaced: count.describe('Guests without room in the table of addresses: frames to them are flooded.'),
    routerMac: z.string().describe('MAC address of the router of virtual subnets.'),
    subnets: z.array(overlaySubnet),
    tunnels: z.array(z.object({ provider: z.string(), nextHop: z.string().nullable(), counters })),
    counters,
    drops: z.array(z.object({ reason: z.string(), frames: count })),
  }),
)
