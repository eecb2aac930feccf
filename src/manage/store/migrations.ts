// The shape of the store's tables, one step after another. The database's user_version says how many steps it has behind it.
//
// The rule it must not break: a step that was released is never changed; what is to be different is another step.
import type { DatabaseSync } from 'node:sqlite'
import { StoreError } from './store-error.ts'

/** Marks a database as one of ours ("VSWS"). */
const APPLICATION_ID = 0x56535753

const steps: readonly string[] = [
  // One row per thing that is stored: kind, its name, its place among its kind, its JSON.
  `CREATE TABLE entries (
     kind TEXT NOT NULL CHECK (kind IN ('switch', 'runtime', 'adapter', 'extension', 'port', 'property', 'vf')),
     name TEXT NOT NULL,
     position INTEGER NOT NULL,
     value TEXT NOT NULL CHECK (json_valid(value)),
     PRIMARY KEY (kind, name)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE revisions (only INTEGER PRIMARY KEY CHECK (only = 1), revision INTEGER NOT NULL, changed TEXT NOT NULL) STRICT;
   INSERT INTO revisions VALUES (1, 0, '');`,
  // The network that this host is in, if it is in one.
  `CREATE TABLE memberships (
     only INTEGER PRIMARY KEY CHECK (only = 1), value TEXT NOT NULL CHECK (json_valid(value))
   ) STRICT;`,
  // Overlays have customer routes.
  `UPDATE entries SET value = json_set(value, '$.overlay.routes', json('[]'))
     WHERE kind = 'switch' AND json_type(value, '$.overlay') = 'object' AND json_type(value, '$.overlay.routes') IS NULL;`,
]

/** The version of the tables that this vmswitch works with. */
export const SCHEMA_VERSION = steps.length

const pragma = (database: DatabaseSync, name: string): number =>
  Number(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0] ?? 0)

/** Brings the tables to this version, each step whole or not at all. Throws StoreError `state-too-new`, `state-unusable`. */
export function migrate(database: DatabaseSync, path: string): void {
  const version = pragma(database, 'user_version')
  const owner = pragma(database, 'application_id')
  const isEmpty = owner === 0 && version === 0 && pragma(database, 'schema_version') === 0
  if (!isEmpty && owner !== APPLICATION_ID)
    throw new StoreError('state-unusable', `${path} is a database of another program: choose another state directory`)
  if (version > SCHEMA_VERSION)
    throw new StoreError(
      'state-too-new',
      `${path} has version ${version}, this vmswitch knows ${SCHEMA_VERSION}: run the newer one, or choose another state directory`,
    )
  for (let step = version; step < SCHEMA_VERSION; step++)
    database.exec(
      `BEGIN IMMEDIATE; ${steps[step]} PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${step + 1}; COMMIT;`,
    )
}
