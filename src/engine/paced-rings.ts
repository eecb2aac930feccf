// The rings of one processor that are paced (spec 7.6): bursts are taken from them as far as their ports' bandwidth allows, and a processor
// that goes to sleep does not listen to those that have to wait, but wakes when the first of them may send again.
//
// The rule it must not break: a ring that waits costs the others nothing, and is looked at again when its time has come, whatever else happens.
import type { EndpointQueue } from '../endpoints/endpoint.ts'
import { BURST_MAX } from '../kernels/layout.ts'
import { closeFd } from '../linux/files.ts'
import { createTimerFd, setTimerFd, stopTimerFd } from '../linux/timer-fd.ts'
import type { PacketPool } from '../ndis/pool.ts'
import type { BandwidthTable } from '../switch/bandwidth/bandwidth-table.ts'
import { PortPacer, type RingPace } from '../switch/bandwidth/port-pacer.ts'
import type { DataPath, SourceQueue } from '../switch/data-path.ts'

const burstMax: number = BURST_MAX
const US_PER_MS = 1000
/** Waits shorter than this are not slept through. */
const SLEEP_MIN_MS = 0.02
/** A ring that has given a burst that is not full, of fewer bytes than come in within the one time, is left alone for the other; microseconds. */
const CRUMB_US = 40
const REST_US = 20

/** A queue that a processor polls, and how its ring is paced; undefined where what it takes is no VM's of the switch. */
export interface PacedSource {
  readonly queue: EndpointQueue
  readonly pace: RingPace | undefined
  readonly nicIndex: number
}

export interface PacedRingsComponents {
  readonly table: BandwidthTable
  readonly pool: PacketPool
  readonly dataPath: DataPath
  /** Milliseconds, monotonic, fractional, the same on all processors. */
  readonly nowMs: () => number
}

/** Fields are ordinary ones: they are read per burst. Between the data path and a ring, it stands for the ring. */
export class PacedRings<Source extends PacedSource> implements SourceQueue {
  /** Readable when the first ring that waits may send again. */
  readonly timer = createTimerFd()
  private readonly table: BandwidthTable
  private readonly pacer: PortPacer
  private readonly dataPath: DataPath
  private readonly nowMs: () => number
  /** Not listened to. */
  private left: Source[] = []
  // Of the burst in work.
  private queue: SourceQueue | undefined
  private pace: RingPace | undefined
  private most = 0

  constructor({ table, pool, dataPath, nowMs }: PacedRingsComponents) {
    this.table = table
    this.pacer = new PortPacer(table, pool)
    this.dataPath = dataPath
    this.nowMs = nowMs
  }

  /** True if the source is paced now: its bursts are to be taken by `turn`. */
  concerns({ pace }: Source): boolean {
    return this.table.isOn && pace !== undefined && this.pacer.concerns(pace.port)
  }

  /** Takes one burst from a source that is paced through the switch. Returns the packets taken. */
  turn({ queue, pace, nicIndex }: Source): number {
    const ring = pace!
    const nowUs = this.nowMs() * US_PER_MS
    if (ring.restsUntilUs > nowUs) return 0
    const room = this.pacer.room(ring, nowUs)
    if (room === 0) return 0
    this.queue = queue
    this.pace = ring
    this.most = room
    const taken = this.dataPath.turn(this, ring.port, nicIndex)
    // Else tokens would be spent as they come in: a frame or two in each turn, which cost as much as a burst.
    const isCrumb = room < burstMax && room * ring.frameBytes < this.table.sendRate(ring.port) * CRUMB_US
    ring.restsUntilUs = isCrumb && ring.hasMore ? nowUs + REST_US : 0
    return taken
  }

  receive(first: number, max: number): number {
    const asked = Math.min(max, this.most)
    const taken = this.queue!.receive(first, asked)
    this.pacer.took(this.pace!, first, taken, asked)
    return taken
  }

  complete(first: number, count: number): void {
    this.queue!.complete(first, count)
  }

  // ---- before and after sleeping ------------------------------------------------------------------------------------------------

  private waits(source: Source): boolean {
    return this.table.isOn && source.pace !== undefined && this.pacer.waits(source.pace, this.nowMs() * US_PER_MS)
  }

  /** All sources are about to be listened to. */
  begin(): void {
    if (this.left.length !== 0) this.left = []
  }

  /** True if a source is not to be listened to. */
  leaves(source: Source): boolean {
    if (!this.waits(source)) return false
    this.left.push(source)
    return true
  }

  /** The first source that was left and waits no longer, taken off the list; undefined: there is none. */
  next(): Source | undefined {
    const at = this.left.findIndex((source) => !this.waits(source))
    return at < 0 ? undefined : this.left.splice(at, 1)[0]
  }

  /** Sets the timer for the first source that was left. False if its time has come: there is no use in sleeping. */
  setTimer(): boolean {
    if (this.left.length === 0) return true
    const dueUs = this.left.reduce((due, { pace }) => Math.min(due, pace!.dueUs), Number.POSITIVE_INFINITY)
    const ms = dueUs / US_PER_MS - this.nowMs()
    if (ms < SLEEP_MIN_MS) return false
    setTimerFd(this.timer, ms)
    return true
  }

  /** Calls `due` for each source that was left and whose time has come; they stay on the list. */
  woken(due: (source: Source) => void): void {
    if (this.left.length === 0) return
    stopTimerFd(this.timer)
    for (const source of this.left) if (!this.waits(source)) due(source)
  }

  close(): void {
    closeFd(this.timer)
  }
}
