// Which rule of an extended ACL decides about packets: the rules are asked, and of long lists what they said is remembered by flow. For bursts all
// keys are made first and looked up together, so that the processor waits for many of them at once.
//
// The rule it must not break: a rank is that of the first rule that matches, remembered or not; nothing is allocated per packet.
import * as layout from '../../kernels/layout.ts'
import type { PacketPool } from '../../ndis/pool.ts'
import type { PortTable } from '../port-table.ts'
import type { ExtendedList } from './acl-plan.ts'
import { first } from './classifier.ts'
import { FLOW_KEY_WORDS, fillFlowKey, HIDDEN, isWideKey, LATER_FRAGMENT, NOT_IP } from './flow-key.ts'
import { FlowMemo, NOT_KNOWN } from './flow-memo.ts'

const { BURST_MAX } = layout
/** Lists up to here are looked up for each packet: faster than remembering. */
const UNREMEMBERED_RULES = 32

/** What stands in place of a rank where the rules are not asked: the packet passes by them, or it cannot be read. */
export const NOT_ASKED = -2
export const UNREADABLE = -3

// Look-ups of a key: by direction, and of a later fragment.
const INBOUND = 1
const LATER = 2
const FIRST_LOOKUP = 1

function programOf(list: ExtendedList, wide: boolean, later: boolean): Int32Array {
  if (wide) return later ? list.later6 : list.ipv6
  return later ? list.later4 : list.ipv4
}

/** One processor's. Fields are ordinary ones: they are read per packet. */
export class LookUps {
  /** By position in a burst: the rank that was found (NO_RULE, NOT_ASKED, UNREADABLE). */
  readonly ranks = new Int32Array(BURST_MAX)
  private readonly pool: PacketPool
  private readonly ports: PortTable
  // Of each position its key, and all of them one behind the other.
  private readonly keys: readonly Uint32Array[]
  private readonly allKeys = new Uint32Array(BURST_MAX * FLOW_KEY_WORDS)
  private readonly lookups = new Int32Array(BURST_MAX)
  private readonly lists: (ExtendedList | undefined)[] = new Array<undefined>(BURST_MAX).fill(undefined)
  private readonly narrow = new FlowMemo(false)
  private readonly wide = new FlowMemo(true)
  // Positions of flows to look for in each of them.
  private readonly narrowOnes = new Uint8Array(BURST_MAX)
  private readonly wideOnes = new Uint8Array(BURST_MAX)
  private narrowCount = 0
  private wideCount = 0

  constructor(pool: PacketPool, ports: PortTable) {
    this.pool = pool
    this.ports = ports
    this.keys = Array.from({ length: BURST_MAX }, (_, i) => this.allKeys.subarray(i * FLOW_KEY_WORDS, (i + 1) * FLOW_KEY_WORDS))
  }

  /** Rules changed. */
  forget(): void {
    this.narrow.clear()
    this.wide.clear()
  }

  /** A burst begins. */
  begin(): void {
    this.narrowCount = 0
    this.wideCount = 0
  }

  /** Position `i` of a burst is the packet in `slot`, about which `list` of `port` decides. */
  add(i: number, slot: number, port: number, inbound: boolean, list: ExtendedList): void {
    const { ranks } = this
    const key = this.keys[i]!
    const state = fillFlowKey(this.pool, this.ports, slot, port, inbound, key)
    if (state === NOT_IP || state === HIDDEN) {
      ranks[i] = state === NOT_IP ? NOT_ASKED : UNREADABLE
      return
    }
    const wide = isWideKey(key)
    const later = state === LATER_FRAGMENT
    if (list.rows.length <= UNREMEMBERED_RULES) {
      ranks[i] = first(programOf(list, wide, later), wide, key)
      return
    }
    this.lists[i] = list
    this.lookups[i] = FIRST_LOOKUP + (inbound ? INBOUND : 0) + (later ? LATER : 0)
    if (wide) this.wideOnes[this.wideCount++] = i
    else this.narrowOnes[this.narrowCount++] = i
  }

  /** Finds the ranks of all that were added since `begin`. */
  decide(): void {
    if (this.narrowCount !== 0) this.decideOf(this.narrow, this.narrowOnes, this.narrowCount, false)
    if (this.wideCount !== 0) this.decideOf(this.wide, this.wideOnes, this.wideCount, true)
  }

  private decideOf(memo: FlowMemo, chosen: Uint8Array, count: number, wide: boolean): void {
    const { keys, lookups, ranks, lists } = this
    if (memo.findAll(this.allKeys, lookups, chosen, count, ranks) === 0) return
    for (let n = 0; n < count; n++) {
      const i = chosen[n]!
      if (ranks[i] !== NOT_KNOWN) continue
      const lookup = lookups[i]!
      const rank = first(programOf(lists[i]!, wide, ((lookup - FIRST_LOOKUP) & LATER) !== 0), wide, keys[i]!)
      memo.note(keys[i]!, lookup, rank)
      ranks[i] = rank
    }
  }

  /** The rank for a packet by itself. */
  rankOf(list: ExtendedList, key: Uint32Array, isLater: boolean, inbound: boolean): number {
    const wide = isWideKey(key)
    const program = programOf(list, wide, isLater)
    if (list.rows.length <= UNREMEMBERED_RULES) return first(program, wide, key)
    const memo = wide ? this.wide : this.narrow
    const lookup = FIRST_LOOKUP + (inbound ? INBOUND : 0) + (isLater ? LATER : 0)
    const known = memo.find(key, lookup)
    if (known !== NOT_KNOWN) return known
    const rank = first(program, wide, key)
    memo.note(key, lookup, rank)
    return rank
  }
}
