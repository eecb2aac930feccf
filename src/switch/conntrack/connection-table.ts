// Connection tracking as one processor uses it, per packet: what a stateful rule let through once goes on, both ways, for as long as it
// lives. Connections are kept from a port's point of view, so that each port's rules know their own; the table itself is shared.
//
// The rule it must not break: nobody who does not see a connection can open, keep or close it; nothing is allocated per packet.
import * as kernels from '../../kernels/layout.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import * as layout from './connection-layout.ts'
import { ConnectionStore, OVER_SHARE, type StoreOptions } from './connection-store.ts'
import {
  fragmentKey,
  ICMP,
  ICMPV6,
  isEchoRequest,
  RELATED_NONE,
  RELATED_UNREADABLE,
  relatedKey,
  transportBytes,
} from './inner-keys.ts'
import { BELONGS, begin, continues, follow, opens, REFUSED, Segment, UNKNOWN as TCP_UNKNOWN } from './tcp.ts'
import { PICK_UP_MS, timeoutOf } from './time-outs.ts'

const { HEADER_STRIDE } = kernels
const { E_COUNTS, E_IDLE, E_KEY, E_LAST, E_SIDES, E_STATE, E_TIMEOUT, SIDE_WORDS, SF_FROM_REMOTE, STATE_MASK, S_END } = layout
const { FLOW_FLAGS, FLOW_PROTOCOL, FLOW_SWITCH_PORT, FLOW_WORDS, INCOMING, KIND_ECHO_FROM_REMOTE, OUTGOING } = layout
const { R_PICK_UP, R_PICK_UP_UNTIL } = layout
const { first: FIRST, later: LATER } = layout.FlowFragment
const { opened: OPENED, refusedByShare: REFUSED_BY_SHARE, full: FULL } = layout.ConnectionCounter
const { closed, closing, fragment, replied, unreplied } = layout.ConnectionState
const { none, connectionInvalid, connectionsFull, connectionShare } = DropReason
const TCP = 6
/** How far an ICMP error's quotation of a TCP segment may be behind what was sent. */
const QUOTED_MAX = 1 << 24

/** Memory of a switch's connections, as threads hand it to each other. */
export interface ConnectionMemory extends StoreOptions {
  /** Empty on the way to another thread, if it is linear memory: that can't be sent. */
  readonly buffer: ArrayBufferLike
  /** Linear address, where the kernel reaches it; 0: it is memory of its own. */
  readonly at: number
}

const NO_BUFFER = new SharedArrayBuffer(0)

/** The same memory, as it can be sent to another thread. */
export const memoryToSend = (memory: ConnectionMemory): ConnectionMemory =>
  memory.at === 0 ? memory : { ...memory, buffer: NO_BUFFER }

/** Memory that was sent, where linear memory is `linear`. */
export const receivedMemory = (memory: ConnectionMemory, linear: ArrayBufferLike): ConnectionMemory =>
  memory.at === 0 ? memory : { ...memory, buffer: linear }

/** The packet is of no connection: the rules decide. */
export const UNTRACKED = -1
/** No connection was met. */
export const NO_STATE = -1

/**
 * The connections of a switch, as one processor sees them. Fields are ordinary ones: they are read per packet. Flows are Uint32Arrays of
 * FLOW_WORDS, laid out as connection-layout.ts says; they are read during a call only.
 */
export class ConnectionTable {
  readonly store: ConnectionStore
  /** Milliseconds of the switch's clock at the burst in work, as 32 bits. */
  tick = 0
  /** Its linear address, 0: the kernel does not reach it. */
  readonly at: number
  private readonly segment = new Segment()
  private readonly key = new Uint32Array(FLOW_WORDS)
  // Packets are judged, and leave no trace; entries are copied here.
  private readonly dry: boolean
  private readonly copy = new Int32Array(layout.ENTRY_WORDS)
  /** In a dry run: state (ConnectionState) of the connection that a packet met since this was set to NO_STATE; free: it would open one. */
  metState = NO_STATE
  /** Whether the remote side opened it. */
  metFromRemote = false

  /**
   * Views the table at byte offset `at` (a multiple of 128; 0: it lies in memory of its own) of `buffer`; it takes `connectionTableBytes`, zeroed
   * by the caller. `dry`: nothing is changed by it.
   */
  constructor(buffer: ArrayBufferLike, at: number, options: StoreOptions, dry = false) {
    this.at = at
    this.store = new ConnectionStore(buffer, at, options)
    this.dry = dry
  }

  /** Tells the time; once per burst, before anything else. `nowMs`: of the switch's clock. */
  begin(nowMs: number): void {
    this.tick = nowMs | 0
  }

  /**
   * Looks for the connection of the packet in `slot`, before the rules are asked. 0: it belongs to one and passes; UNTRACKED: the rules
   * decide; else the reason to drop it for: it poses as a part of a connection. `incoming`: it goes to the flow's port. Any processor.
   */
  find(flow: Uint32Array, incoming: boolean, pool: PacketPool, slot: number): number {
    const fragments = flow[FLOW_FLAGS]! >>> 8
    if ((fragments & LATER) !== 0) {
      return fragmentKey(this.key, flow, pool, slot) && this.passFragment(pool.length[slot]!, incoming) ? none : UNTRACKED
    }
    const protocol = flow[FLOW_PROTOCOL]! & 0xff
    const verdict =
      protocol === ICMP || protocol === ICMPV6 ? this.findIcmp(flow, incoming, pool, slot) : this.pass(flow, incoming, pool, slot)
    if (verdict === none && (fragments & FIRST) !== 0) this.noteFragment(flow, incoming, pool, slot)
    return verdict
  }

  /**
   * A stateful rule lets the packet in `slot` through, which `find` left UNTRACKED: opens its connection. `idleSeconds`: the rule's
   * IdleSessionTimeout. 0: it passes; else the reason to drop it for. What opens nothing by nature (ICMP other than echo requests, later
   * fragments) passes and leaves nothing behind.
   */
  open(flow: Uint32Array, incoming: boolean, pool: PacketPool, slot: number, idleSeconds: number): number {
    const fragments = flow[FLOW_FLAGS]! >>> 8
    if ((fragments & LATER) !== 0) return none
    const protocol = flow[FLOW_PROTOCOL]! & 0xff
    const { key, segment } = this
    for (let k = 0; k < FLOW_WORDS; k++) key[k] = flow[k]!
    if (protocol === TCP) {
      if (!this.read(pool, slot)) return connectionInvalid
      if (!opens(segment) && !(continues(segment) && this.picksUp(flow[FLOW_SWITCH_PORT]! & layout.SWITCH_PORT_MASK)))
        return connectionInvalid
    } else if (protocol === ICMP || protocol === ICMPV6) {
      if (!isEchoRequest(pool, slot, protocol)) return none
      if (incoming) key[FLOW_PROTOCOL] = key[FLOW_PROTOCOL]! | KIND_ECHO_FROM_REMOTE
    }
    const verdict = this.insert(protocol, incoming, pool.length[slot]!, Math.min(idleSeconds * 1000, 0x7fffffff))
    if (verdict === UNTRACKED) return this.pass(key, incoming, pool, slot) > none ? connectionInvalid : none // opened elsewhere meanwhile
    if (verdict === none && (fragments & FIRST) !== 0) this.noteFragment(flow, incoming, pool, slot)
    return verdict
  }

  // Adds an entry for `key`, or begins anew in one that is over; UNTRACKED if there is one that lives.
  private insert(protocol: number, incoming: boolean, bytes: number, idleMs: number): number {
    if (this.dry) {
      this.metState = layout.ConnectionState.free
      return none
    }
    const { store, key, tick } = this
    const { words } = store
    store.lock()
    let at = store.acquire(key)
    if (at < 0) {
      at = store.allocate(key)
      if (at < 0) {
        store.count(at === OVER_SHARE ? REFUSED_BY_SHARE : FULL)
        store.unlock()
        return at === OVER_SHARE ? connectionShare : connectionsFull
      }
    } else {
      const held = words[at + E_STATE]! & STATE_MASK
      if (held !== closed && held !== closing && !store.isExpired(at, tick)) {
        store.release(at)
        store.unlock()
        return UNTRACKED
      }
      words.fill(0, at + E_COUNTS, at + layout.ENTRY_WORDS)
    }
    const direction = incoming ? INCOMING : OUTGOING
    if (protocol === TCP) begin(words, at, direction, this.segment)
    else words[at + E_STATE] = unreplied | (incoming ? SF_FROM_REMOTE : 0)
    words[at + E_LAST] = tick
    words[at + E_IDLE] = idleMs
    words[at + E_TIMEOUT] = timeoutOf(words[at + E_STATE]! & STATE_MASK, protocol, idleMs)
    this.tally(at, direction, bytes)
    store.release(at)
    store.relist(at)
    store.count(OPENED)
    store.unlock()
    return none
  }

  private tally(at: number, direction: number, bytes: number): void {
    const { floats } = this.store
    const counts = ((at + E_COUNTS) >> 1) + direction * 2
    floats[counts] = floats[counts]! + 1
    floats[counts + 1] = floats[counts + 1]! + bytes
  }

  // A packet whose connection, if there is one, has the key of the flow.
  private pass(key: Uint32Array, incoming: boolean, pool: PacketPool, slot: number): number {
    const { store, tick } = this
    const { words } = store
    const at = store.acquire(key)
    if (at < 0) return UNTRACKED
    if (store.isExpired(at, tick)) {
      store.release(at)
      return UNTRACKED
    }
    const direction = incoming ? INCOMING : OUTGOING
    if (this.dry) return this.wouldPass(at, direction, pool, slot)
    const before = words[at + E_STATE]!
    let counts = true
    if ((key[FLOW_PROTOCOL]! & 0xff) === TCP) {
      const said = this.read(pool, slot) ? follow(words, at, direction, this.segment) : REFUSED
      if (said >= REFUSED) {
        store.release(at)
        return said === TCP_UNKNOWN ? UNTRACKED : connectionInvalid
      }
      counts = said === BELONGS
    } else if ((before & STATE_MASK) === unreplied && ((before & SF_FROM_REMOTE) !== 0) !== incoming) {
      words[at + E_STATE] = (before & ~STATE_MASK) | replied
    }
    if (counts) words[at + E_LAST] = tick
    this.tally(at, direction, pool.length[slot]!)
    const after = words[at + E_STATE]!
    if (((before ^ after) & STATE_MASK) === 0) store.release(at)
    else this.changed(at, after & STATE_MASK)
    return none
  }

  // What a packet of an entry, held, would meet.
  private wouldPass(at: number, direction: number, pool: PacketPool, slot: number): number {
    const { store, copy } = this
    for (let k = 0; k < copy.length; k++) copy[k] = store.words[at + k]!
    store.release(at)
    this.metState = copy[E_STATE]! & STATE_MASK
    this.metFromRemote = (copy[E_STATE]! & SF_FROM_REMOTE) !== 0
    if ((copy[E_KEY + FLOW_PROTOCOL]! & 0xff) !== TCP) return none
    const said = this.read(pool, slot) ? follow(copy, 0, direction, this.segment) : REFUSED
    return said === TCP_UNKNOWN ? UNTRACKED : said === REFUSED ? connectionInvalid : none
  }

  // An entry, held, has another state now.
  private changed(at: number, state: number): void {
    const { store } = this
    const { words } = store
    words[at + E_TIMEOUT] = timeoutOf(state, words[at + E_KEY + FLOW_PROTOCOL]! & 0xff, words[at + E_IDLE]!)
    store.release(at)
    store.lock()
    store.relist(at)
    store.unlock()
  }

  private read(pool: PacketPool, slot: number): boolean {
    const l4 = pool.l4[slot]!
    if (l4 === 0) return false
    const at = slot * HEADER_STRIDE + pool.headerOffset[slot]! + l4
    return this.segment.read(pool.header8, at, pool.headerLength[slot]! - l4, transportBytes(pool, slot))
  }

  private picksUp(port: number): boolean {
    const { store } = this
    if (port >= store.ports) return false
    const record = store.recordOf(port)
    const left = (store.words[record + R_PICK_UP_UNTIL]! - this.tick) | 0
    return store.words[record + R_PICK_UP] === 1 && left > 0 && left <= PICK_UP_MS
  }

  // ---- ICMP ---------------------------------------------------------------------------------------------------------------

  // Echo follows its request; an error follows the connection whose packet it quotes, and changes nothing of it.
  private findIcmp(flow: Uint32Array, incoming: boolean, pool: PacketPool, slot: number): number {
    const { key } = this
    const quoted = relatedKey(key, flow, incoming, pool, slot)
    if (quoted !== RELATED_NONE) return quoted !== RELATED_UNREADABLE && this.quotes(incoming, quoted) ? none : UNTRACKED
    for (let k = 0; k < FLOW_WORDS; k++) key[k] = flow[k]!
    if (isEchoRequest(pool, slot, flow[FLOW_PROTOCOL]! & 0xff) === incoming)
      key[FLOW_PROTOCOL] = key[FLOW_PROTOCOL]! | KIND_ECHO_FROM_REMOTE
    return this.pass(key, incoming, pool, slot)
  }

  // True if `key`, out of an ICMP error, is a connection's; of TCP, the sequence number that it quotes must be one that was sent.
  private quotes(incoming: boolean, sequence: number): boolean {
    const { store, key, tick } = this
    const { words } = store
    const at = store.acquire(key)
    if (at < 0) return false
    let isKnown = !store.isExpired(at, tick) && (words[at + E_STATE]! & STATE_MASK) !== closed
    if (isKnown && (key[FLOW_PROTOCOL]! & 0xff) === TCP) {
      // What comes to the port quotes what the port sent.
      const side = at + E_SIDES + (incoming ? OUTGOING : INCOMING) * SIDE_WORDS
      const behind = (words[side + S_END]! - sequence) | 0
      isKnown = behind >= 0 && behind <= QUOTED_MAX
    }
    store.release(at)
    return isKnown
  }

  // ---- fragments ----------------------------------------------------------------------------------------------------------

  // The first fragment of a datagram was admitted: so are the later ones, for a while.
  private noteFragment(flow: Uint32Array, incoming: boolean, pool: PacketPool, slot: number): void {
    const { store, key, tick } = this
    if (this.dry || !fragmentKey(key, flow, pool, slot)) return
    store.lock()
    let at = store.acquire(key)
    if (at < 0) at = store.allocate(key)
    if (at >= 0) {
      const { words } = store
      words[at + E_STATE] = fragment | (incoming ? SF_FROM_REMOTE : 0)
      words[at + E_LAST] = tick
      words[at + E_IDLE] = 0x7fffffff
      words[at + E_TIMEOUT] = timeoutOf(fragment, 0, 0x7fffffff)
      store.release(at)
      store.relist(at)
    }
    store.unlock()
  }

  private passFragment(bytes: number, incoming: boolean): boolean {
    const { store, key, tick } = this
    const at = store.acquire(key)
    if (at < 0) return false
    const isFrom = ((store.words[at + E_STATE]! & SF_FROM_REMOTE) !== 0) === incoming
    const passes = isFrom && !store.isExpired(at, tick)
    if (passes && !this.dry) this.tally(at, incoming ? INCOMING : OUTGOING, bytes)
    store.release(at)
    return passes
  }
}
