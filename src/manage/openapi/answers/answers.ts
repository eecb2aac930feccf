// Every answer of the control API by the name that operations.ts calls it.
//
// The rule it must not break: an operation without a schema of its answer does not compile.
import { z } from 'zod'
import { answerOf, count } from './define.ts'
import { adapterOidAnswer, adapterStatus, assignedVf, queueStatus, rssStatus, vfShown } from './hardware.ts'
import { networkArrival, networkLeft, networkStatus } from './network.ts'
import { overlayRecord, overlayRoute, overlayStatus, overlaySubnet } from './overlay.ts'
import {
  aclStatus,
  captureSummary,
  connectionsReport,
  featureStatusReport,
  lastDropsReport,
  propertyDefinition,
  propertyStatus,
  restoreReport,
  traceReport,
} from './policies.ts'
import { dropCount, fdbEntry, portStatus, portTicket, snoopingStatus, teamStatus } from './ports.ts'
import {
  accessReport,
  applyReport,
  countersReport,
  extensionStatus,
  liveView,
  numberedEvent,
  resolvedConfig,
  serviceStatus,
  switchStatus,
} from './running.ts'

const nothing = answerOf<Record<string, never>>()('Done', z.record(z.string(), z.never()))
const saved = answerOf<{ saved: string }>()('Saved', z.object({ saved: z.string().describe('The message, in base64.') }))
const flushed = answerOf<{ flushed: number }>()('Flushed', z.object({ flushed: count }))
const stopped = answerOf<{ stopped: boolean }>()('Stopped', z.object({ stopped: z.boolean() }))
const revision = answerOf<{ revision: number }>()('Revision', z.object({ revision: count }))

export const answers = {
  AccessReport: accessReport,
  AclStatus: aclStatus,
  AdapterOidAnswer: adapterOidAnswer,
  AdapterStatus: adapterStatus,
  ApplyReport: applyReport,
  AssignedVfStatus: assignedVf,
  CaptureSummary: captureSummary,
  ConnectionsReport: connectionsReport,
  CountersReport: countersReport,
  Done: nothing,
  DropCount: dropCount,
  ExtensionStatus: extensionStatus,
  FdbEntry: fdbEntry,
  FeatureStatusReport: featureStatusReport,
  Flushed: flushed,
  LastDropsReport: lastDropsReport,
  LiveView: liveView,
  NetworkArrival: networkArrival,
  NetworkLeft: networkLeft,
  NetworkStatus: networkStatus,
  NumberedEvent: numberedEvent,
  OverlayRecord: overlayRecord,
  OverlayRoute: overlayRoute,
  OverlayStatus: overlayStatus,
  OverlaySubnet: overlaySubnet,
  PortStatus: portStatus,
  PortTicket: portTicket,
  PropertyDefinition: propertyDefinition,
  PropertyStatus: propertyStatus,
  QueueStatus: queueStatus,
  ResolvedConfig: resolvedConfig,
  RestoreReport: restoreReport,
  Revision: revision,
  RssStatus: rssStatus,
  Saved: saved,
  ServiceStatus: serviceStatus,
  SnoopingStatus: snoopingStatus,
  Stopped: stopped,
  SwitchStatus: switchStatus,
  TeamStatus: teamStatus,
  TraceReport: traceReport,
  VfShown: vfShown,
} as const satisfies Readonly<Record<string, z.ZodType>>

export type AnswerName = keyof typeof answers
/** What an operation answers: one, a list, or one that may be missing. Bytes and text have no schema: their content type says what they are. */
export type AnswerWords = AnswerName | `${AnswerName}[]` | `${AnswerName} | null` | 'bytes' | 'text' | 'OpenAPI'
