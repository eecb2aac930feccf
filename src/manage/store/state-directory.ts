// The directory in which a service keeps its state: where it is, that nobody else can change it, and that one service has it.
//
// The rule it must not break: nothing is written into a directory whose lock another service holds.
import { lstatSync, mkdirSync, readFileSync } from 'node:fs'
import { isAbsolute, join, resolve } from 'node:path'
import { type FileLock, lockFile } from '../../linux/file-lock.ts'
import { StoreError } from './store-error.ts'

const DIRECTORY_MODE = 0o700
const OTHERS_MAY_WRITE = 0o022
const OTHERS = 0o077
const LOCK_FILE = 'lock'

/** What choosing the directory depends on. */
export interface StateComponents {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly uid: number
}

/** The given directory, else $STATE_DIRECTORY (of systemd), $XDG_STATE_HOME/vmswitch, root's /var/lib/vmswitch, ~/.local/state/vmswitch. */
export function stateDirectory(given: string | undefined, { env, cwd, uid }: StateComponents): string {
  if (given !== undefined) return resolve(cwd, given)
  const ofManager = env.STATE_DIRECTORY?.split(':')[0]
  if (ofManager !== undefined && isAbsolute(ofManager)) return ofManager
  if (env.XDG_STATE_HOME !== undefined && isAbsolute(env.XDG_STATE_HOME)) return join(env.XDG_STATE_HOME, 'vmswitch')
  if (uid === 0 || env.HOME === undefined || !isAbsolute(env.HOME)) return '/var/lib/vmswitch'
  return join(env.HOME, '.local/state/vmswitch')
}

/** Throws StoreError unless `path` belongs to us (or root) and others have none of the rights in `forbidden`. */
export function checkPrivate(path: string, forbidden = OTHERS): void {
  const facts = lstatSync(path)
  const uid = process.getuid?.() ?? 0
  if (facts.isSymbolicLink()) throw new StoreError('state-not-private', `${path} is a link: name what it leads to`)
  if (facts.uid !== uid && facts.uid !== 0)
    throw new StoreError('state-not-private', `${path} belongs to user ${facts.uid}: run this as that user, or choose another`)
  if ((facts.mode & forbidden) === 0) return
  const rights = facts.isDirectory() ? '700' : '600'
  throw new StoreError(
    'state-not-private',
    `${path} has mode ${(facts.mode & 0o777).toString(8)}, others could use it: chmod ${rights} ${path}`,
  )
}

/** Makes the directory where it is missing, and locks it. Throws StoreError `state-in-use`, `state-not-private`, `state-unusable`. */
export function claimStateDirectory(directory: string): FileLock {
  try {
    mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE })
  } catch (error) {
    throw new StoreError(
      'state-unusable',
      `${directory} can't be made: ${(error as Error).message}; choose another with --state DIR`,
    )
  }
  checkPrivate(directory, OTHERS_MAY_WRITE)
  const path = join(directory, LOCK_FILE)
  const lock = lockFile(path, String(process.pid))
  if (lock !== null) return lock
  const holder = readFileSync(path, 'utf8').trim()
  throw new StoreError(
    'state-in-use',
    `the service of process ${holder || 'unknown'} uses ${directory}: stop it, or give this one another with --state DIR`,
  )
}
