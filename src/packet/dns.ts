// DNS messages (RFC 1035, RFC 6891) as extensions need them: what was asked, what was answered, and answers of one's own.
//
// The rule it must not break: a message comes from a stranger. Every length, count and compression pointer is checked; a pointer leads
// backwards only, so that reading ends; what is not wholly right is not read at all.
import { get16, get32, put16, put32 } from './bytes.ts'

export const DNS_HEADER_BYTES = 12
/** Bytes of a name on the wire, and characters of a label. */
export const DNS_NAME_BYTES_MAX = 255
const LABEL_BYTES_MAX = 63
const POINTERS_MAX = 32
/** Records of the answer section that are read; the rest of a longer one is left. */
export const DNS_RECORDS_MAX = 64
const POINTER = 0xc0
const DOT = 0x2e
const BACKSLASH = 0x5c

/** Types of DNS records, by their numbers. */
export const DnsType = { a: 1, ns: 2, cname: 5, soa: 6, ptr: 12, txt: 16, aaaa: 28, opt: 41, any: 255 } as const
/** Classes of DNS records, by their numbers. */
export const DnsClass = { internet: 1, any: 255 } as const
/** How an answer went: RCODE, with the extended ones of EDNS. */
export const DnsCode = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
  badVersion: 16,
} as const
/** Bits of the second word of the header. */
export const DnsFlag = {
  response: 0x8000,
  authoritative: 0x0400,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  recursionAvailable: 0x0080,
} as const

/** A name in lower case without the last dot ('' is the root), and where the bytes behind it are. */
export interface DnsName {
  readonly name: string
  readonly next: number
}

/** The question of a message: a name, a type, a class. */
export interface DnsQuestion extends DnsName {
  readonly type: number
  readonly class: number
}

/** A record; its data are `dataLength` bytes at `dataAt` of the message. */
export interface DnsRecord {
  readonly name: string
  readonly type: number
  readonly class: number
  /** Seconds; 0 where the highest bit was set (RFC 2181). */
  readonly ttl: number
  readonly dataAt: number
  readonly dataLength: number
}

/** A DNS message that was read: its question, and the answers that it holds. */
export interface DnsMessage {
  readonly id: number
  /** DnsFlag bits; the operation code from bit 11, the answer's code in the lowest four. */
  readonly flags: number
  readonly isResponse: boolean
  readonly operation: number
  readonly code: number
  readonly question: DnsQuestion
  readonly answers: readonly DnsRecord[]
  /** Of the OPT record of a query: the bytes that the asker takes, and its version; undefined without one. */
  readonly extended: { readonly payloadBytes: number; readonly version: number } | undefined
}

function labelText(bytes: Uint8Array, at: number, length: number): string {
  let text = ''
  for (let i = at; i < at + length; i++) {
    const byte = bytes[i]!
    if (byte >= 0x41 && byte <= 0x5a) text += String.fromCharCode(byte + 32)
    else if (byte > 0x20 && byte < 0x7f && byte !== DOT && byte !== BACKSLASH) text += String.fromCharCode(byte)
    else text += `\\${byte.toString().padStart(3, '0')}` // a dot within a label is no border between two
  }
  return text
}

/** The name at `at` of the message `bytes[start…end-1]`; undefined if it is not well formed. */
export function readDnsName(bytes: Uint8Array, at: number, start: number, end: number): DnsName | undefined {
  const labels: string[] = []
  let next = -1
  let length = 1
  let bound = at
  for (let pointers = 0; ; ) {
    if (at >= end) return undefined
    const octet = bytes[at]!
    if (octet === 0) return { name: labels.join('.'), next: next < 0 ? at + 1 : next }
    if ((octet & POINTER) === POINTER) {
      if (at + 2 > end || ++pointers > POINTERS_MAX) return undefined
      if (next < 0) next = at + 2
      const target = start + (get16(bytes, at) & 0x3fff)
      if (target >= bound || target < start + DNS_HEADER_BYTES) return undefined // backwards, and never round
      bound = target
      at = target
      continue
    }
    length += octet + 1
    if (octet > LABEL_BYTES_MAX || length > DNS_NAME_BYTES_MAX || at + 1 + octet >= end) return undefined
    labels.push(labelText(bytes, at + 1, octet))
    at += octet + 1
  }
}

function readRecord(bytes: Uint8Array, at: number, start: number, end: number): { record: DnsRecord; next: number } | undefined {
  const owner = readDnsName(bytes, at, start, end)
  if (!owner || owner.next + 10 > end) return undefined
  const dataAt = owner.next + 10
  const dataLength = get16(bytes, owner.next + 8)
  if (dataAt + dataLength > end) return undefined
  const ttl = get32(bytes, owner.next + 4)
  const record = {
    name: owner.name,
    type: get16(bytes, owner.next),
    class: get16(bytes, owner.next + 2),
    ttl: ttl > 0x7fffffff ? 0 : ttl,
    dataAt,
    dataLength,
  }
  return { record, next: dataAt + dataLength }
}

/**
 * Reads the message `bytes[from…to-1]`: one question, and the answer section behind it. Undefined if it is cut, has not exactly one
 * question, or its names and lengths are not right.
 */
export function readDnsMessage(bytes: Uint8Array, from: number, to: number): DnsMessage | undefined {
  if (from < 0 || to > bytes.length || to - from < DNS_HEADER_BYTES || get16(bytes, from + 4) !== 1) return undefined
  const asked = readDnsName(bytes, from + DNS_HEADER_BYTES, from, to)
  if (!asked || asked.next + 4 > to) return undefined
  const question = {
    name: asked.name,
    type: get16(bytes, asked.next),
    class: get16(bytes, asked.next + 2),
    next: asked.next + 4,
  }
  const flags = get16(bytes, from + 2)
  const isResponse = (flags & DnsFlag.response) !== 0
  const answers: DnsRecord[] = []
  let at = question.next
  for (let left = Math.min(get16(bytes, from + 6), DNS_RECORDS_MAX); left > 0; left--) {
    const read = readRecord(bytes, at, from, to)
    if (!read) return undefined
    answers.push(read.record)
    at = read.next
  }
  let extended: DnsMessage['extended']
  if (!isResponse && answers.length === 0 && get16(bytes, from + 8) === 0 && get16(bytes, from + 10) !== 0) {
    const read = readRecord(bytes, at, from, to)
    if (!read) return undefined
    const { record } = read
    // RFC 6891: the class is what the asker takes, the second octet of the time to live is the version.
    if (record.type === DnsType.opt && record.name === '')
      extended = { payloadBytes: record.class, version: bytes[record.dataAt - 5]! }
  }
  return {
    id: get16(bytes, from),
    flags,
    isResponse,
    operation: (flags >> 11) & 15,
    code: flags & 15,
    question,
    answers,
    extended,
  }
}

/** Name that a CNAME or PTR record points to; undefined if it is not well formed, or does not fill the record. */
export function dnsTarget(bytes: Uint8Array, record: DnsRecord, start: number, end: number): string | undefined {
  const read = readDnsName(bytes, record.dataAt, start, end)
  return read && read.next === record.dataAt + record.dataLength ? read.name : undefined
}

/** A name on the wire, without compression. Throws RangeError for one that has empty or too long labels. */
export function dnsNameBytes(name: string): Uint8Array {
  const labels = name === '' ? [] : name.split('.')
  const bytes: number[] = []
  for (const label of labels) {
    if (label.length === 0 || label.length > LABEL_BYTES_MAX || !/^[\x21-\x7e]+$/.test(label))
      throw new RangeError(`"${name}" is not a DNS name: labels have 1 to ${LABEL_BYTES_MAX} letters`)
    bytes.push(label.length, ...Array.from(label, (letter) => letter.charCodeAt(0)))
  }
  if (bytes.length + 1 > DNS_NAME_BYTES_MAX) throw new RangeError(`"${name}" is longer than ${DNS_NAME_BYTES_MAX} bytes`)
  return Uint8Array.from([...bytes, 0])
}

/** One record of an answer of one's own. */
export interface DnsAnswer {
  /** undefined: the name that was asked for. */
  readonly name?: string
  readonly type: number
  readonly ttl: number
  readonly data: Uint8Array
}

/** What an answer of one's own is to say. */
export interface DnsReply {
  readonly code: number
  readonly isAuthoritative: boolean
  readonly answers: readonly DnsAnswer[]
  readonly authority?: readonly DnsAnswer[]
}

const OPT_BYTES = 11
const QUESTION_AT = (POINTER << 8) | DNS_HEADER_BYTES

function writeAnswer(answer: DnsAnswer): Uint8Array {
  const owner = answer.name === undefined ? Uint8Array.of(QUESTION_AT >> 8, QUESTION_AT & 255) : dnsNameBytes(answer.name)
  const bytes = new Uint8Array(owner.length + 10 + answer.data.length)
  bytes.set(owner)
  put16(bytes, owner.length, answer.type)
  put16(bytes, owner.length + 2, DnsClass.internet)
  put32(bytes, owner.length + 4, answer.ttl)
  put16(bytes, owner.length + 8, answer.data.length)
  bytes.set(answer.data, owner.length + 10)
  return bytes
}

/**
 * The answer to the query `bytes[from…to-1]`, which `query` was read from: its question as it was written, records as far as `room`
 * bytes take them (else the truncated bit), and an OPT record offering `offerBytes` if the query had one.
 */
export function writeDnsReply(
  bytes: Uint8Array,
  from: number,
  query: DnsMessage,
  reply: DnsReply,
  room: number,
  offerBytes: number,
): Uint8Array {
  const asked = bytes.subarray(from + DNS_HEADER_BYTES, query.question.next)
  const extended = query.extended ? OPT_BYTES : 0
  const written = reply.answers.map(writeAnswer)
  const authority = (reply.authority ?? []).map(writeAnswer)
  const sizeOf = (parts: readonly Uint8Array[]): number => parts.reduce((sum, part) => sum + part.length, 0)
  const base = DNS_HEADER_BYTES + asked.length + extended
  const isTruncated = base + sizeOf(written) + sizeOf(authority) > room
  const parts = isTruncated ? [] : [...written, ...authority]
  const message = new Uint8Array(base + sizeOf(parts))
  const flags =
    DnsFlag.response |
    (query.operation << 11) |
    (reply.isAuthoritative ? DnsFlag.authoritative : 0) |
    (isTruncated ? DnsFlag.truncated : 0) |
    (query.flags & DnsFlag.recursionDesired) |
    (reply.code & 15)
  put16(message, 0, query.id)
  put16(message, 2, flags)
  put16(message, 4, 1)
  put16(message, 6, isTruncated ? 0 : written.length)
  put16(message, 8, isTruncated ? 0 : authority.length)
  put16(message, 10, extended === 0 ? 0 : 1)
  message.set(asked, DNS_HEADER_BYTES)
  let at = DNS_HEADER_BYTES + asked.length
  for (const part of parts) {
    message.set(part, at)
    at += part.length
  }
  if (extended !== 0) {
    put16(message, at + 1, DnsType.opt)
    put16(message, at + 3, offerBytes)
    message[at + 5] = reply.code >> 4
  }
  return message
}
