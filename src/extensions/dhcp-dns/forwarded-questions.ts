// Questions that were passed on to a resolver and wait for its answer, common to all processors: whose they are, and by which number and port
// the answer will come.
//
// The rule it must not break: an answer counts once, and only one that knows a number and a port that nobody could guess, and repeats the question;
// one port of the switch has no more than its share of what waits.

const LOCK = 0
const CURRENT = 1
const HOPS = 4
const HOP_WORDS = 3
const HOPS_MAX = 4
const HEADER = HOPS + HOPS_MAX * HOP_WORDS

const ENDS = 0
const KEY = 1
const PORT = 2
const VLAN = 3
const ASKER_ID = 4
const ASKER_PORT = 5
const MAC_HIGH = 6
const MAC_LOW = 7
const QUESTION = 8
const FAMILY = 9
const SOURCE = 10
const OWN = 14
const RECORD = 18
const RECORDS = 512
const PER_PORT = 64
const LOOKS_MAX = 10_000_000
const WAITS_MS = 5000
/** For how long the Ethernet address of a next hop is believed. */
const HOP_MS = 60_000

/** Bytes to declare for the table. */
export const forwardedBytes = (HEADER + RECORDS * RECORD) * 4

/** Who asked, and what. */
export interface Asked {
  readonly port: number
  readonly vlan: number
  readonly id: number
  readonly from: number
  readonly mac: readonly [high: number, low: number]
  /** Of the addresses of who asked, and of the one that was asked; an IPv4 address is the last word. */
  readonly family: number
  readonly source: readonly number[]
  readonly own: readonly number[]
  /** A sum over the question. */
  readonly question: number
}

export class ForwardedQuestions {
  readonly #words: Int32Array

  constructor(words: Int32Array) {
    this.#words = words
  }

  #locked<Result>(work: () => Result): Result {
    for (let i = 0; i < LOOKS_MAX; i++) if (Atomics.compareExchange(this.#words, LOCK, 0, 1) === 0) break
    try {
      return work()
    } finally {
      Atomics.store(this.#words, LOCK, 0)
    }
  }

  #waits(at: number, nowMs: number): boolean {
    return this.#words[at + KEY] !== 0 && ((this.#words[at + ENDS]! - (nowMs | 0)) | 0) > 0
  }

  /** Keeps a question under `key`, which is not 0; false if there is no room, or the port has its share. */
  add(key: number, asked: Asked, nowMs: number): boolean {
    return this.#locked(() => {
      const words = this.#words
      let free = -1
      let held = 0
      for (let at = HEADER; at < HEADER + RECORDS * RECORD; at += RECORD) {
        if (this.#waits(at, nowMs)) {
          if (words[at + KEY] === (key | 0)) return false
          if (words[at + PORT] === asked.port) held++
        } else {
          if (words[at + KEY] !== 0) {
            words[at + KEY] = 0
            words[CURRENT] = words[CURRENT]! + 1 // nobody answered it: the next resolver is asked
          }
          if (free < 0) free = at
        }
      }
      if (free < 0 || held >= PER_PORT) return false
      words[free + ENDS] = (nowMs + WAITS_MS) | 0
      words[free + KEY] = key
      words[free + PORT] = asked.port
      words[free + VLAN] = asked.vlan
      words[free + ASKER_ID] = asked.id
      words[free + ASKER_PORT] = asked.from
      words[free + MAC_HIGH] = asked.mac[0]
      words[free + MAC_LOW] = asked.mac[1]
      words[free + QUESTION] = asked.question
      words[free + FAMILY] = asked.family
      for (let k = 0; k < 4; k++) {
        words[free + SOURCE + k] = asked.source[k]!
        words[free + OWN + k] = asked.own[k]!
      }
      return true
    })
  }

  /** Takes the question that waits under `key` and has this sum; undefined if none does. */
  take(key: number, question: number, nowMs: number): Asked | undefined {
    return this.#locked(() => {
      const words = this.#words
      for (let at = HEADER; at < HEADER + RECORDS * RECORD; at += RECORD) {
        if (words[at + KEY] !== (key | 0) || !this.#waits(at, nowMs) || words[at + QUESTION] !== (question | 0)) continue
        words[at + KEY] = 0
        const four = (from: number): number[] => [0, 1, 2, 3].map((k) => words[at + from + k]! >>> 0)
        return {
          port: words[at + PORT]!,
          vlan: words[at + VLAN]!,
          id: words[at + ASKER_ID]!,
          from: words[at + ASKER_PORT]!,
          mac: [words[at + MAC_HIGH]! >>> 0, words[at + MAC_LOW]! >>> 0],
          family: words[at + FAMILY]!,
          source: four(SOURCE),
          own: four(OWN),
          question,
        }
      }
      return undefined
    })
  }

  /** Which of `count` resolvers is asked now: the next one, once one did not answer. */
  current(count: number): number {
    return (this.#words[CURRENT]! >>> 0) % count
  }

  /** Notes the Ethernet address of next hop `hop`, from 0. */
  reached(hop: number, high: number, low: number, nowMs: number): void {
    const at = HOPS + hop * HOP_WORDS
    this.#locked(() => {
      this.#words[at] = high
      this.#words[at + 1] = low
      this.#words[at + 2] = (nowMs + HOP_MS) | 0 || 1
    })
  }

  /** The Ethernet address of a next hop, and whether it was heard of lately enough; undefined if it is not known. */
  hop(hop: number, nowMs: number): { readonly high: number; readonly low: number; readonly isFresh: boolean } | undefined {
    const at = HOPS + hop * HOP_WORDS
    return this.#locked(() => {
      const left = (this.#words[at + 2]! - (nowMs | 0)) | 0
      if (this.#words[at + 2] === 0 || left <= 0) return undefined
      return { high: this.#words[at]!, low: this.#words[at + 1]! >>> 0, isFresh: left > HOP_MS / 2 }
    })
  }
}
