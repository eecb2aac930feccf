// The packets of one processor that wait, in a timing wheel. Packets of one line that are due together, as those of a burst are that are all
// delayed alike, wait side by side as one entry of the wheel.
//
// The rules it must not break: nothing is allocated per packet; packets leave in the order of their time and, within one tick, in which they
// came; what was taken in is given away once.
import { type Batch, NdisStatus, type PacketHandle, type SwitchHandle } from '../../extension.ts'
import type { Line } from './line.ts'
import { TimingWheel } from './wheel.ts'

/** Packets that one processor holds at the most: what its pool has. */
const ENTRIES = 8192
/** Handles that one entry of the wheel has at the most. */
const SIDE_SHIFT = 5
const SIDE_MAX = 1 << SIDE_SHIFT
const TICK_MS = 1 / 16
const NONE = -1

export const NO_PORT = -1

/** How a packet goes on: forwarded, or, as a copy that the extension made, sent or indicated. */
export const Kind = { held: 0, sent: 1, indicated: 2 } as const
const { held: HELD } = Kind

/** Fields are ordinary ones: they are read per packet. */
export class WaitingPackets {
  private readonly sw: SwitchHandle
  private readonly wheel = new TimingWheel(ENTRIES)
  // Of each packet, or run of packets, of each entry, SIDE_MAX places per entry.
  private readonly handles = new Float64Array(ENTRIES << SIDE_SHIFT)
  // Of each entry; a line: its packets have not left yet.
  private readonly lines: (Line | undefined)[] = Array.from({ length: ENTRIES }, () => undefined)
  private readonly counts = new Uint8Array(ENTRIES)
  // Packets of its handles.
  private readonly packets = new Uint16Array(ENTRIES)
  private readonly bytes = new Float64Array(ENTRIES)
  private readonly kinds = new Uint8Array(ENTRIES)
  private readonly sources = new Uint16Array(ENTRIES)
  private readonly targets = new Int32Array(ENTRIES)
  private readonly ticks = new Float64Array(ENTRIES)
  private readonly sequence = new Float64Array(ENTRIES)
  private nextSequence = 0
  // The entry that was put in last, while more packets may join it.
  private open = NONE
  private readonly free = new Uint16Array(ENTRIES)
  private freeCount = 0
  private readonly take: (entry: number) => void

  constructor(sw: SwitchHandle) {
    this.sw = sw
    for (let entry = ENTRIES - 1; entry >= 0; entry--) this.free[this.freeCount++] = entry
    this.take = (entry) => this.leave(entry)
  }

  /** Milliseconds at which the next packet is due; Infinity if none waits. */
  nextMs(): number {
    return this.wheel.nextTick() * TICK_MS
  }

  /**
   * Takes in the `packets` of `handle`, `bytes` in all, until `due`. Their line was told that they wait. `target`: the port that they go to, on
   * egress, else NO_PORT.
   */
  add(
    handle: PacketHandle,
    packets: number,
    kind: number,
    line: Line,
    due: number,
    bytes: number,
    source: number,
    target: number,
    nowMs: number,
  ): void {
    const entry = this.entryFor(kind, line, due, source, target, nowMs)
    const count = this.counts[entry]!
    this.handles[(entry << SIDE_SHIFT) + count] = handle
    this.counts[entry] = count + 1
    this.packets[entry] = this.packets[entry]! + packets
    this.bytes[entry] = this.bytes[entry]! + bytes
  }

  /**
   * `add` for packets that were held, in a row: those of `batch` at `positions`, from index `from` to before `to`, with `handles`. A handle of
   * 0 is passed over.
   */
  addRun(
    batch: Batch,
    positions: Uint16Array,
    handles: Float64Array,
    from: number,
    to: number,
    line: Line,
    due: number,
    target: number,
    nowMs: number,
  ): void {
    const { slots, pool, oneSource } = batch
    const { length, sourcePort } = pool
    for (let n = from; n < to; ) {
      const source = sourcePort[slots[positions[n]!]!]!
      const entry = this.entryFor(HELD, line, due, source, target, nowMs)
      const end = (entry + 1) << SIDE_SHIFT
      let at = (entry << SIDE_SHIFT) + this.counts[entry]!
      let bytes = this.bytes[entry]!
      for (; n < to && at < end; n++) {
        const slot = slots[positions[n]!]!
        if (!oneSource && sourcePort[slot] !== source) break
        if (handles[n] === 0) continue
        bytes += length[slot]!
        this.handles[at++] = handles[n]!
      }
      const before = this.counts[entry]!
      this.counts[entry] = at - (entry << SIDE_SHIFT)
      this.packets[entry] = this.packets[entry]! + this.counts[entry]! - before
      this.bytes[entry] = bytes
    }
  }

  // The entry that a packet joins.
  private entryFor(kind: number, line: Line, due: number, source: number, target: number, nowMs: number): number {
    const tick = Math.ceil(due / TICK_MS)
    const { open } = this
    if (
      open !== NONE &&
      this.counts[open]! < SIDE_MAX &&
      this.lines[open] === line &&
      this.ticks[open] === tick &&
      this.sources[open] === source &&
      this.targets[open] === target &&
      this.kinds[open] === kind
    )
      return open
    if (this.freeCount === 0) this.clear(nowMs)
    const entry = this.free[--this.freeCount]! // the pool has fewer packets than there are entries
    this.kinds[entry] = kind
    this.sources[entry] = source
    this.targets[entry] = target
    this.ticks[entry] = tick
    this.lines[entry] = line
    this.counts[entry] = 0
    this.packets[entry] = 0
    this.bytes[entry] = 0
    this.sequence[entry] = this.nextSequence++
    this.open = entry
    this.wheel.add(entry, tick, Math.floor(nowMs / TICK_MS))
    return entry
  }

  // Takes those entries out of the wheel whose packets were let go early.
  private clear(nowMs: number): void {
    const live: number[] = []
    this.wheel.drain((entry) => {
      if (this.lines[entry] === undefined) this.free[this.freeCount++] = entry
      else live.push(entry)
    })
    for (const entry of live) this.wheel.add(entry, this.ticks[entry]!, Math.floor(nowMs / TICK_MS))
  }

  /** Lets go what is due. */
  advance(nowMs: number): void {
    this.open = NONE
    this.wheel.advance(Math.floor(nowMs / TICK_MS), this.take)
  }

  // An entry has left the wheel: its packets go on, and its place is free.
  private leave(entry: number): void {
    this.letGo(entry)
    this.free[this.freeCount++] = entry
  }

  // Lets the packets of an entry go on, if they have not yet.
  private letGo(entry: number): void {
    const line = this.lines[entry]
    if (line === undefined) return
    this.lines[entry] = undefined
    const first = entry << SIDE_SHIFT
    const count = this.counts[entry]!
    line.wait(-this.packets[entry]!, -this.bytes[entry]!)
    if (this.kinds[entry] === HELD) this.sw.forwardAll(this.handles, count, first)
    else for (let at = first; at < first + count; at++) this.send(this.handles[at]!, this.kinds[entry]!)
  }

  /** Lets a copy that the extension made go on. */
  send(handle: PacketHandle, kind: number): void {
    const { sw } = this
    const status = kind === Kind.sent ? sw.send(handle) : sw.indicate(handle)
    if (status !== NdisStatus.success) sw.release(handle)
  }

  /** Lets everything go on, in order, but for copies that the extension made: the module pauses, and may not send any more (ES-055). */
  giveBack(): void {
    this.open = NONE
    this.wheel.drain((entry) => {
      if (this.kinds[entry] !== HELD && this.lines[entry] !== undefined) this.giveUp(entry)
      this.leave(entry)
    })
  }

  private giveUp(entry: number): void {
    const first = entry << SIDE_SHIFT
    for (let at = first; at < first + this.counts[entry]!; at++) this.sw.release(this.handles[at]!)
    this.lines[entry]!.wait(-this.packets[entry]!, -this.bytes[entry]!)
    this.lines[entry] = undefined
  }

  /** Lets the packets go on that name port `portId`, which is going (ES-208). They leave the wheel when their time comes. */
  forgetPort(portId: number): void {
    this.letGoEarly((entry) => this.targets[entry] === portId || this.sources[entry] === portId)
  }

  /** Lets the packets of a line go on, in order: it is no more. */
  endLine(line: Line): void {
    this.letGoEarly((entry) => this.lines[entry] === line)
  }

  private letGoEarly(isMeant: (entry: number) => boolean): void {
    this.open = NONE
    const entries: number[] = []
    for (let entry = 0; entry < ENTRIES; entry++) if (this.lines[entry] !== undefined && isMeant(entry)) entries.push(entry)
    entries.sort((one, other) => this.ticks[one]! - this.ticks[other]! || this.sequence[one]! - this.sequence[other]!)
    for (const entry of entries) this.letGo(entry)
  }
}
