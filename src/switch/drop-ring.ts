// The last drops of one processor, with their frames' first bytes: a ring in shared memory that one processor writes and anybody reads.
// It also counts what it was told, by reason: a second opinion on the counters per port.
//
// The rules it must not break: every drop is counted, few are kept: a flood of one kind pushes nothing else out and costs a look at one
// number per drop; nothing is allocated; a reader never sees half of an entry.
import { HEADER_COPY, HEADER_STRIDE, PF_VLAN_OOB } from '../kernels/layout.ts'
import { DROP_REASONS_MAX } from '../ndis/drop-reasons.ts'
import type { PacketPool } from '../ndis/pool.ts'
import type { DropNotes } from './drop-log.ts'

/** Entries of a ring. */
export const DROP_RING_ENTRIES = 512
/** Of one port and reason so many are kept per second; the entry after that says how many were not. */
export const DROPS_KEPT_PER_SECOND = 16

const NAMES_MAX = 64
const NAME_BYTES = 64
const CELLS = 1024
const ENTRY_BYTES = 64 + HEADER_COPY
const HEAD = 0
const NAME_COUNT = 1
const HEADER_BYTES = 64
const COUNTS_AT = HEADER_BYTES
const NAMES_AT = COUNTS_AT + DROP_REASONS_MAX * 8
const ENTRIES_AT = NAMES_AT + NAMES_MAX * NAME_BYTES
/** Bytes to reserve, zeroed; at a multiple of 64. */
export const DROP_RING_BYTES = ENTRIES_AT + DROP_RING_ENTRIES * ENTRY_BYTES

// Words of an entry. The number stands first, is 0 while the entry is written, and is written last.
const E_NUMBER = 0
const E_SECONDS_LOW = 1
const E_SECONDS_HIGH = 2
const E_NANOSECONDS = 3
/** Port, and the source port of the packet above it. */
const E_PORTS = 4
/** Reason, flags, module's name, header bytes. */
const E_WHAT = 5
const E_LENGTH = 6
const E_PACKET = 7
const E_COUNT = 8
const E_UNKEPT = 9
const E_TAG = 10
const FLAG_INCOMING = 1
const TWO_32 = 2 ** 32

/** A drop as it was kept. */
export interface KeptDrop {
  /** Counts up from 0 in its ring. */
  readonly number: number
  /** Since 1970, and nanoseconds of that second. */
  readonly seconds: number
  readonly nanoseconds: number
  /** Port that it is counted at, and whether that is the packet's source. */
  readonly port: number
  readonly incoming: boolean
  readonly sourcePort: number
  readonly reason: number
  /** Name of the extension that dropped it; '' for the switch. */
  readonly module: string
  /** Bytes of the frame; 0 where no frame is known. */
  readonly length: number
  readonly packetId: number
  /** Frames that this entry stands for. */
  readonly frames: number
  /** Frames of this port and reason since the entry before that were counted and not kept. */
  readonly unkept: number
  /** 802.1Q tag out of band; -1: none. */
  readonly tag: number
  /** The frame's first bytes. */
  readonly header: Uint8Array
}

/** The writer's side. Fields are ordinary ones: it runs per drop. */
export class DropRing implements DropNotes {
  private readonly words: Int32Array
  private readonly bytes: Uint8Array
  private readonly counts: Float64Array
  private readonly clock: { readonly seconds: number; readonly nanoseconds: number }
  // Per cell of ports and reasons: kept in this second, and not kept since the last one that was.
  private readonly kept = new Uint16Array(CELLS)
  private readonly unkept = new Uint32Array(CELLS)
  private second = 0
  private readonly names = new Map<string, number>()

  /** `at`: linear address of DROP_RING_BYTES; `clock`: the wall clock of the burst in work. */
  constructor(buffer: ArrayBufferLike, at: number, clock: { readonly seconds: number; readonly nanoseconds: number }) {
    this.words = new Int32Array(buffer, at, DROP_RING_BYTES >> 2)
    this.bytes = new Uint8Array(buffer, at, DROP_RING_BYTES)
    this.counts = new Float64Array(buffer, at + COUNTS_AT, DROP_REASONS_MAX)
    this.clock = clock
  }

  /** Notes `frames` drops at `port`, the first of them the packet in `slot` (-1: none is known). `module`: '' for the switch. */
  note(
    pool: PacketPool | undefined,
    slot: number,
    reason: number,
    port: number,
    incoming: boolean,
    module: string,
    frames = 1,
  ): void {
    if (frames === 0) return
    this.counts[reason] = this.counts[reason]! + frames
    const { seconds } = this.clock
    if (seconds !== this.second) {
      this.second = seconds
      this.kept.fill(0)
    }
    const cell = (port * DROP_REASONS_MAX + reason) & (CELLS - 1)
    const kept = this.kept[cell]!
    if (kept >= DROPS_KEPT_PER_SECOND) {
      this.unkept[cell] = this.unkept[cell]! + frames
      return
    }
    this.kept[cell] = kept + 1
    this.keep(pool, slot, reason, port, incoming, module, frames, this.unkept[cell]!)
    this.unkept[cell] = 0
  }

  private keep(
    pool: PacketPool | undefined,
    slot: number,
    reason: number,
    port: number,
    incoming: boolean,
    module: string,
    frames: number,
    unkept: number,
  ): void {
    const { words, clock } = this
    const head = words[HEAD]!
    const entry = ENTRIES_AT + (head & (DROP_RING_ENTRIES - 1)) * ENTRY_BYTES
    const at = entry >> 2
    Atomics.store(words, at + E_NUMBER, 0)
    const known = pool !== undefined && slot >= 0
    const header = known ? Math.min(pool.headerLength[slot]!, HEADER_COPY) : 0
    words[at + E_SECONDS_LOW] = clock.seconds | 0
    words[at + E_SECONDS_HIGH] = Math.floor(clock.seconds / TWO_32)
    words[at + E_NANOSECONDS] = clock.nanoseconds
    words[at + E_PORTS] = port | ((known ? pool.sourcePort[slot]! : port) << 16)
    words[at + E_WHAT] = reason | ((incoming ? FLAG_INCOMING : 0) << 8) | (this.nameNumber(module) << 16) | (header << 24)
    words[at + E_LENGTH] = known ? pool.length[slot]! : 0
    words[at + E_PACKET] = known ? pool.packetId[slot]! : 0
    words[at + E_COUNT] = frames
    words[at + E_UNKEPT] = unkept
    words[at + E_TAG] = known && (pool.flags[slot]! & PF_VLAN_OOB) !== 0 ? pool.vlan[slot]! : -1
    if (known) {
      const from = slot * HEADER_STRIDE + pool.headerOffset[slot]!
      for (let i = 0; i < header; i++) this.bytes[entry + 64 + i] = pool.header8[from + i]!
    }
    Atomics.store(words, at + E_NUMBER, (head + 1) | 0)
    Atomics.store(words, HEAD, (head + 1) | 0)
  }

  // Names are written once each; more than there is room for are told as the switch's.
  private nameNumber(name: string): number {
    if (name === '') return 0
    const known = this.names.get(name)
    if (known !== undefined) return known
    const count = this.names.size
    if (count + 1 >= NAMES_MAX) return 0
    const text = new TextEncoder().encode(name).subarray(0, NAME_BYTES - 1)
    const at = NAMES_AT + (count + 1) * NAME_BYTES
    this.bytes[at] = text.length
    this.bytes.set(text, at + 1)
    this.names.set(name, count + 1)
    Atomics.store(this.words, NAME_COUNT, count + 1)
    return count + 1
  }
}

/** The reader's side, in any thread. */
export class DropRingReader {
  readonly #words: Int32Array
  readonly #bytes: Uint8Array
  readonly #counts: Float64Array

  constructor(buffer: ArrayBufferLike, at: number) {
    this.#words = new Int32Array(buffer, at, DROP_RING_BYTES >> 2)
    this.#bytes = new Uint8Array(buffer, at, DROP_RING_BYTES)
    this.#counts = new Float64Array(buffer, at + COUNTS_AT, DROP_REASONS_MAX)
  }

  /** Drops of a reason that the ring was told of, kept or not. */
  count(reason: number): number {
    return this.#counts[reason]!
  }

  /** What is kept now, oldest first. An entry that is written over meanwhile is left out. */
  entries(): KeptDrop[] {
    const head = Atomics.load(this.#words, HEAD) >>> 0
    const found: KeptDrop[] = []
    for (let n = Math.max(0, head - DROP_RING_ENTRIES); n < head; n++) {
      const drop = this.#read(n)
      if (drop) found.push(drop)
    }
    return found
  }

  #read(n: number): KeptDrop | undefined {
    const words = this.#words
    const entry = ENTRIES_AT + (n & (DROP_RING_ENTRIES - 1)) * ENTRY_BYTES
    const at = entry >> 2
    const number = (n + 1) | 0
    if (Atomics.load(words, at + E_NUMBER) !== number) return undefined
    const what = words[at + E_WHAT]!
    const ports = words[at + E_PORTS]!
    const drop: KeptDrop = {
      number: n,
      seconds: (words[at + E_SECONDS_LOW]! >>> 0) + words[at + E_SECONDS_HIGH]! * TWO_32,
      nanoseconds: words[at + E_NANOSECONDS]!,
      port: ports & 0xffff,
      incoming: ((what >> 8) & FLAG_INCOMING) !== 0,
      sourcePort: ports >>> 16,
      reason: what & 0xff,
      module: this.#name((what >> 16) & 0xff),
      length: words[at + E_LENGTH]! >>> 0,
      packetId: words[at + E_PACKET]! >>> 0,
      frames: words[at + E_COUNT]!,
      unkept: words[at + E_UNKEPT]! >>> 0,
      tag: words[at + E_TAG]!,
      header: this.#bytes.slice(entry + 64, entry + 64 + (what >>> 24)),
    }
    return Atomics.load(words, at + E_NUMBER) === number ? drop : undefined
  }

  #name(number: number): string {
    if (number === 0 || number > Atomics.load(this.#words, NAME_COUNT)) return ''
    const at = NAMES_AT + number * NAME_BYTES
    return new TextDecoder().decode(this.#bytes.slice(at + 1, at + 1 + this.#bytes[at]!))
  }
}
