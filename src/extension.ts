// The public API for extension authors: `import { defineExtension } from 'vmswitch/extension'`. In-box extensions use nothing else.
//
// An extension is attached once per switch and processor. Its handlers are called with batches of packets; what is still in a
// batch when a handler returns goes on to the next module. docs/extensions.md maps every member to the NDIS handler it stands for.
import type { Batch } from './ndis/batch.ts'
import type {
  NicParameters,
  NicStatusIndication,
  OidCompletion,
  OidRequest,
  PortParameters,
  SwitchParameters,
} from './ndis/oids.ts'
import type { PacketOperations } from './ndis/packet-operations.ts'
import type { PropertyField } from './ndis/property-fields.ts'

export type { Batch, PacketHandle } from './ndis/batch.ts'
export { PROTOCOL_ICMP, PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP } from './ndis/batch.ts'
export { InnerOid } from './ndis/inner-oids.ts'
export { ReceiveFlag, ReturnFlag, SendCompleteFlag, SendFlag } from './ndis/list-flags.ts'
export { namePattern, OptionError, OptionReader } from './ndis/module-options.ts'
export type {
  InnerStatusIndication,
  NicOidRequest,
  NicParameters,
  NicStatusIndication,
  OidCompletion,
  OidRequest,
  ParameterArray,
  PortParameters,
  SwitchParameters,
} from './ndis/oids.ts'
export { NIC_INITIALIZING, NicState, NicType, Oid, oidName, PortState, PortType, StatusIndication } from './ndis/oids.ts'
export { PACKET_HEADER_STRIDE, PACKET_VNET_STRIDE, PacketFlag } from './ndis/packet-fields.ts'
export type { PacketOperations } from './ndis/packet-operations.ts'
export {
  type FeatureStatus,
  type FeatureStatusParameters,
  NO_GUID,
  type PortFeatureStatusParameters,
  type PortPropertyDeleteParameters,
  type PortPropertyParameters,
  PortPropertyType,
  type PropertyEnum,
  type PropertyEnumeration,
  type PropertyInfo,
  type SwitchPropertyDeleteParameters,
  type SwitchPropertyParameters,
  SwitchPropertyType,
} from './ndis/properties.ts'
export type { PropertyField, PropertyFieldType } from './ndis/property-fields.ts'
export {
  type NicRestoreState,
  type NicSaveBlock,
  type NicSaveComplete,
  type NicSaveRequest,
  SAVE_DATA_MAX,
  SAVE_DATA_OFFSET,
} from './ndis/save-state.ts'
export type {
  IsolationProperty,
  ProfileProperty,
  RoutingDomainProperty,
  SecurityProperty,
  VlanProperty,
  VlanRange,
} from './ndis/standard-properties.ts'
export { inVlanRanges } from './ndis/standard-properties.ts'
export { NdisStatus, ndisStatusName } from './ndis/status.ts'
export type { SwitchContextType } from './ndis/switch-context.ts'
export {
  formatIpv4,
  formatIpv6,
  formatMac,
  formatPrefix,
  isInPrefix,
  type Prefix,
  parseIpv4,
  parseIpv6,
  parseMac,
  parsePrefix,
} from './packet/addresses.ts'
export {
  arpFrame,
  echoFrame,
  etherFrame,
  type FrameAddresses,
  ipFrame,
  type TcpSegment,
  tcpFrame,
  udpFrame,
} from './packet/build.ts'
export {
  type DnsAnswer,
  DnsClass,
  DnsCode,
  DnsFlag,
  type DnsMessage,
  type DnsName,
  type DnsQuestion,
  type DnsRecord,
  type DnsReply,
  DnsType,
  dnsNameBytes,
  dnsTarget,
  readDnsMessage,
  readDnsName,
  writeDnsReply,
} from './packet/dns.ts'
export { EtherType } from './packet/ethernet.ts'
export { compileFilter, FilterError, type FrameFilter } from './packet/filter/filter.ts'
export { PacketDirection, PacketVerdict, ReceptionType } from './packet/pcapng.ts'
export { PcapngWriter } from './packet/pcapng-writer.ts'

/** Where an extension stands in the stack, and what it may do (spec 5.2). */
export type ExtensionClass = 'capturing' | 'filtering' | 'forwarding'

/** A stream of records out of the data path, drained to a file or to collectors by the switch. Never blocks. */
export interface Sink {
  /**
   * Writes the first `length` bytes of `bytes` as one record, all or nothing. Returns false, and counts the loss, if the reader is
   * behind. A `preamble` record (a file header) is repeated at the start of every further file when files are cut.
   */
  write(bytes: Uint8Array, length: number, preamble?: boolean): boolean
  /** Bytes that can be written now. */
  readonly room: number
  /** Writes that were refused. */
  readonly lost: number
}

/** Calls back once, at a time that is set anew as often as needed. */
export interface Timer {
  /**
   * Sets when it calls back: as soon as `now()` has reached `dueMs` (fractions count; a time that is over is at once), between two
   * bursts, in place of what was set before. Allocates nothing.
   */
  at(dueMs: number): void
  /** It does not call back, until it is set again. */
  stop(): void
}

/** Frames and bytes of one port. "Received" is from its connection into the switch, "sent" is delivered to the connection. */
export interface PortCounters {
  readonly receivedFrames: number
  readonly receivedBytes: number
  readonly receivedMulticast: number
  readonly receivedDropped: number
  readonly sentFrames: number
  readonly sentBytes: number
  readonly sendDropped: number
}

/** What a module does on the control path: references, requests and indications of its own. */
export interface ControlHandle {
  /**
   * NdisFOidRequest for a request of its own: it goes through the modules below to the miniport edge. Extensions may issue the
   * queries PARAMETERS, PORT_ARRAY, NIC_ARRAY, PORT_PROPERTY_ENUM, PROPERTY_ENUM, and NIC_REQUEST (ES-252). Never rejects.
   */
  request(request: OidRequest): Promise<OidCompletion>
  /** `request` for a query: `room` is the size of the buffer in bytes, for those who negotiate it (ES-085…ES-088). */
  query(oid: number, input?: unknown, room?: number): Promise<OidCompletion>
  /**
   * NdisFIndicateStatus with NDIS_STATUS_SWITCH_NIC_STATUS, for forwarding extensions (ES-286): goes up through the modules above.
   * The connection that it names must be referenced meanwhile (ES-291). Returns an NDIS status.
   */
  indicateStatus(indication: NicStatusIndication): number
  /** ReferenceSwitchPort: an NDIS status. Each success holds PORT_DELETE back until one `dereferencePort`. ES-140 */
  referencePort(portId: number): number
  /** DereferenceSwitchPort. */
  dereferencePort(portId: number): number
  /** ReferenceSwitchNic: an NDIS status. Each success holds NIC_DELETE back until one `dereferenceNic`. ES-213 */
  referenceNic(portId: number, nicIndex?: number): number
  /** DereferenceSwitchNic. */
  dereferenceNic(portId: number, nicIndex?: number): number
}

/** The switch as a module sees it: NDIS_SWITCH_CONTEXT and the optional handlers. */
export interface SwitchHandle extends ControlHandle, PacketOperations {
  /** Index of the processor that this instance runs on; instance 0 answers OIDs. */
  readonly processor: number
  /** Processors of the switch. */
  readonly processors: number
  /** OID_SWITCH_PARAMETERS. */
  parameters(): SwitchParameters
  /** OID_SWITCH_PORT_ARRAY. */
  ports(): readonly PortParameters[]
  /** OID_SWITCH_NIC_ARRAY. */
  nics(): readonly NicParameters[]
  /** The number under which `batch.drop` counts `reason`; cheaper than the name. Call it in attach. */
  registerReason(reason: string): number
  /** The name of a drop reason by its number, such as `batch.pool.reason[slot]` of a dropped packet in `sendComplete`. Allocates. */
  reasonName(reason: number): string
  /** What the switch has counted for a port, on this processor, since the port came. For timers: it allocates. */
  portCounters(portId: number): PortCounters
  /** Shared counters declared by the extension, one number each, in that order; of this processor. */
  readonly counters: Float64Array
  /** Memory declared by the extension under `shared`, common to all processors' instances. Use Atomics where they race. */
  shared(name: string): Int32Array
  /** A sink declared by the extension. */
  sink(name: string): Sink
  /** Milliseconds since the switch started; does not jump. */
  now(): number
  /** Nanoseconds since 1970 as { seconds, nanoseconds }, read once per batch: the time of the packets in work. */
  readonly wallClock: { seconds: number; nanoseconds: number }
  /** Calls `callback` every `intervalMs` (≥ 1) on this processor until the returned function is called. */
  every(intervalMs: number, callback: () => void): () => void
  /**
   * A timer of this processor that is not set. It is exact to some 50 µs, where `every` is to a few milliseconds under load. It ends with
   * the module, and throwing in the callback ends it too.
   */
  timer(callback: () => void): Timer
  /** Writes one line to the switch's log, with the module's name. */
  log(message: string): void
}

/** Where the packets of a `filtered` batch were lost. */
export interface DropPlaces {
  /** Port that the drop is counted at: the source, or the destination that the packet did not get to. */
  port(i: number): number
  /** True at the source, false at a destination. */
  incoming(i: number): boolean
  /** Name of the extension that dropped it; '' for the switch itself. */
  module(i: number): string
}

/** What `attach` returns; every member is optional. */
export interface ExtensionHandlers {
  /** FilterSendNetBufferLists: packets on their way from a port to the switch. */
  ingress?(batch: Batch): void
  /** FilterReceiveNetBufferLists: packets on their way from the switch to their destinations. */
  egress?(batch: Batch): void
  /**
   * FilterSendNetBufferListsComplete: packets that passed this module on ingress, or that it sent itself, are done: delivered or
   * dropped. Its own come back here and go no further (ES-061); the switch frees them. For observation only. ES-353
   */
  sendComplete?(batch: Batch): void
  /** FilterReturnNetBufferLists: the same for packets that passed this module on egress, or that it indicated itself. ES-062, ES-353 */
  returned?(batch: Batch): void
  /**
   * Packets that the switch or another module dropped in this turn, for observation only. `reason(i)` names the reason, `places` say
   * where; a packet that loses several destinations is there once for each.
   */
  filtered?(batch: Batch, reason: (i: number) => string, places: DropPlaces): void
  /**
   * FilterOidRequest: return nothing or 'forward' to pass it on, a completion to veto or answer it, { forward: payload } to pass on a
   * changed clone where the contract allows that, or 'pending' to say so later through `answer`. May be asynchronous.
   */
  oid?(request: OidRequest, answer: OidAnswer): OidVerdict | Promise<OidVerdict>
  /** FilterOidRequestComplete: how a request that was passed on ended. */
  oidComplete?(request: OidRequest, completion: OidCompletion): void
  /**
   * FilterStatus: NDIS_STATUS_SWITCH_NIC_STATUS on its way up. Return nothing to pass it on; a forwarding extension may return another
   * indication in its place, or 'discard' (ES-285).
   */
  status?(indication: NicStatusIndication): StatusVerdict
  /** NetEventSwitchActivate: the configuration is complete and may be queried. Only for modules attached before that. ES-075 */
  activate?(): void
  /** FilterPause: give held packets back. The pause is complete when this is done and nothing is held any more. ES-056 */
  pause?(): void | Promise<void>
  /** FilterRestart. The first one is the place for queries of the configuration (AMB-29). */
  restart?(): void | Promise<void>
  /**
   * This module is replaced by another of the same extension: loaded anew, or with other options. Called when it is paused; what it returns
   * is given to the other one's `takeOver`, on the same processor.
   */
  handOver?(): unknown
  /**
   * The module that this one replaces has handed over `state`. Called after `restart`, before the first packet. The state is that of
   * another version, maybe, and of other options: check it.
   */
  takeOver?(state: unknown): void
  /** FilterDetach. */
  detach?(): void
}

/** NdisFOidRequestComplete and NdisFOidRequest for a request that `oid` left 'pending'. Exactly one call per request. */
export interface OidAnswer {
  complete(completion: OidCompletion): void
  forward(payload?: unknown): void
}

/** What `oid` returns: nothing or `forward` to pass the request on, `pending` to say so later, or how it ends here. */
export type OidVerdict = undefined | 'forward' | 'pending' | { readonly forward: unknown } | OidCompletion

/** What `status` returns: nothing to pass the indication on, another one in its place, or `discard` (ES-285). */
export type StatusVerdict = undefined | 'discard' | NicStatusIndication

/** Where datagrams are sent to. */
export interface UdpTarget {
  /** An IPv4 or IPv6 address. */
  readonly address: string
  readonly port: number
}

/** A stream of records that an extension wants drained, declared from its options. */
export interface SinkDeclaration {
  readonly name: string
  /** File, relative to the runtime directory; '-' = standard output. Processor N > 0 writes to its own, with `.pN` appended. */
  readonly path?: string
  /** Collectors, in place of a file: each record is sent as one datagram (at most 65507 bytes) to each of them. At most 8. */
  readonly udp?: readonly UdpTarget[]
  /** Bytes that may wait for the reader; a power of two. Default 4 MiB. */
  readonly bufferBytes?: number
  /** Files are cut at this size and renamed with a number; 0 = never. */
  readonly rotateBytes?: number
  /** Files kept when they are cut. */
  readonly rotateFiles?: number
  /** What the file has is kept, and more is written behind it: for logs. Without it each start has a file of its own. */
  readonly append?: boolean
}

/** A property that an extension defines, so that configuration, command line and API can set it with checked values (spec 7.2). */
export interface PropertyDefinition {
  /** Name for people; unique in the switch, such as `vendor-rate-limit`. */
  readonly name: string
  /** "1.0": two numbers of 0 to 255. */
  readonly version: string
  readonly scope: 'port' | 'switch'
  /** What a value consists of. The switch checks it, fills defaults in, and management has forms and a JSON schema of it. */
  readonly fields?: readonly PropertyField[]
  /** With fields: a list of such values is a value too. */
  readonly list?: boolean
  /**
   * Checks a value and fills it in, after the fields if there are any; throws an Error whose message a person can act on. The result must be
   * structured-cloneable. May be left out where there are fields.
   */
  parse?(raw: unknown): unknown
}

/** What an extension's module exports by default. */
export interface ExtensionDefinition<Options = unknown> {
  /** GUID of the extension. */
  readonly id: string
  readonly name: string
  readonly version: string
  readonly class: ExtensionClass
  readonly description?: string
  /** Names of counters shown by `vmswitch counters`, or what they are with these options: one for each rule, say. At most COUNTERS_MAX. */
  readonly counters?: readonly string[] | ((options: Options) => readonly string[])
  /** Names and sizes in bytes of memory common to all instances. */
  readonly shared?: (options: Options) => Readonly<Record<string, number>>
  readonly sinks?: (options: Options) => readonly SinkDeclaration[]
  /** Checks the configured options; throws an Error whose message a person can act on. */
  readonly parseOptions?: (raw: unknown) => Options
  /** Custom properties by their GUID. The values come with PORT_PROPERTY_ADD, PROPERTY_ADD and the like. */
  readonly properties?: Readonly<Record<string, PropertyDefinition>>
  /** FilterAttach: throwing refuses the attach. */
  attach(sw: SwitchHandle, options: Options): ExtensionHandlers
}

/** Types an extension definition. */
export const defineExtension = <Options = unknown>(definition: ExtensionDefinition<Options>): ExtensionDefinition<Options> =>
  definition
