// The queue pair of each packet that a processor delivers to a guest with several: by its Toeplitz hash and the guest's indirection table,
// which names queue pairs as the table of a VPort names processors.
//
// The rule it must not break: packets of one flow keep their order, also while its entry moves. Frames of a flow come from one processor, so
// each processor follows a move by itself: when the guest has taken all that lies in the queue pair that the entry leaves. Nothing is
// allocated, and who asks where the table has not changed pays one look per burst.
import type { PacketPool } from '../../ndis/pool.ts'
import type { QueueChoice, SinkQueue } from '../../switch/delivery.ts'
import { QUEUE_PAIRS_MAX, RSS_ENTRIES, type RssCounters } from './queue-pair-counters.ts'
import { ReceiveHash } from './receive-hash.ts'
import type { RssTable } from './rss-table.ts'
import { HASH_KEY_BYTES, Toeplitz } from './toeplitz.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const ENTRIES: number = RSS_ENTRIES
const HASHLESS: number = ENTRIES
const PAIRS: number = QUEUE_PAIRS_MAX
const NOWHERE = 0xff
const VPORT = 0

/** Longest that an entry waits for a queue pair that is never empty; then it moves all the same, and that is counted. */
export const MOVE_WAIT_MS = 1000

export interface QueuePairChoiceComponents {
  readonly pool: PacketPool
  /** Of this port alone: its VPort 0. */
  readonly table: RssTable
  readonly counters: RssCounters
  readonly nowMs: () => number
}

/** Fields are ordinary ones: they are read per packet. */
export class QueuePairChoice implements QueueChoice {
  private readonly table: RssTable
  private readonly counters: RssCounters
  private readonly nowMs: () => number
  private readonly hash: ReceiveHash
  private readonly key = new Uint8Array(HASH_KEY_BYTES)
  private toeplitz = new Toeplitz(this.key)
  /** Queue pair of each entry, and behind them that of packets without a hash, as this processor has it now. */
  private readonly pairs = new Uint8Array(ENTRIES + 1).fill(NOWHERE)
  /** When each entry began to wait for its move, in milliseconds; 0: it does not. */
  private readonly waitsSince = new Float64Array(ENTRIES + 1)
  private waiting = 0
  private version = -1
  private types = 0
  private mask = 0

  constructor({ pool, table, counters, nowMs }: QueuePairChoiceComponents) {
    this.table = table
    this.counters = counters
    this.nowMs = nowMs
    this.hash = new ReceiveHash(pool)
  }

  choose(lists: Uint16Array, first: number, count: number, queues: readonly SinkQueue[], chosen: Uint8Array): void {
    const { table, hash, pairs } = this
    // Before any packet of the burst: what is chosen for a queue pair now is not in its ring yet.
    if (table.version !== this.version || this.waiting !== 0) this.follow(queues)
    const { types, mask } = this
    const { frames } = this.counters
    for (let i = 0; i < count; i++) {
      const slot = lists[first + i]!
      let entry = HASHLESS // VQ-208
      if (types !== 0) {
        hash.of(slot, types, this.toeplitz, false)
        if (hash.type !== 0) entry = hash.value & mask // VQ-205
      }
      const pair = pairs[entry]!
      frames[PAIRS + entry] = frames[PAIRS + entry]! + 1
      frames[pair] = frames[pair]! + 1
      chosen[i] = pair
    }
  }

  // Takes over what the table says, entry by entry, as far as order lets it.
  private follow(queues: readonly SinkQueue[]): void {
    const { table, pairs, waitsSince } = this
    this.version = table.version // first: what changes meanwhile is looked at again
    if (table.readKey(VPORT, this.key)) this.toeplitz = new Toeplitz(this.key)
    this.types = table.types(VPORT)
    this.mask = table.entries(VPORT) - 1
    const withoutHash = this.types === 0 ? table.primary(VPORT) : table.default(VPORT) // VQ-214
    const now = this.nowMs()
    let waiting = 0
    for (let entry = 0; entry <= ENTRIES; entry++) {
      const wanted = entry === HASHLESS ? withoutHash : table.entry(VPORT, entry)
      const has = pairs[entry]!
      if (has === wanted) {
        waitsSince[entry] = 0
        continue
      }
      if (has < queues.length && !this.mayLeave(entry, queues[has]!, now)) {
        waiting++
        continue
      }
      waitsSince[entry] = 0
      pairs[entry] = wanted < PAIRS ? wanted : 0
      if (has !== NOWHERE) this.counters.moved(1)
    }
    this.waiting = waiting
    this.counters.setWaiting(waiting)
  }

  // An entry of a queue pair that is gone, or new, is where nobody waits for anything.
  private mayLeave(entry: number, queue: SinkQueue, now: number): boolean {
    if (queue.drained === undefined || queue.drained()) return true
    const since = this.waitsSince[entry]!
    if (since === 0) {
      this.waitsSince[entry] = now
      return false
    }
    if (now - since < MOVE_WAIT_MS) return false
    this.counters.forced(1)
    return true
  }
}
