// A shared store in memory, with a clock of its own: for tests and simulations of many hosts.
//
// The rule it must not break: it promises what the NATS one does and no more: entries late, a connection that goes, writes whose answer is
// lost; but one order for all.
import type { SharedEntry, SharedStore, StoreWatcher, WriteRefusal, WriteResult } from './shared-store.ts'

interface ClockEvent {
  readonly atMs: number
  readonly order: number
  readonly work: () => void
}

const isBefore = (one: ClockEvent, other: ClockEvent): boolean =>
  one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order)

/** Time that moves only when it is told to. */
export class VirtualClock {
  nowMs = 0
  /** A heap: the next event stands first. */
  readonly #events: ClockEvent[] = []
  #order = 0

  /** Runs `work` after `delayMs`; what is due at the same time runs in the order in which it was asked for. */
  after(delayMs: number, work: () => void): void {
    const event = { atMs: this.nowMs + delayMs, order: this.#order++, work }
    let at = this.#events.length
    while (at > 0) {
      const above = (at - 1) >> 1
      if (!isBefore(event, this.#events[above]!)) break
      this.#events[at] = this.#events[above]!
      at = above
    }
    this.#events[at] = event
  }

  /** Lets `ms` milliseconds pass, with all that happens in them. */
  run(ms: number): void {
    const until = this.nowMs + ms
    for (;;) {
      const next = this.#events[0]
      if (next === undefined || next.atMs > until) break
      this.#removeFirst()
      this.nowMs = next.atMs
      next.work()
    }
    this.nowMs = until
  }

  #removeFirst(): void {
    const last = this.#events.pop()!
    if (this.#events.length === 0) return
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= this.#events.length) break
      if (below + 1 < this.#events.length && isBefore(this.#events[below + 1]!, this.#events[below]!)) below++
      if (!isBefore(this.#events[below]!, last)) break
      this.#events[at] = this.#events[below]!
      at = below
    }
    this.#events[at] = last
  }
}

/** The bucket that all connections share. */
export class MemoryBucket {
  readonly clock: VirtualClock
  /** Bytes of keys and values that fit. */
  maxBytes = Number.POSITIVE_INFINITY
  /** False: servers choose a leader, and take no writes meanwhile. */
  isLed = true
  /** What was ever written, and told to watchers: for who counts. */
  writes = 0
  told = 0
  bytesTold = 0
  revision = 0
  readonly #held = new Map<string, SharedEntry>()
  #bytes = 0
  readonly #connections = new Set<MemoryConnection>()

  constructor(clock: VirtualClock) {
    this.clock = clock
  }

  /** A connection whose messages take `delayMs()` each way. `hears`: which keys it is told of; all without it. */
  connect(delayMs: () => number = () => 1, hears: (key: string) => boolean = () => true): MemoryConnection {
    const connection = new MemoryConnection(this, delayMs, hears)
    this.#connections.add(connection)
    return connection
  }

  /** What stands now, in the order of revisions, after `revision`. Deleted keys are told too. */
  standing(revision = 0): SharedEntry[] {
    return [...this.#held.values()].filter((entry) => entry.revision > revision).sort((a, b) => a.revision - b.revision)
  }

  put(key: string, value: string | null, expected: number): WriteResult {
    const before = this.#held.get(key)
    const present = before === undefined || before.value === null ? 0 : before.revision
    if (present !== expected) return refusal('changed', `it stands at revision ${present}`)
    const size = (entry: SharedEntry | undefined): number => (entry === undefined ? 0 : key.length + (entry.value?.length ?? 0))
    const entry = { key, value, revision: this.revision + 1 }
    const bytes = this.#bytes - size(before) + size(entry)
    if (value !== null && bytes > this.maxBytes) return refusal('full', 'the bucket takes no more')
    this.#bytes = bytes
    this.revision++
    this.writes++
    this.#held.set(key, entry)
    for (const connection of this.#connections) connection.tell(entry)
    return { done: true, revision: entry.revision }
  }
}

const refusal = (code: WriteRefusal, message: string): WriteResult => ({ done: false, code, message })

/** One host's connection to it. */
export class MemoryConnection implements SharedStore {
  readonly #bucket: MemoryBucket
  readonly #delayMs: () => number
  readonly #hears: (key: string) => boolean
  #watcher: StoreWatcher | null = null
  #up = true
  #last = 0
  /** Counts connections: what was on its way in an earlier one is lost. */
  #epoch = 0
  #waiting: SharedEntry[] = []
  #toldUntil = 0
  /** What comes at the same time comes in one batch. */
  #coming: { readonly atMs: number; readonly entries: SharedEntry[] } | null = null
  /** False: entries stay where they are, as with a watcher that does not read. */
  #reads = true

  constructor(bucket: MemoryBucket, delayMs: () => number, hears: (key: string) => boolean) {
    this.#bucket = bucket
    this.#delayMs = delayMs
    this.#hears = hears
  }

  watch(watcher: StoreWatcher): void {
    this.#watcher = watcher
    this.#begin('whole')
  }

  async write(key: string, value: string | null, expected: number): Promise<WriteResult> {
    return new Promise((resolve) => this.submit(key, value, expected, resolve))
  }

  /** The same with a call in place of a promise, for virtual time. */
  submit(key: string, value: string | null, expected: number, answer: (result: WriteResult) => void): void {
    const { clock } = this.#bucket
    const epoch = this.#epoch
    const lost = (): void => answer(refusal('unreachable', 'the connection is gone'))
    if (!this.#up) {
      clock.after(1, lost)
      return
    }
    clock.after(this.#delayMs(), () => {
      if (epoch !== this.#epoch || !this.#bucket.isLed) return lost()
      const result = this.#bucket.put(key, value, expected)
      clock.after(this.#delayMs(), () => (epoch === this.#epoch ? answer(result) : lost()))
    })
  }

  /** The connection goes, or comes back. */
  setUp(up: boolean): void {
    if (this.#up === up) return
    this.#up = up
    this.#epoch++
    this.#waiting = []
    this.#coming = null
    if (up) this.#begin('rest')
    else this.#watcher?.connected(false, 'the connection is gone')
  }

  /** Whether the watcher reads what comes. */
  setReading(reads: boolean): void {
    this.#reads = reads
    if (reads) this.#drain()
  }

  tell(entry: SharedEntry): void {
    if (!this.#up || this.#watcher === null || !this.#hears(entry.key)) return
    const atMs = this.#arrivesMs()
    if (this.#coming?.atMs === atMs) {
      this.#coming.entries.push(entry)
      return
    }
    const epoch = this.#epoch
    const coming = { atMs, entries: [entry] }
    this.#coming = coming
    this.#bucket.clock.after(atMs - this.#bucket.clock.nowMs, () => {
      if (this.#coming === coming) this.#coming = null
      if (epoch !== this.#epoch) return
      this.#waiting.push(...coming.entries)
      this.#drain()
    })
  }

  async close(): Promise<void> {
    this.#up = false
    this.#epoch++
    this.#watcher = null
  }

  #begin(kind: 'whole' | 'rest'): void {
    const epoch = this.#epoch
    const standing = this.#bucket.standing(kind === 'whole' ? 0 : this.#last).filter(({ key }) => this.#hears(key))
    this.#coming = null // what comes now comes after this
    this.#bucket.clock.after(this.#arrivesMs() - this.#bucket.clock.nowMs, () => {
      if (epoch !== this.#epoch) return
      this.#watcher?.connected(true, '')
      this.#watcher?.begin(kind)
      this.#hand(standing)
      this.#watcher?.synced()
    })
  }

  // Entries overtake each other on no way.
  #arrivesMs(): number {
    this.#toldUntil = Math.max(this.#toldUntil, this.#bucket.clock.nowMs + this.#delayMs())
    return this.#toldUntil
  }

  #drain(): void {
    if (!this.#reads || this.#waiting.length === 0) return
    this.#hand(this.#waiting.splice(0))
  }

  #hand(entries: readonly SharedEntry[]): void {
    for (const { key, value, revision } of entries) {
      this.#last = Math.max(this.#last, revision)
      this.#bucket.told++
      this.#bucket.bytesTold += key.length + (value?.length ?? 0)
    }
    if (entries.length > 0) this.#watcher?.entries(entries)
  }
}
