// Does to the packets of one processor what their lines decide, and keeps those that wait, in a timing wheel.
//
// The rules it must not break: nothing is allocated per packet; the packets of a line leave in the order in which they came, unless its
// settings say otherwise; and what is held leaves only between two bursts, so that no packet of the burst in work overtakes it.
import { type Batch, NdisStatus, type PacketHandle, type SwitchHandle, type Timer } from '../../extension.ts'
import type { Line } from './line.ts'
import { TimingWheel } from './wheel.ts'

/** Packets that one processor holds at the most: what its pool has. */
const ENTRIES = 8192
const TICK_MS = 1 / 16
const NO_PORT = -1
const BITS = 8

const Kind = { held: 0, sent: 1, indicated: 2 } as const

export const ImpairmentCounter = {
  matched: 0,
  delayed: 1,
  lost: 2,
  duplicated: 3,
  corrupted: 4,
  reordered: 5,
  limited: 6,
  linkDown: 7,
} as const

/** Fields are ordinary ones: they are read per packet. */
export class Impairer {
  private readonly sw: SwitchHandle
  private readonly wheel = new TimingWheel(ENTRIES)
  private readonly handles = new Float64Array(ENTRIES)
  private readonly kinds = new Uint8Array(ENTRIES)
  private readonly bytes = new Uint32Array(ENTRIES)
  private readonly sources = new Uint16Array(ENTRIES)
  private readonly targets = new Int32Array(ENTRIES)
  private readonly lines: (Line | undefined)[] = Array.from({ length: ENTRIES }, () => undefined)
  private readonly sequence = new Float64Array(ENTRIES)
  private nextSequence = 0
  private readonly free = new Uint16Array(ENTRIES)
  private freeCount = 0
  private readonly timer: Timer
  private armed = Number.POSITIVE_INFINITY
  private readonly take: (entry: number) => void
  private readonly lossReason: number
  private readonly limitReason: number
  private readonly downReason: number

  constructor(sw: SwitchHandle) {
    this.sw = sw
    for (let entry = ENTRIES - 1; entry >= 0; entry--) this.free[this.freeCount++] = entry
    this.timer = sw.timer(() => this.fire())
    this.take = (entry) => this.release(entry, true)
    this.lossReason = sw.registerReason('impairment-loss')
    this.limitReason = sw.registerReason('impairment-limit')
    this.downReason = sw.registerReason('impairment-link-down')
  }

  private fire(): void {
    this.armed = Number.POSITIVE_INFINITY
    this.wheel.advance(Math.floor(this.sw.now() / TICK_MS), this.take)
    this.arm()
  }

  /** Sets the timer to what is due next. Call it after a batch. */
  arm(): void {
    const next = this.wheel.nextTick()
    if (next >= this.armed) return
    this.armed = next
    this.timer.at(next * TICK_MS)
  }

  /** Impairs packet `i` of a batch by `line`; on egress its destination `k` alone. */
  impair(batch: Batch, i: number, k: number, line: Line, nowMs: number): void {
    const { settings } = line
    this.count(ImpairmentCounter.matched)
    if (!settings.up) {
      this.count(ImpairmentCounter.linkDown)
      this.drop(batch, i, k, this.downReason)
      return
    }
    const isLost = line.loses()
    const isTwice = line.duplicates()
    if (isLost !== isTwice && isLost) {
      this.count(ImpairmentCounter.lost)
      this.drop(batch, i, k, this.lossReason)
      return
    }
    if (isTwice && !isLost) this.duplicate(batch, i, k, line, nowMs)
    if (line.corrupts()) this.corrupt(batch, i, line)
    if (line.reorders()) {
      this.count(ImpairmentCounter.reordered)
      return
    }
    const length = batch.frameLength(i)
    if (!line.hasRoom(length)) {
      this.overflow(batch, i, k)
      return
    }
    const due = line.due(nowMs, length)
    if (due <= nowMs && line.held === 0) return
    const source = batch.sourcePortId(i)
    const target = k < 0 ? NO_PORT : batch.destinationPortId(i, k)
    const handle = k < 0 ? batch.hold(i) : batch.hold(i, k)
    if (handle === 0) this.overflow(batch, i, k)
    else this.keep(handle, Kind.held, line, due, length, source, target, nowMs)
  }

  private duplicate(batch: Batch, i: number, k: number, line: Line, nowMs: number): void {
    const length = batch.frameLength(i)
    if (!line.hasRoom(length)) return
    const clone = k < 0 ? batch.clone(i) : batch.clone(i, true, k)
    if (clone === 0) return
    this.count(ImpairmentCounter.duplicated)
    const target = k < 0 ? NO_PORT : batch.destinationPortId(i, k)
    const kind = k < 0 ? Kind.sent : Kind.indicated
    this.keep(clone, kind, line, line.due(nowMs, length), length, batch.sourcePortId(i), target, nowMs)
  }

  // Turns one bit round, under a checksum that tells: one that the guest left open is completed first. Behind the header copy that takes a copy of all the frame; without room for it, a bit of the header is taken.
  private corrupt(batch: Batch, i: number, line: Line): void {
    const length = batch.makeSafe(i) ? batch.frameLength(i) : batch.headerLength(i)
    batch.completeChecksum(i)
    const at = line.pick(length)
    const byte = at < batch.headerLength(i) ? batch.u8(i, at) : this.payloadByte(batch, i, at)
    if (batch.setU8(i, at, byte ^ (1 << line.pick(BITS)))) this.count(ImpairmentCounter.corrupted)
  }

  private readonly oneByte = new Uint8Array(1)
  private payloadByte(batch: Batch, i: number, at: number): number {
    batch.copyBytes(i, at, 1, this.oneByte, 0)
    return this.oneByte[0]!
  }

  private overflow(batch: Batch, i: number, k: number): void {
    this.count(ImpairmentCounter.limited)
    this.drop(batch, i, k, this.limitReason)
  }

  private drop(batch: Batch, i: number, k: number, reason: number): void {
    if (k < 0) batch.drop(i, reason)
    else batch.exclude(i, k, reason)
  }

  private count(counter: number): void {
    const { counters } = this.sw
    counters[counter] = counters[counter]! + 1
  }

  private keep(
    handle: PacketHandle,
    kind: number,
    line: Line,
    due: number,
    length: number,
    source: number,
    target: number,
    nowMs: number,
  ): void {
    const entry = this.free[--this.freeCount]! // the pool has fewer packets than there are entries
    this.handles[entry] = handle
    this.kinds[entry] = kind
    this.bytes[entry] = length
    this.sources[entry] = source
    this.targets[entry] = target
    this.lines[entry] = line
    this.sequence[entry] = this.nextSequence++
    line.wait(1, length)
    if (kind === Kind.held) this.count(ImpairmentCounter.delayed)
    this.wheel.add(entry, Math.ceil(due / TICK_MS), Math.floor(nowMs / TICK_MS))
  }

  // Lets the packet of an entry go on. `isOver`: the entry has left the wheel.
  private release(entry: number, isOver: boolean): void {
    const handle = this.handles[entry]!
    const line = this.lines[entry]
    if (line !== undefined) {
      line.wait(-1, this.bytes[entry]!)
      this.lines[entry] = undefined
      this.letGo(handle, this.kinds[entry]!)
    }
    if (isOver) this.free[this.freeCount++] = entry
  }

  private letGo(handle: PacketHandle, kind: number): void {
    const { sw } = this
    if (kind === Kind.held) sw.forward(handle)
    else {
      const status = kind === Kind.sent ? sw.send(handle) : sw.indicate(handle)
      if (status !== NdisStatus.success) sw.release(handle)
    }
  }

  /** Lets everything go on, in order: the module pauses (ES-056). Copies that it made itself are given up: it may not send any more (ES-055). */
  giveBack(): void {
    this.wheel.drain((entry) => {
      if (this.kinds[entry] !== Kind.held && this.lines[entry] !== undefined) {
        this.sw.release(this.handles[entry]!)
        this.lines[entry]!.wait(-1, this.bytes[entry]!)
        this.lines[entry] = undefined
      }
      this.release(entry, true)
    })
    this.timer.stop()
    this.armed = Number.POSITIVE_INFINITY
  }

  /** Lets the packets go on that name port `portId`, which is going (ES-208). They leave the wheel when their time comes. */
  forgetPort(portId: number): void {
    for (const entry of this.entriesInOrder())
      if (this.sources[entry] === portId || this.targets[entry] === portId) this.release(entry, false)
  }

  /** Lets the packets of a line go on, in order: it is no more. */
  endLine(line: Line): void {
    for (const entry of this.entriesInOrder()) if (this.lines[entry] === line) this.release(entry, false)
  }

  private entriesInOrder(): number[] {
    const entries: number[] = []
    for (let entry = 0; entry < ENTRIES; entry++) if (this.lines[entry] !== undefined) entries.push(entry)
    return entries.sort((one, other) => this.wheel.compare(one, other) || this.sequence[one]! - this.sequence[other]!)
  }
}
