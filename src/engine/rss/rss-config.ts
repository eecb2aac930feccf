// What a running switch tells of the queue pairs of its guests, and what may be asked: the contract between the engine and the management
// layer above. Types only.
//
// The rule it must not break: everything here survives JSON.

/** RSS of the whole switch. */
export interface RssConfig {
  /** Seconds between two looks at the load of queue pairs, after which entries may move; 0: none does by itself. Default 10. */
  readonly rebalanceSeconds?: number | undefined
  /** 80 hexadecimal digits; without it, one that is made when the switch starts, and that nobody knows. */
  readonly hashKey?: string | undefined
}

/** What a port says of it (Set-VMNetworkAdapter). */
export interface VmmqSettings {
  /** False: all frames come by the first queue pair. Default true. */
  readonly vmmqEnabled?: boolean | undefined
  /** Queue pairs that frames are spread over at the most; all that the guest receives on without it. */
  readonly vmmqQueuePairs?: number | undefined
}

/** Moves of entries of the indirection table, all of which point to queue pair `from`. */
export interface EntryMoves {
  readonly entries: readonly number[]
  readonly from: number
  readonly to: number
}

export interface QueuePairStatus {
  readonly queuePair: number
  /** The processor that takes what the guest sends on it. */
  readonly processor: number
  /** Entries of the table that point to it. */
  readonly entries: number
  /** Frames that were delivered by it, since the port was made. */
  readonly frames: number
}

/** A guest with several queue pairs. */
export interface RssStatus {
  readonly port: string
  readonly vmmqEnabled: boolean
  /** As configured; null: all that there are. */
  readonly vmmqQueuePairs: number | null
  /** Queue pairs that the guest receives on. */
  readonly receiving: number
  readonly queuePairs: readonly QueuePairStatus[]
  /** The queue pair of each entry; entry = hash AND (entries - 1). */
  readonly indirectionTable: readonly number[]
  /** Frames of each entry. */
  readonly entryFrames: readonly number[]
  /** Frames without a hash, which come by queue pair 0. */
  readonly framesWithoutHash: number
  readonly moves: {
    /** Moves of entries that a processor has followed: each processor counts. */
    readonly done: number
    /** Of these, those for which the queue pair was never found empty. */
    readonly forced: number
    /** Those that a processor has yet to follow. */
    readonly waiting: number
  }
}

/** Errors carry a `code`: NO_SUCH_PORT, NO_QUEUE_PAIRS, and BAD_ENTRY, NOT_ACCEPTED, NO_SUCH_QUEUE_PAIR, NO_QUEUES of moves. */
export interface SwitchRss {
  list(): readonly RssStatus[]
  /** Changes settings of a port while frames flow. */
  set(port: string, change: VmmqSettings): Promise<RssStatus>
  /** Moves entries, all of them or none. */
  move(port: string, moves: EntryMoves): RssStatus
}
