// Answers about properties, ACLs, save and restore, and looking into a switch.
import { z } from 'zod'
import { propertyFieldTypes } from '../../../ndis/property-fields.ts'
import { propertyTypes } from '../../../switch/policies/property.ts'
import type {
  CaptureSummary,
  ConnectionStatus,
  ConnectionsReport,
  LastDropsReport,
  TraceReport,
} from '../../diagnosis/diagnosis-calls.ts'
import type { FeatureStatusReport, PropertyDefinitionStatus, PropertyStatus, RestoreReport } from '../../host.ts'
import type { AclStatus } from '../../policies/acl-calls.ts'
import { answerOf, count, counts, details, texts } from './define.ts'

export const propertyStatus = answerOf<PropertyStatus>()(
  'PropertyStatus',
  z.object({
    port: z.string().nullable().describe('null: a property of the switch.'),
    type: z.enum(propertyTypes),
    id: z.string().nullable(),
    name: z.string(),
    instance: z.string(),
    version: z.string(),
    value: z.unknown().describe('As it was written.'),
    network: z.string().optional().describe('Policy of the network that imposes it.'),
  }),
)

export const propertyDefinition = answerOf<PropertyDefinitionStatus>()(
  'PropertyDefinition',
  z.object({
    name: z.string(),
    id: z.string(),
    version: z.string(),
    scope: z.enum(['port', 'switch']),
    extension: z.string(),
    fields: z
      .array(
        z.object({
          name: z.string(),
          type: z.enum(propertyFieldTypes),
          description: z.string().optional(),
          min: z.number().optional(),
          max: z.number().optional(),
          choices: z.array(z.string()).optional(),
          default: z.unknown().optional(),
          required: z.boolean().optional(),
          advanced: z.boolean().optional(),
        }),
      )
      .nullable()
      .describe('What a value consists of; null: only the extension knows.'),
    list: z.boolean().describe('Whether a list of such values is a value too.'),
    schema: details.nullable().describe('JSON Schema of a value; null without fields.'),
  }),
)

export const aclStatus = answerOf<AclStatus>()(
  'AclStatus',
  z.object({
    port: z.string(),
    vm: z.string(),
    extended: z.boolean(),
    index: count.describe('Place in its list, from 0.'),
    name: z.string(),
    entry: details,
    network: z.string().optional().describe('Policy of the network that imposes it.'),
    packets: count,
    bytes: count,
  }),
)

export const featureStatusReport = answerOf<FeatureStatusReport>()(
  'FeatureStatusReport',
  z.object({ id: z.string(), version: z.string(), data: z.string().describe('In base64.') }),
)

export const restoreReport = answerOf<RestoreReport>()(
  'RestoreReport',
  z.object({
    ports: z.array(
      z.object({
        name: z.string(),
        created: z.boolean(),
        data: z.enum(['restored', 'waiting', 'none']),
        orphans: count,
        withoutVf: z.string().nullable(),
      }),
    ),
  }),
)

export const traceReport = answerOf<TraceReport>()(
  'TraceReport',
  z.object({
    port: z.string(),
    summary: z.string(),
    steps: z.array(
      z.object({
        stage: z.enum(['arrival', 'ingress', 'overlay', 'forwarding', 'mirroring', 'egress', 'delivery', 'learning']),
        extension: z.string().nullable(),
        packet: count,
        text: z.string(),
        why: z.string().optional(),
        rule: z.string().optional(),
        dropped: z.string().optional(),
        port: z.string().optional(),
      }),
    ),
    delivered: texts,
    tunnels: z.array(
      z.object({ packet: count, port: z.string(), provider: z.string(), host: z.string().nullable(), frame: z.string() }),
    ),
  }),
)

export const lastDropsReport = answerOf<LastDropsReport>()(
  'LastDropsReport',
  z.object({
    counted: counts,
    meanings: z.record(z.string(), z.string()).describe("What the switch's own reasons mean."),
    kept: count.describe('Records that are kept now.'),
    drops: z.array(
      z.object({
        time: z.string(),
        port: z.string(),
        direction: z.enum(['inbound', 'outbound']),
        sourcePort: z.string(),
        reason: z.string(),
        extension: z.string().nullable(),
        rule: z.string().nullable(),
        processor: count,
        number: count.describe('Counts up on its processor.'),
        packetId: z.number().nullable(),
        length: z.number().nullable(),
        summary: z.string(),
        header: z.string(),
        tag: z.number().nullable(),
        frames: count,
        unkept: count,
      }),
    ),
  }),
)

const traffic = z.object({ packets: count, bytes: count })
export const connectionStatus = answerOf<ConnectionStatus>()(
  'ConnectionStatus',
  z.object({
    protocol: count,
    isolationId: count,
    localAddress: z.string(),
    localPort: count,
    remoteAddress: z.string(),
    remotePort: count,
    state: z.string(),
    opened: z.enum(['outbound', 'inbound']),
    idleSeconds: count,
    expiresInSeconds: count,
    sent: traffic,
    received: traffic,
  }),
)

export const connectionsReport = answerOf<ConnectionsReport>()(
  'ConnectionsReport',
  z.object({
    items: z.array(connectionStatus),
    next: z.string().nullable().describe('Asks for the page that follows (`after`); null: this is the last.'),
  }),
)

export const captureSummary = answerOf<CaptureSummary>()(
  'CaptureSummary',
  z.object({ records: count, bytes: count, lost: count }),
)
