// One line: a rule's settings at one port in one direction, and what came of its frames so far. It decides; who holds the frames is the
// impairer.
//
// The rule it must not break: deciding allocates nothing, and a line asks its random numbers the same questions for the same frames.
import { type Batch, compileFilter, type FrameFilter, PACKET_HEADER_STRIDE } from '../../extension.ts'
import type { LinePlan, LineSettings } from './options.ts'
import { CorrelatedDelay, CorrelatedEvent, RandomSource } from './random.ts'
import type { SharedRates } from './shared-rates.ts'

const MS_PER_S = 1000
const BITS = 8
const FILTER_BYTES_MAX = 65_562

/** Which line it is. */
export interface LineName {
  readonly portId: number
  /** Position among the rules; properties come behind those of the options. */
  readonly rule: number
  readonly seed: number
}

/** Fields are ordinary ones: they are read per packet. */
export class Line {
  readonly portId: number
  readonly rule: number
  plan: LinePlan
  settings: LineSettings
  /** The settings of this time delay frames, and do nothing else to them. */
  onlyDelays = false
  /** They delay all frames that meet the line, and all alike. */
  delaysAlike = false
  /** Frames of this processor that wait. */
  held = 0
  private readonly random: RandomSource
  private readonly lossEvent = new CorrelatedEvent()
  private readonly duplicateEvent = new CorrelatedEvent()
  private readonly corruptEvent = new CorrelatedEvent()
  private readonly reorderEvent = new CorrelatedEvent()
  private readonly delays = new CorrelatedDelay()
  private readonly rates: SharedRates
  private readonly place: number
  private filter: FrameFilter | undefined
  private looked = new Uint8Array(0)
  private isBad = false
  private sinceReorder = 0
  private lastDue = 0
  private startedMs: number
  private changesMs = 0

  constructor(name: LineName, plan: LinePlan, rates: SharedRates, nowMs: number) {
    this.portId = name.portId
    this.rule = name.rule
    this.random = new RandomSource(name.seed)
    this.rates = rates
    this.place = rates.place(((name.portId << 7) | name.rule) + 1)
    this.plan = plan
    this.settings = plan.phases[0]!.settings
    this.startedMs = nowMs
    this.change(plan, nowMs)
  }

  /** Goes on by another plan. What it holds stays. */
  change(plan: LinePlan, nowMs: number): void {
    this.plan = plan
    this.filter = plan.match === undefined ? undefined : compileFilter(plan.match)
    this.looked = new Uint8Array(Math.min(FILTER_BYTES_MAX, this.filter?.reach ?? 0))
    this.startedMs = nowMs
    this.changesMs = 0
    this.refresh(nowMs)
  }

  /** Finds the settings of this time. Call it once per batch. */
  refresh(nowMs: number): void {
    if (nowMs < this.changesMs) return
    const { phases, repeat } = this.plan
    let total = 0
    for (let i = 0; i < phases.length; i++) total += phases[i]!.durationMs
    const rounds = repeat && total !== Number.POSITIVE_INFINITY ? Math.floor((nowMs - this.startedMs) / total) : 0
    let end = this.startedMs + rounds * total
    for (let i = 0; i < phases.length; i++) {
      end += phases[i]!.durationMs
      this.settings = phases[i]!.settings
      if (nowMs < end) break
    }
    this.changesMs = nowMs < end ? end : Number.POSITIVE_INFINITY
    const { up, loss, gemodel, duplicate, corrupt, reorder, jitter, rate } = this.settings
    this.onlyDelays = up && gemodel === undefined && loss + duplicate + corrupt + reorder === 0
    this.delaysAlike = this.onlyDelays && this.filter === undefined && jitter === 0 && rate === 0
  }

  matches(batch: Batch, i: number): boolean {
    const { filter, looked } = this
    if (filter === undefined) return true
    const { pool } = batch
    const slot = batch.slots[i]!
    const length = pool.length[slot]!
    const inHeader = pool.headerLength[slot]!
    if (filter.reach <= inHeader || inHeader === length)
      return filter.matches(pool.header8, slot * PACKET_HEADER_STRIDE + pool.headerOffset[slot]!, inHeader, length)
    return filter.matches(looked, 0, batch.copyBytes(i, 0, looked.length, looked, 0), length)
  }

  loses(): boolean {
    const { gemodel, loss, lossCorrelation } = this.settings
    if (gemodel === undefined) return this.lossEvent.happens(this.random, loss, lossCorrelation)
    const lost = this.random.uniform() < (this.isBad ? gemodel.badLoss : gemodel.goodLoss)
    if (this.random.uniform() < (this.isBad ? gemodel.r : gemodel.p)) this.isBad = !this.isBad
    return lost
  }

  duplicates(): boolean {
    return this.duplicateEvent.happens(this.random, this.settings.duplicate, this.settings.duplicateCorrelation)
  }

  corrupts(): boolean {
    return this.corruptEvent.happens(this.random, this.settings.corrupt, this.settings.corruptCorrelation)
  }

  /** A whole number from 0 to below `count`. */
  pick(count: number): number {
    return Math.floor(this.random.uniform() * count)
  }

  /** Whether the next frame overtakes those that are delayed. */
  reorders(): boolean {
    const { gap, reorder, reorderCorrelation } = this.settings
    if (gap === 0 || reorder === 0) return false
    if (++this.sinceReorder < gap || !this.reorderEvent.happens(this.random, reorder, reorderCorrelation)) return false
    this.sinceReorder = 0
    return true
  }

  /** Whether a frame of `bytes` may wait. */
  hasRoom(bytes: number): boolean {
    return this.roomFrames > 0 && bytes <= this.roomBytes
  }

  /** Frames that may wait besides those that do. */
  get roomFrames(): number {
    const { place, rates, plan } = this
    return plan.limit - (place < 0 ? this.held : rates.frames(place))
  }

  /** Bytes of frames that may wait besides. */
  get roomBytes(): number {
    const { place, rates, plan } = this
    return place < 0 ? Number.POSITIVE_INFINITY : plan.limitBytes - rates.bytes(place)
  }

  /** When a frame of `bytes` leaves that comes at `nowMs`; not after `nowMs`: at once. */
  due(nowMs: number, bytes: number): number {
    const { delay, jitter, distribution, delayCorrelation, rate, burst, keepOrder } = this.settings
    let due = nowMs
    if (rate > 0 && this.place >= 0) {
      const msPerByte = (BITS * MS_PER_S) / rate
      due = this.rates.send(this.place, nowMs, bytes * msPerByte, burst * msPerByte)
    }
    if (delay > 0 && jitter === 0) due += delay
    else if (delay > 0) due += this.delays.next(this.random, delay, jitter, distribution, delayCorrelation)
    if (jitter > 0 && !keepOrder) return due
    if (this.held > 0 && due < this.lastDue) due = this.lastDue
    this.lastDue = due
    return due
  }

  /** `frames` more (or, negative, fewer) wait, of `bytes` in all. */
  wait(frames: number, bytes: number): void {
    this.held += frames
    if (this.place >= 0) this.rates.wait(this.place, frames, bytes)
  }
}
