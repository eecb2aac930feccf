// Receive side scaling of one processor: the packets that the NIC switch delivers to a VPort of the PF are hashed, told from each other by the
// VPort's table, and indicated here or handed over to the processor that their entry names; with the VPort's id and the hash out of band.
// Completions of what a VPort sent go the same way, by the hash that the packet carries.
//
// The rule it must not break: packets of one flow keep their order: one entry serves it, and what goes to one processor goes in one call per
// burst, in order; nothing is allocated; what a processor does not take is the caller's to count.
import * as layout from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import { PROCESSORS_MAX } from '../queues/queue-words.ts'
import type { WakeModeration } from '../queues/wake-moderation.ts'
import { HASH_FUNCTION_TOEPLITZ } from './hash-types.ts'
import { ReceiveHash } from './receive-hash.ts'
import type { RssTable } from './rss-table.ts'
import { HASH_KEY_BYTES, Toeplitz } from './toeplitz.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const { BURST_SLOTS } = layout
const TOEPLITZ: number = HASH_FUNCTION_TOEPLITZ
const ANY = -1
const NEVER = -1

/** Bytes of shared memory for a steering's lists. */
export const RSS_LIST_BYTES = BURST_SLOTS * 2

/** Where packets of a VPort go; lists are linear addresses of u16 slots, and are read before the call returns. */
export interface RssOutlet {
  /** Takes packets on this processor. Returns how many. */
  here(list: number, count: number): number
  /**
   * Puts packets where another processor takes them, behind what it was handed before; with `wakes` it is woken by these, else here. Returns
   * how many there was room for.
   */
  handOver(processor: number, list: number, count: number): number
}

export interface RssSteeringComponents {
  readonly buffer: ArrayBufferLike
  readonly pool: PacketPool
  readonly table: RssTable
  /** Linear address of RSS_LIST_BYTES. */
  readonly list: number
  /** Wakes processors that were handed packets, as late as the moderation of their VPort lets it (SR-236); `due` is the caller's to call. */
  readonly wakes?: { readonly moderation: WakeModeration; readonly nowUs: () => number }
}

/** The key of a VPort, as this processor knows it. */
interface Keyed {
  /** Of the table, when the key was looked at. */
  generation: number
  readonly key: Uint8Array
  toeplitz: Toeplitz | undefined
}

/** Fields are ordinary ones: they are read per packet. */
export class RssSteering {
  private readonly processor: number
  private readonly pool: PacketPool
  private readonly table: RssTable
  private readonly hash: ReceiveHash
  private readonly words: Uint16Array
  private readonly listAt: number
  private readonly wakes: RssSteeringComponents['wakes']
  private readonly keys: Keyed[]
  /** Of each packet of the list in work: its processor. */
  private readonly targets = new Int16Array(BURST_SLOTS)
  /** Processors that the list in work has packets for, in the order of their first ones; and of each processor if it is among them. */
  private readonly touched = new Int16Array(PROCESSORS_MAX)
  private readonly isTouched = new Uint8Array(PROCESSORS_MAX)

  /** `processor`: number of the one that this object belongs to. */
  constructor({ processor }: { readonly processor: number }, { buffer, pool, table, list, wakes }: RssSteeringComponents) {
    this.wakes = wakes
    this.processor = processor
    this.pool = pool
    this.table = table
    this.hash = new ReceiveHash(pool)
    this.words = new Uint16Array(buffer)
    this.listAt = list
    this.keys = Array.from({ length: table.vports }, () => ({
      generation: NEVER,
      key: new Uint8Array(HASH_KEY_BYTES),
      toeplitz: undefined,
    }))
  }

  /**
   * Takes `count` packets, at most BURST_SLOTS, that the NIC switch delivers to a VPort of the PF (VQ-205), and writes their out-of-band data
   * (VQ-206). Returns how many were taken.
   */
  receive(vport: number, list: number, count: number, outlet: RssOutlet): number {
    const { pool, words, hash, table, targets } = this
    const { receiveQueue, hashValue, hashInfo } = pool
    const first = list >> 1
    const types = table.types(vport)
    if (types === 0) {
      for (let i = 0; i < count; i++) {
        const slot = words[first + i]!
        receiveQueue[slot] = vport
        hashInfo[slot] = 0
      }
      return this.toOne(vport, table.primary(vport), list, count, outlet) // VQ-193, VQ-214
    }
    const toeplitz = this.toeplitzOf(vport)
    const inner = table.encapsulation // VQ-159
    const fallback = table.default(vport)
    for (let i = 0; i < count; i++) {
      const slot = words[first + i]!
      receiveQueue[slot] = vport
      hash.of(slot, types, toeplitz, inner)
      if (hash.type === 0) {
        hashInfo[slot] = 0
        targets[i] = fallback // VQ-208
      } else {
        hashInfo[slot] = hash.type | TOEPLITZ
        hashValue[slot] = hash.value
        targets[i] = table.entry(vport, hash.value)
      }
    }
    return this.split(vport, list, count, outlet)
  }

  /** Takes `count` sent packets of a VPort to the processors that complete them: by the hash that they carry (VQ-207, VQ-208). */
  complete(vport: number, list: number, count: number, outlet: RssOutlet): number {
    const { words, table, targets } = this
    const { hashValue, hashInfo } = this.pool
    const first = list >> 1
    if (table.types(vport) === 0) return this.toOne(vport, table.primary(vport), list, count, outlet)
    const fallback = table.default(vport)
    for (let i = 0; i < count; i++) {
      const slot = words[first + i]!
      targets[i] = hashInfo[slot] === 0 ? fallback : table.entry(vport, hashValue[slot]!)
    }
    return this.split(vport, list, count, outlet)
  }

  private toOne(vport: number, processor: number, list: number, count: number, outlet: RssOutlet): number {
    if (processor === this.processor || processor === ANY) return outlet.here(list, count)
    const taken = outlet.handOver(processor, list, count)
    const { wakes } = this
    if (wakes !== undefined && taken > 0)
      wakes.moderation.packets(processor, taken, this.table.moderationUs(vport), wakes.nowUs())
    return taken
  }

  // One call for each processor, with its packets in their order.
  private split(vport: number, list: number, count: number, outlet: RssOutlet): number {
    const { targets, touched, isTouched, words } = this
    let processors = 0
    for (let i = 0; i < count; i++) {
      const processor = targets[i]!
      if (isTouched[processor] !== 0) continue
      isTouched[processor] = 1
      touched[processors++] = processor
    }
    for (let k = 0; k < processors; k++) isTouched[touched[k]!] = 0
    if (processors === 1) return this.toOne(vport, targets[0]!, list, count, outlet)
    const first = list >> 1
    const own = this.listAt >> 1
    let taken = 0
    for (let k = 0; k < processors; k++) {
      const processor = touched[k]!
      let length = 0
      for (let i = 0; i < count; i++) if (targets[i] === processor) words[own + length++] = words[first + i]!
      taken += this.toOne(vport, processor, this.listAt, length, outlet)
    }
    return taken
  }

  // The key of a VPort does not change while its RSS is on (VQ-196): it is looked at again when the table says that something did. VPorts with
  // one key share its table of 36 KiB, which a cache holds once.
  private toeplitzOf(vport: number): Toeplitz {
    const known = this.keys[vport]!
    const { generation } = this.table
    if (known.generation === generation && known.toeplitz !== undefined) return known.toeplitz
    const changed = this.table.readKey(vport, known.key)
    known.generation = generation
    if (known.toeplitz !== undefined && !changed) return known.toeplitz
    known.toeplitz = undefined
    const same = this.keys.find(({ toeplitz, key }) => toeplitz !== undefined && key.every((octet, i) => octet === known.key[i]))
    known.toeplitz = same?.toeplitz ?? new Toeplitz(known.key)
    return known.toeplitz
  }
}
