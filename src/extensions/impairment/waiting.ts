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
/** Packets that one entry of the wheel has at the most. */
const SIDE_SHIFT = 4
const SIDE_MAX = 1 << SIDE_SHIFT
const TICK_MS = 1 / 16
const NONE = -1
const OUT_MAX = 64

export const NO_PORT = -1

/** How a packet goes on: forwarded, or, as a copy that the extension made, sent or indicated. */
export const Kind = { held: 0, sent: 1, indicated: 2 } as const
const { held: HELD } = Kind

/** Fields are ordinary ones: they are read per packet. */
export class WaitingPackets {
  private readonly sw: SwitchHandle
  private readonly wheel = new TimingWheel(ENTRIES)
  // Of each packet of each entry, SIDE_MAX places per entry. A handle of 0: it was let go before its time.
  private readonly handles = new Float64Array(ENTRIES << SIDE_SHIFT)
  private readonly bytes = new Uint32Array(ENTRIES << SIDE_SHIFT)
  private readonly sources = new Uint16Array(ENTRIES << SIDE_SHIFT)
  // Of each entry; a line: its packets have not left yet.
  private readonly lines: (Line | undefined)[] = Array.from({ length: ENTRIES }, () => undefined)
  private readonly counts = new Uint8Array(ENTRIES)
  private readonly totals = new Float64Array(ENTRIES)
  // Some of its packets were let go before.
  private readonly parted = new Uint8Array(ENTRIES)
  private readonly kinds = new Uint8Array(ENTRIES)
  private readonly targets = new Int32Array(ENTRIES)
  private readonly ticks = new Float64Array(ENTRIES)
  private readonly sequence = new Float64Array(ENTRIES)
  private nextSequence = 0
  // The entry that was put in last, while more packets may join it.
  private open = NONE
  private readonly free = new Uint16Array(ENTRIES)
  private freeCount = 0
  private readonly out = new Float64Array(OUT_MAX)
  private outCount = 0
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
   * Takes in the packet of `handle`, until `due`. Its line was told that it waits. `target`: the port that it goes to, on egress, else
   * NO_PORT.
   */
  add(
    handle: PacketHandle,
    kind: number,
    line: Line,
    due: number,
    length: number,
    source: number,
    target: number,
    nowMs: number,
  ): void {
    const entry = this.entryFor(kind, line, due, target, nowMs)
    const at = (entry << SIDE_SHIFT) + this.counts[entry]!
    this.handles[at] = handle
    this.bytes[at] = length
    this.sources[at] = source
    this.counts[entry] = this.counts[entry]! + 1
    this.totals[entry] = this.totals[entry]! + length
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
    const { slots, pool } = batch
    const { length, sourcePort } = pool
    for (let n = from; n < to; ) {
      const entry = this.entryFor(HELD, line, due, target, nowMs)
      let at = (entry << SIDE_SHIFT) + this.counts[entry]!
      const end = (entry + 1) << SIDE_SHIFT
      let total = this.totals[entry]!
      for (; n < to && at < end; n++) {
        const handle = handles[n]!
        if (handle === 0) continue
        const slot = slots[positions[n]!]!
        this.handles[at] = handle
        const bytes = length[slot]!
        total += bytes
        this.bytes[at] = bytes
        this.sources[at++] = sourcePort[slot]!
      }
      this.counts[entry] = at - (entry << SIDE_SHIFT)
      this.totals[entry] = total
    }
  }

  // The entry that a packet joins.
  private entryFor(kind: number, line: Line, due: number, target: number, nowMs: number): number {
    const tick = Math.ceil(due / TICK_MS)
    const { open } = this
    if (
      open !== NONE &&
      this.counts[open]! < SIDE_MAX &&
      this.lines[open] === line &&
      this.ticks[open] === tick &&
      this.targets[open] === target &&
      this.kinds[open] === kind
    )
      return open
    const entry = this.free[--this.freeCount]! // the pool has fewer packets than there are entries
    this.kinds[entry] = kind
    this.targets[entry] = target
    this.ticks[entry] = tick
    this.lines[entry] = line
    this.counts[entry] = 0
    this.totals[entry] = 0
    this.parted[entry] = 0
    this.sequence[entry] = this.nextSequence++
    this.open = entry
    this.wheel.add(entry, tick, Math.floor(nowMs / TICK_MS))
    return entry
  }

  /** Lets go what is due. */
  advance(nowMs: number): void {
    this.open = NONE
    this.wheel.advance(Math.floor(nowMs / TICK_MS), this.take)
    this.flush()
  }

  // An entry has left the wheel: its packets go on, and its place is free.
  private leave(entry: number): void {
    this.letGo(entry)
    this.free[this.freeCount++] = entry
  }

  // Lets the packets of an entry go on that have not yet.
  private letGo(entry: number): void {
    const line = this.lines[entry]
    if (line === undefined) return
    this.lines[entry] = undefined
    const first = entry << SIDE_SHIFT
    const count = this.counts[entry]!
    if (this.kinds[entry] === HELD && this.parted[entry] === 0) {
      const { handles, out } = this
      if (this.outCount + count > OUT_MAX) this.flush()
      let { outCount } = this
      for (let at = first; at < first + count; at++) out[outCount++] = handles[at]!
      this.outCount = outCount
      line.wait(-count, -this.totals[entry]!)
      return
    }
    for (let at = first; at < first + count; at++) {
      if (this.handles[at] === 0) continue
      this.goOn(this.handles[at]!, this.kinds[entry]!)
      line.wait(-1, -this.bytes[at]!)
    }
  }

  // Held packets are gathered; `flush` sends them. Whatever else is sent goes after them.
  private goOn(handle: PacketHandle, kind: number): void {
    if (kind === HELD) {
      this.out[this.outCount++] = handle
      if (this.outCount === OUT_MAX) this.flush()
      return
    }
    this.flush()
    const { sw } = this
    const status = kind === Kind.sent ? sw.send(handle) : sw.indicate(handle)
    if (status !== NdisStatus.success) sw.release(handle)
  }

  private flush(): void {
    if (this.outCount === 0) return
    this.sw.forwardAll(this.out, this.outCount)
    this.outCount = 0
  }

  /** Lets everything go on, in order, but for copies that the extension made: the module pauses, and may not send any more (ES-055). */
  giveBack(): void {
    this.open = NONE
    this.wheel.drain((entry) => {
      if (this.kinds[entry] !== HELD && this.lines[entry] !== undefined) this.giveUp(entry)
      this.leave(entry)
    })
    this.flush()
  }

  private giveUp(entry: number): void {
    const first = entry << SIDE_SHIFT
    for (let at = first; at < first + this.counts[entry]!; at++) {
      if (this.handles[at] === 0) continue
      this.sw.release(this.handles[at]!)
      this.lines[entry]!.wait(-1, -this.bytes[at]!)
      this.handles[at] = 0
      this.parted[entry] = 1
    }
  }

  /** Lets the packets go on that name port `portId`, which is going (ES-208). They leave the wheel when their time comes. */
  forgetPort(portId: number): void {
    this.open = NONE
    for (const entry of this.entriesInOrder()) {
      const line = this.lines[entry]!
      const isTarget = this.targets[entry] === portId
      const first = entry << SIDE_SHIFT
      for (let at = first; at < first + this.counts[entry]!; at++) {
        if (this.handles[at] === 0 || !(isTarget || this.sources[at] === portId)) continue
        this.goOn(this.handles[at]!, this.kinds[entry]!)
        line.wait(-1, -this.bytes[at]!)
        this.handles[at] = 0
        this.parted[entry] = 1
      }
    }
    this.flush()
  }

  /** Lets the packets of a line go on, in order: it is no more. */
  endLine(line: Line): void {
    this.open = NONE
    for (const entry of this.entriesInOrder()) if (this.lines[entry] === line) this.letGo(entry)
    this.flush()
  }

  private entriesInOrder(): number[] {
    const entries: number[] = []
    for (let entry = 0; entry < ENTRIES; entry++) if (this.lines[entry] !== undefined) entries.push(entry)
    return entries.sort((one, other) => this.ticks[one]! - this.ticks[other]! || this.sequence[one]! - this.sequence[other]!)
  }
}
