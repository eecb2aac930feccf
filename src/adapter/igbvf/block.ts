// The shared memory of one virtual function: its registers, and beside them what the control half and the data halves share (locks,
// filters, the guest's memory, eventfds). Byte offsets from the block's start.
//
// The rule it must not break: whoever touches a ring or the guest's memory holds that ring's lock; whoever changes what a ring's
// holder reads (region table, eventfds, ring set-up) holds both.
import { BAR_REGISTERS_BYTES } from './registers.ts'

// Each lock is the first word of a line of its own, so that virtio/queue-lock.ts serves it.
export const V_TX_LOCK = BAR_REGISTERS_BYTES
export const V_RX_LOCK = V_TX_LOCK + 64
const CONTROL = V_RX_LOCK + 64
/** u32: 1 = the function may reach guest memory (a client is connected, bus mastering is on, power state D0). */
export const V_RUN = CONTROL
/** i32: 1 = the processor that polls the transmit ring sleeps and wants the doorbell. */
export const V_ASLEEP = CONTROL + 4
/** i32: eventfd that wakes it. */
export const V_DOORBELL = CONTROL + 8
/** i32: eventfd by which a data half tells the control half of a fault. */
export const V_ALARM = CONTROL + 12
/** u32: FAULT_* that stopped a ring, until the next reset. */
export const V_TX_FAULT = CONTROL + 16
export const V_RX_FAULT = CONTROL + 20
/** u32: entries of the region table, and a number that changes with every change of table or ring set-up. */
export const V_REGION_COUNT = CONTROL + 24
export const V_GENERATION = CONTROL + 28
/** i32[3]: eventfds of the MSI-X vectors, -1 = none; then bits of vectors raised while they had none. */
export const V_VECTORS = CONTROL + 32
export const V_PENDING = CONTROL + 44
/** u32: longest frame that the guest takes, frame check sequence included. */
export const V_MAX_FRAME = CONTROL + 48
/** u32: PROMISCUOUS_* granted. */
export const V_PROMISCUOUS = CONTROL + 52
/** i32: vectors whose interrupt waits for its moderation interval. */
export const V_DEFERRED = CONTROL + 56
/** u32: unicast addresses in use; then their octets 0…3 and 4…5, little-endian, two words each. The first is the function's own. */
export const V_UNICAST_COUNT = CONTROL + 60
export const V_UNICAST = CONTROL + 64
export const UNICAST_MAX = 4
/** f64[3]: milliseconds when each vector was signalled last. */
export const V_SIGNALLED = CONTROL + 96
/** i32: 1 = the timer that wakes the processor for deferred interrupts has been set. */
export const V_TIMER_SET = CONTROL + 120
/** i32: 1 = the doorbell has been signalled since the processor slept last. */
export const V_RUNG = CONTROL + 124
/** u32[8]: the two transmit contexts. */
export const V_CONTEXTS = CONTROL + 128
/** u32 each: counters beyond those that have registers. */
export const V_TX_DROPPED = CONTROL + 192
export const V_RX_FILTERED = CONTROL + 196
export const V_RX_NO_DESCRIPTOR = CONTROL + 200
export const V_RX_TOO_LONG = CONTROL + 204
export const V_DMA_FAULTS = CONTROL + 208
export const V_INTERRUPTS = CONTROL + 212
export const V_TSO = CONTROL + 216
/** u32: descriptors finished that the driver was not told of. */
export const V_TX_UNTOLD = CONTROL + 220
/** f64[3]: milliseconds that each vector keeps apart from its last signal, of our own accord. */
export const V_INTERVAL = CONTROL + 224
/** u32: VFGPRC and VFGOTC when the driver was told last. */
export const V_RX_TOLD = CONTROL + 248
export const V_TX_TOLD = CONTROL + 252
/** Bitmaps of 4096 bits: VLAN ids, multicast hashes. */
export const BITMAP_BYTES = 512
export const V_VLANS = CONTROL + 256
export const V_MULTICAST = V_VLANS + BITMAP_BYTES
/** Region table: guest address (low, high), bytes, linear address, flags. */
export const V_REGIONS = V_MULTICAST + BITMAP_BYTES
export const REGION_ENTRY_BYTES = 20
export const REGION_ENTRIES_MAX = 128
export const RE_LOW = 0
export const RE_HIGH = 4
export const RE_BYTES = 8
export const RE_LINEAR = 12
export const RE_FLAGS = 16
export const REGION_WRITABLE = 1
export const VF_BLOCK_BYTES = V_REGIONS + REGION_ENTRIES_MAX * REGION_ENTRY_BYTES

/** What stops a ring. */
export const Fault = {
  none: 0,
  /** Length or base of the ring are impossible, or it is not in the guest's memory. */
  ring: 1,
  /** Head or tail lie outside the ring. */
  index: 2,
  /** A packet of more descriptors than a packet can have. */
  chain: 3,
  /** A receive buffer is outside the guest's memory, or in memory that can't be written. */
  buffer: 4,
} as const
export type Fault = (typeof Fault)[keyof typeof Fault]

/** What a person reads, by fault. */
export const faultTexts: Readonly<Record<Fault, string>> = {
  0: 'none',
  1: 'its base or length is impossible, or it is not in the memory that the guest shares',
  2: 'its head or tail lies outside it',
  3: 'a packet has more descriptors than a packet can have',
  4: 'a receive buffer is outside the memory that the guest shares, or in memory that is read-only',
}

/** A stretch of guest memory, as the region table has it. */
export interface BlockRegion {
  readonly guestAddress: number
  readonly bytes: number
  readonly linear: number
  readonly writable: boolean
}

/** Writes the region table; both rings must be locked. `u32` views shared memory from address 0. */
export function writeRegions(u32: Uint32Array, block: number, regions: readonly BlockRegion[]): void {
  for (const [i, region] of regions.entries()) {
    const at = (block + V_REGIONS + i * REGION_ENTRY_BYTES) >> 2
    u32[at + (RE_LOW >> 2)] = region.guestAddress % 2 ** 32
    u32[at + (RE_HIGH >> 2)] = Math.floor(region.guestAddress / 2 ** 32)
    u32[at + (RE_BYTES >> 2)] = region.bytes
    u32[at + (RE_LINEAR >> 2)] = region.linear
    u32[at + (RE_FLAGS >> 2)] = region.writable ? REGION_WRITABLE : 0
  }
  u32[(block + V_REGION_COUNT) >> 2] = regions.length
  const generation = (block + V_GENERATION) >> 2
  u32[generation] = u32[generation]! + 1
}
