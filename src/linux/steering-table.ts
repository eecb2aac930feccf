// The maps that the steering programs ask: which queues a destination address and VLAN have, and which the rest has.
//
// The rule it must not break: an entry is replaced in one step, so a frame that comes meanwhile goes to the old queues or the new ones;
// and what is new is there before anything old goes.
import { BpfMap, MapType } from './bpf.ts'
import {
  STEER_ANY_VLAN,
  STEER_BUCKETS,
  STEER_KEY_BYTES,
  STEER_QUEUES,
  STEER_SPREAD,
  STEER_VALUE_BYTES,
  type SteeringMaps,
} from './steering-program.ts'

/** Rules that the kernel holds for one interface. */
export const STEER_RULES_MAX = 4096

/** Where frames to an address go. */
export interface SteerEntry {
  /** Six bytes. */
  readonly mac: Uint8Array
  /** 1 to 4094; 0: untagged or tagged for priority only; null: whatever the VLAN is, after entries that name it. */
  readonly vlan: number | null
  /** 1 to STEER_BUCKETS queues; a flow's bucket is a queue of this list, repeated. */
  readonly queues: readonly number[]
}

function keyBytes({ mac, vlan }: SteerEntry): Buffer {
  const key = Buffer.alloc(STEER_KEY_BYTES)
  key.set(mac)
  key.writeUInt16LE(vlan ?? STEER_ANY_VLAN, 6)
  return key
}

function bucketsOf(queues: readonly number[]): Buffer {
  const value = Buffer.alloc(STEER_VALUE_BYTES)
  value.writeUInt32LE(queues.every((queue) => queue === queues[0]) ? 0 : 1, STEER_SPREAD)
  for (let bucket = 0; bucket < STEER_BUCKETS; bucket++) value[STEER_QUEUES + bucket] = queues[bucket % queues.length]!
  return value
}

export class SteeringTable {
  readonly #rules: BpfMap
  readonly #fallback: BpfMap
  /** What the kernel holds: key → value, both in hexadecimal digits. */
  #held = new Map<string, string>()

  /** Empty: all frames go to `fallback`. `subject`: the interface, for errors. Throws SystemCallError. */
  constructor(fallback: readonly number[], subject: string, rulesMax: number = STEER_RULES_MAX) {
    const common = { valueBytes: STEER_VALUE_BYTES, subject }
    this.#rules = new BpfMap({ ...common, type: MapType.hash, keyBytes: STEER_KEY_BYTES, entries: rulesMax })
    try {
      this.#fallback = new BpfMap({ ...common, type: MapType.array, keyBytes: 4, entries: 1 })
    } catch (error) {
      this.#rules.close()
      throw error
    }
    this.setFallback(fallback)
  }

  get maps(): SteeringMaps {
    return { rules: this.#rules.fd, fallback: this.#fallback.fd }
  }

  /** Where frames go that no entry names. */
  setFallback(queues: readonly number[]): void {
    this.#fallback.set(Buffer.alloc(4), bucketsOf(queues))
  }

  /** Makes the table hold `entries` and no others. Returns those that found no room. Throws SystemCallError. */
  replace<Entry extends SteerEntry>(entries: readonly Entry[]): Entry[] {
    const wanted = new Map(entries.map((entry) => [keyBytes(entry).toString('hex'), entry]))
    const old = [...this.#held.keys()].filter((key) => !wanted.has(key))
    // Where the table is full, old entries make room; their frames go to the queues of the rest then, as they will anyway.
    const left = [...wanted].filter(([key, entry]) => !this.#set(key, entry))
    for (const key of old) {
      this.#rules.delete(Buffer.from(key, 'hex'))
      this.#held.delete(key)
    }
    return left.filter(([key, entry]) => !this.#set(key, entry)).map(([, entry]) => entry)
  }

  #set(key: string, { queues }: SteerEntry): boolean {
    const value = bucketsOf(queues)
    const digits = value.toString('hex')
    if (this.#held.get(key) === digits) return true
    if (!this.#rules.set(Buffer.from(key, 'hex'), value)) return false
    this.#held.set(key, digits)
    return true
  }

  close(): void {
    this.#rules.close()
    this.#fallback.close()
    this.#held = new Map()
  }
}
