// Answers about SR-IOV adapters, virtual functions, receive queues and queue pairs.
import { z } from 'zod'
import { linkModes } from '../../../adapter/vf-settings.ts'
import type { AdapterOidAnswer, AdapterStatus, AssignedVfStatus, VfShown } from '../../adapters/adapter-calls.ts'
import type { QueueStatus, RssStatus } from '../../adapters/queue-calls.ts'
import { endpointSchema } from '../../config/endpoint-schema.ts'
import { answerOf, count, counts, details, upDown } from './define.ts'

export const vfShown = answerOf<VfShown>()(
  'VfShown',
  z.object({
    vf: count,
    mac: z.string(),
    vlan: count.describe('0: untagged, or a trunk.'),
    qos: count,
    spoofchk: z.boolean(),
    trust: z.boolean(),
    max_tx_rate: count.describe('Mbit/s; 0: none.'),
    min_tx_rate: count.describe('Mbit/s; 0: none.'),
    state: z.enum(linkModes),
    allocated: z.boolean(),
    link: z.boolean(),
  }),
)

export const assignedVf = answerOf<AssignedVfStatus>()(
  'AssignedVfStatus',
  z.object({
    adapter: z.string(),
    port: z.string(),
    vf: count,
    vport: count,
    serialNumber: count,
    form: z.enum(['vfio-user', 'vhost-user']),
    path: z.string(),
    state: z.enum(['waiting', 'active', 'removing']),
    switchovers: count.describe('Times that traffic went to the VF and back.'),
    detail: details,
  }),
)

const vportCounters = z.object({
  receivedFrames: count,
  receivedBytes: count,
  sentFrames: count,
  sentBytes: count,
  receivedDropped: count,
  sendDropped: count,
  receivedMulticast: count,
})

export const adapterStatus = answerOf<AdapterStatus>()(
  'AdapterStatus',
  z.object({
    name: z.string(),
    mode: z.enum(['sriov', 'vmq']).optional().describe('sriov without it.'),
    mac: z.string(),
    state: z.enum(['running', 'removed']),
    uplink: endpointSchema.nullable(),
    link: upDown,
    vfs: z.object({ total: count, allocated: count }),
    vports: z.array(
      z.object({
        id: count.describe('0: the default VPort.'),
        name: z.string(),
        function: z.union([z.literal('pf'), count]),
        state: z.enum(['activated', 'deactivated']),
        queuePairs: count,
        filters: z.array(z.object({ id: count, mac: z.string(), vlan: z.number().nullable() })),
        counters: vportCounters,
        drops: counts,
      }),
    ),
    wire: vportCounters,
    wireDrops: counts,
    shown: z.array(vfShown),
    assigned: z.array(assignedVf),
  }),
)

export const adapterOidAnswer = answerOf<AdapterOidAnswer>()(
  'AdapterOidAnswer',
  z.object({
    status: count,
    statusName: z.string().describe('NDIS_STATUS_…'),
    output: z.unknown().describe('Bytes are written {"hex": "00ff"}; null without output.'),
  }),
)

export const queueStatus = answerOf<QueueStatus>()(
  'QueueStatus',
  z.object({
    adapter: z.string(),
    queue: count.describe('0: the default queue.'),
    port: z.string().nullable(),
    vm: z.string().nullable(),
    weight: count.nullable(),
    state: z.enum(['undefined', 'running', 'paused', 'dma-stopped']),
    processor: count,
    pinned: z.boolean().describe('An operator chose the processor: the load does not change it.'),
    filter: z.object({ id: count, mac: z.string(), vlan: z.union([z.number(), z.literal('untagged'), z.null()]) }).nullable(),
    steering: z.enum(['kernel', 'one-ring', 'software']),
    steeringReason: z.string().nullable(),
    counters: z.object({ receivedFrames: count, receivedBytes: count, handedOver: count, dropped: count }),
    drops: counts,
    serves: z.array(z.object({ port: z.string(), reason: z.string() })),
  }),
)

export const rssStatus = answerOf<RssStatus>()(
  'RssStatus',
  z.object({
    port: z.string(),
    vmmqEnabled: z.boolean(),
    vmmqQueuePairs: count.nullable(),
    receiving: count,
    queuePairs: z.array(z.object({ queuePair: count, processor: count, entries: count, frames: count })),
    indirectionTable: z.array(count),
    entryFrames: z.array(count),
    framesWithoutHash: count,
    moves: z.object({ done: count, forced: count, waiting: count }),
  }),
)
