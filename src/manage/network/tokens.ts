// Tokens of those who may ask over the network: a file with a line for each, which holds the token's hash, its name and its role.
//
// The rule it must not break: how long a look-up takes does not depend on the token that is looked up, and a file that others could read
// or that can't be read lets nobody in.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { type Role, roles } from '../control/access.ts'
import { ControlError } from '../control/control-errors.ts'
import { checkPrivate } from '../store/state-directory.ts'

const TOKEN_BYTES = 32
const TOKEN_MIN_CHARACTERS = 16
const TOKENS_MAX = 1024
const FILE_MODE = 0o600
/** How often a file is looked at for changes, at the most. */
const LOOK_MS = 1000
const ENTRY = /^([a-z0-9][a-z0-9._-]{0,47})\s+(\S+)\s+sha256:([0-9a-f]{64})$/i

/** One token, as the file has it. */
export interface TokenEntry {
  readonly name: string
  readonly role: Role
  readonly digest: Buffer
}

/** Who has a token. */
export type TokenHolder = Pick<TokenEntry, 'name' | 'role'>

const digestOf = (token: string): Buffer => createHash('sha256').update(token).digest()
const isRole = (text: string): text is Role => (roles as readonly string[]).includes(text)

/**
 * The tokens of a file's text. A text of one line that is no entry is itself a token, an admin's. Throws ControlError `bad-token-file`,
 * `weak-token`.
 */
export function parseTokens(text: string, path: string): TokenEntry[] {
  const lines = text.split('\n').map((line) => line.trim())
  const used = lines.flatMap((line, at) => (line === '' || line.startsWith('#') ? [] : [{ line, number: at + 1 }]))
  const [first] = used
  if (first !== undefined && used.length === 1 && !first.line.includes('sha256:')) return [plainToken(first.line, path)]
  const bad = (number: number, what: string): ControlError =>
    new ControlError('bad-token-file', `${path}:${number}: ${what}; vmswitch token add writes such lines`)
  const names = new Set<string>()
  return used.slice(0, TOKENS_MAX + 1).map(({ line, number }, at) => {
    const [, name, role, hash] = ENTRY.exec(line) ?? []
    if (name === undefined || role === undefined || hash === undefined)
      throw bad(number, 'this is no "NAME ROLE sha256:HASH" with 64 hexadecimal digits')
    if (!isRole(role)) throw bad(number, `"${role}" is no role: there are ${roles.join(', ')}`)
    if (names.has(name)) throw bad(number, `"${name}" has a token already`)
    if (at === TOKENS_MAX) throw bad(number, `more than ${TOKENS_MAX} tokens`)
    names.add(name)
    return { name, role, digest: Buffer.from(hash, 'hex') }
  })
}

function plainToken(token: string, path: string): TokenEntry {
  if (token.length >= TOKEN_MIN_CHARACTERS) return { name: 'token', role: 'admin', digest: digestOf(token) }
  throw new ControlError('weak-token', `${path}: a token has at least ${TOKEN_MIN_CHARACTERS} characters: openssl rand -hex 32`)
}

/** Who has `token`; null: nobody. All entries are compared, whichever fits. */
export function findHolder(entries: readonly TokenEntry[], token: string): TokenHolder | null {
  const digest = digestOf(token)
  let found: TokenHolder | null = null
  for (const { name, role, digest: expected } of entries) if (timingSafeEqual(digest, expected)) found = { name, role }
  return found
}

/** Reads the entries of a file; none where `optional` and there is no file. Throws StoreError `state-not-private`, as parseTokens, ENOENT. */
export function readTokens(path: string, optional = false): TokenEntry[] {
  if (optional && statSync(path, { throwIfNoEntry: false }) === undefined) return []
  checkPrivate(path)
  return parseTokens(readFileSync(path, 'utf8'), path)
}

function writeTokens(path: string, entries: readonly TokenEntry[]): void {
  const lines = entries.map(({ name, role, digest }) => `${name} ${role} sha256:${digest.toString('hex')}\n`)
  const beside = `${path}.${process.pid}.new`
  writeFileSync(beside, lines.join(''), { mode: FILE_MODE })
  renameSync(beside, path)
}

/** Makes a token and writes its hash; the answer is the only place where it ever stands. Throws ControlError `token-exists`, `bad-token-name`. */
export function addToken(path: string, { name, role }: TokenHolder): string {
  const entries = readTokens(path, true)
  if (entries.some((one) => one.name === name)) throw new ControlError('token-exists', `${path}: "${name}" has a token already`)
  const token = randomBytes(TOKEN_BYTES).toString('base64url')
  const entry = { name, role, digest: digestOf(token) }
  if (!ENTRY.test(`${name} ${role} sha256:${entry.digest.toString('hex')}`))
    throw new ControlError('bad-token-name', `"${name}": a name has letters, digits, ., _ and -, at most 48`)
  writeTokens(path, [...entries, entry])
  return token
}

/** Takes a token out of the file. Throws ControlError `no-such-token`. */
export function removeToken(path: string, name: string): void {
  const entries = readTokens(path)
  if (!entries.some((one) => one.name === name)) throw new ControlError('no-such-token', `${path}: "${name}" has no token`)
  writeTokens(
    path,
    entries.filter((one) => one.name !== name),
  )
}

export interface TokenFileComponents {
  readonly nowMs: () => number
  /** The file changed and can't be used any more: nobody is let in until it can. */
  readonly unusable: (error: Error) => void
}

/** A file of tokens that is read again when it changes: a token that is taken out is refused within a second. */
export class TokenFile {
  readonly #path: string
  readonly #components: TokenFileComponents
  #entries: readonly TokenEntry[]
  #mark: string
  #lookedMs: number

  /** Throws what readTokens throws. */
  constructor(path: string, components: TokenFileComponents) {
    this.#path = path
    this.#components = components
    this.#mark = markOf(path)
    this.#entries = readTokens(path)
    if (this.#entries.length === 0)
      throw new ControlError('bad-token-file', `${path} has no token: vmswitch token add NAME --file ${path}`)
    this.#lookedMs = components.nowMs()
  }

  holder(token: string): TokenHolder | null {
    const now = this.#components.nowMs()
    if (now - this.#lookedMs >= LOOK_MS) {
      this.#lookedMs = now
      this.#look()
    }
    return findHolder(this.#entries, token)
  }

  #look(): void {
    const mark = markOf(this.#path)
    if (mark === this.#mark) return
    this.#mark = mark
    try {
      this.#entries = readTokens(this.#path)
    } catch (error) {
      this.#entries = []
      this.#components.unusable(error as Error)
    }
  }
}

/** Differs when the file does. */
function markOf(path: string): string {
  const facts = statSync(path, { throwIfNoEntry: false, bigint: true })
  return facts === undefined ? '' : `${facts.ino}/${facts.size}/${facts.mtimeNs}/${facts.ctimeNs}`
}
