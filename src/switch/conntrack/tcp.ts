// TCP as the connection table follows it: which segments belong to a connection, and what they make of it. Both sides' sequence numbers are
// kept, so that whoever cannot see the connection can neither open nor close it.
//
// The rule it must not break: a segment that is not where its side stands changes nothing; RST closes at the exact next number only (RFC 5961).
import * as layout from './connection-layout.ts'

const { E_SIDES, E_STATE, SIDE_WORDS, S_ACKNOWLEDGED, S_END, S_LIMIT } = layout
const { SCALE_BITS, SCALE_MAX, SCALE_NONE, SCALE_SHIFT, SF_FIN, SF_FROM_REMOTE, STATE_MASK, WINDOW_MAX, WINDOW_PROBE } = layout
const { synSent, synReceived, established, closing, closed, pickedUp } = layout.ConnectionState

export const TCP_FIN = 0x01
export const TCP_SYN = 0x02
export const TCP_RST = 0x04
export const TCP_ACK = 0x10
const TCP_HEADER = 20
const OPTION_END = 0
const OPTION_NOTHING = 1
const OPTION_WINDOW_SCALE = 3
const SCALE_FIELD = (1 << SCALE_BITS) - 1
/** Bytes of sequence numbers that a picked-up connection's sides may be apart. */
const PICK_UP_SLACK = 1 << 24

/** What `follow` says of a segment. */
export const BELONGS = 0
/** It belongs, but changes nothing: the connection is as idle as before. */
export const IGNORED = 1
/** It is none of this connection's. */
export const REFUSED = 2
/** It begins a new connection in place of one that is over, or the connection is over: whoever decides about unknown packets decides. */
export const UNKNOWN = 3

/** A segment as it is read from its header. One object is used for all. */
export class Segment {
  sequence = 0
  acknowledgement = 0
  window = 0
  flags = 0
  /** One past the last sequence number that it takes up. */
  end = 0
  /** Window scale of a SYN, or SCALE_NONE. */
  scale: number = SCALE_NONE

  /**
   * Reads the header at `at` of `bytes`, of which `room` bytes can be read; `length`: bytes of header and payload as the IP header has it. False
   * if it is none.
   */
  read(bytes: Uint8Array, at: number, room: number, length: number): boolean {
    if (room < TCP_HEADER) return false
    const header = (bytes[at + 12]! >> 4) * 4
    if (header < TCP_HEADER || header > length) return false
    const flags = bytes[at + 13]!
    this.flags = flags
    this.sequence = word(bytes, at + 4)
    this.acknowledgement = word(bytes, at + 8)
    this.window = (bytes[at + 14]! << 8) | bytes[at + 15]!
    this.end = (this.sequence + length - header + ((flags >> 1) & 1) + (flags & TCP_FIN)) | 0
    if ((flags & TCP_SYN) !== 0) this.scale = scaleOf(bytes, at + TCP_HEADER, at + Math.min(room, header))
    return true
  }
}

const word = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!

function scaleOf(bytes: Uint8Array, from: number, end: number): number {
  for (let at = from; at + 2 < end; ) {
    const kind = bytes[at]!
    if (kind === OPTION_END) break
    if (kind === OPTION_NOTHING) {
      at++
      continue
    }
    if (kind === OPTION_WINDOW_SCALE) return Math.min(bytes[at + 2]!, SCALE_MAX)
    at += Math.max(2, bytes[at + 1]!)
  }
  return SCALE_NONE
}

/** True if `segment` may open a connection that nobody has seen: a SYN alone. */
export const opens = ({ flags }: Segment): boolean => (flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) === TCP_SYN

/** True if `segment` can be of a connection in progress, which may be picked up. */
export const continues = ({ flags }: Segment): boolean => (flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) === TCP_ACK

/** Words `words` from `at` become the connection that `segment` opens or continues; `direction`: where it goes. */
export function begin(words: Int32Array, at: number, direction: number, segment: Segment): void {
  const side = at + E_SIDES + direction * SIDE_WORDS
  const other = at + E_SIDES + (1 - direction) * SIDE_WORDS
  const isNew = opens(segment)
  const scales = isNew
    ? (segment.scale << (SCALE_SHIFT + direction * SCALE_BITS)) | (SCALE_NONE << (SCALE_SHIFT + (1 - direction) * SCALE_BITS))
    : (SCALE_MAX << SCALE_SHIFT) | (SCALE_MAX << (SCALE_SHIFT + SCALE_BITS))
  words[at + E_STATE] = (isNew ? synSent : pickedUp) | (direction === layout.INCOMING ? SF_FROM_REMOTE : 0) | scales
  words[side + S_END] = segment.end
  words[side + S_LIMIT] = isNew ? segment.sequence + 1 : segment.end + WINDOW_MAX // of a SYN: the least that answers it
  words[side + S_ACKNOWLEDGED] = segment.acknowledgement
  words[other + S_END] = segment.acknowledgement
  words[other + S_LIMIT] = segment.acknowledgement + (segment.window << SCALE_MAX)
  words[other + S_ACKNOWLEDGED] = segment.sequence
}

/** What `segment`, which goes in `direction`, is to the connection in `words` at `at`, and what it makes of it. Allocates nothing. */
export function follow(words: Int32Array, at: number, direction: number, segment: Segment): number {
  const held = words[at + E_STATE]!
  const state = held & STATE_MASK
  const { flags } = segment
  if (state === closed) return UNKNOWN
  if ((flags & TCP_RST) !== 0) return reset(words, at, direction, segment)
  if ((flags & TCP_SYN) !== 0) return synchronize(words, at, direction, segment)
  if ((flags & TCP_ACK) === 0) return REFUSED
  if (state === established || state === closing) return proceed(words, at, direction, segment)
  const side = at + E_SIDES + direction * SIDE_WORDS
  const other = at + E_SIDES + (1 - direction) * SIDE_WORDS
  const isOpener = ((held & SF_FROM_REMOTE) !== 0) === (direction === layout.INCOMING)
  if (state === synSent) return isOpener ? REFUSED : IGNORED // the answer to a SYN where a connection still stands: the opener resets that
  if (state === synReceived) {
    if (!isOpener) return proceed(words, at, direction, segment)
    const acknowledgement = segment.acknowledgement
    if (((acknowledgement - words[side + S_ACKNOWLEDGED]!) | 0) < 0) return IGNORED
    if (((words[other + S_END]! - acknowledgement) | 0) < 0) return REFUSED
    become(words, at, established)
    return proceed(words, at, direction, segment)
  }
  // Picked up: an answer must be about what was seen of the first side.
  if (isOpener) return proceed(words, at, direction, segment)
  const behind = (words[other + S_END]! - segment.acknowledgement) | 0
  const apart = (segment.sequence - words[side + S_END]!) | 0
  if (behind < 0 || behind > PICK_UP_SLACK || apart > PICK_UP_SLACK || apart < -PICK_UP_SLACK) return REFUSED
  become(words, at, established)
  words[side + S_END] = segment.end
  words[side + S_ACKNOWLEDGED] = segment.acknowledgement
  words[other + S_LIMIT] = segment.acknowledgement + (segment.window << SCALE_MAX)
  return (flags & TCP_FIN) === 0 ? BELONGS : proceed(words, at, direction, segment)
}

function become(words: Int32Array, at: number, state: number): void {
  words[at + E_STATE] = (words[at + E_STATE]! & ~STATE_MASK) | state
}

const scaleIn = (held: number, direction: number): number => {
  const scale = (held >> (SCALE_SHIFT + direction * SCALE_BITS)) & SCALE_FIELD
  return scale === SCALE_NONE ? 0 : scale
}

// A segment of a connection where both sides have spoken.
function proceed(words: Int32Array, at: number, direction: number, segment: Segment): number {
  const side = at + E_SIDES + direction * SIDE_WORDS
  const other = at + E_SIDES + (1 - direction) * SIDE_WORDS
  const { sequence, acknowledgement, end, flags } = segment
  const sent = words[side + S_END]!
  if (((end - words[side + S_LIMIT]!) | 0) > WINDOW_PROBE) return IGNORED
  if (((sent - sequence) | 0) > WINDOW_MAX) return IGNORED
  const unacknowledged = (words[other + S_END]! - acknowledgement) | 0
  if (unacknowledged < 0 || unacknowledged > WINDOW_MAX) return IGNORED
  const held = words[at + E_STATE]!
  // Only what follows on what was seen ends a side: a FIN further on would be put aside by its receiver too.
  if ((flags & TCP_FIN) !== 0 && ((sent - sequence) | 0) >= 0) words[at + E_STATE] = held | (SF_FIN << direction)
  if (((end - sent) | 0) > 0) words[side + S_END] = end
  if (((acknowledgement - words[side + S_ACKNOWLEDGED]!) | 0) > 0) words[side + S_ACKNOWLEDGED] = acknowledgement
  const limit = (acknowledgement + (segment.window << scaleIn(held, direction))) | 0
  if (((limit - words[other + S_LIMIT]!) | 0) > 0) words[other + S_LIMIT] = limit
  if ((words[at + E_STATE]! & (SF_FIN | (SF_FIN << 1))) === (SF_FIN | (SF_FIN << 1))) become(words, at, closing)
  return BELONGS
}

function reset(words: Int32Array, at: number, direction: number, segment: Segment): number {
  const held = words[at + E_STATE]!
  const side = at + E_SIDES + direction * SIDE_WORDS
  const other = at + E_SIDES + (1 - direction) * SIDE_WORDS
  const isOpener = ((held & SF_FROM_REMOTE) !== 0) === (direction === layout.INCOMING)
  if ((held & STATE_MASK) === synSent && !isOpener) {
    // The answer to a SYN names the number behind it.
    if ((segment.flags & TCP_ACK) === 0 || segment.acknowledgement !== words[other + S_END]) return REFUSED
    become(words, at, closed)
    return BELONGS
  }
  const { sequence } = segment
  if (sequence === words[side + S_END] || sequence === words[other + S_ACKNOWLEDGED]) {
    become(words, at, closed)
    return BELONGS
  }
  if ((held & STATE_MASK) === synSent) return IGNORED // the opener resets the connection that stood there before
  const isWithin = ((words[side + S_LIMIT]! - sequence) | 0) >= 0 && ((sequence - words[other + S_ACKNOWLEDGED]!) | 0) >= 0
  return isWithin ? IGNORED : REFUSED
}

function synchronize(words: Int32Array, at: number, direction: number, segment: Segment): number {
  const held = words[at + E_STATE]!
  const state = held & STATE_MASK
  const side = at + E_SIDES + direction * SIDE_WORDS
  const other = at + E_SIDES + (1 - direction) * SIDE_WORDS
  const isOpener = ((held & SF_FROM_REMOTE) !== 0) === (direction === layout.INCOMING)
  const { acknowledgement, end, sequence } = segment
  if ((segment.flags & TCP_ACK) === 0) {
    if (state === closing) return UNKNOWN
    if (state === synSent && isOpener) {
      begin(words, at, direction, segment)
      return BELONGS
    }
    if (state !== synSent) return IGNORED
    // Both sides open it at once.
    words[side + S_END] = end
    words[side + S_LIMIT] = end
    words[other + S_ACKNOWLEDGED] = (sequence + 1) | 0
    settleScales(words, at, direction, segment.scale)
    become(words, at, synReceived)
    return BELONGS
  }
  if (state === synReceived && isOpener && acknowledgement === words[other + S_END]) {
    become(words, at, established)
    return BELONGS
  }
  if (state !== synSent) return end === words[side + S_END] ? BELONGS : IGNORED
  if (isOpener) return REFUSED
  if (((acknowledgement - words[other + S_LIMIT]!) | 0) < 0 || ((words[other + S_END]! - acknowledgement) | 0) < 0) return REFUSED
  words[side + S_END] = end
  words[side + S_LIMIT] = (end + 0xffff) | 0
  words[side + S_ACKNOWLEDGED] = acknowledgement
  words[other + S_LIMIT] = (acknowledgement + segment.window) | 0 // never scaled in a SYN
  words[other + S_ACKNOWLEDGED] = (sequence + 1) | 0
  settleScales(words, at, direction, segment.scale)
  become(words, at, synReceived)
  return BELONGS
}

// Windows are scaled if both sides offered it (RFC 7323).
function settleScales(words: Int32Array, at: number, direction: number, scale: number): void {
  const held = words[at + E_STATE]!
  const first = (held >> (SCALE_SHIFT + (1 - direction) * SCALE_BITS)) & SCALE_FIELD
  const both = (SCALE_FIELD | (SCALE_FIELD << SCALE_BITS)) << SCALE_SHIFT
  const isScaled = first !== SCALE_NONE && scale !== SCALE_NONE
  const scales = isScaled
    ? (scale << (SCALE_SHIFT + direction * SCALE_BITS)) | (first << (SCALE_SHIFT + (1 - direction) * SCALE_BITS))
    : (SCALE_NONE << SCALE_SHIFT) | (SCALE_NONE << (SCALE_SHIFT + SCALE_BITS))
  words[at + E_STATE] = (held & ~both) | scales
}
