// A certificate of our own, for those who have none: made once, kept in the state directory, handed to clients as a file (--ca).
//
// The rule it must not break: the key is written for its owner only, and a pair that is there is never replaced.
import { createPrivateKey, generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { isIP, isIPv4 } from 'node:net'
import { join } from 'node:path'
import { checkPrivate } from '../store/state-directory.ts'

const KEY_FILE = 'tls-key.pem'
const CERTIFICATE_FILE = 'tls-cert.pem'
const KEY_MODE = 0o600
const CERTIFICATE_MODE = 0o644
const DAYS = 3650
const DAY_MS = 86_400_000

// DER, as X.690 has it: tag, length, content.
const der = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const content = Buffer.concat(parts)
  const { length } = content
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content])
  const long = length < 0x100 ? Buffer.of(length) : Buffer.of(length >> 8, length & 0xff)
  return Buffer.concat([Buffer.of(tag, 0x80 | long.length), long, content])
}
const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts)
const integer = (bytes: Uint8Array): Buffer => der(0x02, bytes)
const bits = (bytes: Uint8Array): Buffer => der(0x03, Buffer.of(0), bytes)
const octets = (bytes: Uint8Array): Buffer => der(0x04, bytes)
const text = (value: string): Buffer => der(0x0c, Buffer.from(value))
const yes = der(0x01, Buffer.of(0xff))
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'))
const time = (ms: number): Buffer => der(0x18, Buffer.from(`${new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`))

const ECDSA_WITH_SHA256 = sequence(oid('2a8648ce3d040302'))
const COMMON_NAME = oid('550403')
const BASIC_CONSTRAINTS = oid('551d13')
const KEY_USAGE = oid('551d0f')
const EXTENDED_KEY_USAGE = oid('551d25')
const SUBJECT_ALT_NAME = oid('551d11')
const SERVER_AUTH = oid('2b06010505070301')

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  const [, host = ''] = /^http:\/\/\[(.*)\]\/$/.exec(new URL(`http://[${address}]/`).href) ?? []
  const [head = '', tail = ''] = host.split('::')
  const words = (part: string): number[] => (part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16)))
  const [left, right] = [words(head), words(tail)]
  const all = [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right]
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 0xff]))
}

const altName = (name: string): Buffer => (isIP(name) === 0 ? der(0x82, Buffer.from(name)) : der(0x87, addressBytes(name)))

export interface KeyPair {
  readonly certificate: string
  readonly key: string
}

/** A certificate that signs itself, for the host names and addresses `names`, from yesterday for ten years. */
export function makeCertificate(names: readonly string[], nowMs: number): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const name = sequence(der(0x31, sequence(COMMON_NAME, text('vmswitch'))))
  const serial = Buffer.concat([Buffer.of(0x01), randomBytes(15)])
  const extensions = sequence(
    sequence(BASIC_CONSTRAINTS, yes, octets(sequence(yes))),
    // digitalSignature and keyCertSign
    sequence(KEY_USAGE, yes, octets(der(0x03, Buffer.of(2, 0x84)))),
    sequence(EXTENDED_KEY_USAGE, octets(sequence(SERVER_AUTH))),
    sequence(SUBJECT_ALT_NAME, octets(sequence(...names.map(altName)))),
  )
  const body = sequence(
    der(0xa0, integer(Buffer.of(2))),
    integer(serial),
    ECDSA_WITH_SHA256,
    name,
    sequence(time(nowMs - DAY_MS), time(nowMs + DAYS * DAY_MS)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, extensions),
  )
  const whole = sequence(body, ECDSA_WITH_SHA256, bits(sign('sha256', body, privateKey)))
  const lines = whole.toString('base64').replace(/.{64}(?=.)/g, '$&\n')
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  }
}

/** Where a pair stands. */
export interface PairFiles {
  readonly certificate: string
  readonly key: string
}

/** The pair in `directory`, which is made if none is there. Throws StoreError `state-not-private`. */
export function ownCertificate(directory: string, names: readonly string[], nowMs: number): PairFiles {
  const files = { certificate: join(directory, CERTIFICATE_FILE), key: join(directory, KEY_FILE) }
  if (existsSync(files.key) && existsSync(files.certificate)) {
    checkPrivate(files.key)
    createPrivateKey(readFileSync(files.key))
    return files
  }
  const { certificate, key } = makeCertificate(names, nowMs)
  writeFileSync(files.key, key, { mode: KEY_MODE, flag: 'wx' })
  writeFileSync(files.certificate, certificate, { mode: CERTIFICATE_MODE })
  return files
}

/** SHA-256 of the certificate, as browsers and openssl show it. */
export const fingerprint = (pem: string): string => new X509Certificate(pem).fingerprint256
