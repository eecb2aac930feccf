// The public API for extension authors: `import { defineExtension } from 'vmswitch/extension'`. In-box extensions use nothing else.
//
// An extension is attached once per switch and processor. Its handlers are called with batches of packets; what is still in a
// batch when a handler returns goes on to the next module. docs/extensions.md maps every member to the NDIS handler it stands for.
import type { Batch, PacketHandle } from './ndis/batch.ts'
import type { NicParameters, OidCompletion, OidRequest, PortParameters, SwitchParameters } from './ndis/oids.ts'

export type { Batch, PacketHandle } from './ndis/batch.ts'
export { PROTOCOL_ICMP, PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP } from './ndis/batch.ts'
export { OptionError, OptionReader } from './ndis/module-options.ts'
export type { NicParameters, OidCompletion, OidRequest, PortParameters, SwitchParameters } from './ndis/oids.ts'
export { NicState, NicType, Oid, oidName, PortState, PortType } from './ndis/oids.ts'
export { NdisStatus, ndisStatusName } from './ndis/status.ts'
export {
  formatIpv4,
  formatIpv6,
  formatMac,
  formatPrefix,
  type Prefix,
  parseIpv4,
  parseIpv6,
  parseMac,
  parsePrefix,
} from './packet/addresses.ts'
export { EtherType } from './packet/ethernet.ts'
export { PacketDirection, ReceptionType } from './packet/pcapng.ts'
export { PcapngWriter } from './packet/pcapng-writer.ts'

/** Where an extension stands in the stack, and what it may do (spec 5.2). */
export type ExtensionClass = 'capturing' | 'filtering' | 'forwarding'

/** A stream of bytes out of the data path, drained to a file by the switch. Never blocks. */
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

/** The switch as a module sees it: NDIS_SWITCH_CONTEXT and the optional handlers. */
export interface SwitchHandle {
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
  /** A new packet with the given bytes (14…65562), source port 0; 0 if the pool has no room. ES-351… */
  originate(frame: Uint8Array): PacketHandle
  /** SetNetBufferListSource on an own packet. Returns an NDIS status: INVALID_PARAMETER if (port, nic) is not connected. ES-429 */
  setSource(packet: PacketHandle, portId: number, nicIndex?: number): number
  /** Sends an own packet (originated or cloned) down the ingress path, below this module. The handle is used up. */
  send(packet: PacketHandle): number
  /** Sends a held packet on from where it was taken. The handle is used up. */
  forward(packet: PacketHandle): number
  /** Gives an own or held packet up; a held one counts as dropped for `reason`. The handle is used up. */
  release(packet: PacketHandle, reason?: number | string): number
  /** Writes one line to the switch's log, with the module's name. */
  log(message: string): void
}

/** What `attach` returns; every member is optional. */
export interface ExtensionHandlers {
  /** FilterSendNetBufferLists: packets on their way from a port to the switch. */
  ingress?(batch: Batch): void
  /** FilterReceiveNetBufferLists: packets on their way from the switch to their destinations. */
  egress?(batch: Batch): void
  /** Packets that the switch or another module dropped in this turn, for observation only. `reason(i)` names the reason. */
  filtered?(batch: Batch, reason: (i: number) => string): void
  /** FilterOidRequest: return nothing or 'forward' to pass it on, or a completion to veto or answer it. May be asynchronous. */
  oid?(request: OidRequest): OidVerdict | Promise<OidVerdict>
  /** FilterOidRequestComplete: how a request that was passed on ended. */
  oidComplete?(request: OidRequest, completion: OidCompletion): void
  /** FilterPause: give held packets back. */
  pause?(): void
  /** FilterRestart. */
  restart?(): void
  /** FilterDetach. */
  detach?(): void
}

export type OidVerdict = undefined | 'forward' | OidCompletion

/** A byte stream that an extension wants drained, declared from its options. */
export interface SinkDeclaration {
  readonly name: string
  /** File, relative to the runtime directory; '-' = standard output. Processor N > 0 writes to its own, with `.pN` appended. */
  readonly path: string
  /** Bytes that may wait for the reader; a power of two. Default 4 MiB. */
  readonly bufferBytes?: number
  /** Files are cut at this size and renamed with a number; 0 = never. */
  readonly rotateBytes?: number
  /** Files kept when they are cut. */
  readonly rotateFiles?: number
}

/** What an extension's module exports by default. */
export interface ExtensionDefinition<Options = unknown> {
  /** GUID of the extension. */
  readonly id: string
  readonly name: string
  readonly version: string
  readonly class: ExtensionClass
  readonly description?: string
  /** Names of counters shown by `vmswitch counters`. */
  readonly counters?: readonly string[]
  /** Names and sizes in bytes of memory common to all instances. */
  readonly shared?: (options: Options) => Readonly<Record<string, number>>
  readonly sinks?: (options: Options) => readonly SinkDeclaration[]
  /** Checks the configured options; throws an Error whose message a person can act on. */
  readonly parseOptions?: (raw: unknown) => Options
  /** FilterAttach: throwing refuses the attach. */
  attach(sw: SwitchHandle, options: Options): ExtensionHandlers
}

/** Types an extension definition. */
export const defineExtension = <Options = unknown>(definition: ExtensionDefinition<Options>): ExtensionDefinition<Options> =>
  definition
