// Answers about ports, the MAC table, multicast groups, the team of uplinks, drops.
import { z } from 'zod'
import { loadBalancingAlgorithms } from '../../../engine/team/switch-team.ts'
import { iovSchema } from '../../config/adapter-schema.ts'
import { endpointSchema } from '../../config/endpoint-schema.ts'
import { snoopingSchema } from '../../config/snooping-schema.ts'
import type { PortTicket } from '../../console/guest-tickets.ts'
import type { DropCount, FdbEntry, PortCounters, PortStatus } from '../../host.ts'
import type { SnoopingStatus } from '../../policies/snooping-calls.ts'
import type { TeamStatus } from '../../policies/team-calls.ts'
import { answerOf, count, details, texts, upDown } from './define.ts'

export const portCounters = answerOf<PortCounters>()(
  'PortCounters',
  z.object({
    receivedFrames: count,
    receivedBytes: count,
    sentFrames: count,
    sentBytes: count,
    receivedDropped: count.describe('Frames from this port that were dropped, all reasons together.'),
    sendDropped: count.describe('Frames on their way to this port that were dropped.'),
    receivedMulticast: count,
    floodedFrames: count.describe('Frames from this port that went to all ports, since their destination was not known.'),
  }),
)

const bitsPerSecond = count.nullable()

export const portStatus = answerOf<PortStatus>()(
  'PortStatus',
  z.object({
    name: z.string(),
    id: count.describe('Port identifier in the switch, from 1.'),
    friendlyName: z.string(),
    vm: z.string(),
    mac: z.string().nullable(),
    macSpoofing: z.enum(['on', 'off']),
    learning: z.boolean(),
    mtu: count.describe('Bytes.'),
    portMirroring: z.enum(['none', 'source', 'destination', 'all']),
    monitorSession: count,
    monitorDirection: z.enum(['both', 'sent', 'received']),
    monitorVlan: count,
    tenant: z.string().describe("Empty: nobody's."),
    teaming: z
      .object({ loadBalancing: z.enum(loadBalancingAlgorithms).optional(), standby: texts.optional() })
      .nullable()
      .describe('Settings of a team; null: as it is without.'),
    uplinks: z.array(endpointSchema).describe('Further physical adapters, which form a team with the endpoint.'),
    iov: iovSchema.extend({ path: z.string() }).nullable().describe('What the port wants of SR-IOV; null: nothing.'),
    link: upDown.describe('What the administrator wants.'),
    connected: z.boolean().describe("A peer is there and ready: a guest's driver, a connected VMM."),
    queues: count.describe('Queue pairs in service.'),
    engine: z.string().nullable().describe("What moves the port's packets: wasm, typescript; null: a copied endpoint."),
    endpoint: endpointSchema,
    detail: details.describe('What the endpoint tells of itself.'),
    bandwidth: z.object({
      maximum: bitsPerSecond.describe('Bits per second; null: no limit.'),
      maximumReceive: bitsPerSecond,
      minimum: bitsPerSecond,
      weight: count.nullable(),
      pacedBytes: count,
      waitedSeconds: count,
      uplinkBytes: count,
    }),
    counters: portCounters,
  }),
)

export const portTicket = answerOf<PortTicket>()(
  'PortTicket',
  z.object({ url: z.string(), protocols: texts, mac: z.string().nullable(), mtu: count }),
)

export const fdbEntry = answerOf<FdbEntry>()(
  'FdbEntry',
  z.object({
    vlan: count,
    mac: z.string(),
    port: z.string(),
    kind: z.enum(['static', 'learned']),
    ageSeconds: count.nullable().describe('Since the address was last seen; null for a static entry.'),
  }),
)

export const dropCount = answerOf<DropCount>()(
  'DropCount',
  z.object({
    port: z.string().describe('Name of the port, or extensions for packets that extensions made.'),
    reason: z.string(),
    frames: count,
  }),
)

const family = z.enum(['ipv4', 'ipv6'])
const groupCounts = z.object({
  reports: count,
  queries: count,
  hellos: count,
  joined: count,
  left: count,
  expired: count,
  invalid: count,
  refusedByShare: count,
  full: count,
  busy: count,
})

export const snoopingStatus = answerOf<SnoopingStatus>()(
  'SnoopingStatus',
  z.object({
    settings: snoopingSchema.nullable().describe('As it is in force; null: off.'),
    groups: z.array(z.object({ vlan: count, group: z.string(), port: z.string(), expiresSeconds: count })),
    routers: z.array(
      z.object({
        vlan: count.nullable(),
        family: z.enum(['ipv4', 'ipv6', 'both']),
        port: z.string(),
        kind: z.enum(['configured', 'learned']),
        expiresSeconds: count.nullable(),
      }),
    ),
    queriers: z.array(
      z.object({
        vlan: count,
        family,
        kind: z.enum(['built-in', 'other']),
        address: z.string(),
        port: z.string().nullable(),
        expiresSeconds: count.nullable(),
      }),
    ),
    table: z.object({ used: count, capacity: count, share: count }),
    ports: z.array(z.object({ port: z.string(), groups: count, refused: count })),
    counters: groupCounts,
  }),
)

export const teamStatus = answerOf<TeamStatus>()(
  'TeamStatus',
  z.object({
    port: z.string(),
    teamingMode: z.literal('SwitchIndependent'),
    loadBalancing: z.enum(loadBalancingAlgorithms),
    failovers: count,
    announced: count,
    members: z.array(
      z.object({
        name: z.string(),
        nicIndex: count,
        role: z.enum(['active', 'standby']),
        link: upDown,
        active: z.boolean(),
        designated: z.boolean(),
        ports: texts,
        counters: z.object({
          sentFrames: count,
          sentBytes: count,
          receivedFrames: count,
          duplicates: count,
          reflections: count,
        }),
      }),
    ),
  }),
)
