// What a set of burst kernels does. Two exist: the wasm module compiled from burst.as.ts (rings in linear memory only) and the
// TypeScript twin (any memory). They must agree to the byte: test/fuzz runs them against each other on hostile rings.
//
// Addresses (queue, pool, list) are byte offsets in linear memory. Nothing here allocates. The caller holds the queue's lock.

export interface Kernels {
  /**
   * Takes up to `max` (≤ BURST_MAX) frames from the transmit queue `queue` into slots `first`… of `pool`, parses their headers and
   * fills P_NEEDS; fills Q_NEEDS_SEEN. Does not complete them. A chain that can't be read becomes a slot with PF_DROPPED,
   * a reason and length 0, so that it is given back by `complete`. A ring that can't be trusted sets Q_STATE and Q_ERROR.
   * Returns the number of slots filled.
   */
  dequeue(queue: number, pool: number, first: number, max: number): number
  /** Gives slots `first`…`first + count - 1`, taken by the last dequeue, back to the guest. Returns 1 if it wants a notification. */
  complete(queue: number, pool: number, first: number, count: number): number
  /**
   * Copies the `count` packets whose slots stand in the u16 array at linear address `list` into receive buffers of `queue`, in
   * order, one copy each, and publishes them once. Packets that don't fit are counted in the queue block (Q_NO_BUFFER,
   * Q_TOO_BIG, Q_BAD_BUFFER). Returns DELIVER_COUNT frames | DELIVER_NOTIFY.
   * A packet's needs must be within the queue's offloads: segment before.
   */
  deliver(queue: number, pool: number, list: number, count: number): number
  /** Asks the guest to notify us of new buffers. Returns 1 if some came meanwhile: then don't sleep. */
  arm(queue: number): number
  /** Tells the guest that we poll. */
  disarm(queue: number): void
  /** Parses the header copy of slots `first`…: ether type, tag, addresses' kind, L3/L4 offsets, protocol, ports. */
  parse(pool: number, first: number, count: number): void
  /**
   * Completes the L4 checksum of slot `slot` in software, in its header copy, and clears the need. Returns 1, or 0 if the request
   * points outside the frame or outside the header copy.
   */
  checksum(pool: number, slot: number): number
  /**
   * Cuts the TSO or USO packet in slot `slot` into frames of its segment size: fills slots named in the u16 array at `slots`
   * (at most `room`) whose payload segments point into the original, headers rewritten, checksums complete. Returns how many, or
   * 0 if it can't be cut (malformed, or more than `room`).
   */
  segment(pool: number, slot: number, slots: number, room: number): number
  /** Copies the bytes `from`…`from + length - 1` of slot `slot`'s frame to linear address `target`. Returns the bytes copied. */
  copyFrame(pool: number, slot: number, from: number, length: number, target: number): number
}

/** Copies of the packets of a burst, in wasm only: src/ndis/packet-copies.ts does the same in TypeScript. */
export interface CopyKernels {
  /**
   * Copies `count` (≤ BURST_MAX) packets, whose slots stand in the u16 array at `from`, to the slots at `to`, where the segments of those
   * with payload were chosen before; without destinations. Returns how many have payload outside linear memory, which is left to be copied.
   */
  copyPackets(pool: number, from: number, to: number, count: number): number
  /** Copies the destination of those that have just one, in the slot itself. Returns how many have not. */
  copyDestination(pool: number, from: number, to: number, count: number): number
  /**
   * Whether the packets in the first `count` (1…BURST_MAX) of the u16 slots at `slots` are a run: none is dropped, all have one source and, with
   * `aimed` 1, the same one destination. 1: what they have in common stands at `facts` (RUN_BYTES); else 0. See src/ndis/packet-runs.ts.
   */
  describeRun(pool: number, slots: number, count: number, aimed: number, facts: number): number
  /**
   * `copyPackets`, with `aimed` 1 `copyDestination` too, for a run; its packets are marked as dropped for no reason, `leftAt` their place.
   * Returns what `copyPackets` does.
   */
  takeRun(pool: number, from: number, to: number, count: number, aimed: number, leftAt: number): number
  /**
   * Slots `first` to `first + count - 1` of copies are to be free: 1, and their flags and segments are 0; or 0, and nothing is done, where one has
   * more than its own place for its payload, or room for destinations.
   */
  clearSpan(pool: number, first: number, count: number): number
}

/**
 * Short cuts of the data path for a burst of one port, in wasm only: src/switch does the same, and more, in TypeScript, and is what they
 * are tested against. `block` is a switching block (S_* in layout.ts).
 */
export interface SwitchingKernels {
  /** Numbers slots 0…taken-1 from `id` on, lists those not dropped at `list`, sums them up in the block. Returns how many. */
  admit(pool: number, taken: number, id: number, list: number, block: number): number
  /**
   * Gives a destination to packets of `list` where that is simple, up to the one whose source must be learned first (S_STOPPED_AT).
   * Returns how many before that one are left with a destination count of 0.
   */
  forward(pool: number, list: number, count: number, block: number): number
  /** Puts packets on the lists of their destinations that are not excluded. Returns the number of ports with a list. */
  sort(pool: number, list: number, count: number, block: number): number
  /**
   * Gives packets of `list` the 802.1Q form that `port` gets them in, until `unform`, and takes those out that are longer than `mtu` (0: any)
   * allows; `priority` 1: the port takes priorities. Returns how many are left (S_FORM_BYTES, S_TOO_LONG).
   */
  form(pool: number, list: number, count: number, port: number, mtu: number, priority: number, block: number): number
  /** Takes back what the last `form` did to packets. */
  unform(pool: number, block: number): void
}

/**
 * The direct path between the virtual functions of an SR-IOV adapter: frames from ring to ring without the packet pool. `block` is a
 * direct block (D_* in layout.ts), written by one processor for one adapter.
 */
export interface DirectKernels {
  /**
   * Takes frames of VPort `vport` from its split transmit ring `queue`, at most `max` (≤ BURST_MAX), and copies each straight into the
   * receive ring of the VPort that its destination address belongs to, as long as that is simple: from the first frame on that is not,
   * frames stay in the ring. Publishes each ring once. The caller holds the lock of `queue`; receive rings are locked here, if they are
   * free, and stay so: the caller notifies and unlocks those of the D_RECORDS records. Returns 1 if a frame was left that somebody
   * else has to decide about, else 0.
   */
  direct(block: number, queue: number, vport: number, max: number): number
}

/** Short cuts for bursts that an adapter's receive ring brought, in slots 0, 1, 2…; the twin is createQueueTwin. */
export interface QueueKernels {
  /**
   * How many of slots 0…count-1 (count 1 to BURST_MAX), from the first on, are plain frames to one address: whole, untagged, no group
   * address. Returns ALIKE_COUNT of them, ALIKE_ONE_SENDER if their source addresses are one as well, and from bit ALIKE_BYTES_SHIFT on
   * their bytes.
   */
  alike(pool: number, count: number): number
  /** Gives slots 0…count-1 the one destination `entry` (DE_*), in place of all that they had. */
  aim(pool: number, count: number, entry: number): void
  /**
   * Gives slots `first`…count-1 (count ≤ BURST_MAX) the receive queues that `block` (QB_*) knows their addresses by, up to the first frame
   * that is not plain or whose address it does not know; adds up frames and bytes of each queue. Returns the slot that it stopped at.
   */
  assign(pool: number, first: number, count: number, block: number): number
  /**
   * Gives the packets of `list` the destination of their receive queue by the table `targets` (QT_*), where they have none, their header
   * still names the queue's address, and the queue has a destination. Returns AIMED_LEFT packets that got none, and AIMED_ONE_SENDER if the
   * others are untagged and come from one address.
   */
  aimEach(pool: number, list: number, count: number, targets: number): number
}

/** Receive rings of AF_PACKET sockets (TPACKET_V2 with virtio-net headers), in linear memory. */
export interface FrameRingKernels {
  /**
   * Takes up to `max` (≤ BURST_MAX) frames of `port` from the ring of `slots` slots of `slotBytes` at linear address `ring`, from slot
   * `next` on, into slots `first`… of `pool`: header copies with the tag that the kernel keeps beside a frame, parsed, their offload
   * requests checked; payload stays in the ring. A frame that can't be taken becomes a dropped one. Returns TAKEN_COUNT of them, with
   * TAKEN_LOSING and TAKEN_BESIDE.
   */
  takeFrames(
    ring: number,
    slotBytes: number,
    slots: number,
    next: number,
    pool: number,
    first: number,
    max: number,
    port: number,
  ): number
  /** Gives slots `from` to before `to` of the ring back to the kernel; none if they are the same. */
  giveFrames(ring: number, slotBytes: number, slots: number, from: number, to: number): void
}

/** Rules of ports in linear memory; the twin, for any memory, is classifyAll. */
export interface ClassifyKernels {
  /**
   * For each of the first `count` (≤ CLASSIFY_MAX) positions that CL_CHOSEN of `block` (CL_* in classify-layout.ts) names: the rank of the
   * first rule of `program` that matches the key there, or NO_RULE, into CL_RANKS. The program must be one that the compiler made.
   */
  classify(program: number, block: number, count: number): void
  /**
   * Makes the keys of the first `count` (≤ CLASSIFY_MAX) positions that CL_CHOSEN names, whose packets of `pool` CL_SLOTS names, as
   * switch port `port` sees them, with `inbound` 1 those that it gets; `isolation`: the isolation id of packets without a tag. Notes their KIND_*
   * in CL_KINDS, KIND_LEFT where a packet is not simple and its key is left to be made. Returns the kinds that there are, 1 << kind each.
   */
  fillKeys(pool: number, block: number, count: number, port: number, isolation: number, inbound: number): number
}

/** Connections in linear memory, in wasm only: the twin, for any memory and any packet, is ConnectionTable of src/switch/conntrack. */
export interface ConnectionKernels {
  /**
   * Of the first `count` (≤ CLASSIFY_MAX) positions that CL_CHOSEN of `block` names, whose keys and kinds fillKeys or its caller made: takes the
   * plain packets of connections that live, whole ones that change no state. They pass and are counted. What is left, CL_CHOSEN names in
   * order. Returns how many. `table`, `index`: linear addresses of the connection table and of its index, of `connections` entries;
   * `tick`: milliseconds of the switch's clock as 32 bits; `inbound` 1: the packets go to the port.
   */
  follow(
    pool: number,
    block: number,
    count: number,
    table: number,
    index: number,
    connections: number,
    tick: number,
    inbound: number,
  ): number
}

/**
 * Network virtualization for a burst of one port, in wasm only: src/switch/overlay does the same, and more, in TypeScript, and is what they
 * are tested against. `block` is a block of one processor (TU_* in tunnel-layout.ts).
 */
export interface TunnelKernels {
  /**
   * Marks packets of `list` that network virtualization takes: with `all` 1 all, else those of the external port that are for the
   * providers' address. Returns how many, and above bit 16 how many have a group address and are left; TU_LEFT has their positions.
   */
  claim(pool: number, list: number, count: number, block: number, all: number): number
  /**
   * Directs marked packets from a port in a subnet, into tunnels where they lead to another host, up to the one whose source must be checked
   * or learned first (TU_STOPPED_AT). Returns how many before that one are left undecided; TU_LEFT has their positions.
   */
  encapsulate(pool: number, list: number, count: number, block: number): number
  /** The same for marked packets from the external port, which are taken out of tunnels. */
  decapsulate(pool: number, list: number, count: number, block: number): number
  /** 1 if a packet of `list` that is not marked has a destination in a subnet. */
  strays(pool: number, list: number, count: number, block: number): number
}

/** Memory as the TypeScript twin sees it: linear memory, and windows of at most WINDOW_BYTES for what lies outside it. */
export interface TwinMemory {
  readonly linear: ArrayBufferLike
  readonly windows: Window[]
  /** Bulk copy between native addresses where one side is foreign; source and target do not overlap. */
  readonly copyForeign: (target: Window, targetOffset: number, source: Window, sourceOffset: number, length: number) => void
}

/** A stretch of memory with views of its own. Window 0…3 are the four GiB of linear memory. */
export interface Window {
  readonly u8: Uint8Array
  readonly u16: Uint16Array
  readonly u32: Uint32Array
}
