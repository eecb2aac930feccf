// Receive side scaling of one VPort (spec 3.10): its queue count, hash, indirection table, and the primary and default processor. With RSS
// off the primary processor steers; with it on the default processor and the table do (VQ-214).
//
// The rule it must not break: a change is made whole or not at all, and a table never names more processors than the VPort has queues.
import { NdisStatus } from '../../ndis/status.ts'
import { HASH_FUNCTION_MASK, HASH_FUNCTION_TOEPLITZ, HASH_TYPES_ALL, PUBLISHED_HASH_KEY } from './hash-types.ts'
import { HASH_KEY_BYTES } from './toeplitz.ts'

/** Entries that a table has at the most. */
export const TABLE_ENTRIES_MAX = 128

/** IndirectionTableIndex of the two processors that are no table entries (VQ-221). */
export const DEFAULT_PROCESSOR_INDEX = 0xffff
export const PRIMARY_PROCESSOR_INDEX = 0xfffe

/** NDIS_RECEIVE_SCALE_PARAMETERS_V2.Flags */
export const RssV2Flag = {
  enableRss: 0x1,
  hashInfoChanged: 0x2,
  hashKeyChanged: 0x4,
  numberOfQueuesChanged: 0x8,
  numberOfEntriesChanged: 0x10,
} as const

/** NDIS_RECEIVE_SCALE_PARAMETERS_V2 of a VPort. */
export interface RssParametersV2 {
  readonly flags: number
  readonly hashInformation: number
  readonly hashSecretKey: Uint8Array
  readonly numberOfQueues: number
  readonly numberOfIndirectionTableEntries: number
}

export interface VPortRssOptions {
  /** Processors of the VPort's affinity: the lowest one serves it to begin with (VQ-193). */
  readonly affinity: readonly number[]
  readonly queues: number
  readonly queuesMax: number
  /** Entries that its table may have at the most; default TABLE_ENTRIES_MAX. */
  readonly entriesMax?: number
  /** Its table has as many entries as it has queues, rounded up to a power of two, while RSS is on (VQ-186). */
  readonly restricted?: boolean
  /** The adapter's RSS processors (NdisGetRssProcessorInformation). */
  readonly processors: ReadonlySet<number>
  /** Hash types that it may have on; default HASH_TYPES_ALL. */
  readonly hashTypes?: number
}

/** One step of a group of moves. */
export interface EntryMove {
  readonly index: number
  readonly target: number
}

/** Entries of a restricted table (VQ-186). */
export const restrictedEntries = (queues: number): number => 2 ** Math.ceil(Math.log2(queues))

const isPowerOfTwo = (n: number): boolean => Number.isInteger(n) && n > 0 && (n & (n - 1)) === 0

/** What steers a VPort's packets, as it is at one moment. */
export interface RssState {
  readonly enabled: boolean
  /** Hash function and types; 0 = none was set yet. */
  readonly hashInformation: number
  readonly hashSecretKey: Uint8Array
  readonly queues: number
  readonly primary: number
  readonly default: number
  /** A power of two of processors; entry = hash AND (length - 1). */
  readonly table: readonly number[]
}

/** RSS of one VPort. */
export class VPortRss {
  readonly #processors: ReadonlySet<number>
  readonly #queuesMax: number
  readonly #entriesMax: number
  readonly #restricted: boolean
  readonly #hashTypes: number
  #state: RssState

  constructor({ affinity, queues, queuesMax, processors, entriesMax, restricted, hashTypes }: VPortRssOptions) {
    const first = Math.min(...affinity)
    this.#entriesMax = entriesMax ?? TABLE_ENTRIES_MAX
    this.#restricted = restricted ?? false
    this.#hashTypes = hashTypes ?? HASH_TYPES_ALL
    this.#processors = processors
    this.#queuesMax = queuesMax
    // VQ-217
    this.#state = {
      enabled: false,
      hashInformation: 0,
      hashSecretKey: PUBLISHED_HASH_KEY,
      queues,
      primary: first,
      default: first,
      table: [first],
    }
  }

  get state(): RssState {
    return this.#state
  }

  /** The processor that serves a packet with this hash; without one, the default or primary processor (VQ-205, VQ-208, VQ-214). */
  steer(hash: number | undefined): number {
    const { enabled, primary, table } = this.#state
    if (!enabled) return primary
    return hash === undefined ? this.#state.default : table[hash & (table.length - 1)]!
  }

  /** Processors that serve packets now. */
  steering(): Set<number> {
    const { enabled, primary, table } = this.#state
    return new Set(enabled ? [this.#state.default, ...table] : [primary])
  }

  /** OID_GEN_RECEIVE_SCALE_PARAMETERS_V2. */
  set(wanted: RssParametersV2): NdisStatus {
    const { flags } = wanted
    const known = Object.values(RssV2Flag).reduce((sum, flag) => sum | flag, 0)
    if ((flags & ~known) !== 0) return NdisStatus.invalidParameter
    let next = { ...this.#state, enabled: (flags & RssV2Flag.enableRss) !== 0 }
    if ((flags & RssV2Flag.numberOfQueuesChanged) !== 0) {
      const queues = wanted.numberOfQueues
      if (!this.#mayHave(queues)) return NdisStatus.invalidParameter
      next = this.#withQueues(next, queues)
    }
    if ((flags & RssV2Flag.numberOfEntriesChanged) !== 0) {
      const entries = wanted.numberOfIndirectionTableEntries
      if (!this.#mayBeTable(entries, next.queues)) return NdisStatus.invalidParameter
      const table = resized(next.table, entries)
      if (typeof table === 'number') return table
      next = { ...next, table }
    }
    if (next.enabled) {
      const hash = this.#hash(wanted)
      if (typeof hash === 'number') return hash
      next = { ...next, ...hash }
    } // VQ-233: with RSS off hash information and key are ignored
    return this.#keep(next)
  }

  #mayHave(queues: number): boolean {
    return Number.isInteger(queues) && queues >= 1 && queues <= this.#queuesMax
  }

  // VQ-197, VQ-186
  #mayBeTable(entries: number, queues: number): boolean {
    if (!isPowerOfTwo(entries) || entries > this.#entriesMax) return false
    return !this.#restricted || entries === restrictedEntries(queues)
  }

  // A restricted table grows with the queues, by repeating itself (VQ-204).
  #withQueues(state: RssState, queues: number): RssState {
    const entries = restrictedEntries(queues)
    if (!this.#restricted || entries <= state.table.length) return { ...state, queues }
    return { ...state, queues, table: repeated(state.table, entries) }
  }

  /** VPORT_PARAMETERS with another queue pair count (VQ-194, VQ-202, VQ-203). */
  setQueues(queues: number): NdisStatus {
    return this.#mayHave(queues) ? this.#keep(this.#withQueues(this.#state, queues)) : NdisStatus.invalidParameter
  }

  /** VPORT_PARAMETERS with another affinity: its lowest processor becomes the primary one (VQ-193); the table stays (VQ-218). */
  setAffinity(affinity: readonly number[]): NdisStatus {
    return this.#keep({ ...this.#state, primary: Math.min(...affinity) })
  }

  // Hash information and key as they become. They don't change in the lifetime of a VPort once they are in use (VQ-196).
  #hash(wanted: RssParametersV2): Pick<RssState, 'hashInformation' | 'hashSecretKey'> | NdisStatus {
    const { hashInformation: now, hashSecretKey: key } = this.#state
    const information = (wanted.flags & RssV2Flag.hashInfoChanged) !== 0 ? wanted.hashInformation : now
    const secret = (wanted.flags & RssV2Flag.hashKeyChanged) !== 0 ? wanted.hashSecretKey : key
    const types = information & ~HASH_FUNCTION_MASK
    if ((information & HASH_FUNCTION_MASK) !== HASH_FUNCTION_TOEPLITZ || types === 0) return NdisStatus.invalidParameter
    if ((types & ~this.#hashTypes) !== 0 || secret.length !== HASH_KEY_BYTES) return NdisStatus.invalidParameter
    const changed = information !== now || secret.some((octet, i) => octet !== key[i])
    if (now !== 0 && changed) return NdisStatus.invalidParameter
    return { hashInformation: information, hashSecretKey: Uint8Array.from(secret) }
  }

  // Takes a state over if it is sound: no more processors in the table than queues (VQ-198, VQ-229), and none that steers outside of the
  // RSS processors (VQ-216). What is not active may be, until it is.
  #keep(next: RssState): NdisStatus {
    const processors = new Set(next.table)
    if (processors.size > next.queues) return NdisStatus.noQueues
    const steering = next.enabled ? [next.default, ...processors] : [next.primary]
    if (steering.some((processor) => !this.#processors.has(processor))) return NdisStatus.invalidData
    this.#state = Object.freeze({ ...next, table: Object.freeze([...next.table]) })
    return NdisStatus.success
  }

  /**
   * A group of moves, issued on processor `actor`: all are made, or none, with one status for all (VQ-225). Later moves of a group see
   * what earlier ones did.
   */
  move(moves: readonly EntryMove[], actor: number): NdisStatus {
    let next: RssState = this.#state
    for (const { index, target } of moves) {
      const now = entryAt(next, index)
      if (now === undefined) return NdisStatus.invalidParameter // VQ-221
      if (now !== actor) return NdisStatus.notAccepted // VQ-222
      if (isActive(next, index) && !this.#processors.has(target)) return NdisStatus.invalidData // VQ-223
      next = withEntry(next, index, target) // VQ-232: a move to where it is changes nothing and succeeds
    }
    return this.#keep(next) // VQ-224
  }

  /** The whole table and the default processor at once, as a miniport without moves of single entries takes them. */
  replace(table: readonly number[], defaultProcessor: number): NdisStatus {
    if (!this.#mayBeTable(table.length, this.#state.queues)) return NdisStatus.invalidParameter
    return this.#keep({ ...this.#state, table, default: defaultProcessor })
  }

  /** Goes back to `state`, which was this VPort's before. */
  restore(state: RssState): void {
    this.#state = state
  }
}

const isActive = ({ enabled }: RssState, index: number): boolean => (index === PRIMARY_PROCESSOR_INDEX ? !enabled : enabled)

function entryAt(state: RssState, index: number): number | undefined {
  if (index === DEFAULT_PROCESSOR_INDEX) return state.default
  if (index === PRIMARY_PROCESSOR_INDEX) return state.primary
  return state.table[index]
}

function withEntry(state: RssState, index: number, target: number): RssState {
  if (index === DEFAULT_PROCESSOR_INDEX) return { ...state, default: target }
  if (index === PRIMARY_PROCESSOR_INDEX) return { ...state, primary: target } // VQ-218
  return { ...state, table: state.table.with(index, target) }
}

// A table of another size: growing repeats it (VQ-231); shrinking must leave out repetitions alone (VQ-229).
function resized(table: readonly number[], entries: number): readonly number[] | NdisStatus {
  if (table.some((processor, i) => i >= entries && processor !== table[i % entries])) return NdisStatus.invalidData
  return repeated(table, entries)
}

const repeated = (table: readonly number[], entries: number): readonly number[] =>
  Array.from({ length: entries }, (_, i) => table[i % table.length]!)
