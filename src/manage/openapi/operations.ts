// Every operation of the control API, with the schema that checks its body: what the OpenAPI document is made from.
//
// The rule it must not break: each route stands here, and nothing stands here that is no route; a test compares them.
import type { z } from 'zod'
import { ofPort, oidRequest, removal, vfWords } from '../adapters/adapter-routes.ts'
import { queueChange, rssMove, vmmqChange } from '../adapters/queue-routes.ts'
import { awaitPortSchema, expectSchema, joinSchema, networkPolicySchema, networkSubnetSchema } from '../cluster/cluster-routes.ts'
import { recordSchema, routeSchema, subnetSchema } from '../config/overlay-schema.ts'
import { portSchema } from '../config/schema.ts'
import { snoopingSchema } from '../config/snooping-schema.ts'
import type { Role } from '../control/access.ts'
import { extensionChange, filterSchema, orderSchema, pageSchema, portChange } from '../control/request-schemas.ts'
import { captureSchema, connectionsFilter, dropsFilter, traceSchema } from '../diagnosis/diagnosis-routes.ts'
import { installSchema } from '../installed-extension.ts'
import { recordFilter, recordRemoval, routeFilter, routeRemoval, subnetRemoval } from '../overlay/overlay-routes.ts'
import { aclAddition, aclRemoval } from '../policies/acl-routes.ts'
import {
  aliveSchema,
  awaitSchema,
  featureFilter,
  portFilter,
  propertyChange,
  propertyFilter,
  savedSchema,
  shownProperties,
} from '../policies/policy-routes.ts'
import { applySchema } from '../service/service-routes.ts'
import type { AnswerWords } from './answers/answers.ts'
import { operationRole } from './operation-roles.ts'

export interface Operation {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete'
  /** As the router has it: `:name` is a parameter. */
  readonly path: string
  /** The least that a caller must be. */
  readonly role: Role
  readonly summary: string
  /** What is answered, by the name that its schema has in answers/answers.ts. */
  readonly answer: AnswerWords
  /** The list may be asked for in pages. */
  readonly paged?: boolean
  readonly status?: 200 | 201
  readonly body?: z.ZodType
  readonly query?: readonly z.ZodObject[]
  /** Content types of the answer; JSON without it. */
  readonly content?: readonly string[]
}

type More = Partial<Pick<Operation, 'status' | 'body' | 'query' | 'content' | 'paged'>>
const operation =
  (method: Operation['method']) =>
  (path: string, summary: string, answer: AnswerWords, more: More = {}): Operation => ({
    method,
    path,
    role: operationRole(method, path),
    summary,
    answer,
    ...more,
  })
const get = operation('get')
const post = operation('post')
const put = operation('put')
const patch = operation('patch')
const remove = operation('delete')

export const operations: readonly Operation[] = [
  get('/v1/status', 'The switch at a glance.', 'SwitchStatus'),
  get('/v1/live', 'What passes, now: the switch in one answer, to be asked for once a second.', 'LiveView'),
  get('/v1/access', 'Who the caller is, and what they may do.', 'AccessReport'),
  get('/v1/ports', 'Ports with state, endpoint and counters.', 'PortStatus[]', { query: [pageSchema], paged: true }),
  post('/v1/ports', 'Adds a port.', 'PortStatus', { body: portSchema, status: 201 }),
  patch('/v1/ports/:name', 'Changes a port.', 'PortStatus', { body: portChange }),
  post('/v1/ports/:name/ticket', 'Opens a WebSocket port once, for a page of the origin that asks.', 'PortTicket', {
    status: 201,
  }),
  remove('/v1/ports/:name', 'Removes a port: its guest loses the connection.', 'Done'),
  get('/v1/team', 'The team of uplinks with its members; null: there is none.', 'TeamStatus | null'),
  get('/v1/mdb', 'Multicast groups with the ports that joined, router ports, queriers.', 'SnoopingStatus'),
  put('/v1/snooping', 'Switches snooping of IGMP and MLD on, or to other settings.', 'SnoopingStatus', { body: snoopingSchema }),
  remove('/v1/snooping', 'Switches it off: multicast frames go to all ports.', 'SnoopingStatus'),
  get('/v1/overlay', 'Tunnels to other hosts, virtual subnets, counters; null: there is no overlay.', 'OverlayStatus | null'),
  get('/v1/overlay/records', 'Look-up records: where guests are.', 'OverlayRecord[]', {
    query: [recordFilter, pageSchema],
    paged: true,
  }),
  put('/v1/overlay/records', 'Sets the record of a guest.', 'OverlayRecord', { body: recordSchema }),
  post('/v1/overlay/records/remove', 'Removes it.', 'Done', { body: recordRemoval }),
  get('/v1/overlay/routes', 'Customer routes: to the prefixes of subnets, and given ones.', 'OverlayRoute[]', {
    query: [routeFilter, pageSchema],
    paged: true,
  }),
  put('/v1/overlay/routes', 'Sets a customer route.', 'OverlayRoute', { body: routeSchema }),
  post('/v1/overlay/routes/remove', 'Removes it.', 'Done', { body: routeRemoval }),
  put('/v1/overlay/subnets', 'Adds a virtual subnet, or changes it.', 'OverlaySubnet', { body: subnetSchema }),
  post('/v1/overlay/subnets/remove', 'Removes a virtual subnet that nothing is in.', 'Done', { body: subnetRemoval }),
  get('/v1/fdb', 'The MAC table.', 'FdbEntry[]', { query: [filterSchema, pageSchema], paged: true }),
  post('/v1/fdb/flush', 'Forgets learned addresses.', 'Flushed', { body: filterSchema }),
  get('/v1/extensions', 'The extension stack, first to meet an incoming packet first.', 'ExtensionStatus[]'),
  put('/v1/extensions', 'Puts the extensions into another order, each class in itself.', 'ExtensionStatus[]', {
    body: orderSchema,
  }),
  post('/v1/extensions', 'Installs an extension, at the top of its class.', 'ExtensionStatus', {
    body: installSchema,
    status: 201,
  }),
  remove('/v1/extensions/:name', 'Takes an extension off the switch.', 'Done'),
  patch('/v1/extensions/:name', 'Enables, disables, pauses or restarts an extension.', 'ExtensionStatus', {
    body: extensionChange,
  }),
  post('/v1/extensions/:name/reload', 'Loads the module of an extension anew, without losing a frame.', 'ExtensionStatus'),
  get('/v1/counters', 'Counters of ports, extensions and processors.', 'CountersReport'),
  get('/v1/drops', 'Drops by port and reason.', 'DropCount[]', { query: [pageSchema], paged: true }),
  get('/v1/drops/last', 'The last frames that were dropped, and why.', 'LastDropsReport', { query: [dropsFilter] }),
  get('/v1/connections', 'Connections that the stateful rules of a port follow, a page of them.', 'ConnectionsReport', {
    query: [connectionsFilter],
  }),
  post('/v1/captures', 'Captures frames for as long as the answer is read.', 'bytes', {
    body: captureSchema,
    content: ['application/vnd.tcpdump.pcap'],
  }),
  post('/v1/trace', 'Follows a frame through the switch, without sending it.', 'TraceReport', {
    body: traceSchema,
  }),
  remove('/v1/captures/:id', 'Ends a capture.', 'CaptureSummary'),
  get('/v1/acls', 'ACLs of a port with what each entry counted; without one, of all ports.', 'AclStatus[]', {
    query: [portFilter, pageSchema],
    paged: true,
  }),
  post('/v1/acls', 'Adds an entry to one of the ACLs of a port.', 'AclStatus[]', { body: aclAddition, status: 201 }),
  post('/v1/acls/remove', 'Removes one, by name or place.', 'AclStatus[]', { body: aclRemoval }),
  get('/v1/properties', 'Properties of a port; without one, of the switch and all ports.', 'PropertyStatus[]', {
    query: [shownProperties, pageSchema],
    paged: true,
  }),
  get('/v1/property-definitions', 'Custom properties that the loaded extensions define.', 'PropertyDefinition[]'),
  post('/v1/properties', 'Adds a property.', 'PropertyStatus', { body: propertyChange, status: 201 }),
  put('/v1/properties', 'Changes a property.', 'PropertyStatus', { body: propertyChange }),
  post('/v1/properties/remove', 'Removes a property.', 'Done', { body: propertyFilter }),
  post('/v1/feature-status', 'Asks the extension that manages a feature.', 'FeatureStatusReport', { body: featureFilter }),
  post('/v1/save', 'Saves the switch, or one port.', 'Saved', { body: portFilter }),
  post('/v1/restore', 'Puts saved ports back.', 'RestoreReport', { body: savedSchema }),
  post('/v1/migration/prepare', 'Target: makes a port for a guest that is to come.', 'PortStatus', {
    body: savedSchema,
    status: 201,
  }),
  post('/v1/migration/alive/:name', 'Target: who moves the port is at it; 30 s without a further word, and it goes.', 'Done', {
    body: aliveSchema,
  }),
  post('/v1/migration/hold/:name', 'Source: the connection stays when the guest stops.', 'Done'),
  post('/v1/migration/await-stop/:name', 'Source: waits for the guest to stop.', 'Stopped', { body: awaitSchema }),
  post('/v1/migration/hand-over/:name', 'Source: saves the port and deletes it.', 'Saved'),
  post('/v1/migration/take-over', 'Target: connects the port and restores it.', 'RestoreReport', { body: savedSchema }),
  post('/v1/migration/abandon/:name', 'Ends a migration without it.', 'Done'),
  get('/v1/adapters', 'SR-IOV adapters with VPorts, VFs and counters.', 'AdapterStatus[]'),
  get('/v1/adapters/:name', 'One of them.', 'AdapterStatus'),
  post('/v1/adapters/:name/pull', 'Surprise removal: guests go on through the switch.', 'AdapterStatus'),
  post('/v1/adapters/:name/plug', 'Puts a pulled adapter back.', 'AdapterStatus'),
  post('/v1/adapters/:name/request', 'Issues any OID.', 'AdapterOidAnswer', { body: oidRequest }),
  patch('/v1/adapters/:name/vfs/:vf', 'Changes settings of a VF, in the words of ip link.', 'VfShown', { body: vfWords }),
  get('/v1/vfs', 'VFs that ports have.', 'AssignedVfStatus[]'),
  post('/v1/vfs/assign', 'Gives the guest behind a port a VF.', 'AssignedVfStatus', { body: ofPort, status: 201 }),
  post('/v1/vfs/remove', 'Takes it back.', 'Done', { body: removal }),
  post('/v1/vfs/reset', 'Resets it.', 'AssignedVfStatus', { body: ofPort }),
  get('/v1/queues', 'Receive queues of adapters in VMQ mode.', 'QueueStatus[]'),
  patch('/v1/queues/:port', 'Has another processor serve the queue of a port.', 'QueueStatus', { body: queueChange }),
  get('/v1/rss', 'Guests with several queue pairs: indirection tables, counters, moves.', 'RssStatus[]'),
  patch('/v1/rss/:port', 'Changes how many queue pairs of a guest are used.', 'RssStatus', { body: vmmqChange }),
  post('/v1/rss/:port/moves', 'Moves entries of an indirection table to another queue pair.', 'RssStatus', { body: rssMove }),
  get('/v1/network', 'The network of hosts: who is in it, their ports, what is not believed.', 'NetworkStatus'),
  post('/v1/network/join', 'Joins a network.', 'NetworkStatus', { body: joinSchema }),
  post('/v1/network/leave', 'Leaves it: its ports and claims are taken out.', 'NetworkLeft'),
  put('/v1/network/subnets', 'Makes a virtual subnet of the network, or changes it.', 'NetworkStatus', {
    body: networkSubnetSchema,
  }),
  remove('/v1/network/subnets/:id', 'Removes it.', 'NetworkStatus'),
  put('/v1/network/policies', 'Imposes a policy on ports of all hosts, or changes it.', 'NetworkStatus', {
    body: networkPolicySchema,
  }),
  remove('/v1/network/policies/:name', 'Removes it.', 'NetworkStatus'),
  post('/v1/network/expect/:name', 'Target of a migration: claims the prepared port behind its host.', 'NetworkArrival', {
    body: expectSchema,
  }),
  post('/v1/network/await/:name', "Target: waits until the port is this host's in the network.", 'NetworkArrival', {
    body: awaitPortSchema,
  }),
  post('/v1/network/forget/:name', 'Target: the port has come, or will not.', 'Done'),
  get('/v1/service', 'The service: its state directory and revision.', 'ServiceStatus'),
  get('/v1/config', 'The stored configuration; null: none.', 'ResolvedConfig | null'),
  remove('/v1/config', 'Stops the switch and forgets its configuration: the service is as empty as at first.', 'Revision'),
  post('/v1/apply', 'Makes the switch what a configuration says: all of it, or nothing.', 'ApplyReport', { body: applySchema }),
  get('/v1/events', 'What happens, as it happens. Query: after (a number), kinds (separated by commas).', 'NumberedEvent', {
    content: ['application/x-ndjson', 'text/event-stream'],
  }),
  get('/metrics', 'Metrics.', 'text', { content: ['application/openmetrics-text', 'text/plain'] }),
  get('/v1/openapi.json', 'This document.', 'OpenAPI'),
]
