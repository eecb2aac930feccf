// Connections as the control thread has them: listed for people, saved with their port, restored at another place, removed with it.
//
// The rule it must not break: entries are copied whole or not at all, while processors change them; what is restored is checked as though a
// stranger had written it, and takes no more room than new connections of the port would.
import { formatIpv4, formatIpv6 } from '../../packet/addresses.ts'
import * as layout from './connection-layout.ts'
import type { ConnectionStore } from './connection-store.ts'
import { IDLE_SECONDS_MAX, timeoutOf } from './time-outs.ts'

const { E_COUNTS, E_IDLE, E_KEY, E_LAST, E_SIDES, E_STATE, E_TIMEOUT, ENTRY_WORDS, STATE_MASK, SF_FROM_REMOTE } = layout
const { FLOW_PORTS, FLOW_PROTOCOL, FLOW_SWITCH_PORT, KEY_WORDS, KIND_ECHO_FROM_REMOTE, KIND_FRAGMENT, SWITCH_PORT_MASK } = layout
const { free: FREE, fragment: FRAGMENT, synSent, pickedUp, unreplied, replied } = layout.ConnectionState
const TCP = 6
const ICMP = 1
const ICMPV6 = 58
/** Connections that one page of a listing has at the most. */
export const CONNECTIONS_PAGE_MAX = 1000

/** A connection, from its port's point of view. */
export interface ConnectionRecord {
  /** IP protocol: 6 TCP, 17 UDP …. */
  readonly protocol: number
  readonly isolationId: number
  readonly localAddress: string
  readonly localPort: number
  readonly remoteAddress: string
  readonly remotePort: number
  readonly state: string
  /** Who sent the first packet: the port (outbound), or the remote side. */
  readonly opened: 'outbound' | 'inbound'
  readonly idleSeconds: number
  /** Seconds until it is forgotten, if nothing comes. */
  readonly expiresInSeconds: number
  readonly sentPackets: number
  readonly sentBytes: number
  readonly receivedPackets: number
  readonly receivedBytes: number
}

export interface ConnectionPage {
  readonly connections: readonly ConnectionRecord[]
  /** Where the next page starts; 0: there is none. */
  readonly next: number
}

// A copy of an entry that no processor was writing meanwhile.
class Snapshot {
  readonly words = new Int32Array(ENTRY_WORDS)
  readonly key = new Uint32Array(this.words.buffer, E_KEY * 4, KEY_WORDS)
  readonly counts = new Float64Array(this.words.buffer, E_COUNTS * 4, 4)

  /** False if entry number `entry` is no connection of `port`. */
  take(store: ConnectionStore, entry: number, port: number): boolean {
    const at = store.entryAt(entry)
    const { words } = store
    for (;;) {
      const sequence = Atomics.load(words, at)
      if ((sequence & 1) !== 0) continue
      for (let k = 0; k < ENTRY_WORDS; k++) this.words[k] = words[at + k]!
      if (Atomics.load(words, at) === sequence) break
    }
    const state = this.words[E_STATE]! & STATE_MASK
    return state !== FREE && state !== FRAGMENT && (this.key[FLOW_SWITCH_PORT]! & SWITCH_PORT_MASK) === port
  }
}

function addressOf(key: Uint32Array, at: number): string {
  if (((key[FLOW_PROTOCOL]! >> 8) & 0xf) === 4) return formatIpv4(key[at + 3]!)
  const bytes = new Uint8Array(16)
  const view = new DataView(bytes.buffer)
  for (let k = 0; k < 4; k++) view.setUint32(k * 4, key[at + k]!)
  return formatIpv6(bytes)
}

const isolationOf = (key: Uint32Array): number => (key[FLOW_PROTOCOL]! >>> 16) | ((key[FLOW_SWITCH_PORT]! >>> 16) << 16)

function recordOf({ words, key, counts }: Snapshot, tick: number): ConnectionRecord {
  const idleMs = Math.max(0, (tick - words[E_LAST]!) | 0)
  return {
    protocol: key[FLOW_PROTOCOL]! & 0xff,
    isolationId: isolationOf(key),
    localAddress: addressOf(key, layout.FLOW_LOCAL),
    localPort: key[FLOW_PORTS]! >>> 16,
    remoteAddress: addressOf(key, layout.FLOW_REMOTE),
    remotePort: key[FLOW_PORTS]! & 0xffff,
    state: layout.connectionStateNames[words[E_STATE]! & STATE_MASK]!,
    opened: (words[E_STATE]! & SF_FROM_REMOTE) === 0 ? 'outbound' : 'inbound',
    idleSeconds: Math.floor(idleMs / 1000),
    expiresInSeconds: Math.max(0, Math.ceil((words[E_TIMEOUT]! - idleMs) / 1000)),
    sentPackets: counts[0]!,
    sentBytes: counts[1]!,
    receivedPackets: counts[2]!,
    receivedBytes: counts[3]!,
  }
}

/** A page of the connections of a port, from place `from` (0, or `next` of the page before) on. Reads all the table at the most. */
export function listConnections(store: ConnectionStore, port: number, nowMs: number, from = 0, limit = 100): ConnectionPage {
  const tick = nowMs | 0
  const most = Math.min(limit, CONNECTIONS_PAGE_MAX)
  const connections: ConnectionRecord[] = []
  const snapshot = new Snapshot()
  for (let entry = from; entry < store.everUsed; entry++) {
    if (!snapshot.take(store, entry, port) || isOver(snapshot, tick)) continue
    if (connections.length === most) return { connections, next: entry }
    connections.push(recordOf(snapshot, tick))
  }
  return { connections, next: 0 }
}

const isOver = ({ words }: Snapshot, tick: number): boolean => ((tick - words[E_LAST]!) | 0) > words[E_TIMEOUT]!

/** Removes all entries of a port. Returns how many. */
export function removeConnections(store: ConnectionStore, port: number): number {
  let removed = 0
  for (let entry = 0; entry < store.everUsed; entry++) {
    const at = store.entryAt(entry)
    const isOwn = (): boolean =>
      (store.words[at + E_STATE]! & STATE_MASK) !== FREE &&
      (store.words[at + E_KEY + FLOW_SWITCH_PORT]! & SWITCH_PORT_MASK) === port
    if (!isOwn()) continue
    store.lock()
    store.acquireAt(at)
    if (isOwn()) {
      store.removeHeld(at)
      removed++
    } else store.release(at)
    store.unlock()
  }
  return removed
}

// ---- saved form: little-endian words per connection -----------------------------------------------------------------------------

const SAVED_ISOLATION_HIGH = 10
const SAVED_STATE = 11
const SAVED_IDLE_FOR = 12
const SAVED_IDLE = 13
const SAVED_SIDES = 14
const SAVED_COUNTS = 20
const SAVED_WORDS = 28
const SIDES_WORDS = 6
/** Bytes of one saved connection. */
export const SAVED_CONNECTION_BYTES = SAVED_WORDS * 4

/** The connections of a port as bytes: whoever restores them may be another host. */
export function saveConnections(store: ConnectionStore, port: number, nowMs: number): Uint8Array {
  const tick = nowMs | 0
  const snapshot = new Snapshot()
  const { words, key } = snapshot
  const saved: number[] = []
  const counts = new Int32Array(snapshot.counts.buffer, E_COUNTS * 4, 8)
  for (let entry = 0; entry < store.everUsed; entry++) {
    if (!snapshot.take(store, entry, port) || isOver(snapshot, tick)) continue
    for (let k = 0; k < SAVED_ISOLATION_HIGH; k++) saved.push(key[k]! | 0)
    saved.push(key[FLOW_SWITCH_PORT]! >>> 16, words[E_STATE]!, Math.max(0, (tick - words[E_LAST]!) | 0), words[E_IDLE]!)
    for (let k = 0; k < SIDES_WORDS; k++) saved.push(words[E_SIDES + k]!)
    saved.push(...counts)
  }
  const bytes = new Uint8Array(saved.length * 4)
  const view = new DataView(bytes.buffer)
  for (const [k, word] of saved.entries()) view.setInt32(k * 4, word, true)
  return bytes
}

/** What is wrong with saved connections, or undefined. */
export function savedConnectionsError(bytes: Uint8Array): string | undefined {
  if (bytes.length % SAVED_CONNECTION_BYTES !== 0)
    return `has ${bytes.length} bytes, a multiple of ${SAVED_CONNECTION_BYTES} is expected`
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = 0; at < bytes.length; at += SAVED_CONNECTION_BYTES)
    if (!isSound(view, at)) return `its connection ${at / SAVED_CONNECTION_BYTES + 1} is none`
  return undefined
}

function isSound(view: DataView, at: number): boolean {
  const word = (k: number): number => view.getInt32(at + k * 4, true)
  const kind = word(FLOW_PROTOCOL)
  const protocol = kind & 0xff
  const family = (kind >> 8) & 0xf
  if (family !== 4 && family !== 6) return false
  if ((kind & KIND_FRAGMENT) !== 0 || (kind & 0xc000) !== 0) return false
  if ((kind & KIND_ECHO_FROM_REMOTE) !== 0 && protocol !== ICMP && protocol !== ICMPV6) return false
  const state = word(SAVED_STATE) & STATE_MASK
  const isKnown = protocol === TCP ? state >= synSent && state <= pickedUp : state === unreplied || state === replied
  if (!isKnown || word(SAVED_IDLE_FOR) < 0) return false
  if (word(SAVED_IDLE) < 1 || word(SAVED_IDLE) > IDLE_SECONDS_MAX * 1000) return false
  if ((word(SAVED_ISOLATION_HIGH) & ~0xffff) !== 0) return false
  for (let k = 0; k < 4; k++) {
    const count = view.getFloat64(at + (SAVED_COUNTS + k * 2) * 4, true)
    if (!(count >= 0 && count <= Number.MAX_SAFE_INTEGER)) return false
  }
  return true
}

/**
 * Gives `port` the connections that were saved of it, as long as its share allows. Those that it has already stay as they are. Returns how many
 * were restored. Throws RangeError with what `savedConnectionsError` says.
 */
export function restoreConnections(store: ConnectionStore, port: number, bytes: Uint8Array, nowMs: number): number {
  const error = savedConnectionsError(bytes)
  if (error !== undefined) throw new RangeError(error)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const key = new Uint32Array(layout.FLOW_WORDS)
  let restored = 0
  for (let from = 0; from < bytes.length; from += SAVED_CONNECTION_BYTES) {
    const word = (k: number): number => view.getInt32(from + k * 4, true)
    for (let k = 0; k < SAVED_ISOLATION_HIGH; k++) key[k] = word(k)
    key[FLOW_SWITCH_PORT] = port | (word(SAVED_ISOLATION_HIGH) << 16)
    store.lock()
    const present = store.acquire(key)
    if (present >= 0) store.release(present)
    const at = present >= 0 ? -1 : store.allocate(key)
    if (at >= 0) {
      const { words, floats } = store
      words[at + E_STATE] = word(SAVED_STATE)
      words[at + E_LAST] = nowMs - word(SAVED_IDLE_FOR)
      words[at + E_IDLE] = word(SAVED_IDLE)
      words[at + E_TIMEOUT] = timeoutOf(word(SAVED_STATE) & STATE_MASK, key[FLOW_PROTOCOL]! & 0xff, word(SAVED_IDLE))
      for (let k = 0; k < SIDES_WORDS; k++) words[at + E_SIDES + k] = word(SAVED_SIDES + k)
      for (let k = 0; k < 4; k++) floats[((at + E_COUNTS) >> 1) + k] = view.getFloat64(from + (SAVED_COUNTS + k * 2) * 4, true)
      store.release(at)
      store.relist(at)
      restored++
    }
    store.unlock()
  }
  return restored
}
