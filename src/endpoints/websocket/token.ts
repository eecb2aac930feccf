// The secrets of a WebSocket endpoint: its token, one line of a private file, made on first use, and the key of its certificate.
//
// The rule it must not break: a token that others on this machine can read is no token.
import { randomBytes } from 'node:crypto'
import { closeSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'

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
    checkMode(fd, 'token', path)
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

/** Reads a certificate and its private key, PEM files. Throws with what is wrong with them. */
export function readPair(certificate: string, key: string): { readonly cert: string; readonly key: string } {
  const fd = openSync(key, 'r')
  try {
    checkMode(fd, 'key', key)
    const pair = { cert: readFileSync(certificate, 'utf8'), key: readFileSync(fd, 'utf8') }
    createSecureContext(pair)
    return pair
  } catch (error) {
    if ((error as { library?: string }).library === undefined) throw error
    throw new Error(`certificate ${certificate} and key ${key} can't be used: ${(error as Error).message}`, { cause: error })
  } finally {
    closeSync(fd)
  }
}

function checkMode(fd: number, what: string, path: string): void {
  if ((fstatSync(fd).mode & OTHERS) !== 0) throw new Error(`the ${what} file ${path} is open to others: run chmod 600 ${path}`)
}
