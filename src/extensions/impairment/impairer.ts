// Does to the packets of one processor what their lines decide. Those that are to wait are gathered while a batch is gone through, and held
// together.
//
// The rules it must not break: nothing is allocated per packet; the packets of a line leave in the order in which they came, unless its
// settings say otherwise; and what is held leaves only between two bursts, so that no packet of the burst in work overtakes it.
import type { Batch, SwitchHandle, Timer } from '../../extension.ts'
import type { Line } from './line.ts'
import { Kind, NO_PORT, WaitingPackets } from './waiting.ts'
import { wordsOf } from './words.ts'

const BITS = 8
const BATCH_MAX = 64

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
  private readonly counters: Float64Array
  private readonly waiting: WaitingPackets
  // Packets of the batch in work that are to be held: their positions; and for each run of them where it ends, its line, when it is due, and
  // where it goes.
  private readonly positions = new Uint16Array(BATCH_MAX)
  private readonly handles = new Float64Array(BATCH_MAX)
  private gathered = 0
  private readonly ends = new Uint16Array(BATCH_MAX)
  private readonly lines: Line[] = []
  private readonly dues = new Float64Array(BATCH_MAX)
  private readonly targets = new Int32Array(BATCH_MAX)
  private runs = 0
  // The line that frames in a row meet which delays them all alike, when they are due, and what of them is not told to it yet.
  private alike: Line | undefined
  private alikeDue = 0
  private alikeWaits = false
  private alikeMet = 0
  private alikeFrames = 0
  private alikeBytes = 0
  private roomFrames = 0
  private roomBytes = 0
  private readonly timer: Timer
  private armed = Number.POSITIVE_INFINITY
  private readonly lossReason: number
  private readonly limitReason: number
  private readonly downReason: number

  constructor(sw: SwitchHandle) {
    this.sw = sw
    this.counters = sw.counters
    this.waiting = new WaitingPackets(sw)
    this.timer = sw.timer(() => this.fire())
    this.lossReason = sw.registerReason('impairment-loss')
    this.limitReason = sw.registerReason('impairment-limit')
    this.downReason = sw.registerReason('impairment-link-down')
  }

  private fire(): void {
    this.armed = Number.POSITIVE_INFINITY
    this.waiting.advance(this.sw.now())
    this.arm()
  }

  private arm(): void {
    const next = this.waiting.nextMs()
    if (next >= this.armed) return
    this.armed = next
    this.timer.at(next)
  }

  /** The batch was gone through: what is to wait is held, and the timer set. */
  finish(batch: Batch, nowMs: number): void {
    if (this.alike !== undefined) this.endAlike()
    if (this.gathered !== 0) this.holdGathered(batch, nowMs)
    this.arm()
  }

  // Packet `i` is to be held until `due`.
  private gather(batch: Batch, i: number, line: Line, due: number, target: number, nowMs: number): void {
    if (this.gathered === BATCH_MAX) this.holdGathered(batch, nowMs)
    const run = this.runFor(line, due, target)
    this.positions[this.gathered++] = i
    this.ends[run] = this.gathered
  }

  // The run that a packet joins.
  private runFor(line: Line, due: number, target: number): number {
    const last = this.runs - 1
    if (last >= 0 && this.lines[last] === line && this.dues[last] === due && this.targets[last] === target) return last
    const run = this.runs++
    this.lines[run] = line
    this.dues[run] = due
    this.targets[run] = target
    return run
  }

  private holdGathered(batch: Batch, nowMs: number): void {
    const { gathered, runs, positions, handles, ends, lines, dues, targets } = this
    if (gathered === 0) return
    this.gathered = 0
    this.runs = 0
    const held = batch.holdAll(positions, gathered, handles)
    this.counters[ImpairmentCounter.delayed] = this.counters[ImpairmentCounter.delayed]! + held
    for (let run = 0, from = 0; run < runs; run++) {
      const to = ends[run]!
      const line = lines[run]!
      this.waiting.addRun(batch, positions, handles, from, to, line, dues[run]!, targets[run]!, nowMs)
      if (held !== gathered)
        for (let n = from; n < to; n++)
          if (handles[n] === 0) {
            line.wait(-1, -batch.frameLength(positions[n]!))
            this.overflow(batch, positions[n]!, targets[run] === NO_PORT ? -1 : 0)
          }
      from = to
    }
  }

  /**
   * `impair` for a line that delays all frames alike, and packets with one destination on egress: those from position `first` to before `end`.
   * What is the same for all is found once.
   */
  delay(batch: Batch, first: number, end: number, target: number, line: Line, nowMs: number): void {
    if (line !== this.alike) this.beginAlike(line, nowMs)
    this.alikeMet += end - first
    if (!this.alikeWaits) return
    const { slots, pool } = batch
    const { length } = pool
    let bytes = 0
    for (let i = first; i < end; i++) bytes += length[slots[i]!]!
    if (this.alikeFrames + end - first > this.roomFrames || this.alikeBytes + bytes > this.roomBytes) {
      this.delaySome(batch, first, end, target, line, nowMs)
      return
    }
    this.alikeFrames += end - first
    this.alikeBytes += bytes
    if (this.holdRun(batch, first, end, bytes, target, line, nowMs)) return
    for (let i = first; i < end; ) {
      if (this.gathered === BATCH_MAX) this.holdGathered(batch, nowMs)
      const run = this.runFor(line, this.alikeDue, target)
      let { gathered } = this
      while (i < end && gathered < BATCH_MAX) this.positions[gathered++] = i++
      this.gathered = gathered
      this.ends[run] = gathered
    }
  }

  // Holds packets that wait alike under one handle. False if they are no run, or find no room.
  private holdRun(batch: Batch, first: number, end: number, bytes: number, target: number, line: Line, nowMs: number): boolean {
    if (this.gathered !== 0) this.holdGathered(batch, nowMs) // they came before
    const handle = batch.holdRun(first, end)
    if (handle === 0) return false
    this.counters[ImpairmentCounter.delayed] = this.counters[ImpairmentCounter.delayed]! + end - first
    this.waiting.add(handle, end - first, Kind.held, line, this.alikeDue, bytes, batch.sourcePortId(first), target, nowMs)
    return true
  }

  // Not all find room.
  private delaySome(batch: Batch, first: number, end: number, target: number, line: Line, nowMs: number): void {
    for (let i = first; i < end; i++) {
      const length = batch.frameLength(i)
      if (this.alikeFrames >= this.roomFrames || this.alikeBytes + length > this.roomBytes) {
        this.overflow(batch, i, target === NO_PORT ? -1 : 0)
        continue
      }
      this.alikeFrames++
      this.alikeBytes += length
      this.gather(batch, i, line, this.alikeDue, target, nowMs)
    }
  }

  private beginAlike(line: Line, nowMs: number): void {
    if (this.alike !== undefined) this.endAlike()
    this.alike = line
    this.roomFrames = line.roomFrames
    this.roomBytes = line.roomBytes
    this.alikeDue = line.due(nowMs, 0)
    this.alikeWaits = this.alikeDue > nowMs || line.held !== 0
  }

  private endAlike(): void {
    const { counters } = this
    counters[ImpairmentCounter.matched] = counters[ImpairmentCounter.matched]! + this.alikeMet
    if (this.alikeFrames !== 0) this.alike!.wait(this.alikeFrames, this.alikeBytes)
    this.alike = undefined
    this.alikeMet = 0
    this.alikeFrames = 0
    this.alikeBytes = 0
  }

  /** Impairs packet `i` of a batch by `line`; on egress its destination `k` alone, which is port `target`. On ingress `k` is -1. */
  impair(batch: Batch, i: number, k: number, target: number, line: Line, nowMs: number): void {
    if (batch.isTraced) {
      batch.explain(i, wordsOf(line.settings, line.held))
      if (!line.settings.up) this.drop(batch, i, k, this.downReason)
      return // no dice are thrown, nothing waits, and nothing is counted
    }
    this.count(ImpairmentCounter.matched)
    if (!line.onlyDelays && !this.waits(batch, i, k, line, nowMs)) return
    const length = batch.pool.length[batch.slots[i]!]!
    if (!line.hasRoom(length)) {
      this.overflow(batch, i, k)
      return
    }
    const due = line.due(nowMs, length)
    if (due <= nowMs && line.held === 0) return
    line.wait(1, length)
    if (k >= 0 && batch.destinationCount(i) !== 1) this.holdOne(batch, i, k, target, line, due, nowMs)
    else this.gather(batch, i, line, due, target, nowMs)
  }

  // What a line may do to a packet besides delaying it. False if that is not delayed any more.
  private waits(batch: Batch, i: number, k: number, line: Line, nowMs: number): boolean {
    if (!line.settings.up) {
      this.count(ImpairmentCounter.linkDown)
      this.drop(batch, i, k, this.downReason)
      return false
    }
    const isLost = line.loses()
    const isTwice = line.duplicates()
    if (isLost !== isTwice && isLost) {
      this.count(ImpairmentCounter.lost)
      this.drop(batch, i, k, this.lossReason)
      return false
    }
    if (isTwice && !isLost) this.duplicate(batch, i, k, line, nowMs)
    if (line.corrupts()) this.corrupt(batch, i, line)
    if (!line.reorders()) return true
    this.count(ImpairmentCounter.reordered)
    return false
  }

  // One destination of several.
  private holdOne(batch: Batch, i: number, k: number, target: number, line: Line, due: number, nowMs: number): void {
    this.holdGathered(batch, nowMs) // they came before it
    const length = batch.frameLength(i)
    const handle = batch.hold(i, k)
    if (handle === 0) {
      line.wait(-1, -length)
      this.overflow(batch, i, k)
      return
    }
    this.count(ImpairmentCounter.delayed)
    this.waiting.add(handle, 1, Kind.held, line, due, length, batch.sourcePortId(i), target, nowMs)
  }

  private duplicate(batch: Batch, i: number, k: number, line: Line, nowMs: number): void {
    const length = batch.frameLength(i)
    if (!line.hasRoom(length)) return
    this.holdGathered(batch, nowMs) // they came before it
    const clone = k < 0 ? batch.clone(i) : batch.clone(i, true, k)
    if (clone === 0) return
    this.count(ImpairmentCounter.duplicated)
    const target = k < 0 ? NO_PORT : batch.destinationPortId(i, k)
    const kind = k < 0 ? Kind.sent : Kind.indicated
    const due = line.due(nowMs, length)
    if (due <= nowMs && line.held === 0) {
      this.waiting.send(clone, kind) // nothing waits, and nothing is to wait for it
      return
    }
    line.wait(1, length)
    this.waiting.add(clone, 1, kind, line, due, length, batch.sourcePortId(i), target, nowMs)
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
    this.counters[counter] = this.counters[counter]! + 1
  }

  /** Lets everything go on, in order: the module pauses (ES-056). */
  giveBack(): void {
    this.waiting.giveBack()
    this.timer.stop()
    this.armed = Number.POSITIVE_INFINITY
  }

  /** Lets the packets go on that name port `portId`, which is going (ES-208). */
  forgetPort(portId: number): void {
    this.waiting.forgetPort(portId)
  }

  /** Lets the packets of a line go on, in order: it is no more. */
  endLine(line: Line): void {
    this.waiting.endLine(line)
  }
}
