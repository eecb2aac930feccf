// Answers about overlays.
import { z } from 'zod'
import type { OverlayCounters, OverlayRecord, OverlayStatus, OverlaySubnet } from '../../overlay/overlay-calls.ts'
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

export const overlaySubnet = answerOf<OverlaySubnet>()(
  'OverlaySubnet',
  z.object({
    vsid: count,
    routingDomain: z.string().nullable(),
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
    subnets: z.array(overlaySubnet),
    tunnels: z.array(z.object({ provider: z.string(), nextHop: z.string().nullable(), counters })),
    counters,
    drops: z.array(z.object({ reason: z.string(), frames: count })),
  }),
)
