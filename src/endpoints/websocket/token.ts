// The token of a WebSocket endpoint: one line of a private file, made on first use.
//
// The rule it must not break: a token that others on this machine can read is no token.
import { randomBytes } from 'node:crypto'
import { closeSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs'

const TOKEN_BYTES = 32
const TOKEN = /^[\w-]{32,128}$/
const OTHERS = 0o077

/** Reads the token at `path`; makes one if there is no file. Throws with what is wrong with it and what to do. */
export function readToken(path: string): string {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    const token = randomBytes(TOKEN_BYTES).toString('base64url')
    writeFileSync(path, `${token}\n`, { mode: 0o600, flag: 'wx' })
    return token
  }
  try {
    if ((fstatSync(fd).mode & OTHERS) !== 0) throw new Error(`the token file ${path} is open to others: run chmod 600 ${path}`)
    const token = readFileSync(fd, 'utf8').trim()
    if (!TOKEN.test(token))
      throw new Error(
        `the token file ${path} holds no token of 32 to 128 letters, digits, - and _: remove it, and a new one is made`,
      )
    return token
  } finally {
    closeSync(fd)
  }
}
