// Answers about the network of hosts that a service is in.
import { z } from 'zod'
import { imposableTypes } from '../../../switch/policies/imposed.ts'
import type {
  NetworkArrival,
  NetworkHost,
  NetworkPolicy,
  NetworkPort,
  NetworkStatus,
  NetworkSubnet,
  NetworkTunnel,
} from '../../cluster/cluster-calls.ts'
import { answerOf, count, texts, upDown } from './define.ts'
import { counters } from './overlay.ts'

const host = answerOf<NetworkHost>()(
  'NetworkHost',
  z.object({
    name: z.string(),
    state: z.enum(['here', 'alive', 'lost']),
    heardMs: count.nullable().describe('Milliseconds since it was heard; null: of this host.'),
    providerAddresses: texts,
    ports: count,
    software: z.string(),
    api: z.string().nullable(),
  }),
)

const port = answerOf<NetworkPort>()(
  'NetworkPort',
  z.object({
    name: z.string(),
    host: z.string(),
    mac: z.string(),
    virtualSubnetId: count.describe('0: in none.'),
    customerAddresses: texts,
    tenant: z.string(),
    link: upDown,
    state: z.enum(['held', 'claiming', 'moving', 'refused']),
    message: z.string().nullable().describe('Why it is refused.'),
  }),
)

const subnet = answerOf<NetworkSubnet>()(
  'NetworkSubnet',
  z.object({
    virtualSubnetId: count,
    routingDomainId: z.string().nullable(),
    name: z.string().nullable(),
    tenant: z.string().nullable(),
    prefixes: texts,
    gateways: texts.describe('Addresses of the router in it.'),
    peers: texts.describe('Provider addresses of the other hosts that have ports in it.'),
  }),
)

const policy = answerOf<NetworkPolicy>()(
  'NetworkPolicy',
  z.object({
    name: z.string(),
    virtualSubnetId: count.nullable().describe('For the ports of this virtual subnet.'),
    port: z.string().nullable().describe('For the port of this name.'),
    properties: z.array(z.object({ type: z.enum(imposableTypes), value: z.unknown() })),
    ports: texts.describe('Ports of this host for which it is in force.'),
  }),
)

const tunnel = answerOf<NetworkTunnel>()(
  'NetworkTunnel',
  z.object({
    provider: z.string(),
    host: z.string().nullable().describe('Host of the network with this address.'),
    nextHop: z.string().nullable().describe('MAC address that its frames are sent to; null: not known yet.'),
    counters,
    rate: z
      .object({ sentFrames: count, sentBits: count, receivedFrames: count, receivedBits: count })
      .nullable()
      .describe('Per second, over the last seconds; null: nobody asked before.'),
  }),
)

export const networkStatus = answerOf<NetworkStatus>()(
  'NetworkStatus',
  z.object({
    network: z.string().nullable().describe('Null: this host is in no network.'),
    host: z.string().nullable(),
    servers: z.string().nullable(),
    state: z.enum(['alone', 'joining', 'joined', 'partitioned', 'superseded', 'refused']),
    since: z.string().describe('ISO 8601 in UTC.'),
    message: z.string().nullable(),
    lagMs: count.nullable().describe('Milliseconds until the last change of this host had gone round.'),
    lookups: count.nullable().describe('Look-up records that the overlay has from the network; null: there is no overlay.'),
    hosts: z.array(host),
    ports: z.array(port),
    subnets: z.array(subnet),
    policies: z.array(policy),
    tunnels: z.array(tunnel),
    refused: z.array(z.object({ key: z.string(), code: z.string(), message: z.string() })),
  }),
)

export const networkArrival = answerOf<NetworkArrival>()(
  'NetworkArrival',
  z.object({
    state: z.enum(['moving', 'held']).nullable().describe('held: the others know that the port is here; null: not so.'),
  }),
)

export const networkLeft = answerOf<{ left: readonly string[] }>()(
  'NetworkLeft',
  z.object({ left: texts.describe('What could not be taken out of the network.') }),
)
