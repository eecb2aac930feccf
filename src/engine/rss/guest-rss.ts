// RSS of one guest with several queue pairs: its indirection table as the control thread keeps it, under the rules of a VPort whose RSS
// processors are the guest's queue pairs; and what processors count.
//
// The rule it must not break: a table never names more queue pairs than the guest receives on (VQ-198): queue pairs come before the table that
// uses them, and go after it (VQ-202, VQ-203).
import { HASH_FUNCTION_TOEPLITZ, UdpHashType } from '../../adapter/rss/hash-types.ts'
import { QUEUE_PAIRS_MAX, RSS_ENTRIES, type RssCounters } from '../../adapter/rss/queue-pair-counters.ts'
import { HASH_TYPES_COMPUTED } from '../../adapter/rss/rss-limits.ts'
import type { RssTable } from '../../adapter/rss/rss-table.ts'
import { RssV2Flag, VPortRss } from '../../adapter/rss/vport-rss.ts'
import { NdisStatus, ndisStatusName } from '../../ndis/status.ts'
import { type BalancedEntry, balance } from './entry-balance.ts'
import type { EntryMoves, RssStatus, VmmqSettings } from './rss-config.ts'

/** Looks at the load for which an entry that has moved stays where it is. */
const RESTING_LOOKS = 3
const VPORT = 0
const TYPES = HASH_TYPES_COMPUTED | UdpHashType.udpIpv4 | UdpHashType.udpIpv6
const ALL_PAIRS: ReadonlySet<number> = new Set(Array.from({ length: QUEUE_PAIRS_MAX }, (_, pair) => pair))

export class SwitchRssError extends Error {
  override readonly name = 'SwitchRssError'
  readonly code: 'NO_QUEUE_PAIRS' | 'BAD_ENTRY' | 'NOT_ACCEPTED' | 'NO_SUCH_QUEUE_PAIR' | 'NO_QUEUES'

  constructor(code: SwitchRssError['code'], message: string) {
    super(message)
    this.code = code
  }
}

export interface GuestRssComponents {
  readonly table: RssTable
  /** Of each processor. */
  readonly counters: readonly RssCounters[]
  /** 40 bytes. */
  readonly hashKey: Uint8Array
}

export class GuestRss {
  readonly #components: GuestRssComponents
  readonly #rss = new VPortRss({
    affinity: [0],
    queues: 1,
    queuesMax: QUEUE_PAIRS_MAX,
    processors: ALL_PAIRS,
    hashTypes: TYPES,
  })
  /** Queue pairs that the guest receives on. */
  #receiving = 1
  #framesBefore: readonly number[] = new Array(RSS_ENTRIES).fill(0)
  readonly #resting = new Uint8Array(RSS_ENTRIES)

  constructor(components: GuestRssComponents) {
    this.#components = components
    this.#enable(false, 1, true)
  }

  get receiving(): number {
    return this.#receiving
  }

  /** The guest receives on so many queue pairs, and its port says what of them is used. The table is made anew if that number changes. */
  follow(receiving: number, { vmmqEnabled = true, vmmqQueuePairs = QUEUE_PAIRS_MAX }: VmmqSettings): void {
    this.#receiving = receiving
    const used = Math.max(1, vmmqEnabled ? Math.min(receiving, vmmqQueuePairs, QUEUE_PAIRS_MAX) : 1)
    const { queues } = this.#rss.state
    if (used > queues) this.#must(this.#rss.setQueues(used)) // VQ-203
    if (used !== queues) {
      this.#must(
        this.#rss.replace(
          Array.from({ length: RSS_ENTRIES }, (_, entry) => entry % used),
          0,
        ),
      )
      this.#resting.fill(0)
    }
    if (used < queues) this.#must(this.#rss.setQueues(used)) // VQ-202
    this.#enable(used > 1, used, this.#rss.state.hashInformation === 0)
    this.#components.table.set(VPORT, this.#rss.state)
  }

  #enable(on: boolean, queues: number, isFirst: boolean): void {
    const { enableRss, hashInfoChanged, hashKeyChanged, numberOfEntriesChanged } = RssV2Flag
    const hash = isFirst && on ? hashInfoChanged | hashKeyChanged : 0 // they stay what they are (VQ-196)
    this.#must(
      this.#rss.set({
        flags: (on ? enableRss : 0) | hash | numberOfEntriesChanged,
        hashInformation: HASH_FUNCTION_TOEPLITZ | TYPES,
        hashSecretKey: this.#components.hashKey,
        numberOfQueues: queues,
        numberOfIndirectionTableEntries: RSS_ENTRIES,
      }),
    )
  }

  #must(status: NdisStatus): void {
    if (status !== NdisStatus.success) throw new Error(`the indirection table was refused: ${ndisStatusName(status)}`)
  }

  /** Moves entries, all or none (VQ-225). Throws SwitchRssError. */
  move({ entries, from, to }: EntryMoves, name: string): void {
    const { enabled, queues, table } = this.#rss.state
    if (!enabled)
      throw new SwitchRssError('NO_QUEUE_PAIRS', `port "${name}" uses one queue pair: there is nowhere to move entries to`)
    if (to >= queues)
      throw new SwitchRssError('NO_SUCH_QUEUE_PAIR', `port "${name}" uses queue pairs 0 to ${queues - 1}, and no ${to}`)
    const wrong = entries.find((entry) => table[entry] === undefined)
    if (wrong !== undefined)
      throw new SwitchRssError('BAD_ENTRY', `the table of port "${name}" has entries 0 to ${table.length - 1}, and no ${wrong}`) // VQ-221
    const elsewhere = entries.find((entry) => table[entry] !== from)
    const status = this.#rss.move(
      entries.map((index) => ({ index, target: to })),
      from,
    )
    if (status === NdisStatus.notAccepted)
      throw new SwitchRssError(
        'NOT_ACCEPTED',
        `entry ${elsewhere} of port "${name}" points to queue pair ${table[elsewhere!]}, not ${from}: nothing was moved`,
      ) // VQ-222
    if (status !== NdisStatus.success)
      throw new SwitchRssError('NO_QUEUES', `the entries of port "${name}" stay: ${ndisStatusName(status)}`)
    for (const entry of entries) this.#resting[entry] = RESTING_LOOKS
    this.#components.table.set(VPORT, this.#rss.state)
  }

  /** Looks at what came since the last look, and levels it. */
  rebalance(): readonly BalancedEntry[] {
    const frames = this.#entryFrames()
    const since = frames.map((count, entry) => count - this.#framesBefore[entry]!)
    this.#framesBefore = frames
    const { enabled, queues, table } = this.#rss.state
    const moves = enabled ? balance(table, since, queues, (entry) => this.#resting[entry] === 0) : []
    for (const [entry, looks] of this.#resting.entries()) this.#resting[entry] = Math.max(0, looks - 1)
    for (const { entry, from, to } of moves) {
      this.#must(this.#rss.move([{ index: entry, target: to }], from))
      this.#resting[entry] = RESTING_LOOKS
    }
    if (moves.length > 0) this.#components.table.set(VPORT, this.#rss.state)
    return moves
  }

  #sum(of: (counters: RssCounters) => number): number {
    return this.#components.counters.reduce((total, counters) => total + of(counters), 0)
  }

  #entryFrames(): number[] {
    return Array.from({ length: RSS_ENTRIES }, (_, entry) => this.#sum((counters) => counters.ofEntry(entry)))
  }

  /** `processorOf`: who takes what the guest sends on a queue pair. */
  status(port: string, settings: VmmqSettings, processorOf: (queuePair: number) => number): RssStatus {
    const { table } = this.#rss.state
    return {
      port,
      vmmqEnabled: settings.vmmqEnabled ?? true,
      vmmqQueuePairs: settings.vmmqQueuePairs ?? null,
      receiving: this.#receiving,
      queuePairs: Array.from({ length: this.#receiving }, (_, queuePair) => ({
        queuePair,
        processor: processorOf(queuePair),
        entries: table.filter((pair) => pair === queuePair).length,
        frames: this.#sum((counters) => counters.ofPair(queuePair)),
      })),
      indirectionTable: table,
      entryFrames: this.#entryFrames(),
      framesWithoutHash: this.#sum((counters) => counters.ofEntry(RSS_ENTRIES)),
      moves: {
        done: this.#sum((counters) => counters.moves),
        forced: this.#sum((counters) => counters.movesForced),
        waiting: this.#sum((counters) => counters.movesWaiting),
      },
    }
  }
}
