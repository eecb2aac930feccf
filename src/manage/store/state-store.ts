// The state of a service in an SQLite database: written ahead (WAL) and to the disk before a change is acknowledged.
//
// The rule it must not break: a state is stored whole or not at all, whatever ends the process, and `commit` returns after it is on
// the disk.
import { closeSync, openSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { ResolvedConfig } from '../config/types.ts'
import type { KeptState } from './kept.ts'
import { migrate } from './migrations.ts'
import type { StoredState, StoredVf } from './state.ts'
import { checkPrivate } from './state-directory.ts'
import { StoreError } from './store-error.ts'

const FILE_MODE = 0o600
/** Pages of the log after which it is copied into the database. */
const CHECKPOINT_PAGES = 400

interface Row {
  readonly kind: string
  readonly name: string
  readonly position: number
  readonly value: string
}

const keyOf = ({ kind, name }: Pick<Row, 'kind' | 'name'>): string => `${kind}/${name}`

/** The database of one service. */
export class StateStore {
  readonly path: string
  readonly #database: DatabaseSync
  readonly #put: StatementSync
  readonly #remove: StatementSync
  readonly #count: StatementSync
  /** What the database holds. */
  #rows = new Map<string, Row>()
  #revision = 0

  private constructor(path: string, database: DatabaseSync) {
    this.path = path
    this.#database = database
    this.#put = database.prepare(
      'INSERT INTO entries (kind, name, position, value) VALUES (?, ?, ?, ?) ' +
        'ON CONFLICT (kind, name) DO UPDATE SET position = excluded.position, value = excluded.value',
    )
    this.#remove = database.prepare('DELETE FROM entries WHERE kind = ? AND name = ?')
    this.#count = database.prepare('UPDATE revisions SET revision = ?, changed = ?')
    const rows = database.prepare('SELECT kind, name, position, value FROM entries').all() as unknown as Row[]
    for (const row of rows) this.#rows.set(keyOf(row), row)
    const { revision } = database.prepare('SELECT revision FROM revisions').get() as { revision: number }
    this.#revision = revision
  }

  /**
   * Opens the database at `path`, or makes it with mode 0600, and brings its tables to this version. Throws StoreError
   * `state-not-private`, `state-too-new`, `state-damaged`, `state-unusable`.
   */
  static open(path: string): StateStore {
    let database: DatabaseSync | undefined
    try {
      closeSync(openSync(path, 'a', FILE_MODE))
      checkPrivate(path)
      database = new DatabaseSync(path)
      database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES};`)
      const answer = Object.values(database.prepare('PRAGMA quick_check(1)').get() ?? {})[0]
      if (answer !== 'ok') throw damaged(path, String(answer))
      migrate(database, path)
      return new StateStore(path, database)
    } catch (error) {
      database?.close()
      if (error instanceof StoreError) throw error
      const { errcode, message } = error as Error & { errcode?: number }
      // SQLITE_CORRUPT, SQLITE_NOTADB
      if (errcode !== undefined && [11, 26].includes(errcode & 0xff)) throw damaged(path, message)
      throw new StoreError('state-unusable', `${path} can't be used: ${message}`)
    }
  }

  /** Counts the changes that were ever stored. */
  get revision(): number {
    return this.#revision
  }

  /** The stored state; null if none was ever stored. */
  load(): StoredState | null {
    const of = (kind: string): unknown[] =>
      [...this.#rows.values()]
        .filter((row) => row.kind === kind)
        .sort((a, b) => a.position - b.position)
        .map((row) => JSON.parse(row.value) as unknown)
    const [settings] = of('switch') as Omit<ResolvedConfig['switch'], 'ports' | 'extensions' | 'properties'>[]
    const [runtimeRow] = of('runtime') as (Pick<ResolvedConfig, 'runtime' | 'file' | 'cluster'> & { readonly kept?: KeptState })[]
    if (settings === undefined || runtimeRow === undefined) return null
    const { kept, ...runtime } = runtimeRow
    const properties = of('property') as NonNullable<ResolvedConfig['switch']['properties']>
    const adapters = of('adapter') as NonNullable<ResolvedConfig['adapters']>
    const config: ResolvedConfig = {
      ...runtime,
      switch: {
        ...settings,
        extensions: of('extension') as ResolvedConfig['switch']['extensions'],
        ports: of('port') as ResolvedConfig['switch']['ports'],
        ...(properties.length === 0 ? {} : { properties }),
      },
      ...(adapters.length === 0 ? {} : { adapters }),
      guests: [],
    }
    return { config, vfs: of('vf') as StoredVf[], ...(kept === undefined ? {} : { kept }) }
  }

  /** Stores `state` in place of what there was, null for nothing, in one transaction. Throws StoreError `not-stored`; then nothing has changed. */
  commit(state: StoredState | null): void {
    const next = new Map((state === null ? [] : rowsOf(state)).map((row) => [keyOf(row), row]))
    const gone = [...this.#rows.values()].filter((row) => !next.has(keyOf(row)))
    const changed = [...next].flatMap(([key, row]) => {
      const before = this.#rows.get(key)
      return before !== undefined && before.value === row.value && before.position === row.position ? [] : [row]
    })
    if (gone.length === 0 && changed.length === 0) return
    try {
      this.#database.exec('BEGIN IMMEDIATE')
      for (const { kind, name } of gone) this.#remove.run(kind, name)
      for (const { kind, name, position, value } of changed) this.#put.run(kind, name, position, value)
      this.#count.run(this.#revision + 1, new Date().toISOString())
      this.#database.exec('COMMIT')
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw new StoreError('not-stored', `${this.path} can't be written, nothing was changed: ${(error as Error).message}`)
    }
    this.#rows = next
    this.#revision++
  }

  /** The network that this host is in, as `setMembership` stored it; null: none. */
  membership(): unknown {
    const row = this.#database.prepare('SELECT value FROM memberships').get() as { value: string } | undefined
    return row === undefined ? null : (JSON.parse(row.value) as unknown)
  }

  /** Stores it; null: none. Throws StoreError `not-stored`. */
  setMembership(membership: object | null): void {
    try {
      if (membership === null) this.#database.exec('DELETE FROM memberships')
      else
        this.#database
          .prepare('INSERT INTO memberships VALUES (1, ?) ON CONFLICT (only) DO UPDATE SET value = excluded.value')
          .run(JSON.stringify(membership))
    } catch (error) {
      throw new StoreError('not-stored', `${this.path} can't be written, nothing was changed: ${(error as Error).message}`)
    }
  }

  /** Closes the database; the log is copied into it. */
  close(): void {
    this.#database.close()
  }
}

const damaged = (path: string, what: string): StoreError =>
  new StoreError(
    'state-damaged',
    `${path} is damaged (${what}): put a copy of it back, or move it away and apply a configuration anew`,
  )

function rowsOf({ config, vfs, kept }: StoredState): Row[] {
  const { ports, extensions, properties = [], ...settings } = config.switch
  const row = (kind: string, name: string, value: unknown, position = 0): Row => ({
    kind,
    name,
    position,
    value: JSON.stringify(value),
  })
  return [
    row('switch', '', settings),
    row('runtime', '', { file: config.file, runtime: config.runtime, cluster: config.cluster, kept }),
    ...(config.adapters ?? []).map((adapter, i) => row('adapter', adapter.name, adapter, i)),
    ...extensions.map((extension, i) => row('extension', extension.name, extension, i)),
    ...ports.map((port, i) => row('port', port.name, port, i)),
    ...properties.map((property, i) => row('property', property.instance ?? String(i), property, i)),
    ...vfs.map((vf, i) => row('vf', `${vf.adapter}/${vf.vf}`, vf, i)),
  ]
}
