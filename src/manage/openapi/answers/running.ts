// Answers about the switch as a whole: status, live view, extensions, counters, service, events.
import { z } from 'zod'
import type { Change } from '../../apply/plan.ts'
import type { ResolvedConfig } from '../../config/types.ts'
import { roles } from '../../control/access.ts'
import { eventKinds, type NumberedEvent } from '../../events/event-bus.ts'
import type { CountersReport, ExtensionStatus, ProcessorStatus, SwitchStatus } from '../../host.ts'
import type { LivePort, LiveView } from '../../live/live-view.ts'
import type { ApplyReport, ServiceStatus } from '../../service/service-calls.ts'
import { answerOf, count, counts, texts, upDown } from './define.ts'
import { adapterStatus, queueStatus } from './hardware.ts'
import { overlayStatus } from './overlay.ts'
import { dropCount, portCounters } from './ports.ts'

const time = z.string().describe('ISO 8601 in UTC.')
const switchType = z.enum(['private', 'internal', 'external'])
const latency = z.object({ p50: count, p99: count, p999: count }).describe('Nanoseconds that bursts spent in the switch.')
const macTable = z.object({ used: count, capacity: count, ageingSeconds: count })
const memory = z.object({ residentBytes: count, guestBytesAvailable: count })

const processorStatus = answerOf<ProcessorStatus>()(
  'ProcessorStatus',
  z.object({ id: count, latencyNs: latency, counters: counts }),
)

export const switchStatus = answerOf<SwitchStatus>()(
  'SwitchStatus',
  z.object({
    name: z.string(),
    type: switchType,
    version: z.string(),
    pid: count,
    startedAt: time,
    uptimeSeconds: count,
    file: z.string(),
    runtimeDirectory: z.string(),
    control: z.string(),
    processors: z.array(processorStatus),
    ports: z.object({ total: count, connected: count }),
    extensions: z.object({ total: count, enabled: count, failed: count }),
    macTable,
    receivedFrames: count,
    droppedFrames: count,
    memory,
  }),
)

export const extensionStatus = answerOf<ExtensionStatus>()(
  'ExtensionStatus',
  z.object({
    name: z.string(),
    id: z.string(),
    version: z.string(),
    class: z.string().describe('capturing, filtering or forwarding.'),
    enabled: z.boolean(),
    state: z.string(),
    onFailure: z.enum(['open', 'closed']),
    faults: count,
    lastFault: z.string(),
    breaches: count,
    nsPerPacket: count,
    counters: counts,
    sinks: z.array(z.object({ name: z.string(), path: z.string(), lost: count })),
  }),
)

export const countersReport = answerOf<CountersReport>()(
  'CountersReport',
  z.object({
    takenAt: time,
    ports: z.array(z.object({ name: z.string(), counters: portCounters })),
    extensions: z.array(z.object({ name: z.string(), counters: counts })),
    processors: z.array(processorStatus),
  }),
)

const livePort = answerOf<LivePort>()(
  'LivePort',
  z.object({
    name: z.string(),
    id: count,
    friendlyName: z.string(),
    kind: z.string(),
    place: z.string(),
    mac: z.string().nullable(),
    link: upDown,
    connected: z.boolean(),
    queues: count,
    engine: z.string().nullable(),
    mtu: count,
    vlan: z.string().nullable(),
    wantsVf: z.boolean(),
    counters: portCounters,
  }),
)

export const liveView = answerOf<LiveView>()(
  'LiveView',
  z.object({
    takenAt: time,
    switch: z.object({ name: z.string(), type: switchType, version: z.string(), startedAt: time, uptimeSeconds: count }),
    ports: z.array(livePort),
    extensions: z.array(extensionStatus),
    drops: z.array(dropCount),
    processors: z.array(z.object({ id: count, latencyNs: latency, latencyCounts: z.array(count), counters: counts })),
    adapters: z.array(adapterStatus),
    queues: z.array(queueStatus),
    overlay: overlayStatus.nullable().describe('null: there is no overlay.'),
    macTable,
    memory,
  }),
)

/** Who asks, and what they may do. */
export interface AccessReport {
  readonly access: 'read' | 'change'
  readonly role: (typeof roles)[number]
  readonly name: string
  readonly network: boolean
}
export const accessReport = answerOf<AccessReport>()(
  'AccessReport',
  z.object({
    access: z.enum(['read', 'change']),
    role: z.enum(roles),
    name: z.string(),
    network: z.boolean().describe('It is a service, which can be in a network of hosts.'),
  }),
)

export const serviceStatus = answerOf<ServiceStatus>()(
  'ServiceStatus',
  z.object({
    stateDirectory: z.string(),
    revision: count,
    schemaVersion: count,
    switch: z.string().nullable().describe('Name of the switch; null: nothing has been applied yet.'),
    control: z.string(),
    listen: z.string().nullable(),
  }),
)

const change = answerOf<Change>()(
  'Change',
  z.object({
    action: z.enum(['added', 'changed', 'removed']),
    kind: z.enum(['switch', 'adapter', 'extension', 'port', 'property']),
    name: z.string(),
    details: texts,
    how: z.enum(['live', 'replace', 'restart']),
  }),
)

export const applyReport = answerOf<ApplyReport>()(
  'ApplyReport',
  z.object({ changes: z.array(change), restart: z.boolean(), applied: z.boolean(), revision: count }),
)

/** The members of a stored configuration, which are those of a configuration file with defaults filled in and absolute paths. */
type StoredConfig = { readonly [Key in keyof ResolvedConfig]: Key extends 'file' ? string : unknown }
export const resolvedConfig = answerOf<StoredConfig>()(
  'ResolvedConfig',
  z.object({
    file: z.string().describe('Absolute path of the configuration file.'),
    switch: z.unknown().describe('As in a configuration file, defaults filled in, with absolute paths.'),
    adapters: z.unknown().optional(),
    runtime: z.unknown(),
    guests: z.unknown(),
    failover: z.unknown().optional(),
  }),
)

export const numberedEvent = answerOf<NumberedEvent>()(
  'NumberedEvent',
  z.object({
    number: count.describe('Counts from 1 with the process.'),
    at: time,
    kind: z.enum([...eventKinds, 'gap']),
    source: z.string(),
    code: z.string(),
    message: z.string(),
    lost: count.optional().describe('Of a gap: how many events were lost.'),
  }),
)
