// The credential with which the NATS servers of a network are asked.
//
// The rule it must not break: a secret is read from a file that is its owner's alone.
import { lstatSync, readFileSync } from 'node:fs'
import {
  type Authenticator,
  credsAuthenticator,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node'
import { checkPrivate } from '../store/state-directory.ts'
import { ClusterError } from './cluster-error.ts'

const CREDENTIAL_BYTES_MAX = 64 * 1024

/**
 * Reads a credential: a file of `nsc` (.creds), an nkey seed (SU…), USER:PASSWORD, or a token. Throws ClusterError
 * `credential-unusable`, StoreError `state-not-private`.
 */
export function readCredential(path: string): Authenticator {
  const text = readPrivate(path)
  if (text.includes('BEGIN NATS USER JWT')) return credsAuthenticator(new TextEncoder().encode(text))
  const line = text.trim()
  if (line === '' || /\s/.test(line))
    throw new ClusterError(
      'credential-unusable',
      `${path} holds no credential: it is a .creds file, or one line with an nkey seed, USER:PASSWORD or a token`,
    )
  if (/^SU[A-Z2-7]{50,}$/.test(line)) return nkeyAuthenticator(new TextEncoder().encode(line))
  const at = line.indexOf(':')
  return at > 0 ? usernamePasswordAuthenticator(line.slice(0, at), line.slice(at + 1)) : tokenAuthenticator(line)
}

function readPrivate(path: string): string {
  try {
    if (lstatSync(path).size > CREDENTIAL_BYTES_MAX) throw new Error('it is too long')
  } catch (error) {
    throw new ClusterError('credential-unusable', `${path} can't be read: ${(error as Error).message}`)
  }
  checkPrivate(path)
  return readFileSync(path, 'utf8')
}
