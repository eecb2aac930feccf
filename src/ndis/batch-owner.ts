// What a batch asks of the data path that it runs in, and the rights that a module has over the packets of a batch.
//
// The rule it must not break: nothing here knows how the data path works; methods called per packet allocate nothing.

/** What a module may do to the packets of a batch (spec 5.2). */
export const Right = {
  none: 0,
  drop: 1,
  exclude: 2,
  addDestination: 4,
  modify: 8,
  clone: 16,
  hold: 32,
} as const

/** A packet that outlives its batch: an opaque number. 0 is never one. */
export type PacketHandle = number

/**
 * How a packet is kept: taken out of its batch, or copied, without or with its destinations. The last two are for one destination alone:
 * taken out for it, or copied with it.
 */
export const Keep = { hold: 0, clone: 1, cloneWithDestinations: 2, holdOne: 3, cloneOne: 4 } as const

/** What a batch asks of the data path it runs in. */
export interface BatchOwner {
  /** Reason number of a name registered by the module in work; names the module did not register are added. */
  reasonNumber(name: string): number
  /** A packet was dropped or a destination excluded: count and report it (ES-360…). `port` is a switch port id. */
  filtered(slot: number, reason: number, port: number, incoming: boolean): void
  /** The module in work did what its class or direction forbids. */
  breach(rule: string, detail: string): void
  /** True if (port, nic) may be a destination or source now: the connection is connected (ES-429, ES-430). */
  connected(portId: number, nicIndex: number): boolean
  /** Private copy of a packet that the module in work keeps; 0 without room. `how`: one of Keep; `k`: the destination it is for. */
  keep(slot: number, how: number, k?: number): PacketHandle
  /**
   * `keep` with Keep.hold for the packets in the first `count` of the pool's `originals`; see `Batch.holdAll`. The handle of the n-th goes to
   * `handles[places[n]]`. One that finds no room is not dropped any more. Returns how many were kept.
   */
  holdAll(count: number, places: Uint8Array, handles: Float64Array): number
  /** `keep` with Keep.hold for `count` packets from position `first` on, under one handle; see `Batch.holdRun`. 0: nothing was done. */
  holdRun(first: number, count: number): PacketHandle
  /** The slot of a packet that the module in work made, with a forwarding context; -1 if the handle names none. */
  ownPacket(packet: PacketHandle): number
  /** Source or destinations of a module's own packet, in `slot`, are others now. */
  packetChanged(slot: number): void
  /** Completes in software the checksum that the packet in a slot has open. False if the request for it is no sound one. */
  checksum(slot: number): boolean
  /** Parses the header copy of a slot anew. */
  parse(slot: number): void
  /**
   * Copies the frame's bytes `from`…`from + length - 1` of a slot to `target[at…]`, wherever they lie. The range is inside frame and
   * target. Returns the bytes copied.
   */
  copyFrame(slot: number, from: number, length: number, target: Uint8Array, at: number): number
}
