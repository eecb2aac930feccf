// What the extended ACL of a port said about the first fragments of datagrams lately, so that the later ones, which have no ports, meet the
// same: of both directions, on one processor.
//
// The rule it must not break: a port that sends fragments without end pushes out its own verdicts alone; a verdict is for fragments with the
// addresses, identification, protocol, VLAN and direction of the first one, and for FRAGMENT_MS; nothing is allocated per packet.

import type { PacketPool } from '../../ndis/pool.ts'
import { FLOW_LOCAL, FLOW_PORTS, KEY_WORDS } from '../conntrack/connection-layout.ts'
import { fragmentKey } from '../conntrack/inner-keys.ts'
import { FRAGMENT_MS } from '../conntrack/time-outs.ts'

/** No first fragment was judged lately. */
export const NO_VERDICT = -1
/** Datagrams that are known at a time of what a port sends, and of what it gets: SETS of WAYS each. */
const SETS = 16
const WAYS = 4
const RANK = KEY_WORDS
const SINCE = KEY_WORDS + 1
const ENTRY_WORDS = 16
const SET_WORDS = WAYS * ENTRY_WORDS
/** Fields are ordinary ones: they are read per packet. */
export class FragmentVerdicts {
  private readonly key = new Uint32Array(ENTRY_WORDS)
  // By port, of those whose rules name ports.
  private readonly tables: (Int32Array | undefined)[]
  private tick = 0

  constructor(ports: number) {
    this.tables = new Array<Int32Array | undefined>(ports).fill(undefined)
  }

  /** Forgets what `port` had; `isNeeded`: it has rules that name ports. Between two bursts. */
  reset(port: number, isNeeded: boolean): void {
    this.tables[port] = isNeeded ? new Int32Array(2 * SETS * SET_WORDS).fill(NO_VERDICT) : undefined
  }

  /** Tells the time; once per burst, before anything else. `nowMs`: of the switch's clock. */
  begin(nowMs: number): void {
    this.tick = nowMs | 0
  }

  /** Keeps the rank by which the first fragment in `slot`, of `flow`, was judged at `port`. */
  note(port: number, flow: Uint32Array, inbound: boolean, pool: PacketPool, slot: number, rank: number): void {
    const table = this.tables[port]
    if (table === undefined || !fragmentKey(this.key, flow, pool, slot)) return
    const { key, tick } = this
    const set = this.setOf(inbound)
    let at = this.find(table, set)
    if (at < 0) {
      at = set
      // The one that is oldest, or was never used.
      for (let way = set; way < set + SET_WORDS; way += ENTRY_WORDS) {
        if (table[way + RANK] === NO_VERDICT) {
          at = way
          break
        }
        if (((table[way + SINCE]! - table[at + SINCE]!) | 0) < 0) at = way
      }
    }
    for (let k = 0; k < KEY_WORDS; k++) table[at + k] = key[k]! | 0
    table[at + RANK] = rank
    table[at + SINCE] = tick
  }

  /** The rank by which the first fragment was judged to which the later one in `slot` belongs, or NO_VERDICT. */
  rankOf(port: number, flow: Uint32Array, inbound: boolean, pool: PacketPool, slot: number): number {
    const table = this.tables[port]
    if (table === undefined || !fragmentKey(this.key, flow, pool, slot)) return NO_VERDICT
    const at = this.find(table, this.setOf(inbound))
    if (at < 0) return NO_VERDICT
    const age = (this.tick - table[at + SINCE]!) | 0
    return age >= 0 && age < FRAGMENT_MS ? table[at + RANK]! : NO_VERDICT
  }

  // What others send to a port pushes out nothing of what it sends itself.
  private setOf(inbound: boolean): number {
    const { key } = this
    let hash = 0
    for (let k = FLOW_LOCAL; k <= FLOW_PORTS; k++) hash = Math.imul(hash ^ key[k]!, 0x9e3779b1)
    return (((hash >>> 16) & (SETS - 1)) + (inbound ? SETS : 0)) * SET_WORDS
  }

  private find(table: Int32Array, set: number): number {
    const { key } = this
    for (let way = set; way < set + SET_WORDS; way += ENTRY_WORDS) {
      if (table[way + RANK] === NO_VERDICT) continue
      let k = 0
      while (k < KEY_WORDS && table[way + k] === (key[k]! | 0)) k++
      if (k === KEY_WORDS) return way
    }
    return -1
  }
}
