// The bucket that the hosts of a network share, as the reconciler's surroundings need it: NATS JetStream KV implements it, and a store in
// memory with virtual time. Types only.
//
// The rule it must not break: entries come in the order of their revisions, and a write that names a revision is stored only if that is the
// present one.

/** What stands at a key. */
export interface SharedEntry {
  readonly key: string
  /** Null: it was deleted. */
  readonly value: string | null
  /** Grows with every write to the bucket. */
  readonly revision: number
}

/** Told what stands in the bucket. */
export interface StoreWatcher {
  /** Entries come from now on. whole: all that stands comes again, what does not is gone; rest: those after the last one that came. */
  begin(kind: 'whole' | 'rest'): void
  entries(batch: readonly SharedEntry[]): void
  /** All that stood at `begin` has come. */
  synced(): void
  connected(up: boolean, why: string): void
}

export type WriteResult =
  | { readonly done: true; readonly revision: number }
  | { readonly done: false; readonly code: WriteRefusal; readonly message: string }
/** changed: the revision was another one; full: the bucket takes no more; not-permitted: the credential does not allow it. */
export type WriteRefusal = 'changed' | 'full' | 'not-permitted' | 'unreachable'

export interface SharedStore {
  /** Tells `watcher` from now on, however often the connection goes and comes. Once per store. */
  watch(watcher: StoreWatcher): void
  /** Writes, or with null deletes. `expected`: the revision at which it stands now; 0: nothing stands there. */
  write(key: string, value: string | null, expected: number): Promise<WriteResult>
  close(): Promise<void>
}
