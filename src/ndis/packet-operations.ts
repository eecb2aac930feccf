// What a module does with packets that outlive a batch: those it made, cloned or holds. Each method stands for one handler of the
// contract (docs/extensions.md maps them). A handle that is stale, used up or of another module is refused.
import type { PacketHandle } from './batch-owner.ts'
import type { SwitchContextType } from './switch-context.ts'

/** All return an NDIS status unless noted; INVALID_PARAMETER for a handle that names no packet of the module's. */
export interface PacketOperations {
  /**
   * A new packet with the given bytes (14…65562) and a forwarding context: source port 0, no destinations, safe. `allocatePacket` and
   * `allocateForwardingContext` in one. 0 if the pool has no room or the module is not running. ES-055, ES-372, ES-376, ES-380
   */
  originate(frame: Uint8Array): PacketHandle
  /** NdisAllocateNetBufferList: a packet without a forwarding context, or 0. It can be given away only with one (ES-443). */
  allocatePacket(frame: Uint8Array): PacketHandle
  /** AllocateNetBufferListForwardingContext: source 0/0, no destinations. A second one is a breach (A002). ES-372, ES-408 */
  allocateForwardingContext(packet: PacketHandle): number
  /** FreeNetBufferListForwardingContext, of an own packet that was not sent: its destinations and what they pin go. ES-409 */
  freeForwardingContext(packet: PacketHandle): number
  /** NdisFreeNetBufferList, of an own packet that was not sent. With a forwarding context on it, a breach. ES-382 */
  freePacket(packet: PacketHandle): number
  /**
   * Writes bytes of an own packet, anywhere in its frame; the length stays. Not for held packets. The packet is not an unchanged clone
   * any more (ES-391).
   */
  write(packet: PacketHandle, offset: number, bytes: Uint8Array): number
  /** Copies bytes of an own or held packet to `target`. Returns how many. */
  read(packet: PacketHandle, offset: number, target: Uint8Array): number
  /** SetNetBufferListSource on an own packet: (port, nic) must be connected (A006). ES-371, ES-395, ES-429, ES-440 */
  setSource(packet: PacketHandle, portId: number, nicIndex?: number): number
  /** CopyNetBufferListInfo between own packets, or from a held one: see `batch.copyInfo`. ES-426…ES-428 */
  copyInfo(target: PacketHandle, source: PacketHandle, preserveDestinations?: boolean): number
  /** AddNetBufferListDestination on an own packet, for forwarding extensions. False as in `batch.addDestination`. ES-378, ES-389, ES-412 */
  addDestination(
    packet: PacketHandle,
    portId: number,
    nicIndex?: number,
    preserveVlan?: boolean,
    preservePriority?: boolean,
  ): boolean
  /** GrowNetBufferListDestinations on an own packet. */
  growDestinations(packet: PacketHandle, count: number): number
  /** Writes an unused element; see `batch.writeDestination`. */
  writeDestination(
    packet: PacketHandle,
    k: number,
    portId: number,
    nicIndex?: number,
    preserveVlan?: boolean,
    preservePriority?: boolean,
  ): boolean
  /** UpdateNetBufferListDestinations: commits new elements of an own packet. */
  updateDestinations(packet: PacketHandle, newCount: number): number
  /** NumDestinations of an own or held packet, -1 without a forwarding context. ES-414 */
  destinationCount(packet: PacketHandle): number
  /** NumAvailableDestinations, -1 without a forwarding context. ES-423 */
  availableDestinations(packet: PacketHandle): number
  /**
   * NdisFSendNetBufferLists: an own packet joins ingress below this module. The handle is used up; the packet comes back through
   * `sendComplete` and is freed. `flags`: SendFlag. PAUSED while the module is not running. ES-055, ES-375, ES-393
   */
  send(packet: PacketHandle, flags?: number): number
  /**
   * `send` for the first `count` of `packets`, as one list: they stay in order (ES-065). All are sent or none. Untruthful flags are
   * breaches and have no effect (ES-381, ES-448, ES-452…ES-454).
   */
  sendAll(packets: ArrayLike<PacketHandle>, count: number, flags?: number): number
  /**
   * NdisFIndicateReceiveNetBufferLists: an unchanged clone of an egress packet, made with its destinations, joins egress above this
   * module. Anything else is a breach and stays with the module. ES-349, ES-391, ES-392, ES-394
   */
  indicate(packet: PacketHandle, flags?: number): number
  /** Sends a held packet on from where it was taken. The handle is used up. ES-351 */
  forward(packet: PacketHandle): number
  /**
   * `forward` for `count` of `packets`, from index `from` (0) on, in that order, for a fraction of what single calls cost. INVALID_PARAMETER
   * if one of them names no held packet of the module's: the others go on.
   */
  forwardAll(packets: ArrayLike<PacketHandle>, count: number, from?: number): number
  /** Gives an own or held packet up; a held one counts as dropped for `reason`. The handle is used up. */
  release(packet: PacketHandle, reason?: number | string): number
  /** NDIS_DECLARE_SWITCH_NET_BUFFER_LIST_CONTEXT_TYPE: a kind of value for `batch.setContext`. Call it in attach. ES-436 */
  declareContextType(name: string): SwitchContextType
}
